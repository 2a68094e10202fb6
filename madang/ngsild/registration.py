"""Context source registrations (clauses 5.2.8 to 5.2.10, 5.2.34, 5.9): documents in and out, and what they are about.

The stored form is the document with names as they are stored (`madang.ngsild.names`), without @context, read-only members and
defaults. `Registration` is what matching needs of it. Pure.
"""

import re
from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any

from msgspec import Struct

from madang.model.entity import Attributes, Entity
from madang.model.time import Instant, parse_instant, render_instant
from madang.ngsild.context import Context
from madang.ngsild.errors import NgsiLdError
from madang.ngsild.geo import check_geometry, is_geometry
from madang.ngsild.match import in_place, matches
from madang.ngsild.names import check_id, is_uri
from madang.ngsild.operations import DEFAULT_OPERATIONS, expand_operations
from madang.ngsild.query import Near, Node, Spatial
from madang.ngsild.regular import check_regular
from madang.ngsild.scope import parse_scopes

TYPE = "ContextSourceRegistration"
INCLUSIVE, AUXILIARY, EXCLUSIVE, REDIRECT = "inclusive", "auxiliary", "exclusive", "redirect"
MODES = (INCLUSIVE, AUXILIARY, EXCLUSIVE, REDIRECT)
INFORMATION_MAX = 100
"""RegistrationInfo of one registration, and entities in one; in use are a dozen."""
NAMES_MAX = 1_000
PAIRS_MAX = 64
TEXT_MAX = 2_048
_READ_ONLY = frozenset({"status", "timesSent", "timesFailed", "lastSuccess", "lastFailure", "createdAt", "modifiedAt"})
_TEXTS = frozenset({"registrationName", "description", "contextSourceAlias"})
_INTERVALS = frozenset({"observationInterval", "managementInterval"})
_GEOMETRIES = frozenset({"location", "observationSpace", "operationSpace"})
_AUXILIARY_OPERATIONS = frozenset({"retrieveEntity", "queryEntity"})
# ISO 8601 durations (clause 4.6.3): a P, then years to days, then T with hours to seconds; at least one of them.
_DURATION = re.compile(
    r"P(?=.)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?\Z"
)  # fmt: skip


class EntityInfo(Struct, frozen=True):
    """Which entities: all of a type, one by its id, or those whose id matches a pattern."""

    types: tuple[str, ...]
    id: str | None = None
    id_pattern: str | None = None

    def may_be(self, id_: str) -> bool:
        """Is the entity with this id one of these, as far as its id tells?"""
        if self.id is not None:
            return self.id == id_
        return self.id_pattern is None or re.search(self.id_pattern, id_) is not None


class Information(Struct, frozen=True):
    """One RegistrationInfo: these attributes (empty: all) of these entities (empty: of all)."""

    entities: tuple[EntityInfo, ...] = ()
    names: tuple[str, ...] = ()


class Selection(Struct, frozen=True):
    """What a request is about. Empty: no condition."""

    types: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    id_pattern: str | None = None
    names: tuple[str, ...] = ()


class Usage(Struct, frozen=True):
    """How a context source was asked so far (clause 5.2.9)."""

    times_sent: int = 0
    times_failed: int = 0
    last_success_at: Instant = 0
    last_failure_at: Instant = 0


class Search(Struct, frozen=True):
    """What is asked of registrations (clause 5.10.2)."""

    selection: Selection = Selection()
    filters: tuple[Node, ...] = ()
    """csf, q and scopeQ, over the registration's own members."""
    place: Near | Spatial | None = None
    timerel: str | None = None
    time_at: Instant = 0
    end_at: Instant = 0
    interval: str = "observationInterval"


class Registration(Struct, frozen=True, dict=True):
    """What matching and forwarding need. `document` is the stored form."""

    id: str
    document: dict[str, Any]
    information: tuple[Information, ...]
    mode: str
    operations: frozenset[str]
    endpoint: str
    expires_at: Instant | None = None
    created_at: Instant = 0
    modified_at: Instant = 0

    @cached_property
    def as_entity(self) -> Entity:
        """The registration as csf, q, scopeQ and geo-queries see it: its members are attributes (clause 4.9)."""
        return Entity(
            self.id, TYPE, _as_attributes(self.document), self.created_at, self.modified_at, 0, 0,
            scopes=parse_scopes(self.document["scope"]) if "scope" in self.document else (),
        )  # fmt: skip


