"""Subscriptions to context source registrations (ETSI GS CIM 009 clauses 5.2.12, 5.11): documents in and out, and what a
change of a registration means to one. Pure.

The stored form keeps the document with names as they are stored, and under ``@context`` what it was written in: notifications
speak its names.
"""

from collections.abc import Collection, Mapping
from typing import Any

from msgspec import Struct

from madang.model.time import Instant, parse_instant, render_instant
from madang.ngsild.context import Context
from madang.ngsild.errors import BAD_REQUEST_DATA, NOT_YET, NgsiLdError
from madang.ngsild.geo import parse_geo_query
from madang.ngsild.names import check_id, is_uri
from madang.ngsild.q import parse_q
from madang.ngsild.query import Near, Node, Spatial
from madang.ngsild.registration import (
    EntityInfo,
    Search,
    Selection,
    check_pairs,
    parse_entities,
    shown_entities,
)
from madang.ngsild.scope import parse_scope_q
from madang.ngsild.values import NULL_URN

TYPE = "Subscription"
NEWLY, UPDATED, NO_LONGER = "newlyMatching", "updated", "noLongerMatching"
ACTIVE, PAUSED, EXPIRED = "active", "paused", "expired"
INTERVAL_S_MIN, INTERVAL_S_MAX = 1, 86_400 * 366
NAMES_MAX = 1_000
TEXT_MAX = 2_048
_READ_ONLY = frozenset({"status", "createdAt", "modifiedAt", "jsonldContext"})
_COUNTERS = frozenset({"status", "timesSent", "timesFailed", "lastNotification", "lastSuccess", "lastFailure"})
_FORMATS = frozenset({"normalized", "concise", "keyValues", "simplified"})


class Sent(Struct, frozen=True):
    """How its notifications went so far."""

    times_sent: int = 0
    times_failed: int = 0
    last_at: Instant = 0
    last_success_at: Instant = 0
    last_failure_at: Instant = 0


def parse_subscription(document: Any, context: Context, now: Instant, new_id: str) -> dict[str, Any]:
    """The stored form. `new_id` is for one without an id. Raises NgsiLdError (BadRequestData)."""
    if not isinstance(document, dict):
        raise NgsiLdError("a subscription must be a JSON object")
    if document.get("type", document.get("@type")) != TYPE:
        raise NgsiLdError(f"must be {TYPE}", "type")
    stored: dict[str, Any] = {"id": check_id(document.get("id", new_id), "id"), "type": TYPE}
    _set(stored, document, context)
    if "expiresAt" in stored and parse_instant(stored["expiresAt"]) <= now:
        raise NgsiLdError("lies in the past", "expiresAt")
    _check_whole(stored)
    return {**stored, "@context": context.value}


def merge_subscription(stored: Mapping[str, Any], fragment: Any, context: Context) -> dict[str, Any]:
    """The stored form after a change (clause 5.11.3): members are replaced, null takes one away. Raises NgsiLdError."""
    if not isinstance(fragment, dict):
        raise NgsiLdError("must be a JSON object")
    if fragment.get("type", TYPE) != TYPE:
        raise NgsiLdError(f"must be {TYPE}", "type")
    if fragment.get("id", stored["id"]) != stored["id"]:
        raise NgsiLdError("the id of a subscription does not change", "id")
    merged = dict(stored)
    _set(merged, fragment, context)
    _check_whole(merged)
    if not context.is_core:
        merged["@context"] = context.value
    return merged


def _set(stored: dict[str, Any], document: Mapping[str, Any], context: Context) -> None:
    for name, value in document.items():
        if name in ("id", "type", "@id", "@type", "@context") or name in _READ_ONLY:
            continue
        if value is None or value == NULL_URN:
            stored.pop(name, None)
        else:
            stored[name] = _member(name, value, context)


