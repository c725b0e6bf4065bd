"""A chat model without a language model: it calls the tool that retrieval ranks first."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage
from pydantic import Field

from diffagent_tools.chat_models.attempts import PastAttempt, next_try
from diffagent_tools.chat_models.calling import calling
from diffagent_tools.chat_models.offers import Offer
from diffagent_tools.chat_models.picker import ToolPicker
from diffagent_tools.chat_models.writing import write_arguments
from tool_specs.families import FAMILIES
from tool_specs.search.shortlist import Hit, Shortlist, Shortlister


class RetrievalChatModel(ToolPicker):
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

    model_name: str = Field(default="diffagent-retrieval", alias="model")
    """What traces call this model."""

    @property
    def _llm_type(self) -> str:
        return "diffagent-retrieval"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        ranked_by = self.shortlister
        name = ranked_by.embedder.name if isinstance(ranked_by, Shortlister) else type(ranked_by).__name__
        return {"model_name": self.model_name, "ranked_by": name}

    def answer(
        self, shortlist: Shortlist, offers: list[Offer], attempts: list[PastAttempt], choice: str | None
    ) -> AIMessage:
        """Call the tool that ranks first, of those that did not fail."""
        hits = {hit.spec.id: hit for hit in shortlist.hits}
        ranked = sorted(offers, key=lambda offer: _rank(offer, hits, list(hits)))
        if choice is None:
            usable = [offer for offer in ranked if shortlist.fits and _fits(offer, hits)]
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
        return calling(name, arguments)


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
