"""A causal language model in process that writes only what a grammar accepts."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffagent_tools.chat_models.calling import CALL_MARKS
from diffagent_tools.chat_models.rendering import render, template_variables
from diffagent_tools.chat_models.template_variables import TemplateVariables
from diffagent_tools.devices import fitting_threads, one_load_at_a_time, quiet_libraries, require, torch_device
from tool_specs.exceptions import ConfigError, RequestError, WeightsError
from tool_specs.prompts import whole_characters

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a model wrote.

    Attributes:
        text: As `written_text` has it.
        prompt_tokens: Tokens read.
        completion_tokens: Tokens written, forced ones included; where the grammar ends, no end of turn is written.
        finished: Whether the grammar was complete; else the limit was reached first.
        certainty: Probability of the first token that was a choice, among those the grammar allowed there; 1 where none
            was.
    """

    text: str
    prompt_tokens: int
    completion_tokens: int
    finished: bool
    certainty: float


class Decoder:
    """A transformers folder with a causal model, its tokenizer and its chat template.

    Args:
        folder: The model.
        device: "auto" is CUDA where there is any, else the CPU.
    """

    def __init__(self, folder: Path, *, device: str = "auto") -> None:
        self.folder = folder
        self._device_name = device
        self._lock = threading.Lock()
        self._parts: _Parts | None = None

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The model's tokenizer, with its chat template.

        Raises:
            ConfigError: A package or the folder is missing.
            WeightsError: The model cannot be loaded.
        """
        return self._loaded().tokenizer

    @cached_property
    def template(self) -> TemplateVariables:
        """The variables of the chat template: those kept beside the model, else those that it usually takes.

        Raises:
            ConfigError: A package or the folder is missing, or what is kept is damaged.
            WeightsError: The model cannot be loaded.
        """
        return template_variables(self.folder, self.tokenizer)

    def has_token(self, text: str) -> bool:
        """Whether a text is one token of its own."""
        return text in self.tokenizer.get_added_vocab()

    def render(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> str:
        """A conversation in the words of the chat template, up to where the model answers."""
        return render(self.tokenizer, messages, tools, answer=None, **self.template)

    def decode(
        self,
        prompt: str,
        grammar: str,
        *,
        max_tokens: int = 512,
        temperature: float = 0.0,
        seed: int | None = None,
    ) -> Decoded:
        """Write an answer that a grammar accepts.

        Tokens that the grammar leaves no choice about are not computed one by one: they are read in one go with the
        next that is a choice.

        Args:
            prompt: A rendered conversation.
            grammar: In llguidance's Lark dialect.
            max_tokens: Longest answer.
            temperature: 0 takes the likeliest token each time.
            seed: Makes sampling repeatable.

        Raises:
            RequestError: The prompt does not fit into the model's context, or the grammar is not valid.
        """
        parts = self._loaded()
        with self._lock:
            return parts.decode(whole_characters(prompt), grammar, max_tokens, temperature, seed)

    def _loaded(self) -> _Parts:
        with self._lock:
            if self._parts is None:
                self._parts = _load(self.folder, torch_device(self._device_name))
            return self._parts


class _Parts:
    """A loaded model."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
        import llguidance.hf

        self.tokenizer = tokenizer
        self._model = model
        self._rules = llguidance.hf.from_tokenizer(tokenizer, n_vocab=model.config.vocab_size)
        self._parameters = sum(weight.numel() for weight in model.parameters())
        self._context = int(model.config.max_position_embeddings)

    def decode(self, prompt: str, grammar: str, max_tokens: int, temperature: float, seed: int | None) -> Decoded:
        import torch
        from llguidance import LLMatcher
        from transformers import DynamicCache

        matcher = LLMatcher(self._rules, LLMatcher.grammar_from_lark(grammar))
        if matcher.is_error():
            msg = f"the tools on offer make no valid grammar ({matcher.get_error()[:200]}); offer fewer or simpler ones"
            raise RequestError(msg)
        read = self.tokenizer(prompt, add_special_tokens=False)["input_ids"]
        if len(read) + max_tokens > self._context:
            msg = (
                f"the conversation has {len(read)} tokens and the answer may have {max_tokens}, but the model reads "
                f"{self._context}; offer fewer models or shorten the request"
            )
            raise RequestError(msg)
        generator = torch.Generator()
        if seed is None:
            generator.seed()
        else:
            generator.manual_seed(seed)
        written: list[int] = []
        pending, cache = list(read), DynamicCache()
        certainty: float | None = None
        with torch.inference_mode(), fitting_threads(self._parameters):
            while not matcher.is_stopped() and len(written) < max_tokens:
                forced = matcher.compute_ff_tokens()[: max_tokens - len(written)]
                if forced:
                    matcher.consume_tokens(forced)
                    written += forced
                    pending += forced
                    continue
                logits = self._next_logits(pending, cache)
                allowed = self._allowed(matcher, logits)
                if temperature > 0:
                    drawn = torch.multinomial((allowed / temperature).softmax(dim=-1), 1, generator=generator)
                    token = int(drawn)
                else:
                    token = int(allowed.argmax())
                if certainty is None:
                    certainty = float(allowed.softmax(dim=-1)[token])
                matcher.consume_token(token)
                written.append(token)
                pending = [token]
        if matcher.is_error():
            msg = f"the grammar lost the model's answer ({matcher.get_error()[:200]}); please report the tools on offer"
            raise RequestError(msg)
        finished = matcher.is_stopped() or matcher.is_accepting()
        text = written_text(self.tokenizer, written)
        return Decoded(text, len(read), len(written), finished, 1.0 if certainty is None else certainty)

    def _next_logits(self, tokens: list[int], cache: object) -> torch.Tensor:
        """The logits after some tokens, (vocabulary,) float32 on the CPU; the tokens go into the cache."""
        import torch

        ids = torch.tensor([tokens], device=self._model.device)
        output = self._model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        logits: torch.Tensor = output.logits[0, -1].float().cpu()
        return logits

    def _allowed(self, matcher: Any, logits: torch.Tensor) -> torch.Tensor:
        """The logits with -inf where the grammar accepts no such token."""
        import llguidance.torch
        import torch

        mask = llguidance.torch.allocate_token_bitmask(1, logits.shape[0])
        llguidance.torch.fill_next_token_bitmask(matcher, mask)
        bits = (mask[0][:, None] >> torch.arange(32, dtype=torch.int32)) & 1
        return logits.masked_fill(bits.reshape(-1)[: logits.shape[0]] == 0, -math.inf)


