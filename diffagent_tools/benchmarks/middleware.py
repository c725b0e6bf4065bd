"""`DiffAgentMiddleware` over a large catalog beside an agent to which 1,000 tools are bound: what a turn costs."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse, ToolCallRequest
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import BaseTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from numpy.typing import NDArray
from pydantic import Field
from rich.console import Console

from diffagent_tools.backends import DiffusersBackend
from diffagent_tools.benchmarks.catalog.generation import CHANGES, QUERIES, make_corpus
from diffagent_tools.benchmarks.catalog.stores.ours import RankedCatalog
from diffagent_tools.chat_models.calling import calling
from diffagent_tools.chat_models.tool_choice import ToolCaller
from diffagent_tools.middleware import CHARACTERS_PER_TOKEN, DiffAgentMiddleware, tokens_of
from diffagent_tools.toolkit import DiffAgentToolkit
from diffagent_tools.tools.generation import GenerationTool
from tool_specs.store.catalog import StoredCatalog
from tool_specs.store.database import CatalogDatabase

STATIC_TOOLS: Final = 1000
ROUNDS: Final = 10
"""Turns of the agents whose tools never change, after the first."""
Times = NDArray[np.float64]
"""Milliseconds, (2,): those that passed, and those of the processor, which other programs do not lengthen."""
COLUMNS: Final = (
    "agent",
    "ready after, s",
    "new tools, ms a turn",
    "the same again, ms a turn",
    "most tools in a turn",
    "tokens a turn, p50 / most",
)


def now() -> Times:
    """Two clocks."""
    return np.array((time.perf_counter(), time.process_time())) * 1000


@dataclass(frozen=True, slots=True)
class Cost:
    """What the turns of an agent cost beyond those of one without tools.

    Attributes:
        agent: Which.
        start_s: Seconds until it can be called.
        fresh: Times added to each turn in which tools are bound for the first time.
        later: To each turn in which the same are bound again.
        tools: Bound in each turn.
        tokens: Of these tools.
        searches: Times of each search for models, which is a tool call of its own.
    """

    agent: str
    start_s: float
    fresh: list[Times]
    later: list[Times]
    tools: list[int]
    tokens: list[int]
    searches: list[Times]


class Searcher(ToolCaller):
    """An instant chat model: it searches for models once in a thread, if it can, and is done."""

    called: list[Any] = Field(default_factory=list)
    """When it was."""

    @property
    def _llm_type(self) -> str:
        return "searcher"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 - nothing is generated word by word
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> ChatResult:
        self.called.append(now())
        bound = {tool["function"]["name"] for tool in kwargs.get("tools", [])}
        searched = any(isinstance(message, ToolMessage) for message in messages)
        answer = AIMessage("done")
        if "search_models" in bound and not searched:
            answer = calling("search_models", {"query": messages[-1].text})
        return ChatResult(generations=[ChatGeneration(message=answer)])


class Outer(AgentMiddleware):
    """The outermost middleware: notes when a turn begins, how long tool calls take."""

    def __init__(self) -> None:
        self.begun: list[Times] = []
        self.tool_calls: list[Times] = []

    def wrap_model_call(
        self, request: ModelRequest, handler: Callable[[ModelRequest], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Note the time."""
        self.begun.append(now())
        return handler(request)

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]]
    ) -> ToolMessage | Command[Any]:
        """Note the time that it takes."""
        start = now()
        answer = handler(request)
        self.tool_calls.append(now() - start)
        return answer


