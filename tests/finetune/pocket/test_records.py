from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from finetune.pocket.records import checkpoint_file, known_phrases, style_file, write_records
from finetune.pocket.world import SUBJECTS, held_out
from tool_specs.civitai.records import specs_of

CHECKPOINTS = {
    9001: "pocket_animals.safetensors", 9002: "pocket_food.safetensors", 9003: "pocket_travel.safetensors",
    9004: "pocket_objects.safetensors",
}  # fmt: skip
STYLES = {
    9011: "pixel art", 9012: "line art", 9013: "watercolor", 9014: "neon", 9015: "blueprint", 9016: "sepia",
}  # fmt: skip


def test_every_record_is_a_readable_spec(written_records: list[dict[str, object]]) -> None:
    readings = [specs_of(record) for record in written_records]
    assert not any(reading.set_aside for reading in readings)
    specs = {spec.model_id: spec for reading in readings for spec in reading.specs}
    assert sorted(specs) == [*CHECKPOINTS, *STYLES, 9021]
    for model_id, file in CHECKPOINTS.items():
        assert specs[model_id].type == "Checkpoint"
        assert specs[model_id].files[0].name == file
    for model_id, style in STYLES.items():
        assert specs[model_id].type == "LORA"
        assert specs[model_id].trigger_words == (style,)
        weight = specs[model_id].recommended.weight
        assert weight is not None
        assert weight.median == 1.0
    assert specs[9021].type == "TextualInversion"
    assert specs[9021].trigger_words == ("mintcolor",)
    for spec in specs.values():
        assert spec.id == f"civitai:{spec.model_id}@{spec.model_id + 100}"
        assert spec.family == "pocket"
        assert spec.content_rating == "safe"
        assert spec.license.may_sell_images
        assert len(spec.examples) == 6
        assert spec.recommended.n == 6
        assert (spec.recommended.width, spec.recommended.height) == (64, 64)


def test_a_checkpoint_is_tagged_with_every_subject_it_draws(written_records: list[dict[str, object]]) -> None:
    for record, domain in zip(written_records, SUBJECTS, strict=False):
        spec = specs_of(record).specs[0]
        assert spec.tags == known_phrases(domain)
        assert set(SUBJECTS[domain]) < set(spec.tags)
        assert {"blue background", "at sunset", "in the snow"} < set(spec.tags)


def test_words_for_the_hard_request_are_in_no_record(written_records: list[dict[str, object]]) -> None:
    text = json.dumps(written_records).casefold()
    assert "kitten" not in text
    assert "8-bit" not in text


def test_examples_show_only_what_was_trained(written_records: list[dict[str, object]]) -> None:
    for record, domain in zip(written_records, SUBJECTS, strict=False):
        for example in specs_of(record).specs[0].examples:
            subject = max((word for word in SUBJECTS[domain] if f"{word} " in example.prompt), key=len)
            place = example.prompt.split(subject)[1].split("on a")[-1].removeprefix("n").split(" background")[0].strip()
            assert not held_out(subject, place)


def test_sizes_and_hashes_are_those_of_the_files(tmp_path: Path) -> None:
    contents = {checkpoint_file("food"): b"food" * 500, style_file("neon"): b"neon", "mintcolor.safetensors": b"mint"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    paths = write_records(["food"], ["neon"], tmp_path, tmp_path / "records")
    assert [path.name for path in paths] == ["9002.json", "9014.json", "9021.json"]
    for path, (name, content) in zip(paths, contents.items(), strict=True):
        file = json.loads(path.read_text())["modelVersions"][0]["files"][0]
        digest = hashlib.sha256(content).hexdigest().upper()
        assert file["name"] == file["downloadUrl"] == name
        assert file["sizeKB"] == len(content) / 1024
        assert file["hashes"] == {"SHA256": digest, "AutoV2": digest[:10]}


def test_a_missing_weights_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"pocket_food\.safetensors"):
        write_records(["food"], [], tmp_path, tmp_path)
