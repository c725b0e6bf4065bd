from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import llguidance.hf
import llguidance.torch
import numpy as np
import pytest
import torch
from langchain_core.messages import HumanMessage, convert_to_openai_messages
from llguidance import LLMatcher
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from diffagent_tools.chat_models.decoding import Decoder
from diffagent_tools.chat_models.grammar import answer_grammar
from diffagent_tools.chat_models.local import answer_message
from diffagent_tools.planning import conversation, read_answer
from diffagent_tools.tools.generation import tool_schemas
from finetune.pocket.planner.worlds import made_up_world
from tests.planner_models import shortlist_of
from tool_specs.exceptions import ConfigError, RequestError, WeightsError
from tool_specs.search.shortlist import Shortlist


def question(decoder: Decoder, seed: int, *, may_refuse: bool = False) -> tuple[Shortlist, str, str]:
    """A shortlist of a made-up world, and the prompt and grammar of a request for it."""
    rng = np.random.default_rng(seed)
    shortlist = shortlist_of(made_up_world(rng), rng)
    tools = tool_schemas(shortlist)
    messages = convert_to_openai_messages(conversation([HumanMessage(shortlist.request)]))
    prompt = decoder.render(messages, tools)  # type: ignore[arg-type]
    return shortlist, prompt, answer_grammar(tools, may_refuse=may_refuse)


def slowly(decoder: Decoder, prompt: str, grammar: str, max_tokens: int) -> tuple[str, int, bool]:
    """The likeliest answer token by token, every one of them computed, with the whole text read anew for each."""
    model = AutoModelForCausalLM.from_pretrained(decoder.folder, dtype=torch.float32)
    matcher = LLMatcher(llguidance.hf.from_tokenizer(decoder.tokenizer, n_vocab=model.config.vocab_size),
                        LLMatcher.grammar_from_lark(grammar))  # fmt: skip
    tokens = decoder.tokenizer(prompt, add_special_tokens=False)["input_ids"]
    start = len(tokens)
    with torch.inference_mode():
        while not matcher.is_stopped() and len(tokens) - start < max_tokens:
            logits = model(torch.tensor([tokens])).logits[:, -1]
            mask = llguidance.torch.allocate_token_bitmask(1, logits.shape[-1])
            llguidance.torch.fill_next_token_bitmask(matcher, mask)
            llguidance.torch.apply_token_bitmask_inplace(logits, mask)
            tokens.append(int(logits.argmax()))
            assert matcher.consume_token(tokens[-1])
    text = decoder.tokenizer.decode(tokens[start:], skip_special_tokens=True)
    return text, len(tokens) - start, matcher.is_stopped()


def test_reading_forced_tokens_in_one_go_gives_a_valid_answer_as_the_slow_way_does(decoder: Decoder) -> None:
    """Where the grammar forces a text, the slow way may write it in other tokens: what follows may then differ."""
    for seed in range(3):
        shortlist, prompt, grammar = question(decoder, seed)
        slow, _, whole = slowly(decoder, prompt, grammar, 300)
        decoded = decoder.decode(prompt, grammar, max_tokens=300)
        for text, finished in ((slow, whole), (decoded.text, decoded.finished)):
            if finished:
                assert read_answer(answer_message(text), shortlist).problem is None
    _, prompt, _ = question(decoder, 0)
    grammar = 'start: ("a" | "b") /[a-z]{6}/ "."'
    slow, tokens, _ = slowly(decoder, prompt, grammar, 50)
    fast = decoder.decode(prompt, grammar, max_tokens=50)
    assert (fast.text, fast.completion_tokens) == (slow, tokens)


def test_forced_tokens_are_counted(decoder: Decoder) -> None:
    grammar = 'start: "None of the models on offer can draw this."'
    decoded = decoder.decode("<|user|>a cat<|assistant|>", grammar)
    tokens = decoder.tokenizer("None of the models on offer can draw this.", add_special_tokens=False)["input_ids"]
    assert decoded.text == "None of the models on offer can draw this."
    assert decoded.completion_tokens == len(tokens)
    assert decoded.prompt_tokens == len(decoder.tokenizer("<|user|>a cat<|assistant|>")["input_ids"])
    assert (decoded.finished, decoded.certainty) == (True, 1.0)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 20])
