"""The LoRAs of a loaded pipeline: they stay loaded between calls, and act only in the calls that name them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from diffagent_tools.backends.networks import FileStamp, Network, check_network
from diffagent_tools.backends.pipelines import first_line, out_of_memory
from diffagent_tools.devices import one_load_at_a_time
from tool_specs.exceptions import WeightsError
from tool_specs.spec import ToolSpec

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

MAX_KEPT_LORAS: Final = 6
"""LoRAs that stay loaded in one checkpoint between calls."""


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
        self._loads = 0

    @property
    def ids(self) -> tuple[str, ...]:
        """Their spec ids, least recently used first."""
        return tuple(self._ids[stamp] for stamp in self._names)

    def act(self, loras: Sequence[Network]) -> None:
        """Make exactly these LoRAs act, loading those that are not loaded yet.

        Raises:
            WeightsError: A file cannot be used.
        """
        names = []
        for lora in loras:
            stamp = FileStamp.of(lora.path)
            name = self._names.pop(stamp, None) or self._load(lora)
            self._names[stamp] = name
            self._ids[stamp] = lora.spec.id
            names.append(name)
        if names:
            self._pipeline.enable_lora()
            self._pipeline.set_adapters(names, [lora.weight for lora in loras])
        elif self._names:
            self._pipeline.disable_lora()
        for stamp in list(self._names)[: max(0, len(self._names) - max(MAX_KEPT_LORAS, len(names)))]:
            self._pipeline.delete_adapters(self._names.pop(stamp))
            del self._ids[stamp]

    def _load(self, lora: Network) -> str:
        from safetensors.torch import load_file

        check_network(lora, "lora", self._checkpoint)
        self._loads += 1
        name = f"lora{self._loads}"
        try:
            # Given a path, diffusers would try the model hub and pickles as well.
            with one_load_at_a_time():
                self._pipeline.load_lora_weights(load_file(lora.path), adapter_name=name)
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
