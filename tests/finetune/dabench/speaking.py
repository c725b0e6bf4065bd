"""Chat models that turn notes into a request, or do not."""

from __future__ import annotations

import json
import re
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field

_NOTES = re.compile(r"Notes, as JSON: (.*)\nTone: ")


class Speaking(BaseChatModel):
    """Says the notes politely, or what it is told to say; fails once it is gone."""

    says: str | None = None
    gone: bool = False
    model_name: str = "speaking"
    asked: list[list[BaseMessage]] = Field(default_factory=list, exclude=True)

    @property
    def _llm_type(self) -> str:
        return "speaking"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        self.asked.append(messages)
        if self.gone:
            msg = "refused, key=sk-secret"
            raise ConnectionError(msg)
        notes = _NOTES.match(str(messages[-1].text))
        assert notes is not None
        said = self.says if self.says is not None else f"Would you kindly paint {json.loads(notes[1])} for my wall?"
        return ChatResult(generations=[ChatGeneration(message=AIMessage(said))])
