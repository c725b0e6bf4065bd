"""Which calls are drawn together, and from which seeds."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING

from tool_specs.calls.seeds import MAX_SEED

if TYPE_CHECKING:
    from tool_specs.calls import Call


def with_seed(call: Call) -> Call:
    """The call itself, or with a random seed where it has none."""
    return call if call.seed is not None else call.model_copy(update={"seed": secrets.randbelow(MAX_SEED + 1)})


def grouped(calls: Sequence[Call], key: Callable[[Call], Hashable]) -> list[list[int]]:
    """The places of calls with equal keys, in the order in which the keys first appear."""
    groups: dict[Hashable, list[int]] = {}
    for place, call in enumerate(calls):
        groups.setdefault(key(call), []).append(place)
    return list(groups.values())


def passes(calls: Sequence[Call]) -> Iterator[list[int]]:
    """The places of calls that differ by their seeds alone; all those of one checkpoint before the next one."""
    for of_checkpoint in grouped(calls, lambda call: call.checkpoint):
        chosen = [calls[place] for place in of_checkpoint]
        for alike in grouped(chosen, lambda call: call.model_copy(update={"seed": None})):
            yield [of_checkpoint[place] for place in alike]
