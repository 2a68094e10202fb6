"""Subscriptions at other brokers (clauses 5.8.1.4, 5.8.5.4, 5.8.6). What is sent and told is what the official suite's 5814_01 expects."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from madang.api.app import create_app
from madang.api.state import ApiSettings
from madang.hub.http import HttpAnswer, HttpFailed
from madang.hub.remote_subscriptions import PATH, RemoteSubscriptions
from madang.model.time import SECOND
from tests.hub.notify_bench import Bench, uri_of

SUBSCRIPTIONS, SOURCES, REGISTERED = (
    f"/ngsi-ld/v1/{n}" for n in ("subscriptions", "csourceRegistrations", "csourceSubscriptions")
)
ID = "urn:s:all"
CAR = "urn:ngsi-ld:Vehicle:1"


class Broker:
    """Another broker."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.status = 201

    async def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", *, timeout_s: float, bytes_max: int,
        redirects_max: int = 0,
    ) -> HttpAnswer:  # fmt: skip
        self.asked.append((method, url, json.loads(body) if body else None))
        if self.status == 0:
            raise HttpFailed("nobody is there")
        return HttpAnswer(self.status, {}, b"")


class Two:
    """A server and the other broker."""

    def __init__(self, folder: Path) -> None:
        self.broker = Broker()
        self.bench = Bench(folder)
        self.bench.hub.federation._http = self.broker
        app = create_app(self.bench.hub, ApiSettings(anonymous_role="admin"), deliveries=self.bench.deliveries)
        self.client = TestClient(app, raise_server_exceptions=False)

    @property
    def remote(self) -> RemoteSubscriptions:
        return self.bench.deliveries.remote

    def ask(self, method: str, path: str, body: Any = None, *, status: int) -> Any:
        answer = self.client.request(method, path, json=body)
        assert answer.status_code == status, answer.text
        self.settle()
        return answer.json() if answer.content else None

    def settle(self) -> None:
        assert self.client.portal is not None
        self.client.portal.call(self.remote.settle)

    def register(self, **more: Any) -> None:
        information = more.pop("information", [{"entities": [{"type": "Vehicle"}]}])
        document = {"id": "urn:r:1", "type": "ContextSourceRegistration", "information": information,
                    "endpoint": "http://other.example", **more}  # fmt: skip
        self.ask("POST", SOURCES, document, status=201)

    def subscribe(self, *, status: int = 201, **more: Any) -> None:
        document = {"id": ID, "type": "Subscription", "entities": [{"type": "Vehicle"}], **more,
                    "notification": {"endpoint": {"uri": uri_of("all")}}}  # fmt: skip
        self.ask("POST", SUBSCRIPTIONS, document, status=status)

    def copies(self) -> list[tuple[str, str, Any]]:
        """What the other broker was asked since the last look."""
        asked, self.broker.asked = self.broker.asked, []
        return asked

    def tell(self, copy: str, *entities: dict[str, Any], status: int = 200) -> None:
        body = {"id": "urn:n:1", "type": "Notification", "subscriptionId": copy, "data": list(entities)}
        assert self.client.post(PATH, json=body).status_code == status

    def told(self) -> list[dict[str, Any]]:
        """Entities that the subscriber was told of, since the last look."""
        assert self.client.portal is not None
        self.client.portal.call(self.bench.deliver)
        notifications = self.bench.receivers.got[uri_of("all")]
        found = [entity for notification in notifications for entity in notification["data"]]
        assert all(notification["subscriptionId"] == ID for notification in notifications)
        notifications.clear()
        return found


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    two = Two(tmp_path)
    with two.client:
        assert two.client.portal is not None
        two.client.portal.call(two.bench.deliveries.start)
        yield two
        two.client.portal.call(two.bench.deliveries.stop)
    two.bench.close()


def car(**values: Any) -> dict[str, Any]:
    return {
        "id": CAR,
        "type": "Vehicle",
        **{name: {"type": "Property", "value": value} for name, value in values.items()},
    }


def test_a_copy_is_made_and_ended(two: Two) -> None:
    two.register()
    two.subscribe(q="speed>50", watchedAttributes=["speed"])
    ((method, url, copy),) = two.copies()
    assert (method, url) == ("POST", "http://other.example/ngsi-ld/v1/subscriptions")
    assert copy.pop("id").startswith("urn:ngsi-ld:Subscription:")
    assert copy == {
        "type": "Subscription",
        "entities": [{"type": "Vehicle"}],
        "watchedAttributes": ["speed"],
        "q": "speed>50",
        "notification": {"endpoint": {"uri": "http://127.0.0.1" + PATH, "accept": "application/json"}},
    }
    (behind,) = two.ask("GET", REGISTERED, status=200)
    assert behind["entities"] == [{"type": "Vehicle"}] and behind["notification"]["endpoint"]["uri"].endswith(PATH)
    assert two.ask("GET", f"{REGISTERED}/{behind['id']}", status=200) == behind
    two.ask("DELETE", f"{SUBSCRIPTIONS}/{ID}", status=204)
    ((method, url, _),) = two.copies()
    assert method == "DELETE" and url.startswith(
        "http://other.example/ngsi-ld/v1/subscriptions/urn:ngsi-ld:Subscription:"
    )
    assert two.ask("GET", REGISTERED, status=200) == []


