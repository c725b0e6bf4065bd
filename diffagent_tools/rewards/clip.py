"""CLIP score: how near a picture is to its prompt in the space of a CLIP model."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from diffagent_tools.devices import fitting_threads, quiet_libraries, require, torch_device
from tool_specs.exceptions import ConfigError, RequestError, WeightsError
from tool_specs.pocket import pocket_reward

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from transformers import BaseImageProcessor, CLIPModel, PreTrainedTokenizerBase

BATCH: Final = 32


class CLIPReward:
    """CLIP score of any `CLIPModel` folder, by default the pocket one.

    `max(100 * cos(E_image, E_text), 0)`: CLIP-S of Hessel et al. 2021 (equation 1) with the factor w = 100 in place of
    the paper's 2.5, as torchmetrics and most tables of text-to-image models have it. The range is 0 to 100.
    """

    def __init__(self, folder: Path | None = None, *, device: str = "auto") -> None:
        """Choose the model; it is loaded when the first picture is scored.

        Args:
            folder: A transformers folder with a `CLIPModel`, its tokenizer and its image processor.
            device: "auto" is CUDA where there is any, else the CPU.
        """
        self._folder = folder
        self._device_name = device
        self._lock = threading.Lock()
        self._parts: _Parts | None = None

    @property
    def name(self) -> str:
        """The folder's name after "clip-"; "clip-pocket" for the default."""
        return f"clip-{'pocket' if self._folder is None else self._folder.resolve().name}"

    def score(self, images: Sequence[Image], prompts: Sequence[str]) -> list[float]:
        """The CLIP score of each picture with its prompt, 0 to 100. Prompts beyond the model's context are cut.

        Raises:
            RequestError: There are not as many prompts as images.
            ConfigError: torch, transformers or the model's folder is missing.
            WeightsError: The model cannot be loaded.
        """
        if len(images) != len(prompts):
            msg = f"{len(images)} images but {len(prompts)} prompts; give one prompt for each image"
            raise RequestError(msg)
        if not images:
            return []
        with self._lock:
            if self._parts is None:
                self._parts = _load(self._folder or pocket_reward(), torch_device(self._device_name))
            parts = self._parts
        scores: list[float] = []
        for start in range(0, len(images), BATCH):
            scores += parts.score(images[start : start + BATCH], prompts[start : start + BATCH])
        return scores


class _Parts:
    """A loaded CLIP model with what prepares its inputs."""

    def __init__(
        self,
        model: CLIPModel,
        tokenizer: PreTrainedTokenizerBase,
        processor: BaseImageProcessor,
        device: torch.device,
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._processor = processor
        self._device = device
        self._parameters = sum(weight.numel() for weight in model.parameters())

    def score(self, images: Sequence[Image], prompts: Sequence[str]) -> list[float]:
        import torch

        pixels = self._processor(images=[image.convert("RGB") for image in images], return_tensors="pt")
        tokens = self._tokenizer(
            list(prompts),
            padding="max_length",
            truncation=True,
            max_length=self._model.config.text_config.max_position_embeddings,
            return_tensors="pt",
        )
        with torch.inference_mode(), fitting_threads(self._parameters):
            output = self._model(
                pixel_values=pixels["pixel_values"].to(self._device),
                input_ids=tokens["input_ids"].to(self._device),
                attention_mask=tokens["attention_mask"].to(self._device),
            )
            cosine = torch.nn.functional.cosine_similarity(output.image_embeds, output.text_embeds)
        return [max(100.0 * value, 0.0) for value in cosine.double().tolist()]


def _load(folder: Path, device: torch.device) -> _Parts:
    """Load a CLIP folder, without the network."""
    if not (folder / "config.json").is_file():
        msg = f"{folder} is not a transformers folder (it has no config.json); give one that holds a CLIPModel"
        raise ConfigError(msg)
    require("transformers", "diffusers")
    with quiet_libraries():
        import transformers

        try:
            model = transformers.CLIPModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
            processor = transformers.CLIPImageProcessor.from_pretrained(folder, local_files_only=True)
        except Exception as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)[:200]
            msg = f"the CLIP model in {folder} cannot be loaded ({reason}); download or train it again"
            raise WeightsError(msg) from error
    return _Parts(model.eval().to(device), tokenizer, processor, device)
