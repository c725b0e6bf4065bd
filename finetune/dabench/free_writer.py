"""A tuned language model in process that writes what it likes, for the closed book: no tools, and no grammar."""

from __future__ import annotations

import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field, PrivateAttr

from tool_specs.exceptions import RequestError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from diffagent_tools.chat_models.template_variables import TemplateVariables


class FreeWriter(BaseChatModel):
    """Writes the likeliest answer to a conversation, token by token, in the words of the model's own chat template.

    The prompt is rendered as closed-book rows are for training, with the template's variables that the model keeps.
    """

    folder: Path
    """A transformers folder with the model, its tokenizer and its chat template."""
    device: str = "auto"
    """"auto" is CUDA where there is any, else the CPU."""
    max_tokens: int = Field(default=512, gt=0)
    """Longest answer."""
    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    @property
    def _llm_type(self) -> str:
        return "diffagent-free-writer"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"folder": str(self.folder), "max_tokens": self.max_tokens}

    @cached_property
    def _loaded(self) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, TemplateVariables]:
        import torch

        from diffagent_tools.chat_models.rendering import template_variables
        from diffagent_tools.devices import torch_device
        from finetune.sfta.models import load_model, load_tokenizer

        device = torch_device(self.device)
        model = load_model(str(self.folder), torch.float32 if device.type == "cpu" else torch.bfloat16)
        tokenizer = load_tokenizer(str(self.folder))
        return model.eval().to(device), tokenizer, template_variables(self.folder, tokenizer)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 - an answer ends where its turn ends
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002 - there is nothing to choose
    ) -> ChatResult:
        """Write an answer.

        Raises:
            RequestError: The conversation does not fit into the model's context.
            WeightsError: The model cannot be loaded.
        """
        import torch

        from diffagent_tools.chat_models.decoding import written_text
        from diffagent_tools.chat_models.rendering import render

        with self._lock:
            model, tokenizer, variables = self._loaded
            prompt = render(tokenizer, convert_to_openai_messages(messages), [], answer=None, **variables)
            read = tokenizer(prompt, add_special_tokens=False, return_tensors="pt").to(model.device)
            given, context = read["input_ids"].shape[1], int(model.config.max_position_embeddings)
            if given + self.max_tokens > context:
                msg = (
                    f"the conversation has {given} tokens and the answer may have {self.max_tokens}, but the model "
                    f"reads {context}; shorten the request"
                )
                raise RequestError(msg)
            ends = _ends(model, tokenizer)
            with torch.inference_mode():
                whole = model.generate(
                    read["input_ids"],
                    attention_mask=read["attention_mask"],
                    do_sample=False,
                    max_new_tokens=self.max_tokens,
                    eos_token_id=sorted(ends),
                    pad_token_id=tokenizer.pad_token_id,
                )
        written = whole[0, given:].tolist()
        finished = bool(written) and written[-1] in ends
        message = AIMessage(
            written_text(tokenizer, written),
            usage_metadata={
                "input_tokens": given,
                "output_tokens": len(written),
                "total_tokens": given + len(written),
            },
            response_metadata={"finish_reason": "stop" if finished else "length"},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


def _ends(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """The tokens that end a turn, as the model's settings for writing and its tokenizer say."""
    told = model.generation_config.eos_token_id
    ends = {told} if isinstance(told, int) else set(told or ())
    return ends | ({tokenizer.eos_token_id} if tokenizer.eos_token_id is not None else set())
