"""Conversations in the words of a model's own chat template: one way for serving and training."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from diffagent_tools.chat_models.template_variables import TemplateVariables, recorded_variables
from diffagent_tools.planning import REFUSAL

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_WITHOUT_THOUGHT: Final[tuple[TemplateVariables, ...]] = ({}, {"enable_thinking": False}, {"thinking": False})
"""Variables by which templates leave out thoughts: none is needed, Qwen's and many more, DeepSeek's and Granite's."""


def render(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]],
    *,
    answer: Mapping[str, Any] | None,
    **template: object,
) -> str:
    """A conversation up to where the model answers, or with its answer.

    Only the template writes marks such as `<|im_end|>`: those that stand in a text, which may be a stranger's, are
    broken up (`< |im_end|>`), so that nobody can end a turn or speak for somebody else.

    Args:
        tokenizer: Has the chat template.
        messages: OpenAI chat messages.
        tools: OpenAI tool descriptions. Templates that print them whole print the `strict` that `ChatDiffAgent` sends.
        answer: The assistant's message; with None the text ends where the model begins to write.
        template: Variables of the template, such as `enable_thinking=False`.
    """
    marks = _marks(tokenizer)
    text = tokenizer.apply_chat_template(
        _broken_up([*messages, *([] if answer is None else [answer])], marks),
        tools=_broken_up([_strict(tool) for tool in tools], marks) or None,
        tokenize=False,
        add_generation_prompt=answer is None,
        **template,
    )
    return str(text)


def template_variables(folder: Path, tokenizer: PreTrainedTokenizerBase) -> TemplateVariables:
    """The variables of a model's chat template: those kept beside it, else those that let it answer at once.

    Qwen3's template, for one, writes an empty thought before an answer, and only with `enable_thinking=False` writes it
    into the prompt.

    Args:
        folder: Of the model; one that is not there keeps nothing.
        tokenizer: Has the chat template.

    Returns:
        The variables; none where nothing is kept and no choice of them puts the answer right behind the prompt.

    Raises:
        ConfigError: What is kept is damaged.
    """
    recorded = recorded_variables(folder)
    return _usual_variables(tokenizer) if recorded is None else recorded


def _usual_variables(tokenizer: PreTrainedTokenizerBase) -> TemplateVariables:
    asked, answer = [{"role": "user", "content": "a cat"}], {"role": "assistant", "content": REFUSAL}
    for variables in _WITHOUT_THOUGHT:
        prompt = render(tokenizer, asked, [], answer=None, **variables)
        if render(tokenizer, asked, [], answer=answer, **variables).startswith(prompt + REFUSAL):
            return dict(variables)
    return {}


def _strict(tool: Mapping[str, Any]) -> dict[str, Any]:
    """A tool as a server has it from `ChatDiffAgent`: strict, which comes last in OpenAI's order of the fields."""
    function = dict(tool["function"])
    strict = function.pop("strict", True)
    return {**tool, "function": {**function, "strict": strict}}


def _marks(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str] | None:
    """The added tokens that mean something to a model: control tokens, and tags such as `<tool_call>`."""
    added = tokenizer.added_tokens_decoder.values()
    marks = {token.content for token in added if token.special or token.content.startswith("<")}
    written = sorted((mark for mark in marks if len(mark.strip()) > 1), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, written))) if written else None


def _broken_up(value: Any, marks: re.Pattern[str] | None) -> Any:
    """The same value with a blank behind the first letter of every mark in its texts."""
    if marks is None:
        return value
    if isinstance(value, str):
        return marks.sub(lambda mark: f"{mark[0][0]} {mark[0][1:]}", value)
    if isinstance(value, Mapping):
        return {key: _broken_up(part, marks) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_broken_up(part, marks) for part in value]
    return value
