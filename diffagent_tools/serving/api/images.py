"""OpenAI's Images interface: `POST /v1/images/generations`."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, BeforeValidator, Field
from starlette.responses import JSONResponse, Response

from diffagent_tools.serving.api.drawings import QUIET, Drawing
from diffagent_tools.serving.api.errors import ApiError
from diffagent_tools.serving.api.pictures import BEST, Picture, PictureFormat, picture, url
from diffagent_tools.serving.api.service import AGENT, Service, best_of, client_of
from diffagent_tools.serving.api.streams import KEPT_ALIVE, EventStream, event, while_connected

SEEDS: Final = 2**32
ATTEMPTS: Final = 20
"""Most attempts at one picture, each with the next seed: so far apart are the seeds of two pictures of one request."""
NO_TOKENS: Final[dict[str, object]] = {
    "input_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "output_tokens": 0,
    "total_tokens": 0,
}
"""Pictures cost no tokens here; OpenAI's clients want to read a number."""
_SIZE: Final = re.compile(r"(\d{1,5})x(\d{1,5})")


def _given(default: object) -> BeforeValidator:
    """OpenAI's clients may send null for what they leave open."""
    return BeforeValidator(lambda value: default if value is None else value)


class ImageRequest(BaseModel):
    """What is asked for. Fields of OpenAI's that mean nothing here (`quality`, `style`, `user`, …) are let pass."""

    prompt: str
    model: Annotated[str, _given(AGENT)] = AGENT
    n: Annotated[int, Field(ge=1), _given(1)] = 1
    size: Annotated[str, _given("auto")] = "auto"
    response_format: Annotated[Literal["b64_json", "url"], _given("b64_json")] = "b64_json"
    output_format: Annotated[PictureFormat, _given("png")] = "png"
    output_compression: Annotated[int, Field(ge=0, le=BEST), _given(BEST)] = BEST
    background: Annotated[Literal["auto", "opaque"], _given("auto")] = "auto"
    stream: Annotated[bool, _given(False)] = False
    partial_images: Annotated[int, Field(ge=0, le=3), _given(0)] = 0
    seed: Annotated[int, Field(ge=0, lt=SEEDS)] | None = None
    """Not OpenAI's: the same seed draws the same picture."""


