"""The outbox worker: sends what actions committed, at least once, with retries, and lets no receiver slow the others.

A message is committed with its cause (`Records`), so it is never lost. Before an attempt its start is committed too: after a
crash in the middle the message goes out again, with the same idempotency key and marked as a possible repeat. What fails waits
longer each time and is dead in the end, where people see it and may try it again (`hub.stuck`). Messages of one receiver may overtake
each other.

Waiting is in the city's time (`clock`), time-outs are in real seconds.
"""

import asyncio
import contextlib
import json
import os
import random
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import structlog
from msgspec import Struct

from madang.hub.ports import Clock, OutboxRow, Store, StoreError, Tx
from madang.model.time import HOUR, SECOND, Instant, day_of, render_instant

logger = structlog.get_logger(__name__)
T = TypeVar("T")

DUE, SENT, DEAD = "due", "sent", "dead"
ATTEMPTS_MAX = 12
"""Attempts before a message is dead: with the waits below about four hours, a receiver's night-time repair."""
WAIT_FIRST = 5 * SECOND
WAIT_MAX = HOUR
LEASE = 120 * SECOND
"""How far an attempt's start puts the message off: when the process dies meanwhile, it is due again then."""
ROWS_MAX = 500
"""Messages looked at in one round."""
RUNNING_MAX = 64
"""Attempts under way at once, over all receivers."""
RUNNING_PER_RECEIVER_MAX = 4
FAILURES_MAX = 3
"""Failures in a row after which a receiver is left alone for a while and then tried with one message at a time."""
PUT_OFF = 15 * SECOND
"""How long the rest of a busy receiver's messages steps aside when others queue behind them."""
POLL_S = 0.5
STORE_RETRY_S = 2.0
STOP_GRACE_S = 4.0
ERROR_MAX = 300
STARTED = "attempt under way, outcome unknown"
"""`error` of a message whose attempt has begun. Found on a due message it means: the process died in the middle."""


class Outgoing(Struct, frozen=True):
    """A message as a sender gets it."""

    id: int
    record_id: str
    channel: str
    to: str
    reason: dict[str, Any]
    """Code and params; the sender puts it into words for its reader."""
    idempotency_key: str
    """The same for every attempt of this message: receivers use it to drop repeats."""
    attempt: int
    repeat: bool
    """True when an earlier attempt may have arrived."""
    created_at: Instant


class SendFailed(Exception):
    """The message did not arrive. `permanent`: trying again cannot help (unknown receiver, refused content)."""

    def __init__(self, detail: str, *, permanent: bool = False) -> None:
        super().__init__(detail)
        self.permanent = permanent


class Sender(Protocol):
    """One channel's way out. Must be cancellable: an attempt that takes longer than `timeout_s` is given up."""

    @property
    def timeout_s(self) -> float: ...

    def receiver(self, to: str) -> str:
        """What may be slow or dead as one: a gateway's address, a person's device. Limits count by it."""
        ...

    async def send(self, message: Outgoing) -> None:
        """Return when it arrived; raise SendFailed when it did not."""
        ...


class _Receiver:
    """How one receiver is doing."""

    __slots__ = ("failures", "rest_until", "running")

    def __init__(self) -> None:
        self.running = 0
        self.failures = 0
        self.rest_until: Instant = 0

    def takes(self, now: Instant) -> bool:
        limit = 1 if self.failures >= FAILURES_MAX else RUNNING_PER_RECEIVER_MAX
        return self.running < limit and now >= self.rest_until


