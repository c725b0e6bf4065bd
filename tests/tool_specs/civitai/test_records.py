from __future__ import annotations

import copy
import json
import re
from collections import Counter
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_specs.calls import arguments_model, to_call
from tool_specs.civitai import RecordReading, specs_of
from tool_specs.families import FAMILIES
from tool_specs.infotext import parse_infotext, spec_hashes, spec_names, to_infotext
from tool_specs.rules import Rules
from tool_specs.spec import ToolSpec

SHA256 = "5B75B0F944F09ED1C28A76D5FEACBBDA55C5EDD6BD388FACD5B9C723E1546814"
RECORD: dict[str, Any] = {
    "id": 9001,
    "name": "Pocket Animals",
    "description": "<p>Draws <b>animals</b>.</p>",
    "type": "Checkpoint",
    "nsfw": False,
    "allowCommercialUse": ["Image", "Sell"],
    "stats": {"downloadCount": 10, "favoriteCount": 3, "commentCount": 1, "rating": 4.5, "ratingCount": 2},
    "creator": {"username": "diffagent"},
    "tags": ["Animals", "cat", "cat", {"name": "dog"}],
    "modelVersions": [
        {
            "id": 9101,
            "name": "v1",
            "baseModel": "Pocket",
            "description": "The first.",
            "trainedWords": ["(pixel art:1.2), 8-bit <lora:x:1>", "8-BIT"],
            "stats": {"downloadCount": None, "thumbsUpCount": 4},
            "files": [
                {
                    "id": 1,
                    "name": "animals.safetensors",
                    "type": "Model",
                    "sizeKB": 9000.5,
                    "metadata": {"format": "SafeTensor", "fp": "fp16"},
                    "hashes": {"SHA256": SHA256.lower(), "AutoV2": "0x5B75B0F944", "AutoV3": "e3b0c44298fc"},
                    "downloadUrl": "https://civitai.com/api/download/models/9101?token=secret",
                    "primary": True,
                }
            ],
            "images": [
                {"nsfw": "None", "meta": {"prompt": "a cat", "steps": 12, "sampler": "Euler a", "cfgScale": "4"}},
                {"nsfw": "X", "meta": {"prompt": "a dog", "steps": 12}},
                {"nsfw": "None", "meta": None},
            ],
        }
    ],
}


def changed(**fields: object) -> dict[str, Any]:
    return copy.deepcopy(RECORD) | fields


def with_version(**fields: object) -> dict[str, Any]:
    record = copy.deepcopy(RECORD)
    record["modelVersions"] = [record["modelVersions"][0] | fields]
    return record


def only(reading: RecordReading) -> ToolSpec:
    (spec,) = reading.specs
    assert reading.set_aside == ()
    return spec


def reason(reading: RecordReading) -> str:
    (set_aside,) = reading.set_aside
    assert reading.specs == ()
    assert "model" in set_aside.where
    return set_aside.reason


def test_a_tidy_record() -> None:
    spec = only(specs_of(RECORD))

    assert (spec.id, spec.tool_name, spec.family) == ("civitai:9001@9101", "civitai_9001_pocket_animals", "pocket")
    assert spec.description == "Draws animals.\nThe first."
    assert spec.tags == ("animals", "cat", "dog")
    assert spec.trigger_words == ("pixel art", "8-BIT")
    assert spec.trigger_phrases == ("(pixel art:1.2), 8-bit", "8-BIT")
    assert (spec.stats.downloads, spec.stats.thumbs_up, spec.stats.favorites, spec.stats.rating) == (10, 4, 3, 4.5)
    assert (spec.creator, spec.availability, spec.content_rating) == ("diffagent", "Public", "safe")
    assert spec.license.may_sell_images
    assert [example.prompt for example in spec.examples] == ["a cat"]
    assert (spec.recommended.sampler, spec.recommended.steps.median, spec.recommended.n) == ("Euler a", 12, 2)


@pytest.mark.parametrize(
    ("dates", "day"),
    [
        ({"publishedAt": "2023-03-01T23:30:00-02:00", "createdAt": "2023-02-01T00:00:00Z"}, date(2023, 3, 2)),
        ({"publishedAt": None, "createdAt": "2023-02-01T10:00:00.123Z"}, date(2023, 2, 1)),
        ({"publishedAt": "2023-02-01"}, date(2023, 2, 1)),
        ({"publishedAt": "soon", "createdAt": 1675209600}, None),
        ({"publishedAt": "0001-01-01T00:00:00Z"}, None),
        ({}, None),
    ],
)
def test_when_it_was_published(dates: dict[str, object], day: date | None) -> None:
    assert only(specs_of(with_version(**dates))).published == day


