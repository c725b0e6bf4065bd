from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

import datasets
import pytest

from finetune.cli.main import main
from finetune.dabench.build import BuildSettings, Built, build
from finetune.dabench.calls import NO_CHECKPOINT, NO_NETWORK
from finetune.dabench.collecting import REPEATED
from finetune.dabench.duplicates import clusters
from finetune.dabench.filters import NOT_ENGLISH, UNSAFE_TEXT
from finetune.dabench.pairs import read_pairs, splits_in
from finetune.dabench.splits import NEAR_GIVEN, NEAR_HELD_BACK
from finetune.settings import load_settings
from tests.finetune.dabench.evidence_world import LORA, SPECIAL, evidence, furnish, many, use
from tool_specs.calls import parse_call
from tool_specs.civitai.records import specs_of
from tool_specs.exceptions import BackendError, CatalogError, ConfigError
from tool_specs.importing.documents import entries
from tool_specs.importing.pairs import evidence_of
from tool_specs.importing.shapes import model_record
from tool_specs.naming import parse_spec_id
from tool_specs.store.database import CatalogDatabase
from tool_specs.store.rows import Evidence

SHARES = {"dev": 0.1, "test": 0.1, "unseen": 0.1, "time": 0.1}


def settings(folder: Path, **changes: object) -> BuildSettings:
    values = {"out": folder / "data", "catalog": folder / "catalog", "splits": SHARES, **changes}
    return BuildSettings.model_validate(values)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a catalog of 400 requests that become pairs and a few that do not."""
    folder = tmp_path_factory.mktemp("world")
    records, pieces = many(400)
    strange = {
        "it repeats": Evidence(f"({pieces[0].text}:1.2)", pieces[0].uses, pieces[0].call, "e-2"),
        "nude": evidence(text="a nude knight before an old castle"),
        "German": evidence(text="ein Ritter auf einem Pferd mit dem Schwert"),
        "network alone": evidence(use(LORA, 0.5), text="a knitted castle"),
        "unknown network": evidence(prompt="a castle <lora:stranger:1>", text="a castle on a distant hill"),
    }
    furnish(folder / "catalog", [*SPECIAL, *records], [*pieces, *strange.values()]).close()
    return folder


def build_in(world: Path, folder: Path, **changes: object) -> Built:
    return build(settings(folder, catalog=world / "catalog", **changes))


def test_evidence_becomes_a_data_set(world: Path, tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    built = build(settings(tmp_path, catalog=world / "catalog"), on_step=lambda *step: steps.append(step))

    assert len(built.pairs) + built.dropped.total() == 405
    once = dict.fromkeys((REPEATED, UNSAFE_TEXT, NOT_ENGLISH, NO_CHECKPOINT, NO_NETWORK), 1)
    assert dict(built.dropped - Counter({NEAR_HELD_BACK: 10_000})) == once
    assert splits_in(tmp_path / "data") == ["train", "dev", "test", "unseen", "time"]
    assert [pair for split in splits_in(tmp_path / "data") for pair in read_pairs(tmp_path / "data", split)] == sorted(
        built.pairs, key=lambda pair: splits_in(tmp_path / "data").index(pair.split)
    )
    for pair in built.pairs:
        assert pair.call is not None
        assert parse_call(pair.call).sampler == "DPM++ 2M Karras"
        assert "masterpiece" in str(pair.call["prompt"])
        assert "masterpiece" not in pair.instruction
        assert pair.reference.removeprefix("a")[:10] in pair.instruction
        assert pair.created is not None
        assert pair.source.startswith("train-")
        assert pair.wording == "rules"
    assert {what for what, _, _ in steps} == {"reading", "comparing", "writing"}
    assert steps[-1] == ("writing", len(built.pairs), len(built.pairs))


def test_the_datasets_library_opens_it_offline(world: Path, tmp_path: Path) -> None:
    built = build_in(world, tmp_path)

    opened = datasets.load_dataset(str(tmp_path / "data"), cache_dir=str(tmp_path / "cache"))

    assert {name: len(rows) for name, rows in opened.items()} == Counter(pair.split for pair in built.pairs)
    card = (tmp_path / "data" / "README.md").read_text()
    assert "Every pair of `unseen` has a model that no other split has. `time` has the newest models." in card
    assert "belong to the people who made them" in card
    assert f"| {UNSAFE_TEXT} | 1 |" in card


def test_near_duplicates_and_unseen_models_stay_in_their_split(world: Path, tmp_path: Path) -> None:
    pairs = build_in(world, tmp_path).pairs

    check_splits(pairs)
    time = [pair.created for pair in pairs if pair.split == "time" and pair.created]
    assert min(time) > max(pair.created for pair in pairs if pair.split not in ("time", "unseen") and pair.created)


def check_splits(pairs: tuple) -> None:
    """The promises that every data set keeps."""
    near = clusters([pair.reference for pair in pairs], similarity=0.6).tolist()
    assert len({(number, pair.split) for number, pair in zip(near, pairs, strict=True)}) == len(set(near))
    models: dict[str, set[int]] = {}
    versions: dict[str, set[str]] = {}
    for pair in pairs:
        models.setdefault(pair.split, set()).update(parse_spec_id(model)[0] for model in pair.models)
        versions.setdefault(pair.split, set()).update(pair.models)
    elsewhere = set().union(*(models[split] for split in models if split != "unseen"))
    assert all({parse_spec_id(m)[0] for m in pair.models} - elsewhere for pair in pairs if pair.split == "unseen")
    assert versions["dev"] | versions["test"] <= versions["train"]
    assert len({pair.id for pair in pairs}) == len(pairs)


def test_the_same_build_gives_the_same_pairs_and_another_seed_others(world: Path, tmp_path: Path) -> None:
    once = build_in(world, tmp_path / "a").pairs
    assert build_in(world, tmp_path / "b").pairs == once
    other = build_in(world, tmp_path / "c", seed=1).pairs
    assert {pair.id: pair.instruction for pair in other} != {pair.id: pair.instruction for pair in once}
    assert {pair.id: pair.split for pair in other} != {pair.id: pair.split for pair in once}


def test_given_texts_stay_as_they_are(world: Path, tmp_path: Path) -> None:
    built = build_in(world, tmp_path, writer="given")
    texts = {piece.text for piece in many(400)[1]}
    assert {pair.instruction for pair in built.pairs} <= texts
    assert {pair.wording for pair in built.pairs} == {"given"}


def chat(folder: Path, **arguments: object) -> dict[str, object]:
    kind = "tests.finetune.dabench.speaking:Speaking"
    return {"kind": kind, "arguments": arguments, "at_once": 4, "cache": str(folder / "said.jsonl")}


def test_a_chat_model_writes_and_is_not_asked_again(world: Path, tmp_path: Path) -> None:
    built = build_in(world, tmp_path / "a", writer="chat", chat=chat(tmp_path))

    assert all(pair.instruction.startswith("Would you kindly paint ") for pair in built.pairs)
    assert {pair.wording for pair in built.pairs} == {"chat"}
    assert built.writing == {"written": len(built.pairs)}
    assert f"written: {len(built.pairs)}" in (tmp_path / "a" / "data" / "README.md").read_text()
    again = build_in(world, tmp_path / "b", writer="chat", chat=chat(tmp_path, says="nothing of the kind"))
    assert again.writing == {"kept": len(built.pairs)}
    assert again.pairs == built.pairs


def test_a_chat_model_that_leaks_is_replaced(world: Path, tmp_path: Path) -> None:
    built = build_in(world, tmp_path, writer="chat", chat=chat(tmp_path, says="HACKED"))
    assert built.writing == {"it was about something else": len(built.pairs)}
    assert "HACKED" not in {pair.instruction for pair in built.pairs}


def test_a_chat_model_that_is_gone_leaves_no_data_set_behind(world: Path, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"failed \d+ times in a row"):
        build_in(world, tmp_path, writer="chat", chat=chat(tmp_path, gone=True))
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["chat.arguments.api_key=sk-1"], "'api_key' does not belong into settings"),
        (["archive=a.jsonl"], "archive and mapping belong together"),
        (["splits.unseen=0.9"], "splits.unseen=0.9"),
        (["colour=red"], "'colour' is no setting; allowed are out, catalog, archive"),
        (["similarity=0"], "similarity=0"),
    ],
)
def test_wrong_settings_are_told(changes: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_settings(BuildSettings, None, ["out=data", *changes])


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("no_such_package:Chat", r"package of no_such_package:Chat is not installed \(.*pip install no-such-package"),
        ("json:JSONDecoder", "is no LangChain chat model"),
        ("json:Nothing", "is no LangChain chat model"),
    ],
)
def test_a_chat_model_that_is_none_is_told(world: Path, tmp_path: Path, kind: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build_in(world, tmp_path, writer="chat", chat={"kind": kind})


def test_without_a_catalog_or_evidence_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="diffagent import"):
        build(settings(tmp_path))
    furnish(tmp_path / "catalog").close()
    with pytest.raises(ConfigError, match=r"none of 0 pieces of evidence .*diffagent import --evidence"):
        build(settings(tmp_path))


def archive_of(folder: Path, pieces: list[Evidence], split_of: Callable[[int], str]) -> dict[str, object]:
    """An archive of pieces, each with the split for its number, and the settings that read it."""
    records = [
        {"id": piece.id, "text": piece.text, "set": split_of(n), **piece.call}
        | {"model": f"civitai:{piece.uses[0].model_id}@{piece.uses[0].version_id}"}
        for n, piece in enumerate(pieces)
    ]
    folder.mkdir(exist_ok=True)
    (folder / "archive.jsonl").write_text("\n".join(map(json.dumps, records)))
    names = ("id", "text", "prompt", "sampler", "steps", "cfg_scale", "width", "height")
    lines = [f"  {name}: {name}" for name in names] + ["  split: set", "  checkpoint: model"]
    (folder / "mapping.yaml").write_text("record:\n" + "\n".join(lines))
    return {"archive": folder / "archive.jsonl", "mapping": folder / "mapping.yaml", "writer": "given"}


def test_an_archive_brings_its_own_splits(world: Path, tmp_path: Path) -> None:
    pieces = many(40)[1]
    built = build_in(world, tmp_path, **archive_of(tmp_path, pieces, lambda n: "test" if n % 4 else "train"))

    assert Counter(pair.split for pair in built.pairs) == {"train": 10, "test": 30}
    assert {pair.instruction for pair in built.pairs} == {piece.text for piece in pieces}
    card = (tmp_path / "data" / "README.md").read_text()
    near = clusters([pair.reference for pair in built.pairs], similarity=0.6).tolist()
    homes = {number: {pair.split for n, pair in zip(near, built.pairs, strict=True) if n == number} for number in near}
    crossing = sum(len(homes[number]) > 1 for number in near)
    assert crossing > 0
    assert f"gives 40 pairs their split; {crossing} of them have near-duplicates in another" in card


def test_what_is_near_to_a_given_split_is_left_out(world: Path, tmp_path: Path) -> None:
    pieces = many(200)[1]
    # The archive's own unseen pair has a model that many others have.
    common = next(n for n, piece in enumerate(pieces) if piece.uses[0].model_id == 100)
    given = {common: "unseen", common + 5: "test", common + 9: "train"}
    twins = [replace(pieces[n], id=f"twin-{n}", text=f"{pieces[n].text}, seen from afar") for n in given]
    archive = archive_of(tmp_path / "archive", [*pieces, *twins], lambda n: given.get(n, ""))
    built = build_in(world, tmp_path, **archive)

    splits = {pair.source: pair.split for pair in built.pairs}
    assert {n: splits[f"train-{n}"] for n in given} == given
    assert not [source for source in splits if source.startswith("twin")]
    assert built.dropped[NEAR_GIVEN] >= 3
    near = clusters([pair.reference for pair in built.pairs], similarity=0.6).tolist()
    assert len({(number, pair.split) for number, pair in zip(near, built.pairs, strict=True)}) == len(set(near))
    card = (tmp_path / "data" / "README.md").read_text()
    assert f"| {NEAR_GIVEN} | {built.dropped[NEAR_GIVEN]} |" in card
    elsewhere = {parse_spec_id(m)[0] for pair in built.pairs if pair.split != "unseen" for m in pair.models}
    unseen = {pair.source: {parse_spec_id(m)[0] for m in pair.models} for pair in built.pairs if pair.split == "unseen"}
    assert [source for source, models in unseen.items() if models <= elsewhere] == [f"train-{common}"]
    assert f"{len(unseen) - 1} of {len(unseen)} pairs of `unseen` have a model that no other split has" in card


def test_the_commands(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "data"
    config = tmp_path / "build.yaml"
    config.write_text(f"catalog: {world / 'catalog'}\nsplits: {json.dumps(SHARES)}\n")

    assert main(["dabench", "build", str(config), f"out={out}", "seed=3"]) == 0
    told = capsys.readouterr().out
    assert f"        1  {UNSAFE_TEXT}\n" in told
    assert f"pairs in {out}" in told

    assert main(["dabench", "stats", str(out)]) == 0
    assert capsys.readouterr().out.strip() in told
    assert main(["dabench", "stats", str(out), "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == set(splits_in(out))
    assert main(["dabench", "stats", str(tmp_path)]) == 2
    assert "dabench build" in capsys.readouterr().err
    assert main(["dabench", "build", f"out={out}", "seed=x"]) == 2


@pytest.fixture(scope="module")
def real_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog with a slice of the real pairs and the models that they name."""
    shared = Path(os.environ.get("DIFFAGENT_SHARED") or Path(__file__).parents[4] / "shared") / "data"
    if not (shared / "pairs-train.jsonl.gz").is_file():
        pytest.skip(f"no real pairs in {shared}: set DIFFAGENT_SHARED to the folder whose data/ holds them")
    pieces = [evidence_of(entry.value) for entry in islice(entries(shared / "pairs-train.jsonl.gz"), 0, None, 24)]
    wanted = {use.model_id for piece in pieces for use in piece.uses}
    folder = tmp_path_factory.mktemp("real")
    with CatalogDatabase.open(folder / "catalog") as database, database.transaction() as writing:
        for entry in entries(shared / "models.jsonl.gz"):
            if isinstance(entry.value, Mapping) and entry.value.get("model_id") in wanted:
                found = model_record(entry.value, shared / "models.jsonl.gz")
                assert found is not None
                writing.put_specs(specs_of(found.record).specs, origin="rows")
        writing.put_evidence(pieces)
    return folder


def test_real_evidence_becomes_a_sound_data_set(real_world: Path) -> None:
    built = build(settings(real_world))

    assert len(built.pairs) > 400
    assert built.dropped.total() + len(built.pairs) == count_of_evidence(real_world / "catalog")
    check_splits(built.pairs)
    for pair in built.pairs:
        assert 3 <= len(pair.instruction.split()) <= 75
        assert not set(pair.reference) & set("<>[]{}()")
    dated = [pair.created for pair in built.pairs if pair.created]
    assert len(dated) > 0.9 * len(built.pairs)


def count_of_evidence(catalog: Path) -> int:
    with sqlite3.connect(catalog / "catalog.sqlite") as connection:
        return int(connection.execute("SELECT count(*) FROM evidence").fetchone()[0])