# ── documents in ────────────────────────────────────────────────────────────


def parse_registration(document: Any, context: Context, now: Instant, new_id: str) -> dict[str, Any]:
    """The stored form of a registration document. `new_id` is for one without an id. Raises NgsiLdError (BadRequestData)."""
    if not isinstance(document, dict):
        raise NgsiLdError("a registration must be a JSON object")
    if document.get("type", document.get("@type")) != TYPE:
        raise NgsiLdError(f"must be {TYPE}", "type")
    stored: dict[str, Any] = {"id": check_id(document.get("id", new_id), "id"), "type": TYPE}
    for name in ("information", "endpoint"):
        if document.get(name) is None:
            raise NgsiLdError("is missing", name)
    for name, value in document.items():
        if name in ("id", "type", "@id", "@type", "@context") or name in _READ_ONLY:
            continue
        kept = _member(name, value, context, now)
        stored[name if kept[0] else context.stored_name(name, name)] = kept[1]
    _check_mode(stored)
    return stored


def merge_registration(stored: Mapping[str, Any], fragment: Any, context: Context, now: Instant) -> dict[str, Any]:
    """The stored form after a change (clause 5.9.3): members are replaced, null takes one away. Raises NgsiLdError."""
    if not isinstance(fragment, dict):
        raise NgsiLdError("must be a JSON object")
    if fragment.get("type", TYPE) != TYPE:
        raise NgsiLdError(f"must be {TYPE}", "type")
    if fragment.get("id", stored["id"]) != stored["id"]:
        raise NgsiLdError("the id of a registration does not change", "id")
    merged = dict(stored)
    for name, value in fragment.items():
        if name in ("id", "type", "@context") or name in _READ_ONLY:
            continue
        if value is None or value == "urn:ngsi-ld:null":
            if name in ("information", "endpoint"):
                raise NgsiLdError("cannot be taken away", name)
            merged.pop(name, None)
            merged.pop(context.stored_name(name, name), None)
            continue
        kept = _member(name, value, context, now)
        merged[name if kept[0] else context.stored_name(name, name)] = kept[1]
    _check_mode(merged)
    return merged


def _member(name: str, value: Any, context: Context, now: Instant) -> tuple[bool, Any]:
    """(is a member of the standard, value as stored)."""
    if name == "information":
        return True, _information(value, context)
    if name == "endpoint":
        if not is_uri(value):
            raise NgsiLdError("must be the URI at which the context source is asked", name)
        return True, value
    if name in _TEXTS:
        if not isinstance(value, str) or not value or len(value) > TEXT_MAX:
            raise NgsiLdError(f"must be a text of 1 to {TEXT_MAX} characters", name)
        return True, value
    if name in _INTERVALS:
        return True, _interval(value, name)
    if name in _GEOMETRIES:
        geometry = value.get("value") if isinstance(value, dict) and value.get("type") == "GeoProperty" else value
        return True, check_geometry(geometry, name)
    if name == "expiresAt":
        expires_at = _instant(value, name)
        if parse_instant(expires_at) <= now:
            raise NgsiLdError("lies in the past", name)
        return True, expires_at
    if name == "scope":
        parse_scopes(value)
        return True, value
    if name == "mode":
        if value not in MODES:
            raise NgsiLdError(f"must be one of {', '.join(MODES)}", name)
        return True, value
    if name == "operations":
        if not isinstance(value, list) or not value:
            raise NgsiLdError("must be an array of names of operations", name)
        expand_operations(value)
        return True, value
    if name == "contextSourceInfo":
        return True, check_pairs(value, name)
    if name == "management":
        return True, _management(value, name)
    if name == "localOnly":
        if not isinstance(value, bool):
            raise NgsiLdError("must be true or false", name)
        return True, value
    if name == "tenant":
        if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
            raise NgsiLdError("must be the name of a tenant, which goes into a header: printable ASCII", name)
        return True, value
    if name == "refreshRate":
        if not isinstance(value, str) or _DURATION.match(value) is None:
            raise NgsiLdError("must be a duration such as PT5M", name)
        return True, value
    if name == "datasetId":
        items = value if isinstance(value, list) else [value]
        if not items or not all(item == "@none" or is_uri(item) for item in items):
            raise NgsiLdError("must be an array of URIs", name)
        return True, value
    return False, value


