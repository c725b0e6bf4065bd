"""The page in Chromium, over the shipped weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from diffagent_tools.artifacts import INFOTEXT_KEY, read_call
from graphs.workshop import Workshop
from tests.diffagent_tools.serving.page.chromium.browser import PHONE, Visit, draw, ended, is_too_wide, served, visit
from tests.diffagent_tools.serving.page.chromium.conftest import pocket_app, went_well
from tool_specs.infotext import parse_infotext
from tool_specs.pocket import POCKET_DIR

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (POCKET_DIR / "records").is_dir(), reason="the pocket world is not in the package: make pocket-train"
    ),
]

FOX = "a fox in pixel art on a blue background"


def fill(page: Page, field: str, value: str) -> None:
    page.locator(f"#edit-{field}").locator("input, textarea").first.fill(value)


def redraw(page: Page, attempt: int) -> None:
    """Draw what stands in the form and wait for the attempt."""
    page.locator("#redraw").click()
    page.locator("#cards .card").nth(attempt - 1).wait_for()
    ended(page)


def test_a_request_is_watched_and_its_picture_taken_home(visitor: Visit, tmp_path: Path) -> None:
    page = visitor.open()
    draw(page, FOX)

    assert "Pocket Animals" in page.locator("#shortlist li.chosen").first.inner_text()
    assert "fox" in page.locator("#shortlist li.chosen .why").first.inner_text()
    call = page.locator("#call").inner_text()
    assert "Pocket Animals" in call
    assert "DPM++ 2M Karras" in call
    card = page.locator("#cards .card").last
    assert "Reward" in card.inner_text()
    assert card.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 64
    assert "Done" in page.locator("#status").inner_text()

    with page.expect_download() as download:
        card.get_by_role("link").click()
    file = tmp_path / "home.png"
    download.value.save_as(file)
    assert "fox" in download.value.suggested_filename
    assert read_call(file).checkpoint == "civitai:9001@9101"
    with Image.open(file) as picture:
        assert "fox" in parse_infotext(picture.info[INFOTEXT_KEY]).prompt


def test_a_call_is_edited_drawn_again_and_compared(visitor: Visit) -> None:
    page = visitor.open()
    draw(page, "a cat")
    before = page.locator("#cards .card").count()
    page.locator("#cards .card").last.get_by_role("button", name="Edit").click()
    page.wait_for_function("document.activeElement.closest('#edit-prompt') !== null")

    fill(page, "steps", "0")
    page.locator("#redraw").click()
    problem = page.locator("#edit-alert .problem")
    problem.wait_for()
    assert "steps=0" in problem.inner_text()
    assert "the least is 1" in problem.inner_text()
    assert page.locator("#cards .card").count() == before

    fill(page, "steps", "6")
    fill(page, "seed", "7")
    redraw(page, before + 1)
    new = page.locator("#cards .card").last
    assert "your call" in new.inner_text()
    assert problem.count() == 0

    for card in (page.locator("#cards .card").nth(before - 1), new):
        card.get_by_role("checkbox").check()
    figures = page.locator("#comparison figure")
    figures.nth(1).wait_for()
    assert figures.count() == 2
    told = figures.last.locator("dl").inner_text()
    assert "Steps\n6" in told
    assert "Prompt" not in told


def test_what_nothing_can_draw_is_explained_and_can_be_forced(visitor: Visit) -> None:
    page = visitor.open()
    draw(page, "a detailed map of Portugal")
    alert = page.get_by_role("alert").first
    assert alert.locator("li").count() == 3
    assert all(why.inner_text() for why in alert.locator(".why").all())
    assert page.locator("#cards .card").count() == 0

    page.locator("#force").click()
    page.locator("#cards .card").first.wait_for()
    ended(page)
    assert page.locator("#alert .problem").count() == 0


def test_an_empty_request_says_what_to_do(visitor: Visit) -> None:
    page = visitor.open()
    page.locator("#draw").click()
    problem = page.locator("#alert .problem")
    problem.wait_for()
    assert "say what to draw" in problem.inner_text()
    assert page.locator("#history button").count() == 0


def test_history_survives_a_reload_and_another_server(browser: Browser, pocket: Workshop) -> None:
    with served(pocket_app(pocket)) as url, visit(browser, url) as person:
        page = person.open()
        draw(page, "a pizza")
        page.locator("#history button").first.wait_for()
        page.reload()
        page.locator("#history button", has_text="a pizza").wait_for()
        went_well(person)
        state = person.context.storage_state()

    with (
        served(pocket_app(pocket), int(url.rpartition(":")[2])) as again,
        visit(browser, again, storage_state=state) as person,
    ):
        page = person.open()
        page.locator("#history button", has_text="a pizza").click()
        picture = page.locator("#cards img").first
        picture.wait_for()
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 64
        assert page.locator("#request textarea").input_value() == "a pizza"
        page.locator("#forget").click()
        page.locator("#history button").first.wait_for(state="detached")
        page.reload()
        page.locator("#history .quiet").wait_for()
        assert page.locator("#history button").count() == 0
        went_well(person)


def test_everything_can_be_done_with_the_keyboard_alone(visitor: Visit) -> None:
    page = visitor.open()

    def reach(selector: str) -> None:
        for _ in range(60):
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
            page.keyboard.press("Tab")
        raise AssertionError(selector)

    reach("#request textarea")
    page.keyboard.type("a dog")
    reach("#draw")
    page.keyboard.press("Enter")
    page.locator("#cards .card").first.wait_for()
    ended(page)
    reach("[data-act=compare]")
    page.keyboard.press("Space")
    page.locator("[data-act=compare][checked]").first.wait_for()
    reach("[data-act=edit]")
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.closest('#edit-prompt') !== null")
    count = page.locator("#cards .card").count()
    reach("#redraw")
    page.keyboard.press("Enter")
    page.locator("#cards .card").nth(count).wait_for()
    ended(page)
    reach("#history button")
    page.keyboard.press("Enter")
    page.locator("#edit-note").wait_for(state="hidden")


@pytest.mark.parametrize("width", [390, 1600])
def test_nothing_is_wider_than_the_screen(browser: Browser, pocket_url: str, width: int) -> None:
    with visit(browser, pocket_url, viewport={**PHONE, "width": width}) as person:
        page = person.open()
        assert not is_too_wide(page)
        draw(page, FOX)
        page.locator("#cards .card").last.get_by_role("button", name="Edit").click()
        page.locator("#edit-prompt textarea").wait_for()
        assert not is_too_wide(page)
        columns = [page.locator(part).bounding_box() for part in ("#work", "#side")]
        assert columns[0]
        assert columns[1]
        assert (columns[1]["y"] > columns[0]["y"] + 100) is (width == 390)
        went_well(person)
