"""Findings: what a detector says it saw, with everything a person needs to believe or refute it."""

from typing import Any

from msgspec import Struct, field

from madang.model.geometry import LonLat
from madang.model.time import Instant

CRITICAL, HIGH, MEDIUM, LOW = "critical", "high", "medium", "low"
SEVERITIES = (CRITICAL, HIGH, MEDIUM, LOW)
"""Worst first."""


class Reason(Struct, frozen=True):
    """A sentence as data: a code and typed parameters, put into words per reader and language from the service's
    `locale/<lang>.json`. Parameter names end in their unit (``dropped_kg``, ``distance_m``); instants end in ``_at``;
    names of entities end in ``_id``. A sentence never needs a parameter that is not in `params`."""

    code: str
    params: dict[str, Any] = field(default_factory=dict)


class Measure(Struct, frozen=True):
    """One value against its limit: a row of the *why*."""

    code: str
    value: float | str | None
    """None: not known."""
    limit: float | str | None
    unit: str = ""
    """UN/CEFACT code, or empty."""
    relation: str = ">="
    """How value stands to limit when the rule fires: ``>=``, ``<=``, ``>``, ``<``, ``==``, ``!=``, ``in``, ``not in``."""


class Evidence(Struct, frozen=True):
    """A piece of history that the rule looked at; the console draws it."""

    entity_id: str
    attributes: tuple[str, ...]
    from_at: Instant
    to_at: Instant


class Finding(Struct, frozen=True):
    """The output of a detector's rule. Identity is (detector, key, seq of the trigger, ordinal), given by the runner."""

    rule: str
    """``<service>.<rule>``, e.g. ``manure.D1``."""
    rule_version: str
    situation: str
    """Findings of one situation join one incident. Stable under replay and under late data: made of ids and of what
    happened, not of when it was noticed."""
    subject: str
    """Entity id of the thing that it is about."""
    severity: str
    reason: Reason
    """The headline."""
    marked_at: Instant
    """The moment in the world to mark on the time axis."""
    completed_at: Instant
    """`observed_at` of the message that completed the rule: delay is measured from its arrival."""
    location: LonLat | None = None
    measures: tuple[Measure, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    would_differ: tuple[Reason, ...] = ()
    """What would have to differ for the rule not to fire."""
    involved: tuple[str, ...] = ()
    """Ids of other entities and records that matter (the manifest, the parcel, the river zone)."""
    withdraws: bool = False
    """True: late data showed that this rule's earlier finding of this situation was wrong; `reason` says why."""