def _information(value: Any, context: Context) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not 1 <= len(value) <= INFORMATION_MAX:
        raise NgsiLdError(f"must be an array of 1 to {INFORMATION_MAX} objects", "information")
    found = []
    for place, item in enumerate(value):
        where = f"information[{place}]"
        if not isinstance(item, dict) or not item.keys() & {"entities", "propertyNames", "relationshipNames"}:
            raise NgsiLdError("must be an object with entities, propertyNames or relationshipNames", where)
        stored: dict[str, Any] = {}
        if "entities" in item:
            stored["entities"] = parse_entities(item["entities"], f"{where}.entities", context)
        for name in ("propertyNames", "relationshipNames"):
            if name in item:
                names = item[name]
                if not isinstance(names, list) or not 1 <= len(names) <= NAMES_MAX:
                    raise NgsiLdError(f"must be an array of 1 to {NAMES_MAX} names", f"{where}.{name}")
                stored[name] = [context.stored_name(n, f"{where}.{name}") for n in names]
        found.append(stored)
    return found


def parse_entities(value: Any, where: str, context: Context) -> list[dict[str, Any]]:
    """An array of EntityInfo as it is stored. Raises NgsiLdError."""
    if not isinstance(value, list) or not 1 <= len(value) <= INFORMATION_MAX:
        raise NgsiLdError(f"must be an array of 1 to {INFORMATION_MAX} objects", where)
    return [_entity(entity, f"{where}[{place}]", context) for place, entity in enumerate(value)]


def _entity(value: Any, where: str, context: Context) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise NgsiLdError("must be an object with type, and id or idPattern", where)
    stored: dict[str, Any] = {}
    if value.get("id") is not None:
        stored["id"] = check_id(value["id"], f"{where}.id")
    elif value.get("idPattern") is not None:
        if not isinstance(value["idPattern"], str):
            raise NgsiLdError("must be a regular expression", f"{where}.idPattern")
        check_regular(value["idPattern"])
        stored["idPattern"] = value["idPattern"]
    types = value.get("type", value.get("@type"))
    if types is None:
        raise NgsiLdError("is missing", f"{where}.type")
    names = types if isinstance(types, list) else [types]
    if not names:
        raise NgsiLdError("is empty", f"{where}.type")
    kept = [context.stored_name(name, f"{where}.type") for name in names]
    stored["type"] = kept if isinstance(types, list) else kept[0]
    return stored


def _interval(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, dict) or not set(value) <= {"startAt", "endAt"} or "startAt" not in value:
        raise NgsiLdError("must be an object with startAt and, if it has ended, endAt", where)
    stored = {name: _instant(at, f"{where}.{name}") for name, at in value.items()}
    if "endAt" in stored and parse_instant(stored["endAt"]) < parse_instant(stored["startAt"]):
        raise NgsiLdError("ends before it starts", where)
    return stored


def _instant(value: Any, where: str) -> str:
    try:
        return render_instant(parse_instant(value))
    except (ValueError, TypeError, AttributeError, OverflowError):
        raise NgsiLdError("must be a date-time such as 2026-11-23T02:14:09Z", where) from None


def check_pairs(value: Any, where: str) -> list[dict[str, str]]:
    """KeyValuePair (5.2.22): header names and values to send along."""
    if not isinstance(value, list) or not 1 <= len(value) <= PAIRS_MAX:
        raise NgsiLdError(f"must be an array of 1 to {PAIRS_MAX} objects with key and value", where)
    for place, pair in enumerate(value):
        good = isinstance(pair, dict) and set(pair) == {"key", "value"}
        if not good or not all(isinstance(text, str) and text and len(text) <= TEXT_MAX for text in pair.values()):
            raise NgsiLdError("must be an object with the texts key and value", f"{where}[{place}]")
        if any(character in "\r\n\0" for text in pair.values() for character in text):
            raise NgsiLdError("a line break cannot stand in a header", f"{where}[{place}]")
    return value


