from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_tests.unit_tests import ChatModelUnitTests
from pydantic import BaseModel, Field

from diffagent_tools.chat_models.calling import calling
from diffagent_tools.chat_models.decoding import Decoder, written_text
from diffagent_tools.chat_models.diffagent import ChatDiffAgent
from diffagent_tools.chat_models.grammar import MAX_NETWORKS, answer_grammar
from diffagent_tools.chat_models.local import LocalChatDiffAgent, answer_message
from diffagent_tools.middleware import DiffAgentMiddleware
from diffagent_tools.planning import REFUSAL, conversation, read_answer
from diffagent_tools.toolkit import DiffAgentToolkit
from diffagent_tools.tools.generation import offered, tool_schemas
from finetune.pocket.planner.worlds import made_up_world
from tests.finetune.sfta.tiny_planner import save_planner
from tests.planner_models import shortlist_of
from tests.tool_specs.conftest import SpecMaker, make_spec
from tool_specs.exceptions import ConfigError, RequestError
from tool_specs.pocket import pocket_planner
from tool_specs.search.shortlist import Hit, Shortlist

__all__ = ["make_spec"]


class TestStandard(ChatModelUnitTests):
    """LangChain's own suite."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return LocalChatDiffAgent

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"folder": Path("planner"), "temperature": 0.5}


@pytest.fixture
def shortlist() -> Shortlist:
    rng = np.random.default_rng(3)
    return shortlist_of(made_up_world(rng), rng)


def check_answers(untaught: LocalChatDiffAgent, worlds: int) -> Counter[str]:
    """Ask for random worlds, at temperatures from 1 to 3; half of the time a call is due."""
    kinds: Counter[str] = Counter()
    for seed in range(worlds):
        rng = np.random.default_rng(seed)
        shortlist = shortlist_of(made_up_world(rng), rng)
        due = {"tool_choice": "any"} if seed % 2 else {}
        bound = untaught.bind_tools(tool_schemas(shortlist), temperature=1 + seed % 3, seed=seed, **due)
        answer = bound.invoke(conversation([HumanMessage("a cat as pixel art")]))
        assert isinstance(answer, AIMessage)
        reading = read_answer(answer, shortlist)
        if answer.response_metadata["finish_reason"] == "length":
            kinds["too long"] += 1
            assert reading.call is None
            continue
        assert reading.problem is None, answer
        assert not (due and reading.declined)
        assert answer.text == (REFUSAL if reading.declined else "")
        assert answer.response_metadata["finish_reason"] == ("stop" if reading.declined else "tool_calls")
        kinds["refusal" if reading.declined else "call"] += 1
        if reading.call is not None:
            kinds["with networks"] += bool(reading.call.loras)
            assert answer.tool_calls[0]["name"] in offered(shortlist)
            assert len(reading.call.loras) <= MAX_NETWORKS
            assert {use.id for use in reading.call.loras} <= {hit.spec.id for hit in shortlist.networks}
    return kinds


def test_a_planner_that_knows_nothing_writes_only_valid_answers(untaught: LocalChatDiffAgent) -> None:
    kinds = check_answers(untaught, 24)
    assert min(kinds["call"], kinds["refusal"], kinds["with networks"]) > 0
    assert kinds["too long"] <= 2


@pytest.mark.slow
def test_it_does_so_hundreds_of_times(untaught: LocalChatDiffAgent) -> None:
    kinds = check_answers(untaught, 300)
    assert kinds["call"] > 150
    assert kinds["too long"] <= 6


@pytest.mark.parametrize("base_model", ["SD 1.5", "SDXL 1.0", "Flux.1 D"])
def test_other_families_are_called_within_their_bounds(
    untaught: LocalChatDiffAgent, make_spec: SpecMaker, base_model: str
) -> None:
    hits = tuple(Hit(make_spec(n, base_model=base_model, name=f"Model {n}"), 1.0) for n in (1, 2))
    networks = tuple(Hit(make_spec(n, "LORA", base_model, name=f"Style {n}"), 1.0) for n in (11, 12))
    shortlist = Shortlist("a cat", hits, networks, (), fits=True, nearest=())
    for seed in range(4):
        bound = untaught.bind_tools(tool_schemas(shortlist), tool_choice="any", temperature=2, seed=seed)
        reading = read_answer(bound.invoke("a cat"), shortlist)
        assert reading.call is not None, reading


def test_a_choice_is_kept(untaught: LocalChatDiffAgent, shortlist: Shortlist) -> None:
    tools = tool_schemas(shortlist)
    for name in offered(shortlist):
        forms: list[Any] = [name, {"type": "function", "function": {"name": name}}]
        for choice in forms:
            bound = untaught.bind_tools(tools, tool_choice=choice, temperature=1.0, seed=1)
            assert [call["name"] for call in bound.invoke("a cat").tool_calls] == [name]
    for choice in ("any", "required", True):
        for seed in range(3):
            assert untaught.bind_tools(tools, tool_choice=choice, temperature=3.0, seed=seed).invoke("x").tool_calls
    for bound in (untaught.bind_tools(tools, tool_choice="none"), untaught.bind_tools([]), untaught):
        answer = bound.invoke("a cat")
        assert (answer.text, answer.tool_calls) == (REFUSAL, [])
    free = [untaught.bind_tools(tools, tool_choice="auto", temperature=2.0, seed=n).invoke("x") for n in range(12)]
    assert {bool(answer.tool_calls) for answer in free} == {True, False}


def test_a_tool_that_is_not_bound_cannot_be_chosen(untaught: LocalChatDiffAgent, shortlist: Shortlist) -> None:
    with pytest.raises(RequestError, match=r"tool_choice names 'dogs', which is not bound; name one of civitai_\d+"):
        untaught.bind_tools(tool_schemas(shortlist), tool_choice="dogs").invoke("a cat")


class Place(BaseModel):
    """Where."""

    street: str = Field(max_length=8)
    number: int = Field(ge=1, le=99)


def test_tools_that_do_not_draw_can_be_called(untaught: LocalChatDiffAgent) -> None:
    @tool
    def go(where: Place, means: Literal["car", "bus"], stops: list[int], note: str = "") -> str:
        """Go somewhere.

        Recommended: now.
        """
        return f"{where} {means} {stops} {note}"

    @tool
    def stay() -> str:
        """Stay here. Recommended: always."""
        return "here"

    seen = set()
    for seed in range(12):
        answer = untaught.bind_tools([go, stay], tool_choice="any", temperature=1.0, seed=seed).invoke("a cat")
        if answer.response_metadata["finish_reason"] == "tool_calls":
            (call,) = answer.tool_calls
            seen.add(call["name"])
            assert {"go": go, "stay": stay}[call["name"]].invoke(call["args"])
    assert "stay" in seen


def test_an_answer_in_a_form(untaught: LocalChatDiffAgent) -> None:
    place = untaught.with_structured_output(Place).invoke("where to?")
    assert isinstance(place, Place)


async def test_an_answer_in_a_form_can_be_streamed(untaught: LocalChatDiffAgent) -> None:
    form = untaught.with_structured_output(Place)
    for pieces in (list(form.stream("where to?")), [piece async for piece in form.astream("where to?")]):
        assert pieces[-1] == form.invoke("where to?")


async def test_a_cut_answer_in_one_piece_stays_broken_when_pieces_are_added(
    untaught: LocalChatDiffAgent, shortlist: Shortlist
) -> None:
    bound = untaught.bind_tools(tool_schemas(shortlist), tool_choice="any", max_tokens=20)
    for (piece,) in (list(bound.stream("a cat")), [piece async for piece in bound.astream("a cat")]):
        assert isinstance(piece, AIMessageChunk)
        assert (AIMessageChunk("") + piece).tool_calls == []  # type: ignore[attr-defined]
        assert len(piece.invalid_tool_calls) == 1


def test_an_answer_that_was_cut_is_not_drawn(untaught: LocalChatDiffAgent, shortlist: Shortlist) -> None:
    whole = untaught.bind_tools(tool_schemas(shortlist), tool_choice="any").invoke("a cat")
    assert whole.usage_metadata is not None
    length = whole.usage_metadata["output_tokens"]
    for limit in (2, length // 2, length - 4, length - 2):
        answer = untaught.bind_tools(tool_schemas(shortlist), tool_choice="any", max_tokens=limit).invoke("a cat")
        assert answer.usage_metadata is not None
        assert answer.usage_metadata["output_tokens"] == limit
        assert answer.response_metadata["finish_reason"] == "length"
        reading = read_answer(answer, shortlist)
        assert reading.call is None
        assert "length limit" in (reading.problem or "")


def test_what_it_says_of_an_answer(untaught: LocalChatDiffAgent, shortlist: Shortlist) -> None:
    answer = untaught.bind_tools(tool_schemas(shortlist)).invoke("a cat")
    usage = answer.usage_metadata
    assert usage is not None
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert min(usage["input_tokens"], usage["output_tokens"]) > 0
    assert answer.response_metadata["model_provider"] == "diffagent"
    assert answer.response_metadata["model_name"] == f"diffagent-{untaught.folder.name}"
    assert 0 < answer.response_metadata["certainty"] <= 1


def calling_planner(untaught: LocalChatDiffAgent, shortlist: Shortlist) -> Any:
    """The planner with tools, and a seed with which its call for "a cat" does not run into the length limit."""
    for seed in range(30):
        bound = untaught.bind_tools(tool_schemas(shortlist), tool_choice="any", temperature=1.5, seed=seed)
        if bound.invoke("a cat").tool_calls:
            return bound
    pytest.fail("none of 30 answers is whole")


async def test_every_way_to_ask_gives_the_same_answer(untaught: LocalChatDiffAgent, shortlist: Shortlist) -> None:
    bound = calling_planner(untaught, shortlist)

    def said(answer: Any) -> tuple[object, object]:
        (call,) = answer.tool_calls
        return call["name"], call["args"]

    expected = said(bound.invoke("a cat"))
    assert said(await bound.ainvoke("a cat")) == expected
    assert [said(answer) for answer in bound.batch(["a cat", "a cat"])] == [expected] * 2
    chunks = list(bound.stream("a cat"))
    assert said(sum(chunks[1:], start=chunks[0])) == expected
    parts = [{"type": "text", "text": "a cat"}]
    assert said(bound.invoke([HumanMessage(parts)])) == expected  # type: ignore[arg-type]


def test_failed_attempts_are_read(untaught: LocalChatDiffAgent, shortlist: Shortlist) -> None:
    bound = calling_planner(untaught, shortlist)
    first = bound.invoke("a cat")
    told = ToolMessage(json.dumps({"verdict": "poor"}), tool_call_id=str(first.tool_calls[0]["id"]))
    again = bound.invoke(conversation([HumanMessage("a cat"), first, told]))
    assert again.usage_metadata is not None
    assert first.usage_metadata is not None
    assert again.usage_metadata["input_tokens"] > first.usage_metadata["input_tokens"] + 50


def test_a_model_without_marks_writes_them_letter_by_letter(
    tiny_planner: Path, tmp_path: Path, shortlist: Shortlist
) -> None:
    folder = Path(shutil.copytree(tiny_planner, tmp_path / "planner"))
    known = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    known["added_tokens"] = [token for token in known["added_tokens"] if "tool_call" not in token["content"]]
    (folder / "tokenizer.json").write_text(json.dumps(known), encoding="utf-8")
    planner = LocalChatDiffAgent(folder=folder, device="cpu")
    assert not planner.decoder.has_token("<tool_call>")
    answer = calling_planner(planner, shortlist).invoke("a cat")
    assert read_answer(answer, shortlist).call is not None


def test_a_model_whose_marks_are_control_tokens_calls_as_others_do(
    tiny_planner: Path, tmp_path: Path, untaught: LocalChatDiffAgent, shortlist: Shortlist
) -> None:
    folder = Path(shutil.copytree(tiny_planner, tmp_path / "planner"))
    known = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    for token in known["added_tokens"]:
        token["special"] = token["special"] or "tool_call" in token["content"]
    (folder / "tokenizer.json").write_text(json.dumps(known), encoding="utf-8")
    planner = LocalChatDiffAgent(folder=folder, device="cpu", max_tokens=640)
    tokenizer = planner.decoder.tokenizer
    special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    assert {"<tool_call>", "</tool_call>", "<|end|>"} <= special
    call = calling_planner(planner, shortlist).invoke("a cat").tool_calls[0]
    assert call["args"] == calling_planner(untaught, shortlist).invoke("a cat").tool_calls[0]["args"]
    refused = [planner.bind_tools(tool_schemas(shortlist), temperature=2.0, seed=n).invoke("x") for n in range(8)]
    assert REFUSAL in [answer.text for answer in refused]
    written = tokenizer("<tool_call>{}</tool_call><|end|>", add_special_tokens=False)["input_ids"]
    assert written_text(tokenizer, written) == "<tool_call>{}</tool_call>"


MARKS = ("<|end|>", "<|user|>", "<|assistant|>", "<|tools|>", "<|tool|>", "<|pad|>", "<tool_call>", "</tool_call>")


@given(
    parts=st.lists(st.sampled_from([*MARKS, "<", "<|", "|>", " ", "a cat", "\n", "ü", "<|en<|end|>d|>"]), max_size=8)
)
@settings(max_examples=100)
def test_no_text_becomes_a_control_token(decoder: Decoder, parts: list[str]) -> None:
    text = "".join(parts)
    call = {"name": "draw", "arguments": json.dumps({"prompt": text})}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": text}]},
        {"role": "assistant", "content": text, "tool_calls": [{"type": "function", "id": "1", "function": call}]},
        {"role": "tool", "content": text, "tool_call_id": "1"},
    ]
    about = {"name": "draw", "description": text, "parameters": {"type": "object", "properties": {}}}
    prompt = decoder.render(messages, [{"type": "function", "function": about}])
    tokens = decoder.tokenizer(prompt, add_special_tokens=False)["input_ids"]
    added = decoder.tokenizer.get_added_vocab()
    control = [token for token in decoder.tokenizer.convert_ids_to_tokens(tokens) if token in added]
    assert control == [
        "<|tools|>", "<|user|>", "<|assistant|>", "<tool_call>", "</tool_call>", "<|end|>", "<|tool|>", "<|assistant|>",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('<tool_call>\n{"name": "a", "arguments": {"x": "</tool_call>"}}\n</tool_call>', ["a"]),
        ('<tool_call>\n{"name": "a", "arguments": {}}', ["a"]),
        ("None of these.", []),
        ("", []),
    ],
)
def test_an_answer_becomes_a_message(text: str, names: list[str]) -> None:
    message = answer_message(text)
    assert [call["name"] for call in message.tool_calls] == names
    assert message.text == ("" if names else text)


@pytest.mark.parametrize("text", ["<tool_call>", '<tool_call>\n{"name": "a", "argu', "<tool_call>[]", "<tool_call>{}"])
def test_a_broken_call_is_no_words(text: str) -> None:
    (broken,) = answer_message(text).invalid_tool_calls
    assert broken["error"]


def test_it_is_made_by_the_served_one(tiny_planner: Path) -> None:
    planner = ChatDiffAgent.local(tiny_planner, temperature=0.5, seed=3)
    assert isinstance(planner, LocalChatDiffAgent)
    assert (planner.folder, planner.temperature, planner.seed) == (tiny_planner, 0.5, 3)


def test_settings_tell_planners_apart(tiny_planner: Path) -> None:
    one, other = LocalChatDiffAgent(folder=tiny_planner), LocalChatDiffAgent(folder=tiny_planner.parent / "planner")
    assert one._identifying_params != other._identifying_params
    with pytest.raises(ConfigError, match="is not a transformers folder"):
        other.invoke("a cat")


def test_half_a_character_is_left_out(untaught: LocalChatDiffAgent) -> None:
    assert untaught.bind_tools([]).invoke("a fox \ud800").text


@pytest.mark.parametrize("temperature", [float("inf"), float("nan"), -1.0])
def test_a_temperature_that_is_none(untaught: LocalChatDiffAgent, temperature: float) -> None:
    with pytest.raises(RequestError, match="temperature="):
        untaught.bind_tools([], temperature=temperature).invoke("a fox")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The grammars that answers were written by."""
    grammars: list[str] = []
    decode = Decoder.decode

    def noted(decoder: Decoder, prompt: str, grammar: str, **settings: Any) -> object:
        grammars.append(grammar)
        return decode(decoder, prompt, grammar, **settings)

    monkeypatch.setattr(Decoder, "decode", noted)
    return grammars


