"""The word with which a prompt calls a textual inversion."""

from __future__ import annotations

from tool_specs.calls import Call
from tool_specs.calls.trigger_words import word_pattern
from tool_specs.exceptions import CallError
from tool_specs.spec import ToolSpec


def embedding_word(embedding: ToolSpec, file_stem: str, call: Call) -> str:
    """The first of an embedding's words that a prompt of the call holds; without one it would do nothing.

    Args:
        embedding: A textual inversion.
        file_stem: Name of its file without the ending, which is a word of it as well.
        call: The call that names it.

    Raises:
        CallError: Neither prompt holds any of its words.
    """
    known = dict.fromkeys((file_stem, *embedding.trigger_words))
    text = f"{call.prompt}\n{call.negative_prompt}"
    for word in known:
        if word and word_pattern(word).search(text):
            return word
    msg = (
        f"the embedding {embedding.id} acts only through its word; put {' or '.join(map(repr, known))} "
        "into the prompt or the negative prompt"
    )
    raise CallError(msg)
