"""`DiffusersBackend` beside the plain diffusers script that a user would write, on the pocket weights."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from diffagent_tools.backends import DiffusersBackend
from tool_specs.calls import Call, to_call
from tool_specs.catalog import Catalog
from tool_specs.pocket import pocket_config, pocket_file

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

PROMPT = "a fox on a blue background"


@dataclass(frozen=True, slots=True)
class Row:
    """One workload: seconds of ours and of the rival, medians over the rounds."""

    workload: str
    ours: float
    rival: float


class PlainScript:
    """The rival: load the checkpoint, load the LoRA, draw; everything again for the next picture."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def load(self, call: Call) -> StableDiffusionPipeline:
        """A pipeline for a call, with its LoRA."""
        from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

        pipeline = StableDiffusionPipeline.from_single_file(
            str(self._file(call.checkpoint)), config=str(pocket_config()), local_files_only=True
        )
        pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config, use_karras_sigmas=True)
        pipeline.set_progress_bar_config(disable=True)
        for use in call.loras:
            pipeline.load_lora_weights(str(self._file(use.id)))
        return pipeline

    def draw(self, call: Call, pipeline: StableDiffusionPipeline | None = None) -> None:
        """Draw a call, with a pipeline that is there or with a new one."""
        import torch

        (pipeline or self.load(call))(
            call.prompt,
            num_inference_steps=call.steps,
            guidance_scale=call.cfg_scale,
            width=call.width,
            height=call.height,
            generator=torch.Generator().manual_seed(call.seed or 0),
        )

    def _file(self, spec_id: str) -> str:
        primary = self._catalog.get(spec_id).primary_file
        assert primary is not None
        return str(pocket_file(primary.name))


def seconds(action: Callable[[int], object], rounds: int) -> float:
    """Median time of an action that is told the number of its round."""
    times = []
    for number in range(rounds):
        start = time.perf_counter()
        action(number)
        times.append(time.perf_counter() - start)
    return median(times)


def measure(rounds: int) -> list[Row]:
    """All workloads, each warmed up once."""
    catalog = Catalog.pocket()
    backend, script = DiffusersBackend(catalog, device="cpu"), PlainScript(catalog)
    checkpoints = [spec for spec in catalog if spec.is_checkpoint]
    styles = [spec for spec in catalog if spec.type == "LORA"]

    def call(checkpoint: int, style: int | None = None) -> Call:
        loras = [] if style is None else [{"id": styles[style % len(styles)].id, "weight": 1.0}]
        spec = checkpoints[checkpoint % len(checkpoints)]
        return to_call(spec, {"prompt": PROMPT, "seed": 1, "loras": loras, "sampler": "DPM++ 2M Karras"})

    def warm(one: Call) -> None:
        backend.draw(one)
        script.draw(one)

    warm(call(0))
    kept = script.load(call(0))
    kept(PROMPT, num_inference_steps=2)
    rows = [
        Row(
            "same checkpoint again (rival keeps its pipeline)",
            seconds(lambda _: backend.draw(call(0)), rounds),
            seconds(lambda _: script.draw(call(0), kept), rounds),
        )
    ]
    for number in range(len(styles)):
        backend.draw(call(0, number))
    rows.append(
        Row(
            "another LoRA on the same checkpoint (rival reloads)",
            seconds(lambda number: backend.draw(call(0, number)), rounds),
            seconds(lambda number: script.draw(call(0, number)), rounds),
        )
    )
    for number in range(len(checkpoints)):
        backend.draw(call(number))
    rows.append(
        Row(
            "another checkpoint (rival reloads)",
            seconds(lambda number: backend.draw(call(number)), rounds),
            seconds(lambda number: script.draw(call(number)), rounds),
        )
    )
    return rows


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8, help="times each workload is measured")
    options = parser.parse_args()
    table = Table(
        "workload", "ours, s", "plain diffusers, s", "plain / ours", title="20 steps, 64x64, pocket weights, CPU"
    )
    for row in measure(options.rounds):
        table.add_row(row.workload, f"{row.ours:.2f}", f"{row.rival:.2f}", f"{row.rival / row.ours:.2f}x")
    Console().print(table)