def _management(value: Any, where: str) -> dict[str, Any]:
    """RegistrationManagementInfo (5.2.34)."""
    if not isinstance(value, dict):
        raise NgsiLdError("must be an object", where)
    for name, item in value.items():
        if name in ("cooldown", "timeout"):
            if isinstance(item, bool) or not isinstance(item, int | float) or not 0 < item < 1e12:
                raise NgsiLdError("must be a number of milliseconds greater than 0", f"{where}.{name}")
        elif name == "cacheDuration":
            if not isinstance(item, str) or _DURATION.match(item) is None:
                raise NgsiLdError("must be a duration such as PT5M", f"{where}.{name}")
        elif name == "localOnly":
            if not isinstance(item, bool):
                raise NgsiLdError("must be true or false", f"{where}.{name}")
        else:
            raise NgsiLdError("is not known here", f"{where}.{str(name)[:80]}")
    return value


def _check_mode(stored: Mapping[str, Any]) -> None:
    """What the modes ask for (clauses 4.3.6.2, 4.3.6.3, 5.9.2.4)."""
    mode = stored.get("mode", INCLUSIVE)
    if (
        mode == AUXILIARY
        and "operations" in stored
        and not expand_operations(stored["operations"]) <= _AUXILIARY_OPERATIONS
    ):
        raise NgsiLdError("an auxiliary registration offers retrieveEntity and queryEntity only", "operations")
    if mode == EXCLUSIVE:
        for place, item in enumerate(stored["information"]):
            where = f"information[{place}]"
            if not item.get("entities") or not all("id" in entity for entity in item["entities"]):
                raise NgsiLdError("an exclusive registration names each entity by its id", f"{where}.entities")
            if not item.keys() & {"propertyNames", "relationshipNames"}:
                raise NgsiLdError("an exclusive registration names its attributes", where)


# ── what it is about ────────────────────────────────────────────────────────


def read_registration(stored: dict[str, Any], created_at: Instant = 0, modified_at: Instant = 0) -> Registration:
    """The registration of a stored form."""
    information = tuple(
        Information(
            tuple(
                EntityInfo(
                    tuple(entity["type"]) if isinstance(entity["type"], list) else (entity["type"],),
                    entity.get("id"),
                    entity.get("idPattern"),
                )
                for entity in item.get("entities", ())
            ),
            (*item.get("propertyNames", ()), *item.get("relationshipNames", ())),
        )
        for item in stored["information"]
    )
    mode = stored.get("mode", INCLUSIVE)
    operations = expand_operations(stored.get("operations", DEFAULT_OPERATIONS))
    if mode == AUXILIARY:
        operations &= _AUXILIARY_OPERATIONS
    return Registration(
        stored["id"], stored, information, mode, operations, stored["endpoint"],
        parse_instant(stored["expiresAt"]) if "expiresAt" in stored else None, created_at, modified_at,
    )  # fmt: skip


def matching(registration: Registration, asked: Selection) -> tuple[Information, ...]:
    """The parts of a registration that a request may concern (clause 5.12); empty: it does not match."""
    return tuple(item for item in registration.information if _matches(item, asked))


def _matches(item: Information, asked: Selection) -> bool:
    if asked.names and item.names and not set(asked.names) & set(item.names):
        return False
    return not item.entities or any(concerns(entity, asked) for entity in item.entities)


def concerns(entity: EntityInfo, asked: Selection) -> bool:
    """May an entity described so be one that is asked for? Two patterns may meet: nobody can tell, so they do."""
    if asked.types and not set(asked.types) & set(entity.types):
        return False
    if asked.ids and not any(entity.may_be(id_) for id_ in asked.ids):
        return False
    return asked.id_pattern is None or entity.id is None or re.search(asked.id_pattern, entity.id) is not None


