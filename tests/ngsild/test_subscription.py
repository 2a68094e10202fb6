"""Subscription documents: what is taken, what is refused and how they come out. Expected values: tables 5.2.12 to 5.2.15 and 5.2.22 of
ETSI GS CIM 009, and the official suite's CreateSubscription and UpdateSubscription."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.model.time import SECOND, parse_instant
from madang.ngsild.context import CORE, compile_context
from madang.ngsild.errors import NgsiLdError
from madang.ngsild.subscription import (
    Sent,
    merge_subscription,
    parse_subscription,
    read_subscription,
)
from madang.ngsild.subscription_view import render_subscription

NOW = parse_instant("2026-11-23T02:00:00Z")
SMALL: dict[str, Any] = {
    "type": "Subscription",
    "entities": [{"type": "Building"}],
    "notification": {"endpoint": {"uri": "http://receiver.example/notify"}},
}
CITY = compile_context([{"b": "https://b.example/", "Building": "b:Building", "name": "b:name"}])


def stored(**more: Any) -> dict[str, Any]:
    return parse_subscription({**SMALL, **more}, CORE, NOW, "urn:s:new")


def with_notification(**more: Any) -> dict[str, Any]:
    return {"notification": {**SMALL["notification"], **more}}


def with_endpoint(**more: Any) -> dict[str, Any]:
    return with_notification(endpoint={**SMALL["notification"]["endpoint"], **more})


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({"type": "Registration"}, "type"),
        ({"id": "not a uri"}, "id"),
        ({"entities": []}, "entities"),
        ({"entities": [{"id": "urn:x"}]}, "entities[0].type"),
        ({"entities": [{"type": "A;;B"}]}, "type"),
        ({"entities": [{"type": "A", "idPattern": "("}]}, "idPattern"),
        ({"watchedAttributes": []}, "watchedAttributes"),
        ({"notificationTrigger": ["entityChanged"]}, "notificationTrigger"),
        ({"timeInterval": 5, "throttling": 5}, "throttling"),
        ({"timeInterval": 5, "watchedAttributes": ["a"]}, "watchedAttributes"),
        ({"timeInterval": -1}, "timeInterval"),
        ({"throttling": "5"}, "throttling"),
        ({"q": "a=="}, "q"),
        ({"csf": "(("}, "q"),
        ({"scopeQ": "a//"}, "scopeQ"),
        ({"geoQ": {"georel": "near"}}, "geometry"),
        ({"expiresAt": "2000-01-01T00:00:00Z"}, "expiresAt"),
        ({"expiresAt": "soon"}, "expiresAt"),
        ({"datasetId": ["x y"]}, "datasetId"),
        ({"isActive": "yes"}, "isActive"),
        ({"jsonldContext": "nowhere"}, "jsonldContext"),
        ({"notification": {}}, "notification.endpoint"),
        (with_notification(format="xml"), "notification.format"),
        (with_notification(format="keyValues", showChanges=True), "notification.format"),
        (with_notification(format="simplified", showChanges=True), "notification.format"),
        (with_notification(attributes=[]), "notification.attributes"),
        (with_notification(pick=[]), "notification.pick"),
        (with_notification(omit=[]), "notification.omit"),
        (with_notification(pick=["a"], attributes=["a"]), "notification.attributes"),
        (with_notification(omit=["a"], attributes=["a"]), "notification.attributes"),
        (with_notification(pick=["a"], omit=["a"]), "notification.omit"),
        (with_notification(joinLevel=2), "notification.joinLevel"),
        (with_endpoint(uri="ftp://a.example/x"), "notification.endpoint.uri"),
        (with_endpoint(uri="http://me:secret@a.example/"), "notification.endpoint.uri"),
        (with_endpoint(uri="mqtt://a.example"), "notification.endpoint.uri"),
        (with_endpoint(uri="mqtt://a.example/a/#"), "notification.endpoint.uri"),
        (with_endpoint(uri="http://a.example:99999/"), "notification.endpoint.uri"),
        (with_endpoint(accept="text/html"), "notification.endpoint.accept"),
        (with_endpoint(timeout=0), "notification.endpoint.timeout"),
        (with_endpoint(receiverInfo=[{"key": "K", "value": 42}]), "notification.endpoint.receiverInfo[0]"),
        (with_endpoint(receiverInfo=[{"key": "K"}]), "notification.endpoint.receiverInfo[0]"),
        (with_endpoint(receiverInfo=[{"key": "K", "value": "a\r\nb"}]), "notification.endpoint.receiverInfo[0]"),
        (with_endpoint(receiverInfo=[{"key": "Content-Length", "value": "1"}]), "notification.endpoint.receiverInfo"),
        (
            with_endpoint(uri="mqtt://a.example/t", notifierInfo=[{"key": "MQTT-QoS", "value": "3"}]),
            "notification.endpoint.notifierInfo",
        ),
    ],
)  # fmt: skip
def test_what_is_refused_names_its_place(more: dict[str, Any], where: str) -> None:
    with pytest.raises(NgsiLdError) as error:
        stored(**more)
    assert where in f"{error.value.where} {error.value}" and error.value.kind in ("BadRequestData", "TooComplexQuery")


def test_neither_entities_nor_watched_attributes() -> None:
    with pytest.raises(NgsiLdError, match="watchedAttributes"):
        parse_subscription({k: v for k, v in SMALL.items() if k != "entities"}, CORE, NOW, "urn:s:new")


def test_names_are_stored_expanded_and_shown_as_the_reader_has_them() -> None:
    document = {
        **SMALL,
        "entities": [{"type": "(Building|Tower);Old", "idPattern": "^urn:b"}],
        "watchedAttributes": ["name", "height"],
        "notification": {**SMALL["notification"], "pick": ["id", "name{height}"]},
    }
    kept = parse_subscription(document, CITY, NOW, "urn:s:1")
    assert kept["entities"][0]["type"] == "(https://b.example/Building|Tower);Old"
    assert kept["watchedAttributes"] == ["https://b.example/name", "height"]
    assert kept["notification"]["pick"] == ["id", "https://b.example/name{height}"]
    subscription = read_subscription(kept, CITY, CITY)
    assert subscription.selects("urn:b:1", ("https://b.example/Building", "Old"))
    assert not subscription.selects("urn:b:1", ("Tower",)) and not subscription.selects("urn:c:1", ("Tower", "Old"))
    shown = render_subscription(subscription, Sent(), CITY, NOW)
    for name in ("entities", "watchedAttributes"):
        assert shown[name] == document[name]
    assert shown["notification"] == document["notification"]


def test_read_only_and_unknown_members_are_not_kept() -> None:
    more = {
        "status": "expired",
        "__context": "http://hijacked.example/",
        **with_notification(timesSent=42, status="failed"),
    }
    shown = render_subscription(read_subscription(stored(**more), CORE, CORE), Sent(), CORE, NOW)
    assert shown == {
        **SMALL, "id": "urn:s:new", "status": "active", "notificationTrigger": ["attributeCreated", "attributeUpdated"],
    }  # fmt: skip


def test_a_fragment_replaces_whole_members_and_null_takes_away() -> None:
    kept = stored(throttling=5, description="x", **with_notification(format="keyValues"))
    changed = merge_subscription(
        kept, {"type": "Subscription", "throttling": None, "description": "y", **with_endpoint(timeout=100)}, CORE, NOW
    )
    assert "throttling" not in changed and changed["description"] == "y" and "format" not in changed["notification"]
    for wrong in (
        {"notification": {"format": "keyValues"}}, {"notification": None}, {"id": "urn:other"}, {"entities": None},
        {"notification": {"endpoint": None}}, {"expiresAt": "2020-08-01T22:07:00Z"},
    ):  # fmt: skip
        with pytest.raises(NgsiLdError):
            merge_subscription(kept, wrong, CORE, NOW)


@pytest.mark.parametrize(
    ("more", "at", "status"),
    [
        ({}, 0, "active"),
        ({"isActive": False}, 0, "paused"),
        ({"expiresAt": "2026-11-23T02:00:10Z"}, 9, "active"),
        ({"expiresAt": "2026-11-23T02:00:10Z"}, 10, "expired"),
        ({"expiresAt": "2026-11-23T02:00:10Z", "isActive": False}, 10, "expired"),
    ],
)
def test_status(more: dict[str, Any], at: int, status: str) -> None:
    assert read_subscription(stored(**more), CORE, CORE).status_at(NOW + at * SECOND) == status


def test_what_was_sent_is_shown_and_secrets_are_not() -> None:
    subscription = read_subscription(
        stored(**with_endpoint(receiverInfo=[{"key": "Authorization", "value": "Bearer x"}])), CORE, CORE
    )
    sent = Sent(times_sent=3, times_failed=1, last_notification=NOW, last_success=NOW, last_failure=NOW - SECOND)
    shown = render_subscription(subscription, sent, CORE, NOW, hidden=("receiverInfo",))["notification"]
    assert shown == {
        "endpoint": {"uri": "http://receiver.example/notify"}, "status": "ok", "timesSent": 3, "timesFailed": 1,
        "lastNotification": "2026-11-23T02:00:00Z", "lastSuccess": "2026-11-23T02:00:00Z",
        "lastFailure": "2026-11-23T01:59:59Z",
    }  # fmt: skip


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from([*SMALL, "id", "q", "geoQ", "scopeQ", "watchedAttributes", "throttling", "lang", "datasetId"]),
        JSON,
    )
)
def test_any_document_is_taken_or_refused(document: dict[str, Any]) -> None:
    """Parsing gives a stored form that can be read, or raises NgsiLdError; never anything else."""
    try:
        kept = parse_subscription({**SMALL, **document}, CORE, NOW, "urn:s:new")
    except NgsiLdError:
        return
    read_subscription(kept, CORE, CORE)
