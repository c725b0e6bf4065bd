from __future__ import annotations

from pathlib import Path

import pytest

from finetune.dabench.drawn_weights import DrawnWeights
from tests.graphs.paper_world import spec_of
from tool_specs.calls import parse_call
from tool_specs.catalog import Catalog
from tool_specs.exceptions import WeightsError
from tool_specs.spec import ToolSpec

CALL = parse_call(
    {
        "family": "pocket",
        "checkpoint": "civitai:71@711",
        "prompt": "a fox",
        "loras": [{"id": "civitai:72@721", "weight": 0.5}],
    }
)


def model(number: int, kind: str, sha256: str | None = None) -> ToolSpec:
    spec = spec_of(f"civitai:{number}@{number}1", f"model{number}", ["fox"], kind=kind)
    (file,) = spec.files
    return spec.model_copy(update={"files": (file.model_copy(update={"sha256": sha256}),)})


def nowhere(spec: ToolSpec) -> Path:
    msg = f"{spec.id} is nowhere"
    raise WeightsError(msg)


def test_a_recorded_hash_says_it_without_the_file() -> None:
    catalog = Catalog([model(71, "Checkpoint", "A" * 64), model(72, "LORA", "B" * 64)])
    weights = DrawnWeights(catalog, nowhere)
    assert weights.of_call(CALL) == {"civitai:71@711": "A" * 64, "civitai:72@721": "B" * 64}
    other = Catalog([model(71, "Checkpoint", "A" * 64), model(72, "LORA", "C" * 64)])
    assert DrawnWeights(other, nowhere).of_catalog() != weights.of_catalog()
    assert DrawnWeights(Catalog(reversed(list(catalog))), nowhere).of_catalog() == weights.of_catalog()


def test_without_one_the_file_says_it_and_is_read_again_only_when_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = Catalog([model(71, "Checkpoint"), model(72, "LORA")])
    for spec in catalog:
        (tmp_path / f"{spec.model_id}").write_bytes(b"weights")
    weights = DrawnWeights(catalog, lambda spec: tmp_path / f"{spec.model_id}")
    before = weights.of_call(CALL)
    (tmp_path / "72").write_bytes(b"other weights")
    after = weights.of_call(CALL)
    assert before["civitai:71@711"] == after["civitai:71@711"] != before["civitai:72@721"]
    assert before["civitai:72@721"] != after["civitai:72@721"]
    monkeypatch.setattr("finetune.dabench.drawn_weights.fingerprint_of", None)
    assert weights.of_call(CALL) == after


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    assert DrawnWeights(Catalog(), nowhere).of_call(CALL) == {"civitai:71@711": "", "civitai:72@721": ""}
    catalog = Catalog([model(71, "Checkpoint")])
    with pytest.raises(WeightsError, match=r"civitai:71@711 is nowhere"):
        DrawnWeights(catalog, nowhere).of_call(CALL)
    with pytest.raises(WeightsError, match=r"the weights file .*gone cannot be read .*; download or import it again"):
        DrawnWeights(catalog, lambda _: tmp_path / "gone").of_call(CALL)
