"""Subscriptions (ETSI GS CIM 009 clauses 5.2.12 to 5.2.15, 5.8.1 to 5.8.4): documents in and out, and what they mean.

The stored form is the document with names as they are stored (`madang.ngsild.names`), without @context, read-only members and members
that the standard does not have. `Subscription` is what deciding and sending need of it; `madang.ngsild.notification` decides. Pure.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from msgspec import Struct

from madang.model.time import MILLISECOND, SECOND, Instant, parse_instant, render_instant
from madang.ngsild.context import Context
from madang.ngsild.errors import NgsiLdError
from madang.ngsild.geo import parse_geo_query
from madang.ngsild.language import parse_languages
from madang.ngsild.names import check_context, check_id, is_uri
from madang.ngsild.project import Projection, parse_projection
from madang.ngsild.q import link_depth, parse_q
from madang.ngsild.query import Near, Node, Spatial
from madang.ngsild.regular import check_regular
from madang.ngsild.render import CONCISE, FLAT, INLINE, NORMALIZED, SIMPLIFIED, View
from madang.ngsild.scope import parse_scope_q
from madang.ngsild.types import holds, parse_types

TYPE = "Subscription"
ACTIVE, PAUSED, EXPIRED = "active", "paused", "expired"
ENTITY_CREATED, ENTITY_UPDATED, ENTITY_DELETED = "entityCreated", "entityUpdated", "entityDeleted"
ATTRIBUTE_CREATED, ATTRIBUTE_UPDATED, ATTRIBUTE_DELETED = "attributeCreated", "attributeUpdated", "attributeDeleted"
TRIGGERS = (
    ENTITY_CREATED, ENTITY_UPDATED, ENTITY_DELETED, ATTRIBUTE_CREATED, ATTRIBUTE_UPDATED, ATTRIBUTE_DELETED
)  # fmt: skip
DEFAULT_TRIGGERS = (ATTRIBUTE_CREATED, ATTRIBUTE_UPDATED)
JSON, JSON_LD, GEO_JSON = "application/json", "application/ld+json", "application/geo+json"
FORMS = {"normalized": NORMALIZED, "concise": CONCISE, "keyValues": SIMPLIFIED, "simplified": SIMPLIFIED}
MQTT_VERSIONS = ("mqtt3.1.1", "mqtt5.0")
SELECTORS_MAX = 100
"""Entity selectors of one subscription; each change is compared with all of them."""
NAMES_MAX = 256
PAIRS_MAX = 64
TEXT_MAX = 2_048
JOIN_LEVEL_MAX = 8
SECONDS_MAX = 366 * 24 * 3_600
"""Longest throttling and timeInterval: a year."""
TIMEOUT_DEFAULT_MS = 10_000
TIMEOUT_MAX_MS = 60_000
"""An attempt holds a connection; a receiver that needs longer than a minute to say yes is not receiving."""
_READ_ONLY = frozenset({"status", "createdAt", "modifiedAt"})
_NOTIFICATION_READ_ONLY = frozenset(
    {"status", "timesSent", "timesFailed", "lastNotification", "lastSuccess", "lastFailure"}
)
_TEXTS = frozenset({"subscriptionName", "description"})
ENTITY_MEMBERS = frozenset({"id", "type", "scope", "createdAt", "modifiedAt", "expiresAt", "deletedAt"})
_ADDRESS = re.compile(
    r"(?P<scheme>https?|mqtts?)://((?P<user>[^@/?#]*)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^@:/?#\[\]]+)(:(?P<port>\d{1,5}))?"
    r"(?P<path>(/[^?#]*)?)(\?[^#]*)?\Z"
)
TYPE_NAME = re.compile(r"[^();|,\s]+")
_ENCODED = re.compile(r"(%[0-9A-Fa-f]{2})+")
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_OUR_HEADERS = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection", "expect"})
"""Headers that belong to the request itself: another value of theirs could make two requests of one."""


class Selector(Struct, frozen=True):
    """Which entities (clause 5.2.33): of these types, and with one of the ids or an id like the pattern."""

    types: Node | None
    """None: any type."""
    ids: frozenset[str] = frozenset()
    pattern: re.Pattern[str] | None = None

    def selects(self, id_: str, types: tuple[str, ...]) -> bool:
        """Is the entity with this id and these types one of them?"""
        if self.ids and id_ not in self.ids:
            return False
        if self.pattern is not None and self.pattern.search(id_) is None:
            return False
        return self.types is None or holds(self.types, types)


class Endpoint(Struct, frozen=True):
    """Where notifications go (clause 5.2.15)."""

    uri: str
    accept: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    """receiverInfo: headers of the request, or metadata of the MQTT message."""
    timeout_s: float = TIMEOUT_DEFAULT_MS / 1_000
    cooldown: Instant = 0
    """Shortest wait after a failure, microseconds."""
    mqtt_version: str = MQTT_VERSIONS[1]
    qos: int = 0


class Subscription(Struct, frozen=True):
    """What deciding and sending need. `document` is the stored form."""

    id: str
    document: dict[str, Any]
    selectors: tuple[Selector, ...]
    watched: frozenset[str]
    """Names of the watched attributes; empty: all."""
    triggers: frozenset[str]
    view: View
    endpoint: Endpoint
    q: Node | None = None
    is_linked: bool = False
    """`q` looks into linked entities, which needs a store."""
    scope_q: Node | None = None
    place: Near | Spatial | None = None
    show_changes: bool = False
    is_active: bool = True
    expires_at: Instant | None = None
    throttling: Instant = 0
    """Shortest time between two notifications, microseconds; 0: none."""
    interval: Instant = 0
    """Time between periodic notifications, microseconds; 0: on changes."""

    def status_at(self, now: Instant) -> str:
        """active, paused or expired (clause 5.2.12)."""
        if self.expires_at is not None and self.expires_at <= now:
            return EXPIRED
        return ACTIVE if self.is_active else PAUSED

    def selects(self, id_: str, types: tuple[str, ...]) -> bool:
        """Is this one of the subscribed entities, as far as id and types tell?"""
        return not self.selectors or any(selector.selects(id_, types) for selector in self.selectors)


class Sent(Struct):
    """What became of a subscription's notifications so far."""

    times_sent: int = 0
    """Attempts."""
    times_failed: int = 0
    """Attempts that failed."""
    last_notification: Instant | None = None
    last_success: Instant | None = None
    last_failure: Instant | None = None
    last_error: str = ""
    failed: bool = False
    """The last attempt failed."""


