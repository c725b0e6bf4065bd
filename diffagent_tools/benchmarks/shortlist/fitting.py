"""How often "nothing fits" is the wrong answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from diffagent_tools.benchmarks.shortlist.splits import Task
from tool_specs.ranking.documents import CHECKPOINT, NETWORK
from tool_specs.ranking.features import Request
from tool_specs.ranking.ranking import rank
from tool_specs.search.ranked import RankedShortlister, suits

TEXTS: Final = Path(__file__).resolve().parent
"""Where the texts are that the answer was calibrated on, every first of two, and is measured on, every second."""
BLOCK: Final = 64


@dataclass(frozen=True, slots=True)
class Verdicts:
    """How many texts of a kind are said to fit.

    Attributes:
        title: What the texts are.
        fit: Whether they ought to.
        right: The share that is judged right.
        texts: How many there are.
    """

    title: str
    fit: bool
    right: float
    texts: int


def verdicts(shortlister: RankedShortlister, tasks: Sequence[Task]) -> list[Verdicts]:
    """Judge the requests of the splits, short plain requests, and texts that ask for no picture."""
    requests: dict[str, dict[str, None]] = {}
    for task in tasks:
        requests.setdefault(f"requests of {task.split}", {}).update(dict.fromkeys(one.text for one in task.asked))
    plain: list[str] = json.loads((TEXTS / "plain_requests.json").read_text(encoding="utf-8"))
    others: Mapping[str, list[str]] = json.loads((TEXTS / "no_requests.json").read_text(encoding="utf-8"))
    judged = [(title, True, list(texts)) for title, texts in requests.items()]
    judged.append(("short plain requests", True, plain[1::2]))
    judged.append(("texts that ask for no picture", False, [one for texts in others.values() for one in texts[1::2]]))
    found = []
    for title, fit, texts in judged:
        right = sum(answer == fit for answer in fits(shortlister, texts))
        found.append(Verdicts(title, fit, right / len(texts), len(texts)))
    return found


def fits(shortlister: RankedShortlister, texts: Sequence[str]) -> list[bool]:
    """Whether each text fits."""
    view, weights = shortlister.index.view(), shortlister.index.weights
    offered = shortlister.offered(view)
    choices = [(view.kind == CHECKPOINT) & offered, (view.kind == NETWORK) & offered]
    answers = []
    for start in range(0, len(texts), BLOCK):
        requests = Request.read(texts[start : start + BLOCK], weights.encoder)
        answers += [suits(view, *rankings) for rankings in rank(view, weights.scorer, requests, choices)]
    return answers
