"""LoRA files in kohya's format and embeddings in A1111's, as the community trades them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from finetune.pocket.weights import save_tensors
from tool_specs.exceptions import WeightsError

Layers = Mapping[str, tuple[Tensor, Tensor]]
"""UNet module name in diffusers (`down_blocks.1.attentions.0.proj_in`) to its low-rank (down, up) pair."""


def save_kohya_lora(
    path: Path,
    layers: Layers,
    *,
    alpha: float,
    metadata: Mapping[str, str],
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write a UNet LoRA as sd-scripts writes it, convolutions as LoCon layers.

    The update of a layer is `alpha / rank * up @ down` (Hu et al. 2021, section 4.1); for a convolution, `up` is 1×1
    and `down` has the layer's own kernel.

    Args:
        path: Where the file goes.
        layers: Down is (rank, in) or (rank, in, k, k); up is (out, rank) or (out, rank, 1, 1).
        alpha: The same for every layer.
        metadata: Entries of the header such as `ss_base_model_version`; rank, alpha and hash are added.
        dtype: Of the file.

    Raises:
        WeightsError: There are no layers, or a pair does not fit together.
    """
    if not layers:
        msg = f"no layers were given for {path}"
        raise WeightsError(msg)
    tensors: dict[str, Tensor] = {}
    for name, (down, up) in layers.items():
        _check_pair(name, down, up)
        stem = f"lora_unet_{name.replace('.', '_')}"
        tensors[f"{stem}.alpha"] = torch.tensor(float(alpha))
        tensors[f"{stem}.lora_down.weight"] = down
        tensors[f"{stem}.lora_up.weight"] = up
    header = _training_metadata(layers, alpha) | {"sshs_model_hash": _tensor_hash(tensors, dtype)} | dict(metadata)
    save_tensors(path, tensors, metadata=header, dtype=dtype)


def save_embedding(path: Path, vectors: Tensor, *, dtype: torch.dtype = torch.float16) -> None:
    """Write a textual-inversion embedding in A1111's `.safetensors` form; the file's stem is the word that calls it.

    Args:
        path: Where the file goes.
        vectors: (n, width of the text encoder).
        dtype: Of the file.

    Raises:
        WeightsError: `vectors` is not a matrix.
    """
    if vectors.dim() != 2:
        msg = f"an embedding is (vectors, width), not {tuple(vectors.shape)}; {path} was not written"
        raise WeightsError(msg)
    save_tensors(path, {"emb_params": vectors}, metadata={}, dtype=dtype)


def _check_pair(name: str, down: Tensor, up: Tensor) -> None:
    pointwise = down.dim() == 2 or tuple(up.shape[2:]) == (1, 1)
    if down.dim() != up.dim() or down.dim() not in (2, 4) or down.shape[0] != up.shape[1] or not pointwise:
        msg = (
            f"the layer {name!r} has down {tuple(down.shape)} and up {tuple(up.shape)}; expected (rank, in) and "
            "(out, rank), or (rank, in, k, k) and (out, rank, 1, 1)"
        )
        raise WeightsError(msg)


def _training_metadata(layers: Layers, alpha: float) -> dict[str, str]:
    """Rank and alpha under the keys that sd-scripts uses."""
    linear = [down.shape[0] for down, _ in layers.values() if down.dim() == 2 or down.shape[-1] == 1]
    spatial = [down.shape[0] for down, _ in layers.values() if down.dim() == 4 and down.shape[-1] > 1]
    entries = {
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(max(linear or spatial)),
        "ss_network_alpha": str(float(alpha)),
    }
    if spatial:
        entries["ss_network_args"] = json.dumps({"conv_dim": str(max(spatial)), "conv_alpha": str(float(alpha))})
    return entries


def _tensor_hash(tensors: Mapping[str, Tensor], dtype: torch.dtype) -> str:
    """SHA-256 of the file behind its header: what A1111 prints in "Lora hashes" and Civitai calls AutoV3."""
    raw = save({name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in tensors.items()})
    start = 8 + int.from_bytes(raw[:8], "little")
    return hashlib.sha256(raw[start:]).hexdigest()
