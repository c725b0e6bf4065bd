"""Rollouts: candidate calls for each instruction, drawn and scored; what alignment learns from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from diffagent_tools.chat_models.retrieval import RetrievalChatModel
from diffagent_tools.chat_models.template_variables import TemplateVariables
from diffagent_tools.planning import SHORTLIST_SIZE
from finetune.dabench.drawing import Studio, seed_of
from finetune.dabench.left_out import LeftOut
from finetune.dabench.pairs import Pair
from finetune.json_lines import JsonLines
from finetune.sfta.candidates import Candidate, Variety, candidates
from finetune.sfta.encoding import RankingRow
from finetune.sfta.samples import rendered, sample_of, with_answer
from tool_specs.exceptions import RequestError
from tool_specs.search.shortlist import AnyShortlister

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from transformers import PreTrainedTokenizerBase

REFUSED_RIGHTLY, CALLED_WRONGLY, NOTHING_DRAWN = 1.0, 0.0, 0.0
"""Rewards where no picture says: a refusal of what nothing draws, a call for it, a refusal of what can be drawn."""


class RolloutSettings(BaseModel):
    """What `diffagent-train rollouts` takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Path
    """Folder of the planner; its chat template renders the rows."""
    data: Path
    """A DABench folder."""
    catalog: Path | None = None
    """Folder of a stored catalog; None: the pocket models."""
    split: str = "train"
    out: Path
    """Folder of the rows; those that are there already are not made again."""
    limit: int | None = Field(default=None, gt=0)
    """Pairs to take, the first of the split."""
    sampled: int = Field(default=3, ge=0)
    """Answers to sample for each pair."""
    perturbed: int = Field(default=2, ge=0)
    """Variants of the planner's own call for each pair."""
    temperature: float = Field(default=1.0, gt=0)
    """Of the samples."""
    seeds: int = Field(default=2, gt=0)
    """Pictures of each candidate, whose mean reward counts: the luck of one seed outweighs most parameters."""
    finalists: int = Field(default=3, ge=0)
    """Candidates of each pair that are drawn with more seeds, those that seem best: else the luckiest would win."""
    finalist_seeds: int = Field(default=6, gt=0)
    """Pictures of each of these."""
    shard: int = Field(default=0, ge=0)
    shards: int = Field(default=1, gt=0)
    """Every `shards`-th pair, starting with number `shard`: several processes share the work."""
    workers: Literal["here", "ray"] = "here"
    """Who makes them: this process, or Ray Data on every core of a cluster. The rows are the same."""
    pictures: Path | None = None
    """Keep every picture that is drawn in this folder, with its call inside; what was judged before is not drawn."""
    seed: int = 0

    @property
    def variety(self) -> Variety:
        """How many candidates a pair gets."""
        return Variety(self.sampled, self.perturbed, self.temperature)

    @property
    def rows(self) -> Path:
        """The file of this shard's rows."""
        return self.out / f"rollouts-{self.shard}-of-{self.shards}.jsonl"

    @property
    def judgements(self) -> Path:
        """The folder of what was judged for them."""
        return self.rows.with_suffix("")


class Rollout(RankingRow):
    """The candidates of one instruction with their rewards, in the words of the planner's chat template.

    The id is the pair's; of each candidate there is where it comes from.
    """

    sources: list[str]


class Maker(Protocol):
    """Makes rollouts, here or elsewhere."""

    def rollouts(self, pairs: Sequence[Pair]) -> Iterable[Rollout | LeftOut]:
        """The rollout of each pair as it is ready, in any order, or why there is none."""
        ...


