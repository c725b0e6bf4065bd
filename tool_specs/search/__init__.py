"""Search: from a request in plain words to the few specs worth offering, and why."""

from __future__ import annotations

from tool_specs.rules import Rules
from tool_specs.search.embedder import Embedder
from tool_specs.search.matching import Match, Thresholds
from tool_specs.search.shortlist import Hit, Shortlist, Shortlister
from tool_specs.search.vocabulary import ClosedVocabulary, Translation

__all__ = [
    "ClosedVocabulary",
    "Embedder",
    "Hit",
    "Match",
    "Rules",
    "Shortlist",
    "Shortlister",
    "Thresholds",
    "Translation",
]
