"""A chat model that follows a script; what it calls depends on the tools that are bound to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field

from diffagent_tools.chat_models.calling import calling
from diffagent_tools.chat_models.tool_choice import ToolCaller


@dataclass(frozen=True)
class Turn:
    """What the model was given once."""

    messages: Sequence[BaseMessage]
    tools: Mapping[str, Mapping[str, Any]]


Step = Callable[[Turn], AIMessage]


class ScriptedModel(ToolCaller):
    """Takes one step for each message that it has said before, so that it goes on where a thread was left."""

    steps: list[Step]
    turns: list[Turn] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        bound = {tool["function"]["name"]: tool["function"]["parameters"] for tool in kwargs.get("tools", [])}
        turn = Turn(list(messages), bound)
        self.turns.append(turn)
        said = sum(isinstance(message, AIMessage) for message in messages)
        return ChatResult(generations=[ChatGeneration(message=self.steps[said](turn))])

    def models_bound(self) -> list[list[str]]:
        """The model tools of each turn so far."""
        return [[name for name in turn.tools if name.startswith("civitai_")] for turn in self.turns]


def say(text: str) -> Step:
    return lambda _: AIMessage(text)


def call(name: str, **arguments: object) -> Step:
    """Call a tool, bound or not."""
    return lambda _: calling(name, arguments)


def search(query: str, **more: object) -> Step:
    return use("search_models", query=query, **more)


def use(name: str, **arguments: object) -> Step:
    """Call a tool if it is bound."""
    return lambda turn: calling(name, arguments) if name in turn.tools else AIMessage(f"{name} is not bound")


def draw(name: str, **changes: object) -> Step:
    """Call the tool of a model if it is bound, with arguments that its schema allows."""

    def step(turn: Turn) -> AIMessage:
        if name not in turn.tools:
            return AIMessage(f"{name} is not bound, but {sorted(turn.tools)}")
        properties = turn.tools[name]["properties"]
        arguments = {
            "prompt": "a cat on a blue background",
            "negative_prompt": "",
            "sampler": properties["sampler"]["enum"][0],
            "steps": 2,
            "cfg_scale": 2.0,
            "width": properties["width"]["enum"][0],
            "height": properties["height"]["enum"][0],
            "clip_skip": 1,
            "seed": 7,
            "loras": [],
        }
        return calling(name, arguments | changes)

    return step


def with_network(name: str, number: int) -> Step:
    """Draw with one of the networks that the tool of a model offers."""

    def step(turn: Turn) -> AIMessage:
        networks = turn.tools[name]["properties"]["loras"]["items"]["properties"]["id"]["enum"]
        return draw(name, loras=[{"id": networks[number], "weight": 0.8}])(turn)

    return step


def together(*steps: Step) -> Step:
    """Several calls in one message."""
    return lambda turn: AIMessage("", tool_calls=[one for step in steps for one in step(turn).tool_calls])
