from __future__ import annotations

import asyncio
import threading

import pytest

from diffagent_tools.progress import Emit
from diffagent_tools.serving.page.sessions import Sessions


async def test_what_threads_tell_arrives_in_order() -> None:
    async def work(stop: threading.Event, emit: Emit) -> None:
        for n in range(5):
            await asyncio.to_thread(emit, {"n": n})

    told = [event["n"] async for batch in Sessions().watched("page", work) for event in batch]
    assert told == [0, 1, 2, 3, 4]


async def test_a_fault_comes_after_all_that_was_told() -> None:
    async def work(stop: threading.Event, emit: Emit) -> None:
        emit({"n": 1})
        msg = "broken"
        raise ValueError(msg)

    watched = Sessions().watched("page", work)
    assert await anext(watched) == [{"n": 1}]
    with pytest.raises(ValueError, match="broken"):
        await anext(watched)


async def test_stopping_reaches_only_the_page_that_asked() -> None:
    sessions = Sessions()
    ended = []

    async def work(stop: threading.Event, emit: Emit) -> None:
        emit({"begun": True})
        await asyncio.to_thread(stop.wait)
        ended.append(True)

    watched = sessions.watched("mine", work)
    assert await anext(watched) == [{"begun": True}]
    sessions.stop("another")
    await asyncio.sleep(0.05)
    assert sessions.is_busy("mine")
    assert not ended
    sessions.stop("mine")
    assert [batch async for batch in watched] == []
    assert ended
    assert not sessions.is_busy("mine")


async def test_a_work_that_nobody_watches_any_more_is_told_to_stop() -> None:
    stopped = asyncio.Event()

    async def work(stop: threading.Event, emit: Emit) -> None:
        emit({"begun": True})
        await asyncio.to_thread(stop.wait)
        stopped.set()

    watched = Sessions().watched("page", work)
    await anext(watched)
    await watched.aclose()  # type: ignore[attr-defined]
    await asyncio.wait_for(stopped.wait(), 5)
