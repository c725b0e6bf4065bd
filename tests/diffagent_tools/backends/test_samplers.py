from __future__ import annotations

import pytest
import torch

from diffagent_tools.backends.samplers import scheduler_of
from tests.tiny_world import SCHEDULE
from tool_specs.exceptions import CallError
from tool_specs.families import FAMILIES
from tool_specs.pipelines import PIPELINES
from tool_specs.schedulers import FLOW_SCHEDULERS, SCHEDULERS


def _solve(name: str, steps: int) -> float:
    """The error of denoising towards a fixed picture with a perfect noise prediction.

    With x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) e, the prediction e = (x_t - sqrt(a_t) x_0) / sqrt(1 - a_t) makes every
    exact solver end at x_0.
    """
    scheduler = scheduler_of(name, SCHEDULE)
    scheduler.set_timesteps(steps)
    generator = torch.Generator().manual_seed(1)
    target = torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8)
    sample = torch.randn(target.shape, generator=generator) * scheduler.init_noise_sigma
    beta = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    alphas = torch.cumprod(1 - beta, dim=0)
    sigmas = ((1 - alphas) / alphas) ** 0.5
    for time in scheduler.timesteps:
        noisy = scheduler.scale_model_input(sample, time)
        position = float(time)
        low = int(position)
        sigma = float(torch.lerp(sigmas[low], sigmas[min(low + 1, 999)], position - low))
        alpha = 1 / (sigma**2 + 1)
        noise = (noisy - alpha**0.5 * target) / (1 - alpha) ** 0.5
        stochastic = {"generator": generator} if "generator" in scheduler.step.__code__.co_varnames else {}
        sample = scheduler.step(noise, time, sample, return_dict=False, **stochastic)[0]
    return float((sample - target).abs().max())


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("steps", [8, 20])
def test_every_sampler_finds_the_picture_of_a_perfect_model(name: str, steps: int) -> None:
    assert _solve(name, steps) < 0.15


@pytest.mark.parametrize("name", FLOW_SCHEDULERS)
def test_every_sampler_of_flows_finds_the_picture_of_a_perfect_model(name: str) -> None:
    scheduler = scheduler_of(name, {"shift": 3.0})
    scheduler.set_timesteps(12)
    target = torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8)
    sample = torch.randn(target.shape, generator=torch.Generator().manual_seed(1))
    for time in scheduler.timesteps:
        velocity = (sample - target) / (time / 1000)
        sample = scheduler.step(velocity, time, sample, return_dict=False)[0]
    assert float((sample - target).abs().max()) < 0.02


def test_every_sampler_of_a_family_that_is_drawn_is_known() -> None:
    for family, pipeline in PIPELINES.items():
        assert set(FAMILIES[family].samplers) <= set(pipeline.schedulers)


def test_the_checkpoints_own_noise_schedule_is_kept() -> None:
    scheduler = scheduler_of("DPM++ 2M Karras", {**SCHEDULE, "prediction_type": "v_prediction", "beta_end": 0.02})
    assert scheduler.config.prediction_type == "v_prediction"
    assert scheduler.config.beta_end == 0.02
    assert scheduler.config.use_karras_sigmas
    assert scheduler.config.timestep_spacing == "linspace"


def test_an_unknown_sampler_is_answered_with_the_known_ones() -> None:
    with pytest.raises(CallError, match=r"'Restart' is unknown .* DPM\+\+ 2M, "):
        scheduler_of("Restart", SCHEDULE)
