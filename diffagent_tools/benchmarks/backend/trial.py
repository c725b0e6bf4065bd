"""One workload of one contender, in a process of its own: `… .trial CONTENDER WORKLOAD WEIGHTS FOLDER ROUNDS`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from diffagent_tools.benchmarks.backend.contenders import CONTENDERS
from diffagent_tools.benchmarks.backend.workloads import WORKLOADS
from diffagent_tools.benchmarks.backend.worlds import WORLDS
from diffagent_tools.benchmarks.memory import most_memory_mb
from diffagent_tools.devices import quiet_libraries


def main() -> None:
    """Do the workload and print its figures as JSON."""
    contender, workload, weights, folder, rounds = sys.argv[1:]
    world = WORLDS[weights](Path(folder))
    with quiet_libraries():
        seconds = WORKLOADS[workload].run(CONTENDERS[contender](world), world, int(rounds))
    print(json.dumps({"seconds": seconds.wall, "cpu": seconds.cpu, "memory_mb": most_memory_mb()}))  # noqa: T201 - read by the parent


if __name__ == "__main__":
    main()
