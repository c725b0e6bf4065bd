from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from PIL import Image

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.attachments import MAX_PICTURES, MAX_SIDE, AttachImage, with_images
from diffagent_tools.tools.results import ImageResult
from tests.diffagent_tools.rewards.pictures import picture
from tool_specs.calls import PocketCall

CALL = PocketCall(checkpoint="civitai:9001@9101", prompt="a cat", seed=1)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path)


def drawn(store: ArtifactStore, image: Image.Image, number: int = 1) -> ToolMessage:
    reference = store.save(image, CALL, infotext="secret infotext")
    result: ImageResult = {"type": "diffagent.image", "image": reference, "call": CALL.model_dump(mode="json")}
    return ToolMessage("{}", tool_call_id=f"c{number}", name="generate_image", artifact=result)


def asking(*ids: str) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": "generate_image", "args": {}, "id": one} for one in ids])


def shown(message: AnyMessage) -> list[Image.Image]:
    """The pictures that a message holds."""
    return [
        Image.open(io.BytesIO(base64.b64decode(block["base64"])))
        for block in message.content_blocks
        if block["type"] == "image"
    ]


def difference(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, dtype=float) - np.asarray(other, dtype=float)).mean())


def smooth(size: tuple[int, int], level: int = 90) -> Image.Image:
    return Image.new("RGB", size, (level, 120, 200))


def test_none_shows_nothing(store: ArtifactStore) -> None:
    messages: list[AnyMessage] = [HumanMessage("a cat"), asking("c1"), drawn(store, smooth((64, 64)))]
    assert with_images(messages, store, "none") == messages


def test_a_user_message_follows_all_answers_to_one_message(store: ArtifactStore) -> None:
    pictures = [smooth((64, 64), 10), smooth((64, 64), 240)]
    messages: list[AnyMessage] = [
        HumanMessage("two cats"),
        asking("c1", "c2"),
        drawn(store, pictures[0], 1),
        drawn(store, pictures[1], 2),
        AIMessage("Here they are."),
    ]
    result = with_images(messages, store, "user_message")
    assert [message.type for message in result] == ["human", "ai", "tool", "tool", "human", "ai"]
    assert result[:4] == messages[:4]
    for seen, image in zip(shown(result[4]), pictures, strict=True):
        assert difference(seen, image) < 3
    assert messages[2].artifact["image"]["sha256"] in result[4].text  # type: ignore[union-attr]
    at_the_end = with_images(messages[:4], store, "user_message")
    assert [message.type for message in at_the_end] == ["human", "ai", "tool", "tool", "human"]
    assert at_the_end[4].text == result[4].text


def test_a_tool_message_holds_its_own_picture(store: ArtifactStore) -> None:
    image = smooth((64, 64))
    messages: list[AnyMessage] = [HumanMessage("a cat"), asking("c1"), drawn(store, image)]
    result = with_images(messages, store, "tool_message")
    assert [message.type for message in result] == ["human", "ai", "tool"]
    assert difference(shown(result[2])[0], image) < 3
    assert result[2].text == "{}"
    assert result[2].tool_call_id == "c1"  # type: ignore[union-attr]
    assert messages[2].content == "{}"


@pytest.mark.parametrize("how", ["user_message", "tool_message"])
def test_only_the_newest_are_shown(store: ArtifactStore, how: AttachImage) -> None:
    messages: list[AnyMessage] = []
    for number in range(MAX_PICTURES + 2):
        messages += [asking(f"c{number}"), drawn(store, smooth((8, 8), number * 30), number)]
    seen = [image for message in with_images(messages, store, how) for image in shown(message)]
    assert len(seen) == MAX_PICTURES
    assert difference(seen[0], smooth((8, 8), 60)) < 3


def test_a_large_picture_is_shown_smaller_and_without_its_infotext(store: ArtifactStore) -> None:
    message = drawn(store, smooth((2 * MAX_SIDE, MAX_SIDE)))
    (seen,) = shown(with_images([message], store, "tool_message")[0])
    assert seen.size == (MAX_SIDE, MAX_SIDE // 2)
    assert "secret infotext" not in str(seen.info)


def test_a_small_picture_keeps_its_details(store: ArtifactStore) -> None:
    noise = picture(1)
    (seen,) = shown(with_images([drawn(store, noise)], store, "tool_message")[0])
    assert seen.size == noise.size
    assert difference(seen, noise) < 20


@pytest.mark.parametrize("how", ["user_message", "tool_message"])
def test_a_lost_picture_is_left_out(store: ArtifactStore, how: AttachImage) -> None:
    message = drawn(store, smooth((8, 8)))
    Path(message.artifact["image"]["path"]).unlink()
    assert with_images([asking("c1"), message], store, how) == [asking("c1"), message]


def test_messages_of_other_tools_stay(store: ArtifactStore) -> None:
    others: list[AnyMessage] = [
        ToolMessage("1", tool_call_id="c1", artifact={"type": "diffagent.score"}),
        ToolMessage("2", tool_call_id="c2", artifact=[1]),
        ToolMessage("3", tool_call_id="c3"),
    ]
    assert with_images(others, store, "user_message") == others
