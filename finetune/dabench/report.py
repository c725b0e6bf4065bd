"""The evaluation as Markdown with plots."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from finetune.dabench.bootstrap import RESAMPLES, Interval
from finetune.dabench.measures import CFG_TOLERANCE, STEPS_TOLERANCE, WEIGHT_TOLERANCE
from finetune.dabench.pairs import Pair
from finetune.dabench.plots import latency_plot, measure_plot
from finetune.dabench.results import Result
from finetune.dabench.summary import Summary, summarise
from tool_specs.exceptions import ConfigError
from tool_specs.whole_files import written_whole

FILE_NAME: Final = "report.md"
REWARD_PLOT: Final = "reward.png"
CHECKPOINT_PLOT: Final = "checkpoint.png"
LATENCY_PLOT: Final = "latency.png"
NOTHING: Final = "–"

_NOTES: Final = f"""\
- A mean stands with its 95 % interval (percentile bootstrap over pairs, {RESAMPLES:,} resamples); differences are
  paired.
- reward: over all drawable requests. **One that was declined, or whose call was invalid or gave no picture, counts 0.**
  "drawn only" is the mean over the calls that gave a picture without fault. Of several pictures of a call the mean
  counts, in which one with a fault is 0; "no picture" are the calls of which all pictures have one.
- checkpoint, LoRAs: over all drawable requests; without a valid call nothing is right. Versions of a model are one.
- parameters: over valid calls for drawable requests: the same sampler; steps within {STEPS_TOLERANCE:.0%}; cfg scale
  within {CFG_TOLERANCE:g}; the same size; the weights of networks that both calls have within {WEIGHT_TOLERANCE:g}.
  "agreement" is their mean.
- invented names, invalid calls: of the answers that call. A name is invented when the catalog does not hold it.
- declining is right where nothing can draw the request.
- seconds: from the question to the planner's answer, without the retrieval of its shortlist and drawing. Planners
  without a language model search once more to answer, and that search counts.
"""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its head, the measure, and whether it is a share."""

    head: str
    measure: str
    share: bool = True


CALLS: Final = (
    Column("reward", "reward", share=False),
    Column("reward, drawn only", "reward_drawn", share=False),
    Column("checkpoint @1", "checkpoint"),
    Column("LoRAs exact @1", "loras_exact"),
    Column("LoRAs F1 @1", "loras_f1", share=False),
    Column("agreement", "agreement", share=False),
)
DECLINES: Final = (
    Column("precision", "decline_precision"),
    Column("recall", "decline_recall"),
)
PARAMETERS: Final = (
    Column("sampler", "sampler"),
    Column("steps", "steps"),
    Column("cfg scale", "cfg_scale"),
    Column("size", "size"),
    Column("LoRA weight", "weight"),
)
COMPARED: Final = tuple(column for column in CALLS if column.measure != "loras_f1")


def write_report(
    folder: Path,
    pairs: Sequence[Pair],
    results: Sequence[Result],
    *,
    compare: Sequence[tuple[str, str]] = (),
    about: Mapping[str, str] | None = None,
) -> Path:
    """Write `FILE_NAME` and its plots.

    Args:
        folder: Where to.
        pairs: The pairs that were asked.
        results: One row for each pair and planner.
        compare: Planners to compare, first minus second. Default: each other planner with the first.
        about: What the evaluation is of, for its head.

    Returns:
        The report.

    Raises:
        ConfigError: A planner to compare was not asked, the folder cannot be written to, or matplotlib is missing.
    """
    summaries = summarise(pairs, results)
    planners = list(dict.fromkeys(row.planner for row in results))
    chosen = list(compare) or [(other, planners[0]) for other in planners[1:]]
    if unknown := {name for names in chosen for name in names} - set(planners):
        msg = f"{min(unknown)!r} cannot be compared: it was not asked; the planners are {', '.join(planners)}"
        raise ConfigError(msg)
    if any(summary.drawn for summary in summaries):
        plots = {REWARD_PLOT: measure_plot(summaries, "reward", "reward")}
    else:
        plots = {CHECKPOINT_PLOT: measure_plot(summaries, "checkpoint", "share of right checkpoints")}
    plots[LATENCY_PLOT] = latency_plot(summaries)
    text = markdown(summaries, chosen, about or {}, list(plots))
    for name, content in {**plots, FILE_NAME: text.encode()}.items():
        _write(folder / name, content)
    return folder / FILE_NAME


def markdown(
    summaries: Sequence[Summary],
    compare: Sequence[tuple[str, str]],
    about: Mapping[str, str],
    plots: Iterable[str] = (),
) -> str:
    """The report's text.

    Args:
        summaries: One for each split.
        compare: Planners to compare, first minus second.
        about: For the head.
        plots: Files to show.
    """
    lines = ["# DABench: evaluation", "", *(f"- {name}: {value}" for name, value in about.items()), "", _NOTES]
    lines += [f"![{Path(plot).stem}]({plot})" for plot in plots]
    for summary in summaries:
        lines += _section(summary, compare)
    return "\n".join(lines) + "\n"


