"""What a language model reads about a model of the catalog: a stranger's words, bounded, quoted, and harmless."""

from __future__ import annotations

import re

from tool_specs.spec import ToolSpec

MAX_DESCRIPTION = 600
"""Characters of a tool's description; with eight tools bound it is read eight times in every request."""
_MAX_TAGS = 300
_MAX_WHY = 240
_MAX_TRIGGERS = 120
_LABEL = re.compile(r"\b(?:Recommended:|For this request:|Network (?=\w+:)|Tags:|Its author says:)")
"""What begins a part of a description; in a stranger's words it would fake one."""
_BRACKETS = str.maketrans("<>[]", "‹›()")
"""Of what language models take for marks of their own, such as `<|im_end|>` and `[INST]`."""


def description_of(spec: ToolSpec, why: str = "") -> str:
    """What a language model reads about a checkpoint, at most `MAX_DESCRIPTION` characters.

    Names, tags and description are a stranger's words: they are quoted, and stand as data. Each label ("Tags:", …)
    stands once at most, where this function puts it.

    Args:
        spec: The checkpoint.
        why: What retrieval says of it and the request at hand.
    """
    learned = spec.recommended
    name = quoted(spec.model_name, 80)
    text = (
        f"Draws pictures with the image model {name} ({spec.base_model}, {spec.id}). Recommended: {learned.sampler}, "
        f"{learned.steps.median:.0f} steps, cfg scale {learned.cfg_scale.median:g}, {learned.width}x{learned.height}."
    )
    if why:
        text += f" For this request: {' '.join(why.split())[:_MAX_WHY]}"
    return _with_words(text, spec)


def summary_of(spec: ToolSpec) -> str:
    """What a model is, for people and search: as long, and made in the same way, as the description of a tool."""
    if spec.is_checkpoint:
        return description_of(spec)
    text = f"The {spec.type} {quoted(spec.model_name, 80)} for {spec.base_model} models ({spec.id})."
    if spec.trigger_words:
        text += f" Trigger words: {quoted(', '.join(spec.trigger_words), _MAX_TRIGGERS)}."
    return _with_words(text, spec)


def _with_words(text: str, spec: ToolSpec) -> str:
    """The text with the tags and as much of the description as there is room for."""
    if spec.tags:
        text += f" Tags: {quoted(', '.join(spec.tags), _MAX_TAGS)}."
    room = MAX_DESCRIPTION - len(text) - len(" Its author says: .")
    if spec.description and room > 40:
        text += f" Its author says: {quoted(spec.description, room)}."
    return text[:MAX_DESCRIPTION]


def quoted(text: str, limit: int) -> str:
    """A stranger's words between quotes, on one line, at most `limit` characters with the quotes."""
    line = harmless(text).replace('"', "'")
    return f'"{line}"' if len(line) + 2 <= limit else f'"{line[: limit - 3].rstrip()}…"'


def harmless(text: str) -> str:
    """A stranger's words on one line, without what is read as a label or as a mark."""
    line = " ".join(text.translate(_BRACKETS).split())
    return _LABEL.sub(lambda label: label[0][0].lower() + label[0][1:], line)
