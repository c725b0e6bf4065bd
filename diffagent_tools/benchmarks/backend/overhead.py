"""What the backend adds to a whole picture over the bare pipeline: both in one process, in turn.

Between two processes, the same picture differs by more than the backend adds.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.progress import track

from diffagent_tools.benchmarks.backend.contenders import Ours, PlainScript
from diffagent_tools.benchmarks.backend.workloads import seconds_of
from diffagent_tools.benchmarks.backend.worlds import WORLDS, World
from diffagent_tools.devices import quiet_libraries


def seconds_in_turn(world: World, rounds: int) -> tuple[list[float], list[float]]:
    """The processor's seconds of a whole picture with what is loaded.

    Args:
        world: What is drawn with.
        rounds: Pictures of each.

    Returns:
        Those of the backend and those of the plain script, in the order they were drawn.
    """
    call = world.call(world.checkpoints[0], steps=world.steps)
    ours, plain = partial(Ours(world).draw, call), partial(PlainScript(world).draw, call)
    ours()
    plain()
    turns = track(range(rounds), "drawing", console=Console(stderr=True))
    both = [(seconds_of(ours).cpu, seconds_of(plain).cpu) for _ in turns]
    return [first for first, _ in both], [second for _, second in both]


def main() -> None:
    """Measure both and print a line."""
    parser = argparse.ArgumentParser(prog="python -m diffagent_tools.benchmarks.backend.overhead", description=__doc__)
    parser.add_argument("--weights", choices=WORLDS, default="pocket", help="sd15, sdxl: 4, 14 GB of random numbers")
    parser.add_argument("--rounds", type=int, default=40, help="pictures of each; the median counts")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="diffagent-bench-") as folder, quiet_libraries():
        ours, plain = map(median, seconds_in_turn(WORLDS[options.weights](Path(folder)), options.rounds))
    print(f"Over the bare pipeline: {ours / plain - 1:+.1%} (medians {ours:.3f} and {plain:.3f} s of the processor).")  # noqa: T201


if __name__ == "__main__":
    main()
