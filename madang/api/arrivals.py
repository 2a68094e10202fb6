"""Waiting on the event loop for futures that the store's writer settles.

A group commit settles many futures at once. `asyncio.wrap_future` wakes the loop once for each; here the first wakes it and the others
are taken along, which costs the writer's thread a tenth.
"""

import asyncio
import threading
from collections import deque
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Arrivals:
    """Futures that have been settled and whose waiters are not yet told. Belongs to the event loop that waits first."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._arrived: deque[tuple[asyncio.Future[Any], Future[Any]]] = deque()
        self._is_woken = False
        """The loop will look at `_arrived`: whoever adds to it need not wake it."""

    async def wait(self, future: "Future[T]") -> T:
        """The future's result, or its exception. A waiter that is cancelled leaves the write to itself."""
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        if self._loop is not loop:
            return await asyncio.wrap_future(future)
        waiter: asyncio.Future[T] = loop.create_future()

        def settled(done: "Future[T]") -> None:
            # In the writer's thread. The lock is held for an append: the loop cannot stop looking in between.
            with self._lock:
                self._arrived.append((waiter, done))
                wake = not self._is_woken
                self._is_woken = True
            if wake and not loop.is_closed():
                loop.call_soon_threadsafe(self._tell)

        future.add_done_callback(settled)
        return await waiter

    def _tell(self) -> None:
        while True:
            with self._lock:
                if not self._arrived:
                    self._is_woken = False
                    return
                waiter, done = self._arrived.popleft()
            if waiter.done():
                continue
            error = None if done.cancelled() else done.exception()
            if done.cancelled():
                waiter.cancel()
            elif error is not None:
                waiter.set_exception(error)
            else:
                waiter.set_result(done.result())
