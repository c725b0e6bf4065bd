"""Weighted and long prompts, on untrained pipelines of the real architectures and on the pocket models."""

from __future__ import annotations

import itertools
from pathlib import Path
from statistics import mean

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, StableDiffusionPipeline, StableDiffusionXLPipeline
from torch import Tensor
from transformers import T5Config, T5EncoderModel

from diffagent_tools.backends import DiffusersBackend
from diffagent_tools.backends.conditioning import Conditioning
from diffagent_tools.rewards import CLIPReward
from tests.diffagent_tools.conftest import build_studio
from tests.tiny_families import build_sd15, build_sdxl
from tests.tiny_world import TinyWorld
from tool_specs.calls import Call, HiresFix, LoraUse, PocketCall, StableDiffusion15Call, StableDiffusionXLCall
from tool_specs.catalog import Catalog

CHECKPOINT = "civitai:1@101"
LONG = ", ".join(["a red fox on a blue background"] * 6)
ROOM = 30
"""Tokens that the tiny text encoders read beside start and end."""


@pytest.fixture(scope="module")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> StableDiffusionPipeline:
    pipeline = build_sd15(tmp_path_factory.mktemp("sd15"))[0]
    with torch.no_grad():
        _norm(pipeline).bias.fill_(0.3)  # trained states have a mean; those of an untrained norm have none
    return pipeline


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> tuple[StableDiffusionXLPipeline, Path]:
    return build_sdxl(tmp_path_factory.mktemp("sdxl"))


@pytest.fixture(scope="module")
def pocket(tiny_world: TinyWorld) -> DiffusersBackend:
    return build_studio(tiny_world).backend()


def _norm(pipeline: StableDiffusionPipeline) -> torch.nn.LayerNorm:
    return getattr(pipeline.text_encoder, "text_model", pipeline.text_encoder).final_layer_norm


def _arguments(pipeline: StableDiffusionPipeline | StableDiffusionXLPipeline, call: Call) -> dict[str, object]:
    return Conditioning(pipeline, model="Tiny").arguments(call)


def _sd15(prompt: str, negative_prompt: str = "", clip_skip: int = 1) -> Call:
    return StableDiffusion15Call(
        checkpoint=CHECKPOINT, prompt=prompt, negative_prompt=negative_prompt, clip_skip=clip_skip
    )


def _sdxl(prompt: str, negative_prompt: str = "", clip_skip: int = 2) -> Call:
    return StableDiffusionXLCall(
        checkpoint=CHECKPOINT, prompt=prompt, negative_prompt=negative_prompt, clip_skip=clip_skip
    )


def _pocket(prompt: str, **changes: object) -> PocketCall:
    fields = {"checkpoint": CHECKPOINT, "prompt": prompt, "steps": 2, "width": 32, "height": 32, "seed": 7}
    return PocketCall.model_validate(fields | changes)


def _plain_states(pipeline: StableDiffusionPipeline, text: str, clip_skip: int = 1) -> Tensor:
    """(1, 32, width), as A1111 reads a short text without weights."""
    tokens = pipeline.tokenizer(text, padding="max_length", max_length=ROOM + 2, return_tensors="pt").input_ids
    assert tokens.shape == (1, ROOM + 2)
    with torch.no_grad():
        output = pipeline.text_encoder(tokens, output_hidden_states=True)
        if clip_skip == 1:
            return output.last_hidden_state
        return _norm(pipeline)(output.hidden_states[-clip_skip])


@pytest.mark.parametrize("negative", ["", "a cat"])
@pytest.mark.parametrize("prompt", ["a fox", "a fox :)", r"a fox \(red\)", "a (fox:1.0)"])
def test_the_pipeline_reads_what_needs_no_help(sd15: StableDiffusionPipeline, prompt: str, negative: str) -> None:
    words = {r"a fox \(red\)": "a fox (red)", "a (fox:1.0)": "a fox"}.get(prompt, prompt)
    expected = {"prompt": words, "negative_prompt": negative or None}
    assert _arguments(sd15, _sd15(prompt, negative)) == expected


@pytest.mark.parametrize("clip_skip", [1, 2, 3])
def test_weights_multiply_states_and_the_mean_is_restored(sd15: StableDiffusionPipeline, clip_skip: int) -> None:
    arguments = _arguments(sd15, _sd15("a (fox:1.5) on [blue] (lake:-0.5)", "a cat", clip_skip))
    plain = _plain_states(sd15, "a fox on blue lake", clip_skip)
    ids = sd15.tokenizer("a fox on blue lake").input_ids
    places = [sd15.tokenizer.convert_ids_to_tokens(ids).index(word) for word in ("fox</w>", "blue</w>")]
    weights = torch.ones(ROOM + 2)
    weights[places[0]], weights[places[1]] = 1.5, 1 / 1.1
    weights[places[1] + 1 : len(ids) - 1] = -0.5
    expected = plain * weights[None, :, None]
    expected = expected * plain.mean() / expected.mean()
    torch.testing.assert_close(arguments["prompt_embeds"], expected)
    assert torch.equal(arguments["negative_prompt_embeds"], _plain_states(sd15, "a cat", clip_skip))


