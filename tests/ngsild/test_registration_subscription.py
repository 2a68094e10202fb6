"""Subscriptions to registrations: what is taken, what is refused, what they ask for (clauses 5.2.12, 5.11). Refusals are those of
the conformance suite's RegistrationSubscription group."""

from typing import Any

import pytest

from madang.model.time import parse_instant
from madang.ngsild.context import CORE, compile_context
from madang.ngsild.errors import NgsiLdError
from madang.ngsild.registration import meets, read_registration
from madang.ngsild.registration_subscription import (
    Sent,
    merge_subscription,
    parse_subscription,
    render_subscription,
    searches_of,
    status_of,
)

NOW = parse_instant("2026-11-25T00:00:00Z")
CONTEXT = compile_context(
    [{"Building": "https://a.example/Building", "name": "https://a.example/name"}], "https://a.example/c"
)
DOCUMENT: dict[str, Any] = {
    "id": "urn:ngsi-ld:Subscription:1",
    "type": "Subscription",
    "entities": [{"type": "Building"}],
    "watchedAttributes": ["name"],
    "notification": {
        "format": "keyValues",
        "endpoint": {"uri": "http://a.example/notify", "accept": "application/json"},
    },
}


def test_names_go_in_and_come_out() -> None:
    stored = parse_subscription({**DOCUMENT, "status": "odd"}, CONTEXT, NOW, "urn:new")
    assert (
        stored["entities"] == [{"type": "https://a.example/Building"}] and stored["@context"] == "https://a.example/c"
    )
    assert render_subscription(stored, Sent(), CONTEXT, NOW) == {**DOCUMENT, "status": "active"}
    assert render_subscription(stored, Sent(), CORE, NOW)["watchedAttributes"] == ["https://a.example/name"]


@pytest.mark.parametrize(
    "members",
    [
        {"type": "RandomType"},
        {"id": "no uri"},
        {"notification": None},
        {"notification": {"format": "keyValues"}},
        {"notification": {"endpoint": {"uri": "nowhere"}}},
        {"notification": {"format": "odd", "endpoint": {"uri": "http://a.example"}}},
        {"notification": {"endpoint": {"uri": "http://a.example", "receiverInfo": [{"key": "a"}]}}},
        {"watchedAttributes": []},
        {"entities": [{}]},
        {"entities": None, "watchedAttributes": None},
        {"q": "speed>"},
        {"isActive": "yes"},
        {"expiresAt": "2018-08-01T22:07:00Z"},
        {"timeInterval": 0},
        {"timeInterval": 10},
        {"temporalQ": {"timerel": "after"}},
        {"geoQ": {"georel": "within"}},
        {"odd": 1},
    ],
)
def test_what_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(NgsiLdError) as caught:
        parse_subscription({**DOCUMENT, **members}, CORE, NOW, "urn:new")
    assert caught.value.kind == "BadRequestData"


def test_a_change_replaces_and_takes_away() -> None:
    stored = parse_subscription({**DOCUMENT, "isActive": False}, CORE, NOW, "urn:new")
    assert status_of(stored, NOW) == "paused"
    changed = merge_subscription(stored, {"isActive": None, "watchedAttributes": None, "timeInterval": 5}, CORE)
    assert status_of(changed, NOW) == "active" and changed["timeInterval"] == 5
    past = merge_subscription(stored, {"expiresAt": "2020-08-01T22:07:00Z"}, CORE)
    assert status_of(past, NOW) == "expired"
    for fragment in ({"type": None}, {"notification": {"format": "keyValues"}}, {"id": "urn:other"}, []):
        with pytest.raises(NgsiLdError):
            merge_subscription(stored, fragment, CORE)


def source(**members: Any) -> Any:
    information = [{"entities": [{"type": "Building"}], "propertyNames": ["name"]}]
    return read_registration({"id": "urn:r:1", "endpoint": "http://a.example", "information": information, **members})


@pytest.mark.parametrize(
    ("members", "registration", "matches"),
    [
        ({}, source(), True),
        ({"entities": [{"type": "Bus"}]}, source(), False),
        ({"entities": [{"type": "Bus"}, {"type": "Building", "id": "urn:x:1"}]}, source(), True),
        ({"watchedAttributes": ["weight"]}, source(), False),
        ({"csf": 'endpoint=="http://a.example"'}, source(), True),
        ({"csf": 'endpoint=="http://b.example"'}, source(), False),
        ({"scopeQ": "/a/#"}, source(scope="/a/b"), True),
        ({"geoQ": {"georel": "near;maxDistance==2000", "geometry": "Point", "coordinates": [-8.52, 41.2]}},
         source(location={"type": "Point", "coordinates": [-8.521, 41.2]}), True),
        ({}, source(observationInterval={"startAt": "2020-01-01T00:00:00Z"}), False),
        ({"temporalQ": {"timerel": "after", "timeAt": "2020-06-01T22:07:00Z"}},
         source(observationInterval={"startAt": "2020-01-01T00:00:00Z"}), True),
        ({"q": "name==1"}, source(), True),
    ],
)  # fmt: skip
def test_what_it_asks_for(members: dict[str, Any], registration: Any, matches: bool) -> None:
    stored = parse_subscription({**DOCUMENT, **members}, CORE, NOW, "urn:new")
    assert any(meets(registration, search) for search in searches_of(stored, CORE)) is matches