def _section(summary: Summary, compare: Sequence[tuple[str, str]]) -> Iterator[str]:
    first = summary.intervals[summary.planners[0]]
    impossible = len(summary.pairs) - summary.drawable
    yield f"\n## {summary.split}"
    yield f"{len(summary.pairs):,} pairs: {summary.drawable:,} can be drawn, {impossible:,} cannot."
    yield (
        f"On the shortlist: the gold checkpoint in {cell(first['checkpoint_offered'])} of the drawable requests, all "
        f"gold LoRAs in {cell(first['loras_offered'])} (F1 at most {cell(first['loras_f1_offered'], share=False)})."
    )
    yield "\n### Calls"
    yield from _measures(summary, CALLS)
    yield "\n### Names and refusals"
    heads = ("answers that call", "invented names", "invalid calls", "no picture")
    rows = {planner: _faults(summary.intervals[planner]) for planner in summary.planners}
    yield from _table(("planner", *heads), rows)
    yield "\nDeclining:\n"
    yield from _measures(summary, DECLINES)
    yield "\n### Parameters"
    yield from _measures(summary, PARAMETERS)
    yield "\n### Cost"
    heads = ("seconds, p50", "seconds, p95", "tokens read", "tokens written")
    yield from _table(("planner", *heads), {planner: _costs(summary, planner) for planner in summary.planners})
    if compare:
        yield "\n### Paired differences"
        columns = [column for column in COMPARED if summary.drawn or not column.measure.startswith("reward")]
        rows = {f"{one} − {other}": _differences(summary.differences(one, other), columns) for one, other in compare}
        yield from _table(("planners", *(column.head for column in columns)), rows)
        yield "\n**Bold**: the interval excludes 0."
    wordings = {pair.wording for pair in summary.pairs}
    if len(wordings) > 1:
        measure, share = ("reward", False) if summary.drawn else ("checkpoint", True)
        yield f"\n### By wording: {measure}"
        by_wording = {
            wording or NOTHING: [cell(one[planner], share=share) for planner in summary.planners]
            for wording, one in summary.by_wording(measure).items()
            if any(interval.n for interval in one.values())
        }
        yield from _table(("wording", *summary.planners), by_wording)


def _measures(summary: Summary, columns: Sequence[Column]) -> list[str]:
    rows = {
        planner: [cell(summary.intervals[planner][column.measure], share=column.share) for column in columns]
        for planner in summary.planners
    }
    return _table(("planner", *(column.head for column in columns)), rows)


def _faults(measured: Mapping[str, Interval]) -> list[str]:
    """How often: at a rate of 0 an interval by resampling would be empty, so the count stands beside it instead."""
    return [f"{measured['invalid'].n:,}", *(_count(measured[name]) for name in ("invented", "invalid", "faulty"))]


def _costs(summary: Summary, planner: str) -> list[str]:
    measured = summary.intervals[planner]
    tokens = [measured[name].mean for name in ("input_tokens", "output_tokens")]
    seconds = [summary.seconds(planner, quantile) for quantile in (0.5, 0.95)]
    return [*(_number(one, ".3f") for one in seconds), *(_number(one, ",.0f") for one in tokens)]


def _differences(found: Mapping[str, Interval], columns: Sequence[Column]) -> list[str]:
    cells = [(found[column.measure], cell(found[column.measure], share=column.share, sign="+")) for column in columns]
    return [f"**{cell}**" if one.excludes_zero else cell for one, cell in cells]


def cell(one: Interval, *, share: bool = True, sign: str = "") -> str:
    """A mean with its interval."""
    if not one.n:
        return NOTHING
    if share:
        return f"{100 * one.mean:{sign}.1f} % [{100 * one.low:{sign}.1f}, {100 * one.high:{sign}.1f}]"
    return f"{one.mean:{sign}.3f} [{one.low:{sign}.3f}, {one.high:{sign}.3f}]"


def _count(one: Interval) -> str:
    return f"{100 * one.mean:.1f} % ({round(one.mean * one.n):,} of {one.n:,})" if one.n else NOTHING


def _number(value: float, form: str) -> str:
    return NOTHING if math.isnan(value) else f"{value:{form}}"


def _table(heads: Sequence[str], rows: Mapping[str, Sequence[str]]) -> list[str]:
    """A Markdown table; the first cell of each row is its name."""
    lines = [["", *map(_escaped, heads)], ["", "---", *["---:"] * (len(heads) - 1)]]
    lines += [["", _escaped(name), *cells] for name, cells in rows.items()]
    return [" | ".join(line).strip() + " |" for line in lines]


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as partial:
            partial.write_bytes(content)
    except OSError as error:
        msg = f"{path} cannot be written ({error.strerror or error}); choose another folder"
        raise ConfigError(msg) from error
