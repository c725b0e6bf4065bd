"""What a request asks for in terms that models know: the phrases of the request matched with the terms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tool_specs.search.lexicon import shipped_lexicon
from tool_specs.search.reading import Phrase, read_phrases
from tool_specs.search.terms import Term, TermIndex, TermRole

_STYLE_CUES = frozenset({"", ",", "in", "as", "like", "with", "made of"})
_PLACE_CUES = frozenset({"", ",", "in", "on", "at", "under", "during", "against", "with", "over", "inside", "by"})


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The least similarity that counts as a match, by what is matched.

    The numbers were chosen on the tuning half of `tests/tool_specs/search/requests.json`, that of subjects on the words
    of `finetune/pocket/planner/words.py` that training may see; the test beside that file reports false alarms and
    misses on both halves.
    """

    subject: float = 0.69
    place: float = 0.74
    style: float = 0.5
    said_style: float = 0.5
    """For words that the request itself calls a style ("in the style of …")."""
    modifier: float = 0.72
    """For words in front of a noun or behind it, which mostly belong to the thing."""


@dataclass(frozen=True, slots=True)
class Match:
    """Words of a request and the term they were taken for.

    Attributes:
        request_words: The words, in lower case.
        term: The term.
        similarity: How near the two are (`TermIndex.similarities`), 1 for the same words.
    """

    request_words: str
    term: Term
    similarity: float

    @property
    def rank(self) -> tuple[float, int]:
        """How good it is: of equally near matches the one of more words ("hot dog" is no dog)."""
        return self.similarity, len(self.request_words.split())


@dataclass(frozen=True, slots=True)
class Understanding:
    """A request in the terms of an index.

    Attributes:
        subjects: Things asked for that some model knows, in the order of the request.
        places: Where they are.
        styles: How they are drawn, at most one for each network, the best match first.
        unknown: Phrases that no term is near to.
        best: For each model that knows subjects the subject nearest to the request, near or not.
    """

    subjects: tuple[Match, ...] = ()
    places: tuple[Match, ...] = ()
    styles: tuple[Match, ...] = ()
    unknown: tuple[str, ...] = ()
    best: Mapping[str, Match] = field(default_factory=dict)


def understand(request: str, index: TermIndex, thresholds: Thresholds | None = None) -> Understanding:
    """Match a request with the terms of an index.

    Each phrase is one thing: a style, a place, or a subject, whichever it is most clearly. The words in front of a
    subject may name a style as well ("pixelated wolf").
    """
    bounds = thresholds or Thresholds()
    phrases = [phrase for phrase in read_phrases(request) if not phrase.is_frame]
    index.prepare(_texts(phrases, bounds))
    found = _Found()
    number = 0
    while number < len(phrases):
        phrase, following = phrases[number], phrases[number + 1] if number + 1 < len(phrases) else None
        decision = _decide(phrase, following, index, bounds)
        found.add(phrase, decision)
        number += 2 if decision.joined else 1
        if following is not None and not decision.joined and _leads_to_thing(phrase, decision.role, following):
            phrases[number] = replace(following, role="thing")
    return found.result()


def _leads_to_thing(phrase: Phrase, role: TermRole | None, following: Phrase) -> bool:
    """Whether what follows is the thing: "a technical drawing of a rocket", "sunset over a mountain"."""
    if following.role == "style":
        return False
    return (role == "style" and following.cue == "of") or (role == "place" and phrase.cue in ("", ","))


@dataclass(frozen=True, slots=True)
class _Decision:
    """What a phrase is taken for, None for nothing known, and whether the next phrase went into it."""

    role: TermRole | None
    matches: tuple[Match, ...] = ()
    nearest: tuple[Match, ...] = ()
    joined: bool = False


