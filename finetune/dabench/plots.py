"""Two plots of an evaluation: what the planners reach, and how long they take."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Final

from diffagent_tools.devices import require
from finetune.dabench.summary import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH: Final = 7.0
_ROW: Final = 0.34
_MARGIN: Final = 1.1
"""Inches: of a plot, for each planner, and for its title and axis."""


def measure_plot(summaries: Sequence[Summary], measure: str, title: str) -> bytes:
    """A measure by planner with its intervals, one panel for each split, as PNG.

    Raises:
        ConfigError: matplotlib is not installed.
    """

    def draw(axes: Axes, summary: Summary) -> None:
        for place, planner in enumerate(summary.planners):
            one = summary.intervals[planner][measure]
            if one.n:
                axes.plot([one.low, one.high], [place, place], color="C0", linewidth=2)
                axes.plot(one.mean, place, "o", color="C0")
                axes.annotate(f"{one.mean:.3f}", (one.mean, place), (0, 6), textcoords="offset points", ha="center")
        axes.set_xlabel(f"{title} ({summary.split}, 95 % interval)")

    return _plot(summaries, draw)


def latency_plot(summaries: Sequence[Summary]) -> bytes:
    """Median and 95th percentile of the seconds to an answer, by planner, one panel for each split, as PNG.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    require("matplotlib", extra="finetune")
    from matplotlib.ticker import LogLocator

    def draw(axes: Axes, summary: Summary) -> None:
        for place, planner in enumerate(summary.planners):
            middle, late = summary.seconds(planner, 0.5), summary.seconds(planner, 0.95)
            if math.isnan(middle):
                continue
            axes.plot([middle, late], [place, place], color="C1", linewidth=2)
            axes.plot(middle, place, "o", color="C1")
            axes.plot(late, place, "|", color="C1", markersize=12)
            for value in (middle, late):
                axes.annotate(f"{value:.3g}", (value, place), (0, 7), textcoords="offset points", ha="center")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.xaxis.set_minor_formatter("{x:g}")
        axes.set_xlabel(f"seconds to an answer: median to 95th percentile ({summary.split})")

    return _plot(summaries, draw)


def _plot(summaries: Sequence[Summary], draw: Callable[[Axes, Summary], None]) -> bytes:
    require("matplotlib", extra="finetune")
    from matplotlib.figure import Figure

    heights = [_MARGIN + _ROW * len(summary.planners) for summary in summaries]
    # A figure that belongs to no window: nothing of pyplot, so no display and no state of the process.
    figure = Figure(figsize=(_WIDTH, sum(heights)), layout="constrained")
    panels = figure.subplots(len(summaries), squeeze=False, height_ratios=heights)[:, 0]
    for axes, summary in zip(panels, summaries, strict=True):
        draw(axes, summary)
        axes.set_yticks(range(len(summary.planners)), summary.planners)
        axes.set_ylim(len(summary.planners) - 0.4, -0.6)
        axes.grid(axis="x", alpha=0.3)
    picture = BytesIO()
    figure.savefig(picture, format="png", dpi=150)
    return picture.getvalue()
