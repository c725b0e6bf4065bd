from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import llguidance.hf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer

from diffagent_tools.chat_models.decoding import Decoder
from diffagent_tools.chat_models.grammar import answer_grammar
from diffagent_tools.planning import REFUSAL
from diffagent_tools.tools.generation import tool_schemas
from tests.tool_specs.conftest import SpecMaker, make_spec
from tool_specs.calls import to_call
from tool_specs.exceptions import CallError, RequestError
from tool_specs.search.shortlist import Hit, Shortlist

__all__ = ["make_spec"]

CAT, OWL, PIXEL, INK, NEON = "civitai_1_cats", "civitai_2_owls", "civitai:11@111", "civitai:12@112", "civitai:13@113"
ARGUMENTS: dict[str, Any] = {
    "loras": [], "prompt": "a cat", "negative_prompt": "", "sampler": "Euler a", "steps": 20, "cfg_scale": 7.0,
    "width": 64, "height": 64, "clip_skip": 1, "seed": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def rules(decoder: Decoder) -> LLTokenizer:
    return llguidance.hf.from_tokenizer(decoder.tokenizer)


@pytest.fixture
def accepts(decoder: Decoder, rules: LLTokenizer) -> Callable[[str, str], bool]:
    """Whether a grammar accepts a whole text."""

    def accepted(grammar: str, text: str) -> bool:
        matcher = LLMatcher(rules, LLMatcher.grammar_from_lark(grammar))
        assert not matcher.is_error(), matcher.get_error()
        tokens = decoder.tokenizer(text, add_special_tokens=False)["input_ids"]
        return (
            matcher.validate_tokens(tokens) == len(tokens) and matcher.consume_tokens(tokens) and matcher.is_accepting()
        )

    return accepted


@pytest.fixture
def tools(make_spec: SpecMaker) -> list[dict[str, Any]]:
    """Two models and three networks."""
    hits = tuple(Hit(make_spec(n, name=name), 1.0) for n, name in ((1, "Cats"), (2, "Owls")))
    networks = tuple(Hit(make_spec(n, "LORA", name=name), 1.0) for n, name in ((11, "Px"), (12, "Ink"), (13, "Neon")))
    return tool_schemas(Shortlist("a cat", hits, networks, (), fits=True, nearest=()))


def answer(tool: str = CAT, **changes: object) -> str:
    call = {"name": tool, "arguments": {**ARGUMENTS, **changes}}
    return f"<tool_call>\n{json.dumps(call, ensure_ascii=False)}\n</tool_call>"


def uses(*networks: str, weight: float = 0.8) -> list[dict[str, Any]]:
    return [{"id": network, "weight": weight} for network in networks]


NEVER_VALID = (
    answer("civitai_3_dogs"),
    answer(steps=0),
    answer(steps=101),
    answer(steps=20.5),
    answer(cfg_scale=0.9),
    answer(cfg_scale=20.01),
    answer(width=65),
    answer(seed=-1),
    answer(seed=2**32),
    answer(clip_skip=2),
    answer(sampler="Euler b"),
    answer(prompt=""),
    answer(loras=uses(PIXEL, PIXEL)),
    answer(loras=uses("civitai:5@5")),
    answer(loras=uses(PIXEL, weight=2.1)),
    answer(extra=1),
    answer() + "\n" + answer(),
    "None of these.",
    "",
)
"""Answers that no bounds accept."""


@pytest.mark.parametrize(
    "text",
    [
        answer(),
        answer(OWL, loras=uses(PIXEL)),
        answer(loras=uses(INK, NEON, weight=-2)),
        answer(cfg_scale=7, seed=0, steps=100, width=128),
        answer(cfg_scale=3.25, seed=2**32 - 1, sampler="DPM++ 2M SDE Karras"),
        answer(prompt="king's (gold) crown & co., 1.2; why? yes! a/b + c-d", negative_prompt="blurry"),
        answer(prompt="negative space"),
        answer(prompt="neg"),
        answer(prompt="N"),
        answer(prompt="negative promp"),
        REFUSAL,
    ],
)
def test_what_is_valid_is_accepted(accepts: Callable[[str, str], bool], tools: list[dict[str, Any]], text: str) -> None:
    assert accepts(answer_grammar(tools), text)


@pytest.mark.parametrize(
    "text",
    [
        *NEVER_VALID,
        answer(prompt=" "),
        answer(prompt="<lora:x:1>"),
        answer(prompt='say "x"'),
        answer(prompt="two\nlines"),
        answer(prompt="Prompt: a cat"),
        answer(prompt="Negative prompt"),
        answer(prompt="negative PROMPT  "),
        answer(prompt="negative prompts, many"),
        answer(negative_prompt="negative prompt"),
        answer(prompt="x" * 500),
        answer(loras=uses(PIXEL, INK, NEON)),
    ],
)
def test_what_is_not_valid_is_not_accepted(
    accepts: Callable[[str, str], bool], tools: list[dict[str, Any]], text: str
) -> None:
    assert not accepts(answer_grammar(tools), text)


def test_a_choice_is_kept(accepts: Callable[[str, str], bool], tools: list[dict[str, Any]]) -> None:
    must = answer_grammar(tools, may_refuse=False)
    assert (accepts(must, REFUSAL), accepts(must, answer(OWL))) == (False, True)
    owl = answer_grammar(tools, may_refuse=False, must_call=OWL)
    assert (accepts(owl, answer(CAT)), accepts(owl, answer(OWL))) == (False, True)
    nothing = answer_grammar([])
    assert (accepts(nothing, REFUSAL), accepts(nothing, answer())) == (True, False)


def test_without_networks_the_list_is_empty(accepts: Callable[[str, str], bool], make_spec: SpecMaker) -> None:
    hits = (Hit(make_spec(1, name="Cats"), 1.0),)
    grammar = answer_grammar(tool_schemas(Shortlist("a cat", hits, (), (), fits=True, nearest=())))
    assert accepts(grammar, answer())
    assert not accepts(grammar, answer(loras=uses(PIXEL)))


def test_each_family_has_its_own_bounds(accepts: Callable[[str, str], bool], make_spec: SpecMaker) -> None:
    specs = {
        base: make_spec(n, base_model=base, name="Cats") for n, base in enumerate(("SD 1.5", "SDXL 1.0", "Flux.1 D"))
    }
    for base, spec in specs.items():
        hits = (Hit(spec, 1.0),)
        grammar = answer_grammar(tool_schemas(Shortlist("a cat", hits, (), (), fits=True, nearest=())))
        best = spec.recommended
        own = {"sampler": best.sampler, "width": best.width, "height": best.height, "cfg_scale": best.cfg_scale.median}
        assert accepts(grammar, answer(spec.tool_name, **own)), base
        blurry = accepts(grammar, answer(spec.tool_name, **own, negative_prompt="blurry"))
        assert blurry is (base != "Flux.1 D")


PROMPTS = st.text("aBn eNgativ prompt,:<>\"\\\n'()0", max_size=40) | st.sampled_from(["negative prompt", "Prompt : x"])


@given(prompt=PROMPTS, negative=PROMPTS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_every_prompt_that_is_accepted_makes_a_call(
    accepts: Callable[[str, str], bool], tools: list[dict[str, Any]], make_spec: SpecMaker, prompt: str, negative: str
) -> None:
    changes = {"prompt": prompt, "negative_prompt": negative}
    if accepts(answer_grammar(tools), answer(**changes)):
        to_call(make_spec(1, name="Cats"), {**ARGUMENTS, **changes})


def function(parameters: dict[str, Any] | None, name: str = "look_up") -> dict[str, Any]:
    about = {"name": name, "description": "Looks something up."}
    return {"type": "function", "function": about if parameters is None else {**about, "parameters": parameters}}


WHERE = {
    "type": "object",
    "properties": {"street": {"type": "string"}, "no": {"type": "integer"}},
    "required": ["street"],
}


@pytest.mark.parametrize(
    ("parameters", "good", "bad"),
    [
        (None, {}, {"x": 1}),
        ({"type": "object"}, {}, {"x": 1}),
        ({"type": "object", "properties": {"where": WHERE}, "required": ["where"]},
         {"where": {"street": "<b> \"x\": ü"}}, {"where": {"no": 1}}),
        ({"type": "object", "properties": {"where": {"$ref": "#/$defs/Where"}}, "$defs": {"Where": WHERE}},
         {"where": {"street": "x", "no": 3}}, {"where": 3}),
        ({"type": "object", "properties": {"unit": {"enum": ["C", "F"]}, "days": {"type": "integer", "maximum": 9}}},
         {"days": 9}, {"unit": "K"}),
        ({"type": "object", "properties": {"t": {"type": "array", "items": {"type": "string"}, "uniqueItems": True}}},
         {"t": ["a", "b"]}, {"t": "a"}),
        ({"type": "object", "properties": {"loras": {"type": "array", "items": {"type": "string"}},
                                           "prompt": {"type": "string", "maxLength": 9}}},
         {"loras": ["<a>", "<a>"], "prompt": "<lora:x>"}, {"prompt": "0123456789"}),
    ],
    ids=["no parameters", "no properties", "nested", "reference", "optional", "unique", "names like ours"],
)  # fmt: skip
def test_a_tool_that_does_not_draw_keeps_its_schema(
    accepts: Callable[[str, str], bool], parameters: dict[str, Any] | None, good: object, bad: object
) -> None:
    grammar = answer_grammar([function(parameters)])

    def called(arguments: object) -> str:
        text = json.dumps({"name": "look_up", "arguments": arguments}, ensure_ascii=False)
        return f"<tool_call>\n{text}\n</tool_call>"

    assert accepts(grammar, called(good))
    assert not accepts(grammar, called(bad))


def test_a_call_refuses_what_the_grammar_leaves_out(make_spec: SpecMaker) -> None:
    for prompt in ("Negative prompt", "<lora:x:1>"):
        with pytest.raises(CallError):
            to_call(make_spec(1, name="Cats"), {**ARGUMENTS, "prompt": prompt})


@pytest.mark.parametrize(
    "parameters", [{"$defs": {}, "properties": {"a": {"$ref": "#/$defs/b"}}}, {"properties": 7}, [1], "none"]
)
def test_a_schema_that_is_none(parameters: object) -> None:
    with pytest.raises(RequestError, match="the parameters of the tool 'clock' are no JSON schema"):
        answer_grammar([{"type": "function", "function": {"name": "clock", "parameters": parameters}}])
