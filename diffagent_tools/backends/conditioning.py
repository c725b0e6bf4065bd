"""From a call's prompts to what its pipeline is given: plain text, or the states of the text encoders."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tool_specs.calls import Call
from tool_specs.pipelines import PIPELINES
from tool_specs.prompt_weights import WeightedPrompt, weighted_prompt

if TYPE_CHECKING:
    import torch
    from diffusers import StableDiffusionPipeline
    from transformers import CLIPTextModel, CLIPTokenizer

log = logging.getLogger(__name__)

Tokens = list[tuple[int, float]]
"""Token ids, each with its weight."""

_ENCODERS: Final = (("tokenizer", "text_encoder"), ("tokenizer_2", "text_encoder_2"))
_LEAST_MEAN: Final = 0.01
"""Least mean of states that is a property of the text encoder rather than rounding, as a part of their mean size."""
_COMMA: Final = ",</w>"
_SEQUEL: Final = re.compile(r"(.+)_[1-9][0-9]*")
"""The words that diffusers gives an embedding's second and later vectors."""


class Conditioning:
    """Reads the prompts of calls to one pipeline.

    A plain prompt that fits the text encoder is left to the pipeline. Where every text encoder is a CLIP (SD 1.x and
    2.x, SDXL, pocket), all others are read as A1111 reads them: see `Conditioning.arguments`. Other text encoders know
    no weights: they are given the words without the syntax, and one warning says so.
    """

    def __init__(self, pipeline: StableDiffusionPipeline, *, model: str, text_tokens: int | None = None) -> None:
        """Look at the pipeline's text encoders.

        Args:
            pipeline: The pipeline.
            model: Its name in warnings.
            text_tokens: How many tokens a text encoder without weights is told to read; None leaves it to its
                tokenizer.
        """
        self._pipeline = pipeline
        self._model = model
        self._text_tokens = text_tokens
        encoders = {name: part for name, part in pipeline.components.items() if name.startswith("text_encoder")}
        self._weighs = all(
            encoder is not None and encoder.config.model_type == "clip_text_model" for encoder in encoders.values()
        )
        self._is_xl = self._weighs and "text_encoder_2" in encoders
        self._told: set[str] = set()

    def arguments(self, call: Call) -> dict[str, object]:
        """The pipeline's arguments for both prompts of a call.

        States are weighted as in A1111: each token's state times its weight, then every chunk scaled back to the mean
        that it had. Text of more tokens than the encoder takes (75 beside the start and end) is read in chunks, split
        at a comma where one is near; `BREAK` begins a new one. The shorter prompt is filled up with empty chunks. The
        pooled state of SDXL is that of the first chunk, without weights.

        Returns:
            `prompt` and `negative_prompt`, or `prompt_embeds` and `negative_prompt_embeds`, (1, chunks * tokens,
            width), for SDXL with their `pooled_` siblings, (1, width).
        """
        prompts = [weighted_prompt(call.prompt), weighted_prompt(call.negative_prompt)]
        self._tell(call, prompts)
        kind = PIPELINES[call.family]
        texts: dict[str, object] = {
            "prompt": prompts[0].text,
            "negative_prompt": prompts[1].text or kind.no_negative,
        }
        skipped = call.clip_skip - kind.first_clip_skip
        if not self._weighs:
            return texts | ({"max_sequence_length": self._text_tokens} if self._text_tokens else {})
        if (skipped <= 0 or self._is_xl) and all(map(self._fits, prompts)):
            return texts | ({"clip_skip": skipped} if skipped > 0 else {})
        return self._states(call, prompts)

    def _tell(self, call: Call, prompts: Sequence[WeightedPrompt]) -> None:
        """Warn, once for each reason, of syntax that is not drawn as it is meant."""
        reasons = [each for prompt in prompts for each in prompt.unread]
        written = zip((call.prompt, call.negative_prompt), prompts, strict=True)
        if not self._weighs and any(prompt.text != text for text, prompt in written):
            reasons.append("its text encoder knows no weights and no BREAK, so the words are read without them")
        for reason in reasons:
            if reason not in self._told:
                self._told.add(reason)
                log.warning("%s: in the prompt, %s", self._model, reason)

    def _fits(self, prompt: WeightedPrompt) -> bool:
        """Whether the pipeline itself reads all that a prompt says."""
        return prompt.is_plain and all(
            len(self._tokens(prompt, tokenizer)[0]) <= _room(tokenizer) for tokenizer, _ in self._readers()
        )

    def _readers(self) -> list[tuple[CLIPTokenizer, CLIPTextModel]]:
        """Tokenizers and text encoders as they are now: embeddings put others in their place."""
        return [
            (getattr(self._pipeline, tokenizer), getattr(self._pipeline, encoder))
            for tokenizer, encoder in _ENCODERS[: 2 if self._is_xl else 1]
        ]

    def _tokens(self, prompt: WeightedPrompt, tokenizer: CLIPTokenizer) -> list[Tokens]:
        """The tokens of each section."""
        return [
            [
                (token, piece.weight)
                for piece in section
                for token in tokenizer(
                    self._pipeline.maybe_convert_prompt(piece.text, tokenizer), add_special_tokens=False
                ).input_ids
            ]
            for section in prompt.sections
        ]

    def _states(self, call: Call, prompts: Sequence[WeightedPrompt]) -> dict[str, object]:
        import torch

        first = PIPELINES[call.family].first_clip_skip
        clip_skip = max(call.clip_skip, first)
        # diffusers counts SDXL's clip skip for the prompt alone, and one weight should not change that.
        skips = (clip_skip, first if self._is_xl else clip_skip)
        readers = self._readers()
        chunks = [
            [_chunks(self._tokens(prompt, tokenizer), tokenizer) for prompt in prompts] for tokenizer, _ in readers
        ]
        count = max(len(each) for both in chunks for each in both)
        arguments: dict[str, torch.Tensor] = {}
        for number, (prefix, skip) in enumerate(zip(("", "negative_"), skips, strict=True)):
            states = []
            for (tokenizer, encoder), both in zip(readers, chunks, strict=True):
                padded = both[number] + [[] for _ in range(count - len(both[number]))]
                state, pooled = self._read(tokenizer, encoder, padded, skip)
                states.append(state)
            arguments[f"{prefix}prompt_embeds"] = torch.cat(states, dim=-1)
            if self._is_xl:
                arguments[f"{prefix}pooled_prompt_embeds"] = pooled
        if self._is_xl and not prompts[1].text and self._pipeline.config.force_zeros_for_empty_prompt:
            for name in ("negative_prompt_embeds", "negative_pooled_prompt_embeds"):
                arguments[name] = torch.zeros_like(arguments[name])
        return dict(arguments)

    def _read(
        self, tokenizer: CLIPTokenizer, encoder: CLIPTextModel, chunks: Sequence[Tokens], clip_skip: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The weighted states of a text's chunks, (1, chunks * tokens, width), and the pooled one of the first.

        For SDXL the output of the `clip_skip`-th last layer, for others the same normalised, as A1111 does it. The
        `clip_skip` of diffusers leaves the negative prompt out, and fails for SD 1.x with transformers from 5.6 on
        (https://github.com/huggingface/diffusers/issues/14124).
        """
        import torch

        framed = [_framed(chunk, tokenizer) for chunk in chunks]
        # Not the encoder's own device: weights that wait in RAM come to this one when they are needed.
        device = self._pipeline._execution_device
        ids = torch.tensor([[token for token, _ in chunk] for chunk in framed], device=device)
        with torch.no_grad():
            output = encoder(ids, output_hidden_states=True)
            states: torch.Tensor = output.hidden_states[-clip_skip]
            if not self._is_xl:
                norm = getattr(encoder, "text_model", encoder).final_layer_norm
                states = output.last_hidden_state if clip_skip == 1 else norm(states)
        weights = torch.tensor([[weight for _, weight in chunk] for chunk in framed], device=states.device)
        weighted = _reweighted(states.float(), weights)
        return weighted.to(states.dtype).flatten(0, 1)[None], output[0][:1]


def _reweighted(states: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """States times weights, each chunk scaled back to its mean; a mean that is next to nothing cannot be restored.

    Args:
        states: (chunks, tokens, width).
        weights: (chunks, tokens).
    """
    import torch

    weighted = states * weights[:, :, None]
    before, after = (each.mean(dim=(1, 2), keepdim=True) for each in (states, weighted))
    least = _LEAST_MEAN * states.abs().mean(dim=(1, 2), keepdim=True)
    restorable = torch.minimum(before.abs(), after.abs()) > least
    return weighted * torch.where(restorable, before / after, 1.0)


def _room(tokenizer: CLIPTokenizer) -> int:
    """Most tokens of a chunk beside its start and end."""
    return int(tokenizer.model_max_length) - 2


def _framed(chunk: Tokens, tokenizer: CLIPTokenizer) -> Tokens:
    """A chunk with its start and end, filled up to the encoder's length."""
    padding = [(tokenizer.pad_token_id, 1.0)] * (_room(tokenizer) - len(chunk))
    return [(tokenizer.bos_token_id, 1.0), *chunk, (tokenizer.eos_token_id, 1.0), *padding]


def _chunks(sections: Sequence[Tokens], tokenizer: CLIPTokenizer) -> list[Tokens]:
    """Sections cut so that each fits the text encoder; at least one chunk."""
    room = _room(tokenizer)
    comma = tokenizer.convert_tokens_to_ids(_COMMA)
    words = tokenizer.added_tokens_encoder
    sequels = {
        token for word, token in words.items() if (match := _SEQUEL.fullmatch(word)) is not None and match[1] in words
    }
    chunks: list[Tokens] = []
    for section in sections:
        rest = section
        while len(rest) > room:
            cut = _cut([token for token, _ in rest[: room + 1]], comma, sequels)
            chunks.append(rest[:cut])
            rest = rest[cut:]
        chunks.append(rest)
    return chunks if chunks[-1] or len(chunks) == 1 else chunks[:-1]


def _cut(tokens: Sequence[int], comma: int, sequels: set[int]) -> int:
    """How many of the tokens a chunk keeps that has room for all but the last.

    As A1111: it ends behind the last comma among its last 20 of 75 tokens, if there is one. An embedding of several
    vectors stays together if it fits at all.
    """
    room = len(tokens) - 1
    if tokens[room] != comma:
        for place in range(room - 1, room - room * 20 // 75 - 1, -1):
            if tokens[place] == comma:
                return place + 1
    cut = room
    while cut > 0 and tokens[cut] in sequels:
        cut -= 1
    return cut or room
