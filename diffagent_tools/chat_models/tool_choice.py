"""LangChain's tool choices in one form."""

from __future__ import annotations

_MUST_CALL = ("any", "required", True)


def chosen_tool(tool_choice: object) -> str | None:
    """Read one: "any", "none", the name of a tool, or None for a free choice."""
    if tool_choice in _MUST_CALL:
        return "any"
    if isinstance(tool_choice, dict):
        return str(tool_choice.get("function", {}).get("name", "any"))
    return tool_choice if isinstance(tool_choice, str) and tool_choice != "auto" else None
