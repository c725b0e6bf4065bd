"""The pocket planner's tokenizer: byte-level BPE in which the fixed parts of a call are single tokens."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tool_specs.samplers import SAMPLERS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

VOCABULARY = 3072
MAX_LENGTH = 4096
"""Longest conversation, in tokens."""
END, PAD = "<|end|>", "<|pad|>"
MARKS = ("<tool_call>", "</tool_call>")
"""As in Qwen's templates: tokens that stay in the text, which vLLM's `hermes` parser looks for."""
SPECIAL = (PAD, END, "<|tools|>", "<|user|>", "<|assistant|>", "<|tool|>")
TEMPLATE = Path(__file__).with_name("chat_template.jinja")

_JSON_KEY = r"""[\[\]{}",: ]*"[a-z_]+": [\[{"]*"""
_SAMPLERS = "|".join(re.escape(name) for name in sorted(SAMPLERS, key=len, reverse=True))
_PIECES = rf"""{_JSON_KEY}| ?(?:{_SAMPLERS})|["\]}}]+|\p{{N}}{{1,3}}| ?\p{{L}}+| ?[^\s\p{{L}}\p{{N}}"\[\]{{}}]+|\s+"""
"""What BPE may not merge across: a JSON key with all its punctuation, a sampler, three digits, one word."""


def blank_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer that has only the chat template: it renders the conversations that the real one learns from."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()))
    tokenizer.chat_template = TEMPLATE.read_text(encoding="utf-8")
    return tokenizer


def train_tokenizer(texts: Iterable[str], *, vocabulary: int = VOCABULARY) -> PreTrainedTokenizerFast:
    """Learn the merges.

    Args:
        texts: Rendered conversations.
        vocabulary: Number of tokens, special ones included.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(MARKS),
        special_tokens=[AddedToken(name, special=True, normalized=False) for name in SPECIAL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(name, special=False, normalized=False) for name in MARKS])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        model_max_length=MAX_LENGTH,
        padding_side="right",
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = TEMPLATE.read_text(encoding="utf-8")
    return fast
