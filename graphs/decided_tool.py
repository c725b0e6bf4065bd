"""The tool that draws what the graph has decided."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Self

from langchain_core.tools import ArgsSchema
from pydantic import Field

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.backends.protocol import Backend
from diffagent_tools.tools.drawing import draw
from diffagent_tools.tools.faults import ActionableTool
from diffagent_tools.tools.results import ImageResult
from tool_specs.calls import Call
from tool_specs.catalog import AnyCatalog
from tool_specs.spec import ToolSpec

ANYTHING: dict[str, Any] = {"type": "object", "additionalProperties": True}


class DecidedTool(ActionableTool):
    """Draws one call, whatever arguments the message has that led to it: they were read and completed before.

    Planners are offered less than a call may hold, such as sizes in steps of 64 and the networks on the shortlist; what
    a person fixes is held to the call alone.
    """

    args_schema: ArgsSchema | None = Field(default=ANYTHING)
    call: Call = Field(exclude=True, repr=False)
    """What is drawn."""
    specs: tuple[ToolSpec, ...] = Field(exclude=True, repr=False)
    """Its checkpoint and networks."""
    backend: Backend = Field(exclude=True, repr=False)
    """What draws."""
    store: ArtifactStore = Field(exclude=True, repr=False)
    """Where pictures are kept."""

    @classmethod
    def of(cls, name: str, call: Call, catalog: AnyCatalog, backend: Backend, store: ArtifactStore) -> Self:
        """The tool of one call.

        Args:
            name: Under which the planner called it.
            call: What is drawn.
            catalog: Where its models are looked up.
            backend: What draws.
            store: Where pictures are kept.
        """
        specs = tuple(catalog.get(spec_id) for spec_id in (call.checkpoint, *(lora.id for lora in call.loras)))
        described = f"Draws with {specs[0].id}."
        return cls(name=name, description=described, call=call, specs=specs, backend=backend, store=store)

    def _run(self, **_: object) -> tuple[str, ImageResult]:
        return self._draw(threading.Event())

    async def _arun(self, **_: object) -> tuple[str, ImageResult]:
        """The same in a thread; when the task is cancelled the drawing stops before its next step."""
        cancel = threading.Event()
        try:
            return await asyncio.to_thread(self._draw, cancel)
        except asyncio.CancelledError:
            cancel.set()
            raise

    def _draw(self, cancel: threading.Event) -> tuple[str, ImageResult]:
        return draw(self.call, self.specs, self.backend, self.store, cancel)
