"""Pictures per second of Ray Serve replicas, beside one process and the formula of docs/scale.md."""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

from rich.console import Console
from rich.table import Table

from diffagent_tools.backends import Backend, DiffusersBackend, RayBackend
from diffagent_tools.backends.ray import RayOptions
from diffagent_tools.backends.ray.cluster import connect
from tool_specs.calls import Call, to_call
from tool_specs.catalog import Catalog

APPLICATION = "diffagent-benchmark"
SOLO_PICTURES = 12


@dataclass(frozen=True, slots=True)
class Solo:
    """One process: seconds of a picture whose checkpoint is loaded, and of loading a checkpoint."""

    draw: float
    load: float


def capacity(replicas: int, solo: Solo, hit_rate: float) -> float:
    """Pictures per second of replicas with a processor each."""
    return replicas / (solo.draw + (1 - hit_rate) * solo.load)


def mixed_calls(count: int, steps: int) -> list[Call]:
    """Calls for the pocket checkpoints in turn, shuffled, no two alike."""
    checkpoints = [spec for spec in Catalog.pocket() if spec.is_checkpoint]
    calls = [
        to_call(checkpoints[seed % len(checkpoints)], {"prompt": "a fox", "seed": seed, "steps": steps})
        for seed in range(count)
    ]
    random.Random(0).shuffle(calls)  # noqa: S311
    return calls


def measured_solo(steps: int) -> Solo:
    """Draw in this process: once to import everything, then for each checkpoint cold and warm."""
    catalog, calls = Catalog.pocket(), mixed_calls(SOLO_PICTURES, steps)
    DiffusersBackend(catalog).draw(calls[0])
    backend = DiffusersBackend(catalog)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for call in calls:
        was_loaded = call.checkpoint in backend.loaded
        seconds[was_loaded].append(backend.draw(call).seconds)
    warm = median(seconds[True])
    return Solo(draw=warm, load=max(0.0, median(seconds[False]) - warm))


def pictures_per_second(backend: Backend, calls: Sequence[Call], callers: int) -> float:
    """Draw calls for several callers at once, after one picture of each of the first calls."""
    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(backend.draw, calls[:callers]))
        started = time.perf_counter()
        list(pool.map(backend.draw, calls[callers:]))
        return (len(calls) - callers) / (time.perf_counter() - started)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()

    solo = measured_solo(options.steps)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    connect("local")
    from ray import serve

    from diffagent_tools.backends.ray.app import app

    table = Table(
        "replicas", "pictures/s", "hit rate", "by the formula", title=f"{options.steps} steps, pocket weights"
    )
    table.add_row("one process", f"{1 / solo.draw:.2f}", "", "")
    calls = mixed_calls(options.pictures, options.steps)
    try:
        serve.start(proxy_location="Disabled")
        for count in sorted({1, options.replicas}):
            arguments = RayOptions(min_replicas=count, max_replicas=count).model_dump()
            serve.run(app(arguments), name=APPLICATION, route_prefix=None)
            backend = RayBackend(application=APPLICATION)
            rate = pictures_per_second(backend, calls, callers=3 * count)
            hits = sum(one.hits for one in backend.reports) / sum(one.drawings for one in backend.reports)
            table.add_row(str(count), f"{rate:.2f}", f"{hits:.2f}", f"{capacity(count, solo, hits):.2f}")
            serve.delete(APPLICATION)
    finally:
        serve.shutdown()
    Console().print(table)
    Console().print(f"one process: {solo.draw:.2f} s a picture, {solo.load:.2f} s to load a checkpoint")


if __name__ == "__main__":
    main()
