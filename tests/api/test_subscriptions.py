"""Subscriptions over the API: their life, who sees them, what the errors are (clauses 5.8.1 to 5.8.5)."""

import re
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from starlette.testclient import TestClient

from madang.api.app import create_app
from madang.api.state import ApiSettings
from madang.model.time import render_instant
from tests.api.tiny_city import TinyCity
from tests.hub.notify_bench import Bench

PATH = "/ngsi-ld/v1/subscriptions"
BODY: dict[str, Any] = {
    "id": "urn:ngsi-ld:Subscription:1",
    "type": "Subscription",
    "entities": [{"type": "Vehicle"}],
    "notification": {
        "endpoint": {
            "uri": "https://receiver.example/notify",
            "receiverInfo": [{"key": "Authorization", "value": "Bearer secret"}],
        }
    },
}
ONE = f"{PATH}/{BODY['id']}"


def test_the_life_of_a_subscription(own_city: TinyCity, own_client: TestClient) -> None:
    auth = own_city.auth("officer")
    made = own_client.post(PATH, json=BODY, headers=auth)
    assert (made.status_code, made.headers["location"], made.content) == (201, ONE, b"")
    again = own_client.post(PATH, json=BODY, headers=auth)
    assert again.status_code == 409 and again.json()["type"].endswith("/AlreadyExists")
    shown = own_client.get(ONE, headers=auth)
    assert shown.status_code == 200 and "json-ld#context" in shown.headers["link"]
    assert shown.json() == {**BODY, "status": "active", "notificationTrigger": ["attributeCreated", "attributeUpdated"]}
    assert own_client.patch(ONE, json={"isActive": False}, headers=auth).status_code == 204
    assert own_client.get(ONE, headers=auth).json()["status"] == "paused"
    assert own_client.patch(ONE, json={"throttling": -1}, headers=auth).status_code == 400
    assert own_client.delete(ONE, headers=auth).status_code == 204
    for method in ("GET", "DELETE"):
        gone = own_client.request(method, ONE, headers=auth)
        assert gone.status_code == 404 and gone.json()["type"].endswith("/ResourceNotFound")
    assert own_client.get(f"{PATH}/no-uri", headers=auth).status_code == 400
    assert own_client.delete(f"{PATH}/", headers=auth).status_code == 405


def test_one_without_an_id_gets_one(own_city: TinyCity, own_client: TestClient) -> None:
    body = {name: value for name, value in BODY.items() if name != "id"}
    made = own_client.post(PATH, json=body, headers=own_city.auth("officer"))
    assert re.fullmatch(PATH + r"/urn:ngsi-ld:Subscription:[0-9a-f]{32}", made.headers["location"])


def test_pages(own_city: TinyCity, own_client: TestClient) -> None:
    auth = own_city.auth("officer")
    for number in range(3):
        own_client.post(PATH, json={**BODY, "id": f"urn:s:{number}"}, headers=auth)
    page = own_client.get(f"{PATH}?count=true&limit=1&offset=1", headers={**auth, "Accept": "application/ld+json"})
    assert [document["id"] for document in page.json()] == ["urn:s:1"] and "@context" in page.json()[0]
    assert page.headers["ngsild-results-count"] == "3"
    assert f'<{PATH}?count=true&limit=1&offset=2>; rel="next"; type="application/ld+json"' in page.headers["link"]
    assert f'<{PATH}?count=true&limit=1&offset=0>; rel="prev"; type="application/ld+json"' in page.headers["link"]


def test_who_sees_and_changes_what(own_city: TinyCity, own_client: TestClient) -> None:
    """One's own; city staff see all but the secrets; who manages sources changes all."""
    own_client.post(PATH, json=BODY, headers=own_city.auth("carrier"))
    for role, status, secret in (
        ("carrier", 200, True),
        ("operator", 200, False),
        ("admin", 200, True),
        ("farm", 404, False),
    ):
        shown = own_client.get(ONE, headers=own_city.auth(role))
        assert shown.status_code == status and ("Bearer secret" in shown.text) is secret
        assert len(own_client.get(PATH, headers=own_city.auth(role)).json()) == (1 if status == 200 else 0)
    for role, status in (("operator", 404), ("farm", 404), ("admin", 204)):
        assert own_client.patch(ONE, json={"description": role}, headers=own_city.auth(role)).status_code == status
    assert own_client.post(PATH, json=BODY).status_code == 401
    source = {"Authorization": f"Bearer {own_city.secret}"}
    assert own_client.post(PATH, json=BODY, headers=source).status_code in (401, 403)


