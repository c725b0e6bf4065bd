from __future__ import annotations

import pytest
import torch

from diffagent_tools.backends import MemoryBudget
from tool_specs.exceptions import ConfigError


def test_the_environment_may_say_how_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DIFFAGENT_VRAM_GB", raising=False)
    monkeypatch.setenv("DIFFAGENT_RAM_GB", " 1.5 ")
    budget = MemoryBudget.from_environment()
    assert budget == MemoryBudget(vram=None, ram=1_500_000_000)
    assert budget.on(torch.device("cpu")) == 1_500_000_000


@pytest.mark.parametrize("text", ["much", "-1", "nan", "inf"])
def test_what_is_no_size_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("DIFFAGENT_VRAM_GB", text)
    with pytest.raises(ConfigError, match=f"DIFFAGENT_VRAM_GB is '{text}'; set it to a number of GB"):
        MemoryBudget.from_environment()


def test_by_default_a_part_of_what_is_free_is_taken() -> None:
    assert 10**8 < MemoryBudget().on(torch.device("cpu")) < 10**13