# ── documents in ────────────────────────────────────────────────────────────


def parse_subscription(document: Any, context: Context, now: Instant, new_id: str) -> dict[str, Any]:
    """The stored form of a subscription document. `new_id` is for one without an id. Raises NgsiLdError (BadRequestData)."""
    if not isinstance(document, dict):
        raise NgsiLdError("a subscription must be a JSON object")
    if document.get("type", document.get("@type")) != TYPE:
        raise NgsiLdError(f"must be {TYPE}", "type")
    stored: dict[str, Any] = {"id": check_id(document.get("id", new_id), "id"), "type": TYPE}
    for name, value in document.items():
        kept = _member(name, value, context, now)
        if kept is not None:
            stored[name] = kept
    _check_whole(stored)
    return stored


def merge_subscription(stored: Mapping[str, Any], fragment: Any, context: Context, now: Instant) -> dict[str, Any]:
    """The stored form after a change (clause 5.8.2): members are replaced, null takes one away. Raises NgsiLdError."""
    if not isinstance(fragment, dict):
        raise NgsiLdError("must be a JSON object")
    if fragment.get("type", TYPE) != TYPE:
        raise NgsiLdError(f"must be {TYPE}", "type")
    if fragment.get("id", stored["id"]) != stored["id"]:
        raise NgsiLdError("the id of a subscription does not change", "id")
    merged = dict(stored)
    for name, value in fragment.items():
        if value is None or value == "urn:ngsi-ld:null":
            if name in ("notification", "id", "type"):
                raise NgsiLdError("cannot be taken away", name)
            merged.pop(name, None)
            continue
        kept = _member(name, value, context, now)
        if kept is not None:
            merged[name] = kept
    _check_whole(merged)
    return merged


