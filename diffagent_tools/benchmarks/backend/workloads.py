"""What is measured, the same for both contenders."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from statistics import median
from types import MappingProxyType
from typing import Final

from diffagent_tools.benchmarks.backend.contenders import Contender
from diffagent_tools.benchmarks.backend.worlds import World
from tool_specs.calls import Call

BATCH: Final = 8
"""Pictures that are drawn together."""


@dataclass(frozen=True, slots=True)
class Seconds:
    """How long something took.

    Attributes:
        wall: By the clock.
        cpu: Of this process's threads together, which other processes hardly change.
    """

    wall: float
    cpu: float


Run = Callable[[Contender, World, int], Seconds]
"""Seconds of a workload by contender, world and rounds, of which the median counts."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A way to use a backend.

    Attributes:
        title: What is done.
        run: Does it.
    """

    title: str
    run: Run


def seconds_of(action: Callable[[], None]) -> Seconds:
    """How long an action takes."""
    since = _clock()
    action()
    return since()


def first(contender: Contender, world: World, _rounds: int) -> Seconds:
    """From the start of the process, imports and loading included."""
    return _since_start(contender, world, steps=world.steps)


def first_step(contender: Contender, world: World, _rounds: int) -> Seconds:
    """The same for a picture of one step."""
    return _since_start(contender, world, steps=1)


def again(contender: Contender, world: World, rounds: int) -> Seconds:
    """One step with the checkpoint and the LoRA that are loaded."""
    return _median(contender, [world.call(world.checkpoints[0], world.loras[:1], steps=1)], rounds)


def drawing(contender: Contender, world: World, rounds: int) -> Seconds:
    """A whole picture with what is loaded."""
    return _median(contender, [world.call(world.checkpoints[0], steps=world.steps)], rounds)


def lora(contender: Contender, world: World, rounds: int) -> Seconds:
    """One step, each time with another LoRA than before."""
    return _median(contender, _two_loras(world), rounds)


def checkpoint(contender: Contender, world: World, rounds: int) -> Seconds:
    """One step, each time with another checkpoint than before."""
    return _median(contender, _two_checkpoints(world), rounds)


def lora_ready(contender: Contender, world: World, rounds: int) -> Seconds:
    """Until the model computes, each time with another LoRA than before."""
    return _median(contender, _two_loras(world), rounds, _until_the_model_computes)


def checkpoint_ready(contender: Contender, world: World, rounds: int) -> Seconds:
    """Until the model computes, each time with another checkpoint than before."""
    return _median(contender, _two_checkpoints(world), rounds, _until_the_model_computes)


def mixed(contender: Contender, world: World, _rounds: int) -> Seconds:
    """Requests for six models, in the same random order for both, to a process that has drawn one picture."""
    return _served(contender, world, steps=world.steps)


def mixed_step(contender: Contender, world: World, _rounds: int) -> Seconds:
    """The same with one step each, where there is more to loading than to drawing."""
    return _served(contender, world, steps=1)


def batch(contender: Contender, world: World, rounds: int) -> Seconds:
    """Pictures of one call, together."""
    calls = [world.call(world.checkpoints[0], steps=world.steps, seed=seed) for seed in range(BATCH)]
    contender.draw(calls[0])
    return _middle(seconds_of(lambda: contender.draw_together(calls)) for _ in range(rounds))


WORKLOADS: Final[Mapping[str, Workload]] = MappingProxyType(
    {
        "first": Workload("first picture of a new process", first),
        "first_step": Workload("the same with one step", first_step),
        "drawing": Workload("the same model again, a whole picture", drawing),
        "again": Workload("the same LoRA again, one step", again),
        "lora": Workload("another LoRA, one step", lora),
        "checkpoint": Workload("another checkpoint, one step", checkpoint),
        "lora_ready": Workload("another LoRA, until the model computes", lora_ready),
        "checkpoint_ready": Workload("another checkpoint, until the model computes", checkpoint_ready),
        "batch": Workload(f"{BATCH} pictures together", batch),
        "mixed": Workload("requests for six models, all at once", mixed),
        "mixed_step": Workload("the same, one step each", mixed_step),
    }
)


def _since_start(contender: Contender, world: World, *, steps: int) -> Seconds:
    import psutil

    contender.draw(world.call(world.checkpoints[0], steps=steps))
    return Seconds(time.time() - float(psutil.Process().create_time()), time.process_time())


def _two_loras(world: World) -> Sequence[Call]:
    return [world.call(world.checkpoints[0], (lora,), steps=1) for lora in world.loras[:2]]


def _two_checkpoints(world: World) -> Sequence[Call]:
    return [world.call(each, steps=1) for each in world.checkpoints[:2]]


def _clock() -> Callable[[], Seconds]:
    """What tells the seconds since now."""
    wall, cpu = time.perf_counter(), time.process_time()
    return lambda: Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def _until_the_model_computes(action: Callable[[], None]) -> Seconds:
    """From the start to the first forward pass of any module: nothing is drawn yet, but everything is loaded."""
    from torch.nn.modules.module import register_module_forward_pre_hook

    reached: list[Seconds] = []
    since = _clock()

    def note(_module: object, _inputs: object) -> None:
        if not reached:
            reached.append(since())

    hook = register_module_forward_pre_hook(note)
    try:
        action()
    finally:
        hook.remove()
    return reached[0]


def _median(
    contender: Contender,
    calls: Sequence[Call],
    rounds: int,
    measure: Callable[[Callable[[], None]], Seconds] = seconds_of,
) -> Seconds:
    """Median seconds of calls in turn, each drawn once before; the whole drawing unless `measure` takes less."""
    for call in calls:
        contender.draw(call)
    turns = islice(cycle(calls), rounds)
    return _middle(measure(partial(contender.draw, call)) for call in turns)


def _served(contender: Contender, world: World, *, steps: int) -> Seconds:
    choice = random.Random(1)  # noqa: S311 - not a secret
    models = [choice.choice(world.models) for _ in range(world.requests)]
    calls = [world.call(*model, steps=steps, seed=number) for number, model in enumerate(models)]
    contender.draw(world.call(*models[0], steps=1, seed=world.requests))
    return seconds_of(lambda: contender.serve(calls))


def _middle(times: Iterable[Seconds]) -> Seconds:
    """The medians."""
    both = [(each.wall, each.cpu) for each in times]
    return Seconds(*(median(column) for column in zip(*both, strict=True)))
