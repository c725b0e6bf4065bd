"""Weights that several checkpoints have in common, held once.

Checkpoints of a family often carry the same text encoders and VAE. Each pipeline keeps modules of its own, and only the
storage behind equal weights is shared. What a call does to a pipeline acts on the modules: an adapter wraps a layer, a
merged network or an embedding gives a parameter another tensor, tiling changes a padding mode. Nothing may write into
the tensor of a weight itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline
    from torch import Tensor, nn

_INTEGERS: Final[Mapping[int, str]] = MappingProxyType({1: "int8", 2: "int16", 4: "int32", 8: "int64"})
"""Bytes of a number to the integer type of the same size, as which floats are compared to the last bit."""


def named_weights(pipeline: DiffusionPipeline) -> Iterator[tuple[str, nn.Parameter]]:
    """Every weight of a pipeline under its component's name and its own; a wrapper of peft does not change the name."""
    from torch.nn import Module

    for component, module in pipeline.components.items():
        if isinstance(module, Module):
            for name, parameter in module.named_parameters():
                yield f"{component}.{name.replace('.base_layer', '')}", parameter


def share(weights: Iterable[tuple[str, nn.Parameter]], others: Mapping[str, Tensor]) -> None:
    """Let weights that equal others to the last bit use their storage.

    Comparing costs what reading both costs, and ends at the first difference; unlike hashes it needs no cache, and
    nothing at all for a checkpoint that is loaded alone.

    Args:
        weights: Those that give up their own storage; no network is merged into them.
        others: Weights of the same names, as their file has them.
    """
    for name, parameter in weights:
        other = others.get(name)
        if other is not None and _same(parameter.data, other):
            parameter.data = other


def storage_sizes(tensors: Iterable[Tensor], device_type: str) -> dict[int, int]:
    """Address of every storage behind tensors on a kind of device to its bytes."""
    storages = (tensor.untyped_storage() for tensor in tensors if tensor.device.type == device_type)
    return {storage.data_ptr(): storage.nbytes() for storage in storages}


def _same(one: Tensor, other: Tensor) -> bool:
    import torch

    if (one.shape, one.dtype, one.device) != (other.shape, other.dtype, other.device):
        return False
    integer = getattr(torch, _INTEGERS[one.element_size()])
    return one.data_ptr() == other.data_ptr() or torch.equal(one.view(integer), other.view(integer))
