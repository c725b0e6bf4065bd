from __future__ import annotations

import json
from pathlib import Path

import pytest

from tool_specs import pocket
from tool_specs.catalog import Catalog
from tool_specs.exceptions import CatalogError


def test_a_file_is_named_by_its_bare_name() -> None:
    assert pocket.pocket_file("pocket_food.safetensors") == pocket.POCKET_DIR / "weights" / "pocket_food.safetensors"
    for name in ("../x", "/etc/passwd", "", "a/b"):
        with pytest.raises(CatalogError, match="not a bare file name"):
            pocket.pocket_file(name)


@pytest.mark.parametrize("content", ["{", "[]", "\udcff"])
def test_a_damaged_record_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    monkeypatch.setattr(pocket, "POCKET_DIR", tmp_path)
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "9001.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(CatalogError, match=r"9001\.json.*reinstall"):
        pocket.pocket_records()


def test_no_records_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pocket, "POCKET_DIR", tmp_path)
    with pytest.raises(CatalogError, match="no pocket records"):
        Catalog.pocket()


@pytest.mark.skipif(not (pocket.POCKET_DIR / "records").is_dir(), reason="the pocket world is not trained yet")
def test_the_shipped_world_is_complete(written_records: list[dict[str, object]]) -> None:
    catalog = Catalog.pocket()
    assert len(catalog) == len(written_records)
    for spec in catalog:
        file = spec.primary_file
        assert file is not None
        assert pocket.pocket_file(file.name).stat().st_size / 1024 == pytest.approx(file.size_kb)
    index = json.loads((pocket.pocket_config() / "model_index.json").read_text())
    assert index["_class_name"] == "StableDiffusionPipeline"
    assert (pocket.pocket_reward() / "config.json").is_file()
