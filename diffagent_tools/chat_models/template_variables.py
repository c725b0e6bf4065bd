"""Variables of a chat template, kept beside the model: what it was trained with is what it is asked with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, TypeAlias

from pydantic import StrictBool, StrictInt, StrictStr, TypeAdapter, ValidationError

from tool_specs.exceptions import ConfigError
from tool_specs.validation import one_line
from tool_specs.whole_files import write_whole

TemplateVariables: TypeAlias = dict[str, StrictBool | StrictInt | StrictStr]
"""By name, such as `{"enable_thinking": False}`."""
RECORD: Final = "chat_template_kwargs.json"
"""Beside `chat_template.jinja`, called as vLLM calls them; a model without variables has no such file."""
_ADAPTER: Final = TypeAdapter(TemplateVariables)


def recorded_variables(folder: Path) -> TemplateVariables | None:
    """What is kept beside a model; None where nothing is.

    Raises:
        ConfigError: The record is damaged.
    """
    record = folder / RECORD
    try:
        return _ADAPTER.validate_json(record.read_bytes()) if record.is_file() else None
    except (OSError, ValidationError) as error:
        reason = one_line(error) if isinstance(error, ValidationError) else error.strerror
        msg = f'{record} holds no variables of a chat template ({reason}); write them like {{"enable_thinking": false}}'
        raise ConfigError(msg) from error


def record_variables(folder: Path, variables: TemplateVariables) -> None:
    """Keep variables beside a model; without any there is nothing to keep."""
    if variables:
        write_whole(folder / RECORD, json.dumps(variables, indent=2) + "\n")


def server_flags(variables: TemplateVariables | None) -> tuple[str, ...]:
    """The flags with which vLLM gives a template these variables, whoever asks."""
    return ("--default-chat-template-kwargs", json.dumps(variables)) if variables else ()
