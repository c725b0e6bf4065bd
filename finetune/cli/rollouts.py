"""`diffagent-train rollouts`: draw and score candidate calls for the instructions of a data set."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="rollouts")
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]…")
def command(config: Path | None, overrides: tuple[str, ...]) -> None:
    """Draw and score candidate calls with the settings of CONFIG, a YAML file; KEY=VALUE changes single settings.

    \b
    Examples:
      diffagent-train rollouts model=runs/sft/model data=data/dabench out=runs/rollouts limit=500
      diffagent-train rollouts rollouts.yaml shard=0 shards=4

    Run again, it goes on where it was stopped. Only pocket models are drawn by this command.
    """  # noqa: D301 - the \b is click's mark for lines to keep
    from finetune.settings import load_settings
    from finetune.sfta.rollout_run import run_rollouts
    from finetune.sfta.rollouts import RolloutSettings

    words = [*([str(config)] if config and "=" in str(config) else []), *overrides]
    path = None if config is None or "=" in str(config) else config
    settings = load_settings(RolloutSettings, path, words)
    made = run_rollouts(settings)
    click.echo(f"{len(made)} instructions: {settings.rows}")
