"""LangChain's own tests of a chat model, for `ChatDiffAgent` without a server."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_tests.unit_tests import ChatModelUnitTests

from diffagent_tools.chat_models.diffagent import ChatDiffAgent


class TestChatDiffAgent(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatDiffAgent

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"base_url": "http://127.0.0.1:8000/v1", "api_key": "a-key"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return (
            {"DIFFAGENT_BASE_URL": "http://127.0.0.1:8001/v1", "DIFFAGENT_API_KEY": "a-key"},
            {},
            {"openai_api_base": "http://127.0.0.1:8001/v1", "openai_api_key": "a-key"},
        )
