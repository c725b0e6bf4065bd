"""The chat model for a planner on vLLM, usable wherever `ChatOpenAI` is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput, ModelProfile
from langchain_core.language_models.chat_models import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from pydantic import Field, SecretStr, field_validator, model_validator

from diffagent_tools.chat_models.answers import (
    StreamedCalls,
    keep_reasoning,
    part,
    read_calls,
    taken_calls,
    without_half_calls,
)
from diffagent_tools.chat_models.reaching import naming_the_server
from diffagent_tools.chat_models.streams import ChunkStreaming
from diffagent_tools.chat_models.tool_choice import PROVIDER, may_call, pinned
from diffagent_tools.serving.endpoint import (
    API_KEY_VARIABLE,
    DEFAULT_BASE_URL,
    SERVED_NAME,
    chosen_api_key,
    chosen_base_url,
    without_credentials,
)
from tool_specs.exceptions import ConfigError

try:
    import openai
    from langchain_openai.chat_models.base import BaseChatOpenAI
except ModuleNotFoundError as error:
    _MISSING = f"{error.name} not installed; ChatDiffAgent needs it: pip install 'diffagent-tools[vllm]'"
    raise ConfigError(_MISSING) from error

if TYPE_CHECKING:
    from pathlib import Path

    from diffagent_tools.chat_models.local import LocalChatDiffAgent

NO_KEY = "none"
"""What is sent to a server that asks for no key; the `openai` client refuses to send nothing."""


class ChatDiffAgent(ChunkStreaming, BaseChatOpenAI):
    """A planner served by vLLM, or by another server with OpenAI's chat interface.

    Differences from `ChatOpenAI`: tools are strict unless said otherwise, so that vLLM pins the arguments to the
    schema as it is (OpenAI's own server refuses that: see `bind_tools`); a call that is cut off is never taken for a
    whole one; what the model thought is kept. Answers with tools bound are not streamed
    (`disable_streaming="tool_calling"`), since half a call is worth nothing.

    Setup: `make vllm` serves the pocket planner. `DIFFAGENT_BASE_URL` names another server, `DIFFAGENT_API_KEY` its
    key.

    ```python
    planner = ChatDiffAgent()  # http://127.0.0.1:8000/v1
    planner.bind_tools(tools_for(shortlist, backend, store)).invoke("a kitten, 8-bit").tool_calls
    graph = create_diffagent(planner=planner, ...)
    ```
    """

    model_name: str = Field(default=SERVED_NAME, alias="model")
    """What the model, or a LoRA adapter beside it, is called on the server."""
    openai_api_key: SecretStr = Field(
        default_factory=lambda: SecretStr(chosen_api_key() or NO_KEY), alias="api_key", validate_default=True
    )
    """Default: the environment variable `DIFFAGENT_API_KEY`; a server on this machine usually asks for none."""
    openai_api_base: str = Field(
        default_factory=lambda: chosen_base_url() or DEFAULT_BASE_URL, alias="base_url", validate_default=True
    )
    """Where the server answers, with `/v1`. Default: the environment variable `DIFFAGENT_BASE_URL`. No password."""
    temperature: float | None = 0.0
    """A call is written, not invented: the likeliest one."""
    stream_usage: bool | None = True
    """vLLM counts the tokens of a stream."""
    disable_streaming: bool | Literal["tool_calling"] = "tool_calling"
    """With `False`, a stream with tools ends in a `CallError` when its calls, or it itself, are not whole."""
    use_responses_api: bool | None = False

    @field_validator("openai_api_key", mode="before")
    @classmethod
    def _never_of_openai(cls, value: object) -> object:
        """Without a key of its own the base class would send the one of `OPENAI_API_KEY` to this server."""
        return SecretStr(NO_KEY) if value is None else value

    @field_validator("openai_api_base")
    @classmethod
    def _without_password(cls, url: str) -> str:
        """Refuse what would stand in every trace and every `repr`."""
        if (bare := without_credentials(url)) != url:
            msg = f"the address {bare!r} came with a user name or password; leave it out and set {API_KEY_VARIABLE}"
            raise ConfigError(msg)
        return url

    @model_validator(mode="after")
    def validate_environment(self) -> Self:
        """Make the clients, and forget the organisation and project that `OPENAI_…` variables name: they are theirs."""
        given = self.openai_organization
        super().validate_environment()  # type: ignore[operator]
        self.openai_organization = given
        for client in (self.root_client, self.root_async_client):
            if client is not None:
                client.organization, client.project = given, None
        return self

    @classmethod
    def local(cls, folder: Path | None = None, **settings: Any) -> LocalChatDiffAgent:
        """The planner in this process, behind the same interface, for where there is no server.

        Args:
            folder: Of the model. Default: where the pocket planner belongs.
            settings: Fields of `LocalChatDiffAgent`.
        """
        from diffagent_tools.chat_models.local import LocalChatDiffAgent

        return LocalChatDiffAgent(**settings) if folder is None else LocalChatDiffAgent(folder=folder, **settings)

    @property
    def _llm_type(self) -> str:
        return "chat-diffagent"

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The field that LangChain must not write down, and the variable it is read from."""
        return {"openai_api_key": API_KEY_VARIABLE}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = PROVIDER
        return params

    def _resolve_model_profile(self) -> ModelProfile:
        return ModelProfile(
            text_inputs=True,
            image_inputs=False,
            image_url_inputs=False,
            pdf_inputs=False,
            audio_inputs=False,
            video_inputs=False,
            image_tool_message=False,
            pdf_tool_message=False,
            text_outputs=True,
            image_outputs=False,
            audio_outputs=False,
            video_outputs=False,
            tool_calling=True,
            tool_choice=True,
            tool_call_streaming=False,
            structured_output=True,
        )

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: dict[str, Any] | str | bool | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools.

        Args:
            tools: Anything that LangChain can describe as an OpenAI tool.
            tool_choice: "any" or "required": one must be called. A name: that one. "none": none.
            strict: Default: the schemas as they are, pinned by the server, as vLLM does. True: OpenAI's strict form of
                them, where every argument must be given. False: not pinned, for any server.
            kwargs: `parallel_tool_calls` and `response_format` as for `ChatOpenAI`; others are passed on.
        """
        bound = tools if strict is not None else [pinned(tool) for tool in tools]
        return super().bind_tools(bound, tool_choice=tool_choice, strict=strict, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type | None = None,
        *,
        method: Literal["function_calling", "json_mode", "json_schema"] = "json_schema",
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Answers in a form, as for `ChatOpenAI`: the server's structured decoding allows nothing else."""
        return super().with_structured_output(schema, method=method, **kwargs)

    def _create_chat_result(
        self, response: dict[str, Any] | openai.BaseModel, generation_info: dict[str, Any] | None = None
    ) -> ChatResult:
        choices = part(response, "choices") or []
        calls = [taken_calls(part(choice, "message")) for choice in choices]
        result = super()._create_chat_result(response, generation_info)
        for generation, choice, given in zip(result.generations, choices, calls, strict=True):
            message = cast("AIMessage", generation.message)
            read = read_calls(given, finish_reason=part(choice, "finish_reason"))
            message.tool_calls, message.invalid_tool_calls = read.whole, read.broken
            keep_reasoning(message, part(choice, "message"))
            message.response_metadata["model_provider"] = PROVIDER
        if result.llm_output:
            result.llm_output["model_provider"] = PROVIDER
        return result

    def _convert_chunk_to_generation_chunk(
        self, chunk: dict[str, Any], default_chunk_class: type, base_generation_info: dict[str, Any] | None
    ) -> ChatGenerationChunk | None:
        made = super()._convert_chunk_to_generation_chunk(chunk, default_chunk_class, base_generation_info)
        choices = chunk.get("choices") or chunk.get("chunk", {}).get("choices")
        if made is not None and choices and isinstance(made.message, AIMessageChunk):
            keep_reasoning(made.message, choices[0]["delta"])
            made.message.response_metadata["model_provider"] = PROVIDER
        return made

    def _get_generation_chunk_from_completion(self, completion: openai.BaseModel) -> ChatGenerationChunk:
        """The last piece of a stream in a form; what the model thought was in the pieces before."""
        made = super()._get_generation_chunk_from_completion(completion)
        made.message.additional_kwargs.pop("reasoning_content", None)
        return made

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with naming_the_server(self.openai_api_base):
            result = super()._generate(messages, stop, run_manager, **kwargs)
        return without_half_calls(result) if kwargs.get("tools") else result

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with naming_the_server(self.openai_api_base):
            result = await super()._agenerate(messages, stop, run_manager, **kwargs)
        return without_half_calls(result) if kwargs.get("tools") else result

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        calls = StreamedCalls()
        with naming_the_server(self.openai_api_base):
            for chunk in super()._stream(messages, stop, run_manager, **kwargs):
                calls.add(chunk)
                yield chunk
        calls.check(may_call=may_call(kwargs))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        calls = StreamedCalls()
        with naming_the_server(self.openai_api_base):
            async for chunk in super()._astream(messages, stop, run_manager, **kwargs):
                calls.add(chunk)
                yield chunk
        calls.check(may_call=may_call(kwargs))