@pytest.mark.parametrize(
    ("registration", "subscription"),
    [
        ({}, {"localOnly": True}),
        ({"operations": ["retrieveOps"]}, {}),
        ({"area": "south"}, {"csf": 'area=="north"'}),
        ({"mode": "auxiliary", "operations": ["retrieveOps"]}, {}),
        ({"information": [{"entities": [{"type": "Building"}]}]}, {}),
        (
            {"information": [{"entities": [{"type": "Vehicle"}], "propertyNames": ["name"]}]},
            {"watchedAttributes": ["speed"]},
        ),
    ],
)
def test_no_copy_where_none_belongs(two: Two, registration: dict[str, Any], subscription: dict[str, Any]) -> None:
    two.register(**registration)
    two.subscribe(**subscription)
    assert two.copies() == [] and two.ask("GET", REGISTERED, status=200) == []


def test_a_context_source_filter_chooses(two: Two) -> None:
    two.register(area="north")
    two.subscribe(csf='area=="north"')
    assert len(two.copies()) == 1


def test_a_copy_holds_what_both_are_about(two: Two) -> None:
    entities = [{"type": "Vehicle", "idPattern": "urn:ngsi-ld:Vehicle:.*"}, {"type": "Bus", "id": "urn:ngsi-ld:Bus:1"}]
    two.register(information=[{"entities": entities, "propertyNames": ["speed"]}])
    two.subscribe(
        watchedAttributes=["speed", "name"], entities=[{"type": "Vehicle"}, {"type": "Bus"}, {"type": "Tram"}]
    )
    ((_, _, copy),) = two.copies()
    assert copy["entities"] == entities and copy["watchedAttributes"] == ["speed"]
    assert copy["notification"]["attributes"] == ["speed"]


def test_what_comes_later_gets_a_copy_and_what_goes_loses_it(two: Two) -> None:
    two.subscribe()
    assert two.copies() == []
    two.register()
    ((method, _, first),) = two.copies()
    assert method == "POST"
    two.bench.clock.set(two.bench.clock.now() + SECOND)
    two.ask("PATCH", f"{SUBSCRIPTIONS}/{ID}", {"q": "speed>1"}, status=204)
    made, ended = two.copies()
    assert made[0] == "POST" and made[2]["q"] == "speed>1"
    assert ended[:2] == ("DELETE", f"http://other.example/ngsi-ld/v1/subscriptions/{first['id']}")
    two.ask("DELETE", f"{SOURCES}/urn:r:1", status=204)
    ((method, url, _),) = two.copies()
    assert method == "DELETE" and url.endswith(made[2]["id"])
    two.tell(made[2]["id"], car(speed=99), status=404)


def test_what_failed_is_tried_again_also_by_the_next_server(two: Two) -> None:
    two.register()
    two.broker.status = 0
    two.subscribe()
    ((_, _, first),) = two.copies()
    assert two.client.portal is not None
    two.client.portal.call(two.remote.sync_all)
    assert two.copies() == []  # One that does not answer is left alone for a while, whatever waits for it.
    again = RemoteSubscriptions(two.bench.hub)
    two.broker.status = 201
    again._base_url = lambda: "http://127.0.0.1"
    two.client.portal.call(again.sync_all)
    ((_, _, second),) = two.copies()
    assert second["id"] == first["id"]
    two.client.portal.call(again.sync_all)
    assert two.copies() == []


def test_what_another_broker_tells_reaches_the_subscriber(two: Two) -> None:
    two.register(information=[{"entities": [{"type": "Vehicle"}], "propertyNames": ["speed"]}])
    two.subscribe(q="speed>50")
    ((_, _, copy),) = two.copies()
    two.tell(copy["id"], car(speed=99, name="not registered"), {**car(speed=99), "id": "urn:b:1", "type": "Building"})
    assert two.told() == [car(speed=99)]
    two.tell(copy["id"], car(speed=10))
    assert two.told() == []
    two.bench.assert_accounted()
    for id_ in (ID, "urn:ngsi-ld:Subscription:guessed", 5):
        two.tell(id_, car(speed=99), status=404)  # type: ignore[arg-type]
    for body in ({}, [], {"type": "Notification", "subscriptionId": copy["id"]}, {"type": "Notification", "data": 5}):
        assert two.client.post(PATH, json=body).status_code == 400
    wrong = {"type": "Notification", "subscriptionId": copy["id"], "data": [{"id": "no-uri", "type": "Vehicle"}]}
    assert two.client.post(PATH, json=wrong).status_code == 400


def test_split_entities_are_merged_and_judged_here(two: Two) -> None:
    two.register()
    two.subscribe(q='speed>50;brandName=="Tesla"', splitEntities=True)
    ((_, _, copy),) = two.copies()
    assert "q" not in copy and copy["splitEntities"] is True
    two.ask("POST", "/ngsi-ld/v1/entities", car(brandName="Tesla"), status=201)
    two.tell(copy["id"], car(speed=99))
    assert two.told() == [car(brandName="Tesla", speed=99)]
    two.tell(copy["id"], car(speed=10))
    assert two.told() == []
