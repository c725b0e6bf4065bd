from __future__ import annotations

import io

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin
from pydantic import ValidationError
from sd_parsers import ParserManager

from tests.tool_specs.conftest import SpecMaker
from tool_specs.calls import CALL_MODELS, Call, HiresFix, LoraUse, call_model, starting_from, with_unplanned
from tool_specs.exceptions import CallError
from tool_specs.families import FAMILIES
from tool_specs.infotext import parse_infotext, spec_hashes, spec_names, to_infotext

CHECKPOINT = "civitai:9001@9101"
NETWORKS = ("civitai:1@11", "civitai:2@22", "civitai:3@33")
NAMES = {CHECKPOINT: "pocket_animals", NETWORKS[0]: "pixel art", NETWORKS[1]: "油画, no. 1", NETWORKS[2]: '[x] "y"'}


@st.composite
def calls(draw: st.DrawFn) -> Call:
    family = FAMILIES[draw(st.sampled_from(sorted(CALL_MODELS)))]
    sizes = st.integers(family.min_size // family.size_multiple, family.max_size // family.size_multiple)
    loras = draw(st.lists(st.sampled_from(NETWORKS), unique=True, max_size=family.max_loras))
    try:
        return call_model(family.name)(
            checkpoint=CHECKPOINT,
            loras=tuple(LoraUse(id=network, weight=draw(st.floats(-2, 2))) for network in loras),
            prompt=draw(st.text(min_size=1, max_size=200)),
            negative_prompt=draw(st.text(max_size=200)) if family.has_negative_prompt else "",
            sampler=draw(st.sampled_from(family.samplers)),
            steps=draw(st.integers(family.min_steps, family.max_steps)),
            cfg_scale=draw(st.floats(family.min_cfg_scale, family.max_cfg_scale)),
            width=draw(sizes) * family.size_multiple,
            height=draw(sizes) * family.size_multiple,
            clip_skip=draw(st.integers(1, family.max_clip_skip)),
            seed=draw(st.none() | st.integers(0, 2**32 - 1)),
        )
    except ValidationError:
        assume(False)
        raise


@given(calls(), st.text(max_size=30))
def test_what_is_written_is_read_back(call: Call, model_name: str) -> None:
    names = NAMES | {CHECKPOINT: model_name}
    read = parse_infotext(to_infotext(call, names=names))

    assert (read.prompt, read.negative_prompt) == (call.prompt, call.negative_prompt)
    assert (read.sampler, read.steps, read.cfg_scale) == (call.sampler, call.steps, call.cfg_scale)
    assert (read.width, read.height, read.seed) == (call.width, call.height, call.seed)
    assert (read.clip_skip or 1) == call.clip_skip
    assert [weight for _, weight in read.loras] == [use.weight for use in call.loras]
    assert read.extra["Version"] == "DiffAgent"
    assert parse_infotext(to_infotext(call, names=names)) == read


@given(
    st.lists(
        st.sampled_from(
            ["fox", "\n", " ", "Steps: 3, ", "Seed: 4", "Negative", " prompt", ":", "(a:1.2)", '"', "Size: 1x1, "]
        ),
        min_size=1,
    )
)
def test_prompts_that_look_like_settings_survive(pieces: list[str]) -> None:
    try:
        call = call_model("sd15")(
            checkpoint=CHECKPOINT, prompt="".join(pieces), negative_prompt="".join(reversed(pieces)), seed=1
        )
    except ValidationError:
        assume(False)
        raise
    read = parse_infotext(to_infotext(call, names=NAMES))
    assert (read.prompt, read.negative_prompt, read.steps) == (call.prompt, call.negative_prompt, call.steps)


@pytest.fixture
def fox() -> Call:
    return call_model("pocket")(
        checkpoint=CHECKPOINT,
        loras=(LoraUse(id=NETWORKS[0], weight=0.8),),
        prompt="pixel art, a fox on a blue background",
        negative_prompt="blurry",
        seed=42,
        steps=20,
        sampler="DPM++ 2M Karras",
    )


def test_it_reads_like_a1111(fox: Call) -> None:
    hashes = {CHECKPOINT: "0123456789ABCDEF", NETWORKS[0]: "FEDCBA9876543210"}
    assert to_infotext(fox, names=NAMES, hashes=hashes) == (
        "pixel art, a fox on a blue background <lora:pixel art:0.8>\n"
        "Negative prompt: blurry\n"
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 3, Seed: 42, Size: 64x64, "
        'Model hash: 0123456789, Model: pocket_animals, Lora hashes: "pixel art: fedcba987654", Version: DiffAgent'
    )


def test_embeddings_are_words_not_tags(fox: Call) -> None:
    text = to_infotext(fox, names=NAMES, hashes={NETWORKS[0]: "FEDCBA9876543210"}, embeddings=[NETWORKS[0]])
    assert "<lora:" not in text
    assert 'TI hashes: "pixel art: fedcba987654"' in text


def test_flux_prints_its_guidance_like_forge() -> None:
    call = call_model("flux1")(checkpoint=CHECKPOINT, prompt="a fox", seed=1)
    assert "CFG scale: 1, Distilled CFG Scale: 3.5" in to_infotext(call, names=NAMES)


def test_a_missing_name_is_an_error(fox: Call) -> None:
    with pytest.raises(CallError, match="names lacks civitai:1@11"):
        to_infotext(fox, names={CHECKPOINT: "x"})


def test_names_and_hashes_come_from_the_specs(make_spec: SpecMaker) -> None:
    file = {
        "id": 1,
        "name": "pixel_v1.safetensors",
        "type": "Model",
        "format": "SafeTensor",
        "size_kb": 1,
        "sha256": "A" * 64,
    }
    plain = make_spec(9001, name="Animals")
    network = make_spec(9002, "LORA", files=({**file, "hashes": {"AutoV2": "B" * 10, "AutoV3": "C" * 12}},))
    checkpoint = make_spec(9003, files=({**file, "hashes": {"AutoV2": "B" * 10, "AutoV3": "C" * 12}},))
    unhashed = make_spec(9004, files=(file,))

    assert spec_names([plain, network]) == {plain.id: "Animals", network.id: "pixel_v1"}
    assert spec_hashes([plain, network, checkpoint, unhashed]) == {
        network.id: "C" * 12,
        checkpoint.id: "B" * 10,
        unhashed.id: "A" * 64,
    }


def test_sd_parsers_reads_a_png_with_it(fox: Call) -> None:
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("parameters", to_infotext(fox, names=NAMES, hashes={CHECKPOINT: "0123456789ABCDEF"}))
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, "PNG", pnginfo=chunks)
    file.seek(0)

    info = ParserManager().parse(file)

    assert info is not None
    (sampler,) = info.samplers
    assert sampler.name == "DPM++ 2M"
    assert sampler.parameters == {"scheduler": "Karras", "cfg_scale": "3", "seed": "42", "steps": "20"}
    assert sampler.model is not None
    assert (sampler.model.name, sampler.model.hash) == ("pocket_animals", "0123456789")
    assert [prompt.value for prompt in sampler.prompts] == [
        "pixel art, a fox on a blue background <lora:pixel art:0.8>"
    ]
    assert [prompt.value for prompt in sampler.negative_prompts] == ["blurry"]
    assert info.metadata["Size"] == "64x64"


