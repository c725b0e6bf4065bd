"""Which pair goes into which split, by hashes: the same evidence and seed always give the same splits."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from finetune.dabench.calls import Dropped
from tool_specs.naming import model_id_of

NEAR_HELD_BACK: Final = "it is a near-duplicate of a pair that is held back"
NEAR_GIVEN: Final = "it is a near-duplicate of a pair whose split the archive gives"

COMMON: Final = 0.01
"""A model with a larger share of the pairs is never made unseen: new models are not used so much."""
_PRECEDENCE: Final = ("unseen", "time")


class Shares(BaseModel):
    """How large the splits are; training gets the rest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dev: float = Field(default=0.05, ge=0, le=0.4)
    """Of the clusters."""
    test: float = Field(default=0.1, ge=0, le=0.4)
    """Of the clusters."""
    unseen: float = Field(default=0.05, ge=0, le=0.4)
    """Of the gold models."""
    time: float = Field(default=0.05, ge=0, le=0.4)
    """Of the pairs whose date is known, the newest."""


@dataclass(frozen=True, slots=True)
class Member:
    """What of a pair decides about its split."""

    id: str
    models: tuple[str, ...]
    """Spec ids of the gold models."""
    created: date | None
    """When the newest gold model was published."""
    given: str = ""
    """The split that its source gave it; empty where it does not say."""

    @property
    def model_ids(self) -> frozenset[int]:
        """The gold models, whatever their versions."""
        return frozenset(model_id_of(model) for model in self.models)


def assign(members: Sequence[Member], clusters: Sequence[int], shares: Shares, seed: int) -> list[str | Dropped]:
    """The split of each pair.

    A split that is given is kept. What is near to such a pair without a split of its own is left out, and for the rest:

    - "unseen" gets every pair that uses a model out of a seeded share of all gold models: no other split has one.
    - "time" gets every other pair whose newest model was published after a date, chosen so that at most the share of
      them is newer, if it has a model that no older pair has: a new version of an old model is nothing new.
    - Of a cluster with a pair in one of these, everything else is left out.
    - Any other cluster goes to "dev", "test" or "train" as a whole by the hash of its least id; one that would ask dev
      or test for a version of a model that training does not know stays in training.

    Args:
        members: The pairs.
        clusters: For each pair, the number of its cluster of near-duplicates.
        shares: How large the splits are.
        seed: Another one gives other splits.
    """
    settled = {cluster for one, cluster in zip(members, clusters, strict=True) if one.given}
    known = frozenset(model for one in members if one.given for model in one.model_ids)
    ours = [place for place, cluster in enumerate(clusters) if cluster not in settled]
    splits: list[str | Dropped] = [one.given or Dropped(NEAR_GIVEN) for one in members]
    chosen = _assign([members[place] for place in ours], [clusters[place] for place in ours], shares, seed, known)
    for place, split in zip(ours, chosen, strict=True):
        splits[place] = split
    return splits


def _assign(
    members: Sequence[Member], clusters: Sequence[int], shares: Shares, seed: int, known: frozenset[int]
) -> list[str | Dropped]:
    """The splits of pairs that have none yet; `known` are models that can no longer be new, since others use them."""
    unseen = _unseen_models(members, shares.unseen, seed) - known
    newest = _first_date(members, unseen, shares.time)
    held = _of_new_models(members, [_held_back(one, unseen, newest) for one in members], known)
    groups: dict[int, list[int]] = defaultdict(list)
    for place, cluster in enumerate(clusters):
        groups[cluster].append(place)
    splits: list[str | Dropped] = [Dropped(NEAR_HELD_BACK)] * len(members)
    rest: dict[int, str] = {}
    for cluster, places in groups.items():
        name = next((name for name in _PRECEDENCE if any(held[place] == name for place in places)), "")
        if not name:
            rest[cluster] = _by_hash(min(members[place].id for place in places), shares, seed)
        for place in places:
            if name and held[place] == name:
                splits[place] = name
    for cluster, name in _answerable(rest, groups, members).items():
        for place in groups[cluster]:
            splits[place] = name
    return splits


def _unseen_models(members: Sequence[Member], share: float, seed: int) -> frozenset[int]:
    """A model is unseen or not by its own hash, so more evidence changes nothing for those that are there."""
    counts = Counter(model for one in members for model in one.model_ids)
    rare = (model for model, count in counts.items() if count <= max(1, COMMON * len(members)))
    return frozenset(model for model in rare if _fraction(seed, "unseen", model) < share)


def _first_date(members: Sequence[Member], unseen: frozenset[int], share: float) -> date:
    """The first day whose pairs, with all later ones, are at most a share of those that are dated."""
    dates = Counter(one.created for one in members if one.created and unseen.isdisjoint(one.model_ids))
    room = math.floor(share * sum(dates.values()))
    first = date.max
    for day, count in sorted(dates.items(), reverse=True):
        room -= count
        if room < 0:
            break
        first = day
    return first


def _held_back(one: Member, unseen: frozenset[int], newest: date) -> str:
    if not unseen.isdisjoint(one.model_ids):
        return "unseen"
    return "time" if one.created is not None and one.created >= newest else ""


def _of_new_models(members: Sequence[Member], held: Sequence[str], known: frozenset[int]) -> list[str]:
    """Where pairs are held back; those of "time" only where they have a model that no pair has which is not.

    What is new else is a version of a model that training knows.
    """
    known |= {model for one, name in zip(members, held, strict=True) if not name for model in one.model_ids}
    return ["" if name == "time" and one.model_ids <= known else name for one, name in zip(members, held, strict=True)]


def _by_hash(name: str, shares: Shares, seed: int) -> str:
    fraction = _fraction(seed, "cluster", name)
    if fraction < shares.dev:
        return "dev"
    return "test" if fraction < shares.dev + shares.test else "train"


def _answerable(
    names: Mapping[int, str], groups: Mapping[int, Sequence[int]], members: Sequence[Member]
) -> dict[int, str]:
    """Clusters whose models training does not know stay in training."""
    models = {cluster: {model for place in groups[cluster] for model in members[place].models} for cluster in names}
    known: set[str] = set().union(*(models[cluster] for cluster, name in names.items() if name == "train"))
    return {cluster: name if models[cluster] <= known else "train" for cluster, name in names.items()}


def _fraction(*parts: Hashable) -> float:
    """A number in [0, 1) that is as good as drawn by chance."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
