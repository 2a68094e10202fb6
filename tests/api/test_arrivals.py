"""Waiting for writes: every waiter is told, whatever thread settles and in whatever order."""

import asyncio
import threading
from concurrent.futures import Future

import pytest

from madang.api.arrivals import Arrivals


def settle(futures: "list[Future[int]]", start: int, step: int) -> None:
    for number in range(start, len(futures), step):
        if number % 7 == 3:
            futures[number].set_exception(ValueError(str(number)))
        else:
            futures[number].set_result(number)


@pytest.mark.parametrize("round_", range(3))
async def test_every_waiter_is_told_once_with_its_own(round_: int) -> None:
    arrivals = Arrivals()
    futures: list[Future[int]] = [Future() for _ in range(5_000)]
    threads = [threading.Thread(target=settle, args=(futures, start, 4)) for start in range(4)]
    waiting = [asyncio.ensure_future(arrivals.wait(future)) for future in futures]
    for thread in threads:
        thread.start()
    answers = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 20)
    for number, answer in enumerate(answers):
        assert str(answer) == str(number)
        assert isinstance(answer, ValueError) is (number % 7 == 3)
    for thread in threads:
        thread.join()


async def test_a_settled_future_and_a_waiter_that_gave_up() -> None:
    arrivals = Arrivals()
    done: Future[int] = Future()
    done.set_result(1)
    assert await arrivals.wait(done) == 1
    never: Future[int] = Future()
    task = asyncio.ensure_future(arrivals.wait(never))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    never.set_result(2)
    await asyncio.sleep(0.01)
    later: Future[int] = Future()
    threading.Timer(0.01, later.set_result, (3,)).start()
    assert await asyncio.wait_for(arrivals.wait(later), 5) == 3


def test_another_loop_is_served_too() -> None:
    arrivals = Arrivals()
    for value in (1, 2):
        future: Future[int] = Future()
        threading.Timer(0.01, future.set_result, (value,)).start()
        assert asyncio.run(arrivals.wait(future)) == value
