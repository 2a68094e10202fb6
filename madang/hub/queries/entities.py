"""A thing's page and its history."""

from collections.abc import Sequence
from typing import Any

from madang.hub.queries import life
from madang.hub.queries.answers import AttributeValue, DerivedRow, EntityPage, History, RecordSummary, Series
from madang.hub.queries.errors import BadQuestion
from madang.hub.queries.incidents import incidents_of
from madang.hub.queries.look import Look
from madang.hub.queries.records import summary_of
from madang.model.entity import Attribute, AttributeType, Entity, value_of
from madang.model.time import DAY, MILLISECOND, SECOND, Instant, render_instant
from madang.ngsild.query import Compare, Or, Order, Query
from madang.procedure.incident import INCIDENT_TYPE

DERIVED_MAX = 50
NEWEST_FIRST = (Order("startedAt", descending=True),)
RECORDS_MAX = 50
HISTORY_LIMIT_MAX = 50_000
"""Values of one attribute in one answer."""
HISTORY_ATTRIBUTES_MAX = 16
HISTORY_DAYS_MAX = 366


def get_page(look: Look, id_: str) -> EntityPage:
    """A thing's page. Raises NotFound, also for one that is not the caller's to see."""
    entity = look.get_entity(id_)
    declared = look.hub.registry.entity_types.get(entity.type)
    kind = declared.kind if declared is not None else look.subject(entity.type).kind
    location = entity.attributes.get("location")
    return EntityPage(
        id=entity.id,
        type=entity.type,
        type_title=look.type_title(entity.type),
        kind=kind,
        label=look.label(entity.id),
        attributes=_attributes(look, entity),
        location=value_of(location),
        observed_at=render_instant(entity.observed_at) if entity.observed_at else None,
        records=_records_of(look, id_),
        incidents=incidents_of(look, id_),
        derived=derived_of(look, id_),
    )


def _attributes(look: Look, entity: Entity) -> list[AttributeValue]:
    """Declared attributes in their order, then the others by name."""
    registry = look.hub.registry
    declared_type = registry.entity_types.get(entity.type) or registry.record_types.get(entity.type)
    declared = {} if declared_type is None else {a.name: a for a in declared_type.attributes}
    hidden = look.mask(entity.type).names
    names = [name for name in declared if name in entity.attributes]
    names += sorted(name for name in entity.attributes if name not in declared)
    found = []
    for name in names:
        if name in hidden:
            continue
        attribute = entity.attributes[name]
        known = declared.get(name) or AttributeType(name, kind=str(attribute.get("type", "Property")))
        observed = attribute.get("observedAt")
        at = None if observed is None else look.hub.words.local(observed)
        age_s = None if at is None else max(0.0, look.now / SECOND - at.timestamp())
        found.append(
            AttributeValue(
                name=name,
                title=look.title(known.title, name),
                value=plain(attribute),
                text=life.value_text(look, _with_unit(known, attribute), plain(attribute)),
                unit=look.hub.words.unit(attribute.get("unitCode", known.unit), look.lang),
                kind=str(attribute.get("type", known.kind)),
                observed_at=observed,
                age_s=None if age_s is None else round(age_s, 1),
            )
        )
    return found


def _with_unit(known: AttributeType, attribute: Attribute) -> AttributeType:
    unit = attribute.get("unitCode", known.unit)
    return AttributeType(known.name, kind=str(attribute.get("type", known.kind)), unit=unit, title=known.title)


def plain(attribute: Attribute) -> Any:
    """The plain value of any kind of attribute."""
    value = value_of(attribute)
    if value is None:
        for member in ("languageMap", "vocab", "json", "valueList", "objectList"):
            if member in attribute:
                return attribute[member]
    return value


def _records_of(look: Look, id_: str) -> list[RecordSummary]:
    """Records that name the entity in an indexed place, newest first; incidents have their own list."""
    found: dict[str, RecordSummary] = {}
    for record_type in look.hub.registry.record_types.values():
        if record_type.name == INCIDENT_TYPE or not look.may_see_type(record_type.name):
            continue
        for name in record_type.indexed:
            for record in look.read.list_records_by(record_type.name, name, id_)[-RECORDS_MAX:]:
                if look.sees_record(record):
                    found[record.id] = summary_of(look, record)
    return sorted(found.values(), key=lambda summary: summary.modified_at, reverse=True)[:RECORDS_MAX]


