from __future__ import annotations

import itertools
import json

import numpy as np

from diffagent_tools.benchmarks.shortlist.fitting import TEXTS
from finetune.ranking.calibrate import MISSES, calibrated


def test_what_tells_requests_apart_is_found_and_few_are_missed() -> None:
    chance = np.random.default_rng(0)
    leads = chance.uniform(0, 8, (4000, 2))
    rarity = 3 + 0.5 * leads[:, 0] + chance.normal(0, 0.2, 4000)
    shift = np.repeat([-1.5, 1.5], 2000)  # requests have more usual words than their lead allows, the others rarer ones
    signs = np.column_stack([rarity + shift, leads])

    ordinary, per_checkpoint, per_network = calibrated([signs[:1000], signs[1000:2000]], signs[2000:])

    assert abs(per_checkpoint - 0.5) < 0.1
    assert abs(per_network) < 0.1
    fits = signs[:, 0] <= ordinary + per_checkpoint * signs[:, 1] + per_network * signs[:, 2]
    assert abs((~fits[:2000]).mean() - MISSES) < 0.005
    assert fits[2000:].mean() < 0.01


def test_texts_are_there_once_and_every_kind_is_in_both_halves() -> None:
    plain = json.loads((TEXTS / "plain_requests.json").read_text(encoding="utf-8"))
    others = json.loads((TEXTS / "no_requests.json").read_text(encoding="utf-8"))
    texts = [*plain, *itertools.chain.from_iterable(others.values())]

    assert len(plain) >= 60
    assert len(texts) - len(plain) >= 150
    assert len(set(texts)) == len(texts)
    assert all(len(group) >= 2 for group in others.values())
