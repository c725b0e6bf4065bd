"""LangChain's own integration tests of a chat model, for `ChatDiffAgent` on a real vLLM with the pocket planner."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests

from diffagent_tools.chat_models.diffagent import ChatDiffAgent

pytestmark = [
    pytest.mark.slow,
    pytest.mark.vllm,
    pytest.mark.usefixtures("served_here"),
    # One event loop for all: `langchain_openai` keeps connections, which do not outlive the loop they came from.
    pytest.mark.asyncio(loop_scope="class"),
    pytest.mark.filterwarnings("ignore:The test .* is marked with '@pytest.mark.asyncio'"),
]


# What these ask of the class itself is proved with a capable model in
# `tests/diffagent_tools/chat_models/test_diffagent_served_standard.py`. They are not strict: which of them the pocket
# planner happens to pass is another with every training. What a wrong or endless answer ends in is named: a client or
# server that fails is none of it.
WITHOUT_ARGUMENTS = (
    "the pocket planner has not learned to find arguments of tools that do not draw, as the 3 of magic_function(3)"
)
WITHOUT_CALL = (
    "free to choose, the pocket planner declines what is no picture, as it was trained to: it does not ask the weather"
)
TOO_LONG = (
    "a string without maxLength ends where the model ends it, and the pocket planner, asked for no prompt, may write "
    "on until max_tokens: then the call or the JSON is half"
)

CANNOT_COPY, DECLINES = (
    pytest.mark.xfail(reason=reason, raises=AssertionError) for reason in (WITHOUT_ARGUMENTS, WITHOUT_CALL)
)
RUNS_ON = pytest.mark.xfail(
    reason=TOO_LONG, raises=(AssertionError, OutputParserException, openai.LengthFinishReasonError)
)


class TestServedPlanner(ChatModelIntegrationTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatDiffAgent

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"max_tokens": 256}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "diffagent"

    @CANNOT_COPY
    def test_tool_calling(self, model: BaseChatModel) -> None:
        super().test_tool_calling(model)

    @CANNOT_COPY
    async def test_tool_calling_async(self, model: BaseChatModel) -> None:
        await super().test_tool_calling_async(model)

    @CANNOT_COPY
    def test_unicode_tool_call_integration(self, model: BaseChatModel) -> None:
        super().test_unicode_tool_call_integration(model)

    @RUNS_ON
    def test_tool_choice(self, model: BaseChatModel) -> None:
        super().test_tool_choice(model)

    @RUNS_ON
    def test_bind_runnables_as_tools(self, model: BaseChatModel) -> None:
        super().test_bind_runnables_as_tools(model)

    @RUNS_ON
    @pytest.mark.parametrize("schema_type", ["pydantic", "typeddict", "json_schema"])
    def test_structured_output(self, model: BaseChatModel, schema_type: str) -> None:
        super().test_structured_output(model, schema_type)

    @RUNS_ON
    @pytest.mark.parametrize("schema_type", ["pydantic", "typeddict", "json_schema"])
    async def test_structured_output_async(self, model: BaseChatModel, schema_type: str) -> None:
        await super().test_structured_output_async(model, schema_type)

    @RUNS_ON
    def test_structured_output_optional_param(self, model: BaseChatModel) -> None:
        super().test_structured_output_optional_param(model)

    @RUNS_ON
    def test_json_mode(self, model: BaseChatModel) -> None:
        super().test_json_mode(model)

    @DECLINES
    def test_agent_loop(self, model: BaseChatModel) -> None:
        super().test_agent_loop(model)

    @RUNS_ON
    def test_structured_output_pydantic_2_v1(self, model: BaseChatModel) -> None:
        super().test_structured_output_pydantic_2_v1(model)
