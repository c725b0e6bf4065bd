"""A chat model without a language model: it calls the tool that retrieval ranks first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict, Field

from diffagent_tools.chat_models.attempts import PastAttempt, attempts_in, next_try
from diffagent_tools.chat_models.offers import Offer, offers_in
from diffagent_tools.chat_models.writing import write_arguments
from tool_specs.catalog import AnyCatalog
from tool_specs.exceptions import RequestError
from tool_specs.families import FAMILIES
from tool_specs.search.shortlist import Hit, Shortlist, Shortlister

_MUST_CALL = ("any", "required", True)


class RetrievalChatModel(BaseChatModel):
    """Picks the best image model for a request and calls its tool with the recommended parameters.

    The last human message is the request. Of the tools bound, those of the catalog are ranked by the shortlister. The
    prompt is the request with the trigger words of the networks it asks for; for a model that knows only some words,
    it is the request in those words. Tool messages with a `verdict` are attempts to learn from: after a poor picture
    the same model is tried once more with another seed and other parameters, then the next one that fits; after a
    fault the next one at once. When no tool fits, or none is left, it says so in words; `tool_choice="any"` or the
    name of a tool makes it call one all the same.

    ```python
    model = RetrievalChatModel(catalog=catalog, shortlister=Shortlister(catalog, MiniLMEmbedder()))
    shortlist = model.shortlister.shortlist("a kitten, 8-bit")
    model.bind_tools(tools_for(shortlist, backend, store)).invoke("a kitten, 8-bit").tool_calls
    ```
    """

    catalog: AnyCatalog = Field(exclude=True, repr=False)
    """Where tool names are looked up."""
    shortlister: Shortlister = Field(exclude=True, repr=False)
    """Ranks the tools."""
    model_name: str = Field(default="diffagent-retrieval", alias="model")
    """What traces call this model."""

    model_config = ConfigDict(populate_by_name=True)

    @property
    def _llm_type(self) -> str:
        return "diffagent-retrieval"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name, "embedder": self.shortlister.embedder.name}

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools.

        Args:
            tools: Anything that LangChain can describe as an OpenAI tool; those that are no model of the catalog are
                never called.
            tool_choice: "any" or "required": call one even if nothing fits. A name: call that one. "none": call none.
            kwargs: Passed on.
        """
        described = [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=described, **({} if tool_choice is None else {"tool_choice": tool_choice}), **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 - nothing is generated word by word
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> ChatResult:
        request, attempts = _request_of(messages), attempts_in(messages)
        choice = _choice(kwargs.get("tool_choice"))
        tools = [] if choice == "none" else kwargs.get("tools") or []
        shortlist = self.shortlister.shortlist(request, k=max(8, len(tools)))
        offers = offers_in(tools, self.catalog, shortlist)
        message = self._answer(shortlist, offers, attempts, choice)
        message.usage_metadata = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
        message.response_metadata = {"model_name": self.model_name, "model_provider": "diffagent"}
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _answer(
        self, shortlist: Shortlist, offers: list[Offer], attempts: list[PastAttempt], choice: str | None
    ) -> AIMessage:
        hits = {hit.spec.id: hit for hit in shortlist.hits}
        ranked = sorted(offers, key=lambda offer: _rank(offer, hits, list(hits)))
        if choice is None:
            usable = [offer for offer in ranked if _fits(offer, hits)]
        else:
            usable = [offer for offer in ranked if choice in ("any", offer.name)]
        if not usable:
            return AIMessage(_refusal(shortlist))
        chosen = next_try([offer.name for offer in usable], attempts)
        if chosen is None:
            return AIMessage(f"Nothing is left to try for {shortlist.request!r}: every model that fits has failed.")
        name, number = chosen
        offer = next(offer for offer in usable if offer.name == name)
        arguments = write_arguments(offer, shortlist, self.shortlister, number)
        call = {"name": name, "args": arguments, "id": f"call_{uuid4().hex}", "type": "tool_call"}
        return AIMessage("", tool_calls=[call])


def _request_of(messages: Sequence[BaseMessage]) -> str:
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            return str(message.text)
    msg = "there is no human message; say in one what the picture should show"
    raise RequestError(msg)


def _choice(tool_choice: object) -> str | None:
    """The tool choice in one form: "any", "none", a name, or None for a free choice."""
    if tool_choice in _MUST_CALL:
        return "any"
    if isinstance(tool_choice, dict):
        return str(tool_choice.get("function", {}).get("name", "any"))
    return tool_choice if isinstance(tool_choice, str) and tool_choice != "auto" else None


def _rank(offer: Offer, hits: dict[str, Hit], order: list[str]) -> tuple[int, float]:
    """Fitting first, in the order of the shortlist; what is not on it stays in the order of the offer."""
    known = offer.spec.id in hits
    return (0 if known else 1, order.index(offer.spec.id) if known else 0)


def _fits(offer: Offer, hits: dict[str, Hit]) -> bool:
    hit = hits.get(offer.spec.id)
    return hit is not None and (bool(hit.matched) or not FAMILIES[offer.spec.family].closed_vocabulary)


def _refusal(shortlist: Shortlist) -> str:
    nearest = ", ".join(f"{hit.spec.model_name} ({hit.spec.id})" for hit in shortlist.nearest)
    return f"None of the models on offer can draw {shortlist.request!r}. " + (
        f"The nearest are {nearest}." if nearest else "There are none."
    )
