"""Safetensors files that appear complete or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from tool_specs.exceptions import WeightsError
from tool_specs.whole_files import written_whole


def save_tensors(path: Path, tensors: Mapping[str, Tensor], *, metadata: Mapping[str, str], dtype: torch.dtype) -> None:
    """Write tensors to a `.safetensors` file, atomically.

    Args:
        path: Where the file goes; its folder is made.
        tensors: Names to tensors of any shape and floating type.
        metadata: Text entries of the header; `format` is added.
        dtype: What every tensor is converted to.

    Raises:
        WeightsError: A value is not finite in `dtype`.
    """
    converted: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        converted[name] = tensor.detach().to(device="cpu", dtype=dtype).contiguous().clone()
        if not torch.isfinite(converted[name]).all():
            msg = (
                f"{name} holds values that are not finite in {dtype}, so {path} was not written; save as torch.float32"
            )
            raise WeightsError(msg)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial:
        save_file(converted, partial, metadata={"format": "pt", **metadata})
