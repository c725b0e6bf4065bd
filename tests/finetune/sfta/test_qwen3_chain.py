"""The way of a sample with the chat template that Qwen3 is published with: rows, training, export, and the planner."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage, convert_to_openai_messages
from llguidance import LLMatcher
from llguidance.hf import from_tokenizer

from diffagent_tools.chat_models.grammar import answer_grammar
from diffagent_tools.chat_models.local import LocalChatDiffAgent, answer_message
from diffagent_tools.chat_models.rendering import render
from diffagent_tools.chat_models.retrieval import RetrievalChatModel
from diffagent_tools.planning import REFUSAL, conversation
from diffagent_tools.tools.generation import tool_schemas
from finetune.dabench.drawing import Studio
from finetune.dabench.pairs import Pair, read_pairs, write_pairs
from finetune.pocket.planner.dataset import pocket_pairs
from finetune.pocket.planner.worlds import pocket_world
from finetune.sfta.encoding import SampleRow, read_rows
from finetune.sfta.export import ExportSettings, export
from finetune.sfta.rollouts import RolloutMaker, RolloutSettings
from finetune.sfta.runs import LoraSettings
from finetune.sfta.sample_rows import SampleSettings, pair_sample, write_samples
from finetune.sfta.sft import SFTSettings, encoded, train_sft
from tests.finetune.sfta.test_rollouts import GreyBackend
from tests.graphs.paper_world import BrightnessReward
from tool_specs.exceptions import ConfigError
from tool_specs.search.shortlist import Shortlister

END = "<|im_end|>"
VARIABLES = {"enable_thinking": False}
PROMPTS = (
    "(masterpiece:1.2), a cat", "score_9, score_8_up, a cat", "a cat, [blurry], {soft|hard}", "un café, crème brûlée",
    'a "cat" that says: \\o/', "ein Fuchs; 日本語 😀", "a cat, " * 200,
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs with prompts and networks as the community writes them, and one that nothing draws."""
    world = pocket_world()
    networks = sorted(world.styled_by.values(), reverse=True)
    plain = pocket_pairs(world, {"train": 40})
    drawn = [pair for pair in plain if pair.call is not None][: len(PROMPTS)]
    pairs = [next(pair for pair in plain if pair.call is None)]
    for number, (pair, prompt) in enumerate(zip(drawn, PROMPTS, strict=True)):
        loras = [{"id": name, "weight": 0.7} for name in networks[: number % 4]]
        called = {**(pair.call or {}), "prompt": prompt, "negative_prompt": "(worst quality:1.4)", "loras": loras}
        pairs.append(Pair.model_validate(pair.model_dump() | {"call": called}))
    folder = tmp_path_factory.mktemp("pairs")
    write_pairs(folder, pairs, card="# Pairs")
    return folder


