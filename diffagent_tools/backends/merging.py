"""Networks that change the weights themselves, because no adapter of peft computes what they do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from diffagent_tools.backends.layer_names import named_layers
from diffagent_tools.backends.lycoris import changes_weight, layers_of, weight_change
from diffagent_tools.backends.networks import FileStamp, Network
from diffagent_tools.backends.pipelines import first_line, out_of_memory
from tool_specs.exceptions import WeightsError
from tool_specs.spec import ToolSpec

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline
    from torch import Tensor, nn

    from diffagent_tools.backends.lycoris import Parts

_Change = tuple[Path, str, float, "Parts"]
"""File, name of the layer in it, weight of the network, tensors of the layer."""


class MergedNetworks:
    """The networks that are merged into a pipeline's weights.

    A network's change is computed from the checkpoint's own weights and the changes are added up, so that their order
    makes no difference. Changed weights are new tensors: the checkpoint's own ones stay beside them, at the price of
    their memory, and come back to the last bit.
    """

    def __init__(self, pipeline: StableDiffusionPipeline, checkpoint: ToolSpec) -> None:
        """Begin with none.

        Args:
            pipeline: Whose weights they change.
            checkpoint: The spec of its checkpoint.
        """
        self._pipeline = pipeline
        self._checkpoint = checkpoint
        self._acting: tuple[tuple[FileStamp, float], ...] = ()
        self._originals: dict[nn.Parameter, Tensor] = {}
        self.ids: tuple[str, ...] = ()
        """Spec ids of those that act."""

    def original(self, parameter: nn.Parameter) -> Tensor:
        """The tensor of a parameter as the checkpoint's file has it."""
        return self._originals.get(parameter, parameter.data)

    def tensors(self) -> Iterable[Tensor]:
        """The checkpoint's own tensors in whose place changed ones are."""
        return self._originals.values()

    def act(self, networks: Sequence[Network]) -> None:
        """Make exactly these networks act; those that acted before are taken out unless they are the same.

        Raises:
            WeightsError: A file cannot be used; then none acts.
        """
        wanted = tuple((FileStamp.of(network.path), network.weight) for network in networks)
        if wanted == self._acting:
            return
        for parameter, original in self._originals.items():
            parameter.data = original.to(parameter.device)
        self._originals, self._acting, self.ids = {}, (), ()
        merged = {
            parameter: _changed(parameter, changes, self._checkpoint)
            for parameter, changes in self._changes(networks).items()
        }
        self._originals = {parameter: parameter.data for parameter in merged}
        for parameter, data in merged.items():
            parameter.data = data
        self._acting, self.ids = wanted, tuple(network.spec.id for network in networks)

    def _changes(self, networks: Sequence[Network]) -> Mapping[nn.Parameter, list[_Change]]:
        """What is to be added to which weight or bias."""
        from safetensors.torch import load_file

        places = named_layers(self._pipeline) if networks else {}
        changes: dict[nn.Parameter, list[_Change]] = {}
        for network in networks:
            layers = _with_file(network.path, load_file(network.path))
            unknown = [name for name in layers if name not in places]
            if unknown:
                msg = (
                    f"{len(unknown)} of {len(layers)} layers of {network.path} do not fit "
                    f"{self._checkpoint.model_name}, such as {unknown[0][:120]!r}; choose a network for "
                    f"{self._checkpoint.base_model}"
                )
                raise WeightsError(msg)
            for name, parts in layers.items():
                own = places[name]._parameters
                of_bias = {"bias": {"diff": parts["diff_b"]}} if "diff_b" in parts else {}
                of_weight = {"weight": parts} if changes_weight(parts) else {}
                for kind, tensors in (of_weight | of_bias).items():
                    parameter = own.get(kind)
                    if parameter is None:
                        msg = f"{network.path} changes the {kind} of {name[:120]!r}, which has none; choose another one"
                        raise WeightsError(msg)
                    changes.setdefault(parameter, []).append((network.path, name, network.weight, tensors))
        return changes


def _with_file(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    try:
        return layers_of(tensors)
    except WeightsError as error:
        msg = f"{path} cannot be loaded: {error}"
        raise WeightsError(msg) from error


def _changed(parameter: nn.Parameter, changes: Sequence[_Change], checkpoint: ToolSpec) -> Tensor:
    """The parameter with the sum of the changes, computed in float32."""
    import torch

    original = parameter.detach().to(torch.float32)
    total = torch.zeros_like(original)
    for path, name, weight, parts in changes:
        try:
            ready = {part: tensor.to(original.device, torch.float32) for part, tensor in parts.items()}
            total += weight * weight_change(ready, original)
        except (RuntimeError, KeyError) as error:
            if out_of_memory(error):
                raise
            msg = f"the layer {name[:120]!r} of {path} does not fit {checkpoint.model_name}: {first_line(error)}"
            raise WeightsError(msg) from error
    return (original + total).to(parameter.dtype)
