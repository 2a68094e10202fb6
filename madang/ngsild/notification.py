"""Does a change concern a subscription, and what is it told (ETSI GS CIM 009 clause 5.8.6). Pure: the times are handed in.

`happened` makes of a change of the log, the entity as the change left it and what stood before the one value that everything else
looks at. `is_due` decides; `tell` gives the member of the notification's `data`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from madang.model.change import DELETION, RECORD, REFERENCE, Change
from madang.model.entity import Attribute, Attributes, Entity, split_key
from madang.model.time import Instant, parse_instant, render_instant
from madang.ngsild.match import in_place, matches
from madang.ngsild.render import (
    CONCISE,
    DEFAULT_DATASET,
    FLAT,
    SIMPLIFIED,
    Fetch,
    View,
    linked_entities,
    render_entity,
    render_feature,
    with_context,
)
from madang.ngsild.subscription import (
    ACTIVE,
    ATTRIBUTE_CREATED,
    ATTRIBUTE_DELETED,
    ATTRIBUTE_UPDATED,
    ENTITY_CREATED,
    ENTITY_DELETED,
    ENTITY_UPDATED,
    GEO_JSON,
    JSON_LD,
    Subscription,
)
from madang.ngsild.values import NULL_URN, VALUE_MEMBERS

_PREVIOUS = {
    "value": "previousValue",
    "object": "previousObject",
    "languageMap": "previousLanguageMap",
    "vocab": "previousVocab",
    "json": "previousJson",
    "valueList": "previousValueList",
    "objectList": "previousObjectList",
}
"""Where the content before a change stands, by the content's member (clauses 4.5.2 to 4.5.24)."""


class Happened(Struct, frozen=True):
    """What a change did to an entity."""

    entity: Entity
    """As the change left it; a deleted one as it was."""
    at: Instant
    seq: int
    is_created: bool
    is_deleted: bool
    added: frozenset[str]
    """Keys of attribute instances that are new."""
    updated: frozenset[str]
    removed: frozenset[str]
    before: Attributes
    """What stood at updated and removed keys."""


def after_of(change: Change, before: Attributes) -> Attributes:
    """The attributes of an entity after a change, from all that it had before; what a store does when it writes (`Tx.append_reading`,
    `Tx.put_entity`, `Tx.put_record`)."""
    if change.kind in (REFERENCE, RECORD):
        return change.attributes
    if change.kind == DELETION:
        return {}
    if change.before is not None:
        kept = {key: a for key, a in before.items() if key not in change.removed} if change.removed else before
        return {**kept, **change.attributes}
    merged = dict(before)
    text = render_instant(change.observed_at)
    for key, attribute in change.attributes.items():
        if not change.late or _is_newer(change.observed_at, before.get(key)):
            merged[key] = {**attribute, "observedAt": text}
    return merged


def _is_newer(observed_at: Instant, attribute: Attribute | None) -> bool:
    at = None if attribute is None else attribute.get("observedAt")
    return at is None or observed_at >= parse_instant(at)


def happened(change: Change, entity: Entity, before: Mapping[str, Attribute]) -> Happened:
    """What a change did. `entity`: as the change left it (deleted: as it was); `before`: all attributes that it had before."""
    nothing: frozenset[str] = frozenset()
    if change.kind == DELETION:
        every = dict(entity.attributes)
        return Happened(entity, change.recorded_at, change.seq, False, True, nothing, nothing, frozenset(every), every)
    after = entity.attributes
    written: Iterable[str] = change.attributes
    if change.kind in (REFERENCE, RECORD) or change.late:
        written = (key for key in change.attributes if after.get(key) != before.get(key))
    written = frozenset(key for key in written if key in after)
    removed = change.removed
    if change.kind == RECORD:
        removed = tuple(key for key in before if key not in after)
    added = frozenset(key for key in written if key not in before)
    return Happened(
        entity,
        change.recorded_at,
        change.seq,
        change.previous == 0,
        False,
        added,
        written - added,
        frozenset(removed),
        {key: before[key] for key in (*written, *removed) if key in before},
    )


# ── decide ──────────────────────────────────────────────────────────────────