def _check_whole(stored: Mapping[str, Any]) -> None:
    if "notification" not in stored:
        raise NgsiLdError("is missing: say where notifications go", "notification")
    if "entities" not in stored and "watchedAttributes" not in stored:
        raise NgsiLdError("name entities or watchedAttributes (clause 5.2.12)", "entities")
    if "timeInterval" in stored and "throttling" in stored:
        raise NgsiLdError("timeInterval and throttling exclude each other (clause 5.2.12)", "throttling")
    if "timeInterval" in stored and "watchedAttributes" in stored:
        raise NgsiLdError("a periodic notification does not wait for attributes: leave one out", "watchedAttributes")
    if "timeInterval" in stored and "entities" not in stored:
        raise NgsiLdError("is missing: a periodic notification tells of them", "entities")


def _member(name: str, value: Any, context: Context, now: Instant) -> Any:
    """A member as it is stored; None for what is not kept."""
    match name:
        case "subscriptionName" | "description":
            return _text(value, name)
        case "entities":
            items = value if isinstance(value, list) else None
            if items is None or not 1 <= len(items) <= SELECTORS_MAX:
                raise NgsiLdError(f"must be an array of 1 to {SELECTORS_MAX} objects", name)
            return [_entity(item, f"{name}[{place}]", context) for place, item in enumerate(items)]
        case "watchedAttributes":
            return [context.stored_name(n, name) for n in _texts(value, name)]
        case "notificationTrigger":
            unknown = [trigger for trigger in _texts(value, name) if trigger not in TRIGGERS]
            if unknown:
                raise NgsiLdError(f"{unknown[0][:80]!r} is none of {', '.join(TRIGGERS)}", name)
            return list(value)
        case "timeInterval" | "throttling":
            return _number(value, name, SECONDS_MAX, "seconds")
        case "q" | "csf" | "scopeQ" | "lang":
            with _at(name):
                _parse_language(name, _text(value, name), context)
            return value
        case "geoQ":
            with _at(name):
                return _geo_q(value, context)
        case "datasetId":
            return [item if item == "@none" else check_id(item, name) for item in _texts(value, name)]
        case "expandValues" | "jsonKeys":
            return [context.stored_name(n, name) for n in _texts(value, name)]
        case "isActive" | "splitEntities" | "localOnly":
            if not isinstance(value, bool):
                raise NgsiLdError("must be true or false", name)
            return value
        case "expiresAt":
            return _expiry(value, now)
        case "jsonldContext":
            check_context(value, name)
            if not isinstance(value, str):
                raise NgsiLdError("must be the URI of an @context", name)
            return value
        case "notification":
            return _notification(value, context)
    return None


def _parse_language(name: str, text: str, context: Context) -> None:
    match name:
        case "q" | "csf":
            parse_q(decode_percent(text), context)
        case "scopeQ":
            parse_scope_q(text)
        case "lang":
            parse_languages(text)


def decode_percent(text: str) -> str:
    """A q that was written for a URL: percent-encoded octets stand for themselves, also in a document, where nothing else takes the
    encoding away (the official suite's 046_05 has one). Raises NgsiLdError when they are no UTF-8.

    >>> decode_percent('name=="Eiffel%20Tower"')
    'name=="Eiffel Tower"'
    """
    try:
        return _ENCODED.sub(lambda m: bytes.fromhex(m.group().replace("%", "")).decode(), text)
    except UnicodeDecodeError:
        raise NgsiLdError("percent-encoded octets are no UTF-8", "q") from None


@contextmanager
def _at(where: str) -> Iterator[None]:
    """An error inside names its place in the subscription."""
    try:
        yield
    except NgsiLdError as error:
        if error.where.startswith(where):
            raise
        raise NgsiLdError(error.detail, f"{where} {error.where}".strip(), error.kind) from None