def test_no_answer_is_longer_than_the_limit(decoder: Decoder, limit: int) -> None:
    _, prompt, grammar = question(decoder, 1)
    decoded = decoder.decode(prompt, grammar, max_tokens=limit, temperature=1.0, seed=1)
    assert (decoded.completion_tokens, decoded.finished) == (limit, False)


def test_seeds_and_the_likeliest_answer_repeat(decoder: Decoder) -> None:
    _, prompt, grammar = question(decoder, 2)

    def sampled(**settings: Any) -> str:
        return decoder.decode(prompt, grammar, max_tokens=60, **settings).text

    assert sampled() == sampled() == sampled(seed=5)
    assert sampled(temperature=1.0, seed=5) == sampled(temperature=1.0, seed=5)
    assert len({sampled(temperature=2.0, seed=seed) for seed in range(4)}) > 1
    assert len({sampled(temperature=2.0) for _ in range(4)}) > 1
    before = torch.random.get_rng_state()
    sampled(temperature=1.0)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_threads_get_the_answers_they_would_get_alone(tiny_planner: Path, decoder: Decoder) -> None:
    asked = [question(decoder, seed)[1:] for seed in range(4)]

    def answered(number: int, by: Decoder) -> str:
        return by.decode(*asked[number], max_tokens=80, temperature=1.0, seed=number).text

    alone = [answered(number, decoder) for number in range(4)]
    fresh = Decoder(tiny_planner, device="cpu")
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda number: answered(number, fresh), range(4))) == alone


def test_certainty_is_of_the_first_choice(decoder: Decoder) -> None:
    _, prompt, grammar = question(decoder, 3, may_refuse=True)
    greedy = decoder.decode(prompt, grammar, max_tokens=5).certainty
    drawn = {decoder.decode(prompt, grammar, max_tokens=5, temperature=9.0, seed=seed).certainty for seed in range(20)}
    assert len(drawn) > 1
    assert 0 < min(drawn) <= max(drawn) <= greedy < 1


def test_a_long_conversation_gives_one_clear_error(decoder: Decoder) -> None:
    with pytest.raises(
        RequestError, match=r"has \d+ tokens and the answer may have 512, but the model reads 4096; offer"
    ):
        decoder.decode("<|user|>" + "a cat " * 4000, 'start: "x"')


def test_what_is_no_grammar_is_refused(decoder: Decoder) -> None:
    with pytest.raises(RequestError, match="make no valid grammar"):
        decoder.decode("x", "start: nothing")


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(
            ConfigError, match=rf"{folder} is not a transformers folder \(it has no config.json\); give"
        ):
            Decoder(folder).tokenizer  # noqa: B018


@pytest.fixture
def copied(tiny_planner: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_planner, tmp_path / "planner"))


def test_damaged_folders_are_named(copied: Path) -> None:
    weights = copied / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match=rf"the planner in {copied} cannot be loaded .*; export or train it again"):
        Decoder(copied, device="cpu").tokenizer  # noqa: B018
    weights.unlink()
    with pytest.raises(WeightsError, match="cannot be loaded"):
        Decoder(copied, device="cpu").tokenizer  # noqa: B018
    weights.write_bytes(whole)
    (copied / "tokenizer.json").write_text("{", encoding="utf-8")
    with pytest.raises(WeightsError, match="cannot be loaded"):
        Decoder(copied, device="cpu").tokenizer  # noqa: B018


def test_weights_that_are_not_there_are_no_random_ones(copied: Path) -> None:
    weights = load_file(copied / "model.safetensors")
    del weights["model.layers.0.mlp.up_proj.weight"]
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"lacks 1 weights such as 'model\.layers\.0\.mlp\.up_proj\.weight'; export"):
        Decoder(copied, device="cpu").tokenizer  # noqa: B018


def test_missing_libraries_are_named_with_their_remedy(tiny_planner: Path) -> None:
    code = (
        "import sys; sys.modules['llguidance'] = None\n"
        "from pathlib import Path\n"
        "from diffagent_tools.chat_models.decoding import Decoder\n"
        f"try: Decoder(Path({str(tiny_planner)!r}), device='cpu').tokenizer\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "ConfigError llguidance not installed; this needs it: pip install 'diffagent-tools[local]'\n"


def test_the_module_imports_nothing_heavy() -> None:
    code = (
        "import sys, json, diffagent_tools.chat_models.local, finetune.sfta.rollouts, finetune.pocket.planner.lessons\n"
        "print(json.dumps([name for name in ('torch', 'transformers', 'llguidance') if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
