"""/ngsi-ld/v1/csourceSubscriptions over HTTP, and what subscribers are told (clauses 5.11.2 to 5.11.7). Expected notifications are
those of the conformance suite's RegistrationSubscription group."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from madang.hub.http import HttpAnswer, HttpFailed
from madang.model.time import SECOND
from tests.api.tiny_city import TinyCity, build_city, close_city

SUBSCRIPTIONS, SOURCES = "/ngsi-ld/v1/csourceSubscriptions", "/ngsi-ld/v1/csourceRegistrations"
ID = "urn:ngsi-ld:Subscription:1"


class Receiver:
    """Hears notifications."""

    def __init__(self) -> None:
        self.heard: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.status = 200

    async def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", *, timeout_s: float, bytes_max: int,
        redirects_max: int = 0,
    ) -> HttpAnswer:  # fmt: skip
        assert (method, url) == ("POST", "http://receiver.example/notify")
        self.heard.append((dict(headers), json.loads(body)))
        await asyncio.sleep(0)
        if self.status == 0:
            raise HttpFailed("receiver.example cannot be asked: nobody is there")
        return HttpAnswer(self.status, {}, b"")


class Told:
    """A city, a subscriber, and what it was told."""

    def __init__(self, city: TinyCity, client: TestClient, receiver: Receiver) -> None:
        self.city, self.client, self.receiver = city, client, receiver

    def ask(self, method: str, path: str, body: Any = None, *, status: int, role: str = "admin") -> Any:
        sent = {} if body is None else {"json": body}
        answer = self.client.request(method, path, headers=self.city.auth(role), **sent)  # type: ignore[arg-type]
        assert answer.status_code == status, answer.text
        assert self.client.portal is not None
        self.client.portal.call(self.city.hub.registration_subscriptions.settle)
        return answer.json() if answer.content else answer

    def told(self) -> list[tuple[str, list[str]]]:
        """(reason, names of the registrations) of each notification since the last look."""
        found = [(body["triggerReason"], [r["id"][-1] for r in body["data"]]) for _, body in self.receiver.heard]
        self.receiver.heard.clear()
        return found

    def subscribe(self, **members: Any) -> None:
        document = {"id": ID, "type": "Subscription", "entities": [{"type": "Building"}],
                    "notification": {"endpoint": {"uri": "http://receiver.example/notify"}}, **members}  # fmt: skip
        self.ask("POST", SUBSCRIPTIONS, document, status=201)

    def register(self, name: str, *types: str) -> None:
        information = [{"entities": [{"type": type_}]} for type_ in types or ("Building",)]
        document = {"id": f"urn:r:{name}", "type": "ContextSourceRegistration", "information": information,
                    "endpoint": "http://source.example", "contextSourceInfo": [{"key": "X", "value": "secret"}]}  # fmt: skip
        self.ask("POST", SOURCES, document, status=201)


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    receiver = Receiver()
    city = build_city(tmp_path, http=receiver)
    with TestClient(city.app, raise_server_exceptions=False) as client:
        yield Told(city, client, receiver)
    close_city(city)


def test_a_life(told: Told) -> None:
    told.subscribe()
    got = told.ask("GET", f"{SUBSCRIPTIONS}/{ID}", status=200)
    assert got["status"] == "active" and got["notification"] == {"endpoint": {"uri": "http://receiver.example/notify"}}
    assert [s["id"] for s in told.ask("GET", SUBSCRIPTIONS, status=200)] == [ID]
    told.ask("PATCH", f"{SUBSCRIPTIONS}/{ID}", {"isActive": False}, status=204)
    assert told.ask("GET", f"{SUBSCRIPTIONS}/{ID}", status=200)["status"] == "paused"
    told.ask("DELETE", f"{SUBSCRIPTIONS}/{ID}", status=204)
    for method in ("GET", "DELETE"):
        told.ask(method, f"{SUBSCRIPTIONS}/{ID}", status=404)
    told.ask("GET", f"{SUBSCRIPTIONS}/no-uri", status=400)
    told.ask("POST", SUBSCRIPTIONS, {}, status=403, role="viewer")


def test_what_changes_is_told(told: Told) -> None:
    """047_02, 047_09, 047_16."""
    told.register("a")
    told.subscribe()
    assert told.told() == [("newlyMatching", ["a"])]
    told.register("b", "Bus")
    assert told.told() == []
    told.ask("PATCH", f"{SOURCES}/urn:r:a", {"endpoint": "http://new.example"}, status=204)
    assert told.told() == [("updated", ["a"])]
    told.ask("PATCH", f"{SOURCES}/urn:r:a", {"information": [{"entities": [{"type": "NewType"}]}]}, status=204)
    assert told.told() == [("noLongerMatching", ["a"])]
    told.ask("PATCH", f"{SUBSCRIPTIONS}/{ID}", {"entities": [{"type": "Bus"}, {"type": "NewType"}]}, status=204)
    assert told.told() == [("newlyMatching", ["a", "b"])]
    told.ask("DELETE", f"{SOURCES}/urn:r:b", status=204)
    assert told.told() == [("noLongerMatching", ["b"])]
    told.ask("PATCH", f"{SUBSCRIPTIONS}/{ID}", {"isActive": False}, status=204)
    told.ask("DELETE", f"{SOURCES}/urn:r:a", status=204)
    assert told.told() == []


def test_a_notification(told: Told) -> None:
    """047_03, 047_04: only what concerns the subscription, and never the source's header values."""
    receiver_info = [{"key": "Authorization", "value": "Bearer x"}]
    endpoint = {"uri": "http://receiver.example/notify", "receiverInfo": receiver_info}
    told.subscribe(notification={"endpoint": endpoint})
    told.register("a", "Building", "Bus")
    headers, body = told.receiver.heard[0]
    assert headers == {"Authorization": "Bearer x", "Content-Type": "application/json"}
    assert set(body) == {"id", "type", "subscriptionId", "notifiedAt", "triggerReason", "data"}
    assert (body["type"], body["subscriptionId"]) == ("ContextSourceNotification", ID)
    assert body["data"][0]["information"] == [{"entities": [{"type": "Building"}]}]
    assert "contextSourceInfo" not in body["data"][0]
    shown = told.ask("GET", f"{SUBSCRIPTIONS}/{ID}", status=200, role="viewer")
    assert shown["notification"]["endpoint"] == {"uri": "http://receiver.example/notify"}


