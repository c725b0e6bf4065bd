"""Several pictures as one: a grid with a caption under each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tool_specs.prompts import clean_text

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

    from diffagent_tools.artifacts import ArtifactStore, ImageReference

CELL: Final = 256
"""Width and height that a picture may fill, in pixels."""
MARGIN: Final = 12
TITLE_SIZE: Final = 17
TEXT_SIZE: Final = 14
LINE: Final = 20
"""Height of a line of a caption, in pixels."""
TEXT_LINES: Final = 3
COLUMNS: Final = 4
BACKGROUND, EMPTY, TITLE, TEXT = "#ffffff", "#e4e4e4", "#111111", "#555555"


@dataclass(frozen=True, slots=True)
class Cell:
    """One picture with its caption.

    Attributes:
        image: The picture; None leaves its place empty.
        title: One line.
        text: What else there is to say; three lines of it are shown.
    """

    image: Image | None
    title: str
    text: str = ""


def saved_sheet(store: ArtifactStore, told: Sequence[tuple[ImageReference | None, str, str]]) -> ImageReference:
    """Put stored pictures side by side, and store the sheet with what it says.

    Args:
        store: Has the pictures, and gets the sheet.
        told: Of each place the picture, None where there is none, its title, and the text below.

    Raises:
        ArtifactError: A picture is gone, or the sheet cannot be written.
    """
    cells = [Cell(store.open(picture) if picture else None, title, text) for picture, title, text in told]
    record = [
        {"title": title, "text": text, "image": picture["sha256"] if picture else None} for picture, title, text in told
    ]
    return store.save_sheet(contact_sheet(cells), record)


def contact_sheet(cells: Sequence[Cell], *, columns: int = COLUMNS) -> Image:
    """Put pictures side by side.

    Args:
        cells: The pictures with their captions, row by row.
        columns: Most pictures in a row.

    Returns:
        An RGB picture: each cell shows its picture as large as fits into 256x256 pixels.
    """
    from PIL import Image, ImageDraw, ImageFont

    columns = max(1, min(columns, len(cells)))
    rows = math.ceil(len(cells) / columns)
    width, height = CELL + MARGIN, CELL + (1 + TEXT_LINES) * LINE + MARGIN
    sheet = Image.new("RGB", (columns * width + MARGIN, rows * height + MARGIN), BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    title_font, text_font = ImageFont.load_default(TITLE_SIZE), ImageFont.load_default(TEXT_SIZE)
    for n, cell in enumerate(cells):
        left, top = MARGIN + n % columns * width, MARGIN + n // columns * height
        _put_picture(sheet, pen, cell.image, left, top)
        pen.text((left, top + CELL + 4), _lines(cell.title, title_font, 1)[0], TITLE, title_font)
        for line, words in enumerate(_lines(cell.text, text_font, TEXT_LINES), start=1):
            pen.text((left, top + CELL + 4 + line * LINE), words, TEXT, text_font)
    return sheet


def _put_picture(sheet: Image, pen: ImageDraw, image: Image | None, left: int, top: int) -> None:
    """Paste a picture into the middle of its place, as large as fits; grey where there is none."""
    if image is None:
        pen.rectangle((left, top, left + CELL - 1, top + CELL - 1), EMPTY)
        return
    scale = CELL / max(image.size)
    # Small pictures are enlarged by a whole factor, so that pixel art stays what it is.
    scale = math.floor(scale) if scale >= 1 else scale
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    from PIL import Image

    method = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.LANCZOS
    shown = image.convert("RGB").resize(size, method)
    sheet.paste(shown, (left + (CELL - size[0]) // 2, top + (CELL - size[1]) // 2))


def _lines(text: str, font: FreeTypeFont | ImageFont, most: int) -> list[str]:
    """Text broken into at most `most` lines as wide as a cell; what does not fit ends in an ellipsis."""
    lines = [""]
    for word in clean_text(text).split():
        longer = f"{lines[-1]} {word}".strip()
        if not lines[-1] or font.getlength(longer) <= CELL:
            lines[-1] = longer
        else:
            lines.append(word)
    kept = lines[:most]
    if len(lines) > most:
        kept[-1] += "…"
    return [_shortened(line, font) for line in kept]


def _shortened(line: str, font: FreeTypeFont | ImageFont) -> str:
    """A line cut to the width of a cell."""
    if font.getlength(line) <= CELL:
        return line
    line = line.removesuffix("…")
    while line and font.getlength(f"{line}…") > CELL:
        line = line[:-1]
    return f"{line}…"
