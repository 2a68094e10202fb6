"""Map layers as GeoJSON."""

from typing import Any

import msgspec

from madang.hub.queries.answers import LayerInfo
from madang.hub.queries.errors import NotFound
from madang.hub.queries.look import Look
from madang.hub.words import find_label, last_part
from madang.model.entity import Entity, value_of
from madang.ngsild.query import Query
from madang.services.contract import Layer

FEATURES_MAX = 50_000
"""Features of one layer in one answer; a city has some 40,000 buildings. What is left out is said in `truncated`."""
MOVING = "moving"


def list_layers(look: Look) -> list[LayerInfo]:
    """Layers of types that the caller may see, from below to above."""
    layers = sorted(look.hub.registry.layers.values(), key=lambda layer: (layer.order, layer.id))
    return [
        LayerInfo(
            id=layer.id,
            title=look.title(layer.title, layer.id),
            entity_type=layer.entity_type,
            style=layer.style,
            role=layer.role,
            label=layer.label,
            order=layer.order,
            moving=layer.style == MOVING,
        )
        for layer in layers
        if look.may_see_type(layer.entity_type)
    ]


def layer_of(look: Look, id_: str) -> Layer:
    """The declaration. Raises NotFound."""
    layer = look.hub.registry.layers.get(id_)
    if layer is None:
        raise NotFound(f"There is no layer {id_}; known: {', '.join(sorted(look.hub.registry.layers))}.")
    return layer


def render_layer(look: Look, id_: str) -> bytes:
    """A layer as a GeoJSON FeatureCollection (RFC 7946). Raises NotFound, Refused."""
    layer = layer_of(look, id_)
    look.require_type(layer.entity_type)
    page = look.query(Query(types=(layer.entity_type,), attributes=(layer.geometry,), limit=FEATURES_MAX))
    features = [feature for entity in page.entities if (feature := _feature(look, layer, entity)) is not None]
    collection: dict[str, Any] = {"type": "FeatureCollection", "features": features}
    if page.next_after is not None:
        collection["truncated"] = True
    return msgspec.json.encode(collection)


def _feature(look: Look, layer: Layer, entity: Entity) -> dict[str, Any] | None:
    geometry = value_of(entity.attributes.get(layer.geometry))
    if not isinstance(geometry, dict):
        return None
    hidden = look.mask(entity.type).names
    label = value_of(entity.attributes.get(layer.label)) if layer.label else None
    properties: dict[str, Any] = {
        "label": label if isinstance(label, str) else find_label(entity) or last_part(entity.id),
        "role": layer.role,
    }
    for name, attribute in entity.attributes.items():
        value = value_of(attribute)
        if isinstance(value, str | int | float) and name not in hidden and name not in properties:
            properties[name] = value
    return {"type": "Feature", "id": entity.id, "geometry": geometry, "properties": properties}