def test_a_mean_of_nothing_is_left_alone(tmp_path: Path) -> None:
    pipeline, _ = build_sd15(tmp_path)
    plain = _plain_states(pipeline, "a fox")
    assert plain.mean().abs() < 1e-6
    weights = torch.ones(ROOM + 2)
    weights[1:3] = 1.5
    states = _arguments(pipeline, _sd15("(a fox:1.5)"))["prompt_embeds"]
    torch.testing.assert_close(states, plain * weights[None, :, None])


def test_a_weight_in_one_prompt_leaves_the_other_as_it_was(sd15: StableDiffusionPipeline) -> None:
    prompt, negative = sd15.encode_prompt("a fox", "cpu", 1, True, negative_prompt="a cat")
    assert torch.equal(_arguments(sd15, _sd15("a fox", "a (cat:1.3)"))["prompt_embeds"], prompt)
    assert torch.equal(_arguments(sd15, _sd15("a (fox:1.3)", "a cat"))["negative_prompt_embeds"], negative)


def test_a_break_begins_a_chunk_and_the_other_prompt_is_filled_up(sd15: StableDiffusionPipeline) -> None:
    arguments = _arguments(sd15, _sd15("a fox BREAK a lake BREAK", "a cat"))
    expected = torch.cat([_plain_states(sd15, "a fox"), _plain_states(sd15, "a lake")], dim=1)
    torch.testing.assert_close(arguments["prompt_embeds"], expected)
    expected = torch.cat([_plain_states(sd15, "a cat"), _plain_states(sd15, "")], dim=1)
    torch.testing.assert_close(arguments["negative_prompt_embeds"], expected)


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (["fox"] * 45, 30),
        (["fox"] * 24 + [","] + ["fox"] * 20, 25),
        (["fox"] * 10 + [","] + ["fox"] * 30, 30),
        (["fox"] * 24 + [","] + ["fox"] * 5 + [","] + ["fox"] * 9, 30),
        (["fox"] * 30, None),
        (["fox"] * 31, 30),
    ],
)
def test_long_prompts_are_cut_at_a_near_comma(
    sd15: StableDiffusionPipeline, words: list[str], first: int | None
) -> None:
    arguments = _arguments(sd15, _sd15(" ".join(words)))
    if first is None:
        assert arguments["prompt"] == " ".join(words)
        return
    chunks = [_plain_states(sd15, " ".join(part)) for part in (words[:first], words[first:])]
    torch.testing.assert_close(arguments["prompt_embeds"], torch.cat(chunks, dim=1))


def test_an_embedding_of_several_vectors_is_not_cut(tmp_path: Path) -> None:
    pipeline, _ = build_sd15(tmp_path)
    pipeline.load_textual_inversion({"emb_params": torch.ones(3, 768)}, token="glow")
    words = [*["fox"] * 29, "glow"]
    arguments = _arguments(pipeline, _sd15(" ".join(words)))
    expected = [_plain_states(pipeline, text) for text in (" ".join(words[:29]), "glow glow_1 glow_2")]
    torch.testing.assert_close(arguments["prompt_embeds"], torch.cat(expected, dim=1))


@pytest.mark.parametrize("clip_skip", [1, 2, 3])
def test_sdxl_reads_a_plain_prompt_beside_a_weighted_one_as_its_pipeline(
    sdxl: tuple[StableDiffusionXLPipeline, Path], clip_skip: int
) -> None:
    pipeline = sdxl[0]
    arguments = _arguments(pipeline, _sdxl("a fox", "(a cat:1.2)", clip_skip))
    layers = max(clip_skip - 2, 0) or None
    plain = pipeline.encode_prompt("a fox", device="cpu", negative_prompt="a cat", clip_skip=layers)
    assert torch.equal(arguments["prompt_embeds"], plain[0])
    assert torch.equal(arguments["pooled_prompt_embeds"], plain[2])
    assert torch.equal(arguments["negative_pooled_prompt_embeds"], plain[3])
    difference = (arguments["negative_prompt_embeds"] - plain[1]).abs().amax(dim=(0, 2))
    assert difference[1] > 0.01


def test_each_text_encoder_of_sdxl_keeps_its_own_mean(sdxl: tuple[StableDiffusionXLPipeline, Path]) -> None:
    pipeline = sdxl[0]
    weighted = _arguments(pipeline, _sdxl("a (fox:1.6)"))["prompt_embeds"]
    plain = pipeline.encode_prompt("a fox", device="cpu")[0]
    for part in (slice(0, 768), slice(768, None)):
        torch.testing.assert_close(weighted[..., part].mean(), plain[..., part].mean())
        assert not torch.allclose(weighted[..., part], plain[..., part])


