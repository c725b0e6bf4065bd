from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from tool_specs.calls import CALL_MODELS, Call, parse_call
from tool_specs.catalog import Catalog
from tool_specs.civitai.recommended import recommended_of
from tool_specs.families import FAMILIES, Family, family_of
from tool_specs.prompts import NEGATIVE_LABEL, OTHER_TAG, clean_prompt
from tool_specs.spec import ModelFile, ToolSpec

NETWORKS = ("LORA", "LoCon", "DoRA", "TextualInversion")
WORD = "mintcolor"
"""What calls every embedding of these tests."""
PICTURE = "0123456789abcdef" * 4

HOSTILE = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            '"""\nimport os\n"""', "'\nimport os #", "\\", "'''", '"', "\\'", "\n# coding: utf-7\n", "{0}", "%s",
            "\u2028import os", "a\rimport os", "\N{RIGHT-TO-LEFT OVERRIDE}", "\x00", "${HOME}", "{seed!r}",
        ]
    ),
)  # fmt: skip
"""Texts that try to get out of where they are put."""


def make_spec(
    model_id: int, model_type: str, base_model: str, *, name: str = "Model", file: str = "", role: str = "Model"
) -> ToolSpec:
    """A spec with one weights file."""
    stem = file or f"file_{model_id}.safetensors"
    return ToolSpec(
        id=f"civitai:{model_id}@{model_id + 100}",
        model_id=model_id,
        version_id=model_id + 100,
        model_name=name,
        version_name="v1",
        type=model_type,
        base_model=base_model,
        family=family_of(base_model).name,
        trigger_words=(WORD,) if model_type == "TextualInversion" else (),
        files=(ModelFile(id=model_id, name=stem, type=role, format="SafeTensor", size_kb=1.0, primary=True),),
        recommended=recommended_of(base_model, [], model_type=model_type),
    )


@st.composite
def calls(draw: DrawFn) -> tuple[Call, Catalog]:
    """A valid call of any family, and a catalog that holds its models, named by strangers."""
    family = FAMILIES[draw(st.sampled_from(tuple(CALL_MODELS)))]
    base_model = draw(st.sampled_from(family.base_models))
    checkpoint = make_spec(1, "Checkpoint", base_model, name=draw(HOSTILE), file=draw(HOSTILE) + ".safetensors")
    types = NETWORKS if family.architecture in ("sd1", "sdxl", "pocket") else NETWORKS[:3]
    networks = []
    for n, kind in enumerate(draw(st.lists(st.sampled_from(types), max_size=family.max_loras)), 11):
        file = "" if kind == "TextualInversion" else draw(HOSTILE) + ".safetensors"
        networks.append(make_spec(n, kind, base_model, name=draw(HOSTILE), file=file))
    steps = draw(st.integers(2, family.max_steps))
    values: dict[str, object] = {
        "family": family.name,
        "checkpoint": checkpoint.id,
        "loras": [{"id": network.id, "weight": draw(st.floats(-2, 2))} for network in networks],
        "prompt": f"{draw(_PROMPTS)} {WORD}",
        "negative_prompt": draw(_PROMPTS) if family.has_negative_prompt else "",
        "sampler": draw(st.sampled_from(family.samplers)),
        "steps": steps,
        "cfg_scale": draw(st.floats(family.min_cfg_scale, family.max_cfg_scale)),
        "width": draw(_sizes(family)),
        "height": draw(_sizes(family)),
        "clip_skip": draw(st.integers(1, family.max_clip_skip)),
        "seed": draw(st.none() | st.integers(0, 2**32 - 1)),
    }
    if draw(st.booleans()):
        values |= {
            "init_image": PICTURE,
            "denoising_strength": draw(st.floats(1 / steps, 1).filter(lambda x: x * steps >= 1)),
        }
    return parse_call(values), Catalog([checkpoint, *networks])


_PROMPTS = HOSTILE.map(clean_prompt).filter(lambda text: not (OTHER_TAG.search(text) or NEGATIVE_LABEL.search(text)))


def _sizes(family: Family) -> st.SearchStrategy[int]:
    return st.integers(family.min_size // family.size_multiple, family.max_size // family.size_multiple).map(
        lambda count: count * family.size_multiple
    )


CallMaker = Callable[..., Call]


@pytest.fixture
def world() -> Catalog:
    """A checkpoint of every base model that can be drawn; networks of SD 1.5 from id 501, of SDXL from 601."""
    labels = [label for family in FAMILIES.values() if family.drawable for label in family.base_models]
    checkpoints = [make_spec(n, "Checkpoint", label, name=label) for n, label in enumerate(labels, 1)]
    networks = [
        make_spec(first + n, kind, label, file=f"{kind}_{n}.safetensors")
        for first, label in ((501, "SD 1.5"), (601, "SDXL 1.0"))
        for n, kind in enumerate(NETWORKS)
    ]
    return Catalog([*checkpoints, *networks])


@pytest.fixture
def call_of(world: Catalog) -> CallMaker:
    """Makes a call: `call_of("SDXL 1.0", sampler="DDIM")`."""

    def make(base_model: str, **values: object) -> Call:
        spec = next(spec for spec in world if spec.base_model == base_model)
        given = {"family": spec.family, "checkpoint": spec.id, "prompt": f"a fox, {WORD}", "seed": 7} | values
        return parse_call(cast("dict[str, object]", given))

    return make
