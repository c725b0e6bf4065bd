"""Retrain the whole pocket world: `python -m finetune.pocket.train --out DIR [--quick] [--install]`.

Stages that do not need one another run side by side, each in a process of its own. Every stage keeps its state and its
result under `DIR/work`, so a run that was stopped goes on where it was; the finished world is written to `DIR/pocket`.
With `--install` it replaces the shipped one, and the reward is calibrated on it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from finetune.pocket.recipe import FULL, QUICK, Recipe

POLL_SECONDS = 0.5
WORLD_FOLDERS = ("config", "weights", "reward", "records")


def stage_needs(recipe: Recipe) -> dict[str, tuple[str, ...]]:
    """Every stage of a recipe with the stages whose results it reads, in an order that respects them."""
    checkpoints = tuple(f"checkpoint:{domain}" for domain in recipe.domains)
    loras = tuple(f"lora:{style}" for style in recipe.styles)
    return {
        "vae": (),
        "text": (),
        "reward": (),
        "base": ("vae", "text"),
        **dict.fromkeys(checkpoints, ("base",)),
        **dict.fromkeys(loras, checkpoints),
        "embedding": checkpoints,
        "decoder": ("vae",),
        "export": (*loras, "embedding", "decoder", "reward"),
    }


def run(recipe: Recipe, out: Path, workers: int) -> None:
    """Run every stage that has no result yet, at most `workers` at a time, with one progress bar each.

    Raises:
        SystemExit: A stage failed; its output is in `DIR/work/STAGE.log`. Or `out` belongs to another recipe.
    """
    work = out / "work"
    work.mkdir(parents=True, exist_ok=True)
    _claim(work, recipe.name)
    needs = stage_needs(recipe)
    done = {name for name in needs if _done_mark(work, name).exists()}
    running: dict[str, subprocess.Popen[bytes]] = {}
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:24}"), BarColumn(), TextColumn("{task.fields[note]}"), TimeElapsedColumn())
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with Progress(*columns, console=console) as progress:
        bars: dict[str, TaskID] = {}
        try:
            while len(done) < len(needs):
                ready = [n for n in needs if n not in done and n not in running and done.issuperset(needs[n])]
                for name in ready[: workers - len(running)]:
                    command = [sys.executable, "-m", "finetune.pocket.stages", str(out), recipe.name, name]
                    with (work / f"{_file_name(name)}.log").open("ab") as log:
                        running[name] = subprocess.Popen(command, stdout=log, stderr=log, env=environment)  # noqa: S603
                    bars[name] = progress.add_task(name, total=None, note="")
                time.sleep(POLL_SECONDS)
                for name, process in list(running.items()):
                    _show(progress, bars[name], work, name)
                    if process.poll() is None:
                        continue
                    del running[name]
                    if process.returncode:
                        sys.exit(f"stage {name!r} failed; see {work / _file_name(name)}.log, then run the same command")
                    _done_mark(work, name).touch()
                    done.add(name)
                    progress.update(bars[name], total=1, completed=1, note="done")
        finally:
            for process in running.values():
                process.terminate()


def install(world: Path) -> None:
    """Replace the package's pocket world with a trained one."""
    from tool_specs.pocket import POCKET_DIR

    for name in WORLD_FOLDERS:
        shutil.rmtree(POCKET_DIR / name, ignore_errors=True)
        shutil.copytree(world / name, POCKET_DIR / name)


def _claim(work: Path, recipe: str) -> None:
    """Put the recipe's name on a work folder: results of one recipe are of no use to another.

    Raises:
        SystemExit: It has the name of another recipe.
    """
    mark = work / "recipe"
    before = mark.read_text() if mark.exists() else recipe
    if before != recipe:
        sys.exit(f"{work} holds results of the {before!r} recipe, not of {recipe!r}: choose another --out")
    mark.write_text(recipe)


def _file_name(stage: str) -> str:
    return stage.replace(":", "_").replace(" ", "_")


def _done_mark(work: Path, stage: str) -> Path:
    return work / f"{_file_name(stage)}.done"


def _show(progress: Progress, bar: TaskID, work: Path, stage: str) -> None:
    """Move a stage's bar to the last line of its log of losses."""
    logs = sorted(work.glob(f"{_file_name(stage)}*.jsonl"), key=lambda log: log.stat().st_mtime)
    if not logs:
        return
    complete, _, _ = logs[-1].read_text().rpartition("\n")
    if complete:
        row = json.loads(complete.splitlines()[-1])
        progress.update(bar, total=row["steps"], completed=row["step"], note=f"loss {row['loss']:.4f}")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where states and results are kept")
    parser.add_argument("--quick", action="store_true", help="a throw-away world in about two minutes")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="stages at a time")
    parser.add_argument("--install", action="store_true", help="put the finished world into the package, and calibrate")
    options = parser.parse_args()
    run(QUICK if options.quick else FULL, options.out, options.workers)
    if options.install:
        install(options.out / "pocket")
        from finetune.pocket.calibrate import calibrate_pocket

        calibrate_pocket()


if __name__ == "__main__":
    main()
