"""A record's page, and what records there are to create."""

from typing import Any

from madang.hub.queries import life
from madang.hub.queries.answers import Choice, Named, RecordPage, RecordSummary, RecordTypeInfo
from madang.hub.queries.incidents import incidents_of
from madang.hub.queries.look import Look
from madang.model.record import Record
from madang.model.time import render_instant
from madang.procedure.engine import SYSTEM_PERMISSION
from madang.procedure.incident import INCIDENT_TYPE

RELATED_MAX = 100


def get_page(look: Look, id_: str) -> RecordPage:
    """One record. Raises NotFound, also for one that is not the caller's to see."""
    record = look.get_record(id_)
    record_type = look.record_type(record.type)
    trail = life.trail(look, record_type, look.read.list_versions(id_))
    summary = summary_of(look, record)
    return RecordPage(
        id=record.id,
        type=record.type,
        type_title=summary.type_title,
        label=summary.label,
        state=record.state,
        state_title=summary.state_title,
        version=record.version,
        created_at=render_instant(record.created_at),
        modified_at=render_instant(record.modified_at),
        data=look.mask(record.type).apply(record.data),
        fields=life.fields(look, record_type, record),
        trail=trail,
        states=life.states(look, record_type, record, trail),
        actions=life.actions(look, record),
        deadlines=life.deadlines(look, record_type, record),
        outbox=life.outbox(look, record),
        related=_related(look, record),
        incidents=incidents_of(look, id_) if record.type != INCIDENT_TYPE else [],
    )


def summary_of(look: Look, record: Record) -> RecordSummary:
    """A record in one line."""
    record_type = look.record_type(record.type)
    return RecordSummary(
        id=record.id,
        type=record.type,
        type_title=look.title(record_type.title, record.type),
        label=str(record.data.get("number") or look.label(record.id)),
        state=record.state,
        state_title=look.hub.words.state(record.state, look.lang, record_type),
        version=record.version,
        modified_at=render_instant(record.modified_at),
    )


def _related(look: Look, record: Record) -> list[Named]:
    """Entities that the record names anywhere in its data."""
    ids: dict[str, None] = {}

    def collect(value: Any) -> None:
        if isinstance(value, str):
            if value.startswith("urn:") and value != record.id:
                ids[value] = None
        elif isinstance(value, dict):
            for inner in value.values():
                collect(inner)
        elif isinstance(value, list):
            for inner in value:
                collect(inner)

    collect(look.mask(record.type).apply(record.data))
    related = []
    for id_ in list(ids)[:RELATED_MAX]:
        entity = look.read.find_entity(id_)
        if entity is not None and look.sees(entity):
            related.append(Named(id_, entity.type, look.label(id_), look.type_title(entity.type)))
    return related


def list_record_types(look: Look) -> list[RecordTypeInfo]:
    """Record types that the caller may see, each with the actions by which it may create one."""
    found = []
    for name in sorted(look.hub.registry.record_types):
        record_type = look.hub.registry.record_types[name]
        if not look.may_see_type(name):
            continue
        creating = [
            life.action_info(look, action, look.caller.may(action.permission), [])
            for action in record_type.procedure.actions
            if not action.from_states and action.permission != SYSTEM_PERMISSION
        ]
        states = [
            Choice(state, look.hub.words.state(state, look.lang, record_type)) for state in record_type.procedure.states
        ]
        found.append(RecordTypeInfo(name, look.title(record_type.title, name), states, creating))
    return found
