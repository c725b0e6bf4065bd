"""Backends and chat models for graphs whose branches run side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.backends.protocol import Backend, Drawing, StepProgress
from tests.graphs.paper_world import CATALOG, BrightnessReward, PaperBackend, ScriptedPlanner, WordEmbedder
from tool_specs.calls import Call
from tool_specs.search.shortlist import Shortlister


@dataclass
class ModelBackend(Backend):
    """A paper backend for each model, so that what one branch does is independent of the others."""

    models: Mapping[str, PaperBackend]
    fault: Callable[[Call], BaseException | None] = lambda call: None
    calls: list[Call] = field(default_factory=list)

    def draw(
        self,
        call: Call,
        *,
        on_step: Callable[[StepProgress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> Drawing:
        """Draw; see `Backend.draw`."""
        self.calls.append(call)
        if (fault := self.fault(call)) is not None:
            raise fault
        return self.models[call.checkpoint].draw(call, on_step=on_step, cancel=cancel)


class ScriptedWriter(ScriptedPlanner):
    """A chat model with structured output: it answers with the arguments that it is told to."""

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        """Answer as before."""
        return self

    @classmethod
    def saying(cls, form: str, *answers: dict[str, Any]) -> ScriptedWriter:
        """One that fills in a form."""
        return cls(answers=[AIMessage("", tool_calls=[{"name": form, "args": args, "id": "1"}]) for args in answers])


def paper_parts(folder: Any, backend: Any) -> dict[str, Any]:
    """What every graph over the paper world is made of."""
    return {
        "catalog": CATALOG,
        "shortlister": Shortlister(CATALOG, WordEmbedder()),
        "backend": backend,
        "reward": BrightnessReward(),
        "store": ArtifactStore(folder / "artifacts"),
    }
