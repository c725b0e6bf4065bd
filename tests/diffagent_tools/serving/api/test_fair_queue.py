from __future__ import annotations

import asyncio

import pytest

from diffagent_tools.serving.api.errors import ApiError
from diffagent_tools.serving.api.fair_queue import FairQueue, Turn


async def serve(turn: Turn, served: list[str]) -> None:
    async with turn:
        served.append(turn.client)
        await asyncio.sleep(0)


async def test_clients_are_served_alternately_however_much_one_asks() -> None:
    queue, served = FairQueue(places=1, waiting=20, per_client=20), list[str]()
    turns = [*queue.enter("greedy", 5), *queue.enter("modest", 2), *queue.enter("other", 1)]
    await asyncio.gather(*(serve(turn, served) for turn in turns))
    assert served == ["greedy", "modest", "other", "greedy", "modest", "greedy", "greedy", "greedy"]


async def test_ever_new_clients_do_not_push_one_that_waits_aside() -> None:
    queue, served = FairQueue(places=1, waiting=50, per_client=20), list[str]()
    tasks = [asyncio.create_task(serve(turn, served)) for turn in queue.enter("greedy", 4)]
    for number in range(20):
        tasks += [asyncio.create_task(serve(turn, served)) for turn in queue.enter(f"new {number}")]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert served.index("new 5") > [n for n, client in enumerate(served) if client == "greedy"][1]


async def test_no_more_run_than_there_are_places() -> None:
    queue = FairQueue(places=2, waiting=9, per_client=9)
    most = 0

    async def work(turn: Turn) -> None:
        nonlocal most
        async with turn:
            most = max(most, queue.running)
            await asyncio.sleep(0.001)

    await asyncio.gather(*(work(turn) for turn in queue.enter("one", 8)))
    assert most == 2
    assert (queue.running, queue.waiting) == (0, 0)


async def test_a_full_queue_says_when_to_come_again() -> None:
    queue = FairQueue(places=1, waiting=4, per_client=2)
    queue.enter("one", 3)
    with pytest.raises(ApiError, match="3 from you") as refused:
        queue.enter("one")
    assert refused.value.status == 429
    assert 1 <= int(refused.value.headers["Retry-After"]) <= 60
    queue.enter("two", 2)
    with pytest.raises(ApiError, match="4 in all"):
        queue.enter("three")
    assert queue.waiting == 4


async def test_all_turns_of_a_request_are_let_in_or_none() -> None:
    queue = FairQueue(places=1, waiting=4, per_client=4)
    queue.enter("one", 3)
    with pytest.raises(ApiError):
        queue.enter("two", 3)
    assert queue.waiting == 2


async def test_who_gives_up_waits_no_longer_and_blocks_nobody() -> None:
    queue, served = FairQueue(places=1, waiting=9, per_client=9), list[str]()
    first, second, third = (queue.enter(client)[0] for client in ("first", "second", "third"))
    waiting = [asyncio.create_task(serve(turn, served)) for turn in (second, third)]
    await asyncio.sleep(0)
    second.give_up()
    first.leave()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert served == ["third"]
    assert (queue.running, queue.waiting) == (0, 0)


async def test_a_cancelled_task_frees_its_place() -> None:
    queue, served = FairQueue(places=1, waiting=9, per_client=9), list[str]()
    first, second = queue.enter("one", 2)
    task = asyncio.create_task(serve(first, served))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    first.leave()
    await serve(second, served)
    assert served == ["one"]


async def test_closing_sends_away_who_waits_and_who_comes_but_not_who_runs() -> None:
    queue, served = FairQueue(places=1, waiting=9, per_client=9), list[str]()
    first, second = queue.enter("one", 2)
    queue.close()
    with pytest.raises(ApiError, match="being stopped"):
        await serve(second, served)
    with pytest.raises(ApiError) as refused:
        queue.enter("two")
    assert refused.value.status == 503
    await serve(first, served)
    assert served == ["one"]
