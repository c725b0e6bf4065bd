from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from diffagent_tools.benchmarks.backend.contenders import CONTENDERS, Ours
from diffagent_tools.benchmarks.backend.random_weights import lora_tensors_of, size_of, write_random
from diffagent_tools.benchmarks.backend.trial import main
from diffagent_tools.benchmarks.backend.workloads import WORKLOADS
from diffagent_tools.benchmarks.backend.worlds import WORLDS, World
from tool_specs.weight_files import identify


@pytest.fixture(scope="module")
def small() -> World:
    return replace(WORLDS["pocket"](Path()), size=32, steps=1, requests=3)


def test_there_are_six_models(small: World) -> None:
    assert [(checkpoint[-4:], len(loras)) for checkpoint, loras in small.models] == [
        ("9101", 0), ("9102", 0), ("9103", 0), ("9104", 0), ("9101", 1), ("9102", 1)
    ]  # fmt: skip


@pytest.mark.parametrize("contender", ["ours", "plain"])
def test_every_workload_takes_time(small: World, contender: str) -> None:
    draws = CONTENDERS[contender](small)
    for workload in WORKLOADS.values():
        taken = workload.run(draws, small, 1)
        assert min(taken.wall, taken.cpu) > 0


def test_the_backend_loads_a_checkpoint_once_whatever_is_asked(small: World) -> None:
    ours = Ours(small)
    for name in ("lora", "checkpoint", "mixed"):
        WORKLOADS[name].run(ours, small, 4)
    assert ours.backend.checkpoint_loads <= len(small.checkpoints)


@pytest.mark.parametrize("contender", ["ours", pytest.param("compiled", marks=pytest.mark.slow)])
def test_a_trial_prints_its_figures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], contender: str
) -> None:
    monkeypatch.setattr("sys.argv", ["trial", contender, "drawing", "pocket", ".", "1"])
    main()
    told = json.loads(capsys.readouterr().out)
    assert min(told["seconds"], told["cpu"]) > 0
    assert told["memory_mb"] > 100


def test_a_random_lora_is_a_lora_of_its_family(tmp_path: Path) -> None:
    tensors = lora_tensors_of("sd15")
    assert size_of(tensors) / 1e6 == pytest.approx(6.4, rel=0.02)
    for seed in (1, 2):
        write_random(tmp_path / f"{seed}.safetensors", tensors, seed=seed)
    identity = identify(tmp_path / "1.safetensors")
    assert (identity.kind, identity.architecture) == ("lora", "sd1")
    with safe_open(tmp_path / "1.safetensors", "pt") as one, safe_open(tmp_path / "2.safetensors", "pt") as other:
        name = next(iter(tensors))
        assert not torch.equal(one.get_tensor(name), other.get_tensor(name))
