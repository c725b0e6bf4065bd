"""Takes the pictures of the page for the docs; `docs/page.md` says how."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from diffagent_tools.artifacts import ArtifactStore
from graphs.workshop import Workshop
from tests.diffagent_tools.serving.page.chromium.browser import PHONE, WIDE, draw, ended, launched, served, visit
from tests.diffagent_tools.serving.page.chromium.conftest import pocket_app

if TYPE_CHECKING:
    from playwright.sync_api import FloatRect, Page

MOST_HEIGHT = 2200
"""Pixels of a picture; a phone's page is long."""


def story(page: Page) -> None:
    """Two requests; the second one edited, drawn again and compared."""
    draw(page, "a strawberry as a neon sign")
    draw(page, "a fox in pixel art on a blue background")
    page.locator("#cards .card").last.get_by_role("button", name="Edit").click()
    page.locator("#edit-networks textarea").wait_for()
    page.locator("#edit-networks textarea").fill("civitai:9013@9113 1")
    page.locator("#edit-prompt textarea").fill("a fox on a blue background, watercolor")
    count = page.locator("#cards .card").count()
    page.locator("#redraw").click()
    page.locator("#cards .card").nth(count).wait_for()
    ended(page)
    for card in page.locator("#cards .card").all():
        card.get_by_role("checkbox").check()
    page.locator("#comparison figure").nth(1).wait_for()
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    page.wait_for_timeout(500)


def main(folder: Path) -> None:
    """Write `page-390.png` and `page-1600.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        workshop = Workshop("retrieval")
        workshop.store = ArtifactStore(Path(home) / "artifacts")
        with served(pocket_app(workshop)) as url, launched() as browser:
            for size in (PHONE, WIDE):
                with visit(browser, url, viewport=size) as person:
                    page = person.open()
                    story(page)
                    file = folder / f"page-{size['width']}.png"
                    height = min(page.evaluate("document.documentElement.scrollHeight"), MOST_HEIGHT)
                    clip: FloatRect = {"x": 0, "y": 0, "width": size["width"], "height": height}
                    page.screenshot(path=file, full_page=True, clip=clip)
                    with Image.open(file) as image:
                        image.convert("RGB").quantize(256).save(file, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
