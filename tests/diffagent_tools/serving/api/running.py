"""A real server on a free loopback port, for as long as a test needs it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from langchain_core.language_models import BaseChatModel
from openai import AsyncOpenAI, OpenAI

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.chat_models.retrieval import RetrievalChatModel
from diffagent_tools.serving.api.app import create_app
from diffagent_tools.serving.api.server import ApiServer, base_url, listening
from diffagent_tools.serving.api.settings import ServerSettings
from graphs.context import DiffAgentContext
from tests.graphs.paper_world import CATALOG, PaperBackend, WordEmbedder, paper_agent
from tool_specs.search.shortlist import Shortlister

KEY = "a-key-of-more-than-16-letters"


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    url: str
    server: ApiServer
    store: ArtifactStore
    key: str | None = None

    @property
    def root(self) -> str:
        """Where it answers, without `/v1`."""
        return self.url.removesuffix("/v1")

    def client(self, **settings: Any) -> OpenAI:
        """OpenAI's client for it; it repeats nothing, so that a test sees every error."""
        return OpenAI(base_url=self.url, api_key=self.key or "none", **{"max_retries": 0, **settings})

    def async_client(self) -> AsyncOpenAI:
        """The same, async."""
        return AsyncOpenAI(base_url=self.url, api_key=self.key or "none", max_retries=0)

    def metric(self, line: str) -> float:
        """The value of one line of the metrics; 0 where there is none yet."""
        headers = {"Authorization": f"Bearer {self.key}"}
        page = httpx.get(f"{self.root}/metrics", headers=headers).text.splitlines()
        return next((float(one.rpartition(" ")[2]) for one in page if one.rpartition(" ")[0] == line), 0.0)


@contextmanager
def running(app: FastAPI, store: ArtifactStore) -> Iterator[Running]:
    """Serve an application in a thread."""
    settings = app.state.service.settings
    listener = listening(replace(settings, port=0))
    answers = threading.Event()
    server = ApiServer(app, ready=answers.set)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        assert answers.wait(30)
        yield Running(base_url(listener), server, store, settings.api_key)
    finally:
        server.should_exit = True
        thread.join(60)
    assert not thread.is_alive()


@contextmanager
def paper_server(
    folder: Path, backend: PaperBackend, *, planner: BaseChatModel | None = None, **settings: Any
) -> Iterator[Running]:
    """The agent over the paper world, behind a server."""
    store = ArtifactStore(folder / "artifacts")
    planner = planner or RetrievalChatModel(catalog=CATALOG, shortlister=Shortlister(CATALOG, WordEmbedder()))
    app = create_app(
        paper_agent(folder, backend, planner=planner),
        catalog=CATALOG,
        store=store,
        planner=planner,
        context_of=lambda cancel: DiffAgentContext(cancel=cancel),
        settings=ServerSettings(**{"grace_seconds": 5.0, **settings}),
    )
    with running(app, store) as server:
        yield server
