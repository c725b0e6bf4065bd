from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.diffagent_tools.conftest import Studio
from tests.tiny_families import assert_alike
from tool_specs.calls import LoraUse, PocketCall

RANK = 4
ATTENTION = "up_blocks_0_attentions_0_transformer_blocks_0_attn1_to"
SIZES = {
    f"lora_unet_{ATTENTION}_q": (112, 112),
    f"lora_unet_{ATTENTION}_k": (112, 112),
    f"lora_unet_{ATTENTION}_out_0": (112, 112),
    "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_v": (112, 96),
    "lora_unet_down_blocks_1_attentions_0_proj_in": (80, 80, 1),
    "lora_unet_down_blocks_1_resnets_0_conv2": (80, 80, 3),
    "lora_te_text_model_encoder_layers_0_self_attn_q_proj": (96, 96),
    "lora_te_text_model_encoder_layers_1_mlp_fc1": (384, 96),
}
"""Layer to (out, in), and for a convolution its kernel."""


def _write(path: Path, alpha: Callable[[int], float | None]) -> Path:
    """The same network whatever the alphas are: each is taken out of its layer again."""
    generator = torch.Generator().manual_seed(2)
    tensors: dict[str, Tensor] = {}
    for number, (layer, (outputs, inputs, *kernel)) in enumerate(SIZES.items()):
        down = torch.randn(RANK, inputs, *kernel * 2, generator=generator) * 0.2
        up = torch.randn(outputs, RANK, *(1 for _ in kernel * 2), generator=generator) * 0.2
        own = alpha(number)
        if own is not None:
            tensors[f"{layer}.alpha"] = torch.tensor(own)
            up = up * (RANK / own)
        tensors |= {f"{layer}.lora_down.weight": down, f"{layer}.lora_up.weight": up}
    save_file(tensors, path)
    return path


@pytest.mark.parametrize(
    "alpha",
    [lambda number: 2.0 ** (number % 3), lambda number: None if number % 2 else 1.0],
    ids=["each its own", "some without"],
)
def test_every_layer_acts_with_its_own_alpha(
    studio: Studio, tmp_path: Path, alpha: Callable[[int], float | None]
) -> None:
    files = (_write(tmp_path / "own.safetensors", alpha), _write(tmp_path / "none.safetensors", lambda _: None))
    own, none = (studio.shelf.put(number, "LoCon", path) for number, path in enumerate(files, 31))
    backend = studio.backend()
    plain, first, second = (
        backend.draw(
            PocketCall(
                checkpoint=studio.checkpoints[0],
                prompt="a fox on a blue background",
                steps=3,
                width=32,
                height=32,
                seed=7,
                loras=tuple(LoraUse(id=network, weight=0.8) for network in networks),
            )
        ).image
        for networks in ((), (own,), (none,))
    )
    assert_alike(first, second)
    with pytest.raises(AssertionError):
        assert_alike(plain, first)