def _entity(value: Any, where: str, context: Context) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise NgsiLdError("must be an object with type, and id or idPattern", where)
    types = value.get("type", value.get("@type"))
    if not isinstance(types, str) or not types:
        raise NgsiLdError("is missing: a type, or a selection such as (A|B);C", f"{where}.type")
    with _at(f"{where}.type"):
        parse_types(types, lambda name: context.stored_name(name, f"{where}.type"))
    stored: dict[str, Any] = {}
    if value.get("id") is not None:
        ids = value["id"]
        items = ids if isinstance(ids, list) else [ids]
        if not 1 <= len(items) <= NAMES_MAX:
            raise NgsiLdError(f"must be one id, or 1 to {NAMES_MAX} of them", f"{where}.id")
        checked = [check_id(item, f"{where}.id") for item in items]
        stored["id"] = checked if isinstance(ids, list) else checked[0]
    elif value.get("idPattern") is not None:
        stored["idPattern"] = _text(value["idPattern"], f"{where}.idPattern")
        with _at(f"{where}.idPattern"):
            check_regular(stored["idPattern"])
    stored["type"] = types if types == "*" else TYPE_NAME.sub(lambda m: context.stored_name(m.group(), where), types)
    return stored


def _geo_q(value: Any, context: Context) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise NgsiLdError("must be an object with georel, geometry and coordinates (clause 5.2.13)", "geoQ")
    stored = {name: value[name] for name in ("georel", "geometry", "coordinates", "geoproperty") if name in value}
    for name in ("georel", "geometry", "geoproperty"):
        if name in stored:
            _text(stored[name], f"geoQ.{name}")
    if "geoproperty" in stored:
        stored["geoproperty"] = context.stored_name(stored["geoproperty"], "geoQ.geoproperty")
    if _place(stored) is None:
        raise NgsiLdError("must have georel, geometry and coordinates (clause 5.2.13)", "geoQ")
    return stored


def _place(geo_q: Mapping[str, Any]) -> Near | Spatial | None:
    return parse_geo_query(
        geo_q.get("georel"), geo_q.get("geometry"), geo_q.get("coordinates"), geo_q.get("geoproperty")
    )


def _expiry(value: Any, now: Instant) -> str:
    try:
        expires_at = parse_instant(value)
    except (ValueError, TypeError, AttributeError, OverflowError):
        raise NgsiLdError("must be a date-time such as 2026-11-23T02:14:09Z", "expiresAt") from None
    if expires_at <= now:
        raise NgsiLdError("lies in the past", "expiresAt")
    return render_instant(expires_at)


def _notification(value: Any, context: Context) -> dict[str, Any]:
    """NotificationParams (5.2.14)."""
    if not isinstance(value, dict):
        raise NgsiLdError("must be an object with endpoint (clause 5.2.14)", "notification")
    stored: dict[str, Any] = {}
    for name, item in value.items():
        where = f"notification.{name}"
        match name:
            case "attributes":
                stored[name] = [context.stored_name(n, where) for n in _texts(item, where)]
            case "pick" | "omit":
                terms = _texts(item, where)
                _projection(terms, context, where)
                stored[name] = [_stored_term(term, context, where) for term in terms]
            case "format":
                if item not in FORMS:
                    raise NgsiLdError(f"must be one of {', '.join(FORMS)}", where)
                stored[name] = item
            case "sysAttrs" | "showChanges":
                if not isinstance(item, bool):
                    raise NgsiLdError("must be true or false", where)
                stored[name] = item
            case "join":
                if item not in (INLINE, FLAT, "@none"):
                    raise NgsiLdError(f"must be {INLINE}, {FLAT} or @none", where)
                stored[name] = item
            case "joinLevel":
                if isinstance(item, bool) or not isinstance(item, int) or not 1 <= item <= JOIN_LEVEL_MAX:
                    raise NgsiLdError(f"must be a whole number from 1 to {JOIN_LEVEL_MAX}", where)
                stored[name] = item
            case "endpoint":
                stored[name] = _endpoint(item, where)
    if "endpoint" not in stored:
        raise NgsiLdError("is missing: say where notifications go", "notification.endpoint")
    if stored.get("showChanges") and FORMS.get(stored.get("format", "normalized")) == SIMPLIFIED:
        raise NgsiLdError("a simplified representation has no place for changes (clause 5.2.14)", "notification.format")
    if "attributes" in stored and ("pick" in stored or "omit" in stored):
        raise NgsiLdError(
            "attributes is the old way of pick and omit: use one of the ways (clause 5.2.14)", "notification.attributes"
        )
    for name in set(stored.get("pick", ())) & set(stored.get("omit", ())):
        raise NgsiLdError(f"{name[:80]} is in pick and in omit", "notification.omit")
    if "joinLevel" in stored and stored.get("join", "@none") == "@none":
        raise NgsiLdError(f"needs join {INLINE} or {FLAT} beside it", "notification.joinLevel")
    return stored


