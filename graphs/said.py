"""The planner's message as it goes on record."""

from __future__ import annotations

from typing import Final

from langchain_core.messages import AIMessage, BaseMessage

from graphs.state import Proposal

_CALLS: Final = frozenset({"tool_use", "function_call", "tool_call", "tool_call_chunk", "invalid_tool_call"})
"""Types of content blocks that are calls: those of Anthropic, of OpenAI's Responses, and LangChain's own."""
UNNAMED: Final = "unnamed"
"""What a call is named on record whose name was not written: providers refuse a conversation with an empty one."""


def saying(answer: BaseMessage, proposal: Proposal) -> AIMessage:
    """What the planner said with the proposal as its one call: what is on record is what is drawn.

    Calls also stand among the blocks of a content. They are taken out: providers write the blocks of `tool_calls`
    themselves, and refuse a conversation with a call that has no answer.
    """
    call = {"name": proposal["tool"], "args": proposal["arguments"], "id": proposal["id"], "type": "tool_call"}
    content = answer.content
    if isinstance(content, list):
        content = [block for block in content if not (isinstance(block, dict) and block.get("type") in _CALLS)]
    return AIMessage(content, tool_calls=[call], id=answer.id)
