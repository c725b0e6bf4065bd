from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_specs.families import FAMILIES, Family
from tool_specs.samplers import SAMPLERS, canonical_sampler, nearest_sampler, split_schedule


@pytest.mark.parametrize(
    ("spelling", "schedule", "name"),
    [
        ("Eular a", "", "Euler a"),
        ("K_EULER_A", "", "Euler a"),
        ("euler_ancestral", "", "Euler a"),
        ("EulerAncestralDiscreteScheduler", "", "Euler a"),
        ("Euler A SGMUniform", "", "Euler a SGM Uniform"),
        ("Euler", "Simple", "Euler SGM Uniform"),
        ("dpmpp_2m", "beta", "DPM++ 2M Beta"),
        ("DPM++ 2M SDE Heun", "Automatic", "DPM++ 2M SDE Heun Exponential"),
        ("dpmpp_3m_sde_gpu", "exponential", "DPM++ 3M SDE Exponential"),
        ("TCDScheduler", "", "TCD"),
        ("DDPMScheduler", "", "DDPM"),
        ("DPM++ 2M", "Karras", "DPM++ 2M Karras"),
        ("DPM++ 2M", "Automatic", "DPM++ 2M Karras"),
        ("DPM++ 2M", "Uniform", "DPM++ 2M"),
        ("DPM++ 2M", "", "DPM++ 2M"),
        ("DPM++ 2M Karras v2", "", "DPM++ 2M Karras"),
        ("DPM++ 2M Karras Sharp v1", "", "DPM++ 2M Karras"),
        ("DPM++ 2M alt Karras", "", "DPM++ 2M Karras"),
        ("KKW++ 2M Karras V3 qual", "", "DPM++ 2M Karras"),
        ("KKW DPM++ 2M V3 qual", "", "DPM++ 2M"),
        ("dpmpp_2m_sde_gpu", "karras", "DPM++ 2M SDE Karras"),
        ("dpmpp_2s_ancestral", "karras", "DPM++ 2S a Karras"),
        ("k_dpmpp_2m_karras", "", "DPM++ 2M Karras"),
        ("k_dpm_2", "", "DPM2"),
        ("KDPM2AncestralDiscreteScheduler", "", "DPM2 a"),
        ("k_lms", "", "LMS"),
        ("uni_pc", "", "UniPC"),
        ("LCM", "Automatic", "LCM"),
        ("DPM2 a Karras", "", "DPM2 a Karras"),
        ("Euler", "Karras", "Euler Karras"),
        ("DDIM", "Karras", "DDIM"),
        ("Undefined", "", None),
        ("None", "", None),
        ("", "Karras", None),
        ("Karras", "", None),
    ],
)
def test_spellings_in_the_wild(spelling: str, schedule: str, name: str | None) -> None:
    assert canonical_sampler(spelling, schedule) == name


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_canonical_name_survives_being_split_and_joined(name: str) -> None:
    assert canonical_sampler(name) == name
    assert canonical_sampler(*split_schedule(name)) == name


@given(st.text(max_size=60), st.text(max_size=20))
def test_any_text_gives_a_known_name_or_none(spelling: str, schedule: str) -> None:
    assert canonical_sampler(spelling, schedule) in (*SAMPLERS, None)


@pytest.mark.parametrize(
    ("spelling", "family", "name", "warns"),
    [
        ("k_euler_a", "sd15", "Euler a", False),
        ("DDIM Karras", "sd15", "DDIM", False),
        ("Euler Karras", "flux1", "Euler", False),
        ("DPM++ SDE", "pocket", "DPM++ SDE Karras", False),
        ("DPM adaptive", "sd15", "DPM++ 2M Karras", True),
        ("DPM adaptive", "flux1", "DPM++ 2M", True),
        ("Restart", "sdxl", "Heun Karras", True),
        ("DPM++ 3M SDE Karras", "pocket", "DPM++ 2M SDE Karras", True),
        ("Euler a", "sd35", "Euler", True),
        ("res_multistep", "sd15", "DPM++ 2M Karras", True),
        ("Heunn+", "sd15", "Heun", True),
        ("\n" * 90_000, "sdxl", "DPM++ 2M Karras", True),
    ],
)
def test_the_nearest_sampler_of_a_family_takes_the_place_of_others(
    caplog: pytest.LogCaptureFixture, spelling: str, family: str, name: str, warns: bool
) -> None:
    nearest_sampler.cache_clear()
    for _ in range(3):
        assert nearest_sampler(spelling, FAMILIES[family].samplers) == name
    assert len(caplog.records) == int(warns)
    assert all(name in message and "\n" not in message and len(message) < 200 for message in caplog.messages)


@given(st.text(max_size=60), st.sampled_from([family for family in FAMILIES.values() if family.drawable]))
def test_any_text_has_a_nearest_sampler(spelling: str, family: Family) -> None:
    assert nearest_sampler(spelling, family.samplers) in family.samplers


def test_families_name_only_canonical_samplers() -> None:
    for family in FAMILIES.values():
        assert set(family.samplers) <= set(SAMPLERS)
