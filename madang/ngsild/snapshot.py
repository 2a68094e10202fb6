"""Snapshots: what queries found, frozen (ETSI GS CIM 009 clauses 5.2.41, 5.2.42, 5.3.4, 5.16). Pure; `madang.hub.snapshots` keeps them.

A stored snapshot is its document without the members that only the broker writes; those stand beside it in `Kept`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from madang.model.entity import Entity
from madang.model.time import DAY, Instant, render_instant
from madang.ngsild.entity_map import parse_lifetime
from madang.ngsild.errors import INVALID_REQUEST, NgsiLdError
from madang.ngsild.match import matches
from madang.ngsild.names import check_id, is_uri
from madang.ngsild.q import attributes_in
from madang.ngsild.query import Node
from madang.ngsild.registration import check_pairs

PREPARING, SUCCESS, PARTIAL, FAILURE, EMPTY = "preparing", "success", "partial", "failure", "empty"
LIFETIME = 7 * DAY
"""Ours, when the request asks for none."""
LIFETIME_MAX = 366 * DAY
"""Ours: what is to be kept longer belongs into an archive with rules of its own."""
PRIORITY = 5
PRIORITY_MAX = 10
QUERIES_MAX = 20
"""Of each kind in one snapshot."""
_QUERIES = ("snapshotQueries", "snapshotTemporalQueries")
_WRITABLE = ("snapshotPriority", "snapshotLifetime", "endpoint", "receiverInfo")
_OUTPUT = frozenset(
    {"snapshotStatus", "snapshotQueriesDetails", "snapshotTemporalQueriesDetails"}
    | {"createdAt", "modifiedAt", "expiresAt", "lastUsedAt"}
)
"""Members that only the broker writes; given, they are passed over."""
MEMBERS = frozenset({"id", "type", *_QUERIES, *_WRITABLE, *_OUTPUT})
_HEADER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}\Z")
_OUR_HEADERS = frozenset(
    {"content-type", "content-length", "host", "connection", "transfer-encoding", "te", "upgrade", "link", "expect"}
)


class Detail(Struct, frozen=True):
    """How one query went (clause 5.2.42)."""

    status: str
    """success, empty or failure."""
    problem: dict[str, Any] | None = None


class Kept(Struct, frozen=True):
    """A snapshot as it is kept, without what it holds."""

    document: dict[str, Any]
    """What was asked for, with the @context that its queries are in."""
    owner: str
    """The principal who made it."""
    created_at: Instant
    modified_at: Instant
    expires_at: Instant
    last_used_at: Instant
    status: str = PREPARING
    queries: tuple[Detail, ...] = ()
    temporal: tuple[Detail, ...] = ()
    parts: int = 0
    """Parts that its entities are kept in."""
    size: int = 0
    """Entities."""

    @property
    def id(self) -> str:
        return str(self.document["id"])


def parse_snapshot(document: Any, default_id: str) -> dict[str, Any]:
    """What a request to create a snapshot asks for (clause 5.16.1.4). Its queries are only looked at from outside. Raises NgsiLdError."""
    stored = _parse(document, default_id)
    given = [name for name in _QUERIES if name in document]
    if not given:
        raise NgsiLdError(f"is missing: name one of {' and '.join(_QUERIES)}", _QUERIES[0])
    for name in given:
        stored[name] = _queries(document[name], name)
    return stored


def parse_clone(document: Any, source: Mapping[str, Any], default_id: str) -> dict[str, Any]:
    """A copy of a snapshot (clause 5.16.2): its queries, and what the request says of the copy. Raises NgsiLdError."""
    stored = _parse(document, default_id)
    _refuse(document, _QUERIES)
    kept = {name: source[name] for name in (*_QUERIES, "@context") if name in source}
    return {**kept, **stored}


def merge_snapshot(known: Mapping[str, Any], fragment: Any) -> dict[str, Any]:
    """The snapshot with what may be changed of it (clause 5.16.4). Raises NgsiLdError for what may not."""
    if not isinstance(fragment, dict):
        raise NgsiLdError("must be a JSON object", "", INVALID_REQUEST)
    _refuse(fragment, ("id", *_QUERIES))
    merged = dict(known)
    for name, value in _parse({"type": "Snapshot", **fragment}, "", may_be_null=True).items():
        if name not in _WRITABLE:
            continue
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = value
    return merged


def _parse(document: Any, default_id: str, *, may_be_null: bool = False) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise NgsiLdError("must be a JSON object", "", INVALID_REQUEST)
    if document.get("type") != "Snapshot":
        raise NgsiLdError("must be Snapshot", "type")
    for name in document:
        if name not in MEMBERS and name != "@context":
            raise NgsiLdError(f"is not known in a Snapshot; known: {', '.join(sorted(MEMBERS))}", name[:80])
    stored: dict[str, Any] = {"id": check_id(document["id"]) if "id" in document else default_id, "type": "Snapshot"}
    for name in _WRITABLE:
        if name in document:
            value = document[name]
            stored[name] = value if value is None and may_be_null else _checked(name, value)
    return stored


def _checked(name: str, value: Any) -> Any:
    match name:
        case "snapshotPriority":
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= PRIORITY_MAX:
                raise NgsiLdError(f"must be a whole number from 1 to {PRIORITY_MAX}", name)
        case "snapshotLifetime":
            parse_lifetime(value, name)
        case "endpoint":
            if not is_uri(value) or not value.startswith(("http://", "https://")):
                raise NgsiLdError("must be an http or https address", name)
        case "receiverInfo":
            for place, pair in enumerate(check_pairs(value, name)):
                if _HEADER_NAME.match(pair["key"]) is None or pair["key"].lower() in _OUR_HEADERS:
                    raise NgsiLdError(f"{pair['key'][:80]!r} cannot be a header of a notification", f"{name}[{place}]")
    return value


def _refuse(document: Any, names: Sequence[str]) -> None:
    for name in names:
        if isinstance(document, dict) and name in document:
            raise NgsiLdError("is set once, when the snapshot is created", name)


def _queries(value: Any, name: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not 1 <= len(value) <= QUERIES_MAX:
        raise NgsiLdError(f"must be an array of 1 to {QUERIES_MAX} queries", name)
    for place, query in enumerate(value):
        if not isinstance(query, dict) or query.get("type") != "Query":
            raise NgsiLdError('must be a JSON object with "type": "Query" (clause 5.2.23)', f"{name}[{place}]")
        if ("temporalQ" in query) != (name == "snapshotTemporalQueries"):
            raise NgsiLdError(
                "stands in snapshotTemporalQueries alone, and in each of them", f"{name}[{place}].temporalQ"
            )
    return value


def lifetime_of(document: Mapping[str, Any]) -> Instant:
    """How long a snapshot is kept, in microseconds: what it suggests, within the limit."""
    suggested = document.get("snapshotLifetime")
    return LIFETIME if suggested is None else min(parse_lifetime(suggested, "snapshotLifetime"), LIFETIME_MAX)


def status_of(details: Sequence[Detail]) -> str:
    """Of the whole (clause 5.16.1.4): success when every query found something, partial when one did.

    >>> status_of([Detail(SUCCESS), Detail(EMPTY)]), status_of([Detail(EMPTY)])
    ('partial', 'failure')
    """
    good = sum(detail.status == SUCCESS for detail in details)
    return SUCCESS if good == len(details) else PARTIAL if good else FAILURE


def render_snapshot(kept: Kept) -> dict[str, Any]:
    """The snapshot as a document (clause 5.2.41), without @context."""
    document = {name: value for name, value in kept.document.items() if name != "@context"}
    rendered = {
        **document,
        "snapshotPriority": document.get("snapshotPriority", PRIORITY),
        "snapshotStatus": kept.status,
        "createdAt": render_instant(kept.created_at),
        "modifiedAt": render_instant(kept.modified_at),
        "expiresAt": render_instant(kept.expires_at),
        "lastUsedAt": render_instant(kept.last_used_at),
    }
    for name, details in (("snapshotQueriesDetails", kept.queries), ("snapshotTemporalQueriesDetails", kept.temporal)):
        if details:
            rendered[name] = [_rendered(detail) for detail in details]
    return rendered


def render_snapshot_notification(id_: str, kept: Kept, now: Instant) -> dict[str, Any]:
    """What its endpoint is told (clause 5.3.4, which names the details of temporal queries in another order of words)."""
    whole = render_snapshot(kept)
    told = {
        "id": id_,
        "type": "SnapshotNotification",
        "notifiedAt": render_instant(now),
        "snapshotId": kept.id,
        **{name: whole[name] for name in ("snapshotStatus", "snapshotPriority", "expiresAt")},
    }
    if "snapshotQueriesDetails" in whole:
        told["snapshotQueriesDetails"] = whole["snapshotQueriesDetails"]
    if "snapshotTemporalQueriesDetails" in whole:
        told["temporalSnapshotQueriesDetails"] = whole["snapshotTemporalQueriesDetails"]
    return told


def _rendered(detail: Detail) -> dict[str, Any]:
    found: dict[str, Any] = {"resultStatus": detail.status}
    return found if detail.problem is None else {**found, "problemDetails": detail.problem}


def check_purge(node: Node) -> None:
    """Clause 5.16.7.4: the condition is about members of a snapshot. Raises NgsiLdError."""
    unknown = attributes_in(node) - MEMBERS
    if unknown:
        known = ", ".join(sorted(MEMBERS))
        raise NgsiLdError(f"{sorted(unknown)[0][:80]} is no member of a Snapshot; known: {known}", "q")


def meets(kept: Kept, node: Node) -> bool:
    """Does the snapshot meet the condition over its members?"""
    members = render_snapshot(kept)
    attributes = {
        name: {"type": "Property", "value": value} for name, value in members.items() if name not in ("id", "type")
    }
    entity = Entity(
        kept.id, "Snapshot", attributes, kept.created_at, kept.modified_at, 0, 0, expires_at=kept.expires_at
    )
    return matches(entity, node)
