"""LyCORIS layers of every kind with random tensors, and what each adds to a weight, computed with numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Matrix = NDArray[np.float64]

RANK = 3
ALPHA = 2.0


@dataclass
class LycorisLayer:
    """The tensors of one layer, as they come into being."""

    weight: Matrix
    generator: torch.Generator
    parts: dict[str, Tensor] = field(default_factory=dict)

    @property
    def kernel(self) -> tuple[int, ...]:
        """Height and width of a convolution's kernel; empty for a matrix."""
        return self.weight.shape[2:]

    def new(self, part: str, *shape: int) -> Matrix:
        """A random tensor of the file, and the same for numpy."""
        self.parts[part] = torch.randn(shape, generator=self.generator) * 0.5
        return self.parts[part].double().numpy()

    def scaled(self, change: Matrix) -> Matrix:
        """A change with the layer's alpha."""
        self.parts["alpha"] = torch.tensor(ALPHA)
        return change.reshape(self.weight.shape) * ALPHA / RANK


def low_rank(layer: LycorisLayer) -> Matrix:
    """LoCon: up · down."""
    outputs, inputs = layer.weight.shape[:2]
    down = layer.new("lora_down.weight", RANK, inputs, *layer.kernel)
    up = layer.new("lora_up.weight", outputs, RANK, *(1 for _ in layer.kernel))
    return layer.scaled(up.reshape(outputs, RANK) @ down.reshape(RANK, -1))


def low_rank_with_core(layer: LycorisLayer) -> Matrix:
    """LoCon with a kernel of its own between two 1×1 convolutions."""
    outputs, inputs = layer.weight.shape[:2]
    down = layer.new("lora_down.weight", RANK, inputs, 1, 1)[:, :, 0, 0]
    up = layer.new("lora_up.weight", outputs, RANK, 1, 1)[:, :, 0, 0]
    core = layer.new("lora_mid.weight", RANK, RANK, *layer.kernel)
    return layer.scaled(_at_every_place(core, lambda middle: up @ middle @ down))


def hadamard(layer: LycorisLayer) -> Matrix:
    """LoHa."""
    outputs, inputs = layer.weight.shape[0], layer.weight[0].size
    first, second = (layer.new(f"hada_w{n}_a", outputs, RANK) @ layer.new(f"hada_w{n}_b", RANK, inputs) for n in (1, 2))
    return layer.scaled(first * second)


def hadamard_with_cores(layer: LycorisLayer) -> Matrix:
    """LoHa of a convolution."""
    outputs, inputs = layer.weight.shape[:2]
    factors = []
    for n in (1, 2):
        left, right = layer.new(f"hada_w{n}_a", RANK, outputs), layer.new(f"hada_w{n}_b", RANK, inputs)
        core = layer.new(f"hada_t{n}", RANK, RANK, *layer.kernel)
        factors.append(_at_every_place(core, lambda middle, a=left, b=right: a.T @ middle @ b))
    return layer.scaled(factors[0] * factors[1])


def kronecker(layer: LycorisLayer) -> Matrix:
    """LoKr of two whole factors: its alpha means nothing."""
    first = layer.new("lokr_w1", 4, 4)
    outputs, inputs = layer.weight.shape[:2]
    second = layer.new("lokr_w2", outputs // 4, inputs // 4, *layer.kernel)
    layer.parts["alpha"] = torch.tensor(ALPHA)
    return _kron(first, second)


def kronecker_of_low_rank(layer: LycorisLayer) -> Matrix:
    """LoKr of two low-rank factors."""
    outputs, inputs = layer.weight.shape[:2]
    first = layer.new("lokr_w1_a", 4, RANK) @ layer.new("lokr_w1_b", RANK, 4)
    left = layer.new("lokr_w2_a", outputs // 4, RANK)
    right = layer.new("lokr_w2_b", RANK, inputs // 4, *layer.kernel)
    second = (left @ right.reshape(RANK, -1)).reshape(outputs // 4, inputs // 4, *layer.kernel)
    return layer.scaled(_kron(first, second))


def kronecker_with_core(layer: LycorisLayer) -> Matrix:
    """LoKr of a convolution."""
    outputs, inputs = layer.weight.shape[:2]
    first = layer.new("lokr_w1", 4, 4)
    left = layer.new("lokr_w2_a", RANK, outputs // 4)
    right = layer.new("lokr_w2_b", RANK, inputs // 4)
    core = layer.new("lokr_t2", RANK, RANK, *layer.kernel)
    return layer.scaled(_kron(first, _at_every_place(core, lambda middle: left.T @ middle @ right)))


def difference(layer: LycorisLayer) -> Matrix:
    """The whole difference."""
    return layer.new("diff", *layer.weight.shape)


def _redirected(layer: LycorisLayer, change: Matrix, kept: int) -> Matrix:
    shape = [1] * layer.weight.ndim
    shape[kept] = layer.weight.shape[kept]
    magnitude = layer.new("dora_scale", *shape) + 1
    layer.parts["dora_scale"] = torch.from_numpy(magnitude).float()
    merged = layer.weight + change
    others = tuple(axis for axis in range(layer.weight.ndim) if axis != kept)
    return magnitude * merged / np.sqrt((merged**2).sum(axis=others, keepdims=True)) - layer.weight


def dora(layer: LycorisLayer) -> Matrix:
    """DoRA with a magnitude per output, as kohya and later LyCORIS write it."""
    return _redirected(layer, low_rank(layer), 0)


def dora_per_input(layer: LycorisLayer) -> Matrix:
    """DoRA with a magnitude per input, as early LyCORIS wrote it."""
    return _redirected(layer, low_rank(layer), 1)


def dora_of_hadamard(layer: LycorisLayer) -> Matrix:
    """LoHa in DoRA form."""
    return _redirected(layer, hadamard(layer), 0)


KINDS: dict[str, Callable[[LycorisLayer], Matrix]] = {
    "hadamard": hadamard,
    "kronecker": kronecker,
    "kronecker of low rank": kronecker_of_low_rank,
    "difference": difference,
    "dora": dora,
    "dora per input": dora_per_input,
    "dora of hadamard": dora_of_hadamard,
}
"""For matrices and convolutions."""
KERNEL_KINDS = {
    "low rank with core": low_rank_with_core,
    "hadamard with cores": hadamard_with_cores,
    "kronecker with core": kronecker_with_core,
}
"""For convolutions only."""


def _at_every_place(core: Matrix, product: Callable[[Matrix], Matrix]) -> Matrix:
    """(out, in, height, width) from a product with the core at every place of the kernel."""
    rows = [[product(core[:, :, y, x]) for x in range(core.shape[3])] for y in range(core.shape[2])]
    return np.moveaxis(np.array(rows), (0, 1), (2, 3))


def _kron(first: Matrix, second: Matrix) -> Matrix:
    """The Kronecker product of the first two axes, block by block."""
    return np.concatenate([np.concatenate([value * second for value in row], axis=1) for row in first], axis=0)
