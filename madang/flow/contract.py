"""The contract of a detector (DESIGN §2).

A detector is a pure keyed rule over changes. It owns no clock, no key table, no order, no storage: the runner does. The
runner calls, for every change in log order whose `entity_type` is in `inputs`:

    for key in detector.keys(change, ref):
        step = detector.step(state_of(key), change, ref)

and, when log time reaches a state's `wake_at`, `detector.tick(state, now, ref)`. `wake_at` in a Step replaces the
earlier one; None cancels it. Log time is `recorded_at`; use `change.observed_at` for when things were true.

Late and out-of-order readings arrive with `change.late` true, in the order in which they were recorded: the detector decides
what they mean (insert, ignore, withdraw). Duplicates never arrive: ingest removes them.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import Struct

from madang.model.change import Change
from madang.model.entity import Attributes, Entity
from madang.model.finding import Finding
from madang.model.geometry import LonLat
from madang.model.record import Record
from madang.model.time import Instant

S = TypeVar("S")


class Emit(Struct, frozen=True):
    """A derived observation (a stop, an unloading, a trip). Logged as a reading of its own entity, so that other
    detectors, the map, tables and history see it. Emitting the same `entity_id` again revises it."""

    entity_id: str
    entity_type: str
    observed_at: Instant
    attributes: Attributes


class Step(Struct, frozen=True):
    """What one call did. `state` None forgets the key."""

    state: Any
    findings: tuple[Finding, ...] = ()
    emits: tuple[Emit, ...] = ()
    wake_at: Instant | None = None


class Lookup(Struct, frozen=True):
    """A look-up that a detector declares: the runner keeps it as of the change's place in the log."""

    type: str
    """Entity type (kind ``reference``) or record type."""
    by: tuple[str, ...] = ()
    """Attributes (records: data names) to index by exact value, for `ref.find_by`."""
    place: str | None = None
    """GeoProperty to index in space, for `ref.near`."""


class OlderFormat(ValueError):
    """A stored state is of an older format, which its detector does not convert: the runner starts the key anew and says so.
    Nobody can mend such a state, so pausing its key would be for ever."""


def check_format(document: bytes, known: int, detector: str) -> None:
    """Look at a state document before it is decoded: its format is the first item of an array, or `format` of an object; 0 where
    there is none. Raises OlderFormat for one older than `known`; ValueError for a newer one, which a newer version wrote and
    will read again.

    >>> check_format(b'{"format":2,"vehicle":"v"}', 2, "t.one")
    >>> check_format(b'[1,"v"]', 2, "t.one")
    Traceback (most recent call last):
    madang.flow.contract.OlderFormat: t.one: state format 1 is older than 2
    """
    tree = msgspec.json.decode(document)
    found = (tree or [0])[0] if isinstance(tree, list) else tree.get("format", 0) if isinstance(tree, dict) else 0
    if not isinstance(found, int) or found < known:
        raise OlderFormat(f"{detector}: state format {found} is older than {known}")
    if found > known:
        raise ValueError(f"{detector}: state format {found} is newer than {known}, which this version knows")


class Near(Struct, frozen=True):
    """An entity near a place."""

    entity: Entity
    distance_m: float
    """0 inside its geometry."""


class Ref(Protocol):
    """Read-only look-ups, as of the change's place in the log. Only declared types answer; others raise LookupError."""

    def find(self, type_: str, id_: str) -> Entity | None:
        """The reference entity, or None."""
        ...

    def find_record(self, type_: str, id_: str) -> Record | None:
        """The record, or None."""
        ...

    def list_by(self, type_: str, attribute: str, value: str) -> Sequence[Entity]:
        """Reference entities whose declared attribute equals `value`, by id."""
        ...

    def list_records_by(self, type_: str, name: str, value: str) -> Sequence[Record]:
        """Records whose declared data name equals `value`, by id."""
        ...

    def near(self, type_: str, place: LonLat, radius_m: float) -> Sequence[Near]:
        """Reference entities whose declared geometry is within `radius_m` metres, nearest first (then by id)."""
        ...

    def parameter(self, name: str) -> Any:
        """The value of a declared parameter of the service (a limit that the city may set)."""
        ...


class Detector(Protocol[S]):
    """See the module's docstring. Implementations are stateless values."""

    @property
    def id(self) -> str:
        """``<service>.<name>``; never reused for another meaning."""
        ...

    @property
    def version(self) -> str:
        """Changes when the same input may give other output."""
        ...

    @property
    def inputs(self) -> frozenset[str]:
        """Entity and record types whose changes concern it."""
        ...

    @property
    def lookups(self) -> tuple[Lookup, ...]: ...

    def initial(self, key: str) -> S:
        """The state of a key that was never seen; it carries the key where step needs it."""
        ...

    def keys(self, change: Change, ref: Ref) -> Iterable[str]: ...

    def step(self, state: S, change: Change, ref: Ref) -> Step: ...

    def tick(self, state: S, now: Instant, ref: Ref) -> Step: ...

    def encode(self, state: S) -> bytes:
        """The state as a JSON document with a format version; small enough to be written often."""
        ...

    def decode(self, document: bytes) -> S:
        """The state again. Raises OlderFormat for an older one that it does not convert (the key starts anew), ValueError for one that it
        does not know (the key pauses); `check_format` does both."""
        ...
