"""`diffagent-train reproduce`: everything from nothing to the tuned planner and its report."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="reproduce")
@click.option("--pocket", is_flag=True, help="The pocket planner, on the models that ship; the only one so far.")
@click.option("--quick", is_flag=True, help="A few minutes instead of a few hours; what it trains is of no use.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    show_default="pocket-planner; with --quick, pocket-planner-quick",
    help="Folder of all stages; one that was interrupted is gone on with.",
)
def command(pocket: bool, quick: bool, out: Path | None) -> None:
    """Build the data set, train both stages, and evaluate them against the baselines.

    \b
    Examples:
      diffagent-train reproduce --pocket
      diffagent-train reproduce --pocket --quick --out /tmp/quick
    """  # noqa: D301 - the \b is click's mark for lines to keep
    from finetune.pocket.planner.recipe import FULL, QUICK
    from finetune.pocket.planner.reproduce import Reproduction

    if not pocket:
        msg = "say what to reproduce: --pocket is the only choice so far"
        raise click.UsageError(msg)
    folder = out or Path("pocket-planner-quick" if quick else "pocket-planner")
    report = Reproduction(folder, QUICK if quick else FULL).run()
    click.echo(report.read_text(encoding="utf-8"))
    click.echo(f"report: {report}")
