"""LangChain's own integration tests of a chat model, for `ChatDiffAgent` on a real vLLM with the pocket planner."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests

from diffagent_tools.chat_models.diffagent import ChatDiffAgent

pytestmark = [
    pytest.mark.slow,
    pytest.mark.vllm,
    pytest.mark.usefixtures("served_here"),
    pytest.mark.asyncio(loop_scope="class"),
]


class TestServedPlanner(ChatModelIntegrationTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatDiffAgent

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"max_tokens": 256}
