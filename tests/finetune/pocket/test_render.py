import numpy as np
import pytest

from finetune.pocket import render as renders
from finetune.pocket.world import BACKGROUNDS, STYLES, Scene
from tool_specs.exceptions import ConfigError

try:
    renders.font_path()
except ConfigError as error:
    pytest.skip(str(error), allow_module_level=True)


@pytest.mark.parametrize("background", [*BACKGROUNDS, "mint"])
def test_every_background_can_be_drawn(background: str) -> None:
    picture = renders.render(Scene("fox", background), np.random.default_rng(1))
    assert (picture.size, picture.mode) == ((64, 64), "RGB")


def test_the_same_seed_gives_the_same_render() -> None:
    first, second = (renders.render(Scene("ufo", "night sky"), np.random.default_rng(5)) for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_every_style_changes_the_picture_in_its_own_way() -> None:
    pictures = [
        renders.to_array(renders.render(Scene("guitar", "green", style), np.random.default_rng(2))).astype(float)
        for style in (None, *STYLES)
    ]
    for number, left in enumerate(pictures):
        for right in pictures[number + 1 :]:
            assert np.abs(left - right).mean() > 5


def test_a_missing_font_is_one_clear_error(monkeypatch) -> None:
    monkeypatch.setenv("DIFFAGENT_EMOJI_FONT", "/nowhere/emoji.ttf")
    with pytest.raises(ConfigError, match="fonts-noto-color-emoji"):
        renders.font_path()
