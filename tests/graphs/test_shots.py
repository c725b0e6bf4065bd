from __future__ import annotations

import pytest

from graphs.shots import MAX_STORY, ChatShotWriter, SentenceSplitter, Shots, checked_story
from tests.graphs.branch_backends import ScriptedWriter
from tool_specs.exceptions import RequestError


def split(story: str, most: int = 12) -> list[str]:
    return SentenceSplitter().write(checked_story(story), most)["texts"]


@pytest.mark.parametrize(
    ("story", "texts"),
    [
        ("A fox wakes. It runs!", ["A fox wakes.", "It runs!"]),
        ("a fox wakes. it runs", ["a fox wakes.", "it runs"]),
        ("A fox\nA bear\n\n  A cat ", ["A fox", "A bear", "A cat"]),
        ('"Who is there?" asks Mr. Fox. Nobody.', ['"Who is there?"', "asks Mr. Fox.", "Nobody."]),
        ("It costs 3.50 euros... or more.", ["It costs 3.50 euros...", "or more."]),
        ("狐狸醒了。它跑了！", ["狐狸醒了。", "它跑了！"]),
        ("A fox. ... !!", ["A fox."]),
        ("one", ["one"]),
    ],
)
def test_each_sentence_is_a_shot(story: str, texts: list[str]) -> None:
    assert split(story) == texts


def test_a_style_is_no_shot() -> None:
    assert SentenceSplitter().write("A fox wakes. Style: pixel art. It runs.", 5) == Shots(
        texts=["A fox wakes.", "It runs."], style="pixel art"
    )


def test_too_many_sentences_share_shots_and_none_is_lost() -> None:
    story = " ".join(f"Sentence {n}." for n in range(7))
    texts = split(story, 3)
    assert len(texts) == 3
    assert " ".join(texts) == story
    assert [text.count(".") for text in texts] == [2, 2, 3]


@pytest.mark.parametrize("story", ["", " \n\t", "...", "a" * (MAX_STORY + 1)])
def test_what_is_no_story_is_refused(story: str) -> None:
    with pytest.raises(RequestError, match="the story"):
        checked_story(story)


def test_a_chat_model_writes_the_shots() -> None:
    model = ScriptedWriter.saying(
        "Storyboard", {"style": "watercolor", "shots": ["a red fox in a meadow", " ", "a red\nfox at night", "a third"]}
    )
    shots = ChatShotWriter(model).write("Once upon a time.", 2)
    assert shots == {"texts": ["a red fox in a meadow", "a red fox at night"], "style": "watercolor"}
    guide, story = model.seen[0]
    assert "at most 2 shots" in guide.text
    assert story.text == "Once upon a time."


@pytest.mark.parametrize("answer", [{"style": "x", "shots": []}, {"style": "x"}, {"shots": "a fox"}])
def test_a_chat_model_that_writes_none_is_replaced_by_the_sentences(answer: dict[str, object]) -> None:
    model = ScriptedWriter.saying("Storyboard", answer)
    assert ChatShotWriter(model).write("A fox. A bear.", 5)["texts"] == ["A fox.", "A bear."]
