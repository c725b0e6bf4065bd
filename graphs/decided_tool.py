"""The tool that draws what the graph has decided."""

from __future__ import annotations

from typing import Any, Self

from langchain_core.tools import ArgsSchema
from pydantic import Field

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.backends.protocol import Backend
from diffagent_tools.tools.generation import GenerationTool
from tool_specs.calls import Call
from tool_specs.catalog import AnyCatalog

ANYTHING: dict[str, Any] = {"type": "object", "additionalProperties": True}


class DecidedTool(GenerationTool):
    """Draws one call, whatever arguments the message has that led to it: they were read and completed before.

    Planners are offered less than a call may hold, such as sizes in steps of 64 and the networks on the shortlist; what
    a person fixes is held to the call alone.
    """

    args_schema: ArgsSchema | None = Field(default=ANYTHING)
    decided: Call = Field(exclude=True, repr=False)
    """What is drawn."""

    @classmethod
    def of_call(cls, name: str, call: Call, catalog: AnyCatalog, backend: Backend, store: ArtifactStore) -> Self:
        """The tool of one call.

        Args:
            name: Under which the planner called it.
            call: What is drawn.
            catalog: Where its models are looked up.
            backend: What draws.
            store: Where pictures are kept.
        """
        spec = catalog.get(call.checkpoint)
        return cls(
            name=name,
            description=f"Draws with {spec.id}.",
            decided=call,
            spec=spec,
            networks=tuple(catalog.get(lora.id) for lora in call.loras),
            backend=backend,
            store=store,
        )

    def _call(self, arguments: dict[str, object]) -> Call:  # noqa: ARG002 - the decision counts
        return self.decided
