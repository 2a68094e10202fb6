"""Waits end when they are overdue, and only then."""

import asyncio

import pytest

from madang.api.patience import Patience


async def test_01_what_is_in_time_is_left_alone() -> None:
    patience = Patience(0.05)
    with patience:
        await asyncio.sleep(0)
    await asyncio.sleep(0.12)  # past the limit: the wait was over before it


async def test_02_what_waits_too_long_is_told_so() -> None:
    patience = Patience(0.05)
    with pytest.raises(TimeoutError), patience:
        await asyncio.sleep(5)
    await asyncio.sleep(0)  # the task goes on as if it had not been cancelled


async def test_03_each_task_has_its_own_wait() -> None:
    patience = Patience(0.1)

    async def wait(seconds: float) -> str:
        try:
            with patience:
                await asyncio.sleep(seconds)
        except TimeoutError:
            return "late"
        return "in time"

    assert await asyncio.gather(wait(5), wait(0.01), wait(0.02), wait(5)) == ["late", "in time", "in time", "late"]
    assert await asyncio.gather(wait(5), wait(0.01)) == ["late", "in time"], "it looks again after it had nothing to do"


async def test_04_a_task_that_another_one_cancels_stays_cancelled() -> None:
    patience = Patience(0.2)

    async def wait() -> None:
        with patience:
            await asyncio.sleep(5)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_05_an_error_inside_goes_through() -> None:
    with pytest.raises(ValueError, match="mine"), Patience(1):
        raise ValueError("mine")
