"""What models know, as terms to compare a request with: subjects, places, styles, each with what to write for it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tool_specs.search.embedder import Embedder
from tool_specs.search.lexicon import Relation, shipped_lexicon
from tool_specs.search.reading import normal, singular
from tool_specs.spec import ToolSpec

TermRole = Literal["subject", "place", "style"]
MAX_SENTENCES = 4
"""Sentences of a network's description that count as terms."""

_FRAMES: dict[TermRole, str] = {"subject": "a picture of a {}", "place": "a landscape {}", "style": "{}"}
"""What is embedded for a phrase; a bare noun or adverb means little to a sentence embedding."""
_PLACE = re.compile(r"^(?:at|in|on|under|inside|near|by)\b|\bbackgrounds?$")
_GENERIC = frozenset({"style", "styles", "art style", "background", "backgrounds", "concept", "tool", "base model"})
_SENTENCE = re.compile(r"[.!?:;\n]+")
# Chosen on those words of `finetune/pocket/planner/words.py` that training may see.
_TRUSTED: dict[Relation | None, tuple[float, float]] = {"same": (0.2, 0.3), "kind": (0.4, 0.5)}
"""The least cosine from which a lexicon is believed, and what is then left of the distance from 1."""
_SHIFTS: dict[Relation | None, float] = {"near": 0.03, "far": -0.1}
_LEAST = min(least for least, _ in _TRUSTED.values())
"""Below this a lexicon says nothing that counts."""


@dataclass(frozen=True, slots=True)
class Term:
    """A phrase that a model knows.

    Attributes:
        phrase: What a request is compared with.
        role: Whether it names a thing, where it is, or how it is drawn.
        writes: What to write in the prompt for it.
        spec_id: The model that knows it.
    """

    phrase: str
    role: TermRole
    writes: str
    spec_id: str


def terms_of(spec: ToolSpec) -> tuple[Term, ...]:
    """The terms of a checkpoint (its tags) or of a network (trigger words, tags, name, first sentences)."""
    return _checkpoint_terms(spec) if spec.is_checkpoint else _network_terms(spec)


def _checkpoint_terms(spec: ToolSpec) -> tuple[Term, ...]:
    terms = []
    for tag in spec.tags:
        phrase = normal(tag)
        if phrase and phrase not in _GENERIC:
            place = bool(_PLACE.search(phrase))
            writes = f"on {indefinite(tag)}" if phrase.endswith("background") else tag
            terms.append(Term(phrase, "place" if place else "subject", writes, spec.id))
    return tuple(terms)


def _network_terms(spec: ToolSpec) -> tuple[Term, ...]:
    tags = [normal(tag) for tag in spec.tags]
    trigger = ", ".join(spec.trigger_words)
    words = [tag for tag in tags if tag and tag not in _GENERIC]
    words += [normal(word) for word in spec.trigger_words]
    if not _GENERIC.isdisjoint(tags) and {"background", "backgrounds"} & set(tags):
        phrases = [word if word.endswith("background") else f"{word} background" for word in words]
        return tuple(Term(phrase, "place", f"on a {trigger} background", spec.id) for phrase in dict.fromkeys(phrases))
    sentences = [normal(sentence) for sentence in _SENTENCE.split(spec.description)]
    words += [sentence for sentence in sentences if len(sentence.split()) > 3][:MAX_SENTENCES]
    return tuple(Term(phrase, "style", trigger, spec.id) for phrase in dict.fromkeys(words) if phrase)


class TermIndex:
    """Terms with their vectors.

    Args:
        terms: What to compare with.
        embedder: Makes the vectors, when the first text is compared.
    """

    def __init__(self, terms: Iterable[Term], embedder: Embedder) -> None:
        self.terms = tuple(terms)
        self._embedder = embedder
        self._keys = np.array([_key(term.phrase) for term in self.terms], dtype=object)

    @classmethod
    def of(cls, specs: Iterable[ToolSpec], embedder: Embedder) -> TermIndex:
        """The index of all terms of some specs."""
        return cls((term for spec in specs for term in terms_of(spec)), embedder)

    def rows(self, role: TermRole) -> NDArray[np.bool_]:
        """Which terms have a role, (terms,)."""
        return np.array([term.role == role for term in self.terms], dtype=bool)

    def prepare(self, texts: Iterable[tuple[str, TermRole]]) -> None:
        """Embed texts that are going to be compared all at once, which is what makes it quick.

        An embedder that remembers nothing gains nothing by it.
        """
        self._embedder.embed([_FRAMES[role].format(text) for text, role in texts])

    def similarities(self, texts: Sequence[str], role: TermRole) -> NDArray[np.float32]:
        """How near each text is to each term of a role, (texts, terms): 1 for the same words, 0 for other roles.

        Near is the cosine of the two, for things with what the lexicon says of them.
        """
        rows = self.rows(role)
        out = np.zeros((len(texts), len(self.terms)), dtype=np.float32)
        if texts and rows.any():
            cosines = self._embedder.embed([_FRAMES[role].format(text) for text in texts]) @ self._vectors[rows].T
            same = np.array([_key(text) for text in texts], dtype=object)[:, None] == self._keys[None, rows]
            if role == "subject":
                self._weigh(texts, np.flatnonzero(rows), cosines)
            out[:, rows] = np.where(same, np.float32(1.0), np.minimum(cosines, np.float32(0.999)))
        return out

    def _weigh(self, texts: Sequence[str], numbers: NDArray[np.intp], cosines: NDArray[np.float32]) -> None:
        """Put what the lexicon says into cosines, (texts, numbers)."""
        for row, column in np.argwhere(cosines >= _LEAST):
            relation = shipped_lexicon().relation(texts[row], self.terms[numbers[column]].phrase)
            cosines[row, column] = _weighed(float(cosines[row, column]), relation)

    @cached_property
    def _vectors(self) -> NDArray[np.float32]:
        return self._embedder.embed([_FRAMES[term.role].format(term.phrase) for term in self.terms])


def _weighed(cosine: float, relation: Relation | None) -> float:
    """A cosine with what a lexicon says about the two things."""
    if relation in _TRUSTED:
        least, distance = _TRUSTED[relation]
        return 1.0 - (1.0 - cosine) * distance if cosine >= least else cosine
    return cosine + _SHIFTS.get(relation, 0.0)


def indefinite(noun: str) -> str:
    """The noun with its indefinite article, none for plurals and for food that is not counted."""
    last = noun.split()[-1]
    if last in _UNCOUNTED or (last.endswith("s") and not last.endswith(("ss", "us", "is"))):
        return noun
    return f"an {noun}" if re.match(r"[aeio]|u(?!fo|ni|se|ti)", noun) else f"a {noun}"


_UNCOUNTED = frozenset(
    ("bread", "broccoli", "butter", "cheese", "chocolate", "coffee", "corn", "flour", "food", "honey", "juice", "meat",
     "milk", "pasta", "popcorn", "rice", "salt", "soup", "sugar", "tea", "water", "wine")
)  # fmt: skip


def _key(text: str) -> str:
    return re.sub(r"[\s-]", "", singular(text))