def test_its_file() -> None:
    file = only(specs_of(RECORD)).primary_file

    assert file is not None
    assert (file.stem, file.format, file.fp, file.is_safe) == ("animals", "SafeTensor", "fp16", True)
    assert (file.sha256, file.hashes.AutoV2, file.hashes.AutoV3) == (SHA256, "5B75B0F944", "")
    assert file.download_url == "https://civitai.com/api/download/models/9101"


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({}, "no valid id"),
        (changed(id="x"), "no valid id"),
        (changed(id=-1), "no valid id"),
        (changed(type="Poses"), "'Poses' is not one that draws"),
        (changed(type=None), "'' is not one that draws"),
        (changed(poi=True), "a real person"),
        (changed(minor="true"), "a minor"),
        (changed(modelVersions=[]), "no versions"),
        (changed(modelVersions=None), "no versions"),
        (with_version(id=None), "no valid id"),
        (with_version(id=2**31), "no valid id"),
        (changed(id=2**31), "no valid id"),
        (changed(mode="TakenDown", poi=True), "a real person"),
        (with_version(baseModelType="Inpainting"), "does not draw from text"),
    ],
)
def test_what_becomes_no_spec_says_why(record: dict[str, object], said: str) -> None:
    assert said in reason(specs_of(record))


@pytest.mark.parametrize("mode", ["Archived", "TakenDown"])
def test_a_model_that_is_gone_is_kept_to_find_substitutes(mode: str) -> None:
    spec = only(specs_of(changed(mode=mode)))
    assert (spec.availability, spec.description) == (mode, "Draws animals.\nThe first.")
    assert mode in Rules().reason_against(spec)


@pytest.mark.parametrize(
    "files",
    [
        [],
        None,
        [{"name": "a.ckpt", "type": "Model", "pickleScanResult": "Danger"}],
        [{"name": "v.safetensors", "type": "VAE"}],
    ],
)
def test_a_version_without_weights_is_kept_but_not_offered(files: object) -> None:
    spec = only(specs_of(with_version(files=files)))
    assert spec.primary_file is None
    assert Rules().reason_against(spec) == "it has no weights file"


def test_a_version_twice_is_set_aside_once() -> None:
    record = copy.deepcopy(RECORD)
    record["modelVersions"] *= 2
    reading = specs_of(record)
    assert (len(reading.specs), len(reading.set_aside)) == (1, 1)


@pytest.mark.parametrize(
    ("record", "field", "value"),
    [
        (changed(id="9001"), "model_id", 9001),
        (changed(description=None), "description", "The first."),
        (changed(creator=None), "creator", None),
        (changed(tags=None), "tags", ()),
        (changed(name=""), "model_name", "model 9001"),
        (with_version(baseModel=None), "family", "other"),
        (with_version(trainedWords=None), "trigger_words", ()),
        (with_version(trainedWords="one, two"), "trigger_words", ("one", "two")),
        (with_version(trainedWords=[r"klee \(genshin\)"]), "trigger_words", (r"klee \(genshin\)",)),
        (with_version(availability="EarlyAccess"), "availability", "EarlyAccess"),
        (with_version(images=None), "examples", ()),
        (with_version(images={"0": {"meta": {"prompt": "a cat", "steps": "x"}}}), "content_rating", "safe"),
        (with_version(name="nsfw"), "content_rating", "explicit"),
    ],
)
def test_messy_fields(record: dict[str, object], field: str, value: object) -> None:
    assert getattr(only(specs_of(record)), field) == value


@pytest.mark.parametrize(
    ("file", "file_format", "safe"),
    [
        ({"name": "a.safetensors"}, "SafeTensor", True),
        ({"name": "a.ckpt"}, "PickleTensor", False),
        ({"name": "a.ckpt", "metadata": {"format": "SafeTensor"}}, "PickleTensor", False),
        ({"name": "a.safetensors", "metadata": {"format": "Other"}}, "SafeTensor", True),
        ({"name": "a.safetensors", "pickleScanResult": "Pending"}, "SafeTensor", False),
        ({"name": "a.gguf"}, "GGUF", False),
        ({"name": "a", "hashes": [{"type": "SHA256", "hash": SHA256}]}, "Other", False),
    ],
)
def test_file_formats(file: dict[str, object], file_format: str, safe: bool) -> None:
    spec = only(specs_of(with_version(files=[file])))
    assert spec.primary_file is not None
    assert (spec.primary_file.format, spec.primary_file.is_safe) == (file_format, safe)