@pytest.mark.parametrize("folder", ["shipped", "trained anew"])
def test_pocket_planners_keep_to_their_bounds(
    tiny_planner: Path, shortlist: Shortlist, written: list[str], folder: str
) -> None:
    planner = LocalChatDiffAgent(folder=pocket_planner() if folder == "shipped" else tiny_planner, device="cpu")
    assert planner.decoder.template == {}
    planner.bind_tools(tool_schemas(shortlist), max_tokens=2).invoke("a cat")
    assert written == [answer_grammar(tool_schemas(shortlist), bounds="pocket")]


def test_other_planners_are_bound_by_the_schema_alone(tmp_path: Path, shortlist: Shortlist, written: list[str]) -> None:
    planner = LocalChatDiffAgent(folder=save_planner(tmp_path / "other", context=32768), device="cpu")
    planner.bind_tools(tool_schemas(shortlist), max_tokens=2).invoke("a cat")
    assert written == [answer_grammar(tool_schemas(shortlist), bounds="schema")]


SEARCH: dict[str, Any] = {
    "type": "function",
    "function": {"name": "search_models", "parameters": {"type": "object", "properties": {}}},
}


def test_models_are_searched_for_before_a_form_is_filled_in(untaught: LocalChatDiffAgent, shortlist: Shortlist) -> None:
    """What LangChain asks of a model whose agent answers in a form: a call each time, and the form is a tool."""
    forced = untaught.bind_tools([SEARCH, Place], tool_choice="any")
    asked = HumanMessage("a cat")
    search = forced.invoke([asked])
    assert [(call["name"], call["args"]) for call in search.tool_calls] == [("search_models", {"query": "a cat"})]
    assert search.response_metadata["finish_reason"] == "tool_calls"
    found = ToolMessage("[]", tool_call_id=str(search.tool_calls[0]["id"]))
    assert [call["name"] for call in forced.invoke([asked, search, found]).tool_calls] == ["Place"]

    tools = [SEARCH, *tool_schemas(shortlist), Place]
    drawing = calling(next(iter(offered(shortlist))), {"prompt": "a cat"})
    told = json.dumps({"image": "ab", "path": "/pictures/ab.png"})
    drawn = ToolMessage(told, tool_call_id=str(drawing.tool_calls[0]["id"]))
    for seed in range(3):
        done = untaught.bind_tools(tools, tool_choice="any", temperature=2.0, seed=seed)
        assert [call["name"] for call in done.invoke([asked, search, found, drawing, drawn]).tool_calls] == ["Place"]


