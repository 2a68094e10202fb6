"""The life of a record as its page shows it: trail, states, actions, deadlines, outbox. Shared by incidents and all other records."""

from collections.abc import Sequence
from typing import Any

from madang.hub.ports import Version
from madang.hub.queries.answers import (
    ActionInfo,
    ArgumentInfo,
    Choice,
    DeadlineInfo,
    FieldValue,
    OutboxInfo,
    StateStep,
    TrailEntry,
    ValueChange,
)
from madang.hub.queries.look import Look
from madang.model.entity import AttributeType
from madang.model.record import Record
from madang.model.time import render_instant
from madang.procedure.contract import Action, RecordType

TRAIL_MAX = 1_000
"""Versions shown of one record; a record with more is a program that loops."""
VALUE_CHANGES_MAX = 20


def trail(look: Look, record_type: RecordType, versions: Sequence[Version]) -> list[TrailEntry]:
    """What happened to a record, oldest first."""
    entries: list[TrailEntry] = []
    before: dict[str, Any] = {}
    for version in versions[-TRAIL_MAX:]:
        transition, data = version.transition, version.record.data
        row = record_type.procedure.find_action(transition.action)
        entries.append(
            TrailEntry(
                version=version.record.version,
                action=transition.action,
                action_title=transition.action if row is None else look.title(row.title, row.name),
                actor=transition.actor,
                on_behalf_of=transition.on_behalf_of,
                at=render_instant(version.at),
                from_state=transition.from_state,
                to_state=transition.to_state,
                to_state_title=look.hub.words.state(transition.to_state, look.lang, record_type),
                note=_note(transition.arguments),
                changes=_changes(look, record_type, before, data),
            )
        )
        before = data
    return entries


def _note(arguments: dict[str, Any]) -> str | None:
    for name in ("note", "text", "remark"):
        value = arguments.get(name)
        if isinstance(value, str) and value:
            return value
    return None


def _changes(look: Look, record_type: RecordType, before: dict[str, Any], after: dict[str, Any]) -> list[ValueChange]:
    """Declared values that an action changed; what the first version sets is not a change."""
    if not before:
        return []
    hidden = look.mask(record_type.name).names
    changes = []
    for declared in record_type.attributes:
        old, new = before.get(declared.name), after.get(declared.name)
        if old == new or declared.name in hidden:
            continue
        changes.append(
            ValueChange(
                declared.name,
                look.title(declared.title, declared.name),
                value_text(look, declared, old),
                value_text(look, declared, new),
            )
        )
        if len(changes) >= VALUE_CHANGES_MAX:
            break
    return changes


def states(look: Look, record_type: RecordType, record: Record, entries: Sequence[TrailEntry]) -> list[StateStep]:
    """The states that the record passed, in order, then those that usually come: from each the next in the declared order that an
    action leads to, up to a final one."""
    steps: list[StateStep] = []
    for entry in entries:
        if steps and steps[-1].state == entry.to_state:
            continue
        steps.append(StateStep(entry.to_state, entry.to_state_title, entry.at, entry.on_behalf_of or entry.actor))
    procedure = record_type.procedure
    if record.state in procedure.final_states or record.state not in procedure.states:
        return steps
    order = {name: place for place, name in enumerate(procedure.states)}
    state = record.state
    while state not in procedure.final_states:
        onward = {
            action.to_states[0]
            for action in procedure.actions
            if state in action.from_states and order.get(action.to_states[0], -1) > order[state]
        }
        if not onward:
            break
        state = min(onward, key=order.__getitem__)
        steps.append(StateStep(state, look.hub.words.state(state, look.lang, record_type), None, None))
    return steps


def actions(look: Look, record: Record) -> list[ActionInfo]:
    """What can be done next, each with every reason against it."""
    views = look.hub.records.list_actions(look.read, look.caller, record)
    return [
        action_info(look, view.action, view.allowed, [look.say(reason) for reason in view.reasons]) for view in views
    ]


