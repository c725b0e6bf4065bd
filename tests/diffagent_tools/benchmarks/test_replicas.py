from __future__ import annotations

import pytest

from diffagent_tools.benchmarks.replicas import Solo, capacity, mixed_calls


def test_capacity() -> None:
    solo = Solo(draw=2.0, load=10.0)
    assert capacity(4, solo, hit_rate=1.0) == 2.0
    assert capacity(4, solo, hit_rate=0.8) == pytest.approx(1.0)


def test_calls_are_mixed() -> None:
    calls = mixed_calls(40, steps=2)
    assert len(set(calls)) == 40
    assert len({call.checkpoint for call in calls[:10]}) > 2
