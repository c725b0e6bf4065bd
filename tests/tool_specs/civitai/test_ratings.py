from __future__ import annotations

import pytest

from tool_specs.civitai.ratings import content_rating, is_safe_image, text_rating


@pytest.mark.parametrize(
    ("record", "version", "texts", "rating"),
    [
        ({}, {}, ["Cute foxes"], "safe"),
        ({"nsfw": True}, {}, ["Cute foxes"], "explicit"),
        ({"nsfw": "true"}, {}, ["Cute foxes"], "explicit"),
        ({"nsfw": False, "nsfwLevel": 31}, {"nsfwLevel": 1}, ["Cute foxes"], "safe"),
        ({"nsfwLevel": 60}, {}, ["Cute foxes"], "mature"),
        ({}, {"nsfwLevel": 24}, ["Cute foxes"], "explicit"),
        ({}, {"nsfwLevel": "x"}, ["Cute foxes"], "safe"),
        ({}, {}, ["Foxes", "nsfw"], "explicit"),
        ({}, {}, ["bikini_armor"], "mature"),
        ({}, {}, ["Essex, Sussex and a peacock"], "safe"),
    ],
)
def test_models(record: dict[str, object], version: dict[str, object], texts: list[str], rating: str) -> None:
    assert content_rating(record, version, texts) == rating


@pytest.mark.parametrize(
    ("image", "prompt", "safe"),
    [
        ({}, "a fox", True),
        ({"nsfw": "None"}, "a fox", True),
        ({"nsfw": "Soft"}, "a fox", True),
        ({"nsfw": "X"}, "a fox", False),
        ({"nsfw": True}, "a fox", False),
        ({"nsfwLevel": 1}, "a fox", True),
        ({"nsfwLevel": 1, "browsingLevel": 8}, "a fox", False),
        ({"nsfwLevel": 0}, "a fox", False),
        ({"nsfwLevel": 1, "poi": True}, "a fox", False),
        ({"nsfw": "None"}, "a nude", False),
        ({}, "1girl, completely_nude", False),
        ({"nsfwLevel": 16, "browsingLevel": None}, "a fox", False),
        ({"nsfwLevel": "X", "nsfw": False}, "a fox", False),
        ({"nsfwLevel": "Soft"}, "a fox", True),
        ({"nsfwLevel": 64}, "a fox", False),
        ({"nsfwLevel": 1, "nsfw": "X"}, "a fox", False),
        ({"nsfwLevel": "2", "nsfw": "None"}, "a fox", True),
        ({"nsfw": ["X"]}, "a fox", False),
    ],
)
def test_images(image: dict[str, object], prompt: str, safe: bool) -> None:
    assert is_safe_image(image, prompt) is safe


@pytest.mark.parametrize(
    ("text", "rating"),
    [("", "safe"), ("a castle", "safe"), ("a bikini_top", "mature"), ("a nude_knight in lingerie", "explicit")],
)
def test_texts(text: str, rating: str) -> None:
    assert text_rating(text) == rating
