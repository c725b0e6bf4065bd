"""A chat model that answers what it is told to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from pydantic import Field

from tests.pocket_arguments import pocket_arguments


class Scripted(BaseChatModel):
    """Gives its answers in turn, raises those that are errors, and remembers what it was shown."""

    answers: list[Any]
    mood: str = ""
    """A setting, as a temperature would be."""
    asked: list[tuple[list[BaseMessage], list[dict[str, Any]]]] = Field(default_factory=list, exclude=True)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"mood": self.mood, "of no JSON": object()}

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        """Offer tools."""
        return self.bind(tools=list(tools), **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        self.asked.append((messages, kwargs["tools"]))
        answer = self.answers[(len(self.asked) - 1) % len(self.answers)]
        if isinstance(answer, BaseException):
            raise answer
        return ChatResult(generations=[ChatGeneration(message=answer.model_copy())])


def calling(tool: str, **changes: object) -> AIMessage:
    """An answer that calls a pocket model's tool with ordinary arguments."""
    usage = {"input_tokens": 200, "output_tokens": 30, "total_tokens": 230}
    call = {"name": tool, "args": pocket_arguments(**{"seed": 5, **changes}), "id": "call_1"}
    return AIMessage("", tool_calls=[call], usage_metadata=usage)  # type: ignore[arg-type]