class _Found:
    """Matches as they come in."""

    def __init__(self) -> None:
        self.by_role: dict[TermRole, list[Match]] = {"subject": [], "place": [], "style": []}
        self.unknown: list[str] = []
        self.best: dict[str, Match] = {}

    def add(self, phrase: Phrase, decision: _Decision) -> None:
        for match in decision.matches:
            self.by_role[match.term.role].append(match)
        if decision.role is None:
            self.unknown.append(phrase.text)
        for match in decision.nearest:
            known = self.best.get(match.term.spec_id)
            if known is None or match.rank > known.rank:
                self.best[match.term.spec_id] = match

    def result(self) -> Understanding:
        styles: dict[str, Match] = {}
        for match in sorted(self.by_role["style"], key=lambda match: -match.similarity):
            styles.setdefault(match.term.spec_id, match)
        return Understanding(
            subjects=tuple(self.by_role["subject"]),
            places=tuple(self.by_role["place"]),
            styles=tuple(styles.values()),
            unknown=tuple(self.unknown),
            best=self.best,
        )


def _decide(phrase: Phrase, following: Phrase | None, index: TermIndex, bounds: Thresholds) -> _Decision:
    options: list[tuple[float, _Decision]] = []

    def offer(matches: tuple[Match, ...], role: TermRole, bound: float, *, joined: bool = False) -> None:
        if matches and matches[0].similarity >= bound:
            clearness = (matches[0].similarity - bound) / (1.0 - bound)
            options.append((clearness, _Decision(role, matches, joined=joined)))

    phrase, backdrop = _cut_backdrop(phrase, index, bounds)
    phrase, ending = _cut_style(phrase, index, bounds)
    for role, bound, texts, more in _roles(phrase, following, bounds):
        alone = _nearest(texts, index, role)
        if not _is_bare_colour(phrase, alone):
            offer(alone, role, bound)
        if following and more:
            apart = max(_similarity(alone), _similarity(_nearest([following.text], index, role)))
            joined = _nearest(more, index, role)
            if _similarity(joined) > apart:
                offer(joined, role, bound, joined=True)
    nearest: tuple[Match, ...] = ()
    if phrase.role == "thing":
        nearest = _best_by_spec(_heads(phrase), index, "subject")
        offer(_ties(nearest), "subject", bounds.subject)
    _, decision = max(options, key=lambda option: option[0], default=(0.0, _Decision(None)))
    styles = _modifier_style(phrase, index, bounds) if decision.role != "style" else ()
    return replace(decision, matches=(*decision.matches, *styles, *ending, *backdrop), nearest=nearest)


def _roles(
    phrase: Phrase, following: Phrase | None, bounds: Thresholds
) -> Iterator[tuple[TermRole, float, list[str], list[str]]]:
    """What else a phrase may be: the role, its threshold, the texts to compare, and those with what follows."""
    if phrase.role == "detail":
        return
    joins = following is not None and following.cue.isalpha() and following.role != "thing"
    both = f"{phrase.text} {following.cue} {following.text}" if following and joins else ""
    leads = following is not None and following.cue == "of"
    more = [both] if both and not leads else []
    if phrase.role == "style":
        yield "style", bounds.said_style, [phrase.text, *phrase.runs], more
    elif phrase.cue in _STYLE_CUES:
        yield "style", bounds.style if phrase.cue or leads else bounds.modifier, [phrase.text], more
    if phrase.cue in _PLACE_CUES:
        cue = f"{phrase.cue} " if phrase.cue.isalpha() else ""
        joined = _wordings([cue + both]) if both else []
        yield "place", bounds.place, _wordings([phrase.text, cue + phrase.text]), joined


def _is_bare_colour(phrase: Phrase, matches: tuple[Match, ...]) -> bool:
    """Whether a place is only a colour that nothing says to be the background ("a black and white penguin")."""
    if not matches or phrase.cue not in ("", ","):
        return False
    return matches[0].term.phrase.endswith("background") and "background" not in matches[0].request_words


def _cut_style(phrase: Phrase, index: TermIndex, bounds: Thresholds) -> tuple[Phrase, tuple[Match, ...]]:
    """Take a style off the end of a phrase, behind a known thing or clearer than any ("pearl pixel art").

    Of several ends the clearest behind a known thing counts ("taxi *ink sketch*"); behind an unknown one the clearest.
    """
    found = [_nearest([run], index, "style") for run in (phrase.endings if phrase.role == "thing" else ())]
    near = sorted((one for one in found if _similarity(one) >= bounds.modifier), key=_similarity, reverse=True)
    for matches in near:
        rest = phrase.without_ending(matches[0].request_words)
        if _as_thing(rest, index) >= bounds.subject:
            return rest, matches
    if near and _similarity(near[0]) >= _as_thing(phrase, index):
        return phrase.without_ending(near[0][0].request_words), near[0]
    return phrase, ()


