"""Measure every workload of both contenders and print the figures: JSON lines, then a Markdown table."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from diffagent_tools.benchmarks.backend.report import Figures, table
from diffagent_tools.benchmarks.backend.workloads import WORKLOADS
from diffagent_tools.benchmarks.backend.worlds import WORLDS
from tool_specs.exceptions import DiffAgentError


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m diffagent_tools.benchmarks.backend", description=__doc__)
    parser.add_argument("--weights", choices=WORLDS, default="pocket", help="sd15, sdxl: 4, 14 GB of random numbers")
    parser.add_argument("--rounds", type=int, default=7, help="times each workload is measured; the median counts")
    parser.add_argument("--compile", action="store_true", help="compile our denoiser")
    parser.add_argument("--workload", action="append", choices=WORKLOADS, help="only this one; may be repeated")
    options = parser.parse_args()
    contenders = {"ours": "compiled" if options.compile else "ours", "plain": "plain"}
    progress = Console(stderr=True)
    results: dict[str, dict[str, Figures]] = {}
    with TemporaryDirectory(prefix="diffagent-bench-") as folder:
        progress.log(f"preparing the {options.weights} weights")
        world = WORLDS[options.weights](Path(folder))
        for workload in options.workload or WORKLOADS:
            results[workload] = {}
            for column, contender in contenders.items():
                progress.log(f"{WORKLOADS[workload].title}: {contender}")
                figures = _measured(contender, workload, options.weights, folder, str(options.rounds))
                results[workload][column] = figures
                print(json.dumps({"workload": workload, "contender": contender, **asdict(figures)}), flush=True)  # noqa: T201
    print(f"\n{options.weights} weights, {world.size}x{world.size}, {world.steps} steps, {world.requests} requests.\n")  # noqa: T201
    print(table(results))  # noqa: T201


def _measured(*arguments: str) -> Figures:
    """A workload in a process of its own, so that none has the memory of the others."""
    command = (sys.executable, "-m", "diffagent_tools.benchmarks.backend.trial", *arguments)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if done.returncode:
        msg = f"{' '.join(arguments[:2])!r} ended with {done.returncode}; what it wrote is above"
        raise DiffAgentError(msg)
    return Figures(**json.loads(done.stdout))


if __name__ == "__main__":
    main()
