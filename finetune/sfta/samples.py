"""Training samples: exactly what serving sends to a planner, and the answer it should give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, convert_to_openai_messages

from diffagent_tools.chat_models.calling import calling as message_calling
from diffagent_tools.chat_models.rendering import render
from diffagent_tools.planning import REFUSAL, conversation
from diffagent_tools.tools.generation import tool_schemas
from tool_specs.exceptions import ConfigError
from tool_specs.search.shortlist import Shortlist

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


_THOUGHT: Final = "<think>"


@dataclass(frozen=True, slots=True)
class Sample:
    """One conversation with its answer.

    Attributes:
        id: Of the row.
        messages: OpenAI chat messages, the system prompt first.
        tools: OpenAI tool descriptions; empty for closed-book training.
        answer: The assistant message to learn.
    """

    id: str
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    answer: dict[str, Any]


def sample_of(
    sample_id: str,
    request: str,
    shortlist: Shortlist,
    answer: AIMessage,
    *,
    earlier: Sequence[BaseMessage] = (),
    closed_book: bool = False,
) -> Sample:
    """A request with its shortlist and the answer to learn.

    Args:
        sample_id: Of the row.
        request: What a person asked for.
        shortlist: What was on offer.
        answer: A tool call (`calling`) or a refusal (`declining`).
        earlier: Attempts at this request before the answer, as the agent keeps them.
        closed_book: Leave the tools out, as in the paper: the planner has to know them by heart.
    """
    messages = convert_to_openai_messages(conversation([HumanMessage(request), *earlier]))
    return Sample(sample_id, messages, [] if closed_book else tool_schemas(shortlist), _told(answer))


def with_answer(sample: Sample, answer: AIMessage) -> Sample:
    """The same conversation with another answer."""
    return replace(sample, answer=_told(answer))


def _told(answer: AIMessage) -> dict[str, Any]:
    (told,) = convert_to_openai_messages([answer])
    return told


def calling(tool: str, arguments: Mapping[str, object], call_id: str = "call_0") -> AIMessage:
    """An answer that calls a tool; its id is not drawn by chance, so that a sample is always rendered alike."""
    return message_calling(tool, arguments, call_id)


def declining() -> AIMessage:
    """An answer that calls nothing."""
    return AIMessage(REFUSAL)


def rendered(sample: Sample, tokenizer: PreTrainedTokenizerBase, **template: object) -> dict[str, str]:
    """A sample in the words of a model's own chat template.

    Args:
        sample: The sample.
        tokenizer: Has the chat template.
        template: Variables of the template, such as `enable_thinking=False`.

    Returns:
        `id`, `prompt` and `completion`: the completion is what the template adds to the prompt for the answer, up to
        the mark that ends the turn.

    Raises:
        ConfigError: The template does not put the answer behind the prompt that it opens for it, or puts a thought
            between them.
    """
    prompt = render(tokenizer, sample.messages, sample.tools, answer=None, **template)
    whole = render(tokenizer, sample.messages, sample.tools, answer=sample.answer, **template)
    if not whole.startswith(prompt):
        msg = (
            f"the chat template of {tokenizer.name_or_path!r} does not continue its own generation prompt with the "
            "answer; use a template whose `add_generation_prompt` opens the assistant's turn"
        )
        raise ConfigError(msg)
    completion = whole[len(prompt) :].rstrip()
    if completion.startswith(_THOUGHT):
        msg = (
            f"the chat template of {tokenizer.name_or_path!r} writes a thought before the answer with the variables "
            f"{template}, and a planner answers at once; give those that leave it out, as {{'enable_thinking': False}}"
        )
        raise ConfigError(msg)
    return {"id": sample.id, "prompt": prompt, "completion": completion}
