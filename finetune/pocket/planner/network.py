"""The pocket planner before training: its tokenizer and random weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from finetune.pocket.planner.tokenizer import MAX_LENGTH, VOCABULARY, train_tokenizer

ATTENTION_GAIN = 1.8


@dataclass(frozen=True, slots=True)
class Size:
    """Sizes of the Qwen3 architecture.

    Attributes:
        width: Of the hidden states.
        layers: Number of them.
        inner: Width of the gated feed-forward part.
        heads: Of the attention, each with its own keys and values, `head_width` wide.
        head_width: One that vLLM's attention kernels have.
    """

    width: int = 160
    layers: int = 6
    inner: int = 448
    heads: int = 5
    head_width: int = 32


def make_untrained(folder: Path, texts: Iterable[str], *, size: Size, seed: int = 0) -> int:
    """Train the tokenizer and write a folder with random weights, tokenizer and chat template.

    Args:
        folder: Where to; it appears when it is whole.
        texts: Rendered conversations to learn the merges from.
        size: Of the network.
        seed: Of the weights.

    Returns:
        The number of parameters.
    """
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = train_tokenizer(texts)
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=VOCABULARY,
            hidden_size=size.width,
            num_hidden_layers=size.layers,
            intermediate_size=size.inner,
            num_attention_heads=size.heads,
            num_key_value_heads=size.heads,
            head_dim=size.head_width,
            max_position_embeddings=MAX_LENGTH,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    # Queries and keys are normalised: with heads this narrow, attention would start, and stay, too flat to copy.
    for layer in model.model.layers:
        torch.nn.init.constant_(layer.self_attn.q_norm.weight, ATTENTION_GAIN)
        torch.nn.init.constant_(layer.self_attn.k_norm.weight, ATTENTION_GAIN)
    part = folder.with_name(f"{folder.name}.part")
    model.save_pretrained(part)
    tokenizer.save_pretrained(part)
    part.replace(folder)
    return sum(weight.numel() for weight in model.parameters())
