"""The grammar of an answer: one valid call of a bound tool, or a refusal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from diffagent_tools.planning import REFUSAL

MAX_NETWORKS = 2
"""Networks in one call; more are allowed by the family, but a grammar of all their combinations is not small."""
_FORMAT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_PROMPT = r"[A-Za-z0-9][A-Za-z0-9 ,.;!?'()&+/-]{0,399}"
"""What a written prompt may hold: words and punctuation, but no tag, no label and no escape."""


def answer_grammar(
    tools: Sequence[Mapping[str, Any]],
    *,
    may_refuse: bool = True,
    must_call: str | None = None,
    mark_tokens: bool = True,
) -> str:
    """The grammar of a planner's answer, in llguidance's Lark dialect.

    Every name is one of those on offer, every number is within its bounds, a network is named once at most, and prompts
    are plain words: what the grammar accepts is a valid call.

    Args:
        tools: OpenAI tool descriptions.
        may_refuse: Whether the answer may be `REFUSAL` instead of a call.
        must_call: The only tool that may be called.
        mark_tokens: Whether `<tool_call>` and `</tool_call>` are tokens of the model, or written letter by letter.
    """
    callable_tools = [tool["function"] for tool in tools if must_call in (None, tool["function"]["name"])]
    refusal = json.dumps(REFUSAL)
    if not callable_tools:
        return f"start: {refusal}"
    calls = {"anyOf": [_call_schema(function) for function in callable_tools], "x-guidance": _FORMAT}
    opening, closing = ("<tool_call>", "</tool_call>") if mark_tokens else ('"<tool_call>"', '"</tool_call>"')
    call = rf'call: {opening} "\n" body "\n" {closing}'
    start = f"start: call | {refusal}" if may_refuse else "start: call"
    return f"{start}\n{call}\nbody: %json {json.dumps(calls)}"


def _call_schema(function: Mapping[str, Any]) -> dict[str, Any]:
    arguments = dict(function.get("parameters") or {"type": "object", "properties": {}})
    arguments["properties"] = {name: _narrowed(name, field) for name, field in arguments["properties"].items()}
    return {
        "type": "object",
        "properties": {"name": {"const": function["name"]}, "arguments": {**arguments, "additionalProperties": False}},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _narrowed(name: str, field: Mapping[str, Any]) -> dict[str, Any]:
    """A field of a generation tool without what a call would refuse; other fields as they are."""
    plain = {key: value for key, value in field.items() if key != "description"}
    if name in ("prompt", "negative_prompt") and plain.get("type") == "string" and "enum" not in plain:
        pattern = _PROMPT if plain.get("minLength") else f"({_PROMPT})?"
        return {"type": "string", "pattern": f"^{pattern}$"}
    if name == "loras" and plain.get("type") == "array":
        return _distinct(plain)
    return plain


def _distinct(field: Mapping[str, Any]) -> dict[str, Any]:
    """An array of networks in which none stands twice: every choice of them, in the order of the offer."""
    entry = field.get("items", {})
    identity = entry.get("properties", {}).get("id", {})
    names = identity.get("enum", [])
    most = min(MAX_NETWORKS, int(field.get("maxItems", MAX_NETWORKS)), len(names))
    choices = [choice for size in range(most + 1) for choice in combinations(names, size)]
    return {"anyOf": [_exactly(entry, choice) for choice in choices]}


def _exactly(entry: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    items = [
        {**entry, "properties": {**entry["properties"], "id": {"type": "string", "const": name}}} for name in names
    ]
    return {"type": "array", "prefixItems": items, "items": False, "minItems": len(names), "maxItems": len(names)}
