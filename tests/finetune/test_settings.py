from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field

from finetune.settings import load_settings
from tool_specs.exceptions import ConfigError


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rank: int = 4


class Some(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    rate: float = Field(default=1.0, gt=0)
    inner: Inner | None = None
    tags: list[str] = []


def write(folder: Path, text: str) -> Path:
    path = folder / "some.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_file_and_words_that_change_it(tmp_path: Path) -> None:
    path = write(tmp_path, "name: a\nrate: 3e-4\ninner:\n  rank: 8\n")

    assert load_settings(Some, path) == Some(name="a", rate=3e-4, inner=Inner(rank=8))
    changed = load_settings(Some, path, ["name=b", "rate=2e-5", "inner.rank=2", "tags=[x, y]"])
    assert changed == Some(name="b", rate=2e-5, inner=Inner(rank=2), tags=["x", "y"])
    assert load_settings(Some, path, ["inner=null"]).inner is None


def test_words_alone(tmp_path: Path) -> None:
    assert load_settings(Some, None, ["name=a", "inner.rank=3"]) == Some(name="a", inner=Inner(rank=3))
    assert load_settings(Some, write(tmp_path, ""), ["name="]).name == ""
    assert load_settings(Some, write(tmp_path, "name: a\ninner:\n"), ["inner.rank=3"]).inner == Inner(rank=3)


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        ("name: a\ncolour: red", [], r"some.yaml: 'colour' is no setting; allowed are name, rate, inner, tags"),
        ("name: a\ninner: {ranks: 3}", [], r"'inner\.ranks' is no setting; allowed are rank"),
        ("rate: 1", [], "'name' is missing"),
        ("name: a\nrate: -1", [], r"rate=-1: input should be greater than 0"),
        (
            "name: a",
            ["inner.rank=many"],
            r"and the words after it: inner\.rank='many': input should be a valid integer",
        ),
        ("name: a", ["rate"], "'rate' is no setting; write key=value, with one of these keys: name, rate, inner, tags"),
        ("name: a", ["name.x=1"], r"'name' is 'a' and holds no keys; write name=value"),
        ("name: a", ["tags=[x"], r"the value of 'tags=\[x' cannot be read"),
        ("- a", [], r"are a list; write `key: value` lines"),
        ("a: [", [], "are no YAML"),
    ],
)
def test_mistakes_are_named_with_what_is_allowed(tmp_path: Path, text: str, words: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_settings(Some, write(tmp_path, text), words)


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.yaml cannot be read .* one that is shipped: .*sft-qwen3-4b\.yaml"):
        load_settings(Some, tmp_path / "nothing.yaml")
