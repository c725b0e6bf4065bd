"""How often search is wrong: thresholds were chosen on one half of the requests, the other shows what to expect."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tool_specs.search.shortlist import Shortlister
from tool_specs.search.vocabulary import ClosedVocabulary

REQUESTS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("requests.json").read_text(encoding="utf-8"))
HALVES = ("tuning", "held-out")
MINT = 9021


@dataclass(frozen=True)
class Report:
    """What went wrong in one half, as fractions of the requests it could go wrong for."""

    missed: float
    false_alarms: float
    wrong_checkpoint: float
    wrong_subject: float
    wrong_networks: float
    wrong_prompt_place: float
    failures: tuple[str, ...]


def faults_of(shortlister: Shortlister, request: dict[str, Any]) -> list[str]:
    """The kinds of fault that search makes of one request."""
    shortlist = shortlister.shortlist(request["text"])
    if shortlist.fits != request["fits"]:
        return ["false alarm" if shortlist.fits else "missed"]
    if not request["fits"]:
        return []
    faults = []
    best = shortlist.hits[0]
    if best.spec.model_id != request["checkpoint"]:
        faults.append("checkpoint")
    if best.matched[0].term.phrase not in request["subject"].split("|"):
        faults.append("subject")
    asked = [hit.spec for hit in shortlist.networks if hit.matched]
    if sorted(spec.model_id for spec in asked) != sorted(request["networks"]):
        faults.append("networks")
    place = "mintcolor background" if MINT in request["networks"] else request["background"]
    prompt = ClosedVocabulary.of(best.spec, asked, shortlister.embedder).translate(request["text"]).text
    if not faults and (place or "") not in prompt:
        faults.append("place")
    return faults


def report_on(shortlister: Shortlister, half: str) -> Report:
    """Count the faults in one half."""
    requests = [request for request in REQUESTS if request["half"] == half]
    found = [(request, fault) for request in requests for fault in faults_of(shortlister, request)]
    counts = Counter(fault for _, fault in found)
    drawable = sum(request["fits"] for request in requests)
    return Report(
        missed=counts["missed"] / drawable,
        false_alarms=counts["false alarm"] / (len(requests) - drawable),
        wrong_checkpoint=counts["checkpoint"] / drawable,
        wrong_subject=counts["subject"] / drawable,
        wrong_networks=counts["networks"] / drawable,
        wrong_prompt_place=counts["place"] / drawable,
        failures=tuple(f"{fault}: {request['text']}" for request, fault in found),
    )


def test_both_halves_are_large_and_share_no_request() -> None:
    texts = [request["text"] for request in REQUESTS]
    assert len(set(texts)) == len(texts) >= 120
    for half in HALVES:
        fits = [request["fits"] for request in REQUESTS if request["half"] == half]
        assert sum(fits) >= 40
        assert len(fits) - sum(fits) >= 25


@pytest.mark.parametrize("half", HALVES)
def test_search_is_seldom_wrong(shortlister: Shortlister, half: str) -> None:
    report = report_on(shortlister, half)
    print(f"\n{half}: {report}")  # noqa: T201 - shown by `pytest -s`
    assert report.false_alarms <= 0.10, report.failures
    assert report.missed <= 0.20, report.failures
    assert report.wrong_checkpoint <= 0.05, report.failures
    assert report.wrong_subject <= 0.08, report.failures
    assert report.wrong_networks <= 0.08, report.failures
    assert report.wrong_prompt_place <= 0.05, report.failures
