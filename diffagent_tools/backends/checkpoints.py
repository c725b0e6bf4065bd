"""A loaded checkpoint: its pipeline and the networks that were loaded into it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from diffagent_tools.backends.pipelines import first_line, load_pipeline, out_of_memory, pipeline_for, pipeline_kind
from diffagent_tools.backends.samplers import scheduler_of
from diffagent_tools.devices import one_load_at_a_time, quiet_libraries
from tool_specs.calls import Call
from tool_specs.embedding_words import embedding_word
from tool_specs.exceptions import BackendError, WeightsError
from tool_specs.families import FAMILIES
from tool_specs.spec import ToolSpec
from tool_specs.weight_files import identify

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from torch import nn
    from transformers import CLIPTextModel

MAX_KEPT_LORAS: Final = 6
"""LoRAs that stay loaded in one checkpoint between calls."""

_ENCODERS: Final = (("tokenizer", "text_encoder", "clip_l"), ("tokenizer_2", "text_encoder_2", "clip_g"))
"""Tokenizer, text encoder, and the key under which an SDXL embedding keeps its vectors for it."""


@dataclass(frozen=True, slots=True)
class Network:
    """A network of a call with its file."""

    spec: ToolSpec
    path: Path
    weight: float


@dataclass(frozen=True, slots=True)
class FileStamp:
    """Which content a path had when it was loaded."""

    path: Path
    size: int
    modified: int

    @classmethod
    def of(cls, path: Path) -> FileStamp:
        """The stamp of a file as it is now.

        Raises:
            WeightsError: The file is not there.
        """
        try:
            status = path.stat()
        except OSError as error:
            msg = f"the weights file {path} cannot be read ({error.strerror}); download it again"
            raise WeightsError(msg) from error
        return cls(path, status.st_size, status.st_mtime_ns)


class LoadedCheckpoint:
    """A pipeline that stays in memory, with the LoRAs that calls have used."""

    def __init__(
        self, spec: ToolSpec, path: Path, *, config: Path | str, device: torch.device, dtype: torch.dtype
    ) -> None:
        """Load the checkpoint.

        Raises:
            WeightsError: The file cannot be used.
            BackendError: The configuration cannot be had.
        """
        self.spec = spec
        self._kind = pipeline_kind(spec)
        self._pipeline = load_pipeline(spec, path, config=config, device=device, dtype=dtype)
        self._noise_schedule: dict[str, object] = dict(self._pipeline.scheduler.config)
        self._loras: dict[FileStamp, str] = {}
        self._lora_ids: dict[FileStamp, str] = {}
        self._loaded_loras = 0
        parameters = [
            weight
            for module in self._pipeline.components.values()
            if hasattr(module, "parameters")
            for weight in module.parameters()
        ]
        self.parameters = sum(weight.numel() for weight in parameters)
        self.size = sum(weight.numel() * weight.element_size() for weight in parameters)

    @property
    def lora_ids(self) -> tuple[str, ...]:
        """Spec ids of the LoRAs that are loaded, least recently used first."""
        return tuple(self._lora_ids[stamp] for stamp in self._loras)

    def draw(
        self,
        call: Call,
        networks: Sequence[Network],
        start: Image | None,
        generator: torch.Generator,
        after_step: Callable[[int, int], None],
    ) -> Image:
        """Draw a call with its networks.

        Args:
            call: What to draw.
            networks: The networks that the call names.
            start: The picture that the call begins from.
            generator: Source of all noise.
            after_step: Called after every denoising step with the number of steps done and their total.

        Raises:
            CallError: An embedding's word is not in the prompt.
            WeightsError: A network's file cannot be used.
            BackendError: The picture holds values that are not numbers.
        """
        from PIL import Image

        embeddings = [network for network in networks if network.spec.type == "TextualInversion"]
        with quiet_libraries(), self._embeddings(embeddings, call):
            self._set_loras([network for network in networks if network.spec.type != "TextualInversion"])
            self._pipeline.scheduler = scheduler_of(call.sampler, self._noise_schedule)
            pipeline, task = pipeline_for(self._pipeline, call, start)

            def on_step_end(_: object, step: int, _time: object, tensors: dict[str, object]) -> dict[str, object]:
                after_step(step + 1, pipeline.num_timesteps)
                return tensors

            pixels = pipeline(
                **self._prompts(call),
                **task,
                num_inference_steps=call.steps,
                guidance_scale=call.cfg_scale,
                generator=generator,
                output_type="np",
                callback_on_step_end=on_step_end,
                callback_on_step_end_tensor_inputs=[],
            ).images[0]
        if not np.isfinite(pixels).all():
            msg = (
                f"{self.spec.model_name} drew values that are not numbers at {call.width}x{call.height}, "
                f"{call.sampler}, cfg {call.cfg_scale}; use a lower cfg scale or another sampler"
            )
            raise BackendError(msg)
        return Image.fromarray((pixels * 255).round().astype(np.uint8))

    def _prompts(self, call: Call) -> dict[str, object]:
        """The pipeline's arguments for both prompts."""
        texts: dict[str, object] = {"prompt": call.prompt, "negative_prompt": call.negative_prompt or None}
        if call.clip_skip <= self._kind.first_clip_skip:
            return texts
        if hasattr(self._pipeline, "text_encoder_2"):
            return texts | {"clip_skip": call.clip_skip - self._kind.first_clip_skip}
        return {
            "prompt_embeds": self._text_states(call.prompt, call.clip_skip),
            "negative_prompt_embeds": self._text_states(call.negative_prompt, call.clip_skip),
        }

    def _text_states(self, text: str, clip_skip: int) -> torch.Tensor:
        """The normalised output of the `clip_skip`-th last layer of the text encoder, (1, tokens, width).

        As A1111 does it, for both prompts. The `clip_skip` of diffusers leaves the negative prompt out, and fails with
        transformers from 5.6 on (https://github.com/huggingface/diffusers/issues/14124).
        """
        import torch

        tokenizer, encoder = self._pipeline.tokenizer, self._pipeline.text_encoder
        tokens = tokenizer(
            self._pipeline.maybe_convert_prompt(text, tokenizer),
            padding="max_length",
            truncation=True,
            max_length=tokenizer.model_max_length,
            return_tensors="pt",
        )
        with torch.no_grad():
            layers = encoder(tokens.input_ids.to(encoder.device), output_hidden_states=True).hidden_states
            states: torch.Tensor = getattr(encoder, "text_model", encoder).final_layer_norm(layers[-clip_skip])
        return states

    def _set_loras(self, loras: Sequence[Network]) -> None:
        """Make exactly these LoRAs act, loading those that are not loaded yet."""
        names = []
        for lora in loras:
            stamp = FileStamp.of(lora.path)
            name = self._loras.pop(stamp, None) or self._load_lora(lora)
            self._loras[stamp] = name
            self._lora_ids[stamp] = lora.spec.id
            names.append(name)
        if names:
            self._pipeline.enable_lora()
            self._pipeline.set_adapters(names, [lora.weight for lora in loras])
        elif self._loras:
            self._pipeline.disable_lora()
        for stamp in list(self._loras)[: max(0, len(self._loras) - max(MAX_KEPT_LORAS, len(names)))]:
            self._pipeline.delete_adapters(self._loras.pop(stamp))
            del self._lora_ids[stamp]

    def _load_lora(self, lora: Network) -> str:
        from safetensors.torch import load_file

        self._check_network(lora, "lora")
        self._loaded_loras += 1
        name = f"lora{self._loaded_loras}"
        try:
            # Given a path, diffusers would try the model hub and pickles as well.
            with one_load_at_a_time():
                self._pipeline.load_lora_weights(load_file(lora.path), adapter_name=name)
        except Exception as error:
            if out_of_memory(error):
                raise
            self._drop_adapter(name)
            msg = f"{lora.path} could not be loaded as a LoRA into {self.spec.model_name}: {first_line(error)}"
            raise WeightsError(msg) from error
        if not any(name in names for names in self._pipeline.get_list_adapters().values()):
            msg = f"no layer of {lora.path} fits {self.spec.model_name}; choose a LoRA for {self.spec.base_model}"
            raise WeightsError(msg)
        return name

    def _drop_adapter(self, name: str) -> None:
        """Remove what a failed load has left behind."""
        if any(name in names for names in self._pipeline.get_list_adapters().values()):
            self._pipeline.delete_adapters(name)

    @contextmanager
    def _embeddings(self, embeddings: Sequence[Network], call: Call) -> Iterator[None]:
        """Teach the text encoders new words, and restore them to the last bit afterwards."""
        if not embeddings:
            yield
            return
        pipeline = self._pipeline
        encoders = [names for names in _ENCODERS if getattr(pipeline, names[1], None) is not None]
        saved: list[tuple[str, object, CLIPTextModel, nn.Embedding]] = []
        for tokenizer, encoder, _ in encoders:
            model = getattr(pipeline, encoder)
            saved.append((tokenizer, getattr(pipeline, tokenizer), model, model.get_input_embeddings()))
            setattr(pipeline, tokenizer, copy.deepcopy(getattr(pipeline, tokenizer)))
            model.set_input_embeddings(copy.deepcopy(model.get_input_embeddings()))
        try:
            with one_load_at_a_time():
                for embedding in embeddings:
                    self._load_embedding(embedding, call, encoders)
            yield
        finally:
            for tokenizer, words, model, vectors in saved:
                setattr(pipeline, tokenizer, words)
                model.set_input_embeddings(vectors)
                model.config.vocab_size = vectors.weight.shape[0]

    def _load_embedding(self, embedding: Network, call: Call, encoders: Sequence[tuple[str, str, str]]) -> None:
        from safetensors.torch import load_file

        self._check_network(embedding, "embedding")
        word = embedding_word(embedding.spec, embedding.path.stem, call)
        vectors: Mapping[str, torch.Tensor] = load_file(embedding.path)
        try:
            for tokenizer, encoder, key in encoders:
                part = vectors[key] if key in vectors else next(iter(vectors.values()))
                self._pipeline.load_textual_inversion(
                    {"emb_params": part},
                    token=word,
                    tokenizer=getattr(self._pipeline, tokenizer),
                    text_encoder=getattr(self._pipeline, encoder),
                )
        except (ValueError, RuntimeError, StopIteration) as error:
            msg = f"{embedding.path} could not be loaded as an embedding of {self.spec.model_name}: {first_line(error)}"
            raise WeightsError(msg) from error

    def _check_network(self, network: Network, kind: str) -> None:
        """Compare what the file is with what it should be."""
        identity = identify(network.path)
        ours = FAMILIES[self.spec.family].architecture
        if identity.kind != kind:
            msg = f"{network.path} holds {identity.kind} weights, but {network.spec.id} is a {network.spec.type}"
            raise WeightsError(msg)
        if identity.architecture and identity.architecture != ours:
            msg = (
                f"{network.path} is a {kind} for {identity.architecture}, but {self.spec.model_name} is {ours}: "
                f"choose one for {self.spec.base_model}"
            )
            raise WeightsError(msg)
