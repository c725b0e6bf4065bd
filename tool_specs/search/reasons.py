"""Why a model was found, in a few words each."""

from __future__ import annotations

from dataclasses import dataclass

from tool_specs.ranking.index import examples_of
from tool_specs.ranking.ranking import Ranking
from tool_specs.ranking.texts import words
from tool_specs.ranking.view import View
from tool_specs.spec import ToolSpec
from tool_specs.store.database import CatalogDatabase

NEAR = 0.5
"""A prompt or a text at least as near as this is a reason."""
MAX_PROMPT = 80
MAX_WORDS = 4
_COMMON = frozenset(["a", "an", "and", "at", "by", "for", "from", "in", "it", "of", "on", "or", "the", "to", "with"])
_FEATURES = (
    ("prompt_meaning", "it drew such requests"),
    ("text_meaning", "its text is about such things"),
    ("creator_meaning", "its creator's models drew such requests"),
)
"""What a feature means, the best reason first."""


@dataclass(frozen=True, slots=True)
class Reasons:
    """What is known of one place of a ranking."""

    view: View
    database: CatalogDatabase
    ranking: Ranking
    place: int

    @staticmethod
    def brief(ranking: Ranking, place: int) -> tuple[str, ...]:
        """The reasons that the features alone give."""
        values = ((reason, float(ranking.feature(feature)[place])) for feature, reason in _FEATURES)
        reasons = [f"{reason} ({value:.2f})" for reason, value in values if value >= NEAR]
        return tuple(reasons[:1]) or ("the nearest there is",)

    def of(self, spec: ToolSpec, request: str) -> tuple[str, ...]:
        """The reasons, with the prompt and the words that they rest on."""
        reasons = list(self.brief(self.ranking, self.place))
        prompt = self._prompt(spec)
        if prompt and reasons[0].startswith(_FEATURES[0][1]):
            reasons[0] = f"{reasons[0]}: {prompt!r}"
        said = set(words(" ".join((spec.model_name, *spec.tags, *spec.trigger_words)))) - _COMMON
        shared = [word for word in dict.fromkeys(words(request)) if word in said][:MAX_WORDS]
        if shared:
            reasons.append(f"its name, tags or trigger words say {', '.join(shared)}")
        return tuple(reasons)

    def _prompt(self, spec: ToolSpec) -> str:
        """The model's prompt that is nearest to the request, cut to a length."""
        best = self.view.by_model.best(int(self.ranking.rows[self.place]), self.ranking.evaluation.prompt_cosines)
        if best is None:
            return ""
        number = int(self.view.prompts.ids[best])
        if number >= 0:
            known = self.database.evidence([number])
            text = known[number].text if number in known else ""
        else:
            versions = list(self.database.specs(self.database.ids_of_model(spec.model_id)).values())
            examples = {example.number: example.text for example in examples_of(versions)}
            text = examples.get(number, "")
        return text if len(text) <= MAX_PROMPT else text[: MAX_PROMPT - 1] + "…"