def test_a_preferred_version_is_answered(own_city: TinyCity, own_client: TestClient) -> None:
    auth = own_city.auth("officer")
    own_client.post(PATH, json=BODY, headers=auth)
    assert own_client.get(ONE, headers={**auth, "Prefer": "NGSI-LD=1.0"}).headers["preference-applied"] == "ngsi-ld=1.0"
    assert "preference-applied" not in own_client.get(ONE, headers={**auth, "Prefer": "respond-async"}).headers


def test_the_console_sees_how_they_are_doing_and_sends_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    app = create_app(bench.hub, ApiSettings(anonymous_role="admin"), deliveries=bench.deliveries)
    with TestClient(app) as client:
        body = {**BODY, "entities": [{"type": "Room"}], "subscriptionName": "Rooms"}
        assert client.post(PATH, json=body).status_code == 201
        changes = [bench.value(number) for number in range(3)]
        bench.matcher.settle()
        (row, *_) = bench.store.write(lambda tx: tx.list_notifications(body["id"], "due", 9)).result(5)
        bench.store.write(lambda tx: tx.put_notification(replace(row, state="dead", error="answered 422"))).result(5)
        (info,) = client.get("/api/subscriptions").json()
        shown = {
            name: info[name]
            for name in ("name", "receiver", "status", "is_own", "due", "delivered", "waiting", "failed")
        }
        assert shown == {
            "name": "Rooms", "receiver": "https://receiver.example", "status": "active", "is_own": True, "due": 3,
            "delivered": 0, "waiting": 2, "failed": 1,
        }  # fmt: skip
        one = f"/api/subscriptions/{body['id']}"
        (failed,) = client.get(f"{one}/failed").json()
        assert (failed["no"], failed["events"], failed["error"], failed["is_kept"]) == (row.no, 1, "answered 422", True)
        assert client.post(f"{one}/failed/send", json={"numbers": [row.no, 77]}).json() == {"events": 1}
        assert client.get(f"{one}/failed").json() == []
        bench.store.write(lambda tx: tx.put_notification(replace(row, no=0, state="dead"))).result(5)
        (failed,) = client.get(f"{one}/failed").json()
        assert client.post(f"{one}/failed/discard", json={"numbers": [failed["no"]]}).json() == {"events": 1}
        again = client.post(f"{one}/replay", json={"from_seq": changes[1].seq, "to_seq": changes[1].seq}).json()
        assert again == {"events": 1, "to_seq": changes[1].seq, "is_complete": True}
        at = render_instant(changes[2].recorded_at)
        assert client.post(f"{one}/replay", json={"from_at": at}).json()["events"] == 1
        for wrong in (
            {},
            {"from_seq": 1, "from_at": at},
            {"from_seq": 0},
            {"from_seq": 5, "to_seq": 4},
            {"from_at": "soon"},
        ):
            assert client.post(f"{one}/replay", json=wrong).status_code == 400
        assert client.post("/api/subscriptions/urn:other/replay", json={"from_seq": 1}).status_code == 404
        # The log was cut: what is older than it cannot be told again, and the answer says from where on it can.
        bench.store.write(lambda tx: tx.trim_log(changes[1].seq, 1_000)).result(5)
        for too_old in ({"from_seq": changes[0].seq}, {"from_at": "2020-01-01T00:00:00Z"}):
            answer = client.post(f"{one}/replay", json=too_old)
            assert answer.status_code == 410
            assert f"from_seq {changes[1].seq}" in answer.json()["detail"]
        assert client.post(f"{one}/replay", json={"from_seq": changes[1].seq}).json()["events"] == 2
    bench.close()


def test_where_nothing_is_sent_it_is_said(own_city: TinyCity, own_client: TestClient) -> None:
    auth = own_city.auth("officer")
    own_client.post(PATH, json=BODY, headers=auth)
    assert (
        own_client.post(f"/api/subscriptions/{BODY['id']}/replay", json={"from_seq": 1}, headers=auth).status_code
        == 503
    )
    assert own_client.get("/api/subscriptions", headers=own_city.auth("farm")).json() == []
