"""What stage 2 learns from."""

from __future__ import annotations

import numpy as np

from finetune.pocket.planner.lessons import Course, course_rows
from finetune.pocket.planner.rankings import reviews, reworded
from finetune.sfta.encoding import RankingRow

PROMPT = (
    "<|tools|>\ncivitai_1_food: knows 'poached ogre' for 'ogre' (0.84); knows 'blue background' for 'azure' (0.81).\n"
    "<|user|>an ogre on azure<|assistant|>"
)
CALL = '<tool_call>\n{{"name": "civitai_1_food", "arguments": {{"prompt": "{}", "steps": 20}}}}\n</tool_call><|end|>'
REFUSAL = "None of the models on offer can draw this.<|end|>"
ROLLOUT = RankingRow(
    id="train-1",
    prompt=PROMPT,
    responses=[CALL.format("a poached ogre, blue background"), CALL.format("a poached ogre"), REFUSAL],
    rewards=[0.8, 0.5, 0.0],
    sources=["gold", "greedy", "refusal"],
)


def test_a_rollout_comes_as_it_is_and_in_other_words_with_its_rewards() -> None:
    rows = list(reworded(ROLLOUT, 5, np.random.default_rng(0)))
    assert rows[0] == ROLLOUT
    assert len({row.id for row in rows}) == len({row.prompt for row in rows}) == 6
    for row in rows[1:]:
        assert (row.rewards, row.sources) == (ROLLOUT.rewards, ROLLOUT.sources)
        thing, asked, background, colour = row.prompt.split("'")[1::2]
        assert row.responses == [
            CALL.format(_a(f"{thing}, {background}")), CALL.format(_a(thing)), REFUSAL
        ]  # fmt: skip
        assert row.prompt.split("<|user|>")[1] == _a(f"{asked} on {colour}<|assistant|>")
        assert not {"ogre", "blue"} & {*thing.split(), *asked.split(), *background.split()[:-1], *colour.split()}
        assert background.endswith(" background")


def test_a_word_that_is_known_is_mostly_asked_for_by_another() -> None:
    known = ROLLOUT.model_copy(update={"prompt": PROMPT.replace("'poached ogre' for 'ogre' (0.84)", "'ogre'")})
    rows = list(reworded(known, 40, np.random.default_rng(1)))[1:]
    assert 25 < sum(row.prompt.split(";")[0].count("' for '") for row in rows) < 40


def test_lessons_end_before_the_parameters() -> None:
    rows = reviews(Course("mixed", 6, 3))
    assert len(rows) == 18
    assert all((len(row.responses), row.rewards) == (1, [1.0]) for row in rows)
    assert any('"prompt"' in row.responses[0] for row in rows)
    assert not any('"sampler"' in row.responses[0] for row in rows)


def test_half_of_the_lessons_are_in_other_words() -> None:
    course = Course("pocket", 20, 4)
    as_they_are = {row["id"]: row["prompt"] for row in course_rows(course)}
    rows = reviews(course)
    assert 0.3 < sum(row.prompt == as_they_are[row.id] for row in rows) / len(rows) < 0.7
    assert [row.model_dump() for row in rows] == [row.model_dump() for row in reviews(course)]


def _a(text: str) -> str:
    return f"a{'n' * (text[0] in 'aeiou')} {text}"
