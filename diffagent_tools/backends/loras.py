"""The LoRAs of a loaded pipeline: they stay loaded between calls, and act only in the calls that name them.

Low-rank pairs are adapters of peft. What peft does not compute is merged into the weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from diffagent_tools.backends.merging import MergedNetworks
from diffagent_tools.backends.networks import FileStamp, Network
from diffagent_tools.backends.pipelines import first_line, out_of_memory
from diffagent_tools.devices import one_load_at_a_time
from tool_specs.exceptions import WeightsError
from tool_specs.spec import ToolSpec
from tool_specs.weight_files import read_header
from tool_specs.weight_identity import lora_variant

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline
    from torch import Tensor

MAX_KEPT_LORAS: Final = 6
"""Adapters that stay loaded in one checkpoint between calls."""


_DOWN, _UP, _ALPHA = ".lora_down.weight", ".lora_up.weight", ".alpha"


class LoadedLoras:
    """The LoRAs that calls have loaded into one pipeline."""

    def __init__(self, pipeline: StableDiffusionPipeline, checkpoint: ToolSpec) -> None:
        """Begin with none.

        Args:
            pipeline: What they are loaded into.
            checkpoint: The spec of its checkpoint.
        """
        self._pipeline = pipeline
        self._checkpoint = checkpoint
        self._names: dict[FileStamp, str] = {}
        self._ids: dict[FileStamp, str] = {}
        self._acting: list[tuple[str, float]] | None = []
        """Name and weight of the adapters that act; None after a load or a switch that may have failed."""
        self._loads = 0
        self.merged = MergedNetworks(pipeline, checkpoint)
        """Those that are merged into the weights."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Their spec ids, least recently used first, then those that are merged into the weights."""
        return (*(self._ids[stamp] for stamp in self._names), *self.merged.ids)

    def act(self, loras: Sequence[Network]) -> None:
        """Make exactly these LoRAs act, loading those that are not loaded yet.

        Raises:
            WeightsError: A file cannot be used.
        """
        merged = [lora for lora in loras if _is_merged(lora.path)]
        self.merged.act(merged)
        adapters = [lora for lora in loras if lora not in merged]
        wanted = []
        for lora in adapters:
            stamp = FileStamp.of(lora.path)
            name = self._names.pop(stamp, None) or self._load(lora)
            self._names[stamp] = name
            self._ids[stamp] = lora.spec.id
            wanted.append((name, lora.weight))
        self._switch_to(wanted)
        for stamp in list(self._names)[: max(0, len(self._names) - max(MAX_KEPT_LORAS, len(wanted)))]:
            self._pipeline.delete_adapters(self._names.pop(stamp))
            del self._ids[stamp]

    def _switch_to(self, wanted: list[tuple[str, float]]) -> None:
        """Make loaded adapters act; peft walks through all layers for each change, so none is made twice."""
        if wanted == self._acting:
            return
        acted, self._acting = self._acting, None
        if wanted:
            if not acted:
                self._pipeline.enable_lora()
            names, weights = zip(*wanted, strict=True)
            self._pipeline.set_adapters(list(names), list(weights))
        elif self._names:
            self._pipeline.disable_lora()
        self._acting = wanted

    def _load(self, lora: Network) -> str:
        from safetensors.torch import load_file

        self._loads += 1
        self._acting = None
        name = f"lora{self._loads}"
        try:
            # Given a path, diffusers would try the model hub and pickles as well.
            with one_load_at_a_time():
                self._pipeline.load_lora_weights(_of_one_alpha(load_file(lora.path)), adapter_name=name)
        except Exception as error:
            if out_of_memory(error):
                raise
            self._drop(name)
            msg = f"{lora.path} could not be loaded as a LoRA into {self._checkpoint.model_name}: {first_line(error)}"
            raise WeightsError(msg) from error
        if not self._holds(name):
            msg = (
                f"no layer of {lora.path} fits {self._checkpoint.model_name}; "
                f"choose a LoRA for {self._checkpoint.base_model}"
            )
            raise WeightsError(msg)
        return name

    def _holds(self, name: str) -> bool:
        return any(name in names for names in self._pipeline.get_list_adapters().values())

    def _drop(self, name: str) -> None:
        """Remove what a failed load has left behind."""
        if self._holds(name):
            self._pipeline.delete_adapters(name)


def _is_merged(path: Path) -> bool:
    return lora_variant(read_header(path).tensors) == "lycoris"


def _of_one_alpha(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A kohya file without its alphas, each multiplied into its layer, unless all layers have the same one.

    diffusers 0.42 gives attention layers the alpha that most layers have, whatever their own.
    """
    ranks = {name.removesuffix(_DOWN): tensor.shape[0] for name, tensor in tensors.items() if name.endswith(_DOWN)}
    alphas = {name.removesuffix(_ALPHA): float(tensors[name]) for name in tensors if name.endswith(_ALPHA)}
    alike = len(alphas) == len(ranks) and len(set(alphas.values())) == 1
    if alike or not alphas or not alphas.keys() <= ranks.keys():
        return dict(tensors)
    scaled = {name: tensor for name, tensor in tensors.items() if not name.endswith(_ALPHA)}
    for layer, alpha in alphas.items():
        up = layer + _UP
        if up in scaled:
            scaled[up] = scaled[up].float() * (alpha / ranks[layer])
    return scaled
