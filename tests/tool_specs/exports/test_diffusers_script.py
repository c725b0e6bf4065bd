from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tool_specs.exports.conftest import PICTURE, CallMaker, calls, make_spec
from tool_specs.calls import Call, parse_call
from tool_specs.catalog import Catalog
from tool_specs.exceptions import CallError
from tool_specs.exports import to_a1111, to_diffusers_script
from tool_specs.families import FAMILIES
from tool_specs.pipelines import PIPELINES
from tool_specs.prompt_weights import weighted_prompt


class _Blank(ast.NodeTransformer):
    """Forgets which constants stand in a program."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.copy_location(ast.Constant(type(node.value).__name__), node)


def shape(source: str) -> str:
    """A program without its constants and comments."""
    return ast.dump(_Blank().visit(ast.parse(source)))


def constants(source: str) -> dict[str, object]:
    """The names that a script sets to plain values."""
    found: dict[str, object] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                found[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                continue
    return found


def harmless(call: Call, catalog: Catalog) -> tuple[Call, Catalog]:
    """The same call in plain words, of models with plain names."""
    specs = [make_spec(spec.model_id, spec.type, spec.base_model) for spec in catalog]
    words = {"prompt": "fox mintcolor", "negative_prompt": "sky" if call.negative_prompt else ""}
    return parse_call({**call.model_dump(), **words}), Catalog(specs)


def refused(call: Call, catalog: Catalog) -> bool:
    """Whether diffusers cannot draw a call."""
    weighted = not all(weighted_prompt(text).is_plain for text in (call.prompt, call.negative_prompt))
    if weighted and not PIPELINES[call.family].is_flow:
        return True
    flows = PIPELINES[call.family].is_flow and call.sampler in ("DPM++ 2M", "UniPC")
    schnell = catalog.get(call.checkpoint).base_model == "Flux.1 S"
    return flows and (call.init_image is not None or (schnell and call.sampler == "DPM++ 2M"))


@given(made=calls())
def test_no_text_of_a_stranger_changes_the_program(made: tuple[Call, Catalog]) -> None:
    call, catalog = made
    if refused(call, catalog):
        with pytest.raises(CallError):
            to_diffusers_script(call, catalog)
        return

    source = to_diffusers_script(call, catalog)

    assert shape(source) == shape(to_diffusers_script(*harmless(call, catalog)))
    written = constants(source)
    assert written["PROMPT"] == weighted_prompt(call.prompt).text
    assert written.get("NEGATIVE_PROMPT", "") == weighted_prompt(call.negative_prompt).text
    assert written.get("SEED") == call.seed
    compile(source.encode(), "script.py", "exec")


@given(name=st.text(max_size=60), file=st.text(max_size=60))
def test_files_are_named_without_folders(name: str, file: str) -> None:
    catalog = Catalog([make_spec(1, "Checkpoint", "SD 1.5", name=name, file=f"../../{file}/x.safetensors")])
    call = parse_call({"family": "sd15", "checkpoint": "civitai:1@101", "prompt": "a fox"})
    assert "\nCHECKPOINT = Path('x.safetensors')\n" in to_diffusers_script(call, catalog)


@pytest.mark.parametrize("base_model", [label for one in PIPELINES for label in FAMILIES[one].base_models])
def test_every_base_model_has_a_pipeline_and_a_configuration(
    world: Catalog, call_of: CallMaker, base_model: str
) -> None:
    call = call_of(base_model)
    source = to_diffusers_script(call, world)
    assert f"\npipeline = {PIPELINES[call.family].text_to_image}.from_" in source
    assert constants(source)["CONFIG"]


def test_few_step_and_newer_models_use_their_own_parts(world: Catalog, call_of: CallMaker) -> None:
    schnell = to_diffusers_script(call_of("Flux.1 S"), world)
    assert constants(schnell)["CONFIG"] == "black-forest-labs/FLUX.1-schnell"
    assert "max_sequence_length=256" in schnell
    medium = to_diffusers_script(call_of("SD 3.5 Medium"), world)
    assert constants(medium)["CONFIG"] == "stabilityai/stable-diffusion-3.5-medium"


def test_where_files_are_can_be_said(world: Catalog, call_of: CallMaker, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    source = to_diffusers_script(call_of("SD 1.5"), world, files=lambda spec: file, configs={"sd15": tmp_path})
    assert constants(source)["CONFIG"] == str(tmp_path)
    assert f"\nCHECKPOINT = Path({str(file)!r})\n" in source
    assert "local_files_only=True" in source


def test_a_call_without_a_seed_has_a_new_one_each_time(world: Catalog, call_of: CallMaker) -> None:
    assert "\nSEED = secrets.randbelow(4294967296)\n" in to_diffusers_script(call_of("SD 1.5", seed=None), world)


def test_what_diffusers_cannot_draw_is_refused(world: Catalog, call_of: CallMaker) -> None:
    with pytest.raises(CallError, match=r"cannot draw Flux\.1 S .* use 'Euler' or 'UniPC'"):
        to_diffusers_script(call_of("Flux.1 S", sampler="DPM++ 2M"), world)
    redrawn = call_of("SD 3.5", sampler="UniPC", init_image=PICTURE, denoising_strength=0.5)
    with pytest.raises(CallError, match="knows only the sampler 'Euler', not 'UniPC'"):
        to_diffusers_script(redrawn, world)
    nameless = Catalog([make_spec(1, "Checkpoint", "SD 1.5").model_copy(update={"files": ()})])
    with pytest.raises(CallError, match="knows no weights file of civitai:1@101"):
        to_diffusers_script(call_of("SD 1.5", checkpoint="civitai:1@101"), nameless)
    flux = Catalog([*world, make_spec(700, "TextualInversion", "Flux.1 D")])
    with pytest.raises(CallError, match="diffusers cannot load the embedding civitai:700@800 into flux1"):
        to_diffusers_script(call_of("Flux.1 D", loras=[{"id": "civitai:700@800"}]), flux)


@pytest.mark.parametrize("prompt", ["a (fox:1.3)", "a [fox]", "a fox BREAK a lake"])
def test_weights_are_refused_where_diffusers_would_drop_them(world: Catalog, call_of: CallMaker, prompt: str) -> None:
    with pytest.raises(CallError, match="knows no weights"):
        to_diffusers_script(call_of("SD 1.5").model_copy(update={"prompt": prompt}), world)
    flow = to_diffusers_script(call_of("Flux.1 D").model_copy(update={"prompt": prompt}), world)
    assert constants(flow)["PROMPT"] == weighted_prompt(prompt).text


def test_the_infotext_names_loras_by_tag_and_embeddings_by_word(world: Catalog, call_of: CallMaker) -> None:
    call = call_of("SD 1.5", loras=[{"id": "civitai:501@601", "weight": 0.5}, {"id": "civitai:504@604"}])
    assert to_a1111(call, world).splitlines()[0] == "a fox, mintcolor <lora:LORA_0:0.5>"


@pytest.mark.parametrize("base_model", ["Flux.1 D", "SD 3.5 Large"])
def test_a_hires_fix_of_a_flow_matching_model_is_refused(world: Catalog, call_of: CallMaker, base_model: str) -> None:
    call = call_of(base_model, hires={"upscale": 1.25})
    with pytest.raises(CallError, match=r"cannot write the hires fix of a (flux1|sd35) call; leave hires out"):
        to_diffusers_script(call, world)
