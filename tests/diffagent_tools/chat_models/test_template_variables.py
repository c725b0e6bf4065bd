from __future__ import annotations

from pathlib import Path

import pytest

from diffagent_tools.chat_models.template_variables import record_variables, recorded_variables, server_flags
from tool_specs.exceptions import ConfigError


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    variables = {"enable_thinking": False, "date_string": "1 May 2025", "effort": 3}
    record_variables(tmp_path, variables)
    assert recorded_variables(tmp_path) == variables
    assert isinstance((recorded_variables(tmp_path) or {})["enable_thinking"], bool)


def test_nothing_is_kept_of_nothing(tmp_path: Path) -> None:
    record_variables(tmp_path, {})
    assert list(tmp_path.iterdir()) == []
    assert recorded_variables(tmp_path) is None
    assert recorded_variables(tmp_path / "nowhere") is None
    assert server_flags(None) == server_flags({}) == ()


@pytest.mark.parametrize("text", ["{", "[]", '{"a": [1]}', '{"a": null}'])
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "chat_template_kwargs.json").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"chat_template_kwargs\.json holds no variables .*; write them like"):
        recorded_variables(tmp_path)
