"""What a planner has to beat: planners that know the training pairs but no language, or nothing at all.

Each takes the place of any chat model with tools. Retrieval alone is `RetrievalChatModel`.
"""

from __future__ import annotations

import random
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final, cast

import numpy as np
from langchain_core.messages import AIMessage
from pydantic import Field

from diffagent_tools.benchmarks.shortlist.rivals import Rival, bm25
from diffagent_tools.chat_models.attempts import PastAttempt
from diffagent_tools.chat_models.calling import calling
from diffagent_tools.chat_models.offers import Offer
from diffagent_tools.chat_models.picker import ToolPicker
from diffagent_tools.chat_models.writing import recommended_arguments, write_prompt
from diffagent_tools.planning import REFUSAL
from finetune.dabench.pairs import Pair
from tool_specs.calls import Call, parse_call
from tool_specs.naming import model_id_of
from tool_specs.ranking.texts import words
from tool_specs.search.shortlist import Shortlist

NEIGHBOURS: Final = 100
"""Training pairs that are looked through for one whose checkpoint is on offer."""


class Baseline(ToolPicker):
    """A planner that looks neither at what was tried before nor at a tool choice."""

    def answer(
        self,
        shortlist: Shortlist,
        offers: list[Offer],
        attempts: list[PastAttempt],  # noqa: ARG002 - the benchmark asks once
        choice: str | None,  # noqa: ARG002 - and leaves the choice free
    ) -> AIMessage:
        """Call one of the tools, or decline."""
        picked = self._pick(shortlist.request, offers) if offers else None
        if picked is None:
            return AIMessage(REFUSAL)
        offer, arguments = picked
        return calling(offer.name, arguments)

    @abstractmethod
    def _pick(self, request: str, offers: list[Offer]) -> tuple[Offer, Mapping[str, object]] | None:
        """A tool and its arguments; None to decline.

        Args:
            request: What a person asked for.
            offers: The tools, at least one.
        """


class RandomPlanner(Baseline):
    """Any tool with any valid arguments: each value uniform within its schema, any networks. It never declines.

    The prompt alone is written for the request. What it draws depends on the seed and the request.
    """

    seed: int = 0
    """Another seed gives other answers."""
    model_name: str = Field(default="diffagent-random", alias="model")
    """What traces call this model."""

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name, "seed": self.seed}

    def _pick(self, request: str, offers: list[Offer]) -> tuple[Offer, Mapping[str, object]]:
        dice = random.Random(f"{self.seed} {request}")  # noqa: S311 - a baseline, not a secret
        offer = dice.choice(offers)
        networks = sorted(offer.networks)
        most = cast("int", _schema(offer, "loras").get("maxItems", 0)) if networks else 0
        chosen = dice.sample(networks, dice.randint(0, min(most, len(networks))))
        numbers = ("sampler", "steps", "cfg_scale", "width", "height", "clip_skip")
        return offer, {
            "prompt": write_prompt(offer.spec, [self.catalog.get(one) for one in chosen], request, self.shortlister),
            "negative_prompt": "",
            **{name: _any_value(_schema(offer, name), dice) for name in numbers},
            "seed": None,
            "loras": [{"id": one, "weight": round(dice.uniform(-2, 2), 2)} for one in chosen],
        }


class TrainedBaseline(Baseline):
    """A planner that knows the training pairs."""

    pairs: Sequence[Pair] = Field(exclude=True, repr=False)
    """The training pairs."""


class PopularityPlanner(TrainedBaseline):
    """What training used most of what is on offer, with recommended parameters. It never declines.

    Uses are counted for a checkpoint and its networks together, by model and not by version. When none of the tools was
    used in training, the first one is called without networks.
    """

    model_name: str = Field(default="diffagent-popularity", alias="model")
    """What traces call this model."""

    @cached_property
    def _uses(self) -> list[tuple[int, ...]]:
        """Model ids of checkpoint and networks, those used most first."""
        uses = Counter(tuple(model_id_of(one) for one in pair.models) for pair in self.pairs if pair.call is not None)
        return [models for models, _ in uses.most_common()]

    def _pick(self, request: str, offers: list[Offer]) -> tuple[Offer, Mapping[str, object]]:
        checkpoints = {offer.spec.model_id: offer for offer in reversed(offers)}
        favourite = next((models for models in self._uses if models[0] in checkpoints), None)
        offer = offers[0] if favourite is None else checkpoints[favourite[0]]
        on_offer = {model_id_of(one): one for one in offer.networks}
        wanted = () if favourite is None else favourite[1:]
        networks = [self.catalog.get(on_offer[model]) for model in wanted if model in on_offer]
        return offer, recommended_arguments(offer, networks, request, self.shortlister)


class NearestPromptPlanner(TrainedBaseline):
    """Copies the call of the training pair whose instruction is nearest by BM25; only the prompt is of this request.

    Pairs whose checkpoint is not on offer are passed over, and networks that are not are left out. It declines where
    the nearest pair was declined, and where no pair near enough will do.
    """

    model_name: str = Field(default="diffagent-nearest-prompt", alias="model")
    """What traces call this model."""

    @cached_property
    def _nearness(self) -> Rival:
        return bm25([words(pair.instruction) for pair in self.pairs])

    def _pick(self, request: str, offers: list[Offer]) -> tuple[Offer, Mapping[str, object]] | None:
        checkpoints = {offer.spec.model_id: offer for offer in reversed(offers)}
        scores = self._nearness(request) if self.pairs else np.zeros(0, dtype=np.float32)
        for place in np.argsort(-scores, kind="stable")[:NEIGHBOURS]:
            call = self.pairs[place].call
            if call is None or scores[place] <= 0:
                return None
            gold = parse_call(call)
            if offer := checkpoints.get(model_id_of(gold.checkpoint)):
                return offer, self._copied(gold, offer, request)
        return None

    def _copied(self, gold: Call, offer: Offer, request: str) -> dict[str, object]:
        on_offer = {model_id_of(one): one for one in offer.networks}
        uses = {on_offer[model_id_of(use.id)]: use.weight for use in gold.loras if model_id_of(use.id) in on_offer}
        networks = [self.catalog.get(one) for one in uses]
        return {
            **{name: value for name, value in gold.model_dump().items() if name in offer.properties},
            "prompt": write_prompt(offer.spec, networks, request, self.shortlister),
            "seed": None,
            "loras": [{"id": one, "weight": weight} for one, weight in uses.items()],
        }


def _schema(offer: Offer, name: str) -> Mapping[str, Any]:
    found = offer.properties.get(name)
    return found if isinstance(found, Mapping) else {}


def _any_value(schema: Mapping[str, Any], dice: random.Random) -> object:
    """A value that an argument's JSON schema allows."""
    if "enum" in schema:
        return dice.choice(schema["enum"])
    low, high = schema["minimum"], schema["maximum"]
    return dice.randint(low, high) if schema["type"] == "integer" else round(dice.uniform(low, high), 2)