def _projection(terms: list[str], context: Context, where: str) -> Projection:
    def stored(member: str) -> str:
        return member if member in ENTITY_MEMBERS else context.stored_name(member, where)

    return parse_projection(",".join(terms), stored, where)


PROJECTED = re.compile(r"[^{}|,\s]+")


def _stored_term(term: str, context: Context, where: str) -> str:
    def stored(match: re.Match[str]) -> str:
        name = match.group()
        return name if name in ENTITY_MEMBERS else context.stored_name(name, where)

    return PROJECTED.sub(stored, term)


def _endpoint(value: Any, where: str) -> dict[str, Any]:
    """Endpoint (5.2.15)."""
    if not isinstance(value, dict):
        raise NgsiLdError("must be an object with uri (clause 5.2.15)", where)
    stored: dict[str, Any] = {}
    for name, item in value.items():
        match name:
            case "uri":
                stored[name] = check_endpoint(item, f"{where}.uri")
            case "accept":
                if item not in (JSON, JSON_LD, GEO_JSON):
                    raise NgsiLdError(f"must be {JSON}, {JSON_LD} or {GEO_JSON}", f"{where}.accept")
                stored[name] = item
            case "timeout" | "cooldown":
                most = TIMEOUT_MAX_MS if name == "timeout" else SECONDS_MAX * 1_000
                stored[name] = _number(item, f"{where}.{name}", most, "milliseconds")
            case "receiverInfo" | "notifierInfo":
                stored[name] = _pairs(item, f"{where}.{name}")
    if "uri" not in stored:
        raise NgsiLdError("is missing: the address that is notified", f"{where}.uri")
    is_mqtt = stored["uri"].startswith("mqtt")
    for pair in stored.get("receiverInfo", ()):
        if not is_mqtt and (_HEADER_NAME.match(pair["key"]) is None or pair["key"].lower() in _OUR_HEADERS):
            raise NgsiLdError(f"{pair['key'][:80]!r} cannot be a header of a notification", f"{where}.receiverInfo")
    if is_mqtt:
        for pair in stored.get("notifierInfo", ()):
            if pair["key"] == "MQTT-Version" and pair["value"] not in MQTT_VERSIONS:
                raise NgsiLdError(f"MQTT-Version must be {' or '.join(MQTT_VERSIONS)}", f"{where}.notifierInfo")
            if pair["key"] == "MQTT-QoS" and pair["value"] not in ("0", "1", "2"):
                raise NgsiLdError("MQTT-QoS must be 0, 1 or 2", f"{where}.notifierInfo")
    return stored


def check_endpoint(value: Any, where: str = "uri") -> str:
    """The address of an endpoint: http(s)://host/path, or mqtt(s)://[user[:password]@]host[:port]/topic (clause 7.2). Raises
    NgsiLdError."""
    if not isinstance(value, str) or not is_uri(value) or not value.isascii():
        raise NgsiLdError("must be a URI: http(s)://host/path or mqtt(s)://host/topic", where)
    match = _ADDRESS.match(value)
    if match is None or int(match["port"] or 1) not in range(1, 65_536):
        raise NgsiLdError("notifications go to http(s)://host/path or mqtt(s)://host/topic", where)
    if match["scheme"].startswith("http"):
        if match["user"] is not None:
            raise NgsiLdError("must have no user in it: headers go into receiverInfo", where)
    elif not match["path"].strip("/") or any(c in value for c in "+#"):
        raise NgsiLdError("must be mqtt(s)://host/topic, the topic without + and #", where)
    return value


