"""Settings of a command: one YAML file, and `key=value` words that change it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from types import UnionType
from typing import TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from tool_specs.exceptions import ConfigError
from tool_specs.validation import shown

S = TypeVar("S", bound=BaseModel)

SHIPPED = files("finetune") / "configs"
"""Settings that come with the package; they are called by their file name."""

_SHOWN_FAULTS = 3


def load_settings(kind: type[S], path: Path | None, overrides: Sequence[str] = ()) -> S:
    """Read settings.

    Args:
        kind: The settings' class; unknown keys should be forbidden there.
        path: YAML file, or the name of a shipped one; None: the overrides say everything.
        overrides: `key=value`, dotted for what lies deeper (`lora.rank=8`); a value is read as YAML.

    Raises:
        ConfigError: The file cannot be read or is no YAML mapping, or a key or a value is not allowed.
    """
    values = _read(path) if path is not None else {}
    for override in overrides:
        _override(values, override, kind)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        place = f"{path}" if path is not None else "the command line"
        faults = error.errors(include_url=False)
        said = "; ".join(_fault(kind, fault["loc"], fault["type"], fault["msg"], fault["input"]) for fault in
                         faults[:_SHOWN_FAULTS])  # fmt: skip
        more = f" (and {len(faults) - _SHOWN_FAULTS} more)" if len(faults) > _SHOWN_FAULTS else ""
        msg = f"settings in {place}{' and the words after it' if path and overrides else ''}: {said}{more}"
        raise ConfigError(msg) from error


def _read(path: Path) -> dict[str, object]:
    """The mapping in a YAML file."""
    source = path
    if not path.exists() and path.name == str(path):
        shipped = SHIPPED / path.name
        if shipped.is_file():
            source = Path(str(shipped))
    try:
        values = yaml.safe_load(source.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        names = ", ".join(sorted(one.name for one in SHIPPED.iterdir() if one.name.endswith(".yaml")))
        msg = f"the settings {path} cannot be read ({error}); name a YAML file, or one that is shipped: {names}"
        raise ConfigError(msg) from error
    except yaml.YAMLError as error:
        msg = f"the settings {path} are no YAML: {' '.join(str(error).split())}"
        raise ConfigError(msg) from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        msg = f"the settings {path} are a {type(values).__name__}; write `key: value` lines"
        raise ConfigError(msg)
    return {str(key): value for key, value in values.items()}


def _override(values: dict[str, object], override: str, kind: type[BaseModel]) -> None:
    """Put one `key=value` into the values, in place."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        msg = f"{override!r} is no setting; write key=value, with one of these keys: {_allowed(kind)}"
        raise ConfigError(msg)
    try:
        value = yaml.safe_load(text) if text else ""
    except yaml.YAMLError as error:
        msg = f"the value of {override!r} cannot be read: {' '.join(str(error).split())}; quote it"
        raise ConfigError(msg) from error
    *parents, last = key.split(".")
    inner = values
    for parent in parents:
        deeper = inner.setdefault(parent, {})
        if deeper is None:
            inner[parent] = deeper = {}
        if not isinstance(deeper, dict):
            msg = f"{override!r}: {parent!r} is {shown(deeper)} and holds no keys; write {parent}=value"
            raise ConfigError(msg)
        inner = deeper
    inner[last] = value


def _fault(kind: type[BaseModel], location: tuple[int | str, ...], fault: str, message: str, value: object) -> str:
    """One wrong key or value, and what is allowed."""
    place = ".".join(str(part) for part in location)
    if fault == "extra_forbidden":
        owner = _owner(kind, location[:-1])
        return f"{place!r} is no setting; allowed are {_allowed(owner)}"
    if fault == "missing":
        return f"{place!r} is missing"
    about = f"{place}={shown(value)}: " if place else ""
    return about + message[:1].lower() + message[1:]


def _owner(kind: type[BaseModel], location: tuple[int | str, ...]) -> type[BaseModel]:
    """The class of the settings that a key was looked for in."""
    for part in location:
        field = kind.model_fields.get(str(part))
        if field is None:
            continue
        annotation = field.annotation
        choices = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
        kind = next((one for one in choices if isinstance(one, type) and issubclass(one, BaseModel)), kind)
    return kind


def _allowed(kind: type[BaseModel]) -> str:
    return ", ".join(kind.model_fields)
