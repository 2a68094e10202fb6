"""Sends the queued notifications, at least once and in order (ETSI GS CIM 009 clause 5.8.6).

Each subscription has a lane: one notification under way, the next one after it. A receiver that is slow or dead holds its own lane and
at most a few connections. What fails is tried again after a wait that doubles; what the receiver refuses for good is listed as failed
and the next one goes out. After many failures a lane rests and tries now and then; nothing is lost meanwhile, the queue has its bound in
`madang.hub.matcher`.

A notification keeps its id in every attempt, also after a crash (`Idempotency-Key` and `id`), so receivers can drop what comes twice. What
was delivered is committed shortly afterwards, together for all lanes.
"""

import asyncio
import contextlib
import hashlib
import random
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from madang.hub.contexts import address_of
from madang.hub.hub import Hub
from madang.hub.matcher import Matcher, Replayed
from madang.hub.ports import NotificationRow, StoreError, Tx
from madang.hub.remote_subscriptions import RemoteSubscriptions
from madang.hub.subscriptions import DEAD, DUE, Definition
from madang.model.time import HOUR, SECOND, Instant, render_instant
from madang.ngsild.context import Context
from madang.ngsild.core_context import CORE_CONTEXT
from madang.ngsild.subscription import JSON_LD, PAUSED, Endpoint

logger = structlog.get_logger(__name__)

WAIT_FIRST_S = 1.0
WAIT_MAX_S = 60.0
REST_AFTER = 8
"""Failures in a row after which a lane rests: with the waits above about two minutes. It tries once in `WAIT_MAX_S` then."""
ATTEMPTS_MAX = 8
"""Attempts for a notification that the receiver answers with an error while it lives: the next one may be to its liking."""
KEEP = 24 * HOUR
"""A notification that could not be delivered for so long is listed as failed: a day's outage of a receiver is met, a dead address not
forever."""
RUNNING_MAX = 256
"""Attempts under way at once."""
RUNNING_PER_RECEIVER_MAX = 16
FAILURES_MAX = 3
"""Failures in a row after which a receiver gets one attempt at a time, over all its subscriptions."""
ROWS_MAX = 200
"""Notifications of one lane in memory; the rest is read from the store when their turn comes."""
SETTLE_S = 0.02
"""Outcomes of so long share a commit."""
UNSETTLED_MAX = 2_000
"""Outcomes that wait for their commit: so many notifications at most come twice after a crash."""
STORE_RETRY_S = 1.0
STOP_GRACE_S = 4.0
ERROR_MAX = 300
PERMANENT = frozenset({400, 405, 406, 410, 411, 413, 414, 415, 422})
"""Answers that say: this content never, here. 401, 403 and 404 are mended by people at the receiver, so they are tried again."""


class NotifyFailed(Exception):
    """The notification did not arrive. `status`: what an HTTP receiver answered; None when there was no answer."""

    def __init__(self, detail: str, status: int | None = None) -> None:
        super().__init__(detail)
        self.status = status


class Notification(Struct, frozen=True):
    """What a sender gets."""

    endpoint: Endpoint
    headers: tuple[tuple[str, str], ...]
    """Headers of the request; metadata of an MQTT message."""
    body: bytes


class NotificationSender(Protocol):
    """Sends to addresses of one scheme. A subscriber named the address: private ones need the operator's permission."""

    async def send(self, notification: Notification) -> None:
        """Return when it arrived. Raises NotifyFailed. The caller watches the time."""
        ...

    async def close(self) -> None: ...


class _Receiver:
    __slots__ = ("failures", "free", "running")

    def __init__(self) -> None:
        self.running = 0
        self.failures = 0
        self.free = asyncio.Event()
        self.free.set()

    @property
    def limit(self) -> int:
        return 1 if self.failures >= FAILURES_MAX else RUNNING_PER_RECEIVER_MAX


class _Lane:
    """One subscription's way out."""

    __slots__ = ("attempts", "behind", "failures", "last_no", "rows", "seen_no", "task", "wake")

    def __init__(self) -> None:
        self.rows: deque[NotificationRow] = deque()
        self.behind = True
        """The store may hold rows that are not in `rows`."""
        self.last_no = 0
        """The newest row that is or was in `rows`."""
        self.seen_no = 0
        """The newest row that was announced."""
        self.attempts = 0
        """Of the first row."""
        self.failures = 0
        self.task: asyncio.Task[None] | None = None
        self.wake = asyncio.Event()

    def add(self, rows: Sequence[NotificationRow]) -> None:
        self.seen_no = max(self.seen_no, rows[-1].no)
        if not self.behind:
            self.rows.extend(rows)
            self.last_no = rows[-1].no
            self.behind = len(self.rows) > ROWS_MAX