class OutboxWorker:
    """Runs in the server's event loop: `run` until `stop`."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        senders: Mapping[str, Sender],
        jitter: Callable[[], float] | None = None,
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        """`senders`: by channel. `jitter`: numbers in [0, 1) that spread retries; tests hand in a seeded source. `leads`: is it this
        process that sends?"""
        self._store = store
        self._clock = clock
        self._senders = dict(senders)
        self._jitter = jitter or random.Random().random
        self._receivers: defaultdict[str, _Receiver] = defaultdict(_Receiver)
        self._running: dict[int, asyncio.Task[None]] = {}
        self._leads = leads
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()
        self.counts = {"sent": 0, "failed": 0, "dead": 0}
        """Since the start; for metrics."""

    async def run(self) -> None:
        """Send until `stop` is called; then give attempts under way a moment to end."""
        while not self._stopping.is_set():
            pause = POLL_S
            try:
                if await asyncio.to_thread(self._leads) and await self.start_due() > 0:
                    pause = 0.0
            except StoreError as error:
                logger.error("the outbox waits for the store", error=str(error))
                pause = STORE_RETRY_S
            if pause:
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), pause)
        await self.drain(STOP_GRACE_S)

    def stop(self) -> None:
        """Ask `run` to end. Call it in the loop's thread; may be called twice."""
        self._stopping.set()
        self._wake.set()

    async def drain(self, grace_s: float) -> None:
        """Wait for attempts under way, at most `grace_s`; what is not done then is given up and sent again later."""
        if self._running:
            _, left = await asyncio.wait(list(self._running.values()), timeout=grace_s)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    # --- one round ---------------------------------------------------------------------------------------------------

    async def start_due(self) -> int:
        """Begin an attempt for every message that is due and whose receiver takes one; gives how many began."""
        now = self._clock.now()
        rows = await asyncio.to_thread(self._list_due, now)
        begin: list[OutboxRow] = []
        hopeless: list[OutboxRow] = []
        waiting: list[tuple[OutboxRow, Instant]] = []
        for row in rows:
            if row.id in self._running:
                continue
            sender = self._senders.get(row.channel)
            if sender is None:
                hopeless.append(row)
                continue
            receiver = self._receivers[_receiver_key(sender, row)]
            if len(self._running) + len(begin) < RUNNING_MAX and receiver.takes(now):
                receiver.running += 1
                begin.append(row)
            else:
                waiting.append((row, max(receiver.rest_until, now + PUT_OFF)))
        # Only a full page can hide others behind it: then those who must wait step aside.
        aside = waiting if len(rows) == ROWS_MAX and len(self._running) + len(begin) < RUNNING_MAX else []
        if begin or hopeless or aside:
            try:
                await self._write(lambda tx: self._mark_in(tx, begin, hopeless, aside))
            except StoreError:
                for row in begin:
                    self._receivers[_receiver_key(self._senders[row.channel], row)].running -= 1
                raise
        self.counts["dead"] += len(hopeless)
        for row in begin:
            self._running[row.id] = asyncio.create_task(self._attempt(row), name=f"outbox-{row.id}")
        return len(begin)

    def _list_due(self, now: Instant) -> list[OutboxRow]:
        with self._store.read() as read:
            return read.list_outbox(DUE, ROWS_MAX, now)

    def _mark_in(
        self, tx: Tx, begin: list[OutboxRow], hopeless: list[OutboxRow], aside: list[tuple[OutboxRow, Instant]]
    ) -> None:
        for row in begin:
            tx.mark_outbox(row.id, DUE, tx.now + LEASE, STARTED, row.attempts + 1)
        for row in hopeless:
            text = f"nothing sends the channel {row.channel!r}: configure a sender for it, then try the message again"
            tx.mark_outbox(row.id, DEAD, tx.now, text, row.attempts)
        for row, until in aside:
            tx.mark_outbox(row.id, DUE, until, row.error, row.attempts)

    # --- one attempt -------------------------------------------------------------------------------------------------

    async def _attempt(self, row: OutboxRow) -> None:
        sender = self._senders[row.channel]
        receiver = self._receivers[_receiver_key(sender, row)]
        attempts = row.attempts + 1
        message = Outgoing(
            row.id, row.record_id, row.channel, row.to, row.reason, row.idempotency_key, attempts,
            row.error == STARTED or row.attempts > 0, row.created_at,
        )  # fmt: skip
        try:
            failure = await _send(sender, message)
            await self._settle(row, attempts, receiver, failure)
        finally:
            receiver.running -= 1
            self._running.pop(row.id, None)
            self._wake.set()

    async def _settle(self, row: OutboxRow, attempts: int, receiver: _Receiver, failure: SendFailed | None) -> None:
        log = logger.bind(id=row.id, channel=row.channel, to=row.to, attempt=attempts)
        if failure is None:
            receiver.failures, receiver.rest_until = 0, 0
            state, wait, error = SENT, 0, ""
        elif failure.permanent or attempts >= ATTEMPTS_MAX:
            state, wait, error = DEAD, 0, str(failure)[:ERROR_MAX]
            log.error("message is dead", error=error)
        else:
            state, wait, error = DUE, self._wait(attempts), str(failure)[:ERROR_MAX]
            log.warning("message failed, will be tried again", error=error)
        if failure is not None and not failure.permanent:
            receiver.failures += 1
            if receiver.failures >= FAILURES_MAX:
                receiver.rest_until = self._clock.now() + self._wait(receiver.failures)
        try:
            await self._write(lambda tx: tx.mark_outbox(row.id, state, tx.now + wait, error, attempts))
        except StoreError as problem:
            # The message stays leased and goes out again: at least once is the promise.
            log.error("the outcome could not be kept", error=str(problem))
        self.counts["sent" if failure is None else "dead" if state == DEAD else "failed"] += 1

    def _wait(self, attempts: int) -> Instant:
        """5 s, 10 s, 20 s … 1 h, each shortened by up to half so that a receiver's return is not met by all at once."""
        longest = min(WAIT_FIRST * 2 ** (attempts - 1), WAIT_MAX)
        return int(longest * (1 - self._jitter() / 2))

    async def _write(self, op: Callable[[Tx], T]) -> T:
        return await asyncio.wrap_future(self._store.write(op))


