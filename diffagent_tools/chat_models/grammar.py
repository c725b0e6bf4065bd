"""The grammar of an answer: one call of a bound tool, or a refusal."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import combinations
from typing import Any, Final, Literal

from langchain_core.utils.json_schema import dereference_refs

from diffagent_tools.chat_models.call_rules import FORMAT, CallRules
from diffagent_tools.chat_models.calling import CALL_MARKS
from diffagent_tools.planning import REFUSAL
from tool_specs.exceptions import RequestError

Bounds = Literal["pocket", "schema"]
"""What a call may hold. "schema": what the tool's schema allows. "pocket": prompts of plain words, some 400 characters,
and two networks at most in the order of the offer, which keeps a planner of a few million parameters on its way."""
POCKET_MARK: Final = "<|tools|>"
"""A token by which the pocket planner's vocabulary is known, whoever trained it; published models have no such one."""
MAX_NETWORKS = 2
"""Networks in one call within the bounds of the pocket planner."""
_GENERATION = frozenset({"prompt", "sampler", "loras"})
"""Arguments by which a tool that draws is known."""
_LETTERS, _MARKS = string.ascii_letters + string.digits, " ,.;!?'()&+/-"
"""What a written prompt may hold: words and punctuation, which can spell no tag and no escape."""
_LABEL = "negative prompt"
"""What a prompt may not begin with: a call refuses it."""


def answer_grammar(
    tools: Sequence[Mapping[str, Any]],
    *,
    bounds: Bounds = "pocket",
    may_refuse: bool = True,
    must_call: str | None = None,
    mark_tokens: bool = True,
) -> str:
    """The grammar of a planner's answer, in llguidance's Lark dialect.

    Every name is one of those on offer, every number is within its bounds, and a network is named once at most. Within
    the pocket planner's bounds what the grammar accepts is a valid call; else a prompt is any text of the schema's
    length, and may hold what a call refuses, such as a tag. Tools that do not draw keep their schemas as they are.

    Args:
        tools: OpenAI tool descriptions.
        bounds: Of the calls of tools that draw.
        may_refuse: Whether the answer may be `REFUSAL` instead of a call.
        must_call: The only tool that may be called.
        mark_tokens: Whether `<tool_call>` and `</tool_call>` are tokens of the model, or written letter by letter.
    """
    callable_tools = [tool["function"] for tool in tools if must_call in (None, tool["function"]["name"])]
    refusal = json.dumps(REFUSAL)
    if not callable_tools:
        return f"start: {refusal}"
    opening, closing = CALL_MARKS if mark_tokens else [f'"{mark}"' for mark in CALL_MARKS]
    call = rf'call: {opening} "\n" body "\n" {closing}'
    start = f"start: call | {refusal}" if may_refuse else "start: call"
    if bounds == "pocket":
        calls = {"anyOf": [_call_schema(function) for function in callable_tools], "x-guidance": FORMAT}
        return f"{start}\n{call}\nbody: %json {json.dumps(calls)}"
    rules = CallRules()
    body = " | ".join(_call_rule(function, rules) for function in callable_tools)
    return f"{start}\n{call}\nbody: {body}\n{rules}"


def draws(tool: Mapping[str, Any]) -> bool:
    """Whether a tool, in OpenAI's description, is one that draws."""
    return _draws(_arguments(tool["function"]))


def _call_rule(function: Mapping[str, Any], rules: CallRules) -> str:
    """The name of the rule of a call of one tool, within its own schema."""
    arguments = _arguments(function)
    if _draws(arguments) and "prompt" in arguments.get("required", ()):
        return rules.call(function["name"], arguments)
    return rules.other_call(function["name"], arguments)


def _call_schema(function: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a call of one tool, within the bounds of the pocket planner."""
    arguments = _arguments(function)
    if _draws(arguments):
        narrowed = {name: _narrowed(name, field) for name, field in arguments["properties"].items()}
        arguments = {**arguments, "properties": narrowed}
    return {
        "type": "object",
        "properties": {"name": {"const": function["name"]}, "arguments": arguments},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _draws(arguments: Mapping[str, Any]) -> bool:
    return arguments["properties"].keys() >= _GENERATION


def _arguments(function: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of the arguments of a tool, without references.

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
    return {"additionalProperties": False, **arguments, "type": "object", "properties": properties}


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
