from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage, convert_to_openai_messages

from diffagent_tools.chat_models.rendering import render
from diffagent_tools.planning import REFUSAL, conversation
from diffagent_tools.tools.generation import offered, tool_schemas
from finetune.pocket.planner.tokenizer import TEMPLATE, blank_tokenizer
from finetune.pocket.planner.worlds import made_up_world
from finetune.sfta.samples import calling, declining, rendered, sample_of
from tests.planner_models import shortlist_of
from tests.tool_specs.conftest import SpecMaker, make_spec
from tool_specs.pocket import pocket_planner
from tool_specs.search.shortlist import Hit, Shortlist

__all__ = ["make_spec"]


def sandboxed() -> Template:
    """The template as transformers and vLLM compile it."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))


def told(messages: list[BaseMessage]) -> list[dict[str, Any]]:
    return convert_to_openai_messages(messages)  # type: ignore[return-value]


@pytest.fixture
def shortlist(make_spec: SpecMaker) -> Shortlist:
    """Two models that share their networks, and one that has none."""
    hits = (
        Hit(make_spec(1, name="Cats", tags=("cat",)), 1.0, ("knows 'cat' for 'kitten' (0.82)",)),
        Hit(make_spec(2, name="Owls", description="Owls only."), 1.0, ("nearest word: 'owl' for \"cat's\" (0.40)",)),
        Hit(make_spec(3, base_model="SD 1.5", name="Everything"), 0.5),
    )
    networks = (
        Hit(make_spec(11, "LORA", name="Pixels"), 1.0, ("knows 'pixel art' for '8-bit' (0.77)",)),
        Hit(make_spec(12, "LORA", name="King's Ink"), 0.2),
    )
    return Shortlist("a kitten, 8-bit", hits, networks, (), fits=True, nearest=())


def test_a_shortlist_takes_few_words(shortlist: Shortlist) -> None:
    messages = told(conversation([HumanMessage("a kitten, 8-bit")]))
    text = sandboxed().render(messages=messages, tools=tool_schemas(shortlist), add_generation_prompt=True)
    assert text == (
        "<|tools|>\n"
        "civitai_1_cats: knows 'cat' for 'kitten' (0.82).\n"
        "+ civitai:11 is 'Pixels' knows 'pixel art' for '8-bit' (0.77).\n"
        '+ civitai:12 is "King\'s Ink"\n'
        "civitai_2_owls: nearest word: 'owl' for \"cat's\" (0.40).\n"
        "civitai_3_everything:\n"
        "<|user|>a kitten, 8-bit<|assistant|>"
    )
    assert render(blank_tokenizer(), messages, tool_schemas(shortlist), answer=None) == text


def test_attempts_are_told_by_their_verdict(shortlist: Shortlist) -> None:
    first = calling("civitai_1_cats", {"prompt": "a cat, ü <b> & 'c'"}, "c1")
    judged = ToolMessage(json.dumps({"attempt": 1, "reward": 0.3, "verdict": "poor", "reason": "x"}), tool_call_id="c1")
    failed = ToolMessage("the weights are damaged " + "x" * 500, tool_call_id="c1")
    messages = told(conversation([HumanMessage("a kitten"), first, judged, first, failed]))
    for tool_call in messages[4]["tool_calls"]:
        tool_call["function"]["arguments"] = json.loads(tool_call["function"]["arguments"])
    text = sandboxed().render(messages=messages, tools=None, add_generation_prompt=True)
    call = (
        '<tool_call>\n{"name": "civitai_1_cats", "arguments": {"prompt": "a cat, ü <b> & \'c\'"}}\n</tool_call><|end|>'
    )
    damaged = ("the weights are damaged " + "x" * 500)[:200]
    assert text == (f"<|user|>a kitten<|assistant|>{call}<|tool|>poor<|assistant|>{call}<|tool|>{damaged}<|assistant|>")


def test_content_in_parts_and_no_content() -> None:
    parts = [
        {"type": "text", "text": "a "},
        {"type": "image_url", "image_url": {"url": "x"}},
        {"type": "text", "text": "cat"},
    ]
    messages = [{"role": "user", "content": parts}, {"role": "assistant", "content": None}]
    assert sandboxed().render(messages=messages) == "<|user|>a cat<|assistant|><|end|>"


@pytest.mark.parametrize(
    ("function", "line"),
    [
        ({"name": "f"}, "f:  ()"),
        ({"name": "f", "description": None, "parameters": None}, "f:  ()"),
        ({"name": "f", "description": "Does\n it. Recommended: often.", "parameters": {"type": "object"}},
         "f: Does it. Recommended: often. ()"),
        ({"name": "f", "description": "x" * 200, "parameters": {"properties": {"a": {}, "items": {}}}},
         f"f: {'x' * 120} (a, items)"),
        ({"name": "f", "description": "A. Recommended: b.", "parameters": {"properties": {"loras": {"type": "array"}}}},
         "f: A. Recommended: b. (loras)"),
    ],
)  # fmt: skip
def test_tools_that_do_not_draw_are_named(function: dict[str, Any], line: str) -> None:
    tools = [{"type": "function", "function": function}]
    text = sandboxed().render(messages=[{"role": "user", "content": "x"}], tools=tools)
    assert text == f"<|tools|>\n{line}\n<|user|>x"


@pytest.mark.parametrize("seed", range(4))
def test_an_answer_continues_its_prompt(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shortlist = shortlist_of(made_up_world(rng), rng)
    tool, *_ = offered(shortlist)
    failed = [calling(tool, {"prompt": "a dog"}, "c1"), ToolMessage('{"verdict": "fault"}', tool_call_id="c1")]
    for answer in (calling(tool, {"prompt": "a cat", "loras": []}), declining()):
        for earlier in ([], failed):
            for closed_book in (False, True):
                sample = sample_of("1", "a cat", shortlist, answer, earlier=earlier, closed_book=closed_book)
                row = rendered(sample, blank_tokenizer())
                assert row["prompt"].endswith("<|assistant|>")
                assert ("<|tools|>" in row["prompt"]) is not closed_book
                assert row["completion"].endswith("<|end|>")
                if not answer.tool_calls:
                    assert row["completion"] == f"{REFUSAL}<|end|>"


@given(text=st.text() | st.lists(st.sampled_from(["{{ x }}", "{% if %}", "<|end|>", "\n", "' Tags: '"])).map("".join))
def test_any_request_is_told_as_it_is(text: str) -> None:
    messages = told([HumanMessage(text), AIMessage(text)])
    assert sandboxed().render(messages=messages, tools=[]) == f"<|user|>{text}<|assistant|>{text}<|end|>"


def test_of_several_requests_the_last_counts() -> None:
    messages = told(
        [HumanMessage("a cat"), calling("x", {}), ToolMessage("no", tool_call_id="call_0"), HumanMessage("a dog")]
    )
    assert sandboxed().render(messages=messages, add_generation_prompt=True) == "<|user|>a dog<|assistant|>"


def test_the_planner_that_ships_has_this_template() -> None:
    assert (pocket_planner() / "chat_template.jinja").read_text(encoding="utf-8") == TEMPLATE.read_text(
        encoding="utf-8"
    )
