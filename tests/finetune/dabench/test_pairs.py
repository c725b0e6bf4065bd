from __future__ import annotations

import json
import random
import resource
from datetime import date
from pathlib import Path

import datasets
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from pydantic import ValidationError

from finetune.dabench.pairs import Pair, read_pairs, write_pairs
from tool_specs.calls import parse_call
from tool_specs.exceptions import ConfigError

CALL: dict = {
    "family": "sd15",
    "checkpoint": "civitai:4384@128713",
    "loras": [{"id": "civitai:7@70", "weight": 0.8}],
    "prompt": "a fox, oil painting",
    "sampler": "Euler a",
    "steps": 20,
    "cfg_scale": 7.0,
    "width": 512,
    "height": 768,
}


def pair(number: int = 0, split: str = "train", **fields: object) -> Pair:
    return Pair.model_validate(
        {"id": f"{split}-{number}", "instruction": "Paint me a fox.", "call": CALL, "split": split, **fields}
    )


def test_models_are_the_checkpoint_and_then_the_networks() -> None:
    assert pair().models == ("civitai:4384@128713", "civitai:7@70")
    assert pair(call=None).models == ()


def test_a_call_is_checked_and_completed() -> None:
    call = pair().call

    assert call is not None
    assert parse_call(call).model_dump(mode="json") == call
    assert call["clip_skip"] == 1
    with pytest.raises(ValidationError, match="steps=9000 is too large"):
        pair(call={**CALL, "steps": 9000})


def test_splits_are_read_as_they_were_written(tmp_path: Path) -> None:
    pairs = [
        pair(1, reference="a fox", source="e-1", created=date(2023, 5, 1), wording="please"),
        pair(2, instruction="Ein Füchslein 🦊\nin zwei Zeilen"),
        pair(3, "unseen_wordings", call=None),
        pair(4, "dev"),
    ]

    write_pairs(tmp_path / "data", pairs, card="# Foxes")

    assert read_pairs(tmp_path / "data", "train") == pairs[:2]
    assert read_pairs(tmp_path / "data", "unseen_wordings") == [pairs[2]]
    assert read_pairs(tmp_path / "data", "dev") == [pairs[3]]
    assert {path.name for path in (tmp_path / "data").iterdir()} == {
        "README.md",
        "train.parquet",
        "dev.parquet",
        "unseen_wordings.parquet",
    }


def test_the_datasets_library_opens_it(tmp_path: Path) -> None:
    write_pairs(tmp_path / "data", [pair(1), pair(2), pair(3, "dev", call=None)], card="# Foxes")

    opened = datasets.load_dataset(str(tmp_path / "data"), cache_dir=str(tmp_path / "cache"))

    assert {name: len(rows) for name, rows in opened.items()} == {"train": 2, "dev": 1}
    assert json.loads(opened["train"][0]["call"]) == pair(1).call
    assert opened["dev"][0]["call"] is None
    assert (tmp_path / "data" / "README.md").read_text().endswith("---\n\n# Foxes\n")


def test_writing_again_replaces_the_splits(tmp_path: Path) -> None:
    write_pairs(tmp_path, [pair(1), pair(2)], card="")
    write_pairs(tmp_path, [pair(3)], card="")

    assert [one.id for one in read_pairs(tmp_path, "train")] == ["train-3"]


def test_a_full_disk_leaves_the_data_set_as_it_was(tmp_path: Path) -> None:
    before = [pair(1), pair(2, "dev")]
    write_pairs(tmp_path, before, card="# Before")
    noise = random.Random(0)
    large = [pair(n, "dev", reference=noise.randbytes(500).hex()) for n in range(100)]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, limits[1]))
    try:
        with pytest.raises(ConfigError, match="cannot be written to"):
            write_pairs(tmp_path, [pair(3), *large, pair(4, "test")], card="# After")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert [*read_pairs(tmp_path, "train"), *read_pairs(tmp_path, "dev")] == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "dev.parquet", "train.parquet"]


def test_splits_of_two_builds_are_not_read(tmp_path: Path) -> None:
    write_pairs(tmp_path, [pair(1)], card="# Before")
    (tmp_path / "dev.parquet").mkdir()
    with pytest.raises(ConfigError, match="cannot be written to"):
        write_pairs(tmp_path, [pair(2), pair(3, "dev")], card="# After")

    with pytest.raises(ConfigError, match=r"has no README\.md: it was not written to the end; build .* again"):
        read_pairs(tmp_path, "train")
    (tmp_path / "dev.parquet").rmdir()
    write_pairs(tmp_path, [pair(2), pair(3, "dev")], card="# After")
    assert [one.id for one in read_pairs(tmp_path, "train")] == ["train-2"]


def test_the_splits_of_another_data_set_are_not_mixed_in(tmp_path: Path) -> None:
    write_pairs(tmp_path, [pair(1, "dev")], card="")

    with pytest.raises(ConfigError, match="'dev' of another data set"):
        write_pairs(tmp_path, [pair(1)], card="")


def test_two_pairs_of_one_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'train-1'"):
        write_pairs(tmp_path, [pair(1), pair(1)], card="")


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(ConfigError, match="cannot be written to"):
        write_pairs(tmp_path / "file" / "data", [pair()], card="")


def test_a_split_that_is_missing_names_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="dabench build"):
        read_pairs(tmp_path, "train")
    write_pairs(tmp_path, [pair(1), pair(2, "dev")], card="")
    with pytest.raises(ConfigError, match=r"no split 'test'.*use one of train, dev"):
        read_pairs(tmp_path, "test")


@pytest.mark.parametrize("damage", [lambda content: content[: len(content) // 2], lambda _: b"", lambda _: b"PAR1"])
def test_a_damaged_file_is_named(tmp_path: Path, damage) -> None:
    write_pairs(tmp_path, [pair(1)], card="")
    path = tmp_path / "train.parquet"
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(ConfigError, match=r"train\.parquet is damaged"):
        read_pairs(tmp_path, "train")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"id": "a", "instruction": "a fox", "split": "train", "call": "{"}], "is damaged"),
        ([{"id": "a", "instruction": "a fox", "split": "train", "call": "[]"}], "holds what is no pair"),
        (
            [{"id": "a", "instruction": "a fox", "split": "train", "call": '{"family": "sd15"}'}],
            "checkpoint is missing",
        ),
        ([{"something": 1}], "holds what is no pair"),
    ],
)
def test_a_file_of_something_else_is_named(tmp_path: Path, rows: list[dict], said: str) -> None:
    write_pairs(tmp_path, [pair(1)], card="")
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "train.parquet")

    with pytest.raises(ConfigError, match=said):
        read_pairs(tmp_path, "train")


@settings(max_examples=30, deadline=None)
@given(instruction=st.text(min_size=1, max_size=200), wording=st.text(max_size=20))
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, instruction: str, wording: str) -> None:
    folder = tmp_path_factory.mktemp("data")
    written = pair(instruction=instruction, wording=wording)

    write_pairs(folder, [written], card="")

    assert read_pairs(folder, "train") == [written]
