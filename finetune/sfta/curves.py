"""Learning curves: the losses that trainings logged, as a plot."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from diffagent_tools.devices import require
from finetune.sfta.logs import read_log


def learning_curves(logs: Mapping[str, Path]) -> bytes:
    """The loss of each training over its steps, and that on held-out rows where it was measured, as PNG.

    Args:
        logs: `log.jsonl` of each training by its name.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    require("matplotlib", extra="finetune")
    from matplotlib.figure import Figure

    # A figure that belongs to no window: nothing of pyplot, so no display and no state of the process.
    figure = Figure(figsize=(3.2 * len(logs), 2.8), layout="constrained")
    panels = figure.subplots(1, len(logs), squeeze=False)[0]
    for axes, (name, path) in zip(panels, logs.items(), strict=True):
        rows = read_log(path)
        trained = [(row.step, row.loss) for row in rows if row.loss is not None]
        held_out = [(row.step, row.eval_loss) for row in rows if row.eval_loss is not None]
        for points, style, label in ((trained, "-", "training"), (held_out, "o--", "held out")):
            if points:
                axes.plot(*zip(*points, strict=True), style, markersize=3, linewidth=1, label=label)
        axes.set_title(name)
        axes.set_xlabel("step")
        axes.set_yscale("log")
        axes.grid(alpha=0.3)
        if held_out:
            axes.legend()
    panels[0].set_ylabel("loss")
    picture = BytesIO()
    figure.savefig(picture, format="png", dpi=130)
    return picture.getvalue()
