"""Sources and their quarantine, as their page shows them."""

from madang.hub.ports import QuarantineRow
from madang.hub.queries.answers import QuarantineInfo, SourceInfo
from madang.hub.queries.look import Look
from madang.model.time import render_instant
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
