"""The one training loop: AdamW with warm-up and cosine decay, moving average, log of losses, resumable."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from finetune.pocket.recipe import Stage
from tool_specs.whole_files import written_whole

SAVE_SECONDS = 45.0
WARM_UP_STEPS = 50
GRADIENT_CLIP = 1.0


def training_device() -> torch.device:
    """CUDA where there is any, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def sources(stage: Stage, step: int) -> tuple[np.random.Generator, torch.Generator]:
    """NumPy's and PyTorch's random sources for one step; PyTorch's is the global one, seeded anew."""
    return np.random.default_rng((stage.seed, step)), torch.manual_seed(stage.seed * 1_000_003 + step)


def learning_rate(step: int, stage: Stage) -> float:
    """Linear warm-up, then cosine decay to 2 % of the peak."""
    warm = min(1.0, (step + 1) / min(WARM_UP_STEPS, max(1, stage.steps // 5)))
    return stage.learning_rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / stage.steps)))


def fit(
    name: str,
    module: nn.Module,
    loss_of: Callable[[int], Tensor],
    stage: Stage,
    folder: Path,
    *,
    ema_decay: float | None = None,
    weight_decay: float = 1e-3,
) -> None:
    """Train `module` in place, going on from the last save in `folder` if there is one.

    Batches must depend on the step number alone, so that a resumed run sees the batches it would have seen.

    Args:
        name: Names the save file and the log, which the parent process shows as a progress bar.
        module: What is trained; its parameters with `requires_grad` are optimised.
        loss_of: Step number to scalar loss.
        stage: Steps and learning rate.
        folder: Where `NAME.state.pt` and `NAME.jsonl` are kept.
        ema_decay: If given, the module ends with the moving average of its weights.
        weight_decay: AdamW weight decay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state_path = folder / f"{name}.state.pt"
    weights = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=stage.learning_rate, weight_decay=weight_decay, betas=(0.9, 0.99))
    average = [p.detach().clone() for p in weights]
    start = 0
    if state_path.exists():
        state = torch.load(state_path, weights_only=True)
        start = state["step"]
        optimizer.load_state_dict(state["optimizer"])
        _copy(state["weights"], weights)
        _copy(state["average"], average)

    def save(step: int) -> None:
        state = {"step": step, "optimizer": optimizer.state_dict(), "weights": weights, "average": average}
        with written_whole(state_path) as partial:
            torch.save({**state, "weights": [w.detach() for w in weights]}, partial)

    saved_at = time.monotonic()
    with (folder / f"{name}.jsonl").open("a") as log:
        for step in range(start, stage.steps):
            rate = learning_rate(step, stage)
            for group in optimizer.param_groups:
                group["lr"] = rate
            loss = loss_of(step)
            loss.backward()
            nn.utils.clip_grad_norm_(weights, GRADIENT_CLIP)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if ema_decay is not None:
                decay = min(ema_decay, (step + 1) / (step + 10))
                torch._foreach_lerp_(average, [w.detach() for w in weights], 1 - decay)
            if step % 20 == 0 or step == stage.steps - 1:
                log.write(
                    json.dumps(
                        {"stage": name, "step": step, "steps": stage.steps, "loss": round(loss.item(), 6), "lr": rate}
                    )
                    + "\n"
                )
                log.flush()
            if time.monotonic() - saved_at > SAVE_SECONDS:
                save(step + 1)
                saved_at = time.monotonic()
        save(stage.steps)
    if ema_decay is not None:
        _copy(average, weights)


@torch.no_grad()
def _copy(source: Iterable[Tensor], target: Iterable[Tensor]) -> None:
    for new, old in zip(source, target, strict=True):
        old.copy_(new)