def meets(registration: Registration, search: Search) -> bool:
    """Does the registration meet every condition?"""
    seen = registration.as_entity
    return (
        bool(matching(registration, search.selection))
        and in_time(registration, search.timerel, search.time_at, search.end_at, search.interval)
        and all(matches(seen, node) for node in search.filters)
        and in_place(seen, search.place)
    )


def overlaps(new: Registration, known: Registration) -> bool:
    """Do both cover an attribute of one entity, and is that forbidden because `known` holds it exclusively (4.3.6.3)?"""
    if known.mode != EXCLUSIVE or new.mode not in (EXCLUSIVE, REDIRECT):
        return False
    for theirs in known.information:
        ids = tuple(entity.id for entity in theirs.entities if entity.id is not None)
        for mine in new.information:
            if mine.names and not set(mine.names) & set(theirs.names):
                continue
            if not mine.entities or any(entity.may_be(id_) for entity in mine.entities for id_ in ids):
                return True
    return False


def in_time(registration: Registration, timerel: str | None, at: Instant, end: Instant, member: str) -> bool:
    """Clause 5.10.2.4: without a temporal query only sources of current information; with one those whose interval meets it.
    `member`: ``observationInterval`` or ``managementInterval``."""
    document = registration.document
    if timerel is None:
        return not document.keys() & _INTERVALS
    interval = document.get(member)
    if interval is None:
        return False
    start = parse_instant(interval["startAt"])
    ended = parse_instant(interval["endAt"]) if "endAt" in interval else None
    if timerel == "before":
        return start < at
    if timerel == "after":
        return ended is None or ended > at
    return start < end and (ended is None or ended > at)


def _as_attributes(document: Mapping[str, Any]) -> Attributes:
    attributes: Attributes = {}
    for name, value in document.items():
        if name in ("id", "type", "information"):
            continue
        if isinstance(value, dict) and isinstance(value.get("type"), str) and not is_geometry(value):
            attributes[name] = value
        else:
            attributes[name] = {"type": "GeoProperty" if is_geometry(value) else "Property", "value": value}
    return attributes


# ── documents out ───────────────────────────────────────────────────────────


def render_registration(
    registration: Registration,
    context: Context,
    *,
    sys_attrs: bool = False,
    hidden: Collection[str] = (),
    usage: Usage | None = None,
) -> dict[str, Any]:
    """The document, in the reader's names. `hidden`: members that this reader does not see; `usage`: how it went so far."""
    document: dict[str, Any] = {}
    for name, value in registration.document.items():
        if name in hidden:
            continue
        document[context.shown_name(name) if name not in ("id", "type") else name] = value
    document["information"] = [_shown(item, context) for item in registration.document["information"]]
    document.setdefault("mode", INCLUSIVE)
    document.setdefault("operations", list(DEFAULT_OPERATIONS))
    if usage is not None and usage.times_sent:
        failed = usage.last_failure_at > usage.last_success_at
        document |= {"status": "failed" if failed else "ok", "timesSent": usage.times_sent}
        if usage.times_failed:
            document |= {"timesFailed": usage.times_failed, "lastFailure": render_instant(usage.last_failure_at)}
        if usage.last_success_at:
            document["lastSuccess"] = render_instant(usage.last_success_at)
    if sys_attrs:
        document["createdAt"] = render_instant(registration.created_at)
        document["modifiedAt"] = render_instant(registration.modified_at)
    return document


def _shown(item: dict[str, Any], context: Context) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, value in item.items():
        if name == "entities":
            shown[name] = shown_entities(value, context)
        else:
            shown[name] = [context.shown_name(n) for n in value]
    return shown


def shown_entities(entities: list[dict[str, Any]], context: Context) -> list[dict[str, Any]]:
    """An array of EntityInfo in the reader's names."""
    return [{k: _shown_types(v, context) if k == "type" else v for k, v in e.items()} for e in entities]


def _shown_types(types: Any, context: Context) -> Any:
    return [context.shown_name(t) for t in types] if isinstance(types, list) else context.shown_name(types)
