from __future__ import annotations

import base64
import io
from typing import Any

import openai
import pytest
from openai.types import ImagesResponse
from PIL import Image

from finetune.pocket.records import CHECKPOINT_IDS
from tests.diffagent_tools.serving.api.running import Running
from tests.graphs.paper_world import ANIMALS, FOOD, PIXEL, PaperBackend
from tool_specs.catalog import Catalog
from tool_specs.infotext import parse_infotext


def opened(encoded: str | None) -> Image.Image:
    """A picture of an answer."""
    assert encoded is not None
    image = Image.open(io.BytesIO(base64.b64decode(encoded)))
    image.load()
    return image


def test_the_client_gets_a_picture_of_the_pocket_world_with_its_infotext(pocket: Running) -> None:
    answer = pocket.client().images.generate(model="diffagent", prompt="a kitten, 8-bit")
    assert isinstance(answer, ImagesResponse)
    [picture] = answer.data or []
    image = opened(picture.b64_json)
    assert (image.format, f"{image.width}x{image.height}") == ("PNG", answer.size)
    written = parse_infotext(image.info["parameters"])
    assert written.prompt == picture.revised_prompt
    assert "cat" in written.prompt
    assert (answer.output_format, answer.background, picture.url) == ("png", "opaque", None)


async def test_the_async_client_draws_several_at_a_time(pocket: Running) -> None:
    async with pocket.async_client() as client:
        answer = await client.images.generate(model="diffagent", prompt="a pizza", n=2, extra_body={"seed": 7})
    pictures = [opened(picture.b64_json) for picture in answer.data or []]
    seeds = [parse_infotext(picture.info["parameters"]).seed for picture in pictures]
    assert len(pictures) == 2
    assert pictures[0].tobytes() != pictures[1].tobytes()
    assert seeds[0] in range(7, 27)
    assert seeds[1] in range(27, 47)


def test_a_stream_ends_with_the_whole_picture(pocket: Running) -> None:
    stream = pocket.client().images.generate(model="diffagent", prompt="a pizza", stream=True, partial_images=1)
    events = list(stream)
    last = events[-1]
    assert last.type == "image_generation.completed"
    assert [event.type for event in events[:-1]] in ([], ["image_generation.partial_image"])
    assert "parameters" in opened(last.b64_json).info
    assert last.size == "64x64"
    assert last.usage.total_tokens == 0


async def test_the_async_client_streams_too(pocket: Running) -> None:
    async with pocket.async_client() as client:
        stream = await client.images.generate(model="diffagent", prompt="a pizza", stream=True, output_format="webp")
        events = [event async for event in stream]
    assert opened(events[-1].b64_json).format == "WEBP"


@pytest.mark.parametrize("by", ["id", "tool_name"])
def test_a_model_of_the_catalog_is_drawn_with_when_it_is_named(pocket: Running, by: str) -> None:
    spec = Catalog.pocket().get(CHECKPOINT_IDS["food"])
    answer = pocket.client().images.generate(model=getattr(spec, by), prompt="a pizza", size="64x48")
    image = opened((answer.data or [])[0].b64_json)
    assert image.size == (64, 48)
    assert f'"checkpoint": "{spec.id}"' in image.info["diffagent"]


def test_attempts_that_were_not_good_enough_are_partial_images(paper: Running, backend: PaperBackend) -> None:
    backend.levels = (0.2, 0.3, 0.9)
    events: list[Any] = list(
        paper.client().images.generate(model="diffagent", prompt="a fox", stream=True, partial_images=3)
    )
    assert [event.type.rpartition(".")[2] for event in events] == ["partial_image", "partial_image", "completed"]
    assert [event.partial_image_index for event in events[:-1]] == [0, 1]
    assert len({event.b64_json for event in events}) == 3


def test_no_more_partial_images_than_asked_for(paper: Running, backend: PaperBackend) -> None:
    backend.levels = (0.2, 0.3, 0.9)
    stream = paper.client().images.generate(model="diffagent", prompt="a fox", stream=True, partial_images=1)
    assert [event.type.rpartition(".")[2] for event in stream] == ["partial_image", "completed"]