def _receiver_key(sender: Sender, row: OutboxRow) -> str:
    return f"{row.channel}|{sender.receiver(row.to)}"


async def _send(sender: Sender, message: Outgoing) -> SendFailed | None:
    try:
        async with asyncio.timeout(sender.timeout_s):
            await sender.send(message)
    except SendFailed as failure:
        return failure
    except TimeoutError:
        return SendFailed(f"no answer within {sender.timeout_s:g} s; it may have arrived")
    except Exception as error:  # noqa: BLE001 - an edge: one sender's mistake must not end the worker of all
        return SendFailed(f"{type(error).__name__}: {error}")
    return None


# --- senders ---------------------------------------------------------------------------------------------------------


class Says(Protocol):
    """`madang.hub.words.Words`, as far as senders need it."""

    def say(self, reason: Mapping[str, Any], lang: str) -> str: ...


class ConsoleSender:
    """Messages that the console shows from the store: being stored is having arrived."""

    timeout_s = 5.0

    def receiver(self, to: str) -> str:
        return "console"

    async def send(self, message: Outgoing) -> None:
        return None


class FileSender:
    """Appends messages as JSON lines to a file a day; stands for a gateway (SMS) until a real one is configured.

    A line: ``{"at", "channel", "to", "text": {"ko", "en"}, "code", "params", "record", "key", "attempt", "repeat"}``.
    """

    timeout_s = 10.0

    def __init__(self, folder: Path, words: Says, languages: tuple[str, ...] = ("ko", "en")) -> None:
        self._folder = folder
        self._words = words
        self._languages = languages
        self._lock = asyncio.Lock()

    def receiver(self, to: str) -> str:
        return "file"

    async def send(self, message: Outgoing) -> None:
        line = {
            "at": render_instant(message.created_at),
            "channel": message.channel,
            "to": message.to,
            "text": {lang: self._words.say(message.reason, lang) for lang in self._languages},
            "code": message.reason.get("code"),
            "params": message.reason.get("params"),
            "record": message.record_id,
            "key": message.idempotency_key,
            "attempt": message.attempt,
            "repeat": message.repeat,
        }
        path = self._folder / f"{message.channel}-{day_of(message.created_at)}.jsonl"
        async with self._lock:
            try:
                await asyncio.to_thread(_append, path, json.dumps(line, ensure_ascii=False))
            except OSError as error:
                raise SendFailed(f"{path.name} cannot be written: {error.strerror}") from error


def _append(path: Path, line: str) -> None:
    """Append a line durably. A line that a crash cut off is ended first, so that it spoils no other."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("ab+") as file:
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(line.encode("utf-8") + b"\n")
        file.flush()
        os.fsync(file.fileno())
