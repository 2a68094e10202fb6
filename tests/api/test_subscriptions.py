"""Subscriptions over the API: their life, who sees them, what the errors are (clauses 5.8.1 to 5.8.5)."""

import re
from typing import Any

from starlette.testclient import TestClient

from tests.api.tiny_city import TinyCity

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
