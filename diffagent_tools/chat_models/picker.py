"""What chat models without a language model have in common: they read the request, look at the tools, and call one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import ConfigDict, Field

from diffagent_tools.chat_models.agent_loop import next_word, split_search
from diffagent_tools.chat_models.attempts import PastAttempt, attempts_in
from diffagent_tools.chat_models.offers import Offer, offers_in
from diffagent_tools.chat_models.tool_choice import PROVIDER, ToolCaller, chosen_tool
from tool_specs.catalog import AnyCatalog
from tool_specs.exceptions import RequestError
from tool_specs.search.shortlist import AnyShortlister, Shortlist


class ToolPicker(ToolCaller):
    """Calls one of the bound tools that are models of the catalog, or says in words that none will do.

    The last human message is the request. Of tools that are no model of the catalog only `search_models` is called,
    once and before all others. A picture that nobody judges ends the request, in words even where a call is demanded,
    since a form is nothing that it can fill in. A subclass says how it picks.
    """

    catalog: AnyCatalog = Field(exclude=True, repr=False)
    """Where tool names are looked up."""
    shortlister: AnyShortlister = Field(exclude=True, repr=False)
    """Says what suits the request."""
    model_name: str = Field(default="diffagent-picker", alias="model")
    """What traces call this model."""

    model_config = ConfigDict(populate_by_name=True)

    @property
    def _llm_type(self) -> str:
        return self.model_name

    @abstractmethod
    def answer(
        self, shortlist: Shortlist, offers: list[Offer], attempts: list[PastAttempt], choice: str | None
    ) -> AIMessage:
        """Call one of the tools or none.

        Args:
            shortlist: What retrieval says of the request.
            offers: The tools, in the order in which they were bound.
            attempts: What was tried already.
            choice: "any": call one even if nothing fits. A name: call that one. None: as you like.
        """

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 - nothing is generated word by word
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> ChatResult:
        request, attempts = _request_of(messages), attempts_in(messages)
        choice = chosen_tool(kwargs.get("tool_choice"))
        tools, can_search = split_search([] if choice == "none" else kwargs.get("tools") or [])
        message = next_word(messages, can_search=can_search, choice=choice)
        if message is None:
            shortlist = self.shortlister.shortlist(request, k=max(8, len(tools)))
            offers = offers_in(tools, self.catalog, shortlist)
            message = self.answer(shortlist, offers, attempts, choice)
        message.usage_metadata = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
        message.response_metadata = {"model_name": self.model_name, "model_provider": PROVIDER}
        return ChatResult(generations=[ChatGeneration(message=message)])


def _request_of(messages: Sequence[BaseMessage]) -> str:
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            return str(message.text)
    msg = "there is no human message; say in one what the picture should show"
    raise RequestError(msg)
