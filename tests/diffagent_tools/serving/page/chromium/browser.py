"""The page in a real browser: a server on a free loopback port, and Chromium with a log of all it asked for."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from fastapi import FastAPI
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

PHONE = {"width": 390, "height": 844}
WIDE = {"width": 1600, "height": 1000}


@contextmanager
def served(app: FastAPI, port: int = 0) -> Iterator[str]:
    """The address of a running server."""
    import uvicorn

    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.05)
            assert server.started
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def chromium() -> str:
    """Where Chromium is; a test that needs it is skipped where there is none."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.skip("there is no Chromium on the PATH: apt install chromium, or name it in CHROMIUM")
    return path


@contextmanager
def launched() -> Iterator[Browser]:
    """A running Chromium."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """One person's browser on the page, and what went on in it.

    Attributes:
        faults: Console errors, uncaught errors and requests that failed.
        hosts: Whom the browser asked for anything.
    """

    context: BrowserContext
    url: str
    faults: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def open(self) -> Page:
        """The page in a new tab, ready to be used."""
        page = self.context.new_page()
        page.set_default_timeout(90_000)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("response", lambda got: self.faults.append(f"{got.status} {got.url}") if got.status >= 400 else None)
        page.on("request", lambda asked: self.hosts.add(_host(asked.url)))
        page.goto(self.url)
        page.locator("#request textarea").wait_for()
        page.locator("#head h1").wait_for()
        return page

    def _heard(self, said: ConsoleMessage) -> None:
        if said.type in ("error", "warning"):
            self.faults.append(f"{said.text} {said.location['url']}")


def _host(url: str) -> str:
    parts = urlsplit(url)
    return parts.netloc if parts.scheme in ("http", "https", "ws", "wss") else parts.scheme


@contextmanager
def visit(browser: Browser, url: str, **options: Any) -> Iterator[Visit]:
    """A browser profile of its own."""
    context = browser.new_context(accept_downloads=True, **options)
    try:
        yield Visit(context, url)
    finally:
        context.close()


# What nothing can draw is answered so soon that the progress bar may be gone before anybody looks for it.
_NOTE_PROGRESS = """() => {
  window.progressSeen = false;
  const seen = () => { window.progressSeen ||= document.querySelector("#status progress") !== null; };
  new MutationObserver(seen).observe(document.body, {childList: true, subtree: true});
}"""


def draw(page: Page, request: str) -> None:
    """Type a request, send it with the Enter key, and wait for its end."""
    box = page.locator("#request textarea")
    box.fill(request)
    page.evaluate(_NOTE_PROGRESS)
    box.press("Enter")
    page.wait_for_function("window.progressSeen")
    ended(page)


def ended(page: Page) -> None:
    """Wait until nothing is being drawn any more."""
    page.locator("#status progress").wait_for(state="detached")


def is_too_wide(page: Page) -> bool:
    """Whether one has to scroll sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))