def _member(name: str, value: Any, context: Context) -> Any:
    match name:
        case "entities":
            return parse_entities(value, name, context)
        case "watchedAttributes":
            if not isinstance(value, list) or not 1 <= len(value) <= NAMES_MAX:
                raise NgsiLdError(f"must be an array of 1 to {NAMES_MAX} names", name)
            return [context.stored_name(item, name) for item in value]
        case "notification":
            return _notification(value)
        case "isActive":
            if not isinstance(value, bool):
                raise NgsiLdError("must be true or false", name)
            return value
        case "expiresAt":
            return _instant(value, name)
        case "timeInterval" | "throttling":
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise NgsiLdError("must be a number of seconds", name)
            if not INTERVAL_S_MIN <= value <= INTERVAL_S_MAX:
                raise NgsiLdError(f"must lie between {INTERVAL_S_MIN} and {INTERVAL_S_MAX} seconds", name)
            return value
        case "q" | "csf":
            parse_q(_text(value, name), context)
            return value
        case "scopeQ":
            parse_scope_q(_text(value, name))
            return value
        case "geoQ":
            _place(value)
            return value
        case "temporalQ":
            _temporal(value)
            return value
        case "subscriptionName" | "description" | "lang":
            return _text(value, name)
    raise NgsiLdError("is not a member of a subscription to registrations (clause 5.2.12)", str(name)[:80])


