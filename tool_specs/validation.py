"""A Pydantic validation error as one line that a person or a planner can act on."""

from __future__ import annotations

from pydantic import ValidationError

_SHOWN_FAULTS = 3


def one_line(error: ValidationError) -> str:
    """Name each wrong field, its value, and what would be allowed; at most three faults, then a count."""
    faults = error.errors(include_url=False)
    shown = []
    for fault in faults[:_SHOWN_FAULTS]:
        place = ".".join(str(part) for part in fault["loc"] if not _is_union_branch(str(part)))
        value = "" if fault["type"] in ("missing", "extra_forbidden") or not place else f"={_shown(fault['input'])}"
        message = _MESSAGES.get(fault["type"], "{msg}").format(
            **{"msg": _decapitalised(fault["msg"]), **fault.get("ctx", {})}
        )
        shown.append(f"{place}{value} {message}".strip())
    more = f" (and {len(faults) - _SHOWN_FAULTS} more)" if len(faults) > _SHOWN_FAULTS else ""
    return " ".join(("; ".join(shown) + more).split())


_MESSAGES = {
    "missing": "is missing",
    "extra_forbidden": "is not a parameter of this call",
    "literal_error": "is not one of {expected}",
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
    "union_tag_not_found": "family is missing or is none of sd15, sdxl, flux1, sd35, pocket",
    "union_tag_invalid": "family {tag!r} is none of {expected_tags}",
}


def _is_union_branch(part: str) -> bool:
    """Whether a location names the branch of a union rather than a field."""
    return part in ("sd15", "sdxl", "flux1", "sd35", "pocket")


def _decapitalised(message: str) -> str:
    return message[:1].lower() + message[1:]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:60] + "…" + text[-10:]
