"""Runs the application, and ends it so that nothing that is being drawn is lost without need."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

import uvicorn

from diffagent_tools.serving.api.drawings import STOP_SECONDS
from tool_specs.exceptions import ConfigError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from diffagent_tools.serving.api.service import Service
    from diffagent_tools.serving.api.settings import ServerSettings


class ApiServer(uvicorn.Server):
    """Serves an application of `create_app`.

    When it is told to stop, it takes no more requests and sends away those that wait. What is being drawn may end
    within the time of grace; after that it is stopped between two steps, and its client gets the best attempt so far.
    """

    def __init__(self, app: FastAPI, *, ready: Callable[[], None] = lambda: None) -> None:
        """Prepare a server.

        Args:
            app: From `create_app`.
            ready: Called when it answers.
        """
        self._service: Service = app.state.service
        self._ready = ready
        settings = self._service.settings
        super().__init__(
            uvicorn.Config(
                app,
                log_level="warning",
                server_header=False,
                timeout_graceful_shutdown=math.ceil(settings.grace_seconds + STOP_SECONDS),
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer; see `uvicorn.Server`."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End; see `uvicorn.Server`."""
        self._service.close()
        self._end_pages()
        loop = asyncio.get_running_loop()
        patience = loop.call_later(self._service.settings.grace_seconds, self._service.drawings.stop)
        try:
            await super().shutdown(sockets)
        finally:
            patience.cancel()

    def _end_pages(self) -> None:
        """Gradio keeps a stream to each open page, which ends only when its own event says so."""
        for route in self.config.app.routes:  # type: ignore[union-attr]
            stopping = getattr(getattr(route, "app", None), "stop_event", None)
            if stopping is not None:
                stopping.set()


def listening(settings: ServerSettings) -> socket.socket:
    """A socket at the address of a server; port 0 is any free one.

    Raises:
        ConfigError: The address cannot be had.
    """
    try:
        return socket.create_server(
            (settings.host, settings.port), family=socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        )
    except OSError as error:
        msg = f"cannot listen at {settings.host}, port {settings.port} ({error}); choose another --port or --host"
        raise ConfigError(msg) from error


def base_url(listener: socket.socket) -> str:
    """Where OpenAI's clients find a server."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"


def serve(app: FastAPI, settings: ServerSettings, *, ready: Callable[[str], None]) -> None:
    """Serve until a signal ends it.

    Args:
        app: From `create_app`.
        settings: The ones it was made with.
        ready: Told the base URL when it answers.

    Raises:
        ConfigError: The address cannot be had.
        KeyboardInterrupt: Ended by Ctrl-C.
    """
    listener = listening(settings)
    url = base_url(listener)
    ApiServer(app, ready=lambda: ready(url)).run(sockets=[listener])