class Inner(AgentMiddleware):
    """The innermost middleware: notes the tools of each turn, after the clock has stopped."""

    def __init__(self) -> None:
        self.bound: list[list[BaseTool]] = []

    def wrap_model_call(
        self, request: ModelRequest, handler: Callable[[ModelRequest], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Note the tools."""
        self.bound.append([tool for tool in request.tools if isinstance(tool, BaseTool)])
        return handler(request)


class Trial:
    """An agent with an instant model, and what was measured of it.

    A turn is the time from the outermost middleware until the model is called with all tools bound and described.
    """

    def __init__(self, *, tools: Sequence[BaseTool] = (), middleware: Sequence[AgentMiddleware[Any, Any]] = ()) -> None:
        self._model, self._outer, self._inner = Searcher(), Outer(), Inner()
        layers: list[AgentMiddleware[Any, Any]] = [self._outer, *middleware, self._inner]
        self._agent = create_agent(self._model, list(tools), middleware=layers, checkpointer=InMemorySaver())

    def ask(self, thread: int, text: str) -> list[Times]:
        """Say something in a thread; the times of the turns that it took."""
        before = len(self._outer.begun)
        self._agent.invoke({"messages": [HumanMessage(text)]}, {"configurable": {"thread_id": str(thread)}})
        pairs = zip(self._outer.begun[before:], self._model.called[before:], strict=True)
        return [end - start for start, end in pairs]

    @property
    def searches(self) -> list[Times]:
        """Of each search so far."""
        return self._outer.tool_calls

    @property
    def bound(self) -> list[list[BaseTool]]:
        """The tools of each turn so far."""
        return self._inner.bound


def bare_turn(queries: Sequence[str]) -> Times:
    """A turn without tools, median."""
    trial = Trial()
    turns: Times = np.median([turn for n, query in enumerate(queries) for turn in trial.ask(n, query)], axis=0)
    return turns


def with_middleware(folder: Path, queries: Sequence[str], bare: Times) -> Cost:
    """Search in a stored catalog once for each query, with the tools that this brings in the next two turns.

    Args:
        folder: The catalog.
        queries: At least two; the first warms up.
        bare: A turn without tools.
    """
    start = time.perf_counter()
    with CatalogDatabase.open(folder, read_only=True) as database:
        toolkit = toolkit_of(database)
        trial = Trial(middleware=[DiffAgentMiddleware(toolkit=toolkit)])
        trial.ask(0, queries[0])
        start_s = time.perf_counter() - start
        skipped = len(trial.bound)
        fresh, later, tools, tokens = [], [], [], []
        for thread, query in enumerate(queries[1:], 1):
            fresh.append(trial.ask(thread, query)[-1] - bare)
            later.append(trial.ask(thread, "another one")[-1] - bare)
        for bound in trial.bound[skipped:]:
            tools.append(len(bound))
            tokens.append(tokens_of(*bound))
        return Cost("DiffAgentMiddleware", start_s, fresh, later, tools, tokens, trial.searches[1:])


def with_static_tools(folder: Path, queries: Sequence[str], bare: Times) -> Cost:
    """The usual way: one tool for each of the first checkpoints, without networks, all bound in every turn."""
    start = time.perf_counter()
    with CatalogDatabase.open(folder, read_only=True) as database:
        toolkit = toolkit_of(database)
        tools: dict[str, BaseTool] = {}
        for spec in database.all_specs(type="Checkpoint"):
            if len(tools) < STATIC_TOOLS and not toolkit.shortlister.rules.reason_against(spec):
                tools[spec.tool_name] = GenerationTool.of(spec, (), toolkit.backend, toolkit.store)
        trial = Trial(tools=list(tools.values()))
        start_s = time.perf_counter() - start
        (first,) = trial.ask(0, queries[0])
        turns = [turn for thread, query in enumerate(queries[:ROUNDS], 1) for turn in trial.ask(thread, query)]
        later, bound = [turn - bare for turn in turns], trial.bound[-1]
        agent = f"{len(bound):,} static tools"
        return Cost(agent, start_s, [first - bare], later, [len(bound)], [tokens_of(*bound)], [])


def toolkit_of(database: CatalogDatabase) -> DiffAgentToolkit:
    """A toolkit over a stored catalog."""
    catalog = StoredCatalog(database)
    return DiffAgentToolkit(catalog=catalog, backend=DiffusersBackend(catalog))


def table(costs: Sequence[Cost]) -> str:
    """The figures in Markdown."""
    rows = [COLUMNS, ["---"] + ["--:"] * (len(COLUMNS) - 1), *map(_cells, costs)]
    searches = [times for cost in costs for times in cost.searches]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines, "", f"A call of `search_models` takes {_spread(searches)} ms."])


def _cells(cost: Cost) -> list[str]:
    return [
        cost.agent,
        f"{cost.start_s:.2f}",
        _spread(cost.fresh),
        _spread(cost.later),
        f"{max(cost.tools):,}",
        f"{median(cost.tokens):,.0f} / {max(cost.tokens):,}",
    ]


def _spread(times: Sequence[Times]) -> str:
    """Median and 95th percentile, and the processor's median."""
    passed, busy = np.array(times).T
    shown = f"{median(passed):,.1f}" if len(times) == 1 else f"{median(passed):,.1f} / {np.percentile(passed, 95):,.1f}"
    return f"{shown} ({median(busy):,.1f})"


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m diffagent_tools.benchmarks.middleware", description=__doc__)
    parser.add_argument("--specs", type=int, default=75_000, help="how many models are in the catalog")
    parser.add_argument("--queries", type=int, default=100, help="how many searches are made")
    options = parser.parse_args()
    if options.specs < CHANGES or not 1 <= options.queries < QUERIES:
        parser.error(f"give {CHANGES} or more --specs, and --queries from 1 to {QUERIES - 1}")
    progress = Console(stderr=True)
    with TemporaryDirectory(prefix="diffagent-bench-") as name:
        folder = Path(name)
        progress.log(f"making up {options.specs:,} specs and as many prompts")
        corpus = make_corpus(folder / "corpus", specs=options.specs, evidence=options.specs)
        (folder / "catalog").mkdir()
        progress.log("storing and indexing them")
        RankedCatalog(folder / "catalog", corpus).build()
        queries = [entry.text for entry in corpus.queries()[: options.queries + 1]]
        progress.log("measuring")
        bare = bare_turn(queries)
        costs = []
        for trial in (with_middleware, with_static_tools):
            costs.append(trial(folder / "catalog", queries, bare))
            progress.log(f"{costs[-1].agent}: done")
    print(f"\n{options.specs:,} models; a turn without tools takes {bare[0]:.2f} ms, which is taken off.\n")  # noqa: T201
    print(table(costs))  # noqa: T201
    print(f"Milliseconds: p50 / p95 (processor's p50). Tokens: characters of JSON / {CHARACTERS_PER_TOKEN:g}.")  # noqa: T201


if __name__ == "__main__":
    main()
