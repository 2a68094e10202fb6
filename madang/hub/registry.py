"""What the services declare, looked up by name."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from madang.model.entity import EntityType
from madang.procedure.contract import RecordType
from madang.services.contract import Indicator, Layer, Service, Table

T = TypeVar("T")


class Registry:
    """Declarations of all services and of the hub itself. Raises ValueError when two declare the same name."""

    def __init__(
        self,
        services: Iterable[Service],
        record_types: Iterable[RecordType] = (),
        rules: Mapping[str, dict[str, str]] | None = None,
    ) -> None:
        """`record_types` and `rules`: the platform's own."""
        self.services = tuple(services)
        self.entity_types: dict[str, EntityType] = {}
        self.record_types: dict[str, RecordType] = {}
        self.layers: dict[str, Layer] = {}
        self.tables: dict[str, Table] = {}
        self.indicators: dict[str, Indicator] = {}
        self.rules: dict[str, dict[str, str]] = dict(rules or {})
        """Rule -> title by language."""
        for record_type in record_types:
            _add(self.record_types, record_type.name, record_type)
        for service in self.services:
            for entity_type in service.entity_types:
                _add(self.entity_types, entity_type.name, entity_type)
            for record_type in service.record_types:
                _add(self.record_types, record_type.name, record_type)
            for layer in service.layers:
                _add(self.layers, layer.id, layer)
            for table in service.tables:
                _add(self.tables, table.entity_type, table)
            for indicator in service.indicators:
                _add(self.indicators, indicator.id, indicator)
            for rule, title in service.rules.items():
                _add(self.rules, rule, title)

    def is_reference(self, type_: str) -> bool:
        """Does every version of this type's entities stay?"""
        declared = self.entity_types.get(type_)
        return declared is not None and declared.kind == "reference"

    def is_record(self, type_: str) -> bool:
        """Is this type governed by a procedure?"""
        return type_ in self.record_types


def _add(into: dict[str, T], name: str, value: T) -> None:
    if name in into:
        raise ValueError(f"{name!r} is declared twice")
    into[name] = value
