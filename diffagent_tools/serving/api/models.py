"""What can be asked: `/v1/models`."""

from __future__ import annotations

from itertools import islice
from typing import Final

from fastapi import APIRouter

from diffagent_tools.serving.api.service import AGENT, PLANNER, Service

LISTED: Final = 200
"""Checkpoints in the list; the others of a big catalog can be asked for all the same."""


def router(service: Service) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1/models")

    @routes.get("")
    def listed() -> dict[str, object]:
        """The agent, its planner, and the checkpoints that can be asked for by name."""
        checkpoints = (spec.id for spec in service.catalog if spec.is_checkpoint)
        return {"object": "list", "data": [_model(name) for name in (AGENT, PLANNER, *islice(checkpoints, LISTED))]}

    @routes.get("/{name:path}")
    def one(name: str) -> dict[str, object]:
        """One of them."""
        return _model(name if name in (AGENT, PLANNER) else service.catalog.get(name).id)

    return routes


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "diffagent"}
