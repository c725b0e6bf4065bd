"""A call as a ComfyUI workflow in API format: what `POST /prompt` takes, and what its page opens."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Final

from tool_specs.calls import MAX_SEED, Call
from tool_specs.calls.trigger_words import word_pattern
from tool_specs.catalog import AnyCatalog
from tool_specs.exceptions import CallError
from tool_specs.exports.ingredients import Embedding, file_name, ingredients, refuse
from tool_specs.pipelines import PIPELINES
from tool_specs.prompt_weights import Piece, weighted_prompt
from tool_specs.spec import ToolSpec

Link = list[str | int]
"""An output of another node: its id and the output's number."""

Workflow = dict[str, dict[str, object]]
"""Node id to its `class_type` and `inputs`."""

SAMPLERS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "DPM++ 2M": ("dpmpp_2m", "normal"),
        "DPM++ 2M Karras": ("dpmpp_2m", "karras"),
        "DPM++ 2M SDE": ("dpmpp_2m_sde", "normal"),
        "DPM++ 2M SDE Karras": ("dpmpp_2m_sde", "karras"),
        "DPM++ 2M Exponential": ("dpmpp_2m", "exponential"),
        "DPM++ 2M SGM Uniform": ("dpmpp_2m", "sgm_uniform"),
        "DPM++ 2M Beta": ("dpmpp_2m", "beta"),
        "DPM++ 2M SDE Exponential": ("dpmpp_2m_sde", "exponential"),
        "DPM++ 2M SDE SGM Uniform": ("dpmpp_2m_sde", "sgm_uniform"),
        "DPM++ 3M SDE": ("dpmpp_3m_sde", "normal"),
        "DPM++ 3M SDE Karras": ("dpmpp_3m_sde", "karras"),
        "DPM++ 3M SDE Exponential": ("dpmpp_3m_sde", "exponential"),
        "DPM++ SDE": ("dpmpp_sde", "normal"),
        "DPM++ SDE Karras": ("dpmpp_sde", "karras"),
        "DPM++ 2S a": ("dpmpp_2s_ancestral", "normal"),
        "DPM++ 2S a Karras": ("dpmpp_2s_ancestral", "karras"),
        "DPM2": ("dpm_2", "normal"),
        "DPM2 Karras": ("dpm_2", "karras"),
        "DPM2 a": ("dpm_2_ancestral", "normal"),
        "DPM2 a Karras": ("dpm_2_ancestral", "karras"),
        "Euler": ("euler", "normal"),
        "Euler Karras": ("euler", "karras"),
        "Euler SGM Uniform": ("euler", "sgm_uniform"),
        "Euler Beta": ("euler", "beta"),
        "Euler a": ("euler_ancestral", "normal"),
        "Euler a SGM Uniform": ("euler_ancestral", "sgm_uniform"),
        "Heun": ("heun", "normal"),
        "Heun Karras": ("heun", "karras"),
        "LMS": ("lms", "normal"),
        "LMS Karras": ("lms", "karras"),
        "DDIM": ("ddim", "ddim_uniform"),
        "UniPC": ("uni_pc", "normal"),
        "UniPC Karras": ("uni_pc", "karras"),
        "DEIS": ("deis", "normal"),
        "DDPM": ("ddpm", "normal"),
        "LCM": ("lcm", "sgm_uniform"),
    }
)
"""A1111 name to sampler and scheduler; PLMS, TCD and DPM++ 2M SDE Heun are not among ComfyUI's."""

FLOW_SCHEDULERS: Final[Mapping[str, str]] = MappingProxyType(
    {"flux1": "simple", "sd35": "sgm_uniform", "chroma": "simple", "qwen": "simple", "zimage": "simple"}
)
"""Families that match flows to the scheduler that replaces "normal" in them."""

_DENOISERS: Final = frozenset({"Diffusion Model", "UNet"})
"""Roles of files that hold no text encoder and no VAE, which the checkpoint loader needs."""


def to_comfyui_workflow(call: Call, catalog: AnyCatalog) -> Workflow:
    """Write a call as a workflow.

    Args:
        call: What to draw. Without a seed, one is chosen now.
        catalog: Where the call's ids are looked up.

    Returns:
        The workflow; files go by their bare names, as they lie in ComfyUI's own folders. The picture that the call
        begins from, if any, is expected as `SHA256.png` in the folder `input`.

    Raises:
        CallError: A model is unknown or does not fit, or ComfyUI cannot draw the call.
    """
    refuse(call, "comfyui", "hires", "variation", "tiling")
    found = ingredients(call, catalog)
    if found.checkpoint.primary_file is not None and found.checkpoint.primary_file.type in _DENOISERS:
        msg = (
            f"the file of {found.checkpoint.id} is a {found.checkpoint.primary_file.type} without text encoder and "
            "VAE, which no single ComfyUI node loads; choose a version with a whole checkpoint"
        )
        raise CallError(msg)
    sampler, scheduler = _sampler(call)
    nodes = _Nodes()
    loader = nodes.add("CheckpointLoaderSimple", ckpt_name=file_name(found.checkpoint))
    model, clip, vae = _link(loader, 0), _link(loader, 1), _link(loader, 2)
    for lora in found.loras:
        node = nodes.add(
            "LoraLoader", model=model, clip=clip, lora_name=file_name(lora.spec),
            strength_model=lora.weight, strength_clip=lora.weight,
        )  # fmt: skip
        model, clip = _link(node, 0), _link(node, 1)
    if call.clip_skip > PIPELINES[call.family].first_clip_skip:
        clip = _link(nodes.add("CLIPSetLastLayer", clip=clip, stop_at_clip_layer=-call.clip_skip))
    positive = nodes.encoded(clip, _texts(call.prompt, call, found.embeddings))
    negative = nodes.encoded(clip, _texts(call.negative_prompt, call, found.embeddings))
    if call.family == "flux1":
        positive = _link(nodes.add("FluxGuidance", conditioning=positive, guidance=call.cfg_scale))
    latent, steps, denoise = _latent(nodes, call, vae)
    drawn = nodes.add(
        "KSampler",
        model=model,
        seed=secrets.randbelow(MAX_SEED + 1) if call.seed is None else call.seed,
        steps=steps,
        cfg=1.0 if call.family == "flux1" else call.cfg_scale,
        sampler_name=sampler,
        scheduler=scheduler,
        positive=positive,
        negative=negative,
        latent_image=latent,
        denoise=denoise,
    )
    decoded = nodes.add("VAEDecode", samples=_link(drawn), vae=vae)
    nodes.add("SaveImage", images=_link(decoded), filename_prefix="DiffAgent")
    return nodes.workflow


