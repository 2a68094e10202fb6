"""What a sector service declares. Documentation, API, console and access rules are generated from it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct, field

from madang.flow.contract import Detector
from madang.model.entity import Entity, EntityType
from madang.model.finding import Reason
from madang.model.record import Record
from madang.model.time import Instant
from madang.procedure.contract import RecordType
from madang.wire.source import Source


class Parameter(Struct, frozen=True):
    """A limit that the city may set. Every version is kept; a detector reads the one in force at its place in the log."""

    name: str
    """``<service>.<name>``, ending in its unit where it has one."""
    default: Any
    title: dict[str, str]
    source: str
    """Where the default comes from: article, standard, measurement, or "ours"."""
    minimum: float | None = None
    maximum: float | None = None


class Layer(Struct, frozen=True):
    """A map layer as data: which entities, drawn how."""

    id: str
    title: dict[str, str]
    entity_type: str
    geometry: str = "location"
    """GeoProperty to draw."""
    style: str = "area"
    """``area``, ``line``, ``place``, ``moving``: the console has one map style per theme for each, refined by `role`."""
    role: str = ""
    """What it is on the map: ``road``, ``water``, ``forbidden``, ``permitted``, ``plant``, ``farm``, ``building``, ``truck`` …"""
    label: str = ""
    """Attribute that names it."""
    order: int = 0
    """Drawn from low to high."""


class Column(Struct, frozen=True):
    """A column of a table."""

    attribute: str
    title: dict[str, str]
    kind: str = "text"
    """``text``, ``number``, ``instant``, ``state``, ``entity``, ``boolean``, ``place``."""
    unit: str = ""
    digits: int = 0


class Table(Struct, frozen=True):
    """A table as data: one per entity or record type that people look at."""

    entity_type: str
    title: dict[str, str]
    columns: tuple[Column, ...]
    sort: str = ""
    """Attribute; ``-`` before it for descending."""


class IndicatorRow(Struct, frozen=True):
    """One figure with its interval."""

    label: Reason
    value: float | None
    """None: refused, `reason` says why."""
    unit: str
    sample_size: int
    interval: tuple[float, float] | None = None
    """95 %."""
    reason: Reason | None = None


class IndicatorData(Protocol):
    """What an indicator may read."""

    def list_entities(self, type_: str) -> Sequence[Entity]: ...

    def list_records(self, type_: str) -> Sequence[Record]: ...


class Indicator(Struct, frozen=True):
    """A figure with unit and interval over a window [start, end)."""

    id: str
    title: dict[str, str]
    unit: str
    method: dict[str, str]
    """How it is computed and where the data comes from, in plain words by language."""
    compute: Callable[[IndicatorData, tuple[Instant, Instant], Mapping[str, Any]], list[IndicatorRow]]


class Service(Struct, frozen=True):
    """A sector."""

    name: str
    title: dict[str, str]
    entity_types: tuple[EntityType, ...] = ()
    record_types: tuple[RecordType, ...] = ()
    detectors: tuple[Detector[Any], ...] = ()
    indicators: tuple[Indicator, ...] = ()
    layers: tuple[Layer, ...] = ()
    tables: tuple[Table, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    rules: dict[str, dict[str, str]] = field(default_factory=dict)
    """Title of every rule by language; keys are what findings carry in `rule`."""
    checklists: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Rule -> reason codes of what to do about it, put on the incident as items to tick off."""
    sources: tuple[Source, ...] = ()
    """Sources that the sector brings: device protocols as data; each gets its secret when a city first starts."""
    locale_dir: Path | None = None
    """Folder with ko.json and en.json: reason code -> sentence with {parameter} places."""
