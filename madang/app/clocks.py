"""Clocks. Nothing else in Madang asks the machine for the time of the city."""

import time
from collections.abc import Callable

from madang.model.time import SECOND, Instant


class SystemClock:
    """The machine's clock."""

    def now(self) -> Instant:
        """Microseconds since 1970, UTC."""
        return time.time_ns() // 1_000


class ManualClock:
    """A clock that is told: evaluation, replay, tests."""

    def __init__(self, start_at: Instant) -> None:
        self._now = start_at

    def now(self) -> Instant:
        """What it was told last."""
        return self._now

    def set(self, now: Instant) -> None:
        """Tell the time. Going back is allowed: the log keeps its own order all the same."""
        self._now = now


class ScaledClock:
    """City time that starts at `start_at` when it is made and runs `speed` times as fast as real time: the sample city's."""

    def __init__(self, start_at: Instant, speed: float = 1.0, monotonic: Callable[[], float] = time.monotonic) -> None:
        if speed <= 0:
            raise ValueError("the speed of a clock is positive")
        self.speed = speed
        self._start_at = start_at
        self._monotonic = monotonic
        self._began = monotonic()

    def now(self) -> Instant:
        """City time now."""
        return self._start_at + int((self._monotonic() - self._began) * self.speed * SECOND)

    def real_seconds_until(self, at: Instant) -> float:
        """Real seconds until city time reaches `at`; 0 when it has."""
        return max(0.0, (at - self.now()) / SECOND / self.speed)


class StoryClock:
    """The sample city's clock: told while the hours before the story's beginning are filled in, then running by itself."""

    def __init__(self, start_at: Instant, speed: float) -> None:
        self.speed = speed
        self._told: Instant | None = start_at
        self._running: ScaledClock | None = None

    def now(self) -> Instant:
        """City time now."""
        return self._running.now() if self._running is not None else (self._told or 0)

    def set(self, now: Instant) -> None:
        """Tell the time, until `go`."""
        self._told = now

    def go(self) -> None:
        """Run from the time told last."""
        self._running = ScaledClock(self._told or 0, self.speed)

    def real_seconds_until(self, at: Instant) -> float:
        """Real seconds until city time reaches `at`; 0 when it has, or before `go`."""
        return 0.0 if self._running is None else self._running.real_seconds_until(at)
