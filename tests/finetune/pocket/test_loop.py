import pytest
import torch
from torch import Tensor, nn

from finetune.pocket import loop
from finetune.pocket.recipe import Stage

STAGE = Stage(steps=12, batch=1, learning_rate=1e-2, seed=3)


def losses(module: nn.Module, stop_at: int | None = None):
    def loss_of(step: int) -> Tensor:
        if step == stop_at:
            raise KeyboardInterrupt
        batch = torch.randn(8, 4, generator=torch.Generator().manual_seed(step))
        return (module(batch) - batch.sum(1, keepdim=True)).square().mean()

    return loss_of


def fresh() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(4, 1)


@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path, monkeypatch, ema_decay) -> None:
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)
    whole = fresh()
    loop.fit("run", whole, losses(whole), STAGE, tmp_path / "whole", ema_decay=ema_decay)

    stopped = fresh()
    with pytest.raises(KeyboardInterrupt):
        loop.fit("run", stopped, losses(stopped, stop_at=7), STAGE, tmp_path / "parts", ema_decay=ema_decay)
    resumed = nn.Linear(4, 1)
    loop.fit("run", resumed, losses(resumed), STAGE, tmp_path / "parts", ema_decay=ema_decay)

    assert torch.equal(resumed.weight, whole.weight)
    assert torch.equal(resumed.bias, whole.bias)


def test_the_loss_falls_and_is_logged(tmp_path) -> None:
    module = fresh()
    loop.fit("run", module, losses(module), Stage(200, 1, 5e-2, 3), tmp_path)
    rows = (tmp_path / "run.jsonl").read_text().splitlines()
    first, last = (float(row.split('"loss": ')[1].split(",")[0]) for row in (rows[0], rows[-1]))
    assert last < 0.2 * first


def test_learning_rate_warms_up_and_decays() -> None:
    stage = Stage(1000, 1, 1.0, 0)
    rates = [loop.learning_rate(step, stage) for step in range(1000)]
    assert rates[0] < rates[20] < rates[49]
    assert max(rates) <= 1.0
    assert rates[-1] < 0.03
