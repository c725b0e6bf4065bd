from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import assume, given

from tests.tool_specs.exports.conftest import PICTURE, WORD, CallMaker, calls, make_spec
from tool_specs.calls import Call
from tool_specs.catalog import Catalog
from tool_specs.exceptions import CallError
from tool_specs.exports import to_comfyui_workflow, to_diffusers_script
from tool_specs.exports.comfyui import FLOW_SCHEDULERS as FLOWS
from tool_specs.exports.comfyui import SAMPLERS, Workflow
from tool_specs.families import DISTILLED, FAMILIES
from tool_specs.prompt_weights import weighted_prompt

NODES = json.loads(Path(__file__).with_name("comfyui_nodes.json").read_text(encoding="utf-8"))
"""What ComfyUI's documentation says of the nodes: inputs with their types and bounds, outputs in order."""
SIMPLE = {"STRING": str, "INT": int, "FLOAT": (int, float), "file": str, "choice": str}


def check(workflow: Workflow) -> None:
    """Everything that ComfyUI checks before it runs a workflow; nodes must come before what uses them."""
    before: dict[str, list[str]] = {}
    used: set[str] = set()
    for name, node in workflow.items():
        assert node.keys() == {"class_type", "inputs"}
        known = NODES[node["class_type"]]
        inputs = node["inputs"]
        assert isinstance(inputs, dict)
        assert inputs.keys() == known["inputs"].keys()
        for key, value in inputs.items():
            wanted = known["inputs"][key]
            if wanted["type"] not in SIMPLE:
                source, output = value
                assert before[source][output] == wanted["type"]
                used.add(source)
                continue
            assert isinstance(value, SIMPLE[wanted["type"]])
            if "choices" in wanted:
                assert value in wanted["choices"]
            if "min" in wanted:
                assert wanted["min"] <= value <= wanted["max"]
            if "step" in wanted:
                assert value % wanted["step"] == 0
            if wanted["type"] == "file":
                assert value
                assert "/" not in value
        before[name] = known["outputs"]
    ends = set(workflow) - used
    assert [workflow[end]["class_type"] for end in ends] == ["SaveImage"]


def inputs_of(workflow: Workflow, class_type: str) -> list[dict[str, object]]:
    return [node["inputs"] for node in workflow.values() if node["class_type"] == class_type]  # type: ignore[misc]


@given(made=calls())
def test_every_valid_call_is_a_valid_workflow_that_says_the_same(made: tuple[Call, Catalog]) -> None:
    call, catalog = made
    assume(call.sampler in SAMPLERS)

    workflow = json.loads(json.dumps(to_comfyui_workflow(call, catalog)))

    check(workflow)
    (sampler,) = inputs_of(workflow, "KSampler")
    assert sampler["seed"] == call.seed or call.seed is None
    assert sampler["denoise"] == (call.denoising_strength or 1.0)
    loras = inputs_of(workflow, "LoraLoader")
    weights = [use.weight for use in call.loras if catalog.get(use.id).type != "TextualInversion"]
    assert [lora["strength_model"] for lora in loras] == [lora["strength_clip"] for lora in loras] == weights
    texts = [node["text"] for node in inputs_of(workflow, "CLIPTextEncode")]
    if not any(catalog.get(use.id).type == "TextualInversion" for use in call.loras):
        read = [weighted_prompt(prompt) for prompt in (call.prompt, call.negative_prompt)]
        if call.family in FLOWS:
            assert [read_by_comfyui(text) for text in texts] == [as_comfyui_reads([(one.text, 1.0)]) for one in read]
        else:
            assert [read_by_comfyui(text) for text in texts] == [
                as_comfyui_reads(section) for one in read for section in one.sections
            ]


def read_by_comfyui(text: str) -> list[tuple[str, float]]:
    """Text and weight as ComfyUI's `token_weights` reads them: round brackets, `\\(` and `\\)`, nothing else."""
    pieces: list[tuple[str, float]] = []

    def read(part: str, weight: float) -> None:
        for group in groups_of(part):
            if len(group) >= 2 and group[0] == "(" and group[-1] == ")":
                inner, times = group[1:-1], weight * 1.1
                colon = inner.rfind(":")
                if colon > 0:
                    with contextlib.suppress(ValueError):
                        times = float(inner[colon + 1 :])
                        inner = inner[:colon]
                read(inner, times)
            else:
                pieces.append((group, weight))

    read(text.replace("\\)", "\0\1").replace("\\(", "\0\2"), 1.0)
    return as_comfyui_reads([(part.replace("\0\1", ")").replace("\0\2", "("), weight) for part, weight in pieces])


