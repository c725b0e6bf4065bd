"""Ranked responses as tokens: which of them are trained on, and the pairs they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.sfta.encoding import RankingRow, check_lengths, read_rows, tokenise
from tool_specs.exceptions import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Ranking:
    """A prompt and its responses as token ids, the best response first.

    Attributes:
        prompt: Tokens of the prompt.
        responses: Tokens of each response.
        rewards: Of each response.
    """

    prompt: list[int]
    responses: list[list[int]]
    rewards: list[float]

    @property
    def length(self) -> int:
        """Tokens of the prompt and all responses together."""
        return len(self.prompt) + sum(map(len, self.responses))


def read_rankings(
    path: Path, tokenizer: PreTrainedTokenizerBase, max_length: int, max_responses: int | None = None
) -> list[Ranking]:
    """Rows as tokens.

    Args:
        path: JSON lines of `RankingRow`.
        tokenizer: That of the model.
        max_length: Most tokens of a prompt and one of its responses.
        max_responses: Most responses of a prompt; of more, the best, the worst, and some evenly between.

    Raises:
        ConfigError: The file cannot be used, or a sample is too long.
    """
    rows = [_spread(row, max_responses) for row in read_rows(path, RankingRow)]
    prompts = tokenise([row.prompt for row in rows], tokenizer)
    flat = iter(tokenise([response for row in rows for response in row.responses], tokenizer))
    rankings = [
        Ranking(prompt, [next(flat) for _ in row.responses], row.rewards)
        for row, prompt in zip(rows, prompts, strict=True)
    ]
    ids = [row.id for row in rows for _ in row.responses]
    lengths = [len(one.prompt) + len(response) for one in rankings for response in one.responses]
    check_lengths(ids, lengths, max_length, path)
    return rankings


def preference_pairs(rankings: Sequence[Ranking], margin: float) -> list[tuple[list[int], list[int], list[int]]]:
    """Prompt, better and worse response: of each ranking the best with the worst, and each with the next.

    Args:
        rankings: Rankings.
        margin: A pair counts only where the rewards differ by more than this.
    """
    pairs = []
    for one in rankings:
        last = len(one.responses) - 1
        for better, worse in dict.fromkeys([(0, last), *((place, place + 1) for place in range(last))]):
            if one.rewards[better] - one.rewards[worse] > margin:
                pairs.append((one.prompt, one.responses[better], one.responses[worse]))
    return pairs


def check_pairs(count: int, path: Path, margin: float) -> None:
    """Refuse data that rank nothing.

    Raises:
        ConfigError: There is no pair.
    """
    if not count:
        msg = (
            f"no two responses in {path} differ in reward by more than reward_margin={margin}; there is nothing to rank"
        )
        raise ConfigError(msg)


def _spread(row: RankingRow, most: int | None) -> RankingRow:
    """The row with its responses from best to worst, at most so many of them."""
    order = sorted(range(len(row.rewards)), key=lambda place: -row.rewards[place])
    if most is not None and len(order) > most:
        order = [order[round(place * (len(order) - 1) / (most - 1))] for place in range(most)]
    return row.model_copy(
        update={
            "responses": [row.responses[place] for place in order],
            "rewards": [row.rewards[place] for place in order],
        }
    )
