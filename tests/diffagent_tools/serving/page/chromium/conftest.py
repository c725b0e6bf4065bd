from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from graphs.workshop import Workshop
from tests.diffagent_tools.serving.page.chromium.browser import WIDE, Visit, launched, served, visit

if TYPE_CHECKING:
    from fastapi import FastAPI
    from playwright.sync_api import Browser


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with launched() as running:
        yield running


@pytest.fixture(scope="package")
def pocket(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """The real pocket world with a home of its own."""
    from diffagent_tools.artifacts import ArtifactStore

    workshop = Workshop("retrieval")
    workshop.store = ArtifactStore(tmp_path_factory.mktemp("page") / "artifacts")
    return workshop


def pocket_app(pocket: Workshop) -> FastAPI:
    """A server with nothing but the page."""
    from fastapi import FastAPI

    from diffagent_tools.serving.page import build_page, mount_page

    app = FastAPI()
    page = build_page(
        pocket.graph(), catalog=pocket.catalog, backend=pocket.backend, reward=pocket.reward, store=pocket.store
    )
    mount_page(app, page)
    return app


@pytest.fixture(scope="package")
def pocket_url(browser: Browser, pocket: Workshop) -> Iterator[str]:
    with served(pocket_app(pocket)) as url:
        yield url


@pytest.fixture
def visitor(browser: Browser, pocket_url: str) -> Iterator[Visit]:
    """A person at a wide screen; afterwards nothing may have gone wrong, and nobody else may have been asked."""
    with visit(browser, pocket_url, viewport=WIDE) as person:
        yield person
        went_well(person)


def went_well(person: Visit) -> None:
    """Check that the console stayed empty, and that only the server was asked for anything."""
    assert person.faults == []
    assert person.hosts - {"blob", "data"} == {urlsplit(person.url).netloc}
