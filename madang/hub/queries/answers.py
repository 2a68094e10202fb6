"""The answers of the hub's questions as typed values: what the API answers with and the console's types are made from.

Instants are RFC 3339 text in UTC; texts are in the asked language already; masses are kg, lengths m, unless `unit` says else.
"""

from typing import Any

from msgspec import Struct, field


class LayerInfo(Struct, frozen=True):
    """A map layer."""

    id: str
    title: str
    entity_type: str
    style: str
    role: str
    label: str
    order: int
    moving: bool


class Thing(Struct, frozen=True):
    """A moving thing as it is now."""

    id: str
    type: str
    label: str
    lon: float
    lat: float
    heading: float | None
    speed: float | None
    """km/h."""
    observed_at: str
    state: str
    """``ok``, ``stale`` (silent for more than three cadences while in use) or ``incident``."""
    severity: str | None
    """Worst severity of its live incidents."""
    weight_kg: float | None
    active: bool | None
    """Ignition on; None: not known."""


class Live(Struct, frozen=True):
    """The moving things, at most 50,000. Open the stream after `seq` to miss nothing."""

    seq: int
    things: list[Thing]
    total: int
    """How many there are; more than `things` holds when the picture is cut: those with incidents stay, then those heard last."""


class Measure(Struct, frozen=True):
    """A value against its limit."""

    code: str
    title: str
    value: Any
    limit: Any
    relation: str
    unit: str
    met: bool
    value_text: str
    limit_text: str


class Telling(Struct, frozen=True):
    """What was said before, in the place of which something newer stands."""

    found_at: str
    sentence: str
    withdrawn: bool
    completed_at: str | None
    """Of the reading that completed it; None in incidents older than this member."""


class Why(Struct, frozen=True):
    """One finding of an incident, as it was told last."""

    rule: str
    rule_title: str
    rule_version: str
    severity: str
    sentence: str
    measures: list[Measure]
    would_differ: list[str]
    withdrawn: bool
    withdrawn_sentence: str | None
    marked_at: str
    completed_at: str
    found_at: str
    earlier: list[Telling]
    """What was told before under the same rule about the same situation, oldest first."""


class EvidenceRow(Struct, frozen=True):
    """History that a rule looked at."""

    entity_id: str
    label: str
    attributes: list[str]
    from_: str = field(name="from")
    to: str = ""


class Named(Struct, frozen=True):
    """Something that can be opened."""

    id: str
    type: str
    label: str
    type_title: str
    """What people call the type."""


class ValueChange(Struct, frozen=True):
    """What an action changed."""

    name: str
    title: str
    before: str
    after: str


class TrailEntry(Struct, frozen=True):
    """An action that was taken."""

    version: int
    action: str
    action_title: str
    actor: str
    on_behalf_of: str | None
    at: str
    from_state: str | None
    to_state: str
    to_state_title: str
    note: str | None
    changes: list[ValueChange]


class Choice(Struct, frozen=True):
    value: str
    title: str


class ArgumentInfo(Struct, frozen=True):
    """A field of an action's form."""

    name: str
    kind: str
    required: bool
    title: str
    unit: str
    choices: list[Choice]
    entity_types: list[str]
    minimum: float | None
    maximum: float | None
    length_max: int


class ActionInfo(Struct, frozen=True):
    """An action as a button."""

    name: str
    title: str
    consequence: str
    permission: str
    allowed: bool
    reasons: list[str]
    undo: bool
    arguments: list[ArgumentInfo]


class DeadlineInfo(Struct, frozen=True):
    """Something that happens by itself unless the record moves first."""

    name: str
    title: str
    due_at: str
    action: str


class CheckItem(Struct, frozen=True):
    """An item of an incident's checklist."""

    id: str
    title: str
    done: bool
    by: str | None = None
    at: str | None = None


class StateStep(Struct, frozen=True):
    """A state that a record passed, or will usually pass: then `at` and `by` are None."""

    state: str
    title: str
    at: str | None
    by: str | None


class IncidentSummary(Struct, frozen=True):
    """An incident as a row of the queue."""

    id: str
    number: str
    state: str
    state_title: str
    severity: str
    lane: str
    title: str
    sentence: str
    subject: str | None
    subject_label: str
    lon: float | None
    lat: float | None
    marked_at: str
    opened_at: str
    acknowledged_by: str | None
    assignee: str | None
    rules: list[str]
    findings: int
    withdrawn: bool
    version: int
    unseen: bool


class Lanes(Struct, frozen=True):
    """Live incidents by lane, whatever the page shows."""

    act: int
    look: int
    log: int


class IncidentList(Struct, frozen=True):
    """A page of the queue."""

    items: list[IncidentSummary]
    total: int
    truncated: bool
    """True when more than the looked-at number exist: total is then a lower bound."""
    lanes: Lanes


class Note(Struct, frozen=True):
    """What somebody wrote."""

    by: str
    at: str
    text: str


class IncidentPage(IncidentSummary, frozen=True):
    """An incident with its why, its trail and what can be done now."""

    type: str
    level: int
    cause: str | None
    why: list[Why]
    findings_dropped: int
    evidence: list[EvidenceRow]
    involved: list[Named]
    notes: list[Note]
    trail: list[TrailEntry]
    actions: list[ActionInfo]
    deadlines: list[DeadlineInfo]
    checklist: list[CheckItem]
    states: list[StateStep]


class FieldValue(Struct, frozen=True):
    """A declared value of a record or an attribute of an entity, as it is shown."""

    name: str
    title: str
    value: Any
    text: str
    unit: str
    kind: str


class OutboxInfo(Struct, frozen=True):
    """A message to a person or another system."""

    id: int
    channel: str
    to: str
    text: str
    state: str
    attempts: int
    created_at: str
    error: str


