"""OpenAI's Chat Completions: `POST /v1/chat/completions`.

The planner's model id passes messages and tools on to the planner, and the client runs the tools that it calls. Any
other model id runs the agent: the answer is the picture.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import APIRouter, Request
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from starlette.responses import JSONResponse, Response

from diffagent_tools.serving.api.completions import CALLED, Completion, delta_of, finish_reason, read_messages
from diffagent_tools.serving.api.drawings import QUIET, Drawing
from diffagent_tools.serving.api.errors import NO_RETRY, SERVER_FAULT, ApiError, as_api_error, too_late
from diffagent_tools.serving.api.fair_queue import Turn
from diffagent_tools.serving.api.images import SEEDS
from diffagent_tools.serving.api.pictures import url
from diffagent_tools.serving.api.service import PLANNER, Service, best_of, client_of
from diffagent_tools.serving.api.streams import DONE, KEPT_ALIVE, EventStream, while_connected

if TYPE_CHECKING:
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import Runnable

_PASSED_ON: Final = ("temperature", "top_p", "seed", "stop", "response_format", "parallel_tool_calls")
_ALT_CHARACTERS: Final = 80
_MARKS: Final = str.maketrans("[]()\n", "     ")
"""What would end the alternative text of a picture in Markdown."""


class StreamOptions(BaseModel):
    """What a stream holds beside the answer."""

    include_usage: bool = False


class Function(BaseModel):
    """A function of the client."""

    model_config = ConfigDict(extra="allow")

    name: str
    parameters: dict[str, JsonValue] = {"type": "object", "properties": {}}


class FunctionTool(BaseModel):
    """A tool of the client; what else it says is passed on as it is."""

    model_config = ConfigDict(extra="allow")

    type: Literal["function"]
    function: Function


class ChatRequest(BaseModel):
    """What is asked. Fields of OpenAI's that mean nothing here are let pass."""

    model: str
    messages: Annotated[list[dict[str, JsonValue]], Field(min_length=1)]
    tools: list[FunctionTool] | None = None
    tool_choice: str | dict[str, JsonValue] | None = None
    n: Literal[1] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    seed: Annotated[int, Field(ge=0, lt=SEEDS)] | None = None
    stop: str | list[str] | None = None
    response_format: dict[str, JsonValue] | None = None
    parallel_tool_calls: bool | None = None


class PlannerChat:
    """Passes a conversation on to the planner; tools stay with the client."""

    def __init__(self, service: Service) -> None:
        """Ask the planner of a server."""
        self._service = service

    async def answer(self, asked: ChatRequest, request: Request) -> Response:
        """The planner's answer, at once or as events.

        Raises:
            ApiError: The request cannot be used, or the planner refused it.
        """
        deadline = self._service.deadline()
        planner, messages = self._bound(asked), read_messages(asked.messages)
        completion = Completion(asked.model)
        [turn] = self._service.planner_queue.enter(client_of(request))
        if asked.stream:
            return EventStream(self._events(asked, planner, messages, completion, turn, deadline), closing=turn.leave)
        try:
            return JSONResponse(
                await while_connected(request, self._whole(planner, messages, completion, turn, deadline))
            )
        finally:
            turn.leave()

    def _bound(self, asked: ChatRequest) -> Runnable[LanguageModelInput, Any]:
        """The planner with what the client fixed; what it left open is the planner's."""
        given = {name: getattr(asked, name) for name in _PASSED_ON}
        given["max_tokens"] = asked.max_completion_tokens or asked.max_tokens
        settings: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        planner = self._service.planner
        if not asked.tools:
            return planner.bind(**settings)
        tools = [tool.model_dump() for tool in asked.tools]
        return planner.bind_tools(tools, tool_choice=asked.tool_choice, **settings)  # type: ignore[arg-type]

    async def _whole(
        self,
        planner: Runnable[LanguageModelInput, Any],
        messages: list[BaseMessage],
        completion: Completion,
        turn: Turn,
        deadline: float,
    ) -> dict[str, object]:
        try:
            async with asyncio.timeout_at(deadline), turn:
                return completion.whole(await planner.ainvoke(messages))
        except Exception as error:
            raise self._told(error) from error

    async def _events(
        self,
        asked: ChatRequest,
        planner: Runnable[LanguageModelInput, Any],
        messages: list[BaseMessage],
        completion: Completion,
        turn: Turn,
        deadline: float,
    ) -> AsyncIterator[str]:
        called, last, count = False, AIMessage(""), None
        yield completion.piece({"role": "assistant", "content": ""})
        try:
            async with asyncio.timeout_at(deadline), turn:
                async for chunk in planner.astream(messages):
                    delta = delta_of(chunk)
                    called = called or CALLED in delta
                    count = chunk.usage_metadata or count
                    last = chunk if chunk.response_metadata.get("finish_reason") else last
                    if delta:
                        yield completion.piece(delta)
        except Exception as error:
            raise self._told(error) from error
        yield completion.piece({}, finish_reason(last, called=called))
        if count is not None and asked.stream_options is not None and asked.stream_options.include_usage:
            yield completion.used(count)
        yield DONE

    def _told(self, error: Exception) -> ApiError:
        """An error of the planner as an answer; a server that refused says why."""
        if isinstance(error, TimeoutError):
            return too_late(self._service.settings.deadline_seconds)
        status = getattr(error, "status_code", None)
        if not isinstance(status, int):
            return as_api_error(error)
        if status == 400:
            return ApiError(400, f"the planner refused the request: {error}", code="planner_refused")
        msg = f"the planner's server answered {status}; its log says why"
        return ApiError(502, msg, type=SERVER_FAULT, code="planner_failed", headers=NO_RETRY)


