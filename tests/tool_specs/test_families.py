from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_specs.calls import CALL_MODELS
from tool_specs.civitai.licenses import BASE_MODEL_LICENSES
from tool_specs.compatibility import ARCHITECTURES
from tool_specs.families import DISTILLED, FAMILIES, Family, family_of

DRAWABLE = [family for family in FAMILIES.values() if family.drawable]


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("SD 1.5", "sd15"),
        ("sd 1.5 ", "sd15"),
        ("Pony", "sdxl"),
        ("Illustrious", "sdxl"),
        ("Flux.1 S", "flux1"),
        ("SD 3.5 Medium", "sd35"),
        ("Pocket", "pocket"),
        ("SD 2.1 768", "sd2"),
        ("SD 2.1 Unclip", "other"),
        ("Chroma", "chroma"),
        ("Qwen", "qwen"),
        ("ZImageTurbo", "zimage"),
        ("Wan Video 14B t2v", "other"),
        ("a label of next year", "other"),
        ("", "other"),
    ],
)
def test_family_of_a_label(label: str, name: str) -> None:
    assert family_of(label).name == name


@pytest.mark.parametrize("family", DRAWABLE, ids=lambda family: family.name)
def test_defaults_lie_within_the_bounds(family: Family) -> None:
    assert family.sampler in family.samplers
    assert family.min_steps <= family.steps <= family.max_steps
    assert family.min_cfg_scale <= family.cfg_scale <= family.max_cfg_scale
    assert family.size(family.width) == family.width
    assert family.size(family.height) == family.height
    assert 1 <= family.clip_skip <= family.max_clip_skip
    assert CALL_MODELS[family.name].bounds is family


def test_only_the_pocket_family_has_a_closed_vocabulary() -> None:
    assert [family.name for family in FAMILIES.values() if family.closed_vocabulary] == ["pocket"]


def test_distilled_defaults_are_drawable() -> None:
    for label, defaults in DISTILLED.items():
        family = family_of(label)
        assert defaults.sampler in family.samplers
        assert family.min_steps <= defaults.steps <= family.max_steps
        assert family.min_cfg_scale <= defaults.cfg_scale <= family.max_cfg_scale


@given(st.floats(min_value=-1e6, max_value=1e6), st.sampled_from(DRAWABLE))
def test_any_size_snaps_to_one_that_can_be_drawn(pixels: float, family: Family) -> None:
    size = family.size(pixels)
    assert size % family.size_multiple == 0
    assert family.min_size <= size <= family.max_size


def test_tables_cover_every_drawable_label() -> None:
    labels = {label for family in DRAWABLE for label in family.base_models}
    assert labels == set(ARCHITECTURES)
    assert labels - {"Pocket"} <= set(BASE_MODEL_LICENSES)


def test_labels_and_licences_are_those_of_civitai(shared_data: Path) -> None:
    facts = json.loads((shared_data / "api" / "enums.json").read_text(encoding="utf-8"))["base_models"]
    licences = {fact["base_model"]: fact["license"] for fact in facts}

    assert set(ARCHITECTURES) - {"Pocket"} <= set(licences)
    for label, (licence, _) in BASE_MODEL_LICENSES.items():
        assert licences[label] == licence