def test_long_sdxl_prompts_pool_their_first_chunk(sdxl: tuple[StableDiffusionXLPipeline, Path]) -> None:
    pipeline = sdxl[0]
    arguments = _arguments(pipeline, _sdxl("a fox BREAK a lake"))
    plain = pipeline.encode_prompt("a fox", device="cpu")
    assert {name: tuple(tensor.shape) for name, tensor in arguments.items()} == {
        "prompt_embeds": (1, 2 * (ROOM + 2), 768 + 1280),
        "negative_prompt_embeds": (1, 2 * (ROOM + 2), 768 + 1280),
        "pooled_prompt_embeds": (1, 1280),
        "negative_pooled_prompt_embeds": (1, 1280),
    }
    torch.testing.assert_close(arguments["pooled_prompt_embeds"], plain[2])
    assert pipeline.config.force_zeros_for_empty_prompt
    assert not arguments["negative_prompt_embeds"].any()
    assert not arguments["negative_pooled_prompt_embeds"].any()


def test_other_text_encoders_get_the_words_and_one_warning(
    sd15: StableDiffusionPipeline, caplog: pytest.LogCaptureFixture
) -> None:
    t5 = T5EncoderModel(T5Config(vocab_size=99, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2))
    flux = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=None,
        text_encoder=sd15.text_encoder,
        tokenizer=sd15.tokenizer,
        text_encoder_2=t5,
        tokenizer_2=None,
        transformer=None,
    )
    conditioning = Conditioning(flux, model="Tiny")
    assert conditioning.arguments(_sd15("a fox, " * 60))["prompt"] == ("a fox, " * 60).strip()
    assert caplog.messages == []
    for _ in range(2):
        arguments = conditioning.arguments(_sd15("a (red:1.2) fox BREAK [a lake]", r"(bad \(x\))"))
        assert arguments == {"prompt": "a red fox, a lake", "negative_prompt": "bad (x)"}
    assert len(caplog.messages) == 1
    assert "Tiny" in caplog.text
    assert "knows no weights" in caplog.text


def test_what_is_not_drawn_as_in_a1111_is_told_once(
    sd15: StableDiffusionPipeline, caplog: pytest.LogCaptureFixture
) -> None:
    conditioning = Conditioning(sd15, model="Tiny")
    for _ in range(2):
        assert conditioning.arguments(_sd15("a fox AND a lake"))["prompt"] == "a fox, a lake"
        conditioning.arguments(_sd15("a fox", "[fox:cat:0.5]"))
    assert [message.split(", ")[1] for message in caplog.messages] == [
        "AND is read as a comma",
        "[from:to:when] is read as plain text",
    ]


def test_weights_breaks_and_the_end_of_long_prompts_change_the_picture(pocket: DiffusersBackend) -> None:
    prompts = ["a fox on a lake", "a (fox:1.4) on a lake", "a [fox] on a lake", "a fox BREAK on a lake"]
    prompts += [f"{LONG}, a pear", f"{LONG}, a tower"]
    pictures = {pocket.draw(_pocket(prompt)).image.tobytes() for prompt in prompts}
    assert len(pictures) == len(prompts)
    assert pocket.draw(_pocket("a (fox:1.0) on a lake")).image.tobytes() in pictures


def test_a_weighted_prompt_draws_with_everything_else(pocket: DiffusersBackend) -> None:
    networks = (LoraUse(id="civitai:11@111", weight=0.7), LoraUse(id="civitai:21@121"))
    call = _pocket("a (mintcolor:1.3) fox", negative_prompt=LONG, loras=networks, hires=HiresFix(upscale=2))
    drawing = pocket.draw(call)
    assert drawing.image.size == (64, 64)
    assert drawing.call.prompt == call.prompt
    assert pocket.draw(call).image.tobytes() == drawing.image.tobytes()
    unweighted = pocket.draw(call.model_copy(update={"prompt": "a mintcolor fox"})).image
    assert unweighted.tobytes() != drawing.image.tobytes()


def test_sdxl_draws_weighted_long_prompts(sdxl: tuple[StableDiffusionXLPipeline, Path]) -> None:
    pipeline = sdxl[0]
    pipeline.set_progress_bar_config(disable=True)
    arguments = _arguments(pipeline, _sdxl(f"(a fox:1.2), {LONG}", "a cat"))
    picture = pipeline(**arguments, num_inference_steps=1, width=64, height=64, output_type="np").images[0]
    assert np.isfinite(picture).all()


def test_a_weighted_subject_has_a_higher_clip_score() -> None:
    """Of two animals, over all pairs and three seeds.

    The weighted one stands first: pocket captions name one animal, and their text encoder mixes a second one into it.
    """
    backend, reward = DiffusersBackend(Catalog.pocket(), device="cpu"), CLIPReward()
    scores: dict[float, list[float]] = {0.6: [], 1.4: []}
    for subject, other in itertools.permutations(("fox", "cat", "dog", "owl"), 2):
        for weight, found in scores.items():
            prompt = f"a ({subject}:{weight}) and a {other}"
            call = _pocket(prompt, checkpoint="civitai:9001@9101", steps=6, width=64, height=64)
            images = [backend.draw(call.model_copy(update={"seed": seed})).image for seed in range(3)]
            found += reward.score(images, [f"a {subject}"] * 3)
    assert mean(scores[1.4]) > mean(scores[0.6]) + 1