class AgentChat:
    """Runs the agent on the last message, and answers with the picture."""

    def __init__(self, service: Service) -> None:
        """Draw with the parts of a server."""
        self._service = service

    async def answer(self, asked: ChatRequest, request: Request) -> Response:
        """The picture as Markdown, or why there is none, at once or as events.

        Raises:
            ApiError: The request cannot be met, or drawing failed.
            CatalogError: There is no such model.
        """
        deadline = self._service.deadline()
        options = self._service.options(asked.model)
        if asked.seed is not None:
            options["seed"] = asked.seed
        given = {"messages": self._conversation(asked), "options": options}
        [drawing] = self._service.drawings.begin([given], client_of(request))
        completion = Completion(asked.model)
        if asked.stream:
            return EventStream(self._events(request, drawing, completion, deadline), closing=drawing.stop)
        try:
            await while_connected(request, drawing.ended(deadline))
            return JSONResponse(completion.whole(AIMessage(self._words(request, drawing))))
        finally:
            drawing.stop()

    def _conversation(self, asked: ChatRequest) -> list[BaseMessage]:
        """What was said in words; the agent has tools of its own.

        Raises:
            ApiError: The last word is not the client's, or it is too long.
        """
        spoken = (SystemMessage, HumanMessage, AIMessage)
        said = [type(one)(one.text) for one in read_messages(asked.messages) if isinstance(one, spoken) and one.text]
        if not said or not isinstance(said[-1], HumanMessage):
            msg = "the last message must be the user's, and say what to draw"
            raise ApiError(400, msg, param="messages", code="invalid_messages")
        self._service.check_prompt(said[-1].text, "messages")
        return list(said)

    async def _events(
        self, request: Request, drawing: Drawing, completion: Completion, deadline: float
    ) -> AsyncIterator[str]:
        yield completion.piece({"role": "assistant", "content": ""})
        async for told in drawing.events(deadline):
            if told is QUIET:
                yield KEPT_ALIVE
        yield completion.piece({"content": self._words(request, drawing)})
        yield completion.piece({}, "stop")
        yield DONE

    def _words(self, request: Request, drawing: Drawing) -> str:
        """The answer: the picture and where it comes from, or that nothing fits."""
        state = drawing.state(self._service.settings.deadline_seconds)
        if not state["best"] and state["outcome"]["status"] == "nothing_fits":
            return str(state["messages"][-1].text)
        best = best_of(state)
        return f"![{_alternative(state)}]({url(request, best['reference']['sha256'], 'png')})\n\n{self._about(best)}"

    def _about(self, best: Mapping[str, Any]) -> str:
        name = self._service.catalog.get(best["model"]).model_name
        worth = "" if best["reward"] is None else f", reward {best['reward']:.2f}"
        return f"Drawn with {name.translate(_MARKS)} ({best['model']}), seed {best['call']['seed']}{worth}."


def router(service: Service) -> APIRouter:
    """The route."""
    routes = APIRouter(prefix="/v1/chat")
    planner, agent = PlannerChat(service), AgentChat(service)

    @routes.post("/completions", response_class=Response)
    async def completions(asked: ChatRequest, request: Request) -> Response:
        """Talk to the planner, or have the agent draw."""
        chosen = planner if asked.model == PLANNER else agent
        return await chosen.answer(asked, request)

    return routes


def _alternative(state: Mapping[str, Any]) -> str:
    """What a picture shows, for those who do not see it."""
    return " ".join(state["request"].translate(_MARKS).split())[:_ALT_CHARACTERS]
