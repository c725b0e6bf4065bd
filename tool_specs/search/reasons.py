"""Why a model was found, in a few words each."""

from __future__ import annotations

from collections.abc import Mapping

from tool_specs.ranking.index import examples_of
from tool_specs.ranking.ranking import Ranking
from tool_specs.ranking.texts import words
from tool_specs.ranking.view import View
from tool_specs.spec import ToolSpec
from tool_specs.store.database import CatalogDatabase

NEAR = 0.45
"""A prompt or a text at least as near as this is a reason."""
NEAREST = "the nearest there is"
MAX_PROMPT = 80
MAX_WORDS = 4
_COMMON = frozenset(["a", "an", "and", "at", "by", "for", "from", "in", "it", "of", "on", "or", "the", "to", "with"])
_FEATURES = (
    ("prompt_meaning", "it drew such requests"),
    ("text_meaning", "its text is about such things"),
    ("creator_meaning", "its creator's models drew such requests"),
)
"""What a feature means, the best reason first."""


def brief_reasons(ranking: Ranking, place: int) -> tuple[str, ...]:
    """The reasons that the features of one place of a ranking give."""
    values = ((reason, float(ranking.feature(feature)[place])) for feature, reason in _FEATURES)
    reasons = [f"{reason} ({value:.2f})" for reason, value in values if value >= NEAR]
    return tuple(reasons[:1]) or (NEAREST,)


def reasons_for(
    view: View, database: CatalogDatabase, ranking: Ranking, chosen: Mapping[int, ToolSpec], request: str
) -> dict[int, tuple[str, ...]]:
    """The reasons for some places of a ranking, with the prompts and the words that they rest on."""
    asked = list(dict.fromkeys(words(request)))
    prompts = _nearest_prompts(view, database, ranking, chosen)
    found = {}
    for place, spec in chosen.items():
        reasons = list(brief_reasons(ranking, place))
        if prompts.get(place) and reasons[0].startswith(_FEATURES[0][1]):
            reasons[0] = f"{reasons[0]}: {_short(prompts[place])!r}"
        said = set(words(" ".join((spec.model_name, *spec.tags, *spec.trigger_words)))) - _COMMON
        if shared := [word for word in asked if word in said][:MAX_WORDS]:
            reasons = [one for one in reasons if one != NEAREST]
            reasons.append(f"its name, tags or trigger words say {', '.join(shared)}")
        found[place] = tuple(reasons)
    return found


def _nearest_prompts(
    view: View, database: CatalogDatabase, ranking: Ranking, chosen: Mapping[int, ToolSpec]
) -> dict[int, str]:
    """For each place the model's prompt that is nearest to the request, where it has any."""
    numbers: dict[int, int] = {}
    for place in chosen:
        best = view.by_model.best(int(ranking.rows[place]), ranking.evaluation.prompt_cosines)
        if best is not None:
            numbers[place] = int(view.prompts.ids[best])
    texts = {number: one.text for number, one in database.evidence([n for n in numbers.values() if n > 0]).items()}
    with_examples = [chosen[place].model_id for place, number in numbers.items() if number < 0]
    for versions in database.versions(with_examples).values():
        texts |= {example.number: example.text for example in examples_of(versions)}
    return {place: texts.get(number, "") for place, number in numbers.items()}


def _short(text: str) -> str:
    return text if len(text) <= MAX_PROMPT else text[: MAX_PROMPT - 1] + "…"
