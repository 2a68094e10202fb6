"""The contract of a procedure (DESIGN §2): a table of actions; every row names states, permission, guard and effect.

The engine (`madang.procedure.engine`) decides; the hub commits what it decided in one transaction: the record's next
version, outbox messages, opened records, deadlines. Guards and effects are pure functions of (record, arguments,
context).
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from msgspec import Struct, field

from madang.model.entity import AttributeType, Entity
from madang.model.finding import Reason
from madang.model.record import Record
from madang.model.time import Instant

NEW = None
"""`from_states` entry of an action that creates a record."""


class Refs(Protocol):
    """Read-only look-ups for guards and effects, as of the transaction that commits the action."""

    def find(self, id_: str) -> Entity | None:
        """The entity, or None."""
        ...

    def find_record(self, id_: str) -> Record | None:
        """The record, or None."""
        ...

    def list_records_by(self, type_: str, name: str, value: str) -> Sequence[Record]:
        """Records of the type whose top-level data `name` equals `value`, by id."""
        ...

    def parameter(self, name: str) -> Any:
        """The value of a parameter, e.g. ``manure.confirm_within_h``."""
        ...


class Context(Struct, frozen=True):
    """Who acts, for whom, when, and what may be looked up."""

    actor: str
    """Who typed: the principal."""
    on_behalf_of: str | None
    """Who agreed, when somebody else typed: an entity id of a party, or a principal."""
    now: Instant
    ref: Refs
    permissions: frozenset[str] = frozenset()
    party: str | None = None
    """Entity id of the farm, carrier or plant the actor belongs to; None for city staff and the system."""
    asking: bool = False
    """True when a guard is only asked what a button would answer: the arguments are not there yet."""
    number: str = ""
    """The human-readable number reserved for a record that is being created (``M-2026-000001``); empty otherwise."""


class Deadline(Struct, frozen=True):
    """Something that happens by itself at a time unless the record moves first. One per (record, name): setting the
    same name again replaces it. It fires once, also after a restart, as `action` by the system."""

    name: str
    due_at: Instant
    action: str
    arguments: dict[str, Any] = field(default_factory=dict)


class OutboxMessage(Struct, frozen=True):
    """An intent to tell a person or another system, committed with its cause and sent afterwards, at least once."""

    channel: str
    """``sms``, ``webhook``, ``console`` …"""
    to: str
    """Address, party id or group (``group:control-room``)."""
    reason: Reason
    """What it says, as data; put into words when it is sent."""


class Opening(Struct, frozen=True):
    """Another record to create in the same transaction."""

    type: str
    action: str
    arguments: dict[str, Any]
    id: str | None = None
    """None: the engine names it after its cause, so that a repeat makes no second one."""


class Onward(Struct, frozen=True):
    """An action of the system on another record in the same transaction (a merged incident hands its findings over).
    If it is not allowed there, nothing of the cause happens either."""

    record_id: str
    action: str
    arguments: dict[str, Any]


class Effect(Struct, frozen=True):
    """What an action does, all of it committed together."""

    data: dict[str, Any]
    """The record's whole data after the action."""
    state: str | None = None
    """Overrides the table's `to` where the outcome depends on data (it must be one of the action's `to_states`)."""
    outbox: tuple[OutboxMessage, ...] = ()
    opens: tuple[Opening, ...] = ()
    deadlines: tuple[Deadline, ...] = ()
    cancels: tuple[str, ...] = ()
    """Names of deadlines to cancel; a final state cancels all."""
    acts: tuple[Onward, ...] = ()


class Argument(Struct, frozen=True):
    """One argument of an action: the API validates it and the console draws a field from it."""

    name: str
    kind: str
    """``text``, ``number``, ``integer``, ``boolean``, ``instant``, ``choice``, ``entity``, ``list``, ``object``,
    ``place``."""
    required: bool = False
    title: dict[str, str] = field(default_factory=dict)
    unit: str = ""
    choices: tuple[str, ...] = ()
    entity_types: tuple[str, ...] = ()
    """For kind ``entity``: which types it may name."""
    minimum: float | None = None
    maximum: float | None = None
    length_max: int = 2000


Guard = Callable[[Record | None, dict[str, Any], Context], list[Reason]]
"""Every reason against the action; empty allows it. The record is None for a creating action. Also asked with no
arguments at all (`Context.asking`), to tell people what a button would answer: a missing argument is then no reason."""
EffectOf = Callable[[Record | None, dict[str, Any], Context], Effect]


class Action(Struct, frozen=True):
    """One row of a procedure's table."""

    name: str
    title: dict[str, str]
    from_states: tuple[str, ...]
    """Empty: the action creates the record."""
    to_states: tuple[str, ...]
    """The state afterwards; the first is the usual one. The word ``=`` means unchanged."""
    permission: str
    guard: Guard
    effect: EffectOf
    arguments: tuple[Argument, ...] = ()
    consequence: dict[str, str] = field(default_factory=dict)
    """What will happen, in one sentence by language, shown beside the button."""
    undo: bool = False
    """True for an action that takes back an earlier one."""
    quiet: bool = False
    """True for an action that changes nothing a person would decide differently about (a reminder, a comment): who
    saw the version before it is not in conflict."""


class Procedure(Struct, frozen=True):
    """A life cycle."""

    states: tuple[str, ...]
    """In the order in which a record usually passes them."""
    final_states: tuple[str, ...]
    actions: tuple[Action, ...]
    reopening: tuple[str, ...] = ()
    """Names of the actions that may lead out of a final state (a correction); no other may."""

    def find_action(self, name: str) -> Action | None:
        """The row, or None."""
        return next((a for a in self.actions if a.name == name), None)


class RecordType(Struct, frozen=True):
    """The declaration of a record type."""

    name: str
    title: dict[str, str]
    attributes: tuple[AttributeType, ...]
    procedure: Procedure
    state_titles: dict[str, dict[str, str]] = field(default_factory=dict)
    """By state, by language."""
    data_class: str = "internal"
    indexed: tuple[str, ...] = ()
    """Data names that look-ups (`list_records_by`) use; their values are text."""
    number_prefix: str = ""
    """Prefix of the human-readable number that a creating effect may ask for."""
    parties: tuple[str, ...] = ()
    """Data names that hold the farm, carrier or plant whom a record concerns (text or a list of text): callers who
    act for a party see only records that name their own."""
    read_permission: str = "entity.read"
    """The permission that looking at a record takes."""