def test_the_model_decides_where_none_is_named(paper: Running, backend: PaperBackend) -> None:
    paper.client().images.generate(prompt="a pizza")
    paper.client().images.generate(prompt="a pizza", model=ANIMALS, n=None, size=None)
    assert [line.split()[0] for line in backend.drawn] == [FOOD, ANIMALS]


def test_the_same_seed_draws_the_same_picture(paper: Running) -> None:
    first, second = (paper.client().images.generate(prompt="a fox", extra_body={"seed": 3}) for _ in "ab")
    assert (first.data or [])[0].b64_json == (second.data or [])[0].b64_json


@pytest.mark.parametrize(
    ("asked", "param", "code", "told"),
    [
        ({"prompt": ""}, None, "invalid_request", "empty"),
        ({"prompt": "x" * 2001}, "prompt", "prompt_too_long", "2,001 characters"),
        ({"n": 0}, "n", "greater_than_equal", "greater than or equal to 1"),
        ({"n": 11}, "n", "too_many_pictures", "at most 10"),
        ({"size": "big"}, "size", "invalid_size", "WIDTHxHEIGHT"),
        ({"size": "4096x64"}, "size", "invalid_size", "2048 pixels"),
        ({"size": "65x64"}, None, "invalid_request", "not a multiple of 8"),
        ({"model": PIXEL}, "model", "not_a_checkpoint", "a LORA"),
        ({"output_format": "gif"}, "output_format", "literal_error", "'png'"),
        ({"background": "transparent"}, "background", "literal_error", "'opaque'"),
        ({"response_format": "url", "stream": True}, "response_format", "unsupported", "b64_json"),
        ({"prompt": "quarterly tax declaration"}, "prompt", "nothing_fits", "Paper Animals"),
        ({"extra_body": {"seed": -1}}, "seed", "greater_than_equal", "seed"),
    ],
)
def test_what_cannot_be_drawn_is_told_in_openais_shape(
    paper: Running, backend: PaperBackend, asked: dict[str, Any], param: str | None, code: str, told: str
) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        paper.client().images.generate(**{"model": "diffagent", "prompt": "a fox", **asked})
    assert raised.value.type == "invalid_request_error"
    assert (raised.value.param, raised.value.code) == (param, code)
    assert told in raised.value.message
    assert backend.drawn == []


def test_a_model_that_is_not_there_is_named_with_the_nearest(paper: Running) -> None:
    with pytest.raises(openai.NotFoundError, match="the nearest are") as raised:
        paper.client().images.generate(model="dall-e-3", prompt="a fox")
    assert raised.value.code == "model_not_found"


def test_an_error_after_a_stream_has_begun_is_raised_by_the_client(paper: Running) -> None:
    stream = paper.client().images.generate(prompt="quarterly tax declaration", stream=True)
    with pytest.raises(openai.APIError, match="nothing here can draw that"):
        list(stream)


def test_what_nobody_foresaw_is_not_told_to_the_client(paper: Running, backend: PaperBackend) -> None:
    backend.faults = {1: lambda: ZeroDivisionError("a secret")}
    with pytest.raises(openai.InternalServerError) as raised:
        paper.client(max_retries=2).images.generate(prompt="a fox")
    assert raised.value.code == "internal_error"
    assert "secret" not in str(raised.value)
    assert len(backend.drawn) == 1


def test_a_picture_is_not_lost_because_another_failed(paper: Running, backend: PaperBackend) -> None:
    backend.faults = {2: lambda: ZeroDivisionError("a bug")}
    answer = paper.client().images.generate(prompt="a fox", n=3)
    assert len(answer.data or []) == 2


def test_nor_in_a_stream(paper: Running, backend: PaperBackend) -> None:
    backend.faults = {1: lambda: ZeroDivisionError("a bug")}
    stream = paper.client().images.generate(prompt="a fox", n=3, stream=True)
    assert [told.type for told in stream] == ["image_generation.completed"] * 2
    assert len(backend.drawn) == 3