def _notification(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise NgsiLdError("must be an object", "notification")
    endpoint = value.get("endpoint")
    if not isinstance(endpoint, dict) or not is_uri(endpoint.get("uri")):
        raise NgsiLdError("must be an object with the uri that is notified", "notification.endpoint")
    if not endpoint["uri"].startswith(("http://", "https://")):
        raise NgsiLdError(
            "only http and https can be notified of registrations so far", "notification.endpoint", NOT_YET
        )
    if endpoint.get("accept", "application/json") not in ("application/json", "application/ld+json"):
        raise NgsiLdError("must be application/json or application/ld+json", "notification.endpoint.accept")
    if "receiverInfo" in endpoint:
        check_pairs(endpoint["receiverInfo"], "notification.endpoint.receiverInfo")
    if value.get("format", "normalized") not in _FORMATS:
        raise NgsiLdError(f"must be one of {', '.join(sorted(_FORMATS))}", "notification.format")
    return {name: member for name, member in value.items() if name not in _COUNTERS}


def _check_whole(stored: Mapping[str, Any]) -> None:
    if "notification" not in stored:
        raise NgsiLdError("is missing", "notification")
    if not stored.keys() & {"entities", "watchedAttributes"}:
        raise NgsiLdError("name entities, watchedAttributes or both (clause 5.2.12)", "entities")
    if "timeInterval" in stored and stored.keys() & {"watchedAttributes", "throttling"}:
        raise NgsiLdError("goes neither with watchedAttributes nor with throttling", "timeInterval", BAD_REQUEST_DATA)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= TEXT_MAX:
        raise NgsiLdError(f"must be a text of 1 to {TEXT_MAX} characters", where)
    return value


def _instant(value: Any, where: str) -> str:
    try:
        return render_instant(parse_instant(value))
    except (ValueError, TypeError, AttributeError, OverflowError):
        raise NgsiLdError("must be a date-time such as 2026-11-23T02:14:09Z", where) from None


def _place(value: Any) -> Near | Spatial | None:
    if not isinstance(value, dict):
        raise NgsiLdError("must be an object", "geoQ")
    return parse_geo_query(
        value.get("georel"), value.get("geometry"), value.get("coordinates"), value.get("geoproperty")
    )


def _temporal(value: Any) -> tuple[str, Instant, Instant, str]:
    """(timerel, from, to, the interval that is asked)."""
    if not isinstance(value, dict) or value.get("timerel") not in ("before", "after", "between"):
        raise NgsiLdError("must be an object with timerel before, after or between", "temporalQ")
    at = parse_instant(_instant(value.get("timeAt"), "temporalQ.timeAt"))
    end = parse_instant(_instant(value.get("endTimeAt"), "temporalQ.endTimeAt")) if value["timerel"] == "between" else 0
    timeproperty = value.get("timeproperty", "observedAt")
    if timeproperty not in ("observedAt", "createdAt", "modifiedAt", "deletedAt"):
        raise NgsiLdError("must be observedAt, createdAt, modifiedAt or deletedAt", "temporalQ.timeproperty")
    return value["timerel"], at, end, "observationInterval" if timeproperty == "observedAt" else "managementInterval"


# ── what it asks for ────────────────────────────────────────────────────────


def searches_of(stored: Mapping[str, Any], context: Context) -> list[Search]:
    """What a registration must meet, one for each entity of the subscription: any of them. `context`: that of the stored form.
    Its q is about the entities, not about registrations, and does not count here (clause 5.11.7)."""
    filters: list[Node] = [parse_q(stored["csf"], context)] if "csf" in stored else []
    if "scopeQ" in stored:
        filters.append(parse_scope_q(stored["scopeQ"]))
    timerel, at, end, interval = _temporal(stored["temporalQ"]) if "temporalQ" in stored else (None, 0, 0, "")
    names = tuple(stored.get("watchedAttributes", ()))
    return [
        Search(
            Selection(types, () if id_ is None else (id_,), pattern, names),
            tuple(filters),
            _place(stored["geoQ"]) if "geoQ" in stored else None,
            timerel,
            at,
            end,
            interval or "observationInterval",
        )
        for types, id_, pattern in _entities(stored)
    ]


def _entities(stored: Mapping[str, Any]) -> list[tuple[tuple[str, ...], str | None, str | None]]:
    found = []
    for entity in stored.get("entities", ({},)):
        types = entity.get("type", ())
        info = EntityInfo(
            (types,) if isinstance(types, str) else tuple(types), entity.get("id"), entity.get("idPattern")
        )
        found.append((info.types, info.id, info.id_pattern))
    return found


def trigger_of(before: bool, after: bool) -> str | None:
    """Why a change of a registration is told: whether it matched before and matches after (clause 5.11.7); None: it is not.

    >>> trigger_of(False, True), trigger_of(True, True), trigger_of(True, False), trigger_of(False, False)
    ('newlyMatching', 'updated', 'noLongerMatching', None)
    """
    if after:
        return UPDATED if before else NEWLY
    return NO_LONGER if before else None


def status_of(stored: Mapping[str, Any], now: Instant) -> str:
    """``active``, ``paused`` or ``expired``."""
    if "expiresAt" in stored and parse_instant(stored["expiresAt"]) <= now:
        return EXPIRED
    return ACTIVE if stored.get("isActive", True) else PAUSED


# ── documents out ───────────────────────────────────────────────────────────


def render_subscription(
    stored: Mapping[str, Any], sent: Sent, context: Context, now: Instant, hidden: Collection[str] = ()
) -> dict[str, Any]:
    """The document in the reader's names, with its status and how its notifications went. `hidden`: members of the endpoint
    that this reader does not see."""
    document = {name: value for name, value in stored.items() if name != "@context"}
    if "entities" in document:
        document["entities"] = shown_entities(document["entities"], context)
    if "watchedAttributes" in document:
        document["watchedAttributes"] = [context.shown_name(name) for name in document["watchedAttributes"]]
    notification = dict(document["notification"])
    notification["endpoint"] = {k: v for k, v in notification["endpoint"].items() if k not in hidden}
    if sent.times_sent:
        failed = sent.last_failure_at > sent.last_success_at
        notification |= {"status": "failed" if failed else "ok", "timesSent": sent.times_sent}
        notification["lastNotification"] = render_instant(sent.last_at)
        if sent.times_failed:
            notification["timesFailed"] = sent.times_failed
            notification["lastFailure"] = render_instant(sent.last_failure_at)
        if sent.last_success_at:
            notification["lastSuccess"] = render_instant(sent.last_success_at)
    document["notification"] = notification
    document["status"] = status_of(stored, now)
    return document


def render_notification(
    id_: str, subscription_id: str, reason: str, registrations: Collection[dict[str, Any]], now: Instant
) -> dict[str, Any]:
    """A CSourceNotification (clause 5.3.2)."""
    return {
        "id": id_,
        "type": "ContextSourceNotification",
        "subscriptionId": subscription_id,
        "notifiedAt": render_instant(now),
        "triggerReason": reason,
        "data": list(registrations),
    }


def relevant(document: dict[str, Any], kept: Collection[int]) -> dict[str, Any]:
    """The document of a registration with those RegistrationInfo alone that concern the subscription (clause 5.11.7); all when
    it matches no longer."""
    information = [item for place, item in enumerate(document["information"]) if place in kept]
    return {**document, "information": information or document["information"]}
