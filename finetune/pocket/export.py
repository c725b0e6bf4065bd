"""Write the finished world as the package ships it: config, weights, reward, records."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import load_file
from transformers import CLIPImageProcessor, CLIPModel, CLIPTextModel

from finetune.pocket.clip import IMAGE_MEAN, IMAGE_STD
from finetune.pocket.kohya import save_embedding, save_kohya_lora
from finetune.pocket.ldm import save_single_file
from finetune.pocket.recipe import Recipe
from finetune.pocket.records import write_records
from finetune.pocket.unet import SCHEDULE
from finetune.pocket.world import EMBEDDING_TOKEN

COMMAND = "python -m finetune.pocket.train --out DIR"
TOKENIZER_FILES = ("vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json")


def export_world(recipe: Recipe, work: Path, out: Path) -> None:
    """Write `config/`, `weights/`, `reward/` and `records/` under `out` from the stages' results in `work`."""
    shutil.rmtree(out, ignore_errors=True)
    weights = out / "weights"
    weights.mkdir(parents=True)
    vae = AutoencoderKL.from_pretrained(work / "vae_shipped")
    encoder = CLIPTextModel.from_pretrained(work / "text_encoder")
    unet = UNet2DConditionModel.from_pretrained(work / "unet_base")
    _write_config(out / "config", work, unet, vae, encoder)
    origin = {"modelspec.license": "Apache-2.0", "recipe": recipe.name, "recipe_command": COMMAND}
    for domain in recipe.domains:
        unet = UNet2DConditionModel.from_pretrained(work / f"unet_{domain}")
        path = weights / f"pocket_{domain}.safetensors"
        save_single_file(
            path, unet=unet, vae=vae, text_encoder=encoder, metadata={**origin, "modelspec.title": path.stem}
        )
    for style in recipe.styles:
        slug = style.replace(" ", "_")
        save_kohya_lora(
            weights / f"pocket_{slug}.safetensors",
            load_layers(work / f"lora_{slug}.safetensors"),
            alpha=float(recipe.lora_rank),
            metadata={**origin, "modelspec.title": f"pocket_{slug}", "ss_base_model_version": "pocket"},
        )
    save_embedding(weights / f"{EMBEDDING_TOKEN}.safetensors", load_file(work / "embedding.safetensors")["vector"])
    _write_reward(work, out / "reward")
    write_records(recipe.domains, recipe.styles, weights, out / "records")
    for path in out.rglob("*.safetensors"):
        path.chmod(0o644)  # safetensors writes files that only their owner can read


def load_layers(path: Path) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Read the (down, up) weights of each layer that the LoRA stage wrote."""
    tensors = load_file(path)
    names = sorted({key[:-2] for key in tensors})
    return {name: (tensors[f"{name}.d"], tensors[f"{name}.u"]) for name in names}


def _write_config(
    out: Path, work: Path, unet: UNet2DConditionModel, vae: AutoencoderKL, encoder: CLIPTextModel
) -> None:
    """The diffusers-format folder without weights that `from_single_file` reads offline."""
    for name, part in (("unet", unet), ("vae", vae)):
        part.register_to_config(_name_or_path="")  # else the folder it was loaded from
        part.save_config(out / name)
    encoder.config.save_pretrained(out / "text_encoder")
    DDIMScheduler(**SCHEDULE, set_alpha_to_one=False, steps_offset=1).save_pretrained(out / "scheduler")
    (out / "tokenizer").mkdir()
    for file in TOKENIZER_FILES:
        shutil.copy(work / "tokenizer" / file, out / "tokenizer" / file)
    index = {
        "_class_name": "StableDiffusionPipeline",
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (out / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


def _write_reward(work: Path, out: Path) -> None:
    """The reward CLIP in half precision, with its tokenizer and image processor."""
    CLIPModel.from_pretrained(work / "reward").half().save_pretrained(out)
    CLIPImageProcessor(
        size={"shortest_edge": 64}, crop_size=64, image_mean=list(IMAGE_MEAN), image_std=list(IMAGE_STD)
    ).save_pretrained(out)
    for file in TOKENIZER_FILES:
        shutil.copy(work / "reward" / file, out / file)
