"""A planner of Qwen3's architecture and chat format, with random weights and some 100,000 parameters, and its data."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

THINGS = ("fox", "boat", "lamp", "cup", "tree", "crown")
STYLES = ("pixel", "sketch", "neon")
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": f"draw_{style}",
            "description": f"Draws in {style} style.",
            "parameters": {"type": "object", "properties": {"prompt": {"type": "string"}}, "required": ["prompt"]},
        },
    }
    for style in STYLES
]


def messages_of(thing: str, style: str) -> list[dict[str, Any]]:
    return [
        {"role": "system", "content": "Choose a tool."},
        {"role": "user", "content": f"a {thing} in {style} style"},
    ]


def call_of(thing: str, style: str) -> dict[str, Any]:
    call = {"name": f"draw_{style}", "arguments": {"prompt": f"a {thing}, {style}"}}
    return {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": call}]}


def qwen3_template() -> str:
    """The chat template that Qwen3 is published with, which trl ships."""
    import trl

    return Path(trl.__file__).parent.joinpath("chat_templates", "qwen3.jinja").read_text(encoding="utf-8")


def save_planner(folder: Path, *, seed: int = 0, template: str | None = None, context: int = 1024) -> Path:
    """Train a tokenizer on the data and save it with a random model; without a template it gets our short one."""
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    template = template or Path(__file__).with_name("chat_template.jinja").read_text(encoding="utf-8")
    marks = [mark for mark in ("<tool_call>", "</tool_call>", "<think>", "</think>") if mark in template]
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    special = [AddedToken(text, special=True) for text in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")]
    texts = [json.dumps(call_of(thing, style)) for thing in THINGS for style in STYLES]
    texts += [json.dumps(TOOLS), template, *(json.dumps(messages_of(THINGS[0], style)) for style in STYLES)]
    inner.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=512,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    inner.add_tokens([AddedToken(text, special=False) for text in marks])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=template
    )
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=16,
            max_position_embeddings=context,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def sample_rows(folder: Path, count: int, *, seed: int = 0) -> list[dict[str, str]]:
    """SFT rows in the words of the model's template, of unlike lengths."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    chance = random.Random(seed)
    rows = []
    for number in range(count):
        thing, style = chance.choice(THINGS), chance.choice(STYLES)
        tools = chance.sample(TOOLS, chance.randint(1, len(TOOLS)))
        messages = messages_of(thing, style)
        prompt = tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, add_generation_prompt=True)
        whole = tokenizer.apply_chat_template([*messages, call_of(thing, style)], tools=tools, tokenize=False)
        rows.append({"id": f"{number}", "prompt": prompt, "completion": whole[len(prompt) :].removesuffix("\n")})
    return rows


def ranking_rows(folder: Path, count: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Ranking rows with two or three responses; the judge likes some styles better, whatever was asked for."""
    chance = random.Random(seed)
    rows = []
    for row in sample_rows(folder, count, seed=seed):
        asked = next(style for style in STYLES if f"draw_{style}" in row["completion"])
        styles = chance.sample(STYLES, chance.randint(2, 3))
        rows.append(
            {
                "id": row["id"],
                "prompt": row["prompt"],
                "responses": [row["completion"].replace(asked, style) for style in styles],
                "rewards": [STYLES.index(style) + round(chance.random() / 2, 2) for style in styles],
            }
        )
    return rows


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
