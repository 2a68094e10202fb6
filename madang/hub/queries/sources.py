"""Sources, their quarantine, and what waits for a person, as their page shows them."""

from madang.hub import stuck
from madang.hub.ports import OutboxRow, QuarantineRow
from madang.hub.queries.answers import QuarantineInfo, SourceInfo, StuckInfo, StuckPage
from madang.hub.queries.look import Look
from madang.hub.records import ParkedDeadline
from madang.model.time import Instant, render_instant
from madang.wire.source import describe_delivery

PAYLOAD_SHOWN_MAX = 4_096
"""Bytes of a quarantined payload that a list shows."""
QUARANTINE_COUNTED_MAX = 1_000


def list_sources(look: Look) -> list[SourceInfo]:
    """All sources, by id."""
    sources = look.hub.sources
    found = []
    for source in sources.list():
        status = sources.status(source.id)
        last = status.last_message_at
        found.append(
            SourceInfo(
                id=source.id,
                title=look.title(source.title, source.id),
                protocol=source.protocol,
                state=sources.state(source.id),
                last_message_at=None if last is None else render_instant(last),
                rate_per_min=round(sources.rate_per_min(source.id), 2),
                accepted=status.accepted,
                duplicates=status.duplicates,
                rejected=status.rejected,
                acknowledgement=look.title(describe_delivery(source)),
                cadence_s=source.cadence_s,
                devices=sources.devices(source.id),
                quarantined=len(look.read.list_quarantine(source.id, QUARANTINE_COUNTED_MAX)),
            )
        )
    return found


def list_quarantine(look: Look, source: str | None, limit: int, before_id: int | None) -> list[QuarantineInfo]:
    """Payloads that could not be understood, newest first."""
    return [_info(row) for row in look.read.list_quarantine(source, limit, before_id)]


def _info(row: QuarantineRow) -> QuarantineInfo:
    return QuarantineInfo(
        id=row.id,
        source=row.source,
        received_at=render_instant(row.received_at),
        code=row.code,
        detail=row.detail,
        topic=row.topic,
        payload=row.payload[:PAYLOAD_SHOWN_MAX].decode("utf-8", "replace"),
        bytes=len(row.payload),
    )


def list_stuck(look: Look) -> StuckPage:
    """Dead messages and parked deadlines of records that the caller sees, those first that wait longest."""
    found = stuck.list_stuck(look.read)
    items = [_dead_message(look, row) for row in found.messages] + [_parked(look, one) for one in found.deadlines]
    seen = sorted((item for item in items if item is not None), key=lambda item: item.since)
    return StuckPage(seen, found.cut)


def _dead_message(look: Look, row: OutboxRow) -> StuckInfo | None:
    what = look.say(row.reason)
    return _stuck(look, stuck.message_id(row), stuck.MESSAGE, what, row.to, row.channel, row.record_id, row.error,
                  row.attempts, row.next_at)  # fmt: skip


def _parked(look: Look, one: ParkedDeadline) -> StuckInfo | None:
    record = look.read.find_record(one.record_id)
    record_type = None if record is None else look.hub.registry.record_types.get(record.type)
    action = None if record_type is None else record_type.procedure.find_action(one.deadline.action)
    what = one.deadline.action if action is None else look.title(action.title, action.name)
    return _stuck(look, stuck.deadline_id(one), stuck.DEADLINE, what, "", "", one.record_id, one.error, one.attempts,
                  one.parked_at)  # fmt: skip


def _stuck(
    look: Look, id_: str, kind: str, what: str, to: str, channel: str, record_id: str, why: str, attempts: int,
    since: Instant,
) -> StuckInfo | None:  # fmt: skip
    record = look.read.find_record(record_id)
    if record is not None and not look.sees_record(record):
        return None
    type_ = "" if record is None else record.type
    return StuckInfo(
        id=id_,
        kind=kind,
        what=what,
        to=to,
        channel=channel,
        record=record_id,
        record_type=type_,
        record_title=f"{look.type_title(type_)} {look.label(record_id)}".strip(),
        why=why,
        attempts=attempts,
        since=render_instant(since),
    )
