"""What people read: attempts, calls and models as tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from graphs.state import Attempt, Candidate, JsonDict

PLAIN_WIDTH = 160
"""Columns when the output is no terminal: wide enough that a path stays whole."""
VERDICT_STYLES = {"ok": "green", "poor": "yellow", "fault": "red", "rejected": "magenta"}

Name = Callable[[str], str]


def console(*, stderr: bool = False) -> Console:
    """A console that keeps lines whole when nobody looks at it directly."""
    made = Console(stderr=stderr, highlight=False)
    return made if made.is_terminal else Console(stderr=stderr, highlight=False, width=PLAIN_WIDTH)


def attempts_table(attempts: Sequence[Attempt], best: int | None, name: Name) -> Table:
    """All attempts of a request, the best one marked.

    Args:
        attempts: The attempts.
        best: Number of the best one.
        name: From a spec id to what people call the model.
    """
    table = _table("", "model", "LoRAs", "parameters", "reward", "verdict")
    table.add_column("file", no_wrap=True, overflow="ignore")
    for attempt in attempts:
        call = attempt["call"] or attempt["arguments"]
        style = VERDICT_STYLES[attempt["verdict"]]
        reward = "" if attempt["reward"] is None else f"{attempt['reward']:.2f}"
        # A reason that the reward column says already is left out.
        why = f": {attempt['reason']}" if attempt["verdict"] in ("fault", "rejected") else ""
        table.add_row(
            f"{'★' if attempt['n'] == best else ' '} {attempt['n']}",
            escape(name(attempt["model"]) if attempt["model"] else attempt["tool"]),
            escape(loras_line(call, name)),
            escape(parameters_line(call)),
            reward,
            f"[{style}]{attempt['verdict']}[/]{escape(why)}",
            escape(_short_file(attempt)),
        )
    return table


def models_table(models: Sequence[Candidate]) -> Table:
    """Models of a shortlist, best first."""
    table = _table("model")
    table.add_column("id", no_wrap=True, overflow="ignore")
    for title in ("type", "score", "why"):
        table.add_column(title)
    for one in models:
        table.add_row(
            escape(one["name"]), escape(one["id"]), one["type"], f"{one['score']:.2f}", escape("; ".join(one["why"]))
        )
    return table


def excluded_table(excluded: Sequence[tuple[str, str]]) -> Table:
    """Models that the rules keep out, with the reason."""
    table = _table()
    table.add_column("kept out", no_wrap=True, overflow="ignore")
    table.add_column("reason")
    for name, reason in excluded:
        table.add_row(escape(name), escape(reason))
    return table


def pairs_table(pairs: Mapping[str, str]) -> Table:
    """Names and values, one pair a line."""
    table = _table()
    table.show_header = False
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in pairs.items():
        table.add_row(key, escape(value))
    return table


def parameters_line(call: JsonDict) -> str:
    """The numbers of a call in one line, as far as they are there."""
    parts = {
        "sampler": "{sampler}",
        "steps": "{steps} steps",
        "cfg_scale": "cfg {cfg_scale:g}",
        "width": "{width}x{height}",
        "seed": "seed {seed}",
    }
    known = {key: value for key, value in call.items() if value is not None}
    return ", ".join(text.format(**known) for key, text in parts.items() if key in known)


def loras_line(call: JsonDict, name: Name) -> str:
    """The networks of a call with their weights in one line."""
    loras = call.get("loras")
    if not isinstance(loras, list):
        return ""
    return ", ".join(f"{name(str(one['id']))} {one['weight']:g}" for one in loras if isinstance(one, dict))


def _table(*titles: str) -> Table:
    """A table without lines: what is printed can be copied."""
    return Table(*titles, box=None, pad_edge=False, padding=(0, 2, 0, 0))


def _short_file(attempt: Attempt) -> str:
    """The end of a stored picture's path: enough to tell files apart in a table."""
    if attempt["reference"] is None:
        return ""
    path = Path(attempt["reference"]["path"])
    return f"{path.parent.name}/{path.stem[:12]}….png"
