"""The closed book of the paper: a planner that is offered no tools, and names models from memory."""

from __future__ import annotations

import re
from typing import Final

from langchain_core.messages import AIMessage

from diffagent_tools.chat_models.local import answer_message
from diffagent_tools.planning import Reading, read_call
from tool_specs.calls import networks_named
from tool_specs.catalog import AnyCatalog

_THOUGHT: Final = re.compile(r"\s*<think>.*?(?:</think>|\Z)", re.DOTALL)
_CALL: Final = re.compile(r"<tool_call>(?P<body>.*?)(?:</tool_call>|\Z)", re.DOTALL)


def with_written_call(answer: AIMessage) -> AIMessage:
    """The answer with the call that is written in its text, as `samples` has it in closed-book rows.

    A server that is told of no tools looks for no calls in what the model wrote. Whatever else stands in the text, the
    first call counts; one that is not whole becomes an invalid call.

    Args:
        answer: Of a planner that was offered no tools.
    """
    if answer.tool_calls or answer.invalid_tool_calls:
        return answer
    written = _CALL.search(_THOUGHT.sub("", answer.text, count=1))
    if written is None:
        return answer
    called = answer_message(f"<tool_call>{written['body']}</tool_call>")
    calls = {"tool_calls": called.tool_calls, "invalid_tool_calls": called.invalid_tool_calls}
    return answer.model_copy(update={"content": "", **calls})


def read_from_memory(answer: AIMessage, catalog: AnyCatalog) -> Reading:
    """Check an answer against the whole catalog: what was offered was nothing, and what is there may be named.

    Args:
        answer: Of a planner that was offered no tools, its call no longer in the text.
        catalog: Where the names of tools and networks are looked up.
    """
    if not answer.tool_calls:
        return read_call(answer, {}, ())
    called = answer.tool_calls[0]
    spec = catalog.by_tool_name(called["name"])
    tools = {called["name"]: spec} if spec is not None and spec.is_checkpoint else {}
    networks = [catalog.get(name) for name in networks_named(called["args"]) if name in catalog]
    return read_call(answer, tools, [spec for spec in networks if spec.is_network])
