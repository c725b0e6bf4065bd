"""The toolkit's tools as MCP tools: arguments in, a picture or a short JSON text out, progress while it is drawn.

This module needs fastmcp; `diffagent_tools.serving.mcp_server` imports it once that is known to be there.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Mapping
from typing import Any, Self

from fastmcp.server.context import Context
from fastmcp.server.dependencies import get_context, get_http_request
from fastmcp.tools import Tool, ToolResult
from fastmcp.utilities.types import Image
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_function
from langgraph.func import entrypoint
from mcp.types import ContentBlock, ImageContent, TextContent, ToolAnnotations
from pydantic import PrivateAttr

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.serving.api.errors import ApiError
from diffagent_tools.serving.api.fair_queue import FairQueue
from diffagent_tools.tools.results import is_image
from tool_specs.exceptions import DiffAgentError

IMAGE_URI = "diffagent://images/{sha256}"
"""Where the picture itself can be read again."""
MAX_SHOWN_BYTES = 700_000
"""Of a picture inside an answer. Some clients refuse answers above 1 MiB, which Base64 reaches at 786,000 bytes."""
_SMALLER_SIDE = 1_024
_DRAWS = frozenset({"generate_image"})
"""Tools that leave something behind."""

_LOG = logging.getLogger(__name__)


class ToolkitTool(Tool):
    """One tool of a toolkit, offered to MCP clients."""

    _tool: BaseTool = PrivateAttr()
    _store: ArtifactStore = PrivateAttr()
    _queue: FairQueue = PrivateAttr()

    @classmethod
    def of(cls, tool: BaseTool, store: ArtifactStore, queue: FairQueue) -> Self:
        """The same tool for MCP.

        Args:
            tool: One with content and artifact.
            store: Where its pictures are.
            queue: Where calls that draw wait for their turn.
        """
        function = convert_to_openai_function(tool)
        made = cls(
            name=tool.name,
            description=tool.description,
            parameters=function["parameters"],
            annotations=ToolAnnotations(
                read_only_hint=tool.name not in _DRAWS, destructive_hint=False, open_world_hint=False
            ),
        )
        made._tool, made._store, made._queue = tool, store, queue
        return made

    async def run(self, arguments: dict[str, Any]) -> ToolResult:
        """Run it; a client that cancels stops the drawing before its next step."""
        running = asyncio.create_task(self._answer(arguments, get_context()))
        try:
            # The shield hands on one cancellation. The server's own are repeated until it is out of here, which would
            # break into LangGraph's clearing up and leave the drawing running.
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            running.cancel()
            raise

    async def _answer(self, arguments: dict[str, Any], context: Context) -> ToolResult:
        try:
            if self.name in _DRAWS:
                [turn] = self._queue.enter(_client())
                async with turn:
                    message = await self._message(arguments, context)
            else:
                message = await self._message(arguments, context)
            if message.status == "error":
                return _failed(message.text)
            return await asyncio.to_thread(_result, message, self._store)
        except (DiffAgentError, ApiError) as error:
            _LOG.warning("%s failed: %s", self.name, error)
            return _failed(str(error))

    async def _message(self, arguments: dict[str, Any], context: Context) -> ToolMessage:
        """The tool's message; it runs in a graph of its own, whose stream its progress goes to."""

        @entrypoint()
        async def graph(given: dict[str, Any]) -> ToolMessage:
            called = {"type": "tool_call", "id": context.request_id, "name": self._tool.name, "args": given}
            message: ToolMessage = await self._tool.ainvoke(called)
            return message

        answers: list[ToolMessage] = []
        part: Any
        async for mode, part in graph.astream(arguments, stream_mode=["custom", "values"]):
            if mode == "values":
                answers.append(part)
            elif (progress := _progress(part)) is not None:
                await context.report_progress(*progress)
        return answers[-1]


def _client() -> str:
    """Who calls: an address; over standard input there is only one client."""
    try:
        caller = get_http_request().client
    except RuntimeError:
        return ""
    return caller.host if caller is not None else ""


def _progress(event: Mapping[str, Any]) -> tuple[int, int | None, str] | None:
    """What is done, of how much, and in words; None for an event that is no progress."""
    if event["event"] == "call":
        return 0, None, f"drawing with {event['model']}"
    if event["event"] == "step":
        return event["step"], event["total"], f"step {event['step']} of {event['total']}"
    return None


def _failed(reason: str) -> ToolResult:
    return ToolResult(content=[TextContent(type="text", text=reason)], is_error=True)


def _result(message: ToolMessage, store: ArtifactStore) -> ToolResult:
    """A tool's message as an answer; a drawn picture comes first, then the text about it.

    Raises:
        ArtifactError: The picture is no longer in the store.
    """
    told = json.loads(message.text)
    content: list[ContentBlock] = []
    if is_image(message.artifact):
        digest = message.artifact["image"]["sha256"]
        told["uri"] = IMAGE_URI.format(sha256=digest)
        content.append(_shown(store.read(digest)))
    content.append(TextContent(type="text", text=json.dumps(told, ensure_ascii=False)))
    return ToolResult(content=content, structured_content=told)


def _shown(png: bytes) -> ImageContent:
    """A picture as content: the very file, or a smaller JPEG of one that is too big for an answer."""
    if len(png) <= MAX_SHOWN_BYTES:
        return Image(data=png, format="png").to_image_content()
    from PIL import Image as Pictures

    buffer = io.BytesIO()
    with Pictures.open(io.BytesIO(png)) as picture:
        picture.thumbnail((_SMALLER_SIDE, _SMALLER_SIDE))
        picture.convert("RGB").save(buffer, format="JPEG", quality=85)
    return Image(data=buffer.getvalue(), format="jpeg").to_image_content()
