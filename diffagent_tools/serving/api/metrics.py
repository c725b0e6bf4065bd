"""What is counted and measured, in Prometheus' text format at `/metrics`."""

from __future__ import annotations

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from diffagent_tools.serving.api.errors import CLIENT_LEFT
from diffagent_tools.serving.api.fair_queue import FairQueue

_SECONDS = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)


class Metrics:
    """The numbers of one application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "diffagent_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self._drawings = Counter(
            "diffagent_drawings", "Requests to the agent that ended.", ["outcome"], registry=self.registry
        )
        self._seconds = Histogram(
            "diffagent_drawing_seconds", "Seconds of a request to the agent, without waiting.", buckets=_SECONDS,
            registry=self.registry,
        )  # fmt: skip

    def watch(self, name: str, queue: FairQueue) -> None:
        """Show how many wait and run in a queue."""
        for what, count in (("waiting", lambda: queue.waiting), ("running", lambda: queue.running)):
            gauge = Gauge(f"diffagent_{name}_{what}", f"{name.capitalize()} {what}.", registry=self.registry)
            gauge.set_function(count)

    def ended(self, outcome: str, seconds: float) -> None:
        """Count a request to the agent."""
        self._drawings.labels(outcome).inc()
        self._seconds.observe(seconds)

    def answered(self, method: str, route: str, status: int) -> None:
        """Count a request."""
        self._requests.labels(method, route, str(status)).inc()


class Measured:
    """Middleware that counts requests by route, never by what was asked for."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        """Wrap an application."""
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = CLIENT_LEFT

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.answered(method, route, status)


_METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS", "DELETE", "PUT", "PATCH"})


def router(metrics: Metrics) -> APIRouter:
    """The page that Prometheus reads."""
    routes = APIRouter()

    @routes.get("/metrics", response_class=Response)
    def page() -> Response:
        """All numbers."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return routes