def _link(node: str, output: int = 0) -> Link:
    return [node, output]


class _Nodes:
    """A workflow in the making."""

    def __init__(self) -> None:
        self.workflow: Workflow = {}

    def add(self, class_type: str, **inputs: str | float | Link) -> str:
        """Add a node and return its id."""
        node = str(len(self.workflow) + 1)
        self.workflow[node] = {"class_type": class_type, "inputs": inputs}
        return node

    def encoded(self, clip: Link, texts: list[str]) -> Link:
        """The states of texts that are read apart, one behind the other."""
        first, *others = [_link(self.add("CLIPTextEncode", clip=clip, text=text)) for text in texts]
        for other in others:
            first = _link(self.add("ConditioningConcat", conditioning_to=first, conditioning_from=other))
        return first


def _sampler(call: Call) -> tuple[str, str]:
    if call.sampler not in SAMPLERS:
        msg = f"ComfyUI has no sampler {call.sampler!r}; use one of {', '.join(SAMPLERS)}"
        raise CallError(msg)
    sampler, scheduler = SAMPLERS[call.sampler]
    return sampler, FLOW_SCHEDULERS.get(call.family, scheduler) if scheduler == "normal" else scheduler


def _latent(nodes: _Nodes, call: Call, vae: Link) -> tuple[Link, int, float]:
    """What the sampler begins from, the steps that it runs, and how much of the noise it adds."""
    if call.init_image is None or call.denoising_strength is None:
        kind = "EmptySD3LatentImage" if call.family in FLOW_SCHEDULERS else "EmptyLatentImage"
        empty = nodes.add(kind, width=call.width, height=call.height, batch_size=1)
        return _link(empty), call.steps, 1.0
    picture = nodes.add("LoadImage", image=f"{call.init_image}.png")
    scaled = nodes.add(
        "ImageScale", image=_link(picture), upscale_method="lanczos", width=call.width, height=call.height,
        crop="disabled",
    )  # fmt: skip
    encoded = nodes.add("VAEEncode", pixels=_link(scaled), vae=vae)
    # ComfyUI runs as many steps as it is given, the others the part of them that the strength leaves.
    return _link(encoded), max(1, int(call.steps * call.denoising_strength)), call.denoising_strength


def _texts(prompt: str, call: Call, embeddings: tuple[Embedding, ...]) -> list[str]:
    """The sections of a prompt in ComfyUI's syntax, whose only brackets are round and which knows no `BREAK`."""
    read = weighted_prompt(prompt)
    if PIPELINES[call.family].is_flow:
        # A T5 gets the words alone, here as in the backend.
        return [_escaped(read.text)]
    return [_named("".join(map(_piece, section)).strip(), embeddings) for section in read.sections]


def _piece(piece: Piece) -> str:
    text = _escaped(piece.text)
    return text if piece.weight == 1 or not text.strip() else f"({text}:{piece.weight:.6g})"


def _escaped(text: str) -> str:
    """Text whose brackets are plain; a backslash at its end would escape what follows."""
    plain = text.replace("(", r"\(").replace(")", r"\)")
    return f"{plain} " if plain.endswith("\\") else plain


def _named(prompt: str, embeddings: tuple[Embedding, ...]) -> str:
    """A prompt with the words of embeddings as ComfyUI calls them: `embedding:stem`, apart from other words."""
    if not embeddings:
        return prompt
    patterns = {word_pattern(one.word): f"embedding:{_stem(one.spec)}" for one in embeddings}
    words = "|".join(pattern.pattern for pattern in patterns)

    def named(match: re.Match[str]) -> str:
        name = next(name for pattern, name in patterns.items() if pattern.fullmatch(match["word"]))
        return " ".join(part for part in (match["before"], name, match["after"]) if part)

    return re.sub(rf"(?P<before>[^\s(]?)(?P<word>{words})(?P<after>[^\s,):]?)", named, prompt, flags=re.IGNORECASE)


def _stem(spec: ToolSpec) -> str:
    stem = PurePosixPath(file_name(spec)).stem
    if not re.fullmatch(r"[\w.+-]+", stem):
        msg = f"the embedding {spec.id} is in the file {stem!r}, which a prompt in ComfyUI cannot name; leave it out"
        raise CallError(msg)
    return stem