@pytest.mark.parametrize("status", [0, 500])
def test_how_it_went_is_kept(told: Told, status: int) -> None:
    """047_05, 047_06."""
    told.subscribe()
    told.register("a")
    went = told.ask("GET", f"{SUBSCRIPTIONS}/{ID}", status=200)["notification"]
    assert (went["status"], went["timesSent"]) == ("ok", 1) and "timesFailed" not in went and went["lastSuccess"]
    told.receiver.status = status
    told.city.clock.set(told.city.clock.now() + SECOND)
    told.register("b")
    went = told.ask("GET", f"{SUBSCRIPTIONS}/{ID}", status=200)["notification"]
    assert (went["status"], went["timesSent"], went["timesFailed"]) == ("failed", 2, 1) and went["lastFailure"]


def test_an_interval(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """047_01: told at once, then each time the interval is over, and not of changes."""
    monkeypatch.setattr("madang.hub.registration_subscriptions.LOOK_S", 0.01)
    told.register("a")
    told.subscribe(timeInterval=10)
    assert told.told() == [("newlyMatching", ["a"])]
    told.register("b")
    assert told.told() == []

    async def look() -> None:
        task = asyncio.create_task(told.city.hub.registration_subscriptions.run())
        await asyncio.sleep(0.1)
        task.cancel()
        await told.city.hub.registration_subscriptions.settle()

    assert told.client.portal is not None
    call: Callable[..., Any] = told.client.portal.call
    call(look)
    assert told.told() == []
    told.city.clock.set(told.city.clock.now() + 11 * SECOND)
    call(look)
    assert told.told() == [("updated", ["a", "b"])]
