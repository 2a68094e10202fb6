"""The evolution of an entity out: normalized, simplified (temporalValues) and aggregated (clauses 4.5.6 to 4.5.9, 4.5.19). Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from madang.model.entity import Attribute, Entity, split_key
from madang.model.time import Instant, render_instant
from madang.ngsild.render import View, in_language, show_attribute, simplify
from madang.ngsild.temporal import ANY_TIME, OBSERVED_AT
from madang.ngsild.temporal_parse import render_instance_id

NORMALIZED, VALUES, AGGREGATED = "normalized", "temporalValues", "aggregatedValues"
SCOPE = "scope"
_VALUES_MEMBERS = {
    "Property": "values",
    "GeoProperty": "values",
    "Relationship": "objects",
    "LanguageProperty": "languageMaps",
    "VocabProperty": "vocabs",
    "JsonProperty": "jsons",
    "ListProperty": "valueLists",
    "ListRelationship": "objectLists",
}


class Moment(Struct, frozen=True):
    """One instance of an attribute."""

    token: str
    at: Instant
    """The time property that was asked for."""
    attribute: Attribute
    created_at: Instant
    modified_at: Instant
    deleted_at: Instant | None = None


class Aggregate(Struct, frozen=True):
    """Figures of one attribute: by method, (value, start, end) of each period."""

    kind: str
    figures: Mapping[str, Sequence[tuple[Any, Instant, Instant]]]


def render_head(entity: Entity, view: View) -> dict[str, Any]:
    """The entity's members that are no attributes."""
    document: dict[str, Any] = {}
    if view.shows("id"):
        document["id"] = entity.id
    if view.shows("type"):
        types = [view.context.shown_name(name) for name in entity.all_types]
        document["type"] = types[0] if len(types) == 1 else types
    if entity.scopes and view.shows(SCOPE):
        document[SCOPE] = entity.scopes[0] if len(entity.scopes) == 1 else list(entity.scopes)
    if view.sys_attrs:
        document["createdAt"] = render_instant(entity.created_at)
        document["modifiedAt"] = render_instant(entity.modified_at)
    return document


def render_evolution(
    entity: Entity, moments: Mapping[str, Sequence[Moment]], view: View, form: str, time_property: str
) -> dict[str, Any]:
    """An entity with the instances of its attributes by key, oldest first. An attribute without any is an empty array."""
    document = render_head(entity, view)
    simple: dict[str, list[dict[str, Any]]] = {}
    for key, found in moments.items():
        name, dataset_id = split_key(key)
        if not view.shows(name):
            continue
        shown = SCOPE if name == SCOPE else view.context.shown_name(name)
        if form == NORMALIZED:
            if name == SCOPE or not isinstance(document.get(shown), list):
                document[shown] = []
            document[shown] += [_normal(moment, view, time_property) for moment in found]
        else:
            simple.setdefault(shown, []).append(_simple(found, dataset_id, view))
    for shown, items in simple.items():
        document[shown] = items[0] if len(items) == 1 else items
    return document


def _shown(moment: Moment, view: View) -> Attribute:
    attribute = moment.attribute
    if view.languages is not None and attribute.get("type") == "LanguageProperty" and moment.deleted_at is None:
        attribute = in_language(attribute, view.languages)
    return show_attribute(attribute, view)


def _normal(moment: Moment, view: View, time_property: str) -> Attribute:
    shown = _shown(moment, view)
    shown["instanceId"] = render_instance_id(moment.token)
    if moment.deleted_at is not None:
        shown["deletedAt"] = render_instant(moment.deleted_at)
    elif time_property not in (OBSERVED_AT, ANY_TIME) and not view.sys_attrs:
        shown[time_property] = render_instant(moment.at)
    if view.sys_attrs:
        shown["createdAt"] = render_instant(moment.created_at)
        shown["modifiedAt"] = render_instant(moment.modified_at)
    return shown


def _simple(found: Sequence[Moment], dataset_id: str | None, view: View) -> dict[str, Any]:
    """Values and their instants (clause 4.5.8)."""
    kind = "Property"
    rows = []
    for moment in found:
        shown = _shown(moment, view)
        kind = str(shown.get("type", kind))
        value = {"languageMap": shown["languageMap"]} if "languageMap" in shown else simplify(shown)
        rows.append([value, render_instant(moment.at)])
    item: dict[str, Any] = {"type": kind, _VALUES_MEMBERS.get(kind, "values"): rows}
    return item if dataset_id is None else {**item, "datasetId": dataset_id}


def render_aggregates(entity: Entity, aggregates: Mapping[str, Aggregate], view: View) -> dict[str, Any]:
    """An entity with figures in the place of its instances (clause 4.5.19)."""
    document = render_head(entity, view)
    found: dict[str, list[dict[str, Any]]] = {}
    for key, aggregate in aggregates.items():
        name, dataset_id = split_key(key)
        if not view.shows(name):
            continue
        item: dict[str, Any] = {"type": aggregate.kind}
        if dataset_id is not None:
            item["datasetId"] = dataset_id
        for method, rows in aggregate.figures.items():
            item[method] = [[value, render_instant(start), render_instant(end)] for value, start, end in rows]
        found.setdefault(view.context.shown_name(name), []).append(item)
    for name, items in found.items():
        document[name] = items[0] if len(items) == 1 else items
    return document