def _cut_backdrop(phrase: Phrase, index: TermIndex, bounds: Thresholds) -> tuple[Phrase, tuple[Match, ...]]:
    """Take off the end of a phrase what it calls a background ("frog white background").

    Of several ends the longest behind a known thing counts; behind an unknown one the most like a known background.
    """
    best: tuple[Phrase, tuple[Match, ...]] = phrase, ()
    for run in phrase.backdrops if phrase.role == "thing" else ():
        rest, matches = phrase.without_ending(run), _nearest(_wordings([run]), index, "place")
        near = matches if _similarity(matches) >= bounds.place else ()
        if _as_thing(rest, index) >= bounds.subject:
            return rest, near
        if _similarity(near) > _similarity(best[1]):
            best = rest, near
    return best


def _texts(phrases: Sequence[Phrase], bounds: Thresholds) -> Iterator[tuple[str, TermRole]]:
    """Everything that phrases will be compared by."""
    for phrase, following in zip(phrases, [*phrases[1:], None], strict=False):
        yield from ((text, "subject") for text in _heads(phrase))
        for ending in phrase.endings:
            yield from ((text, "subject") for text in _heads(phrase.without_ending(ending)))
        yield from ((text, "place") for text in _wordings(list(phrase.backdrops)))
        yield from ((text, "style") for text in (phrase.text, *phrase.modifiers, *phrase.endings))
        for role, _, texts, more in _roles(phrase, following, bounds):
            yield from ((text, role) for text in (phrase.text, *texts, *more))


def _heads(phrase: Phrase) -> tuple[str, ...]:
    """What may name the thing; the end of a compound noun does not ("rowing *boat*", "easter *egg*")."""
    heads = phrase.heads
    compound = next((run for run in heads if phrase.text.endswith(run) and shipped_lexicon().is_compound(run)), None)
    return heads if compound is None else tuple(run for run in heads if not compound.endswith(f" {run}"))


def _as_thing(phrase: Phrase, index: TermIndex) -> float:
    """How near a phrase is to the nearest thing that a model knows."""
    return _similarity(_nearest(_heads(phrase), index, "subject"))


def _modifier_style(phrase: Phrase, index: TermIndex, bounds: Thresholds) -> tuple[Match, ...]:
    matches = _nearest(phrase.modifiers, index, "style") if phrase.role != "detail" else ()
    return matches if _similarity(matches) >= bounds.modifier else ()


def _wordings(texts: list[str]) -> list[str]:
    """The texts, and once more with the plainest word for a background."""
    return texts + [text.replace(word, "background") for word in ("backdrop", "wall") for text in texts if word in text]


def _similarity(matches: Sequence[Match]) -> float:
    return matches[0].similarity if matches else 0.0


def _nearest(texts: Sequence[str], index: TermIndex, role: TermRole) -> tuple[Match, ...]:
    """The best pair of a text and a term of a role, and those of other models that are just as good."""
    return _ties(_best_by_spec(texts, index, role))


def _ties(matches: Sequence[Match]) -> tuple[Match, ...]:
    best = max((match.rank for match in matches), default=None)
    return tuple(match for match in matches if match.rank == best)


def _best_by_spec(texts: Sequence[str], index: TermIndex, role: TermRole) -> tuple[Match, ...]:
    """For each model its best pair of a text and a term of a role; of equals the first text and the first term."""
    if not texts:
        return ()
    cosines = index.similarities(texts, role)
    rows = cosines.argmax(axis=0)
    best: dict[str, Match] = {}
    for number in np.flatnonzero(index.rows(role)):
        term, row = index.terms[number], int(rows[number])
        match = Match(texts[row], term, float(cosines[row, number]))
        if term.spec_id not in best or match.rank > best[term.spec_id].rank:
            best[term.spec_id] = match
    return tuple(best.values())