def test_image_to_image_prints_its_strength_like_a1111_and_reads_it(fox: Call) -> None:
    text = to_infotext(starting_from(fox, "ab" * 32, 0.55), names=NAMES)
    assert "Model: pocket_animals, Denoising strength: 0.55, Version" in text
    assert "ab" * 32 not in text
    read = parse_infotext(text)
    assert read.denoising_strength == 0.55
    assert "Denoising strength" not in read.extra
    assert parse_infotext(to_infotext(fox, names=NAMES)).denoising_strength is None


def test_a_hires_fix_prints_the_fields_of_a1111(fox: Call) -> None:
    fix = HiresFix(upscale=1.5, denoising_strength=0.4, steps=12, upscaler="Lanczos")
    text = to_infotext(fox.model_copy(update={"hires": fix}), names=NAMES)
    read = parse_infotext(text)
    assert (read.width, read.height, read.denoising_strength) == (64, 64, 0.4)
    hires = {key: value for key, value in read.extra.items() if key.startswith("Hires")}
    assert hires == {"Hires upscale": "1.5", "Hires steps": "12", "Hires upscaler": "Lanczos"}
    assert "Hires steps" not in to_infotext(fox.model_copy(update={"hires": HiresFix()}), names=NAMES)


def test_a_variation_and_tiling_print_the_fields_of_a1111(fox: Call) -> None:
    changed = with_unplanned(fox, {"variation": {"seed": 5, "strength": 0.25}, "tiling": True})
    text = to_infotext(changed, names=NAMES)
    assert "Model: pocket_animals, Variation seed: 5, Variation seed strength: 0.25, Tiling: True, Version" in text
    read = parse_infotext(text).extra
    assert (read["Variation seed"], read["Variation seed strength"], read["Tiling"]) == ("5", "0.25", "True")
    plain = to_infotext(fox, names=NAMES)
    assert "Variation" not in plain
    assert "Tiling" not in plain