def groups_of(text: str) -> list[str]:
    """What stands in round brackets of the outermost level, and what stands between them."""
    groups, group, depth = [], "", 0
    for sign in text:
        if sign == "(":
            if depth == 0 and group:
                groups.append(group)
                group = ""
            depth += 1
            group += sign
        elif sign == ")":
            depth -= 1
            group += sign
            if depth == 0:
                groups.append(group)
                group = ""
        else:
            group += sign
    return [*groups, group] if group else groups


def as_comfyui_reads(pieces: Iterable[tuple[str, float]]) -> list[tuple[str, float]]:
    """Words with their weights: how many spaces stand between them does not matter."""
    return [(word, round(weight, 4)) for text, weight in pieces for word in text.split()]


def test_brackets_and_breaks_become_what_comfyui_knows(call_of: CallMaker, world: Catalog) -> None:
    prompt = r"a [red] (fox:1.3) \[sic\] \(1\) AND snow BREAK a ((lake))"
    workflow = to_comfyui_workflow(call_of("SD 1.5", prompt=prompt), world)
    check(workflow)
    first, second, _negative = [node["text"] for node in inputs_of(workflow, "CLIPTextEncode")]
    assert first == r"a (red:0.909091) (fox:1.3) [sic] \(1\), snow"
    assert second == "a (lake:1.21)"
    assert len(inputs_of(workflow, "ConditioningConcat")) == 1


def test_the_chain_of_a_stable_diffusion_call(world: Catalog, call_of: CallMaker) -> None:
    loras = [{"id": "civitai:501@601", "weight": 0.8}, {"id": "civitai:502@602", "weight": -0.5}]
    call = call_of("SD 1.5", loras=loras, clip_skip=2, sampler="DPM++ SDE Karras", negative_prompt="blurry")
    workflow = to_comfyui_workflow(call, world)

    check(workflow)
    names = [node["class_type"] for node in workflow.values()]
    assert names == [
        "CheckpointLoaderSimple", "LoraLoader", "LoraLoader", "CLIPSetLastLayer", "CLIPTextEncode", "CLIPTextEncode",
        "EmptyLatentImage", "KSampler", "VAEDecode", "SaveImage",
    ]  # fmt: skip
    assert workflow["3"]["inputs"] == {
        "model": ["2", 0], "clip": ["2", 1], "lora_name": "LoCon_1.safetensors", "strength_model": -0.5,
        "strength_clip": -0.5,
    }  # fmt: skip
    assert workflow["4"]["inputs"] == {"clip": ["3", 1], "stop_at_clip_layer": -2}
    assert workflow["8"]["inputs"] == {
        "model": ["3", 0], "seed": 7, "steps": 25, "cfg": 7.0, "sampler_name": "dpmpp_sde", "scheduler": "karras",
        "positive": ["5", 0], "negative": ["6", 0], "latent_image": ["7", 0], "denoise": 1.0,
    }  # fmt: skip


@pytest.mark.parametrize(("clip_skip", "layers"), [(1, []), (2, []), (3, [-3])])
def test_sdxl_reads_the_last_layer_but_one_anyway(
    world: Catalog, call_of: CallMaker, clip_skip: int, layers: list[int]
) -> None:
    workflow = to_comfyui_workflow(call_of("Pony", clip_skip=clip_skip), world)
    assert [node["stop_at_clip_layer"] for node in inputs_of(workflow, "CLIPSetLastLayer")] == layers


def test_turbo_models_are_drawn_without_guidance_everywhere(call_of: CallMaker, world: Catalog) -> None:
    call = call_of("ZImageTurbo", cfg_scale=DISTILLED["ZImageTurbo"].cfg_scale)
    (sampler,) = inputs_of(to_comfyui_workflow(call, world), "KSampler")
    assert sampler["cfg"] == 1.0
    assert "    guidance_scale=0.0," in to_diffusers_script(call, world).splitlines()


def test_flux_has_its_guidance_in_a_node_of_its_own(world: Catalog, call_of: CallMaker) -> None:
    workflow = to_comfyui_workflow(call_of("Flux.1 D", cfg_scale=3.5), world)
    (guidance,) = inputs_of(workflow, "FluxGuidance")
    (sampler,) = inputs_of(workflow, "KSampler")
    assert guidance["guidance"] == 3.5
    assert (sampler["cfg"], sampler["sampler_name"], sampler["scheduler"]) == (1.0, "euler", "simple")


