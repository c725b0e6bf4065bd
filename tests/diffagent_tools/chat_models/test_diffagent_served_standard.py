"""LangChain's own integration tests of a chat model, for `ChatDiffAgent` and a server that answers as a capable model.

They prove the class; `tests/diffagent_tools/serving` has the same ones with the pocket planner on a real vLLM.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests

from diffagent_tools.chat_models.diffagent import ChatDiffAgent
from tests.diffagent_tools.chat_models.capable_model import reply_to
from tests.diffagent_tools.chat_models.chat_server import ChatServer, serving

pytestmark = [
    pytest.mark.usefixtures("server"),
    # One event loop for all: `langchain_openai` keeps connections, which do not outlive the loop they came from.
    pytest.mark.asyncio(loop_scope="class"),
    pytest.mark.filterwarnings("ignore:The test .* is marked with '@pytest.mark.asyncio'"),
]


@pytest.fixture(scope="module")
def capable() -> Iterator[ChatServer]:
    with serving() as state:
        state.reply = reply_to
        yield state


@pytest.fixture
def server(capable: ChatServer, monkeypatch: pytest.MonkeyPatch) -> ChatServer:
    """The server, named by the environment."""
    monkeypatch.setenv("DIFFAGENT_BASE_URL", capable.url)
    capable.asked.clear()
    return capable


class TestServed(ChatModelIntegrationTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatDiffAgent

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "diffagent"


class TestServedInPieces(TestServed):
    """Calls are streamed as well."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"disable_streaming": False}

    def test_calls_do_come_in_pieces(self, model: BaseChatModel, server: ChatServer) -> None:
        self.test_tool_calling(model)
        assert [request.get("stream") for request in server.asked] == [False, True]
