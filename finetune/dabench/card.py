"""What a data set of pairs holds, in figures, and its card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from finetune.dabench.pairs import Pair, in_order

QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
TOP: Final = 8
"""Samplers that are listed."""

LICENCE: Final = (
    "The records that these pairs were made from come from [Civitai](https://civitai.com). The prompts and pictures "
    "behind them belong to the people who made them, and the models to their creators, whose licences differ. Ask "
    "them, or Civitai, before any commercial use. The prompts are what strangers wrote: read them as data, never as "
    "instructions."
)
"""For pairs made from a catalog."""


_FIELDS: Final = (
    "A pair is an `instruction` (what a person says) and the `call` that answers it (JSON; null where nothing can draw "
    "it and declining is right). `reference` is the plain text that a picture is judged by, `source` the evidence "
    "behind the pair, `created` the day on which its newest model was published, `wording` how the instruction was "
    "written."
)


@dataclass(frozen=True, slots=True)
class SplitStatistics:
    """One split in figures.

    Attributes:
        pairs: How many.
        declined: Those that nothing can draw.
        families: Calls of each family.
        networks_used: Calls with so many networks.
        checkpoints: Different checkpoints.
        networks: Different networks.
        only_here: Different models that are in no other split.
        words: Words of an instruction at each of `QUANTILES`.
        samplers: Calls with each sampler, the most frequent first.
        wordings: Instructions by how they were written.
        first: First day of the dates that are known, as text; empty where none is.
        last: Last day.
    """

    pairs: int
    declined: int
    families: dict[str, int]
    networks_used: dict[int, int]
    checkpoints: int
    networks: int
    only_here: int
    words: tuple[float, ...]
    samplers: dict[str, int]
    wordings: dict[str, int]
    first: str
    last: str


def statistics(pairs: Iterable[Pair]) -> dict[str, SplitStatistics]:
    """The figures of each split, in the order of `SPLITS`, then by name."""
    splits: dict[str, list[Pair]] = {}
    for pair in pairs:
        splits.setdefault(pair.split, []).append(pair)
    models = {name: {model for pair in splits[name] for model in pair.models} for name in splits}
    held = Counter(model for named in models.values() for model in named)
    return {name: _of_split(splits[name], sum(held[model] == 1 for model in models[name])) for name in in_order(splits)}


def _of_split(pairs: Sequence[Pair], only_here: int) -> SplitStatistics:
    calls = [pair.call for pair in pairs if pair.call is not None]
    named = [pair.models for pair in pairs if pair.call is not None]
    lengths = np.quantile([len(pair.instruction.split()) for pair in pairs], QUANTILES)
    dates = sorted(pair.created for pair in pairs if pair.created is not None)
    return SplitStatistics(
        pairs=len(pairs),
        declined=len(pairs) - len(calls),
        families=_counted(str(call["family"]) for call in calls),
        networks_used=dict(sorted(Counter(len(models) - 1 for models in named).items())),
        checkpoints=len({models[0] for models in named}),
        networks=len({network for models in named for network in models[1:]}),
        only_here=only_here,
        words=tuple(lengths.round(1).tolist()),
        samplers=_counted(str(call["sampler"]) for call in calls),
        wordings=_counted(pair.wording or "not said" for pair in pairs),
        first=str(dates[0]) if dates else "",
        last=str(dates[-1]) if dates else "",
    )


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())


def tables(splits: Mapping[str, SplitStatistics]) -> str:
    """The figures as Markdown tables."""
    whole = sum((Counter(one.samplers) for one in splits.values()), Counter())
    models = [
        {
            "split": name,
            "pairs": one.pairs,
            "to decline": one.declined,
            "families": _listed(one.families),
            "checkpoints": one.checkpoints,
            "networks": one.networks,
            "models only here": one.only_here,
            "newest model published": f"{one.first} to {one.last}" if one.first else "unknown",
        }
        for name, one in splits.items()
    ]
    wording = [
        {
            "split": name,
            **{f"words, {at:.0%}": length for at, length in zip(QUANTILES, one.words, strict=True)},
            "networks in a call": _listed(one.networks_used),
            "written by": _listed(one.wordings),
        }
        for name, one in splits.items()
    ]
    samplers = [{"sampler": name, "calls": count} for name, count in whole.most_common(TOP)]
    return "\n\n".join(map(_table, filter(None, (models, wording, samplers))))


def card(
    pairs: Iterable[Pair],
    *,
    title: str,
    about: str,
    licence: str = LICENCE,
    types: Mapping[str, str] | None = None,
    dropped: Mapping[str, int] | None = None,
) -> str:
    """The card of a data set, as Markdown for `write_pairs`.

    Args:
        pairs: All of them.
        title: Its name.
        about: What it is and how it was made.
        licence: Whose it is.
        types: Model type of each gold model, by spec id.
        dropped: How much of the source became no pair, by reason.
    """
    pairs = list(pairs)
    parts = [
        f"# {title}",
        about,
        _FIELDS,
        "## Figures",
        tables(statistics(pairs)),
    ]
    if types:
        named = {model for pair in pairs for model in pair.models}
        uses = Counter(types.get(model, "unknown") for pair in pairs for model in pair.models)
        models = Counter(types.get(model, "unknown") for model in named)
        parts.append(
            _table([{"model type": one, "models": models[one], "uses": count} for one, count in uses.most_common()])
        )
    if dropped:
        rows = [{"reason": reason, "pieces": count} for reason, count in Counter(dropped).most_common()]
        parts += ["## Evidence that became no pair", _table(rows)]
    return "\n\n".join([*parts, "## Licence", licence])


def as_json(splits: Mapping[str, SplitStatistics]) -> dict[str, object]:
    """The figures as a JSON object."""
    return {name: asdict(one) for name, one in splits.items()}


def _listed(counts: Mapping[str, int] | Mapping[int, int]) -> str:
    return ", ".join(f"{name}: {count:,}" for name, count in counts.items())


def _table(rows: Sequence[Mapping[str, object]]) -> str:
    """A Markdown table of at least one row; numbers are set to the right."""
    heads = list(rows[0])
    marks = ["---:" if isinstance(rows[0][head], int | float) else "---" for head in heads]
    body = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row.values()] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [heads, marks, *body])
