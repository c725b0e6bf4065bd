"""Answers that come whole, in streams."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessageChunk
from langchain_core.runnables import RunnableConfig

from diffagent_tools.chat_models.answers import as_chunk


class ChunkStreaming(BaseChatModel):
    """A chat model whose streams are chunks even where an answer comes in one piece."""

    def stream(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """Stream an answer; one with tools comes in one piece."""
        yield from map(as_chunk, super().stream(input, config, stop=stop, **kwargs))

    async def astream(
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """The same, async."""
        async for piece in super().astream(input, config, stop=stop, **kwargs):
            yield as_chunk(piece)