class RecordSummary(Struct, frozen=True):
    """A record in one line."""

    id: str
    type: str
    type_title: str
    label: str
    state: str
    state_title: str
    version: int
    modified_at: str


class RecordPage(Struct, frozen=True):
    """A record with its data, its life and what can be done now."""

    id: str
    type: str
    type_title: str
    label: str
    state: str
    state_title: str
    version: int
    created_at: str
    modified_at: str
    data: dict[str, Any]
    fields: list[FieldValue]
    trail: list[TrailEntry]
    states: list[StateStep]
    actions: list[ActionInfo]
    deadlines: list[DeadlineInfo]
    outbox: list[OutboxInfo]
    related: list[Named]
    incidents: list[IncidentSummary]


class RecordTypeInfo(Struct, frozen=True):
    """A record type and the actions that create one of it."""

    type: str
    title: str
    states: list[Choice]
    actions: list[ActionInfo]


class AttributeValue(Struct, frozen=True):
    """An attribute of an entity."""

    name: str
    title: str
    value: Any
    text: str
    unit: str
    kind: str
    observed_at: str | None
    age_s: float | None


class DerivedRow(Struct, frozen=True):
    """A derived observation (stop, loading, unloading, trip) about an entity."""

    id: str
    type: str
    type_title: str
    title: str
    startedAt: str | None
    endedAt: str | None
    amount: float | None
    place_label: str | None
    status: str | None
    location: Any


class EntityPage(Struct, frozen=True):
    """A thing: state, records, incidents, what was derived of it."""

    id: str
    type: str
    type_title: str
    kind: str
    label: str
    attributes: list[AttributeValue]
    location: Any
    observed_at: str | None
    records: list[RecordSummary]
    incidents: list[IncidentSummary]
    derived: list[DerivedRow]


class Series(Struct, frozen=True):
    """Values of one attribute over time."""

    unit: str
    t: list[float]
    """Milliseconds since 1970, UTC."""
    v: list[Any]
    title: str = ""


class History(Struct, frozen=True):
    """Values over time, by attribute."""

    series: dict[str, Series]
    truncated: bool
    """True when older values of the window were left out: at most `limit` of each attribute, the newest."""


class ColumnInfo(Struct, frozen=True):
    """A column of a table."""

    attribute: str
    title: str
    kind: str
    unit: str
    digits: int


class TableInfo(Struct, frozen=True):
    """A table that the caller may open."""

    entity_type: str
    title: str
    columns: list[ColumnInfo]
    sort: str
    is_record: bool
    states: list[Choice]
    count: int
    permission: str


class TablePage(Struct, frozen=True):
    """Rows: {"id": …, "label": …, "<attribute>": {"value", "text"}, …}."""

    columns: list[ColumnInfo]
    rows: list[dict[str, Any]]
    total: int
    truncated: bool
    """True when there are more rows than this page and those before it."""


class IndicatorValue(Struct, frozen=True):
    """One figure. `value` None: refused, and `refused` says why."""

    label: str
    value: float | None
    text: str
    unit: str
    interval: tuple[float, float] | None
    sample_size: int
    refused: str | None


class IndicatorInfo(Struct, frozen=True):
    """An indicator with its figures; `error` says why it could not be computed."""

    id: str
    title: str
    unit: str
    method: str
    rows: list[IndicatorValue]
    error: str | None = None


class SourceInfo(Struct, frozen=True):
    """A source and how it is doing."""

    id: str
    title: str
    protocol: str
    state: str
    last_message_at: str | None
    rate_per_min: float
    accepted: int
    duplicates: int
    rejected: int
    acknowledgement: str
    cadence_s: float
    devices: int
    quarantined: int


class QuarantineInfo(Struct, frozen=True):
    """A payload that could not be understood."""

    id: int
    source: str
    received_at: str
    code: str
    detail: str
    topic: str
    payload: str
    """As text; what is no UTF-8 is shown as U+FFFD."""
    bytes: int


class StuckInfo(Struct, frozen=True):
    """A message that could not be sent, or a deadline whose action failed: it waits for a person."""

    id: str
    kind: str
    """``message`` or ``deadline``."""
    what: str
    """What was to be said or done, in words."""
    to: str
    """Whom the message is for; empty for a deadline."""
    channel: str
    record: str
    record_type: str
    record_title: str
    why: str
    attempts: int
    since: str


class StuckPage(Struct, frozen=True):
    """All that waits, the longest first. `truncated`: there is more."""

    items: list[StuckInfo]
    truncated: bool


class RetryResult(Struct, frozen=True):
    """``again``: it is due at once; ``not-stuck``: it did not wait (any more), nothing was done."""

    status: str


class ReplayResult(Struct, frozen=True):
    """What became of a payload that was decoded again."""

    status: str
    code: str
    detail: str


class ClockInfo(Struct, frozen=True):
    now: str
    speed: float


class CityInfo(Struct, frozen=True):
    """The city as a whole."""

    name: str
    languages: list[str]
    bounds: tuple[float, float, float, float]
    time_zone: str
    clock: ClockInfo
    sample: bool
    version: str
    anonymous_role: str = ""
    """Role of callers who did not log in; empty: there are none. The console warns of it."""


class Me(Struct, frozen=True):
    """The caller, as the console greets it."""

    principal: str
    name: str
    role: str
    permissions: list[str]
    tenant: str
    party: str | None
    party_label: str | None = None


class ParameterInfo(Struct, frozen=True):
    """A limit that the city may set."""

    name: str
    title: str
    value: Any
    default: Any
    source: str
    minimum: float | None
    maximum: float | None
