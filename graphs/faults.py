"""Which faults of a drawing pass by themselves, which are the model's, and which end the request."""

from __future__ import annotations

from collections.abc import Iterator

from langchain_core.tools import ToolException
from langgraph.types import RetryPolicy

from tool_specs.exceptions import BackendError, CallError

PASSING_TRIES = 3
MEMORY_TRIES = 2


def passes(fault: BaseException) -> bool:
    """Whether the same call may well work a moment later: a connection that broke, an answer that took too long."""
    return any(isinstance(one, (ConnectionError, TimeoutError)) for one in _chain(fault))


def out_of_memory(fault: BaseException) -> bool:
    """Whether memory ran out, in Python or on a GPU, anywhere along the chain of causes.

    torch's own class is told by name, so that a graph with a remote backend does not import torch.
    """
    return any(isinstance(one, MemoryError) or type(one).__name__ == "OutOfMemoryError" for one in _chain(fault))


RETRIES = (
    RetryPolicy(retry_on=passes, max_attempts=PASSING_TRIES, initial_interval=0.5),
    RetryPolicy(retry_on=out_of_memory, max_attempts=MEMORY_TRIES, initial_interval=1.0),
)
"""For the node that draws: what is tried again as it is. Anything else would fail the same way once more."""


def worth_another_try(fault: BaseException, tries: int) -> bool:
    """Whether `RETRIES` will draw the same call again after `tries` tries."""
    for policy in RETRIES:
        if policy.retry_on(fault):  # type: ignore[operator, arg-type]
            return tries < policy.max_attempts
    return False


def is_models_fault(fault: BaseException) -> bool:
    """Whether another model, or other arguments, may do better: then the attempt failed, but the request goes on."""
    return isinstance(fault, (CallError, BackendError, ToolException)) or passes(fault) or out_of_memory(fault)


def _chain(fault: BaseException | None) -> Iterator[BaseException]:
    """A fault and what caused it, outermost first."""
    seen: set[int] = set()
    while fault is not None and id(fault) not in seen:
        yield fault
        seen.add(id(fault))
        fault = fault.__cause__ or (None if fault.__suppress_context__ else fault.__context__)
