"""What every reward with learned weights shares: lazy loading, batches, one lock."""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from diffagent_tools.devices import fitting_threads, one_load_at_a_time, require, torch_device
from diffagent_tools.rewards.folders import FILES, find_folder, load_model, read
from diffagent_tools.rewards.protocol import check_pairs
from tool_specs.exceptions import ConfigError, WeightsError
from tool_specs.file_fingerprints import fingerprint_of

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from transformers import BaseImageProcessor, PreTrainedModel, PreTrainedTokenizerBase

BATCH: Final = 32


class LearnedReward(ABC):
    """A reward that a network computes. Safe to share between threads; its weights are read once, in float32."""

    kind: ClassVar[str]
    """First part of the name."""
    context: ClassVar[int | None] = None
    """Tokens of a prompt that count; None for all that the network has places for."""
    barred: ClassVar[bool] = False
    """Whether a picture that is not square gets black bars, instead of losing its ends."""

    def __init__(self, source: Path | str, *, device: str = "auto") -> None:
        """Choose the model; it is loaded when the first picture is scored.

        Args:
            source: A transformers folder: `config.json`, `model.safetensors`, the tokenizer, and
                `preprocessor_config.json`. Or the id of one on the Hugging Face hub ("owner/name"): it is taken from
                the hub's cache where it is there, else fetched. Weights are read from safetensors only.
            device: "auto" is CUDA where there is any, else the CPU.
        """
        self._source = source
        self._device_name = device
        self._lock = threading.Lock()
        self._parts: _Parts | None = None

    @property
    def name(self) -> str:
        """The kind and the name of the folder or of the hub's model: calibrations of other weights do not mix."""
        source = self._source
        label = source.resolve().name if isinstance(source, Path) else source.rstrip("/").rpartition("/")[2]
        return f"{self.kind}-{label}"

    @cached_property
    def identity(self) -> str:
        """The name with a fingerprint of the files in the model's folder, which is read once.

        Raises:
            ConfigError: The folder is missing or cannot be read.
        """
        folder = find_folder(self._source)
        files = sorted(path for pattern in FILES for path in folder.glob(pattern))
        try:
            return f"{self.name} {fingerprint_of(files)}"
        except OSError as error:
            msg = f"the model in {folder} cannot be read ({error.strerror or error}); download or train it again"
            raise ConfigError(msg) from error

    @classmethod
    @abstractmethod
    def network(cls) -> type[PreTrainedModel]:
        """The class of the network."""

    def score(self, images: Sequence[Image], prompts: Sequence[str]) -> list[float]:
        """The score of each picture with its prompt. Prompts beyond the model's context are cut.

        Raises:
            RequestError: There are not as many prompts as images.
            ConfigError: torch, transformers or the model's folder is missing.
            WeightsError: The model cannot be loaded, or gives no numbers.
        """
        check_pairs(images, prompts)
        if not images:
            return []
        with self._lock:
            if self._parts is None:
                self._parts = self._load()
            parts = self._parts
        scores: list[float] = []
        for start in range(0, len(images), BATCH):
            scores += self._batch(parts, images[start : start + BATCH], prompts[start : start + BATCH])
        return scores

    def _batch(self, parts: _Parts, images: Sequence[Image], prompts: Sequence[str]) -> list[float]:
        import torch

        inputs = parts.inputs(images, prompts)
        with torch.inference_mode(), fitting_threads(parts.parameters):
            scores = self._scores(parts.model, inputs).double().tolist()
        if not all(map(math.isfinite, scores)):
            msg = f"{self.name!r} gives scores that are not numbers; its weights are damaged, download them again"
            raise WeightsError(msg)
        return [float(score) for score in scores]

    def _load(self) -> _Parts:
        require("torch", "transformers", "diffusers")
        device = torch_device(self._device_name)
        folder = find_folder(self._source)
        with one_load_at_a_time():
            model = load_model(self.network(), folder)
            tokenizer, processor = read(lambda: _preparers(folder), folder)
        context = self.context or int(model.config.text_config.max_position_embeddings)
        return _Parts(model.to(device), tokenizer, processor, device=device, context=context, barred=self.barred)

    @abstractmethod
    def _scores(self, model: PreTrainedModel, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Scores of a batch, shape (n,), from `pixel_values`, `input_ids` and `attention_mask`."""


class _Parts:
    """A loaded network with what prepares its inputs."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        processor: BaseImageProcessor,
        *,
        device: torch.device,
        context: int,
        barred: bool,
    ) -> None:
        self.model = model
        self.parameters = sum(weight.numel() for weight in model.parameters())
        self._tokenizer = tokenizer
        self._processor = processor
        self._device = device
        self._context = context
        self._barred = barred
        self._lock = threading.Lock()

    def inputs(self, images: Sequence[Image], prompts: Sequence[str]) -> dict[str, torch.Tensor]:
        """`pixel_values` (n, 3, size, size), `input_ids` and `attention_mask` (n, context), on the device."""
        pictures = [self._framed(image.convert("RGB")) for image in images]
        pixels = self._processor(images=pictures, return_tensors="pt")
        # A fast tokenizer keeps its padding and truncation inside, so that two threads may not enter it together.
        with self._lock:
            tokens = self._tokenizer(
                list(prompts), padding="max_length", truncation=True, max_length=self._context, return_tensors="pt"
            )
        named = {name: tokens[name] for name in ("input_ids", "attention_mask")}
        return {name: tensor.to(self._device) for name, tensor in (named | dict(pixels)).items()}

    def _framed(self, image: Image) -> Image:
        if not self._barred:
            return image
        from PIL import Image as Images
        from PIL import ImageOps

        size = (self._processor.crop_size["width"], self._processor.crop_size["height"])
        return ImageOps.pad(image, size, method=Images.Resampling.BICUBIC, color=0)


def _preparers(folder: Path) -> tuple[PreTrainedTokenizerBase, BaseImageProcessor]:
    """The tokenizer of a folder and its image processor, the one that resizes with Pillow on every machine."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    processor = transformers.CLIPImageProcessorPil.from_pretrained(folder, local_files_only=True)
    return tokenizer, processor
