"""Textual inversions: words that the text encoders of a pipeline know for one call."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from diffagent_tools.backends.networks import Network
from diffagent_tools.backends.pipelines import first_line
from diffagent_tools.devices import one_load_at_a_time
from tool_specs.calls import Call
from tool_specs.embedding_words import embedding_word
from tool_specs.exceptions import WeightsError
from tool_specs.spec import ToolSpec

if TYPE_CHECKING:
    import torch
    from diffusers import StableDiffusionPipeline
    from torch import nn
    from transformers import CLIPTextModel

_ENCODERS: Final = (("tokenizer", "text_encoder", "clip_l"), ("tokenizer_2", "text_encoder_2", "clip_g"))
"""Tokenizer, text encoder, and the key under which an SDXL embedding keeps its vectors for it."""


@contextmanager
def taught_words(
    pipeline: StableDiffusionPipeline, checkpoint: ToolSpec, embeddings: Sequence[Network], call: Call
) -> Iterator[None]:
    """Teach the text encoders the words of embeddings, and restore them to the last bit afterwards.

    Args:
        pipeline: Whose text encoders learn them.
        checkpoint: The spec of its checkpoint.
        embeddings: The textual inversions that act inside.
        call: The call that names them, and whose prompts hold their words.

    Raises:
        CallError: An embedding's word is in neither prompt.
        WeightsError: A file cannot be used.
    """
    if not embeddings:
        yield
        return
    encoders = [names for names in _ENCODERS if getattr(pipeline, names[1], None) is not None]
    saved: list[tuple[str, object, CLIPTextModel, nn.Embedding]] = []
    for tokenizer, encoder, _ in encoders:
        model = getattr(pipeline, encoder)
        saved.append((tokenizer, getattr(pipeline, tokenizer), model, model.get_input_embeddings()))
        setattr(pipeline, tokenizer, copy.deepcopy(getattr(pipeline, tokenizer)))
        model.set_input_embeddings(copy.deepcopy(model.get_input_embeddings()))
    try:
        with one_load_at_a_time():
            for embedding in embeddings:
                _teach(pipeline, checkpoint, embedding, call, encoders)
        yield
    finally:
        for tokenizer, words, model, vectors in saved:
            setattr(pipeline, tokenizer, words)
            model.set_input_embeddings(vectors)
            model.config.vocab_size = vectors.weight.shape[0]


def _teach(
    pipeline: StableDiffusionPipeline,
    checkpoint: ToolSpec,
    embedding: Network,
    call: Call,
    encoders: Sequence[tuple[str, str, str]],
) -> None:
    from safetensors.torch import load_file

    word = embedding_word(embedding.spec, embedding.path.stem, call)
    vectors: Mapping[str, torch.Tensor] = load_file(embedding.path)
    try:
        for tokenizer, encoder, key in encoders:
            part = vectors[key] if key in vectors else next(iter(vectors.values()))
            pipeline.load_textual_inversion(
                {"emb_params": part},
                token=word,
                tokenizer=getattr(pipeline, tokenizer),
                text_encoder=getattr(pipeline, encoder),
            )
    except (ValueError, RuntimeError, StopIteration) as error:
        msg = f"{embedding.path} could not be loaded as an embedding of {checkpoint.model_name}: {first_line(error)}"
        raise WeightsError(msg) from error
