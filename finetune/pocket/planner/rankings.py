"""What stage 2 of the pocket planner learns from: rollouts in many words, and lessons."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from finetune.pocket.planner.aliases import in_other_words
from finetune.pocket.planner.lessons import Course, course_rows, without_parameters
from finetune.sfta.encoding import RankingRow

APART = 0.8
"""Share of the phrases with one alias where they are asked for and another where a model knows them."""
REWORDED = 0.5
"""Share of the lessons in other words, backgrounds of one colour among them."""
NOISE = 0.2
"""Share of the words around what such a lesson asks for that are replaced by ones that mean nothing."""


def reworded(rollout: RankingRow, count: int, rng: np.random.Generator) -> Iterator[RankingRow]:
    """A rollout as it is, and in other words with the same rewards.

    From a few hundred rollouts as they are, stage 2 learns the words of their best calls by heart: it writes them where
    a request asks for something else.

    Args:
        rollout: Its prompt in the words of the pocket planner's chat template.
        count: How often it comes in other words.
        rng: Where chance comes from.
    """
    yield rollout
    for number in range(1, count + 1):
        prompt, responses = in_other_words(rollout.prompt, rollout.responses, rng, apart=APART, colours=True)
        yield rollout.model_copy(
            update={"id": f"{rollout.id}-words-{number}", "prompt": prompt, "responses": responses}
        )


def reviews(course: Course) -> list[RankingRow]:
    """The lessons of a course as rankings of one answer.

    Rollouts are of the pocket models alone. From them alone, stage 2 learns their names by heart and overlooks models
    that are added to them. The answers end before the parameters: those of the community would undo what the rollouts
    teach.
    """
    rng = np.random.default_rng((course.seed, 1))
    rows = []
    for row in course_rows(course):
        prompt, answers = row["prompt"], [without_parameters(row)["completion"]]
        if rng.random() < REWORDED:
            prompt, answers = in_other_words(prompt, answers, rng, apart=APART, colours=True, noise=NOISE)
        rows.append(RankingRow(id=row["id"], prompt=prompt, responses=answers, rewards=[1.0]))
    return rows