def is_due(subscription: Subscription, what: Happened, *, look_at_q: bool = True) -> bool:
    """Is this subscription to be told of what happened, throttling aside? `look_at_q` False leaves `q` to the caller (a q that looks into
    linked entities needs a store)."""
    if subscription.interval or subscription.status_at(what.at) != ACTIVE:
        return False
    entity = what.entity
    if not subscription.selects(entity.id, entity.all_types) or not is_triggered(subscription, what):
        return False
    if look_at_q and not matches(entity, subscription.q):
        return False
    return matches(entity, subscription.scope_q) and in_place(entity, subscription.place)


def is_triggered(subscription: Subscription, what: Happened) -> bool:
    """Did one of the subscribed triggers fire, on a watched attribute (clause 5.2.12)?"""
    triggers = subscription.triggers
    if what.is_created and ENTITY_CREATED in triggers and _watches(subscription, what.entity.attributes):
        return True
    if what.is_deleted:
        if ENTITY_DELETED in triggers and _watches(subscription, what.entity.attributes):
            return True
        return ATTRIBUTE_DELETED in triggers and bool(what.removed) and _watches(subscription, what.removed)
    any_update = ENTITY_UPDATED in triggers and not what.is_created
    return (
        ((any_update or ATTRIBUTE_CREATED in triggers) and _touches(subscription, what.added))
        or ((any_update or ATTRIBUTE_UPDATED in triggers) and _touches(subscription, what.updated))
        or ((any_update or ATTRIBUTE_DELETED in triggers) and _touches(subscription, what.removed))
    )


def _touches(subscription: Subscription, keys: frozenset[str]) -> bool:
    return bool(keys) and _watches(subscription, keys)


def _watches(subscription: Subscription, keys: Any) -> bool:
    watched = subscription.watched
    return not watched or any(split_key(key)[0] in watched for key in keys)


def is_throttled(last_at: Instant | None, now: Instant, throttling: Instant) -> bool:
    """Has the time between two notifications not passed yet?

    >>> is_throttled(None, 5, 10), is_throttled(0, 5, 10), is_throttled(0, 10, 10)
    (False, True, False)
    """
    return bool(throttling) and last_at is not None and now - last_at < throttling


def next_periodic(last_at: Instant, interval: Instant) -> Instant:
    """When the next periodic notification is due. After a standstill one is sent, not all that were missed.

    >>> next_periodic(100, 10)
    110
    """
    return last_at + interval


# ── tell ────────────────────────────────────────────────────────────────────


def tell(
    subscription: Subscription, what: Happened, hidden: frozenset[str], fetch: Fetch | None = None
) -> list[dict[str, Any]]:
    """The members of the notification's `data`: the entity, with join=flat the linked ones too; GeoJSON Features for that media type.
    `hidden`: attributes that policy hides from the subscriber. Empty when nothing of it is shown."""
    view = replace(subscription.view, hidden=hidden)
    if what.is_deleted:
        document = _tell_deleted(subscription, what, view)
    else:
        gone = (
            _nulls(subscription, what) if ATTRIBUTE_DELETED in subscription.triggers or _updates(subscription) else {}
        )
        entity = what.entity
        if gone:
            entity = replace(entity, attributes={**entity.attributes, **gone})
        if subscription.endpoint.accept == GEO_JSON:
            return [render_feature(entity, view, "location", fetch)]
        document = render_entity(entity, view, fetch)
        _finish(document, subscription, what, view, frozenset(gone))
    if not document:
        return []
    found = [document]
    if view.join == FLAT and fetch is not None and not what.is_deleted:
        found += linked_entities(what.entity, view, fetch, {what.entity.id} | set(view.contained_by))
    return [with_context(d, view.context) for d in found] if subscription.endpoint.accept == JSON_LD else found


def tell_entity(
    subscription: Subscription, entity: Entity, hidden: frozenset[str], fetch: Fetch | None = None
) -> list[dict[str, Any]]:
    """The members of `data` for an entity of a periodic notification: as it is, nothing happened."""
    nothing: frozenset[str] = frozenset()
    return tell(subscription, Happened(entity, 0, 0, False, False, nothing, nothing, nothing, {}), hidden, fetch)


def _updates(subscription: Subscription) -> bool:
    return ENTITY_UPDATED in subscription.triggers