@pytest.fixture(scope="module")
def settings(qwen3: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> SampleSettings:
    """As somebody takes them who names no variables of the template."""
    rows = tmp_path_factory.mktemp("rows") / "sft.jsonl"
    return SampleSettings(model=str(qwen3), data=data, out=rows, absent=0.0, shortlist_size=4)


@pytest.fixture(scope="module")
def rows(settings: SampleSettings) -> list[SampleRow]:
    write_samples(settings)
    return read_rows(settings.out, SampleRow)


@pytest.fixture(scope="module")
def served(
    qwen3: Path, settings: SampleSettings, rows: list[SampleRow], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The planner after a step of training on the rows, exported."""
    assert rows
    folder = tmp_path_factory.mktemp("training")
    trained = train_sft(
        SFTSettings(
            model=str(qwen3),
            data=settings.out,
            out=folder / "run",
            max_steps=1,
            batch_size=1,
            max_length=32768,
            bf16=False,
            lora=LoraSettings(rank=2),
        )
    )
    return export(ExportSettings(model=trained, out=folder / "served"))


@pytest.fixture(scope="module")
def planner_in_process(served: Path) -> LocalChatDiffAgent:
    return LocalChatDiffAgent(folder=served, device="cpu")


def test_a_row_is_what_the_planner_reads_and_writes_token_for_token(
    planner_in_process: LocalChatDiffAgent,
    settings: SampleSettings,
    rows: list[SampleRow],
    shortlister: Shortlister,
) -> None:
    decoder = planner_in_process.decoder
    tokenizer, rules = decoder.tokenizer, from_tokenizer(decoder.tokenizer)
    trained_on = {tuple(row["input_ids"]) for row in encoded(settings.out, tokenizer, 32768)}
    pairs = {pair.id: pair for pair in read_pairs(settings.data, "train")}
    networks = set()
    for row in rows:
        sample = pair_sample(pairs[row.id], shortlister, settings)
        assert sample is not None
        messages = convert_to_openai_messages(conversation([HumanMessage(pairs[row.id].instruction)]))
        prompt = decoder.render(messages, sample.tools)  # type: ignore[arg-type]
        assert prompt == row.prompt
        assert prompt.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
        assert row.completion.startswith(("<tool_call>\n", REFUSAL))

        text = row.completion.removesuffix(END)
        tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
        asked = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        assert (*asked, *tokens, tokenizer.convert_tokens_to_ids(END)) in trained_on
        matcher = LLMatcher(rules, LLMatcher.grammar_from_lark(answer_grammar(sample.tools, bounds="schema")))
        assert matcher.validate_tokens(tokens) == len(tokens), tokenizer.decode(
            tokens[: matcher.validate_tokens(tokens)]
        )
        assert matcher.consume_tokens(tokens)
        assert matcher.is_accepting() or matcher.is_stopped()
        gold = pairs[row.id].call
        if gold is None:
            assert text == REFUSAL
            continue
        (call,) = answer_message(text).tool_calls
        assert (call["args"]["prompt"], call["args"]["loras"]) == (gold["prompt"], gold["loras"])
        networks.add(len(call["args"]["loras"]))
    assert networks == {0, 1, 2, 3}


def test_the_variables_stay_with_the_model(served: Path, rows: list[SampleRow]) -> None:
    assert {json.dumps(row.template) for row in rows} == {json.dumps(VARIABLES)}
    for folder in (served, served.parent / "run" / "model"):
        assert json.loads((folder / "chat_template_kwargs.json").read_text(encoding="utf-8")) == VARIABLES
    flags = json.loads((served / "serving.json").read_text(encoding="utf-8"))["vllm_flags"]
    assert flags[-2:] == ["--default-chat-template-kwargs", '{"enable_thinking": false}']


def test_the_planner_answers(planner_in_process: LocalChatDiffAgent, shortlister: Shortlister) -> None:
    found = shortlister.shortlist("a cat in pixel art", k=2)
    bound = planner_in_process.bind_tools(tool_schemas(found), tool_choice="any", max_tokens=24)
    answer = bound.invoke(conversation([HumanMessage("a cat in pixel art")]))
    (begun,) = answer.invalid_tool_calls
    assert (begun["args"] or "").startswith('{"name": "civitai_')
    assert planner_in_process.bind_tools([]).invoke("a cat").text == REFUSAL


def test_rollouts_are_in_the_same_words(
    planner_in_process: LocalChatDiffAgent,
    settings: SampleSettings,
    shortlister: Shortlister,
    tmp_path: Path,
) -> None:
    retrieval = RetrievalChatModel(catalog=shortlister.catalog, shortlister=shortlister)
    decoder = planner_in_process.decoder
    told = RolloutSettings(model=decoder.folder, data=settings.data, out=tmp_path, sampled=0, perturbed=0, seeds=1)
    studio = Studio(GreyBackend(), BrightnessReward(), tmp_path / "judged")
    maker = RolloutMaker(retrieval, decoder.tokenizer, shortlister, studio, told, template=decoder.template)
    pair = next(pair for pair in read_pairs(settings.data, "train") if pair.call)
    row = maker.rollout(pair)
    messages = convert_to_openai_messages(conversation([HumanMessage(pair.instruction)]))
    tools = tool_schemas(shortlister.shortlist(pair.instruction, k=8))
    assert (row.prompt, row.template) == (decoder.render(messages, tools), VARIABLES)  # type: ignore[arg-type]
    assert all(response.startswith(("<tool_call>\n", REFUSAL)) for response in row.responses)


def test_rows_with_thoughts_are_refused(settings: SampleSettings, tmp_path: Path) -> None:
    thinking = settings.model_copy(update={"template": {}, "out": tmp_path / "rows.jsonl"})
    with pytest.raises(
        ConfigError, match=r"writes a thought before the answer with the variables {}, .*enable_thinking"
    ):
        write_samples(thinking)


def test_a_planner_that_nothing_is_told_of_answers_at_once(qwen3: Path) -> None:
    decoder = LocalChatDiffAgent(folder=qwen3, device="cpu").decoder
    assert decoder.template == VARIABLES
    messages = [{"role": "user", "content": "a cat"}]
    assert decoder.render(messages, []) == render(decoder.tokenizer, messages, [], answer=None, **VARIABLES)
