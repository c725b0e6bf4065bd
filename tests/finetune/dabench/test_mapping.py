from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.dabench.calls import NO_MODEL, NO_NETWORK, Drawn, Dropped, read_call
from finetune.dabench.mapping import UNREADABLE, Sourced, read_archive
from finetune.dabench.model_names import value_at
from tests.finetune.dabench.evidence_world import CHECKPOINT, LORA, XL, furnish, name_of, specs_by_id, version_of
from tool_specs.exceptions import ConfigError
from tool_specs.store.database import CatalogDatabase
from tool_specs.store.rows import Use

SIZE = "512x640"
NESTED = """
record:
  id: uid
  split: part
  text: Instruction
  checkpoint: API.model
  loras: API.addons
  prompt: API.args.0.positive
  negative_prompt: API.args.0.negative
  sampler: API.args.1.sampler_name
  steps: API.args.1.num_steps
  cfg_scale: API.args.1.guidance
  size: API.args.1.resolution
lora: {name: ref, weight: strength}
checkpoints: {names: version, dictionary: maps/checkpoints.json, value: download}
loras: {names: file, dictionary: maps/loras.json}
"""
TABLE = """
record:
  text: request
  checkpoint: hash
  prompt: params.prompt
  sampler: params.sampler
  schedule: params.schedule
  steps: params.steps
  cfg_scale: params.cfg
  width: params.w
  height: params.h
checkpoints: {names: hash}
loras: {names: file}
"""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[CatalogDatabase]:
    with furnish(tmp_path / "catalog") as database:
        yield database


def nested(**changes: object) -> dict[str, object]:
    record = {
        "uid": 12,
        "part": "test set",
        "Instruction": "Please draw a castle",
        "API": {
            "model": "dream-painter",
            "addons": [{"ref": "wool", "strength": "0.6"}],
            "args": [
                {"positive": "a castle, kn1tted wool", "negative": "blurry"},
                {"sampler_name": "EulerAncestralDiscrete", "num_steps": "20", "guidance": 7, "resolution": SIZE},
            ],
        },
    }  # fmt: skip
    return {**record, **changes}


def write_nested(folder: Path, records: object) -> tuple[Path, Path]:
    (folder / "maps").mkdir()
    address = f"https://civitai.com/api/download/models/{version_of(CHECKPOINT)}?type=Model"
    (folder / "maps" / "checkpoints.json").write_text(json.dumps({"dream-painter": {"download": address}}))
    (folder / "maps" / "loras.json").write_text(json.dumps({"wool": "knitted_v2.ckpt"}))
    (folder / "mapping.yaml").write_text(NESTED)
    lines = records if isinstance(records, str) else "\n".join(map(json.dumps, records))  # type: ignore[call-overload]
    (folder / "archive.jsonl").write_text(lines)
    return folder / "archive.jsonl", folder / "mapping.yaml"


def test_json_lines_with_nested_fields_and_dictionaries(tmp_path: Path, database: CatalogDatabase) -> None:
    (found,) = read_archive(*write_nested(tmp_path, [nested()]), database)

    assert isinstance(found, Sourced)
    assert found.split == "test_set"
    assert found.evidence.id == "12"
    assert found.evidence.text == "Please draw a castle"
    drawn = read_call(found.evidence, specs_by_id())
    assert isinstance(drawn, Drawn)
    call = drawn.call
    assert (call.checkpoint, call.prompt, call.negative_prompt) == (
        name_of(CHECKPOINT),
        "a castle, kn1tted wool",
        "blurry",
    )
    assert [(use.id, use.weight) for use in call.loras] == [(name_of(LORA), 0.6)]
    assert (call.sampler, call.steps, call.cfg_scale, call.width, call.height) == ("Euler a", 20, 7.0, 512, 640)


@pytest.mark.parametrize(
    ("loras", "prompt", "becomes"),
    [
        (["wool"], "a castle <lora:knitted_v2:0.6>", [0.6]),
        (["wool"], "a castle <lora:renamed:0.6>", [0.6]),
        ({"wool": 0.3}, "a castle <lora:knitted_v2:0.6>", [0.3]),
        (["wool"], "a castle", [1.0]),
        ([], "a castle <lora:knitted_v2:0.6>", NO_NETWORK),
        ("", "a castle <lora:knitted_v2:0.6>", NO_NETWORK),
        (["wool"], "a castle <lora:knitted_v2:0.6> <lora:stranger:1>", NO_NETWORK),
    ],
)
def test_tags_are_held_against_the_networks_that_a_record_names(
    tmp_path: Path, database: CatalogDatabase, loras: object, prompt: str, becomes: list[float] | str
) -> None:
    record = nested()
    record["API"]["addons"] = loras  # type: ignore[index]
    record["API"]["args"][0]["positive"] = prompt  # type: ignore[index]
    (found,) = read_archive(*write_nested(tmp_path, [record]), database)
    assert isinstance(found, Sourced)
    drawn = read_call(found.evidence, specs_by_id())
    if isinstance(drawn, Dropped):
        assert drawn.reason == becomes
    else:
        assert drawn.call.prompt == "a castle"
        assert [use.weight for use in drawn.call.loras] == becomes