def test_image_to_image_runs_the_steps_that_the_strength_leaves(world: Catalog, call_of: CallMaker) -> None:
    workflow = to_comfyui_workflow(call_of("SD 1.5", init_image=PICTURE, denoising_strength=0.5, steps=21), world)
    (sampler,) = inputs_of(workflow, "KSampler")
    assert (sampler["steps"], sampler["denoise"]) == (10, 0.5)
    assert inputs_of(workflow, "LoadImage") == [{"image": f"{PICTURE}.png"}]
    assert not inputs_of(workflow, "EmptyLatentImage")


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        (f"a fox, {WORD}", "a fox, embedding:TextualInversion_3"),
        (f"({WORD}:1.2) fox", "(embedding:TextualInversion_3:1.2) fox"),
        (f"fox,{WORD.upper()}. sky", "fox, embedding:TextualInversion_3 . sky"),
        (f"{WORD}s, {WORD}", f"{WORD}s, embedding:TextualInversion_3"),
    ],
)
def test_an_embedding_is_called_as_comfyui_calls_it(world: Catalog, call_of: CallMaker, prompt: str, text: str) -> None:
    call = call_of("SD 1.5", prompt=prompt, loras=[{"id": "civitai:504@604"}])
    assert to_comfyui_workflow(call, world)["2"]["inputs"] == {"clip": ["1", 1], "text": text}


def test_every_sampler_that_comfyui_has_is_known() -> None:
    assert {name for family in FAMILIES.values() for name in family.samplers} - SAMPLERS.keys() == {
        "PLMS", "TCD", "DPM++ 2M SDE Heun", "DPM++ 2M SDE Heun Karras", "DPM++ 2M SDE Heun Exponential",
    }  # fmt: skip


def test_what_comfyui_cannot_draw_is_refused(world: Catalog, call_of: CallMaker) -> None:
    with pytest.raises(CallError, match=r"ComfyUI has no sampler 'PLMS'; use one of DPM\+\+ 2M,"):
        to_comfyui_workflow(call_of("SD 1.5", sampler="PLMS"), world)
    bare = Catalog([make_spec(1, "Checkpoint", "Flux.1 D", role="Diffusion Model")])
    with pytest.raises(CallError, match="is a Diffusion Model without text encoder and VAE"):
        to_comfyui_workflow(call_of("Flux.1 D", checkpoint="civitai:1@101"), bare)
    odd = Catalog([*world, make_spec(700, "TextualInversion", "SD 1.5", file="bad hands.safetensors")])
    with pytest.raises(CallError, match="in the file 'bad hands', which a prompt in ComfyUI cannot name"):
        to_comfyui_workflow(call_of("SD 1.5", loras=[{"id": "civitai:700@800"}]), odd)


def test_what_does_not_fit_is_refused(world: Catalog, call_of: CallMaker) -> None:
    for call, reason in (
        (call_of("SD 1.5", checkpoint="civitai:999@999"), "the catalog holds no model"),
        (call_of("SD 1.5", checkpoint="civitai:501@601"), "is a LORA; a call draws with a Checkpoint"),
        (call_of("SD 1.5", loras=[{"id": "civitai:601@701"}]), "does not load into"),
        (call_of("SD 1.5", prompt="a fox", loras=[{"id": "civitai:504@604"}]), "acts only through its word"),
        (call_of("SD 1.5", checkpoint=call_of("Pony").checkpoint), "use that family's call"),
    ):
        with pytest.raises(CallError, match=reason):
            to_comfyui_workflow(call, world)


def test_a_vae_is_refused(world: Catalog, call_of: CallMaker) -> None:
    with_vae = Catalog([*world, make_spec(701, "VAE", "SD 1.5")])
    with pytest.raises(CallError, match="no export can write civitai:701@801, a VAE of its own"):
        to_comfyui_workflow(call_of("SD 1.5", loras=[{"id": "civitai:701@801"}]), with_vae)


def test_a_hires_fix_is_refused(world: Catalog, call_of: CallMaker) -> None:
    with pytest.raises(CallError, match="the comfyui export cannot write the hires fix of a sd15 call"):
        to_comfyui_workflow(call_of("SD 1.5", hires={}), world)


@pytest.mark.parametrize(
    ("more", "said"), [({"variation": {"seed": 5, "strength": 0.2}}, "variation seed"), ({"tiling": True}, "tiling")]
)
@pytest.mark.parametrize(("form", "write"), [("comfyui", to_comfyui_workflow), ("diffusers", to_diffusers_script)])
def test_a_variation_and_tiling_are_refused(
    world: Catalog,
    call_of: CallMaker,
    form: str,
    write: Callable[[Call, Catalog], object],
    more: dict[str, object],
    said: str,
) -> None:
    with pytest.raises(CallError, match=f"the {form} export cannot write the {said} of a sd15 call"):
        write(call_of("SD 1.5", **more), world)
