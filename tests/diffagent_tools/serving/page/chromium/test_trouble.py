"""What can go wrong on the page: over the paper world, where it can be made to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from diffagent_tools.artifacts import ArtifactStore
from tests.diffagent_tools.serving.page.chromium.browser import WIDE, Visit, draw, ended, served, visit
from tests.diffagent_tools.serving.page.chromium.conftest import went_well
from tests.graphs.paper_world import (
    ANIMALS,
    CATALOG,
    BrightnessReward,
    PaperBackend,
    ScriptedPlanner,
    WordEmbedder,
    calling,
    spec_of,
)
from tool_specs.catalog import Catalog
from tool_specs.exceptions import BackendError
from tool_specs.search.shortlist import Shortlister

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

HOSTILE = '<img src=x onerror="window.hit=1"> {{constructor}} ${window.hit=2} `+(window.hit=3)+` **bold**'


@contextmanager
def paper_page(browser: Browser, folder: Path, backend: PaperBackend, catalog: Catalog = CATALOG) -> Iterator[Visit]:
    """A person on a page over the paper world."""
    from fastapi import FastAPI

    from diffagent_tools.serving.page import build_page, mount_page
    from graphs.agent import create_diffagent

    store, reward = ArtifactStore(folder / "artifacts"), BrightnessReward()
    agent = create_diffagent(
        catalog=catalog,
        shortlister=Shortlister(catalog, WordEmbedder()),
        backend=backend,
        reward=reward,
        store=store,
        planner=ScriptedPlanner(answers=[calling(ANIMALS, tool=catalog.get(ANIMALS).tool_name)]),
    )
    app = FastAPI()
    mount_page(app, build_page(agent, catalog=catalog, backend=backend, reward=reward, store=store), "/draw")
    with served(app) as url, visit(browser, f"{url}/draw/", viewport=WIDE) as person:
        yield person
        went_well(person)


def test_a_backend_that_fails_is_shown_and_the_page_goes_on(browser: Browser, tmp_path: Path) -> None:
    def broken() -> BaseException:
        return BackendError("the drawing machine is on fire; put it out")

    backend = PaperBackend(tmp_path / "log", faults=dict.fromkeys((1, 2, 3), broken))
    with paper_page(browser, tmp_path, backend) as person:
        page = person.open()
        draw(page, "a fox")
        problem = page.get_by_role("alert").first
        assert "the drawing machine is on fire" in problem.inner_text()
        assert page.locator("#cards .card.empty").count() == 3
        draw(page, "a fox")
        assert page.locator("#cards .card img").count() == 1
        assert page.locator("#alert .problem").count() == 0


def test_stop_ends_the_drawing_between_two_steps(browser: Browser, tmp_path: Path) -> None:
    backend = PaperBackend(tmp_path / "log", step_seconds=2.0)
    with paper_page(browser, tmp_path, backend) as person:
        page = person.open()
        page.locator("#request textarea").fill("a fox")
        page.locator("#draw").click()
        page.locator("#status .count").wait_for()
        page.locator("#stop").click()
        ended(page)
        assert "Stopped" in page.locator("#status").inner_text()
        assert page.locator("#stop").is_disabled()
        assert len(backend.drawn) == 1
        assert not list(tmp_path.glob("artifacts/**/*.png"))


def test_strangers_words_stay_words(browser: Browser, tmp_path: Path) -> None:
    catalog = Catalog(
        [spec_of(ANIMALS, HOSTILE, ("fox",)), *(spec for spec in CATALOG if spec.id != ANIMALS)],
    )
    with paper_page(browser, tmp_path, PaperBackend(tmp_path / "log"), catalog) as person:
        page = person.open()
        draw(page, f"a fox {HOSTILE}")
        page.locator("#history button").first.wait_for()
        page.locator("#cards [data-act=edit]").first.click()
        page.locator("#edit-prompt textarea").wait_for()
        for part in ("#shortlist", "#call", "#cards", "#history"):
            assert "{{constructor}} ${window.hit=2}" in page.locator(part).inner_text()
        assert page.evaluate("window.hit") is None
        assert page.locator("img[src=x]").count() == 0
