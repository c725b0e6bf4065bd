from __future__ import annotations

import pytest

from graphs import faults


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The retry policies of the drawing node without their waits."""
    quick = tuple(policy._replace(initial_interval=0.0, jitter=False) for policy in faults.RETRIES)
    monkeypatch.setattr("graphs.agent.RETRIES", quick)
