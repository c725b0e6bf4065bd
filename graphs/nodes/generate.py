"""Third step: the tool is run and the backend draws."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from time import monotonic
from typing import cast

from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.prebuilt import ToolNode
from langgraph.runtime import get_runtime

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.backends.protocol import Backend, StepProgress
from diffagent_tools.tools.results import ImageResult
from graphs.context import run_context, stop_if_cancelled
from graphs.decided_tool import DecidedTool
from graphs.events import Emit, emitter
from graphs.faults import is_models_fault, worth_another_try
from graphs.state import DiffAgentState, Drawn, ImageReference, JsonDict, not_drawn, proposed
from graphs.watched_backend import WatchedBackend
from tool_specs.calls import parse_call
from tool_specs.catalog import AnyCatalog


class GenerateNode:
    """Runs the proposed tool call through a `ToolNode`.

    A `ToolNode` holds its tools from the start, and here each call has a tool of its own: so one is made for each
    drawing, around a backend that reports to this node. That costs milliseconds beside a drawing of seconds.
    """

    def __init__(self, catalog: AnyCatalog, backend: Backend, store: ArtifactStore) -> None:
        """Draw with `backend`, keep pictures in `store`."""
        self._catalog = catalog
        self._backend = backend
        self._store = store

    def __call__(self, state: DiffAgentState, config: RunnableConfig) -> DiffAgentState:
        """Fill `drawn`.

        Raises:
            DrawingCancelled: The caller asked to stop; nothing is recorded, so the thread draws this attempt again.
            ArtifactError: The picture could not be stored; another model would not help.
        """
        if (run := self._run(state)) is None:
            return {"drawn": not_drawn(proposed(state)["problem"] or "the call is not valid")}
        try:
            output = run.node.invoke({"messages": state["messages"][-1:]}, config)
        except Exception as fault:  # noqa: BLE001 - `failed` raises again what is not the model's
            return run.failed(fault)
        return run.finished(output["messages"][0])

    async def acall(self, state: DiffAgentState, config: RunnableConfig) -> DiffAgentState:
        """The same with the tool's own async path; a cancelled task stops the drawing between two steps."""
        if (run := await asyncio.to_thread(self._run, state)) is None:
            return {"drawn": not_drawn(proposed(state)["problem"] or "the call is not valid")}
        try:
            output = await run.node.ainvoke({"messages": state["messages"][-1:]}, config)
        except asyncio.CancelledError:
            run.backend.stop.set()
            raise
        except Exception as fault:  # noqa: BLE001 - `failed` raises again what is not the model's
            return run.failed(fault)
        return run.finished(output["messages"][0])

    def _run(self, state: DiffAgentState) -> _Run | None:
        """The tool of this call over a watched backend; `None` when the proposed call is not valid."""
        stop_if_cancelled()
        if (decided := proposed(state)["call"]) is None:
            return None
        emit, n = emitter(), len(state["attempts"]) + 1

        def report(progress: StepProgress) -> None:
            emit({"event": "step", "attempt": n, "step": progress.step, "total": progress.total})

        backend = WatchedBackend(self._backend, on_step=report, cancel=run_context().cancel)
        tool = DecidedTool.of_call(proposed(state)["tool"], parse_call(decided), self._catalog, backend, self._store)
        node = ToolNode([tool], handle_tool_errors=False)
        info = get_runtime().execution_info
        return _Run(node, backend, emit, n, tries=info.node_attempt if info is not None else 1)


@dataclass(frozen=True, slots=True)
class _Run:
    """One try at one drawing."""

    node: ToolNode
    backend: WatchedBackend
    emit: Emit
    n: int
    tries: int
    started: float = field(default_factory=monotonic)

    def finished(self, answer: ToolMessage) -> DiffAgentState:
        """What the tool's answer means: a picture, or a fault that the tool put into words."""
        if answer.status == "error":
            return self.failed(self.backend.fault) if self.backend.fault else self._recorded(problem=answer.text)
        result = cast("ImageResult", answer.artifact)
        return self._recorded(reference=result["image"], call=result["call"])

    def failed(self, fault: BaseException) -> DiffAgentState:
        """A failed attempt from which the planner can learn; what it cannot help, or what passes, is raised again."""
        if worth_another_try(fault, self.tries):
            self.emit({"event": "retry", "attempt": self.n, "reason": str(fault)})
            raise fault
        if not is_models_fault(fault):
            raise fault
        return self._recorded(problem=str(fault) or type(fault).__name__)

    def _recorded(
        self, *, reference: ImageReference | None = None, call: JsonDict | None = None, problem: str | None = None
    ) -> DiffAgentState:
        """This try as state."""
        seconds = round(monotonic() - self.started, 3)
        drawn = Drawn(reference=reference, call=call, seconds=seconds, problem=problem, rejected=False)
        return {"drawn": drawn}