def action_info(look: Look, action: Action, allowed: bool, reasons: list[str]) -> ActionInfo:
    """An action as a button with its form."""
    return ActionInfo(
        name=action.name,
        title=look.title(action.title, action.name),
        consequence=look.title(action.consequence),
        permission=action.permission,
        allowed=allowed,
        reasons=reasons,
        undo=action.undo,
        arguments=[
            ArgumentInfo(
                name=argument.name,
                kind=argument.kind,
                required=argument.required,
                title=look.title(argument.title, argument.name),
                unit=look.hub.words.unit(argument.unit, look.lang),
                choices=[Choice(value, choice_title(look, argument.name, value)) for value in argument.choices],
                entity_types=list(argument.entity_types),
                minimum=argument.minimum,
                maximum=argument.maximum,
                length_max=argument.length_max,
            )
            for argument in action.arguments
        ],
    )


def choice_title(look: Look, name: str, value: str) -> str:
    """The words for one value of a choice: ``choice.<name>.<value>``, else ``<name>.<value>``, else the value."""
    words = look.hub.words
    return words.text(f"choice.{name}.{value}", look.lang, words.text(f"{name}.{value}", look.lang, value))


def deadlines(look: Look, record_type: RecordType, record: Record) -> list[DeadlineInfo]:
    """What will happen by itself, soonest first."""
    found = []
    for deadline in look.read.list_deadlines(record.id):
        action = record_type.procedure.find_action(deadline.action)
        title = deadline.name if action is None else look.title(action.title, action.name)
        found.append(DeadlineInfo(deadline.name, title, render_instant(deadline.due_at), deadline.action))
    return found


def outbox(look: Look, record: Record) -> list[OutboxInfo]:
    """Messages that the record caused, oldest first."""
    return [
        OutboxInfo(
            id=row.id,
            channel=row.channel,
            to=row.to,
            text=look.say(row.reason),
            state=row.state,
            attempts=row.attempts,
            created_at=render_instant(row.created_at),
            error=row.error,
        )
        for row in look.read.list_outbox_of(record.id)
    ]


def fields(look: Look, record_type: RecordType, record: Record) -> list[FieldValue]:
    """The declared values of a record, in the declared order, those that the caller may see."""
    hidden = look.mask(record_type.name).names
    found = []
    for declared in record_type.attributes:
        value = record.data.get(declared.name)
        if value is None or value == [] or declared.name in hidden:
            continue
        found.append(
            FieldValue(
                name=declared.name,
                title=look.title(declared.title, declared.name),
                value=value,
                text=value_text(look, declared, value),
                unit=look.hub.words.unit(declared.unit, look.lang),
                kind=declared.kind,
            )
        )
    return found


def value_text(look: Look, declared: AttributeType, value: Any) -> str:
    """A declared value as people read it: names for ids, local time for instants, sentences for reasons."""
    if value is None:
        return ""
    if declared.kind == "Relationship":
        targets = value if isinstance(value, list) else [value]
        return ", ".join(look.label(str(target)) for target in targets)
    if isinstance(value, dict) and set(value) <= {"code", "params"} and "code" in value:
        return look.say(value)
    if isinstance(value, str):
        if declared.name.endswith("At") and look.hub.words.local(value) is not None:
            return look.hub.words.instant(value, look.lang)
        return choice_title(look, declared.name, value) if value.isascii() and len(value) < 40 else value
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return "; ".join(_object_text(look, item) for item in value)
    if isinstance(value, dict) and "type" not in value:
        return _object_text(look, value)
    return look.hub.words.value(value, declared.unit, look.lang)


def _object_text(look: Look, item: dict[str, Any]) -> str:
    """A small object inside a record (a loading, a signature) in one line."""
    parts = []
    for name, value in item.items():
        if value is None or isinstance(value, dict | list):
            continue
        if isinstance(value, str) and value.startswith("urn:"):
            parts.append(look.label(value))
        elif isinstance(value, str) and (name == "at" or name.endswith("At")):
            parts.append(look.hub.words.instant(value, look.lang))
        elif name == "amount":
            parts.append(look.hub.words.value(value, "KGM", look.lang))
        elif isinstance(value, str):
            parts.append(choice_title(look, name, value) if value.isascii() else value)
        else:
            parts.append(look.hub.words.value(value, None, look.lang))
    return " · ".join(parts)