def written_text(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int]) -> str:
    """What a model wrote, without control tokens such as the end of a turn.

    The marks of a call are words in any case: some models count them as control tokens, others do not.
    """
    added = tokenizer.added_tokens_decoder
    control = {number for number, token in added.items() if token.special and token.content not in CALL_MARKS}
    return str(tokenizer.decode([token for token in tokens if token not in control], skip_special_tokens=False))


def _load(folder: Path, device: torch.device) -> _Parts:
    """Load a folder, without the network."""
    if not (folder / "config.json").is_file():
        msg = (
            f"{folder} is not a transformers folder (it has no config.json); give one that holds a causal model, such "
            "as `diffagent-train reproduce --pocket` makes"
        )
        raise ConfigError(msg)
    require("torch", "transformers", "llguidance")
    with quiet_libraries(), one_load_at_a_time():
        import transformers

        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model, report = transformers.AutoModelForCausalLM.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                dtype="float32" if device.type == "cpu" else "auto",
                output_loading_info=True,
            )
        except Exception as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)[:200]
            msg = f"the planner in {folder} cannot be loaded ({reason}); export or train it again"
            raise WeightsError(msg) from error
    if missing := sorted(report["missing_keys"]):
        msg = f"the planner in {folder} lacks {len(missing)} weights such as {missing[0]!r}; export or train it again"
        raise WeightsError(msg)
    return _Parts(model.eval().to(device), tokenizer)
