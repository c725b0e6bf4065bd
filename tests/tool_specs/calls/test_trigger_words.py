from __future__ import annotations

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.tool_specs.conftest import SpecMaker
from tool_specs.calls import MAX_PROMPT, with_trigger_words, with_trigger_words_of_loras


def test_a_network_brings_its_first_word_where_it_has_none(make_spec: SpecMaker) -> None:
    pixel = make_spec(1, "LORA", trigger_words=("pixel art", "8-bit"))
    neon, plain = make_spec(2, "LORA", trigger_words=("neon",)), make_spec(3, "LORA")
    assert with_trigger_words("a fox", [pixel, plain, neon]) == "a fox, pixel art, neon"
    assert with_trigger_words("a fox, 8-Bit", [pixel]) == "a fox, 8-Bit"
    assert with_trigger_words("", [pixel, pixel]) == "pixel art"
    ink = make_spec(4, "LORA", trigger_words=("ink",))
    assert with_trigger_words("a pink fox", [ink]) == "a pink fox, ink"
    assert with_trigger_words("a fox (Ink:1.2)", [ink]) == "a fox (Ink:1.2)"
    assert with_trigger_words("x" * MAX_PROMPT, [neon]).endswith("x, neon")
    assert len(with_trigger_words("x" * MAX_PROMPT, [neon])) == MAX_PROMPT


def test_only_networks_that_the_arguments_name_count(make_spec: SpecMaker) -> None:
    pixel, neon = (make_spec(n, "LORA", trigger_words=(word,)) for n, word in ((1, "pixel art"), (2, "neon")))
    arguments = {"prompt": "a fox", "loras": [{"id": neon.id, "weight": 1.0}], "steps": 20}
    assert with_trigger_words_of_loras(arguments, [pixel, neon]) == {**arguments, "prompt": "a fox, neon"}
    assert arguments["prompt"] == "a fox"


JSON = st.recursive(
    st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["id", "w"]), x)
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prompt=JSON, loras=JSON)
@example(prompt="a cat", loras=[{"id": []}, {"id": {}}])
def test_what_is_wrong_stays_as_it_is(make_spec: SpecMaker, prompt: object, loras: object) -> None:
    network = make_spec(1, "LORA", trigger_words=("neon",))
    arguments = {"prompt": prompt, "loras": loras}
    assert with_trigger_words_of_loras(arguments, [network]) == arguments