def _nulls(subscription: Subscription, what: Happened) -> Attributes:
    """What was taken away, with the NGSI-LD Null for its content (clause 5.8.6). An attribute that went with all its instances is one Null,
    unless the content of each is to be told."""
    left = frozenset() if what.is_deleted else frozenset(split_key(key)[0] for key in what.entity.attributes)
    found: Attributes = {}
    for key in sorted(what.removed):
        name = split_key(key)[0]
        if key not in what.before or (subscription.watched and name not in subscription.watched):
            continue
        null = null_of(what.before[key])
        if name not in left and not subscription.show_changes:
            found[name] = {member: content for member, content in null.items() if member != "datasetId"}
        else:
            found[key] = null
    return found


def null_of(attribute: Attribute) -> Attribute:
    """An attribute instance that is no more.

    >>> null_of({"type": "LanguageProperty", "languageMap": {"fr": "x"}})
    {'type': 'LanguageProperty', 'languageMap': {'@none': 'urn:ngsi-ld:null'}}
    """
    kind = attribute.get("type", "Property")
    null: Attribute = {"type": kind}
    if "datasetId" in attribute:
        null["datasetId"] = attribute["datasetId"]
    null[VALUE_MEMBERS.get(kind, "value")] = {DEFAULT_DATASET: NULL_URN} if kind == "LanguageProperty" else NULL_URN
    return null


def _tell_deleted(subscription: Subscription, what: Happened, view: View) -> dict[str, Any]:
    """Clause 5.8.6: id, type and deletedAt; attributes as Null where their deletion was subscribed or changes are shown."""
    tells = subscription.show_changes or ATTRIBUTE_DELETED in subscription.triggers
    gone = _nulls(subscription, what) if tells else {}
    document = render_entity(replace(what.entity, attributes=gone), replace(view, join=None))
    if view.shows("deletedAt"):
        document["deletedAt"] = render_instant(what.at)
    _finish(document, subscription, what, view, frozenset(gone))
    if subscription.endpoint.accept == GEO_JSON:
        id_ = document.pop("id", what.entity.id)
        return {"id": id_, "type": "Feature", "geometry": None, "properties": document}
    return document


def _finish(
    document: dict[str, Any], subscription: Subscription, what: Happened, view: View, gone: frozenset[str]
) -> None:
    """Add deletedAt of attributes and previous contents to a rendered document."""
    if view.form == SIMPLIFIED:
        return
    if view.sys_attrs:
        for key in gone:
            _add(document, view, key, "deletedAt", render_instant(what.at))
    if not subscription.show_changes:
        return
    plain = replace(view, form=view.form, sys_attrs=False, join=None, languages=None)
    for key in (*what.updated, *gone):
        if key not in what.before:
            continue
        previous = render_entity(replace(what.entity, attributes={key: what.before[key]}), plain)
        name = view.context.shown_name(split_key(key)[0])
        if name in previous and name in document:
            member, content = _content(previous[name])
            _add(document, view, key, _PREVIOUS[member], content)


def _content(rendered: Any) -> tuple[str, Any]:
    """(member, content) of a rendered instance; a concise one may be its value."""
    if isinstance(rendered, dict):
        for member in _PREVIOUS:
            if member in rendered:
                return member, rendered[member]
    return "value", rendered


def _add(document: dict[str, Any], view: View, key: str, member: str, value: Any) -> None:
    """Put a member into the rendered instance with this key."""
    name, dataset_id = split_key(key)
    shown = view.context.shown_name(name)
    if shown not in document:
        return
    rendered = document[shown]
    instances = rendered if isinstance(rendered, list) and _are_instances(rendered) else [rendered]
    for place, instance in enumerate(instances):
        wrapped = instance if isinstance(instance, dict) and _content(instance)[1] is not instance else None
        if wrapped is None:
            wrapped = {"value": instance} if view.form == CONCISE else instance
        if not isinstance(wrapped, dict) or wrapped.get("datasetId") != dataset_id:
            continue
        # A copy: rendered instances may be the stored ones.
        wrapped = {**wrapped, member: value}
        if instances is rendered:
            document[shown] = [*rendered[:place], wrapped, *rendered[place + 1 :]]
        else:
            document[shown] = wrapped
        return


def _are_instances(items: list[Any]) -> bool:
    return any(isinstance(item, dict) and "datasetId" in item for item in items)
