"""From what a subscription is told of to the notifications that wait for it (ETSI GS CIM 009 clause 5.8.6)."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from madang.hub.ports import NotificationRow, Tx
from madang.hub.subscriptions import DEAD, DUE, overflow_row
from madang.model.time import Instant
from madang.ngsild.subscription import GEO_JSON, Subscription

EVENTS_MAX = 100
"""Changes that one notification tells of, each of another entity: receivers get answers of about 100 kB."""


class Event(Struct):
    """One change that a subscription is told of."""

    entity_id: str
    seq: int
    data: list[Any]
    """Members of the notification's `data`."""


def notifications_of(subscription: Subscription, events: Sequence[Event], now: Instant) -> list[NotificationRow]:
    """The notifications that tell of these changes, in order: each of at most `EVENTS_MAX`, no entity twice in one. A change that cannot
    be told is a failed one of its own."""
    rows: list[NotificationRow] = []
    gathered: list[Event] = []

    def close() -> None:
        if gathered:
            rows.append(_row(subscription, gathered, now))
            gathered.clear()

    for event in events:
        if not event.data:
            close()
            text = "it could not be made: see the server's log"
            rows.append(NotificationRow(0, subscription.id, DEAD, event.seq, event.seq, 1, b"", now, text))
            continue
        if len(gathered) >= EVENTS_MAX or any(event.entity_id == other.entity_id for other in gathered):
            close()
        gathered.append(event)
    close()
    return rows


def _row(subscription: Subscription, events: Sequence[Event], now: Instant) -> NotificationRow:
    data: Any = [member for event in events for member in event.data]
    if subscription.endpoint.accept == GEO_JSON:
        data = {"type": "FeatureCollection", "features": data}
    seqs = [event.seq for event in events]
    return NotificationRow(0, subscription.id, DUE, min(seqs), max(seqs), len(events), msgspec.json.encode(data), now)


def put_overflow_in(tx: Tx, id_: str, no: int, lost: Sequence[Event], now: Instant) -> int:
    """Add what found no room to the failed row that gathers it; gives the row's number."""
    known = None
    if no:
        known = next((row for row in tx.list_notifications(id_, DEAD, 1, no - 1) if row.no == no), None)
    row = overflow_row(id_, known, lost[0].seq, lost[-1].seq, len(lost), now)
    return tx.put_notification(row)
