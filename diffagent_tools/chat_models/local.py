"""The planner in process: a tuned language model that calls tools, without a server."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import LangSmithParams
from langchain_core.messages import AIMessage, BaseMessage, convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field

from diffagent_tools.chat_models.agent_loop import next_word, split_search
from diffagent_tools.chat_models.calling import CALL_MARKS, calling, new_call_id
from diffagent_tools.chat_models.decoding import Decoded, Decoder
from diffagent_tools.chat_models.grammar import POCKET_MARK, answer_grammar, draws
from diffagent_tools.chat_models.tool_choice import PROVIDER, ToolCaller, chosen_tool
from tool_specs.exceptions import RequestError
from tool_specs.pocket import pocket_planner

_OPEN, _CLOSE = CALL_MARKS


class LocalChatDiffAgent(ToolCaller):
    """A planner in process, by default the pocket one; `ChatDiffAgent` is the same over HTTP.

    Its answer is a call of a bound tool, within its schema by construction, or a refusal in words; calls of the pocket
    planner are within narrower bounds (`grammar.Bounds`). `tool_choice="any"` leaves it no refusal, a tool's name no
    other tool, "none" no call. Without tools it refuses: conversation is not its trade. In an agent's loop it calls
    `search_models` first, then a tool that draws, and with "any" the others once a picture is drawn.

    ```python
    planner = ChatDiffAgent.local()
    planner.bind_tools(tools_for(shortlist, backend, store)).invoke("a kitten, 8-bit").tool_calls
    ```
    """

    folder: Path = Field(default_factory=pocket_planner)
    """A transformers folder with the model, its tokenizer and its chat template."""
    device: str = "auto"
    """"auto" is CUDA where there is any, else the CPU."""
    temperature: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    """0 always gives the same answer; above, answers vary."""
    max_tokens: int = Field(default=512, gt=0)
    """Longest answer."""
    seed: int | None = None
    """Makes a temperature above 0 repeatable."""

    @cached_property
    def decoder(self) -> Decoder:
        """The model, loaded when it is first asked."""
        return Decoder(self.folder, device=self.device)

    @property
    def _llm_type(self) -> str:
        return "diffagent-local"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        settings = {"temperature": self.temperature, "max_tokens": self.max_tokens, "seed": self.seed}
        return {"model_name": self.model_name, "folder": str(self.folder), **settings}

    @property
    def model_name(self) -> str:
        """What traces call this model."""
        return f"diffagent-{self.folder.name}"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = PROVIDER
        return params

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 - the grammar says where an answer ends
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> ChatResult:
        choice = chosen_tool(kwargs.get("tool_choice"))
        tools, can_search = split_search([] if choice == "none" else kwargs.get("tools") or [])
        word = next_word(messages, can_search=can_search, choice=choice)
        if word is not None and not word.tool_calls and choice is not None:
            tools = [tool for tool in tools if not draws(tool)] or tools
        elif word is not None:
            reason = "tool_calls" if word.tool_calls else "stop"
            word.response_metadata = {
                "model_name": self.model_name, "model_provider": PROVIDER, "finish_reason": reason
            }  # fmt: skip
            word.usage_metadata = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
            return ChatResult(generations=[ChatGeneration(message=word)])
        told = convert_to_openai_messages(messages)
        decoded = self.decoder.decode(
            self.decoder.render(told, tools),
            answer_grammar(
                tools,
                bounds="pocket" if self.decoder.has_token(POCKET_MARK) else "schema",
                may_refuse=choice in (None, "none"),
                must_call=_named(choice, tools),
                mark_tokens=self.decoder.has_token(_OPEN) and self.decoder.has_token(_CLOSE),
            ),
            max_tokens=int(kwargs.get("max_tokens") or self.max_tokens),
            temperature=_temperature(kwargs.get("temperature", self.temperature)),
            seed=kwargs.get("seed", self.seed),
        )
        message = answer_message(decoded.text)
        message.usage_metadata = {
            "input_tokens": decoded.prompt_tokens,
            "output_tokens": decoded.completion_tokens,
            "total_tokens": decoded.prompt_tokens + decoded.completion_tokens,
        }
        message.response_metadata = self._metadata(decoded, message)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _metadata(self, decoded: Decoded, message: AIMessage) -> dict[str, Any]:
        reason = "tool_calls" if message.tool_calls else "stop"
        return {
            "model_name": self.model_name,
            "model_provider": PROVIDER,
            "finish_reason": reason if decoded.finished else "length",
            "certainty": round(decoded.certainty, 4),
        }


def answer_message(text: str) -> AIMessage:
    """What a planner wrote, as a message: a call in Hermes form (`<tool_call>{json}</tool_call>`), or words."""
    if not text.startswith(_OPEN):
        return AIMessage(text)
    body = text.removeprefix(_OPEN).removesuffix(_CLOSE).strip()
    try:
        call = json.loads(body)
        return calling(call["name"], call["arguments"])
    except (ValueError, KeyError, TypeError) as error:
        broken = {"name": None, "args": body, "id": new_call_id(), "error": str(error), "type": "invalid_tool_call"}
        return AIMessage("", invalid_tool_calls=[broken])


def _temperature(given: Any) -> float:
    """The temperature of one question.

    Raises:
        RequestError: It is negative or endless.
    """
    temperature = float(given)
    if not 0 <= temperature < math.inf:
        msg = f"temperature={temperature} is none: use 0 for the likeliest answer, up to about 2 for variety"
        raise RequestError(msg)
    return temperature


def _named(choice: str | None, tools: Sequence[Mapping[str, Any]]) -> str | None:
    """The only tool that may be called; None where there is a choice.

    Raises:
        RequestError: It is not on offer.
    """
    if choice in (None, "any", "none"):
        return None
    names = [tool["function"]["name"] for tool in tools]
    if choice not in names:
        msg = f"tool_choice names {choice!r}, which is not bound; name one of {', '.join(names) or 'the bound tools'}"
        raise RequestError(msg)
    return choice
