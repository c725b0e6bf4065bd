import numpy as np
import pytest

from finetune.pocket.judge import PLAIN, StyleJudge, SubjectJudge
from finetune.pocket.render import font_path, render
from finetune.pocket.world import BACKGROUNDS, STYLES, Scene, all_subjects
from tool_specs.exceptions import ConfigError

try:
    font_path()
except ConfigError as error:
    pytest.skip(str(error), allow_module_level=True)


def scenes(count: int, style: str | None = None) -> list[Scene]:
    rng = np.random.default_rng(17)
    subjects = list(all_subjects())
    return [Scene(str(rng.choice(subjects)), str(rng.choice(BACKGROUNDS)), style) for _ in range(count)]


def test_names_the_subject_of_fresh_renders() -> None:
    rng = np.random.default_rng(18)
    shown = scenes(150)
    named = SubjectJudge(variants=1).subjects([render(scene, rng) for scene in shown])
    assert np.mean([name == scene.subject for name, scene in zip(named, shown, strict=True)]) > 0.95


def test_names_the_style_of_fresh_renders() -> None:
    judge, rng = StyleJudge(renders=80), np.random.default_rng(19)
    for style in (None, *STYLES):
        named = judge.styles([render(scene, rng) for scene in scenes(40, style)])
        assert np.mean([name == (style or PLAIN) for name in named]) > 0.7


def test_knows_which_of_two_pictures_is_nearer_to_a_style() -> None:
    judge, rng = StyleJudge(renders=80), np.random.default_rng(20)
    for style in STYLES:
        plain = [render(scene, rng) for scene in scenes(20)]
        styled = [render(scene, rng) for scene in scenes(20, style)]
        assert np.mean([judge.nearer(style, *pair) for pair in zip(plain, styled, strict=True)]) >= 0.9
        assert not judge.nearer(style, styled[0], styled[0])
