"""Grammar rules of a call as the tool's schema has it: any text, and distinct networks in any order."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

FORMAT: Final = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": ", "lenient": True}
"""How JSON is written; what a schema asks beyond what a grammar can say is not enforced."""
_MAX_COUNTED: Final = 64
"""Networks that a rule can keep apart: llguidance counts them in the bits of one number."""


class CallRules:
    """The rules of a grammar in llguidance's Lark dialect; what several tools share is one rule."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._lines: list[str] = []

    def __str__(self) -> str:
        return "\n".join(self._lines)

    def value(self, schema: Mapping[str, Any]) -> str:
        """The name of the rule of a JSON value."""
        text = json.dumps({**schema, "x-guidance": FORMAT})
        if text not in self._names:
            self._names[text] = f"value_{len(self._names)}"
            self._lines.append(f"{self._names[text]}: %json {text}")
        return self._names[text]

    def call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """The name of the rule of a call of a tool that draws.

        Args:
            name: Of the tool.
            arguments: Their schema; "prompt" is one of those that it requires, and "loras" are networks.
        """
        rules = {
            key: self._networks(field) if key == "loras" else self.value(_undescribed(field))
            for key, field in arguments["properties"].items()
        }
        return self._called(name, f'"{{" {_members(rules, arguments.get("required", ()))} "}}"')

    def other_call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """The name of the rule of a call of any other tool, whose arguments have a schema."""
        return self._called(name, self.value(arguments))

    def _called(self, name: str, arguments: str) -> str:
        """The name of the rule of a call.

        All calls begin in one literal, since the lexer never goes back: beside it, the brace alone would be a choice
        that is lost a few letters later.
        """
        opening = f'{{"name": {json.dumps(name)}, "arguments": '
        rule = f"call_{len(self._lines)}"
        self._lines.append(f'{rule}: {_quoted(opening)} {arguments} "}}"')
        return rule

    def _networks(self, field: Mapping[str, Any]) -> str:
        """The name of the rule of an array in which no network stands twice.

        What is used already is a number with one bit for each, so that the rule does not grow with their orders.
        """
        entry = _undescribed(field.get("items", {}))
        identity = entry.get("properties", {}).get("id", {})
        names = identity.get("enum", [identity["const"]] if "const" in identity else [])
        most = min(int(field.get("maxItems", len(names))), len(names))
        if not most or len(names) > _MAX_COUNTED:
            return self.value(_undescribed(field))
        uses = [self.value(_only(entry, name)) for name in names]
        key = f"{uses} {most}"
        if key not in self._names:
            rule = self._names[key] = f"networks_{len(self._names)}"
            one = " | ".join(f"{use} {rule}_more::set_bit({bit}) %if bit_clear({bit})" for bit, use in enumerate(uses))
            self._lines += [
                f'{rule}: "[" ({rule}_one::0x0)? "]"',
                f"{rule}_one::_ : {one}",
                f'{rule}_more::_ : "" | ", " {rule}_one::_ %if bit_count_lt([0:{len(names)}], {most})',
            ]
        return self._names[key]


def _members(rules: Mapping[str, str], required: Sequence[str]) -> str:
    """The members of an object in the order of the schema; the first that is required has no comma of its own."""
    keys = list(rules)
    first = next(place for place, key in enumerate(keys) if key in required)
    members = [f"{_quoted(f'{json.dumps(key)}: ')} {rule}" for key, rule in rules.items()]
    before = [f'({member} ", ")?' for member in members[:first]]
    behind = [
        f'", " {member}' if key in required else f'(", " {member})?'
        for key, member in zip(keys[first + 1 :], members[first + 1 :], strict=True)
    ]
    return " ".join([*before, members[first], *behind])


def _quoted(text: str) -> str:
    """A text as a literal of the grammar."""
    return json.dumps(text)


def _undescribed(field: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in field.items() if key != "description"}


def _only(entry: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The schema of an entry for one network."""
    properties = {key: _undescribed(field) for key, field in entry["properties"].items()}
    return {**entry, "properties": {**properties, "id": {"type": "string", "const": name}}}
