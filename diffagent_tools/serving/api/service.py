"""What the routes of one application share."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from fastapi import Request

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.serving.api.drawings import Drawings
from diffagent_tools.serving.api.errors import NO_RETRY, SERVER_FAULT, ApiError
from diffagent_tools.serving.api.fair_queue import FairQueue
from diffagent_tools.serving.api.settings import ServerSettings
from tool_specs.catalog import AnyCatalog

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

AGENT: Final = "diffagent"
"""The model that finds one, draws, judges and tries again."""
PLANNER: Final = "diffagent-planner"
"""The chat model behind it, which only writes calls."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """The parts of one server."""

    catalog: AnyCatalog
    store: ArtifactStore
    planner: BaseChatModel
    settings: ServerSettings
    drawings: Drawings
    drawing_queue: FairQueue
    planner_queue: FairQueue

    def close(self) -> None:
        """Take no more requests, and send away those that wait."""
        self.drawing_queue.close()
        self.planner_queue.close()

    def deadline(self) -> float:
        """When a request that has just come must be answered, on the event loop's clock."""
        return asyncio.get_running_loop().time() + self.settings.deadline_seconds

    def options(self, model: str) -> dict[str, object]:
        """What a model id fixes: nothing for the agent, else that checkpoint.

        Args:
            model: `AGENT`, or the spec id, model id or tool name of a checkpoint.

        Raises:
            CatalogError: There is no such model.
            ApiError: It is no checkpoint.
        """
        if model == AGENT:
            return {}
        spec = self.catalog.get(model)
        if not spec.is_checkpoint:
            msg = f"{spec.model_name} ({spec.id}) is a {spec.type}; name a checkpoint, or {AGENT!r} to have one chosen"
            raise ApiError(400, msg, param="model", code="not_a_checkpoint")
        return {"model": spec.id}

    def check_prompt(self, prompt: str, param: str) -> None:
        """See that a request for a picture is not too long.

        Raises:
            ApiError: It is.
        """
        most = self.settings.max_prompt_characters
        if len(prompt) > most:
            msg = f"the {param} has {len(prompt):,} characters; at most {most:,} are read: say it shorter"
            raise ApiError(400, msg, param=param, code="prompt_too_long")


def client_of(request: Request) -> str:
    """Who asks, for the queue: the address. Behind a proxy on this machine it is the one that the proxy names."""
    return request.client.host if request.client else ""


def best_of(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """The best attempt of a request that ended.

    Raises:
        ApiError: There is none: nothing fits, or drawing failed.
    """
    if state["best"]:
        best: Mapping[str, Any] = state["best"]
        return best
    outcome = state["outcome"]
    if outcome["status"] == "nothing_fits":
        # The planner's own words may name them already.
        unnamed = [one for one in outcome["nearest"] if one["id"] not in outcome["reason"]]
        nearest = ", ".join(f"{one['name']} ({one['id']})" for one in unnamed)
        msg = f"nothing here can draw that: {outcome['reason']}" + (f" Nearest: {nearest}." if nearest else "")
        raise ApiError(400, msg, param="prompt", code="nothing_fits")
    msg = f"nothing was drawn: {outcome['reason']}"
    raise ApiError(500, msg, type=SERVER_FAULT, code="drawing_failed", headers=NO_RETRY)
