from __future__ import annotations

from pathlib import Path

import pytest

from diffagent_tools.chat_models.decoding import Decoder
from diffagent_tools.chat_models.local import LocalChatDiffAgent


@pytest.fixture(scope="session")
def untaught(tiny_planner: Path) -> LocalChatDiffAgent:
    """A planner in process that has learned nothing."""
    return LocalChatDiffAgent(folder=tiny_planner, device="cpu", max_tokens=640)


@pytest.fixture(scope="session")
def decoder(untaught: LocalChatDiffAgent) -> Decoder:
    """Its model."""
    return untaught.decoder