def test_a_table_with_json_in_a_cell_and_networks_as_tags(tmp_path: Path, database: CatalogDatabase) -> None:
    parameters = {"sampler": "DPM++ 2M", "schedule": "Karras", "steps": 30, "cfg": 6.5, "w": 512, "h": 512}
    digest = "AB" * 32
    record = specs_by_id()[name_of(CHECKPOINT)]
    with database.transaction() as writing:
        file = record.files[0].model_copy(update={"sha256": digest})
        writing.put_specs([record.model_copy(update={"files": (file,)})], origin="api")
    with (tmp_path / "archive.csv").open("w", newline="", encoding="utf-8-sig") as file_:
        table = csv.DictWriter(file_, ["request", "hash", "params"])
        table.writeheader()
        prompt = "a castle, <lora:knitted_v2:0.5>"
        table.writerow(
            {
                "request": "a castle,\nplease",
                "hash": digest.lower(),
                "params": json.dumps({**parameters, "prompt": prompt}),
            }
        )
        table.writerow({"request": "a castle", "hash": "unknown", "params": json.dumps({**parameters, "prompt": "a"})})
        table.writerow({"request": "a castle", "hash": digest, "params": "{broken"})
    (tmp_path / "mapping.yaml").write_text(TABLE)

    found, unknown, broken = read_archive(tmp_path / "archive.csv", tmp_path / "mapping.yaml", database)

    assert isinstance(found, Sourced)
    assert found.evidence.id == "row 1"
    assert found.split == ""
    assert found.evidence.uses == (Use(CHECKPOINT, version_of(CHECKPOINT), None), Use(LORA, version_of(LORA), 0.5))
    drawn = read_call(found.evidence, specs_by_id())
    assert isinstance(drawn, Drawn)
    assert (drawn.call.sampler, drawn.call.prompt) == ("DPM++ 2M Karras", "a castle,")
    assert unknown == Dropped(NO_MODEL)
    assert broken == Dropped(UNREADABLE)


def test_a_document_of_ids_packed_with_gzip(tmp_path: Path, database: CatalogDatabase) -> None:
    _, mapping = write_nested(tmp_path, [])
    flat = nested()
    flat["API"] = {**flat["API"], "model": f"civitai:{XL}@{version_of(XL)}", "addons": {}}  # type: ignore[dict-item]
    lines = NESTED.replace("  id: uid\n", "").partition("checkpoints:")[0]
    mapping.write_text("records: data.pairs\n" + lines)
    (tmp_path / "archive.json.gz").write_bytes(gzip.compress(json.dumps({"data": {"pairs": {"first": flat}}}).encode()))

    (found,) = read_archive(tmp_path / "archive.json.gz", mapping, database)

    assert isinstance(found, Sourced)
    assert found.evidence.id == "first"
    assert found.evidence.uses == (Use(XL, version_of(XL), None),)


@pytest.mark.parametrize(
    "record",
    [
        {},
        [],
        "text",
        None,
        7,
        {"Instruction": "a fox"},
        nested(Instruction=""),
        nested(Instruction=["a"]),
        nested(API="{"),
    ],
)
def test_a_record_of_another_shape_is_dropped(tmp_path: Path, database: CatalogDatabase, record: object) -> None:
    archive = write_nested(tmp_path, [record, nested()])
    first, second = read_archive(*archive, database)
    assert first == Dropped(UNREADABLE)
    assert isinstance(second, Sourced)


def test_a_name_that_two_models_have_is_not_guessed(tmp_path: Path, database: CatalogDatabase) -> None:
    twin = specs_by_id()[name_of(LORA)].model_copy(
        update={"id": "civitai:500@5001", "model_id": 500, "version_id": 5001}
    )
    with database.transaction() as writing:
        writing.put_specs([twin], origin="api")
    assert list(read_archive(*write_nested(tmp_path, [nested()]), database)) == [Dropped(NO_MODEL)]


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ("record: {text: a}", "'record.checkpoint' is missing"),
        (NESTED + "colour: red", "'colour' is no setting; allowed are records, record, lora, checkpoints, loras"),
        (NESTED.replace("names: file", "names: guess"), "loras.names='guess'"),
        (NESTED.replace("maps/loras.json", "maps/none.json"), "none.json cannot be read as JSON"),
        ("- a", "write `key: value` lines"),
    ],
)
def test_a_wrong_mapping_is_told(tmp_path: Path, database: CatalogDatabase, mapping: str, said: str) -> None:
    archive, place = write_nested(tmp_path, [nested()])
    place.write_text(mapping)
    with pytest.raises(ConfigError, match=said):
        list(read_archive(archive, place, database))


@pytest.mark.parametrize(
    ("name", "content", "records"),
    [
        ("none.json", None, ""),
        ("none.csv", None, ""),
        ("a.json", b"{", "x"),
        ("a.json", b'{"x": 1}', "x"),
        ("a.csv", b"\xff\xfe\x00", ""),
    ],
)
def test_an_archive_that_cannot_be_read_is_told(
    tmp_path: Path, database: CatalogDatabase, name: str, content: bytes | None, records: str
) -> None:
    _, mapping = write_nested(tmp_path, [])
    mapping.write_text(f"records: '{records}'\n" + NESTED)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be read"):
        list(read_archive(tmp_path / name, mapping, database))


def test_a_whole_key_comes_before_its_parts() -> None:
    assert value_at({"a.b": 1, "a": {"b": 2}}, "a.b") == 1
    assert value_at({"a": '{"b": [10, 20]}'}, "a.b.1") == 20
    assert value_at({"a": "[" * 5000}, "a.0") is None


TREES = st.recursive(
    st.none() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.0", max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(TREES, st.text("ab.01", max_size=6))
def test_a_path_leads_somewhere_or_nowhere(tree: object, path: str) -> None:
    value_at(tree, path)
