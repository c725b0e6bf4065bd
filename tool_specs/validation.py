"""A Pydantic validation error as one line that a person or a planner can act on."""

from __future__ import annotations

from pydantic import ValidationError

from tool_specs.families import FAMILIES

_SHOWN_FAULTS = 3


def one_line(error: ValidationError) -> str:
    """Name each wrong field, its value, and what would be allowed; at most three faults, then a count.

    What is missing comes last: of a misspelt field and the fields that were left out, the first explains the others.
    """
    faults = sorted(error.errors(include_url=False), key=lambda fault: fault["type"] == "missing")
    said = []
    for fault in faults[:_SHOWN_FAULTS]:
        place = _place(fault["loc"])
        value = "" if fault["type"] in ("missing", "extra_forbidden") or not place else f"={shown(fault['input'])}"
        context = {name: _bounded(what) if name == "tag" else what for name, what in fault.get("ctx", {}).items()}
        message = _MESSAGES.get(fault["type"], "{msg}").format(
            **{"msg": _decapitalised(fault["msg"]), "families": ", ".join(_FAMILIES), **context}
        )
        said.append(f"{place}{value} {message}".strip())
    more = f" (and {len(faults) - _SHOWN_FAULTS} more)" if len(faults) > _SHOWN_FAULTS else ""
    return " ".join(("; ".join(said) + more).split())


def shown(value: object) -> str:
    """A value as an error message quotes it: escaped, on one line, at most some 80 characters."""
    return _bounded(repr(value))


_FAMILIES = tuple(family.name for family in FAMILIES.values() if family.drawable)


_MESSAGES = {
    "missing": "is missing",
    "extra_forbidden": "is not a parameter of this call",
    "literal_error": "is not one of {expected}",
    "greater_than": "is too small: it is above {gt}",
    "greater_than_equal": "is too small: the least is {ge}",
    "less_than_equal": "is too large: the most is {le}",
    "multiple_of": "is not a multiple of {multiple_of}",
    "string_too_short": "is empty",
    "string_too_long": "is too long: the most is {max_length} characters",
    "too_long": "has too many entries: the most is {max_length}",
    "string_pattern_mismatch": "is not an id such as civitai:4384@128713",
    "finite_number": "is not a finite number",
    "value_error": "{error}",
    "tuple_type": "is not a list",
    "int_type": "is not a whole number",
    "int_parsing": "is not a whole number",
    "int_from_float": "is not a whole number",
    "float_type": "is not a number",
    "float_parsing": "is not a number",
    "string_type": "is not text",
    "union_tag_not_found": "family is missing or is none of {families}",
    "union_tag_invalid": "family {tag!r} is none of {expected_tags}",
}


def _place(location: tuple[int | str, ...]) -> str:
    """Where a fault is, less the branch of a union; a name that is no parameter's is a stranger's text."""
    names = [str(part) for part in location if part not in _FAMILIES]
    return ".".join(name if name.isidentifier() or name.isdigit() else repr(name) for name in map(_bounded, names))


def _decapitalised(message: str) -> str:
    return message[:1].lower() + message[1:]


def _bounded(text: object) -> str:
    text = str(text)
    return text if len(text) <= 80 else text[:60] + "…" + text[-10:]