def test_the_search_can_be_chosen(untaught: LocalChatDiffAgent, shortlist: Shortlist) -> None:
    named = untaught.bind_tools([SEARCH, *tool_schemas(shortlist)], tool_choice="search_models")
    first = named.invoke("a cat")
    again = named.invoke([HumanMessage("a cat"), first, ToolMessage("[]", tool_call_id=str(first.tool_calls[0]["id"]))])
    assert [call["name"] for answer in (first, again) for call in answer.tool_calls] == ["search_models"] * 2
    with pytest.raises(RequestError, match="tool_choice names 'search_models', which is not bound"):
        untaught.bind_tools(tool_schemas(shortlist), tool_choice="search_models").invoke("a cat")


def test_an_agent_that_answers_in_a_form_searches_draws_and_fills_it_in(pocket_toolkit: DiffAgentToolkit) -> None:
    planner = LocalChatDiffAgent(folder=pocket_planner(), device="cpu")
    agent = create_agent(planner, middleware=[DiffAgentMiddleware(toolkit=pocket_toolkit)], response_format=Place)
    state = agent.invoke({"messages": [HumanMessage("a kitten, 8-bit")]}, {"recursion_limit": 12})
    called = [call["name"] for one in state["messages"] if isinstance(one, AIMessage) for call in one.tool_calls]
    assert called == ["search_models", "civitai_9001_pocket_animals", "Place"]
    assert isinstance(state["structured_response"], Place)
