"""Drawn pictures for the eyes of a vision model: put into the messages of one model call, never into state."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Sequence
from typing import Final, Literal

from langchain_core.messages import AnyMessage, ContentBlock, HumanMessage, ToolMessage
from langchain_core.messages.content import create_image_block, create_text_block

from diffagent_tools.artifacts import ArtifactStore, ImageReference
from diffagent_tools.tools.results import is_image
from tool_specs.exceptions import ArtifactError

logger = logging.getLogger(__name__)

AttachImage = Literal["none", "user_message", "tool_message"]
"""Where a model sees the picture that a tool drew: nowhere; in a user message after the tool's answer, which every
vision model reads; or in the tool's answer itself, which OpenAI's chat completions and some vLLM templates refuse."""

MAX_PICTURES: Final = 4
"""The newest ones are shown: each costs a vision model hundreds of tokens, in every call."""
MAX_SIDE: Final = 1024
"""Larger pictures are shown smaller, in pixels."""
_QUALITY: Final = 95


def with_images(messages: Sequence[AnyMessage], store: ArtifactStore, attach_image: AttachImage) -> list[AnyMessage]:
    """The messages with the newest drawn pictures in them; the given ones stay as they are.

    Args:
        messages: A conversation with the messages of tools that draw.
        store: Where their pictures are. One that is no longer there is left out.
        attach_image: Where the pictures go.
    """
    if attach_image == "none":
        return list(messages)
    blocks = _pictures(messages, store)
    if attach_image == "tool_message":
        return [
            message.model_copy(update={"content": [create_text_block(message.text), *blocks[n][1:]]})
            if n in blocks
            else message
            for n, message in enumerate(messages)
        ]
    shown: list[AnyMessage] = []
    waiting: list[ContentBlock] = []
    for n, message in enumerate(messages):
        # All answers to one message's tool calls have to follow it without a break.
        if waiting and not isinstance(message, ToolMessage):
            shown.append(HumanMessage(content_blocks=waiting))
            waiting = []
        shown.append(message)
        waiting += blocks.get(n, [])
    return [*shown, HumanMessage(content_blocks=waiting)] if waiting else shown


def _pictures(messages: Sequence[AnyMessage], store: ArtifactStore) -> dict[int, list[ContentBlock]]:
    """A caption and a picture for each of the newest messages that drew one, by the place of the message."""
    found: dict[int, list[ContentBlock]] = {}
    for n in reversed(range(len(messages))):
        message = messages[n]
        if len(found) == MAX_PICTURES:
            break
        if isinstance(message, ToolMessage) and is_image(message.artifact):
            reference = message.artifact["image"]
            try:
                picture = _jpeg(reference, store)
            except ArtifactError as error:
                logger.warning("a picture cannot be shown to the model: %s", error)
                continue
            caption = f"This is the picture {reference['sha256']} that {message.name or 'the tool'} drew:"
            found[n] = [create_text_block(caption), create_image_block(base64=picture, mime_type="image/jpeg")]
    return found


def _jpeg(reference: ImageReference, store: ArtifactStore) -> str:
    """A picture as base64, without what its file says about how it was drawn."""
    picture = store.open(reference).convert("RGB")
    picture.thumbnail((MAX_SIDE, MAX_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=_QUALITY, subsampling=0)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