class RolloutMaker:
    """Makes the rollout of a pair.

    Args:
        planner: Proposes.
        tokenizer: Of the planner, with its chat template.
        shortlister: Offers.
        studio: Draws and scores; the candidates of a pair have the same seeds, so that the call makes the difference.
        settings: How many candidates, and from which seed.
        template: Variables of the chat template that the planner is asked with.
    """

    def __init__(
        self,
        planner: BaseChatModel,
        tokenizer: PreTrainedTokenizerBase,
        shortlister: AnyShortlister,
        studio: Studio,
        settings: RolloutSettings,
        *,
        template: TemplateVariables | None = None,
    ) -> None:
        self._planner = planner
        self._tokenizer = tokenizer
        self._shortlister = shortlister
        self._retrieval = RetrievalChatModel(catalog=shortlister.catalog, shortlister=shortlister)
        self._studio = studio
        self._settings = settings
        self._template = template or {}

    def rollout(self, pair: Pair) -> Rollout:
        """Candidates of one pair with their rewards."""
        shortlist = self._shortlister.shortlist(pair.instruction, k=SHORTLIST_SIZE)
        found = candidates(
            self._planner,
            self._retrieval,
            pair.instruction,
            shortlist,
            np.random.default_rng((self._settings.seed, seed_of(pair.id))),
            gold=pair.call,
            variety=self._settings.variety,
        )
        sample = sample_of(pair.id, pair.instruction, shortlist, found[-1].answer)
        rows = [rendered(with_answer(sample, one.answer), self._tokenizer, **self._template) for one in found]
        return Rollout(
            id=pair.id,
            prompt=rows[0]["prompt"],
            responses=[row["completion"] for row in rows],
            rewards=[round(reward, 4) for reward in self._rewards(pair, found)],
            sources=[one.source for one in found],
            template=self._template,
        )

    def rollouts(self, pairs: Sequence[Pair]) -> Iterator[Rollout | LeftOut]:
        """The rollout of each pair, one after the other."""
        return map(self.tried, pairs)

    def tried(self, pair: Pair) -> Rollout | LeftOut:
        """The rollout of one pair, or why the pair cannot be asked."""
        try:
            return self.rollout(pair)
        except RequestError as error:
            return LeftOut(pair=pair.id, reason=str(error))

    def _rewards(self, pair: Pair, found: Sequence[Candidate]) -> list[float]:
        """The reward of each candidate; the best are drawn with more seeds, and so are those that are the best then."""
        rewards = [self._reward(pair, one, self._settings.seeds) for one in found]
        drawn_more: set[int] = set()
        while waiting := {*self._finalists(pair, found, rewards)} - drawn_more:
            for place in waiting:
                rewards[place] = self._reward(pair, found[place], self._settings.finalist_seeds)
            drawn_more |= waiting
        return rewards

    def _finalists(self, pair: Pair, found: Sequence[Candidate], rewards: Sequence[float]) -> list[int]:
        """Places of the best drawn candidates, best first; none where more seeds are no more pictures."""
        if pair.call is None or self._settings.finalist_seeds <= self._settings.seeds:
            return []
        drawn = [place for place, one in enumerate(found) if one.reading.call is not None]
        return sorted(drawn, key=lambda place: -rewards[place])[: self._settings.finalists]

    def _reward(self, pair: Pair, candidate: Candidate, pictures: int) -> float:
        """The mean over so many pictures."""
        call = candidate.reading.call
        if pair.call is None:
            return REFUSED_RIGHTLY if call is None else CALLED_WRONGLY
        if call is None:
            return NOTHING_DRAWN
        drawn = call.model_dump(mode="json")
        return fmean(one.reward for one in self._studio.judgements(drawn, pair, pictures=pictures))


def make_rollouts(
    pairs: Sequence[Pair],
    maker: Maker,
    settings: RolloutSettings,
    *,
    on_pair: Callable[[], None] | None = None,
    on_left_out: Callable[[LeftOut], None] = lambda _: None,
) -> list[Rollout]:
    """Make the rollouts of a shard, each written as soon as it is known.

    Interrupted at any moment, it goes on with the pairs that have no row.

    Args:
        pairs: Of all shards.
        maker: Makes them.
        settings: Of the run.
        on_pair: Called for each pair that is done with.
        on_left_out: Told of each pair that no rollout could be made of.
    """
    lines = JsonLines(settings.rows, Rollout)
    rows = {row.id: row for row in lines.read()}
    shard = shard_of(pairs, settings)
    tell = on_pair or (lambda: None)
    missing = [pair for pair in shard if pair.id not in rows]
    for _ in range(len(shard) - len(missing)):
        tell()
    for row in maker.rollouts(missing):
        if isinstance(row, LeftOut):
            on_left_out(row)
        else:
            rows[row.id] = row
            lines.append(row)
        tell()
    return [rows[pair.id] for pair in shard if pair.id in rows]


def shard_of(pairs: Sequence[Pair], settings: RolloutSettings) -> Sequence[Pair]:
    """The pairs that are this process's to do."""
    return pairs[: settings.limit][settings.shard :: settings.shards]
