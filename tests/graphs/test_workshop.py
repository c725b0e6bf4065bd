from __future__ import annotations

import pytest

from diffagent_tools.backends import QueuedBackend, RayBackend
from diffagent_tools.chat_models.diffagent import ChatDiffAgent
from diffagent_tools.chat_models.local import LocalChatDiffAgent
from diffagent_tools.chat_models.retrieval import RetrievalChatModel
from graphs.workshop import Workshop


def test_who_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DIFFAGENT_BASE_URL", raising=False)
    assert isinstance(Workshop().planner, LocalChatDiffAgent)
    assert isinstance(Workshop("retrieval").planner, RetrievalChatModel)

    monkeypatch.setenv("DIFFAGENT_BASE_URL", "http://127.0.0.1:9/v1")
    served = Workshop().planner
    assert isinstance(served, ChatDiffAgent)
    assert served.openai_api_base == "http://127.0.0.1:9/v1"
    assert isinstance(Workshop("pocket").planner, LocalChatDiffAgent)


def test_what_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DIFFAGENT_RAY_ADDRESS", raising=False)
    assert isinstance(Workshop().backend, QueuedBackend)

    monkeypatch.setenv("DIFFAGENT_RAY_ADDRESS", "auto")
    assert isinstance(Workshop().backend, RayBackend)
