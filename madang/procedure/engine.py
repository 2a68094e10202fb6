"""The engine decides what an action does to a record; it commits nothing (`madang.hub.records` does).

`decide` is a pure function of the record, the arguments and the context: the same call gives the same decision, so a
test, a dry run and the live hub agree. Order of the questions: permission, arguments, state, guard; within each every reason
against is collected, not only the first one, so that a person mends all at once.
"""

from collections.abc import Collection
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from madang.model.change import Transition
from madang.model.finding import Reason
from madang.model.record import Record
from madang.procedure.arguments import ArgumentError, CheckedArguments, check_arguments
from madang.procedure.check import ProcedureError, check_procedure
from madang.procedure.contract import Action, Context, Effect, RecordType
from madang.procedure.diagram import draw_diagram, draw_page

__all__ = [
    "SAME",
    "SYSTEM_PERMISSION",
    "ActionView",
    "ArgumentError",
    "BrokenProcedure",
    "CheckedArguments",
    "Decision",
    "ProcedureError",
    "Refusal",
    "allowed_actions",
    "check_arguments",
    "check_procedure",
    "decide",
    "draw_diagram",
    "draw_page",
]

SAME = "="
"""`to_states` entry: the state stays as it is."""
SYSTEM_PERMISSION = "record.system"
"""Permission of actions that only Madang itself takes (deadlines, findings); people never see them as buttons."""


class BrokenProcedure(Exception):
    """An effect broke its own table (a state it does not declare). The author of the procedure is wrong, not the
    caller."""


class Decision(Struct, frozen=True):
    """An allowed action and all that it does; nothing has happened yet."""

    record: Record
    """The next version."""
    transition: Transition
    effect: Effect
    cancels_all: bool
    """True when the record came to a final state: no deadline outlives it."""
    quiet: bool = False


class Refusal(Struct, frozen=True):
    """Everything against an action. `errors` are about arguments; `permission` is the one that is missing, if any."""

    reasons: tuple[Reason, ...] = ()
    errors: tuple[ArgumentError, ...] = ()
    permission: str | None = None


class ActionView(Struct, frozen=True):
    """An action as a button: may it be taken now, and if not, why not."""

    action: Action
    allowed: bool
    reasons: tuple[Reason, ...]


def decide(
    record_type: RecordType,
    record: Record | None,
    action_name: str,
    arguments: dict[str, Any],
    ctx: Context,
    new_id: str | None = None,
) -> Decision | Refusal:
    """What `action_name` would do.

    `record` is None for a creating action, which needs `new_id`. `ctx.permissions` must hold the action's permission
    (``*`` holds all). Raises BrokenProcedure when the effect breaks its table, and whatever a faulty guard or effect
    raises.
    """
    action = record_type.procedure.find_action(action_name)
    if action is None:
        return Refusal(reasons=(Reason("procedure.unknown-action"),))
    if not _may(ctx.permissions, action.permission):
        return Refusal(permission=action.permission)
    checked = check_arguments(action, arguments)
    if checked.errors:
        return Refusal(errors=checked.errors)
    misplaced = _misplaced(action, record)
    if misplaced is not None:
        return Refusal(reasons=(misplaced,))
    reasons = action.guard(record, checked.values, ctx)
    if reasons:
        return Refusal(reasons=tuple(reasons))
    effect = action.effect(record, checked.values, ctx)
    return _decision(record_type, record, action, checked.values, ctx, effect, new_id)


def _decision(
    record_type: RecordType,
    record: Record | None,
    action: Action,
    arguments: dict[str, Any],
    ctx: Context,
    effect: Effect,
    new_id: str | None,
) -> Decision:
    state = _next_state(record_type, record, action, effect)
    if record is None:
        if not new_id:
            raise ValueError("a creating action needs the id of the new record")
        following = Record(new_id, record_type.name, state, 1, effect.data, ctx.now, ctx.now)
    else:
        following = Record(record.id, record.type, state, record.version + 1, effect.data, record.created_at, ctx.now)
    transition = Transition(
        action=action.name,
        from_state=None if record is None else record.state,
        to_state=state,
        version=following.version,
        actor=ctx.actor,
        on_behalf_of=ctx.on_behalf_of,
        arguments=arguments,
    )
    return Decision(following, transition, effect, state in record_type.procedure.final_states, action.quiet)


def _next_state(record_type: RecordType, record: Record | None, action: Action, effect: Effect) -> str:
    current = None if record is None else record.state
    declared = [current if state == SAME else state for state in action.to_states]
    wanted = declared[0] if effect.state is None else (current if effect.state == SAME else effect.state)
    if wanted is None or wanted not in declared or wanted not in record_type.procedure.states:
        raise BrokenProcedure(
            f"{record_type.name}.{action.name}: effect leads to {wanted!r}, the table declares {action.to_states}"
        )
    return wanted


def _misplaced(action: Action, record: Record | None) -> Reason | None:
    if record is None:
        return None if not action.from_states else Reason("procedure.no-record")
    if not action.from_states:
        return Reason("procedure.exists-already", {"state": record.state})
    if record.state not in action.from_states:
        return Reason("procedure.wrong-state", {"state": record.state, "action": action.name})
    return None


def _may(permissions: Collection[str], permission: str) -> bool:
    return permission in permissions or "*" in permissions


def allowed_actions(record_type: RecordType, record: Record, ctx: Context) -> list[ActionView]:
    """The actions that the record's state offers to people, in the table's order, each with every reason against it.

    Actions of the system and those of other states are left out: a screen shows what can be done next, not the whole
    table.
    """
    views: list[ActionView] = []
    for action in record_type.procedure.actions:
        if record.state not in action.from_states or action.permission == SYSTEM_PERMISSION:
            continue
        reasons: list[Reason] = []
        if not _may(ctx.permissions, action.permission):
            reasons.append(Reason("procedure.no-permission", {"permission": action.permission}))
        reasons.extend(action.guard(record, {}, replace(ctx, asking=True)))
        views.append(ActionView(action, not reasons, tuple(reasons)))
    return views
