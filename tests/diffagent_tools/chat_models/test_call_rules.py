from __future__ import annotations

import json
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diffagent_tools.chat_models.grammar import answer_grammar
from diffagent_tools.planning import REFUSAL
from diffagent_tools.tools.generation import tool_schemas
from tests.diffagent_tools.chat_models.test_grammar import (
    ARGUMENTS,
    CAT,
    INK,
    NEON,
    NEVER_VALID,
    OWL,
    PIXEL,
    accepts,
    answer,
    function,
    rules,
    tools,
    uses,
)
from tests.tool_specs.conftest import SpecMaker, make_spec
from tool_specs.search.shortlist import Hit, Shortlist

__all__ = ["accepts", "make_spec", "rules", "tools"]

Accepts = Callable[[str, str], bool]
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x7f"), max_size=30)
"""Any text but for the control character that llguidance takes for none of JSON's."""


@pytest.fixture
def grammar(tools: list[dict[str, Any]]) -> str:
    return answer_grammar(tools, bounds="schema")


@pytest.mark.parametrize(
    "text",
    [
        answer(),
        answer(OWL, loras=uses(PIXEL)),
        *(answer(loras=uses(*names)) for names in permutations((PIXEL, INK, NEON))),
        answer(loras=uses(NEON, PIXEL, weight=-2)),
        answer(cfg_scale=3.25, seed=2**32 - 1, sampler="DPM++ 2M SDE Karras"),
        answer(prompt="(masterpiece:1.2), a cat"),
        answer(prompt="score_9, [blurry], {a|b}", negative_prompt="(worst quality:1.4)"),
        answer(prompt='a café: "cat", C:\\x, 日本語 😀'),
        answer(prompt="two\nlines\tand \x01"),
        answer(prompt="x" * 2000),
        REFUSAL,
    ],
)
def test_what_the_schema_allows_is_accepted(accepts: Accepts, grammar: str, text: str) -> None:
    assert accepts(grammar, text)


@pytest.mark.parametrize(
    "text",
    [
        *NEVER_VALID,
        answer(prompt=None),
        answer(prompt="x" * 2001),
        answer(loras=uses(PIXEL, INK, PIXEL)),
        answer(loras=[{"id": PIXEL}]),
        f"<tool_call>\n{json.dumps({'name': CAT, 'arguments': {}})}\n</tool_call>",
    ],
)
def test_what_it_does_not_allow_is_not_accepted(accepts: Accepts, grammar: str, text: str) -> None:
    assert not accepts(grammar, text)


@given(names=st.lists(st.sampled_from((PIXEL, INK, NEON)), max_size=4), prompt=WORDS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_networks_are_distinct_and_prompts_are_free(
    accepts: Accepts, grammar: str, names: list[str], prompt: str
) -> None:
    text = answer(loras=uses(*names), prompt=f"a {prompt}")
    assert accepts(grammar, text) is (len(set(names)) == len(names))


def test_there_are_no_more_networks_than_the_family_takes(accepts: Accepts, make_spec: SpecMaker) -> None:
    networks = [make_spec(n, "LORA", name=f"Style {n}") for n in range(11, 19)]
    hits = tuple(Hit(make_spec(n, name=f"Model {n}"), 1.0) for n in range(1, 9))
    offered = tool_schemas(
        Shortlist("a cat", hits, tuple(Hit(network, 1.0) for network in networks), (), fits=True, nearest=())
    )
    grammar = answer_grammar(offered, bounds="schema")
    names = [network.id for network in networks[::-1]]
    most = offered[0]["function"]["parameters"]["properties"]["loras"]["maxItems"]
    tool = offered[-1]["function"]["name"]
    assert [accepts(grammar, answer(tool, loras=uses(*names[:count]))) for count in (most, most + 1)] == [True, False]
    assert len(grammar) < 40_000


def test_a_choice_is_kept(accepts: Accepts, tools: list[dict[str, Any]]) -> None:
    owl = answer_grammar(tools, bounds="schema", may_refuse=False, must_call=OWL)
    assert [accepts(owl, text) for text in (REFUSAL, answer(CAT), answer(OWL))] == [False, False, True]
    letters = answer_grammar(tools, bounds="schema", mark_tokens=False)
    assert "start: call |" in letters
    assert '"<tool_call>"' in letters


def test_without_networks_the_list_is_empty(accepts: Accepts, make_spec: SpecMaker) -> None:
    alone = tool_schemas(Shortlist("a cat", (Hit(make_spec(1, name="Cats"), 1.0),), (), (), fits=True, nearest=()))
    grammar = answer_grammar(alone, bounds="schema")
    assert accepts(grammar, answer())
    assert not accepts(grammar, answer(loras=uses(PIXEL)))


def test_what_is_not_required_may_be_left_out(accepts: Accepts, tools: list[dict[str, Any]]) -> None:
    parameters = {**tools[0]["function"]["parameters"], "required": ["prompt", "steps"]}
    grammar = answer_grammar([function(parameters, CAT)], bounds="schema")

    def called(*keys: str) -> str:
        call = {"name": CAT, "arguments": {key: ARGUMENTS[key] for key in keys}}
        return f"<tool_call>\n{json.dumps(call)}\n</tool_call>"

    good = [("prompt", "steps"), ("loras", "prompt", "steps"), ("prompt", "sampler", "steps", "seed"), tuple(ARGUMENTS)]
    assert [keys for keys in good if not accepts(grammar, called(*keys))] == []
    bad = [("prompt",), ("loras", "steps"), ("steps", "prompt"), ()]
    assert [keys for keys in bad if accepts(grammar, called(*keys))] == []


def test_other_tools_stand_beside_those_that_draw(accepts: Accepts, tools: list[dict[str, Any]]) -> None:
    other = function({"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]})
    grammar = answer_grammar([*tools, other], bounds="schema")
    call = {"name": "look_up", "arguments": {"word": "<b>"}}
    assert accepts(grammar, f"<tool_call>\n{json.dumps(call)}\n</tool_call>")
    assert accepts(grammar, answer(OWL, loras=uses(NEON, INK)))
