from __future__ import annotations

from pathlib import Path

import pytest

from finetune.origin import check_same_origin, is_made_of, note_origin
from tool_specs.exceptions import ConfigError


@pytest.mark.parametrize("name", ["rows.json", "rows"])
def test_the_note_is_never_the_file_of_rows(tmp_path: Path, name: str) -> None:
    check_same_origin(tmp_path / name, {"seed": 1})
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.json"]


def test_rows_of_another_making_are_not_added_to(tmp_path: Path) -> None:
    rows = tmp_path / "new" / "rows.jsonl"
    check_same_origin(rows, {"seed": 1, "data": "a"})
    rows.write_text("{}\n", encoding="utf-8")
    check_same_origin(rows, {"seed": 1, "data": "a"})
    with pytest.raises(ConfigError, match=r"rows\.jsonl was begun with another data, split; choose another out"):
        check_same_origin(rows, {"seed": 1, "data": "b", "split": "dev"})
    rows.with_name("rows.jsonl.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be used"):
        check_same_origin(rows, {"seed": 1})
    rows.with_name("rows.jsonl.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ConfigError, match="it is no JSON object"):
        check_same_origin(rows, {"seed": 1})


def test_rows_that_were_removed_are_begun_anew(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    check_same_origin(rows, {"seed": 1})
    rows.mkdir()
    with pytest.raises(ConfigError, match="was begun with another seed"):
        check_same_origin(rows, {"seed": 2})
    rows.rmdir()
    check_same_origin(rows, {"seed": 2})


def test_a_folder_may_have_its_note_inside(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    check_same_origin(folder, {"seed": 1}, note=folder / "recipe.json")
    with pytest.raises(ConfigError, match="new was begun with another seed"):
        check_same_origin(folder, {"seed": 2}, note=folder / "recipe.json")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_product_is_known_by_what_it_was_made_of(tmp_path: Path) -> None:
    product = tmp_path / "rows.jsonl"
    assert not is_made_of(product, {"data": "a"})
    product.touch()
    assert not is_made_of(product, {"data": "a"})
    note_origin(product, {"data": "a"})
    assert is_made_of(product, {"data": "a"})
    assert not is_made_of(product, {"data": "b"})