def _pairs(value: Any, where: str) -> list[dict[str, str]]:
    """KeyValuePair (5.2.22)."""
    if not isinstance(value, list) or not 1 <= len(value) <= PAIRS_MAX:
        raise NgsiLdError(f"must be an array of 1 to {PAIRS_MAX} objects with key and value", where)
    for place, pair in enumerate(value):
        good = isinstance(pair, dict) and set(pair) == {"key", "value"}
        if not good or not all(isinstance(text, str) and text and len(text) <= TEXT_MAX for text in pair.values()):
            raise NgsiLdError("must be an object with the texts key and value", f"{where}[{place}]")
        if any(c in "\r\n\0" or not c.isascii() for text in pair.values() for c in text):
            raise NgsiLdError("a header is ASCII without line breaks", f"{where}[{place}]")
    return [dict(pair) for pair in value]


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value or len(value) > 4 * TEXT_MAX:
        raise NgsiLdError(f"must be a text of 1 to {4 * TEXT_MAX} characters", where)
    return value


def _texts(value: Any, where: str) -> list[str]:
    items = value if isinstance(value, list) else None
    if items is None or not 1 <= len(items) <= NAMES_MAX or not all(isinstance(i, str) and i for i in items):
        raise NgsiLdError(f"must be an array of 1 to {NAMES_MAX} texts", where)
    return items


def _number(value: Any, where: str, most: float, unit: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        raise NgsiLdError(f"must be a number of {unit} above 0 and at most {most:g}", where)
    return value


# ── what it means ───────────────────────────────────────────────────────────


def read_subscription(stored: dict[str, Any], q_context: Context, out: Context) -> Subscription:
    """The subscription of a stored form. `q_context`: the @context that its q was written in; `out`: the one of its notifications."""
    notification = stored["notification"]
    q = None
    if "q" in stored:
        q = parse_q(decode_percent(stored["q"]), q_context, stored.get("expandValues", ()))
    return Subscription(
        id=stored["id"],
        document=stored,
        selectors=tuple(_selector(item) for item in stored.get("entities", ())),
        watched=frozenset(stored.get("watchedAttributes", ())),
        triggers=frozenset(stored.get("notificationTrigger", DEFAULT_TRIGGERS)),
        view=_view(stored, notification, out),
        endpoint=_read_endpoint(notification["endpoint"]),
        q=q,
        is_linked=q is not None and link_depth(q) > 0,
        scope_q=parse_scope_q(stored["scopeQ"]) if "scopeQ" in stored else None,
        place=_place(stored["geoQ"]) if "geoQ" in stored else None,
        show_changes=notification.get("showChanges", False),
        is_active=stored.get("isActive", True),
        expires_at=parse_instant(stored["expiresAt"]) if "expiresAt" in stored else None,
        throttling=round(stored.get("throttling", 0) * SECOND),
        interval=round(stored.get("timeInterval", 0) * SECOND),
    )


def _selector(stored: Mapping[str, Any]) -> Selector:
    ids = stored.get("id", ())
    return Selector(
        parse_types(stored["type"], str),
        frozenset([ids] if isinstance(ids, str) else ids),
        re.compile(stored["idPattern"]) if "idPattern" in stored else None,
    )


def _view(stored: Mapping[str, Any], notification: Mapping[str, Any], out: Context) -> View:
    def projection(name: str) -> Projection | None:
        return parse_projection(",".join(notification[name]), str, name) if name in notification else None

    join = notification.get("join", "@none")
    return View(
        form=FORMS[notification.get("format", "normalized")],
        context=out,
        sys_attrs=notification.get("sysAttrs", False),
        names=frozenset(notification["attributes"]) if "attributes" in notification else None,
        pick=projection("pick"),
        omit=projection("omit"),
        datasets=frozenset(stored["datasetId"]) if "datasetId" in stored else None,
        languages=parse_languages(stored["lang"]) if "lang" in stored else None,
        join=None if join == "@none" else join,
        join_level=notification.get("joinLevel", 1),
    )


def _read_endpoint(stored: Mapping[str, Any]) -> Endpoint:
    info = {pair["key"]: pair["value"] for pair in stored.get("notifierInfo", ())}
    return Endpoint(
        uri=stored["uri"],
        accept=stored.get("accept", JSON),
        headers=tuple((pair["key"], pair["value"]) for pair in stored.get("receiverInfo", ())),
        timeout_s=stored.get("timeout", TIMEOUT_DEFAULT_MS) / 1_000,
        cooldown=round(stored.get("cooldown", 0) * MILLISECOND),
        mqtt_version=info.get("MQTT-Version", MQTT_VERSIONS[1]),
        qos=int(info.get("MQTT-QoS", 0)),
    )
