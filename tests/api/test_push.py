"""Push over HTTP: stored when answered; one or many; twice is once; what is broken is in quarantine."""

from base64 import b64encode
from concurrent.futures import Future
from typing import Any

import pytest
from starlette.testclient import TestClient

from madang.hub.ports import StoreFull
from tests.api.tiny_city import PUSH, TinyCity

PATH = f"/api/sources/{PUSH}/messages"
TRUCK = "urn:ngsi-ld:Vehicle:p1"


def reading(seq: int, weight: int = 20_000, device: str = "p1") -> dict[str, Any]:
    return {"dev": device, "seq": seq, "t": f"2026-11-23T02:13:{seq:02}Z", "lon": 126.5, "lat": 33.4, "w": weight,
            "ign": True}  # fmt: skip


def basic(city: TinyCity) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{PUSH}:{city.secret}".encode()).decode()}


def weight_of(city: TinyCity) -> Any:
    with city.hub.store.read() as read:
        entity = read.find_entity(TRUCK)
    return None if entity is None else entity.attributes["grossWeight"]["value"]


def test_one(own_client: TestClient, own_city: TinyCity) -> None:
    answer = own_client.post(PATH, headers=basic(own_city), json=reading(1, 21_000))
    assert (answer.status_code, answer.json()) == (200, {"accepted": 1, "duplicates": 0, "rejected": []})
    assert weight_of(own_city) == 21_000


def test_many_and_again(own_client: TestClient, own_city: TinyCity) -> None:
    headers = {"Authorization": f"Bearer {own_city.secret}"}
    batch = [reading(1), reading(2, 20_500), reading(3, 20_600)]
    assert own_client.post(PATH, headers=headers, json=batch).json() == {"accepted": 3, "duplicates": 0, "rejected": []}
    assert own_client.post(PATH, headers=headers, json=batch).json() == {"accepted": 0, "duplicates": 3, "rejected": []}
    assert weight_of(own_city) == 20_600


def test_what_is_broken_is_told_by_its_place_and_kept(own_client: TestClient, own_city: TinyCity) -> None:
    batch = [reading(1), {"no": "device"}, reading(2, 999_999), 5]
    answer = own_client.post(PATH, headers=basic(own_city), json=batch).json()
    assert answer["accepted"] == 2 and [r["index"] for r in answer["rejected"]] == [1, 2, 3]
    whole = own_client.post(PATH, headers=basic(own_city) | {"Content-Type": "application/json"}, content=b"[{]").json()
    assert whole["accepted"] == 0 and [r["index"] for r in whole["rejected"]] == [0]
    with own_city.hub.store.read() as read:
        kept = [row.payload for row in read.list_quarantine(PUSH, 10)]
    assert b"[{]" in kept and b'{"no":"device"}' in [payload.replace(b" ", b"") for payload in kept]


@pytest.mark.parametrize("role", ["admin", "viewer", "operator", "carrier"])
def test_tokens_of_people(client: TestClient, city: TinyCity, role: str) -> None:
    expected = 200 if role == "admin" else 403
    assert client.post(PATH, headers=city.auth(role), json=[]).status_code == expected


def test_a_sources_token_sends_for_itself_alone(client: TestClient, city: TinyCity) -> None:
    answer = client.post(PATH, headers=city.auth("source"), json=[])
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize("user", ["manure-terminals", "nobody", ""])
def test_wrong_credentials(client: TestClient, city: TinyCity, user: str) -> None:
    header = "Basic " + b64encode(f"{user}:{city.secret}".encode()).decode()
    assert client.post(PATH, headers={"Authorization": header}, json={}).status_code == 401
    header = "Basic " + b64encode(f"{PUSH}:wrong".encode()).decode()
    assert client.post(PATH, headers={"Authorization": header}, json={}).status_code == 401


def test_an_idempotency_key_makes_what_has_no_identity_once(own_client: TestClient, own_city: TinyCity) -> None:
    headers = basic(own_city) | {"Idempotency-Key": "night-1"}
    bare = [
        {"dev": "p1", "lon": 126.5, "lat": 33.4, "w": 20_000},
        {"dev": "p1", "lon": 126.5, "lat": 33.4, "w": 20_100},
    ]
    assert own_client.post(PATH, headers=headers, json=bare).json()["accepted"] == 2
    assert own_client.post(PATH, headers=headers, json=bare).json()["duplicates"] == 2


def test_back_pressure_is_429(own_client: TestClient, own_city: TinyCity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_city.hub.ingest, "accepting", lambda: False)
    answer = own_client.post(PATH, headers=basic(own_city), json=reading(1))
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (429, "overloaded", "1")


def test_a_full_disk_is_507(own_client: TestClient, own_city: TinyCity, monkeypatch: pytest.MonkeyPatch) -> None:
    def submit(*_: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_exception(StoreFull("no room"))
        return future

    monkeypatch.setattr(own_city.hub.ingest, "submit", submit)
    answer = own_client.post(PATH, headers=basic(own_city), json=reading(1))
    assert (answer.status_code, answer.json()["code"]) == (507, "disk-full")
