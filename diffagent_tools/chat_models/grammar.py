"""The grammar of an answer: one valid call of a bound tool, or a refusal."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import combinations
from typing import Any

from langchain_core.utils.json_schema import dereference_refs

from diffagent_tools.planning import REFUSAL
from tool_specs.exceptions import RequestError

MAX_NETWORKS = 2
"""Networks in one call; more are allowed by the family, but a grammar of all their combinations is not small."""
_FORMAT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": ", "lenient": True}
"""How JSON is written; what a schema of another tool asks beyond what a grammar can say is not enforced."""
_GENERATION = frozenset({"prompt", "sampler", "loras"})
"""Arguments by which a tool that draws is known."""
_LETTERS, _MARKS = string.ascii_letters + string.digits, " ,.;!?'()&+/-"
"""What a written prompt may hold: words and punctuation, which can spell no tag and no escape."""
_LABEL = "negative prompt"
"""What a prompt may not begin with: a call refuses it."""


def answer_grammar(
    tools: Sequence[Mapping[str, Any]],
    *,
    may_refuse: bool = True,
    must_call: str | None = None,
    mark_tokens: bool = True,
) -> str:
    """The grammar of a planner's answer, in llguidance's Lark dialect.

    Every name is one of those on offer, every number is within its bounds, a network is named once at most, and prompts
    are plain words: what the grammar accepts is a valid call. Tools that do not draw keep their schemas as they are.

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
    """The schema of a call of one tool.

    Raises:
        RequestError: The tool's own schema cannot be read.
    """
    given = function.get("parameters") or {}
    try:
        arguments = dereference_refs(given) if "$defs" in given else dict(given)
        properties = dict(arguments.get("properties") or {})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        msg = f"the parameters of the tool {str(function['name'])[:80]!r} are no JSON schema of an object: {error!r}"
        raise RequestError(msg) from error
    if properties.keys() >= _GENERATION:
        properties = {name: _narrowed(name, field) for name, field in properties.items()}
    arguments = {"additionalProperties": False, **arguments, "type": "object", "properties": properties}
    return {
        "type": "object",
        "properties": {"name": {"const": function["name"]}, "arguments": arguments},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _narrowed(name: str, field: Mapping[str, Any]) -> dict[str, Any]:
    """An argument of a tool that draws, without what a call would refuse."""
    plain = {key: value for key, value in field.items() if key != "description"}
    if name in ("prompt", "negative_prompt") and "enum" not in plain:
        return {"type": "string", "pattern": f"^{_prompt_pattern()}{'' if plain.get('minLength') else '?'}$"}
    return _distinct(plain) if name == "loras" else plain


@cache
def _prompt_pattern() -> str:
    """Some 400 signs that do not begin with the label: each alternative leaves it at another letter."""
    alternatives, read = [], ""
    for letter in _LABEL:
        marks = _MARKS.replace(letter, "") if read else ""
        first = "".join(other for other in _LETTERS if other.lower() != letter) + marks
        alternatives.append(f"{read}([{first}][{_LETTERS}{_MARKS}]{{0,399}}){'?' if read else ''}")
        read += f"[{letter}{letter.upper()}]"
    return f"({'|'.join(alternatives)})"


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
