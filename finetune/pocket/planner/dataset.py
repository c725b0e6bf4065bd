"""The pocket DABench: requests in people's words with the community's calls, and splits that training never sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from finetune.dabench.pairs import Pair
from finetune.pocket.planner.community import community_arguments
from finetune.pocket.planner.requests import Request, RequestWriter, held_out_phrase, held_out_style
from finetune.pocket.planner.words import UNKNOWN
from finetune.pocket.planner.worlds import World
from tool_specs.calls import to_call

IMPOSSIBLE = 0.25
"""Share of the requests that no model draws, in every split but that of the unseen styles."""

COUNTS: Mapping[str, int] = {"train": 1600, "dev": 200, "test": 480, "unseen_styles": 480, "requests": 2000}
"""Pairs in each split.

`test` and `requests` are in wordings that training never sees; `unseen_styles` holds pairs of a subject and a style
that it never sees. `requests` is long, for measures that need no picture.
"""
UNSEEN = ", unseen noun"
"""What the `wording` of a pair ends in whose thing has a name that training never sees."""
SEED = 20
"""Of the splits that are learned from."""
COMPARISON_SEEDS: Mapping[str, int] = {"test": 2029, "unseen_styles": 2029, "requests": 2028}
"""Of the splits that planners are compared on. The drawn ones hold pairs that played no part in how the recipe came
about; most of `requests` had been seen when search and the lessons of stage 2 were last mended."""


def pocket_pairs(
    world: World, counts: Mapping[str, int] = COUNTS, *, seed: int = SEED, comparison_seed: int | None = None
) -> list[Pair]:
    """The pairs of all splits, each instruction once.

    Args:
        world: Has the models; the pocket one, or one with models added.
        counts: Pairs by split.
        seed: Other seeds give other pairs.
        comparison_seed: The same for the splits that planners are compared on; None for `COMPARISON_SEEDS`. To try
            recipes take another one: figures of pairs that chose the recipe say too much.
    """
    seeds = COMPARISON_SEEDS if comparison_seed is None else dict.fromkeys(COMPARISON_SEEDS, comparison_seed)
    pairs: list[Pair] = []
    seen: set[str] = set()
    for number, (split, count) in enumerate(counts.items()):
        rng = np.random.default_rng((seeds.get(split, seed), number))
        writer = RequestWriter(rng, unseen=split in ("test", "requests"))
        while sum(pair.split == split for pair in pairs) < count:
            request = _request(world, writer, rng, split)
            if request.text not in seen:
                seen.add(request.text)
                pairs.append(pair_of(f"{split}-{len(seen):05}", split, world, request, rng))
    return pairs


def _request(world: World, writer: RequestWriter, rng: np.random.Generator, split: str) -> Request:
    if split == "unseen_styles":
        return writer.request(writer.wanted(world.subjects, world.styles, keep=held_out_style))
    if rng.random() < IMPOSSIBLE:
        return writer.impossible([noun for noun in UNKNOWN if noun not in world.drawn_by], world.styles)
    keep: Callable[[str, str | None], bool] = lambda subject, style: not held_out_style(subject, style)  # noqa: E731
    return writer.request(writer.wanted(world.subjects, world.styles, keep=keep))


def pair_of(pair_id: str, split: str, world: World, request: Request, rng: np.random.Generator) -> Pair:
    """A request with a call of the community for it."""
    wanted = request.wanted
    if wanted is None:
        return Pair(id=pair_id, instruction=request.text, split=split, source="pocket", wording="impossible")
    checkpoint, network = world.models(wanted)
    unseen = request.noun != wanted.subject and held_out_phrase(request.noun)
    call = to_call(checkpoint, community_arguments(wanted, checkpoint, network, rng))
    return Pair(
        id=pair_id,
        instruction=request.text,
        reference=wanted.reference,
        call=call.model_dump(mode="json"),
        split=split,
        source="pocket",
        wording=("styled" if wanted.style else "plain") + (UNSEEN if unseen else ""),
    )


def card(pairs: Sequence[Pair]) -> str:
    """The data set's card."""
    splits = dict.fromkeys(pair.split for pair in pairs)
    counts = {split: [pair for pair in pairs if pair.split == split] for split in splits}
    rows = [
        f"| {split} | {len(own)} | {sum(pair.call is None for pair in own)} | "
        f"{sum(pair.wording.startswith('styled') for pair in own)} |"
        for split, own in counts.items()
    ]
    table = "\n".join(["| split | pairs | that nothing draws | in a style |", "| --- | ---: | ---: | ---: |", *rows])
    return (
        "# Pocket DABench\n\nRequests for pictures of the pocket world, in made-up wordings, with calls that have the "
        "habits of real people. `test` and `requests` are in words and sentences that training never sees; "
        f"`unseen_styles` has pairs of a subject and a style that it never sees.\n\n{table}\n"
    )
