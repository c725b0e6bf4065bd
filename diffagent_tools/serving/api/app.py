"""The web application: OpenAI's interfaces over one agent."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Mount, Router

from diffagent_tools.serving.api import chat, errors, images, metrics, models, pictures
from diffagent_tools.serving.api.drawings import Drawings
from diffagent_tools.serving.api.fair_queue import FairQueue
from diffagent_tools.serving.api.key_guard import KeyGuard
from diffagent_tools.serving.api.metrics import Measured, Metrics
from diffagent_tools.serving.api.service import Service
from diffagent_tools.serving.api.settings import ServerSettings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.runnables import Runnable

    from diffagent_tools.artifacts import ArtifactStore
    from tool_specs.catalog import AnyCatalog


def create_app(
    agent: Runnable[Any, Any],
    *,
    catalog: AnyCatalog,
    store: ArtifactStore,
    planner: BaseChatModel,
    context_of: Callable[[threading.Event], object],
    settings: ServerSettings | None = None,
) -> FastAPI:
    """Make the application; `server.serve` runs it.

    Other applications can be mounted into it (`app.mount("/mcp", …)`): they stand behind the same key, and start and
    stop with it.

    Args:
        agent: The compiled graph, without a checkpointer.
        catalog: What can be named as a model.
        store: Where the agent keeps its pictures.
        planner: The chat model that writes the calls.
        context_of: The agent's run-scoped context, made of the event that stops the run
            (`lambda cancel: DiffAgentContext(cancel=cancel)`).
        settings: What the server allows.
    """
    settings = settings or ServerSettings()
    measured = Metrics()
    queues = {
        name: FairQueue(places=places, waiting=settings.queue, per_client=settings.queue_per_client)
        for name, places in (("drawings", settings.drawings), ("planner_calls", settings.planner_calls))
    }
    for name, queue in queues.items():
        measured.watch(name, queue)
    drawings = Drawings(agent, context_of=context_of, queue=queues["drawings"], watch=measured.ended)
    service = Service(
        catalog=catalog,
        store=store,
        planner=planner,
        settings=settings,
        drawings=drawings,
        drawing_queue=queues["drawings"],
        planner_queue=queues["planner_calls"],
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for mounted in [route.app for route in app.routes if isinstance(route, Mount)]:
                inner = getattr(mounted, "router", None)
                if isinstance(inner, Router):
                    await stack.enter_async_context(inner.lifespan_context(mounted))
            yield
            service.close()
            await drawings.finish()

    # The pages that describe the interface would load scripts from elsewhere.
    app = FastAPI(
        title="DiffAgent", lifespan=lifespan, docs_url=None, redoc_url=None, max_body_size=settings.max_body_bytes
    )
    app.state.service = service
    errors.install(app)
    for routes in (
        images.router(service),
        chat.router(service),
        models.router(service),
        pictures.router(store),
        metrics.router(measured),
    ):
        app.include_router(routes)

    @app.get("/health")
    def health() -> dict[str, str]:
        """Whether the server answers."""
        return {"status": "ok"}

    if settings.api_key is not None:
        app.add_middleware(KeyGuard, key=settings.api_key)
    else:
        # A web page in a browser on this machine must not ask under a name of its own that points here.
        hosts = {"localhost", "127.0.0.1", "[::1]", f"[{settings.host}]" if ":" in settings.host else settings.host}
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=sorted(hosts))
    app.add_middleware(Measured, metrics=measured)
    return app
