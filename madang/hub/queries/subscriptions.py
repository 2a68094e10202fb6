"""Subscriptions and how their notifications are doing, as their page shows them."""

from urllib.parse import urlsplit

from msgspec import Struct

from madang.hub.ports import NotificationRow
from madang.hub.queries.look import Look
from madang.hub.subscriptions import DEAD, Counts, Definition, acting_caller, owns
from madang.hub.trim import first_change, seq_at
from madang.model.time import Instant, render_instant
from madang.ngsild.subscription import ACTIVE


class SubscriptionInfo(Struct, frozen=True):
    """A subscription and how its notifications are doing. Counts are changes told, not messages:
    ``due + replayed == delivered + waiting + failed + discarded``."""

    id: str
    name: str
    creator: str
    receiver: str
    """Scheme and host: a path may hold a secret."""
    status: str
    """active, paused or expired; ``failing``: the last attempt failed; ``resting``: so many failed that it only tries now and then;
    ``revoked``: its creator's token is no more."""
    is_own: bool
    """May the reader change it?"""
    due: int
    replayed: int
    delivered: int
    waiting: int
    failed: int
    discarded: int
    throttled: int
    attempts: int
    failed_attempts: int
    last_success: str | None
    last_failure: str | None
    last_error: str


class FailedNotification(Struct, frozen=True):
    """A notification that could not be delivered."""

    no: int
    first_seq: int
    last_seq: int
    events: int
    created_at: str
    error: str
    is_kept: bool
    """False: its content is made again from the log when it is sent again."""


class ReplayOutcome(Struct, frozen=True):
    """What a replay queued."""

    events: int
    to_seq: int
    is_complete: bool


def list_subscriptions(look: Look, resting: frozenset[str]) -> list[SubscriptionInfo]:
    """Those that the caller sees, oldest first. `resting`: ids of those that only try now and then."""
    counts = look.hub.subscriptions.counts(look.read)
    found = look.hub.subscriptions.list(look.caller)
    return [_info(look, d, counts.get(d.id, Counts()), is_resting=d.id in resting) for d in found]


def _info(look: Look, definition: Definition, counts: Counts, *, is_resting: bool) -> SubscriptionInfo:
    hub = look.hub
    subscription = definition.subscription
    due, delivered = hub.subscriptions.due[definition.id], hub.subscriptions.delivered[definition.id]
    sent = delivered.sent
    status = subscription.status_at(hub.real_clock.now())
    if status == ACTIVE and acting_caller(hub.tokens, definition.kept.creator, hub.tenant) is None:
        status = "revoked"
    elif status == ACTIVE and is_resting:
        status = "resting"
    elif status == ACTIVE and sent.failed:
        status = "failing"
    parts = urlsplit(subscription.endpoint.uri)
    port = f":{parts.port}" if parts.port else ""
    return SubscriptionInfo(
        id=definition.id,
        name=subscription.document.get("subscriptionName") or subscription.document.get("description") or definition.id,
        creator=definition.kept.creator.principal.partition(":")[2] or definition.kept.creator.principal,
        receiver=f"{parts.scheme}://{parts.hostname}{port}",
        status=status,
        is_own=owns(look.caller, definition),
        due=due.events,
        replayed=delivered.replayed,
        delivered=delivered.events,
        waiting=counts.waiting_events,
        failed=counts.failed_events,
        discarded=delivered.discarded,
        throttled=due.throttled,
        attempts=sent.times_sent,
        failed_attempts=sent.times_failed,
        last_success=_text(sent.last_success),
        last_failure=_text(sent.last_failure),
        last_error=sent.last_error,
    )


def list_failed(look: Look, id_: str, limit: int, after: int) -> list[FailedNotification]:
    """Notifications of a subscription that could not be delivered, oldest first. Raises NgsiLdError when it is not the caller's to see."""
    look.hub.subscriptions.get(look.caller, id_)
    return [_failed(row) for row in look.read.list_notifications(id_, DEAD, limit, after)]


class LogSpan(Struct, frozen=True):
    """Where a replay that begins at an instant begins, and what the log still holds."""

    first_seq: int
    first_at: str
    """Of the oldest change that is kept."""
    begin_seq: int


def find_span(look: Look, at: Instant | None) -> LogSpan | None:
    """The kept log, and the first place in it that was recorded at `at` or later. None when the log is empty."""
    oldest = first_change(look.read)
    if oldest is None:
        return None
    begin = oldest[0] if at is None else seq_at(look.read, at, oldest[0])
    # A log that was cut knows nothing of what was before.
    if at is not None and oldest[0] > 1 and at < oldest[1]:
        begin = oldest[0] - 1
    return LogSpan(oldest[0], render_instant(oldest[1]), begin)


def _failed(row: NotificationRow) -> FailedNotification:
    return FailedNotification(
        row.no, row.first_seq, row.last_seq, row.events, render_instant(row.created_at), row.error, bool(row.body)
    )


def _text(at: Instant | None) -> str | None:
    return None if at is None else render_instant(at)
