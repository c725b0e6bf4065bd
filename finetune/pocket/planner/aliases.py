"""Lessons in other words: what a lesson quotes from specs and from the request, put into words that are beside it.

A planner that has seen the same few hundred words again and again writes them from memory, and gets a word wrong that
it has never seen. In a lesson with aliases nothing helps but to read which word a model knows for what is asked, and to
copy it: a word that means nothing, or one that means something else.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain

import numpy as np

from finetune.pocket.planner.requests import seen_phrases
from finetune.pocket.planner.words import SYNONYMS, UNKNOWN
from finetune.pocket.world import COLOURS, SCENES, all_subjects

_REASON = re.compile(r"(knows|nearest word:) '([^\n]+?)'(?: for '([^\n]+?)' \((\d\.\d\d)\)|(?=[.;]))")
_TRIGGER = re.compile(r"triggered by '([^\n]+?)'")
_BACKDROP = re.compile(
    r"(?:(?:in front of|on|over|against|with) )?(?:plain (?=\w+ ))?(.+?)(?: (?:background|backdrop|wall))?"
)
_PLACES = frozenset(word for phrase in (*COLOURS, *SCENES, *SCENES.values(), "background") for word in phrase.split())
_STARTS = (
    "b", "bl", "c", "ch", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "l", "m", "n", "p", "qu", "r", "s", "sc",
    "sh", "sp", "st", "t", "th", "tr", "v", "w", "z", "",
)  # fmt: skip
_VOWELS = ("a", "e", "i", "o", "u", "ea", "oo", "ai", "y", "ie")
_ENDS = ("", "", "", "b", "ck", "d", "ff", "g", "l", "ll", "m", "n", "ng", "nt", "p", "r", "rd", "s", "sk", "t", "x")
_SAID = [
    phrase
    for phrase in seen_phrases(chain(all_subjects(), UNKNOWN, *SYNONYMS.values()))
    if len(phrase.split()) < 3 and phrase.replace(" ", "").isalpha()
]
MEANING = 0.5
"""Share of the aliases that are words of other things."""
TWO_WORDS = 0.15
"""Share of the other aliases that are two words."""
ANOTHER_WORD = 0.5
"""Share of the phrases that have one alias where they are asked for and another where the model knows them, and of the
trigger words that are no longer what their network is known for."""


def with_aliases(row: dict[str, str], rng: np.random.Generator) -> dict[str, str]:
    """A rendered lesson with an alias for each word that a spec knows, that a request asks for, or that triggers.

    Args:
        row: `id`, `prompt` and `completion`, in the words of the pocket planner's chat template.
        rng: Where chance comes from.
    """
    prompt, (completion,) = in_other_words(row["prompt"], [row["completion"]], rng)
    return row | {"prompt": prompt, "completion": completion}


def in_other_words(
    prompt: str,
    completions: Sequence[str],
    rng: np.random.Generator,
    *,
    apart: float = ANOTHER_WORD,
    colours: bool = False,
    noise: float = 0.0,
) -> tuple[str, list[str]]:
    """A rendered prompt and its completions with an alias for each word that is known, asked for, or triggers.

    A phrase has one alias where it is asked for, one where a model knows it, and one as a trigger word; they may be the
    same. Scenes keep their words, and those that they are asked for by; so does everything that is not quoted as a
    reason to offer a model.

    Args:
        prompt: In the words of the pocket planner's chat template.
        completions: Calls and refusals; all of them get the same aliases.
        rng: Where chance comes from.
        apart: Share of the phrases whose aliases differ.
        colours: Whether backgrounds of one colour get aliases too.
        noise: Share of the request's other words, which no model is offered for, that are replaced by ones that mean
            nothing: how somebody asks is not what they ask for.
    """
    offer, user, rest = prompt.partition("<|user|>")
    request, assistant, attempts = rest.partition("<|assistant|>")
    reasons = _REASON.findall(offer)
    plain = {colour: said for colour, said in _backgrounds(reasons) if _is_in(request, said)} if colours else {}
    known = {phrase: _alias(rng) for _, phrase, _, _ in reasons if _replaceable(phrase)}
    known |= {colour: _alias(rng) for colour in plain}
    asked = {
        said: _another(known.get(said), rng, apart)
        for _, phrase, wanted, _ in reasons
        if _replaceable(phrase) and _replaceable(said := wanted or phrase)
    }
    asked |= {said: _another(known[colour], rng, apart) for colour, said in plain.items()}
    triggers = {
        phrase: _another(known.get(phrase), rng, apart) for phrase in _TRIGGER.findall(offer) if _replaceable(phrase)
    }

    def reason(found: re.Match[str]) -> str:
        word, said = _put(found[2], known, plain), _put(found[3] or found[2], asked, plain.values())
        score = found[4] or f"0.{rng.integers(72, 100)}"
        return f"{found[1]} '{word}'" + (f" for '{said}' ({score})" if found[3] or said != word else "")

    offer = _REASON.sub(reason, offer)
    offer = _TRIGGER.sub(lambda found: f"triggered by '{triggers.get(found[1], found[1])}'", offer)
    written = asked | known | triggers
    quoted = {said for _, phrase, wanted, _ in reasons for said in (wanted or phrase, _colour(wanted or phrase))}
    request = _replaced(_noisy(request, quoted, rng, noise), asked)
    told = f"{offer}{user}{request}{assistant}{_replaced(attempts, written)}"
    return told, [_replaced(text, written) if "<tool_call>" in text else text for text in completions]


def _put(phrase: str, aliases: Mapping[str, str], colours: Collection[str]) -> str:
    """The alias of a quoted phrase, or the phrase with that of its colour."""
    colour = _colour(phrase)
    return phrase.replace(colour, aliases[colour], 1) if colour in colours else aliases.get(phrase, phrase)


def _backgrounds(reasons: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    """The colours of backgrounds that models know, with what they are asked for by."""
    for _, phrase, wanted, _ in reasons:
        if phrase.endswith(" background") and (colour := _colour(phrase)) in COLOURS:
            yield colour, _colour(wanted) if wanted else colour


def _colour(phrase: str) -> str:
    """What a background is called without what says that it is one ("royal blue" of "on royal blue backdrop")."""
    found = _BACKDROP.fullmatch(phrase)
    return found[1] if found else phrase


def _is_in(text: str, phrase: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", text) is not None


def _replaceable(phrase: str) -> bool:
    return not _PLACES & set(phrase.split())


def _another(alias: str | None, rng: np.random.Generator, apart: float) -> str:
    """The same alias, or one of its own."""
    return _alias(rng) if alias is None or rng.random() < apart else alias


def _replaced(text: str, aliases: Mapping[str, str]) -> str:
    """A text with its phrases replaced, longer ones first; the names of arguments stay as they are."""
    if not aliases:
        return text
    phrases = "|".join(re.escape(phrase) for phrase in sorted(aliases, key=len, reverse=True))
    return _articles(re.sub(rf"(?<!\w)({phrases})(?!\w|\": )", lambda found: aliases[found[0]], text))


def _noisy(text: str, kept: Collection[str], rng: np.random.Generator, share: float) -> str:
    """A text with some of its words replaced by ones that mean nothing, but for the phrases to keep."""
    if not share:
        return text
    phrases = "|".join(re.escape(phrase) for phrase in sorted(kept, key=len, reverse=True))
    words = re.compile(rf"(?<!\w)({phrases})(?!\w)|[a-z]{{3,}}" if phrases else "()[a-z]{3,}")
    return words.sub(lambda found: found[0] if found[1] or rng.random() >= share else _word(rng), text)


def _articles(text: str) -> str:
    """A text with "a" before consonants and "an" before vowels."""
    return re.sub(r"\b([Aa])n? (?=([a-z]))", lambda found: found[1] + ("n " if found[2] in "aeiou" else " "), text)


def _alias(rng: np.random.Generator) -> str:
    if rng.random() < MEANING:
        return _SAID[int(rng.integers(len(_SAID)))]
    return " ".join(_word(rng) for _ in range(2 if rng.random() < TWO_WORDS else 1))


def _word(rng: np.random.Generator) -> str:
    parts = (_STARTS, _VOWELS, _ENDS) * int(rng.integers(1, 3))
    return "".join(str(part[int(rng.integers(len(part)))]) for part in parts)
