"""A limit on how long tasks wait, with one timer for all of them.

`asyncio.timeout` makes and cancels a timer for each wait, which costs more than reading a small body does. Here all waits have the same
limit, so the one that began first ends first, and a look now and then is enough.
"""

import asyncio
from typing import Any

LOOK_EVERY_S = 1.0
"""A wait ends so much late at most."""


class Patience:
    """``with patience:`` around what a task waits for, once at a time in each task; raises TimeoutError when it takes longer than
    `seconds`. Belongs to the event loop that waits first."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends: dict[asyncio.Task[Any], float] = {}
        """When the wait of each task is over, the first first."""
        self._overdue: set[asyncio.Task[Any]] = set()
        self._is_looking = False

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        self._ends[_this_task()] = loop.time() + self._seconds
        if not self._is_looking:
            self._is_looking = True
            loop.call_later(min(LOOK_EVERY_S, self._seconds), self._look, loop)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        task = _this_task()
        if self._ends.pop(task, None) is not None or task not in self._overdue:
            return
        self._overdue.discard(task)
        # Somebody else may have cancelled it as well: then it stays cancelled.
        if task.uncancel() == 0 and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        while self._ends:
            task, end = next(iter(self._ends.items()))
            if end > now:
                loop.call_later(min(LOOK_EVERY_S, self._seconds), self._look, loop)
                return
            del self._ends[task]
            self._overdue.add(task)
            task.cancel()
        self._is_looking = False


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None, "only a task can be ended"
    return task
