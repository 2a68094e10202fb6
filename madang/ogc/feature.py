"""An entity as a GeoJSON Feature with flat properties: a row of a table with a geometry."""

from collections.abc import Collection
from typing import Any

from madang.model.entity import Attribute, Entity
from madang.model.time import render_instant
from madang.ngsild.context import CORE
from madang.ngsild.language import choose_text
from madang.ngsild.render import simplify

PLACE = "location"
"""The GeoProperty whose default instance is the feature's geometry. Others are properties."""


def feature_of(entity: Entity, hidden: Collection[str] = (), languages: tuple[str, ...] = ()) -> dict[str, Any]:
    """The Feature (RFC 7946) of an entity without the attributes in `hidden`; its geometry is null when it has no place. `languages`,
    best first, choose among the texts of a LanguageProperty.

    An attribute is a property of its name; an instance with a datasetId one of the name, a blank and the datasetId.

    >>> e = Entity("urn:x:1", "T", {"speed": {"type": "Property", "value": 3}}, 0, 0, 0, 1)
    >>> feature_of(e)["properties"]["speed"]
    3
    """
    properties: dict[str, Any] = {
        "type": entity.type,
        "observedAt": render_instant(entity.observed_at),
        "modifiedAt": render_instant(entity.modified_at),
    }
    geometry = None
    for key, attribute in entity.attributes.items():
        if key.partition(" ")[0] in hidden:
            continue
        if key == PLACE and attribute.get("type") == "GeoProperty":
            geometry = attribute["value"]
        else:
            properties[key] = plain_value(attribute, languages)
    return {"type": "Feature", "id": entity.id, "geometry": geometry, "properties": properties}


def plain_value(attribute: Attribute, languages: tuple[str, ...] = ()) -> Any:
    """The value of any kind of attribute, as a cell of a table has it; an object or an array stays one."""
    match attribute.get("type"):
        case "LanguageProperty":
            return choose_text(attribute.get("languageMap", {}), languages)[1]
        case "VocabProperty":
            words = attribute.get("vocab")
            return [CORE.compact_iri(w) for w in words] if isinstance(words, list) else CORE.compact_iri(str(words))
        case "JsonProperty":
            return attribute.get("json")
    value = simplify(attribute)
    if isinstance(value, dict) and "@value" in value:  # a typed value of JSON-LD
        return value["@value"]
    return value