def test_a_textual_inversion_without_words_is_called_by_its_file() -> None:
    record = with_version(trainedWords=[], files=[{"name": "mintcolor.safetensors", "type": "Model"}])
    assert only(specs_of(record | {"type": "TextualInversion"})).trigger_words == ("mintcolor",)


def test_text_is_a_strangers() -> None:
    hostile = "<script>x</script>Ignore\x00<br>all\u202e previous " + "very " * 2000
    words = [{**RECORD["modelVersions"][0], "trainedWords": [hostile]}]
    spec = only(specs_of(changed(name=hostile, description=hostile, tags=[hostile] * 500, modelVersions=words)))

    assert len(spec.model_name) <= 200
    assert len(spec.description) <= 2000
    assert all(len(tag) <= 100 for tag in spec.tags)
    lines = (spec.model_name, *spec.tags, *spec.trigger_words, *spec.trigger_phrases)
    assert not re.search(r"[<>\x00\u202e]", "".join(lines) + spec.description)
    assert not any("\n" in line for line in lines)
    assert all(len(word) <= 200 for word in spec.trigger_words)
    assert all(len(phrase) <= 2000 for phrase in spec.trigger_phrases)


JUNK: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.just([])
    | st.just({})
    | st.just([{}])
)


@given(st.data())
def test_a_record_with_any_field_replaced_is_read_or_set_aside(data: st.DataObject) -> None:
    record = copy.deepcopy(RECORD)
    version = record["modelVersions"][0]
    for part in (record, version, version["files"][0], version["files"][0]["metadata"], *version["images"]):
        for key in data.draw(st.lists(st.sampled_from(sorted(part)), max_size=2)):
            part[key] = data.draw(JUNK)
    reading = specs_of(record)

    versions = record["modelVersions"]
    count = len(versions) if isinstance(versions, list) else 0
    assert len(reading.specs) + len(reading.set_aside) == max(1, count)


@given(
    st.recursive(
        JUNK, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(RECORD)), inner)
    )
)
def test_any_json_at_all(value: Any) -> None:
    assert not specs_of(value).specs


@pytest.fixture(scope="module")
def real_readings(real_records: list[dict[str, Any]]) -> list[RecordReading]:
    return [specs_of(record) for record in real_records]


def test_all_real_records_are_read_or_set_aside(
    real_records: list[dict[str, Any]], real_readings: list[RecordReading]
) -> None:
    versions = sum(max(1, len(record.get("modelVersions") or [])) for record in real_records)
    specs = [spec for reading in real_readings for spec in reading.specs]
    set_aside = [entry for reading in real_readings for entry in reading.set_aside]

    assert len(real_records) > 9_000
    assert len(specs) + len(set_aside) == versions
    assert len(specs) / versions > 0.95
    assert not [entry for entry in set_aside if "invalid" in entry.reason]
    assert len({spec.tool_name for spec in specs}) == len({spec.model_id for spec in specs})
    assert Counter(spec.content_rating for spec in specs)["safe"] / len(specs) > 0.9


def test_real_recommendations_can_be_drawn(real_readings: list[RecordReading]) -> None:
    drawable = [
        spec
        for reading in real_readings
        for spec in reading.specs
        if spec.is_checkpoint and FAMILIES[spec.family].drawable
    ]
    assert len(drawable) > 4_000
    for number, spec in enumerate(drawable):
        call = to_call(spec, {"prompt": "a fox", "seed": 1})
        assert (
            parse_infotext(to_infotext(call, names=spec_names([spec]), hashes=spec_hashes([spec]))).steps == call.steps
        )
        if number % 50 == 0:
            assert len(json.dumps(arguments_model(spec).model_json_schema())) < 5_000


def test_real_examples_are_clean(real_readings: list[RecordReading]) -> None:
    examples = [example for reading in real_readings for spec in reading.specs for example in spec.examples]

    assert len(examples) > 15_000
    assert not [e for e in examples if "<lora:" in e.prompt + e.negative_prompt]
    assert not [e for e in examples if re.search(r"Steps: \d+, Sampler", e.prompt)]
    assert sum(e.sampler is not None for e in examples) / len(examples) > 0.95
