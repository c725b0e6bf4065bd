"""How chat models of this package take tools, and LangChain's tool choices in one form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from diffagent_tools.chat_models.streams import ChunkStreaming
from tool_specs.exceptions import RequestError

PROVIDER = "diffagent"
"""What traces and answers call the provider of this package's chat models."""
_MUST_CALL = ("any", "required", True)


class ToolCaller(ChunkStreaming):
    """A chat model to which tools are described as to OpenAI's."""

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools.

        Args:
            tools: Anything that LangChain can describe as an OpenAI tool.
            tool_choice: "any" or "required": call one even if nothing fits. A name: call that one. "none": call none.
            kwargs: Passed on.
        """
        described = [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=described, **({} if tool_choice is None else {"tool_choice": tool_choice}), **kwargs)


def chosen_tool(tool_choice: object) -> str | None:
    """Read one: "any", "none", the name of a tool, or None for a free choice."""
    if tool_choice in _MUST_CALL:
        return "any"
    if not isinstance(tool_choice, dict):
        return tool_choice if isinstance(tool_choice, str) and tool_choice != "auto" else None
    function = tool_choice.get("function", {"name": "any"})
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str):
        form = '{"type": "function", "function": {"name": "…"}}'
        msg = f"tool_choice={str(tool_choice)[:100]} names no tool; write it as {form}"
        raise RequestError(msg)
    return name


def pinned(tool: dict[str, Any] | type | Callable[..., Any] | BaseTool) -> dict[str, Any]:
    """A tool's description, its arguments pinned to its schema unless the description says otherwise."""
    described = convert_to_openai_tool(tool)
    if "function" not in described:
        return described
    return {**described, "function": {"strict": True, **described["function"]}}


def may_call(settings: Mapping[str, Any]) -> bool:
    """Whether the settings of a question leave a server tools to call."""
    return bool(settings.get("tools")) and settings.get("tool_choice") != "none"