class _Outcome(Struct):
    id: str
    row: NotificationRow
    error: str | None
    """None: delivered."""


class Deliveries:
    """Runs in the server's event loop: `start`, `stop`."""

    def __init__(
        self,
        hub: Hub,
        senders: Mapping[str, NotificationSender],
        *,
        base_url: Callable[[], str] = lambda: "http://127.0.0.1",
        jitter: Callable[[], float] | None = None,
        wait_first_s: float = WAIT_FIRST_S,
        wait_max_s: float = WAIT_MAX_S,
        running_max: int = RUNNING_MAX,
    ) -> None:
        """`senders`: by the scheme of the address. `base_url`: how this server is reached, for @contexts that it hosts. `jitter`: numbers
        in [0, 1) that spread retries."""
        self._hub = hub
        self._store = hub.store
        self._senders = dict(senders)
        self._base_url = base_url
        self._jitter = jitter or random.Random().random
        self._wait_first_s = wait_first_s
        self._wait_max_s = wait_max_s
        self._lanes: dict[str, _Lane] = {}
        self._receivers: defaultdict[str, _Receiver] = defaultdict(_Receiver)
        self._running = asyncio.Semaphore(running_max)
        self._outcomes: list[_Outcome] = []
        self._room = asyncio.Event()
        self._room.set()
        self._settling: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False
        self.matcher = Matcher(hub, self._told, self._written_elsewhere)
        self.remote = RemoteSubscriptions(hub)
        """Copies of subscriptions at other brokers."""
        self._sharing: asyncio.Task[None] | None = None
        self.counts = {"delivered": 0, "failed_attempts": 0, "failed": 0}
        """Since the start; for metrics."""
        hub.subscriptions.listeners.append(self._changed)

    # ── life ────────────────────────────────────────────────────────────────

    async def start(self, *, match: bool = True) -> None:
        """Begin with what waits, then with what the matcher finds. `match` False: the caller drives the matcher."""
        self._loop = asyncio.get_running_loop()
        self._settling = asyncio.create_task(self._settle_loop(), name="notify-settle")
        if await asyncio.to_thread(self._hub.leads):
            for id_ in tuple(self.matcher.waiting):
                self._kick(id_)
        self.remote.begin(self._base_url)
        if match:
            self.matcher.start()
            self._sharing = asyncio.create_task(self.remote.run(), name="notify-remote")

    async def stop(self) -> None:
        """Give attempts under way a moment, keep the outcomes; what is not done is sent again later."""
        if self._stopping:
            return
        self._stopping = True
        if self._sharing is not None:
            self._sharing.cancel()
            await asyncio.gather(self._sharing, return_exceptions=True)
        await self.remote.stop()
        await asyncio.to_thread(self.matcher.stop)
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        for lane in self._lanes.values():
            lane.wake.set()
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=STOP_GRACE_S)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        if self._settling is not None:
            self._settling.cancel()
            await asyncio.gather(self._settling, return_exceptions=True)
            with contextlib.suppress(StoreError):
                await self._settle()
        for sender in set(self._senders.values()):
            await sender.close()

    def _told(self, id_: str, rows: Sequence[NotificationRow]) -> None:
        """From the matcher's thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._add, id_, rows)

    def _add(self, id_: str, rows: Sequence[NotificationRow]) -> None:
        self._lane(id_).add(rows)
        self._kick(id_)

    def _written_elsewhere(self, ids: Sequence[str]) -> None:
        """From the matcher's thread: these were written by another process, or wait since before this one took over."""
        if self._loop is not None and not self._loop.is_closed():
            for id_ in ids:
                self._loop.call_soon_threadsafe(self._look_again, id_)

    def _look_again(self, id_: str) -> None:
        lane = self._lanes.get(id_)
        if lane is not None and not lane.rows:
            lane.behind = True
        self._changed(id_)
        self._kick(id_)

    def _changed(self, id_: str) -> None:
        """A subscription was made, changed or deleted."""
        lane = self._lanes.get(id_)
        if lane is None:
            return
        if self._hub.subscriptions.find(id_) is None:
            lane.rows.clear()
            self.matcher.waiting.pop(id_, None)
            self._lanes.pop(id_)
        lane.failures = 0  # A changed endpoint is tried at once.
        lane.wake.set()
        self._kick(id_)

    def _lane(self, id_: str) -> _Lane:
        lane = self._lanes.get(id_)
        if lane is None:
            lane = self._lanes[id_] = _Lane()
        return lane

    def _kick(self, id_: str) -> None:
        """See that the lane runs."""
        if self._stopping or self._hub.subscriptions.find(id_) is None:
            return
        lane = self._lane(id_)
        if lane.task is None or lane.task.done():
            lane.task = asyncio.create_task(self._run_lane(id_, lane), name=f"notify-{id_}")

    # ── a lane ──────────────────────────────────────────────────────────────

    async def _run_lane(self, id_: str, lane: _Lane) -> None:
        while not self._stopping:
            definition = self._hub.subscriptions.find(id_)
            if definition is None:
                return
            if not lane.rows and not await self._refill(id_, lane):
                return
            if definition.subscription.status_at(self._hub.clock.now()) == PAUSED:
                return  # Its change kicks the lane.
            await self._room.wait()
            row = lane.rows[0]
            lane.attempts += 1
            failure = await self._attempt(definition, row, lane.attempts)
            if not lane.rows or lane.rows[0] is not row:
                continue  # Deleted meanwhile.
            if failure is None:
                lane.failures = 0
                self._done(lane, _Outcome(id_, row, None))
                continue
            lane.failures += 1
            if self._is_final(lane, row, failure):
                self._done(lane, _Outcome(id_, row, str(failure)[:ERROR_MAX]))
                if failure.status in PERMANENT:
                    continue
            lane.wake.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(lane.wake.wait(), self._wait_s(definition, lane.failures))

    async def _refill(self, id_: str, lane: _Lane) -> bool:
        """Get the next rows from the store; False when nothing waits."""
        if not lane.behind:
            return False
        try:
            rows = await asyncio.to_thread(self._read_rows, id_, lane.last_no)
        except StoreError as error:
            logger.error("notifications wait for the store", error=str(error))
            await asyncio.sleep(STORE_RETRY_S)
            return not self._stopping
        lane.rows.extend(rows)
        if rows:
            lane.last_no = rows[-1].no
        # What was announced while the store was read is in neither.
        lane.behind = len(rows) == ROWS_MAX or lane.last_no < lane.seen_no
        return bool(lane.rows) or lane.behind

    def _read_rows(self, id_: str, after_no: int) -> list[NotificationRow]:
        with self._store.read() as read:
            return read.list_notifications(id_, DUE, ROWS_MAX, after_no)

    def _is_final(self, lane: _Lane, row: NotificationRow, failure: NotifyFailed) -> bool:
        if failure.status in PERMANENT:
            return True
        if failure.status is not None and lane.attempts >= ATTEMPTS_MAX:
            return True
        return self._hub.real_clock.now() - row.created_at > KEEP and self._hub.clock.now() - row.created_at > KEEP

    def _wait_s(self, definition: Definition, failures: int) -> float:
        """1 s, 2 s, 4 s … 1 min, each shortened by up to half so that a receiver's return is not met by all at once; never shorter than
        the subscription's cooldown."""
        longest = min(self._wait_first_s * 2 ** min(failures - 1, 20), self._wait_max_s)
        return float(max(longest * (1 - self._jitter() / 2), definition.subscription.endpoint.cooldown / SECOND))

    def _done(self, lane: _Lane, outcome: _Outcome) -> None:
        lane.rows.popleft()
        lane.attempts = 0
        self._outcomes.append(outcome)
        self.counts["delivered" if outcome.error is None else "failed"] += 1
        if len(self._outcomes) >= UNSETTLED_MAX:
            self._room.clear()

    # ── an attempt ──────────────────────────────────────────────────────────

    async def _attempt(self, definition: Definition, row: NotificationRow, attempt: int) -> NotifyFailed | None:
        endpoint = definition.subscription.endpoint
        parts = urlsplit(endpoint.uri)
        receiver = self._receivers[f"{parts.scheme}://{parts.netloc}"]
        while receiver.running >= receiver.limit:
            receiver.free.clear()
            await receiver.free.wait()
        receiver.running += 1
        try:
            async with self._running:
                failure = await self._send(parts.scheme, definition, row, attempt)
        finally:
            receiver.running -= 1
            receiver.free.set()
        receiver.failures = 0 if failure is None or failure.status is not None else receiver.failures + 1
        self._note(definition.id, failure)
        return failure

    async def _send(
        self, scheme: str, definition: Definition, row: NotificationRow, attempt: int
    ) -> NotifyFailed | None:
        endpoint = definition.subscription.endpoint
        sender = self._senders.get(scheme)
        if sender is None:
            return NotifyFailed(f"nothing sends to {scheme} addresses here")
        delivered = self._hub.subscriptions.delivered[definition.id]
        delivered.sent.times_sent += 1
        delivered.sent.last_notification = self._hub.clock.now()
        try:
            notification = await self._notification(definition, row, attempt)
            async with asyncio.timeout(endpoint.timeout_s):
                await sender.send(notification)
        except NotifyFailed as failure:
            return failure
        except TimeoutError:
            return NotifyFailed(f"no answer within {endpoint.timeout_s:g} s; it may have arrived")
        except Exception as error:  # noqa: BLE001 - an edge: one sender's mistake must not end the lane
            return NotifyFailed(f"{type(error).__name__}: {error}")
        return None

    def _note(self, id_: str, failure: NotifyFailed | None) -> None:
        """What the subscription shows of itself (clause 5.2.14.2)."""
        sent = self._hub.subscriptions.delivered[id_].sent
        if failure is None:
            sent.last_success, sent.failed = self._hub.clock.now(), False
            return
        self.counts["failed_attempts"] += 1
        sent.times_failed += 1
        sent.last_failure, sent.failed, sent.last_error = self._hub.clock.now(), True, str(failure)[:ERROR_MAX]

    async def _notification(self, definition: Definition, row: NotificationRow, attempt: int) -> Notification:
        subscription = definition.subscription
        endpoint = subscription.endpoint
        context = subscription.view.context
        id_ = notification_id(definition, row)
        own = self._hub.tenant_headers()
        headers = [h for h in endpoint.headers if not own or h[0].lower() != "ngsild-tenant"]
        headers += [*own, ("Content-Type", endpoint.accept)]
        if endpoint.accept != JSON_LD:
            headers.append(("Link", await self._link(context)))
        headers += [("Idempotency-Key", id_), ("Madang-Attempt", str(attempt))]
        return Notification(
            endpoint, tuple(headers), body_of(id_, subscription.id, self._hub.clock.now(), row.body, endpoint, context)
        )

    async def _link(self, context: Context) -> str:
        address = CORE_CONTEXT
        if context.value is not None:
            address = address_of(await self._hub.contexts.keep(context.value), self._base_url().rstrip("/"))
        return f'<{address}>; rel="http://www.w3.org/ns/json-ld#context"; type="{JSON_LD}"'

    # ── outcomes ────────────────────────────────────────────────────────────

    async def _settle_loop(self) -> None:
        while True:
            await asyncio.sleep(SETTLE_S)
            if not self._outcomes:
                continue
            try:
                await self._settle()
            except StoreError as error:
                logger.error("outcomes of notifications wait for the store", error=str(error))
                await asyncio.sleep(STORE_RETRY_S)

    async def _settle(self) -> None:
        """Commit what was delivered and what failed for good."""
        outcomes = self._outcomes[:]
        if not outcomes:
            return
        subscriptions = self._hub.subscriptions
        gone: defaultdict[str, int] = defaultdict(int)
        events: defaultdict[str, int] = defaultdict(int)
        notifications: defaultdict[str, int] = defaultdict(int)
        for outcome in outcomes:
            gone[outcome.id] += 1
            if outcome.error is None:
                events[outcome.id] += outcome.row.events
                notifications[outcome.id] += 1

        def op(tx: Tx) -> None:
            tx.delete_notifications([o.row.no for o in outcomes if o.error is None])
            for outcome in outcomes:
                if outcome.error is not None and subscriptions.find(outcome.id) is not None:
                    tx.put_notification(replace(outcome.row, state=DEAD, error=outcome.error))
            for id_ in gone:
                now = subscriptions.delivered[id_]
                more = replace(
                    now, events=now.events + events[id_], notifications=now.notifications + notifications[id_]
                )
                subscriptions.put_delivered_in(tx, id_, more)

        await asyncio.wrap_future(self._store.write(op))
        del self._outcomes[: len(outcomes)]
        self._room.set()
        for id_, count in gone.items():
            self.matcher.delivered(id_, count)
            if subscriptions.find(id_) is None:
                subscriptions.delivered.pop(id_, None)
                continue
            current = subscriptions.delivered[id_]
            current.events += events[id_]
            current.notifications += notifications[id_]

    # ── for people ──────────────────────────────────────────────────────────

    def figures(self) -> dict[str, float]:
        """For metrics."""
        return {
            **{name: float(count) for name, count in self.counts.items()},
            "waiting": float(sum(self.matcher.waiting.values())),
            "lag": float(self.matcher.lag()),
            "matched": float(self.matcher.matched),
            "inexact": float(self.matcher.past.inexact),
        }

    def is_resting(self, id_: str) -> bool:
        """Did so many attempts fail that the lane only tries now and then?"""
        lane = self._lanes.get(id_)
        return lane is not None and lane.failures >= REST_AFTER

    async def revive(self, definition: Definition, nos: Sequence[int]) -> int:
        """Make failed notifications due again, at the end of the queue; gives how many events. What was not kept is made again from the
        log."""
        id_ = definition.id
        rows = await self._failed(id_, nos)
        whole = [row for row in rows if row.body]

        def op(tx: Tx) -> list[NotificationRow]:
            tx.delete_notifications([row.no for row in whole])
            due = [replace(row, no=0, state=DUE, error="") for row in whole]
            return [replace(row, no=tx.put_notification(row)) for row in due]

        revived = await asyncio.wrap_future(self._store.write(op)) if whole else []
        if revived:
            self.matcher.add_waiting(id_, len(revived))
            self._add(id_, revived)
        count = sum(row.events for row in revived)
        for row in rows:
            if not row.body:
                again = await asyncio.to_thread(self.matcher.replay, definition, row.first_seq, row.last_seq)
                count += again.events
                await self._write_replayed(id_, again.events - (row.events if again.is_complete else 0), row, again)
        return count

    async def _write_replayed(self, id_: str, events: int, row: NotificationRow | None, again: Replayed) -> None:
        """Count events that became due once more; a failed row without a body gives way to what was queued instead."""
        delivered = self._hub.subscriptions.delivered[id_]
        delivered.replayed += events

        def op(tx: Tx) -> None:
            if row is not None and again.is_complete:
                tx.delete_notifications([row.no])
            self._hub.subscriptions.put_delivered_in(tx, id_, delivered)

        await asyncio.wrap_future(self._store.write(op))

    async def replay(self, definition: Definition, from_seq: int, to_seq: int | None) -> Replayed:
        """See `Matcher.replay`."""
        again = await asyncio.to_thread(self.matcher.replay, definition, from_seq, to_seq)
        if again.events:
            await self._write_replayed(definition.id, again.events, None, again)
        return again

    async def discard(self, id_: str, nos: Sequence[int]) -> int:
        """Let go of failed notifications; gives how many events. They stay counted."""
        rows = await self._failed(id_, nos)
        events = sum(row.events for row in rows)
        delivered = self._hub.subscriptions.delivered[id_]
        delivered.discarded += events

        def op(tx: Tx) -> None:
            tx.delete_notifications([row.no for row in rows])
            self._hub.subscriptions.put_delivered_in(tx, id_, delivered)

        if rows:
            await asyncio.wrap_future(self._store.write(op))
        return events

    async def _failed(self, id_: str, nos: Sequence[int]) -> list[NotificationRow]:
        def read_rows() -> list[NotificationRow]:
            with self._store.read() as read:
                found = [read.list_notifications(id_, DEAD, 1, no - 1) for no in sorted(set(nos))]
            return [rows[0] for rows, no in zip(found, sorted(set(nos)), strict=True) if rows and rows[0].no == no]

        return await asyncio.to_thread(read_rows)


def notification_id(definition: Definition, row: NotificationRow) -> str:
    """The id of a notification: the same in every attempt, another one for every other notification of the world."""
    name = f"{definition.id} {definition.kept.created_at} {row.no}"
    return f"urn:ngsi-ld:Notification:{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def body_of(id_: str, subscription_id: str, now: Instant, data: bytes, endpoint: Endpoint, context: Context) -> bytes:
    """The Notification (clause 5.3.1) around data that is JSON already."""
    head: dict[str, Any] = {
        "id": id_, "type": "Notification", "subscriptionId": subscription_id, "notifiedAt": render_instant(now)
    }  # fmt: skip
    if endpoint.accept == JSON_LD:
        head["@context"] = CORE_CONTEXT if context.value is None else context.value
    return msgspec.json.encode(head)[:-1] + b',"data":' + data + b"}"
