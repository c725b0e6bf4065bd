from __future__ import annotations

import pytest
from PIL import Image

from diffagent_tools.contact_sheets import CELL, EMPTY, MARGIN, Cell, contact_sheet


def plain(colour: str, size: tuple[int, int] = (64, 64)) -> Image.Image:
    return Image.new("RGB", size, colour)


def at(sheet: Image.Image, column: int, row: int) -> tuple[int, ...]:
    """The colour in the middle of a picture's place."""
    height = (sheet.height - MARGIN) // 2 if row else 0
    pixel = sheet.getpixel((MARGIN + column * (CELL + MARGIN) + CELL // 2, MARGIN + row * height + CELL // 2))
    assert isinstance(pixel, tuple)
    return pixel


def test_pictures_stand_row_by_row() -> None:
    sheet = contact_sheet([Cell(plain(colour), colour) for colour in ("red", "lime", "blue")], columns=2)
    assert [at(sheet, 0, 0), at(sheet, 1, 0), at(sheet, 0, 1)] == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    assert sheet.width == 2 * (CELL + MARGIN) + MARGIN


def test_a_picture_keeps_its_shape_whatever_its_size() -> None:
    wide = contact_sheet([Cell(plain("red", (2000, 500)), "wide")])
    middle = MARGIN + CELL // 2
    assert wide.getpixel((middle, middle)) == (255, 0, 0)
    assert wide.getpixel((middle, MARGIN + 20)) == (255, 255, 255)
    small = contact_sheet([Cell(plain("red", (100, 100)), "small")])
    # Enlarged by a whole factor: 2, not 2.56.
    assert small.getpixel((MARGIN + 27, middle)) == (255, 255, 255)
    assert small.getpixel((MARGIN + 29, middle)) == (255, 0, 0)


def test_a_missing_picture_leaves_its_place_empty() -> None:
    sheet = contact_sheet([Cell(None, "none", "no memory")])
    assert at(sheet, 0, 0) == tuple(int(EMPTY[n : n + 2], 16) for n in (1, 3, 5))


@pytest.mark.parametrize("text", ["", "a word " * 200, "w" * 500, "狐狸", "a\x00b\x1b[31m", "\n\n"])
def test_any_caption_fits_its_place(text: str) -> None:
    sheet = contact_sheet([Cell(plain("white"), text, text), Cell(plain("white"), "second")])
    gap = sheet.crop((MARGIN + CELL + 1, 0, MARGIN + CELL + MARGIN, sheet.height))
    assert gap.getcolors() == [(gap.width * gap.height, (255, 255, 255))]
    bottom = sheet.crop((0, sheet.height - MARGIN, sheet.width, sheet.height))
    assert bottom.getcolors() == [(bottom.width * bottom.height, (255, 255, 255))]


def test_a_caption_is_there_to_be_read() -> None:
    with_text = contact_sheet([Cell(plain("white"), "title", "text")])
    assert with_text.tobytes() != contact_sheet([Cell(plain("white"), "title")]).tobytes()
    assert with_text.tobytes() != contact_sheet([Cell(plain("white"), "", "text")]).tobytes()
