"""What a LyCORIS layer adds to a weight: LoCon, LoHa, LoKr, their DoRA forms, and whole differences.

The formulas are those of LyCORIS (Yeh et al. 2024, https://arxiv.org/abs/2309.14859) and of DoRA (Liu et al. 2024,
https://arxiv.org/abs/2402.09353, equation 5); the names of the tensors are those of the lycoris-lora package.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from tool_specs.exceptions import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

Parts = Mapping[str, "Tensor"]
"""The tensors of one layer by the last part of their names."""

_KEY: Final = re.compile(
    r"(?P<layer>.+)\.(?P<part>lora_(?:up|down|mid)\.weight|hada_w[12]_[ab]|hada_t[12]|lokr_w[12](?:_[ab])?|lokr_t2"
    r"|dora_scale|alpha|diff|diff_b|w_norm|b_norm)"
)
_SAME_AS: Final = {"w_norm": "diff", "b_norm": "diff_b"}


def layers_of(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The tensors of a file by layer, with dots in the layers' names written as kohya does, as underscores.

    Raises:
        WeightsError: A name is of no known kind.
    """
    layers: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        match = _KEY.fullmatch(name)
        if match is None:
            msg = f"the tensor {name[:120]!r} is of no known kind; choose another version of this network"
            raise WeightsError(msg)
        layer = match["layer"].replace(".", "_")
        layers.setdefault(layer, {})[_SAME_AS.get(match["part"], match["part"])] = tensor
    return layers


def weight_change(parts: Parts, weight: Tensor) -> Tensor:
    """What a layer at weight 1 adds to the weight that it was trained on.

    Args:
        parts: The layer's tensors, in float32 on the weight's device.
        weight: (out, in) or (out, in, height, width), in float32.

    Returns:
        As `weight`. A DoRA's strength is linear in this, as in A1111 and ComfyUI: at 0.5 the weight is halfway.

    Raises:
        RuntimeError: The shapes do not fit, as torch words it.
        KeyError: A tensor is missing.
    """
    change, rank = next(formula for part, formula in _FORMULAS.items() if part in parts)(parts)
    if rank and "alpha" in parts:
        change = change * (float(parts["alpha"]) / rank)
    change = change.reshape(weight.shape)
    return _redirected(weight + change, parts["dora_scale"]) - weight if "dora_scale" in parts else change


def changes_weight(parts: Parts) -> bool:
    """Whether a layer changes more than a bias."""
    return any(part in parts for part in _FORMULAS)


def _low_rank(parts: Parts) -> tuple[Tensor, int]:
    """LoCon: up · down, for a convolution with a kernel of its own in between where there is a `mid`."""
    down, up = parts["lora_down.weight"], parts["lora_up.weight"]
    rank = down.shape[0]
    if "lora_mid.weight" in parts:
        return _tucker(parts["lora_mid.weight"], up.flatten(1).T, down.flatten(1)), rank
    return up.flatten(1) @ down.flatten(1), rank


def _hadamard(parts: Parts) -> tuple[Tensor, int]:
    """LoHa: the element-wise product of two low-rank matrices."""
    factors = []
    for number in "12":
        left, right = parts[f"hada_w{number}_a"], parts[f"hada_w{number}_b"]
        core = parts.get(f"hada_t{number}")
        factors.append(left.flatten(1) @ right.flatten(1) if core is None else _tucker(core, left, right))
    return factors[0] * factors[1], parts["hada_w1_b"].shape[0]


def _kronecker(parts: Parts) -> tuple[Tensor, int]:
    """LoKr: the Kronecker product of two matrices, each whole or of low rank. Whole ones know no alpha."""
    import torch

    rank = 0
    factors = []
    for number in "12":
        whole = parts.get(f"lokr_w{number}")
        if whole is None:
            left, right = parts[f"lokr_w{number}_a"], parts[f"lokr_w{number}_b"]
            rank = right.shape[0]
            core = parts.get(f"lokr_t{number}")
            if core is None:
                whole = (left @ right.flatten(1)).reshape(left.shape[0], *right.shape[1:])
            else:
                whole = _tucker(core, left, right)
        factors.append(whole)
    first, second = factors
    first = first.reshape(*first.shape, *(1 for _ in second.shape[2:]))
    return torch.kron(first, second.contiguous()), rank


def _difference(parts: Parts) -> tuple[Tensor, int]:
    """The difference itself, as it was taken from two checkpoints."""
    return parts["diff"], 0


def _tucker(core: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """(out, in, height, width) from a core (rank, rank, height, width), (rank, out) and (rank, in)."""
    import torch

    return torch.einsum("ijhw,io,jn->onhw", core, left, right)


def _redirected(weight: Tensor, magnitude: Tensor) -> Tensor:
    """DoRA: a weight with the given norms, one per output where the magnitudes are as many, else one per input."""
    import torch

    outputs = weight.shape[0]
    per_output = magnitude.numel() == outputs and magnitude.shape[0] == outputs
    kept = 0 if per_output else 1
    others = [dim for dim in range(weight.dim()) if dim != kept]
    norm = torch.linalg.vector_norm(weight, dim=others, keepdim=True) + torch.finfo(weight.dtype).eps
    return weight * (magnitude.reshape(norm.shape) / norm)


_FORMULAS: Final[Mapping[str, Callable[[Parts], tuple[Tensor, int]]]] = {
    "lora_down.weight": _low_rank,
    "hada_w1_b": _hadamard,
    "lokr_w1": _kronecker,
    "lokr_w1_b": _kronecker,
    "diff": _difference,
}
"""A part that only one kind of layer has to the formula of its change, which comes with its rank, 0 without one."""
