"""A tool parser for vLLM, which loads this file by its path: Hermes calls without room for endless white space.

JSON allows any amount of white space between its parts, so vLLM's grammar of a call does too, and a small model that
is unsure fills its whole answer with it. Other settings that forbid white space do not reach the grammar of a call.
"""

from __future__ import annotations

from typing import Any

from vllm.tool_parsers.abstract_tool_parser import ToolParserManager  # type: ignore[import-not-found]
from vllm.tool_parsers.hermes_tool_parser import Hermes2ProToolParser  # type: ignore[import-not-found]


@ToolParserManager.register_module("diffagent")
class CompactToolParser(Hermes2ProToolParser):
    """`<tool_call>` and a JSON object, as Qwen's and our own chat templates write calls."""

    def get_structural_tag(self, *args: Any, **kwargs: Any) -> Any:
        """The grammar of an answer, with at most one character of white space at a time inside arguments."""
        tag = super().get_structural_tag(*args, **kwargs)
        if tag is not None:
            for call in getattr(tag.format, "tags", ()):
                call.content.max_whitespace_cnt = 1
        return tag
