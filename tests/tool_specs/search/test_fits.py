"""Whether a request is one for a picture, judged by the weights that ship."""

from __future__ import annotations

import itertools

import pytest

from tool_specs.ranking.documents import CHECKPOINT, NETWORK, Described, Prompt, model_segment, prompt_segment
from tool_specs.ranking.features import Request
from tool_specs.ranking.ranking import rank
from tool_specs.ranking.segments import Collection
from tool_specs.ranking.view import View
from tool_specs.ranking.weights import shipped_weights
from tool_specs.search.ranked import MIN_PROMPTS, suits

SUBJECTS = ("red car", "castle", "cat", "knight", "forest", "girl", "dragon", "city", "robot", "lake")
STYLES = ("oil painting", "pixel art", "watercolor", "photo", "sketch")
PLACES = ("at sunset", "in the snow", "at night", "in a garden", "under the moon")


def view_of(prompts: int) -> View:
    encoder = shipped_weights().encoder
    texts = (f"{style} of a {subject} {place}" for style, subject, place in itertools.product(STYLES, SUBJECTS, PLACES))
    asked = [Prompt(n, text, (1 + n % 3,)) for n, text in zip(range(prompts), itertools.cycle(texts))]
    models = [
        [Described(n, 10 * n, f"model {n}", kind, False, "SD 1.5", (), (), "", "", 5, "", 63)]
        for n, kind in ((1, CHECKPOINT), (2, NETWORK), (3, CHECKPOINT))
    ]
    return View.of(Collection.of(prompt_segment(asked, encoder)), Collection.of(model_segment(models, encoder)))


def fits(view: View, text: str) -> bool:
    weights = shipped_weights()
    requests = Request.read([text], weights.encoder)
    choices = [view.kind == CHECKPOINT, view.kind == NETWORK]
    return suits(view, *rank(view, weights.scorer, requests, choices)[0])


@pytest.fixture(scope="module")
def view() -> View:
    return view_of(MIN_PROMPTS)


@pytest.mark.parametrize("text", ["oil painting of a castle at sunset", "a cat in the snow", "photo of a girl"])
def test_what_people_ask_for_fits(view: View, text: str) -> None:
    assert fits(view, text)


@pytest.mark.parametrize("text", ["xkq zzvbn trwpl", "def sorted_list(items): return items", "IBAN DE89 3704 0044"])
def test_words_that_nobody_asks_for_do_not_fit(view: View, text: str) -> None:
    assert not fits(view, text)


@pytest.mark.parametrize("text", ["???", "!!! ...", "♥"])
def test_a_text_without_words_does_not_fit(view: View, text: str) -> None:
    assert not fits(view, text)
    assert not fits(view_of(10), text)


def test_few_prompts_turn_nothing_away() -> None:
    assert fits(view_of(10), "xkq zzvbn trwpl")


def test_without_checkpoints_nothing_fits(view: View) -> None:
    weights = shipped_weights()
    requests = Request.read(["a cat"], weights.encoder)
    none, networks = rank(view, weights.scorer, requests, [view.kind == 99, view.kind == NETWORK])[0]

    assert not suits(view, none, networks)
