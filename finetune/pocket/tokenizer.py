"""The pocket tokenizer: CLIP's byte-pair encoding in which every word of the world is one token."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from finetune.pocket.world import vocabulary

CONTEXT = 32
"""Tokens of a prompt, start and end included (77 in Stable Diffusion 1.5)."""
START, END = "<|startoftext|>", "<|endoftext|>"
_CLIP_PATTERN = r"""'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""


def build_tokenizer(folder: Path) -> CLIPTokenizer:
    """Train the merges on the vocabulary, save `vocab.json` and `merges.txt`, and load them as `CLIPTokenizer`.

    Byte-pair training without a limit merges every training word down to one token; any other text falls apart into
    single bytes, so nothing is unknown.
    """
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_CLIP_PATTERN), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=100_000, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False
    )
    tokenizer.train_from_iterator([f"{word} {word}" for word in vocabulary()], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    pieces = [*alphabet, *(f"{letter}</w>" for letter in alphabet)]
    merges = [tuple(merge) if isinstance(merge, list) else tuple(merge.split(" ")) for merge in model["merges"]]
    pieces += [piece for left, right in merges if (piece := left + right) not in set(pieces)]
    vocab = {piece: number for number, piece in enumerate(dict.fromkeys([*pieces, START, END]))}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(merge) for merge in merges) + "\n")
    clip = CLIPTokenizer(
        vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"), model_max_length=CONTEXT, pad_token=END
    )
    clip.save_pretrained(folder)
    return clip