class Images:
    """Answers requests for pictures."""

    def __init__(self, service: Service) -> None:
        """Draw with the parts of a server."""
        self._service = service

    async def answer(self, asked: ImageRequest, request: Request) -> Response:
        """The pictures, at once or as events.

        Raises:
            ApiError: The request cannot be met, or drawing failed.
            CatalogError: There is no such model.
        """
        deadline = self._service.deadline()
        options = self._options(asked)
        inputs = [{"request": asked.prompt, "options": _with_seed(options, asked.seed, n)} for n in range(asked.n)]
        drawings = self._service.drawings.begin(inputs, client_of(request))

        def closing() -> None:
            for drawing in drawings:
                drawing.stop()

        if asked.stream:
            return EventStream(self._events(asked, drawings, deadline), closing=closing)
        try:
            return JSONResponse(await while_connected(request, self._whole(asked, request, drawings, deadline)))
        finally:
            closing()

    def _options(self, asked: ImageRequest) -> dict[str, object]:
        """What the request fixes.

        Raises:
            ApiError: It is above a limit, or does not go together.
            CatalogError: There is no such model.
        """
        settings = self._service.settings
        self._service.check_prompt(asked.prompt, "prompt")
        if asked.n > settings.max_pictures:
            msg = f"n={asked.n} pictures are too many; at most {settings.max_pictures} are drawn for one request"
            raise ApiError(400, msg, param="n", code="too_many_pictures")
        if asked.response_format == "url" and (asked.stream or asked.output_compression != BEST):
            msg = "response_format=url goes with neither stream nor output_compression; ask for b64_json"
            raise ApiError(400, msg, param="response_format", code="unsupported")
        return {**self._service.options(asked.model), **_size(asked.size, settings.max_side)}

    async def _whole(
        self, asked: ImageRequest, request: Request, drawings: list[Drawing], deadline: float
    ) -> dict[str, object]:
        await asyncio.gather(*(drawing.ended(deadline) for drawing in drawings))
        data: list[dict[str, object]] = []
        for best in self._bests(drawings):
            found = await self._picture(asked, best)
            shown: dict[str, object] = {"b64_json": _base64(found)}
            if asked.response_format == "url":
                shown = {"url": url(request, best["reference"]["sha256"], asked.output_format)}
            data.append({**shown, "revised_prompt": best["call"]["prompt"]})
        return {"created": int(time.time()), "data": data, "usage": NO_TOKENS, **_look(asked, found)}

    def _bests(self, drawings: list[Drawing]) -> list[Mapping[str, Any]]:
        """The best attempt of each that has one: a picture that was drawn is not lost because another was not.

        Raises:
            ApiError: What went wrong with the first, when there is none at all.
        """
        bests: list[Mapping[str, Any]] = []
        faults: list[ApiError] = []
        for drawing in drawings:
            try:
                bests.append(best_of(drawing.state(self._service.settings.deadline_seconds)))
            except ApiError as fault:
                faults.append(fault)
        if not bests:
            raise faults[0]
        return bests

    async def _events(self, asked: ImageRequest, drawings: list[Drawing], deadline: float) -> AsyncIterator[str]:
        """The pictures one after the other; before each, the attempts that were not good enough."""
        faults: list[ApiError] = []
        for drawing in drawings:
            partial = 0
            async for told in drawing.events(deadline):
                if told is QUIET:
                    yield KEPT_ALIVE
                elif _is_poor(told) and partial < asked.partial_images:
                    found = await self._picture(asked, told)
                    yield _event("partial_image", asked, found, partial_image_index=partial)
                    partial += 1
            try:
                best = best_of(drawing.state(self._service.settings.deadline_seconds))
            except ApiError as fault:
                # As in a whole answer, the other pictures are not lost.
                faults.append(fault)
                continue
            yield _event("completed", asked, await self._picture(asked, best), usage=NO_TOKENS)
        if len(faults) == len(drawings):
            raise faults[0]

    async def _picture(self, asked: ImageRequest, attempt: Mapping[str, Any]) -> Picture:
        digest = attempt["reference"]["sha256"]
        return await picture(self._service.store, digest, asked.output_format, asked.output_compression)


def router(service: Service) -> APIRouter:
    """The route."""
    routes, images = APIRouter(prefix="/v1/images"), Images(service)

    @routes.post("/generations", response_class=Response)
    async def generations(asked: ImageRequest, request: Request) -> Response:
        """Draw pictures."""
        return await images.answer(asked, request)

    return routes


def _is_poor(told: Mapping[str, Any]) -> bool:
    """Whether an event is an attempt with a picture that the agent goes on to better."""
    return told.get("event") == "attempt" and told["reference"] is not None and told["verdict"] != "ok"


def _event(kind: str, asked: ImageRequest, found: Picture, **more: object) -> str:
    name = f"image_generation.{kind}"
    body = {"type": name, "b64_json": _base64(found), "created_at": int(time.time()), "quality": "auto"}
    return event({**body, **_look(asked, found), **more}, name)


def _look(asked: ImageRequest, found: Picture) -> dict[str, object]:
    return {"background": "opaque", "output_format": asked.output_format, "size": found.size}


def _base64(found: Picture) -> str:
    return base64.b64encode(found.data).decode("ascii")


def _with_seed(options: Mapping[str, object], seed: int | None, n: int) -> dict[str, object]:
    """Options of the n-th picture, from 0."""
    return dict(options) if seed is None else {**options, "seed": (seed + n * ATTEMPTS) % SEEDS}


def _size(text: str, most: int) -> dict[str, object]:
    """Width and height; nothing for `auto`, where the model's own are taken.

    Raises:
        ApiError: It is no size, or too large.
    """
    if text == "auto":
        return {}
    found = _SIZE.fullmatch(text)
    if found is None:
        msg = f"{text[:40]!r} is no size; write WIDTHxHEIGHT, for example 512x512, or auto"
        raise ApiError(400, msg, param="size", code="invalid_size")
    width, height = int(found[1]), int(found[2])
    if max(width, height) > most:
        msg = f"{text} is too large; neither side may be above {most} pixels"
        raise ApiError(400, msg, param="size", code="invalid_size")
    return {"width": width, "height": height}