def derived_of(look: Look, id_: str) -> list[DerivedRow]:
    """Derived observations that name the entity, newest first."""
    rows: list[DerivedRow] = []
    for declared in look.hub.registry.entity_types.values():
        names = [a.name for a in declared.attributes if a.kind == "Relationship"]
        if declared.kind != "derived" or not names:
            continue
        where = Or(tuple(Compare(name, "==", id_) for name in names))
        page = look.query(Query(types=(declared.name,), where=where, order=NEWEST_FIRST, limit=DERIVED_MAX))
        rows += [_derived(look, entity, look.title(declared.title, declared.name)) for entity in page.entities]
    rows.sort(key=lambda row: row.startedAt or "", reverse=True)
    return rows[:DERIVED_MAX]


def _derived(look: Look, entity: Entity, type_title: str) -> DerivedRow:
    values = {name: value_of(attribute) for name, attribute in entity.attributes.items()}
    place = values.get("place")
    amount = values.get("amount", values.get("unloadedAmount"))
    text = look.hub.words.value(amount, "KGM", look.lang, 0) if isinstance(amount, int | float) else ""
    return DerivedRow(
        id=entity.id,
        type=entity.type,
        type_title=type_title,
        title=f"{type_title} {text}".strip(),
        startedAt=values.get("startedAt"),
        endedAt=values.get("endedAt"),
        amount=amount if isinstance(amount, int | float) else None,
        place_label=look.label(place) if isinstance(place, str) else None,
        status=values.get("status"),
        location=values.get("path", values.get("location")),
    )


def get_history(
    look: Look, id_: str, attributes: Sequence[str], from_at: Instant | None, to_at: Instant | None, limit: int
) -> History:
    """Values of attributes over [from, to), at most `limit` of each, the newest. Without times: the last 24 hours.

    Raises NotFound, and BadQuestion for a window that ends before it begins or is longer than a year."""
    entity = look.get_entity(id_)
    end = look.now + SECOND if to_at is None else to_at
    start = end - DAY if from_at is None else from_at
    if start >= end:
        raise BadQuestion("from", "must lie before `to`")
    if end - start > HISTORY_DAYS_MAX * DAY:
        raise BadQuestion("from", f"a window may have {HISTORY_DAYS_MAX} days")
    if len(attributes) > HISTORY_ATTRIBUTES_MAX:
        raise BadQuestion("attributes", f"may name {HISTORY_ATTRIBUTES_MAX} attributes")
    hidden = look.mask(entity.type).names
    names = [name for name in (attributes or _measured(look, entity)) if name not in hidden]
    declared_type = look.hub.registry.entity_types.get(entity.type)
    # One more than asked tells whether there was more.
    rows = look.read.history(id_, names, start, end, limit + 1)
    series: dict[str, Series] = {}
    for name in names:
        attribute = entity.attributes.get(name, {})
        known = declared_type.find_attribute(name) if declared_type is not None else None
        unit = attribute.get("unitCode", known.unit if known is not None else None)
        title = look.title(known.title, name) if known is not None else name
        series[name] = Series(look.hub.words.unit(unit, look.lang), [], [], title)
    truncated = False
    for row in rows:
        one = series[row.attribute]
        one.t.append(row.observed_at / MILLISECOND)
        one.v.append(_coordinates(row.value))
    for one in series.values():
        if len(one.t) > limit:
            truncated = True
            del one.t[0], one.v[0]
    return History(series, truncated)


def _measured(look: Look, entity: Entity) -> list[str]:
    """Attributes worth a curve: numbers, truth values, and the position."""
    names = []
    for name, attribute in entity.attributes.items():
        value = value_of(attribute)
        if isinstance(value, int | float) or attribute.get("type") == "GeoProperty":
            names.append(name)
    return names[:HISTORY_ATTRIBUTES_MAX]


def _coordinates(value: Any) -> Any:
    """A point as [lon, lat]; everything else as it is."""
    if isinstance(value, dict) and value.get("type") == "Point":
        return value["coordinates"][:2]
    return value
