"""How tests call tools: as a language model does."""

from __future__ import annotations

from langchain_core.messages import ToolCall, ToolMessage
from langchain_core.tools import BaseTool

from diffagent_tools.toolkit import DiffAgentToolkit


def tool_named(toolkit: DiffAgentToolkit, name: str) -> BaseTool:
    """One of the toolkit's tools."""
    return next(tool for tool in toolkit.get_tools() if tool.name == name)


def called(tool: BaseTool, **arguments: object) -> ToolMessage:
    """What a tool answers to a call."""
    return answer(tool.invoke(tool_call(tool, **arguments)))


async def acalled(tool: BaseTool, **arguments: object) -> ToolMessage:
    """The same with the tool's async path."""
    return answer(await tool.ainvoke(tool_call(tool, **arguments)))


def tool_call(tool: BaseTool, **arguments: object) -> ToolCall:
    return {"type": "tool_call", "id": "c1", "name": tool.name, "args": arguments}


def answer(message: object) -> ToolMessage:
    assert isinstance(message, ToolMessage)
    return message
