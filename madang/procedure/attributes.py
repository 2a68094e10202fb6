"""The NGSI-LD form of a record: what queries, maps and tables see of it."""

from typing import Any

from madang.model.entity import Attribute, Attributes, AttributeType, geo, point, prop, rel
from madang.model.record import Record
from madang.procedure.contract import RecordType

STATUS = "status"
"""Attribute that carries the state, as Smart Data Models name it."""
VERSION = "version"
NUMBER = "number"


def attributes_of(record: Record, record_type: RecordType) -> Attributes:
    """The record's normalised attributes: `status` (its state), `version`, `number` if it has one, and every declared
    attribute that its data holds. Data names that are not declared stay inside; None and empty lists are left out,
    because NGSI-LD has no null value in an entity at rest (clause 4.5.0)."""
    attributes: Attributes = {STATUS: prop(record.state), VERSION: prop(record.version)}
    if record.data.get(NUMBER):
        attributes[NUMBER] = prop(record.data[NUMBER])
    for declared in record_type.attributes:
        value = record.data.get(declared.name)
        if value is not None and value != []:
            attribute = _attribute(declared, value)
            if attribute is not None:
                attributes[declared.name] = attribute
    return attributes


def _attribute(declared: AttributeType, value: Any) -> Attribute | None:
    if declared.kind == "Relationship":
        # Clause 4.5.3: the object of a Relationship is one URI or, since v1.8, a list of them.
        return {"type": "Relationship", "object": value} if isinstance(value, list) else rel(str(value))
    if declared.kind == "GeoProperty":
        if isinstance(value, list | tuple) and len(value) == 2:
            return point(value[0], value[1])
        return geo(value) if isinstance(value, dict) else None
    return prop(value, declared.unit if isinstance(value, int | float) else None)


def links_of(record: Record, record_type: RecordType) -> dict[str, str]:
    """The indexed data of a record (name -> text value) for look-ups; absent values are left out."""
    found = {name: record.data.get(name) for name in record_type.indexed}
    return {name: value for name, value in found.items() if isinstance(value, str) and value}
