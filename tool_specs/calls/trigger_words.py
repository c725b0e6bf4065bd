"""Trigger words of the networks that a prompt is written for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from tool_specs.calls.models import MAX_PROMPT
from tool_specs.spec import ToolSpec


def word_pattern(word: str) -> re.Pattern[str]:
    """Finds a word of a network in a prompt, in any letter case, but not inside of a longer word."""
    return re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)


def with_trigger_words(prompt: str, networks: Iterable[ToolSpec]) -> str:
    """A prompt with the first trigger word of each network that has none of its own in it yet."""
    missing: list[str] = []
    for network in networks:
        words, written = network.trigger_words, ", ".join([prompt, *missing])
        if words and not any(word_pattern(word).search(written) for word in words):
            missing.append(words[0])
    room = MAX_PROMPT - sum(len(f", {word}") for word in missing)
    return ", ".join(filter(None, [prompt[:room], *missing]))


def networks_named(arguments: Mapping[str, object]) -> list[str]:
    """The ids of networks in a planner's arguments, in its order; what is no id is passed over.

    Args:
        arguments: As the planner wrote them.
    """
    loras = arguments.get("loras")
    uses = loras if isinstance(loras, list | tuple) else ()
    return [name for use in uses if isinstance(use, Mapping) and isinstance(name := use.get("id"), str)]


def with_trigger_words_of_loras(arguments: Mapping[str, object], networks: Sequence[ToolSpec]) -> dict[str, object]:
    """A planner's arguments, whose prompt has the trigger words of the networks that they name.

    Without its trigger word most networks do little, and planners, like people, forget or misspell it.

    Args:
        arguments: As the planner wrote them; what is wrong with them stays so.
        networks: Those on offer.
    """
    prompt = arguments.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip() or len(prompt) > MAX_PROMPT:
        return dict(arguments)
    named = networks_named(arguments)
    used = [network for network in networks if network.id in named]
    return {**arguments, "prompt": with_trigger_words(prompt, used)}
