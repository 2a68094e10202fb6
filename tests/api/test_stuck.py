"""What the platform gave up on: seen by who reads sources, tried again by who manages them, and once only."""

from typing import Any
from urllib.parse import quote

from starlette.testclient import TestClient

from madang.hub.records import DEADLINE_ATTEMPTS_MAX
from madang.model.time import render_instant
from madang.procedure.contract import Deadline
from tests.api.tiny_city import CARRIER_A, TinyCity


def stuck(client: TestClient, city: TinyCity, role: str = "viewer") -> list[dict[str, Any]]:
    answer = client.get("/api/stuck", headers=city.auth(role))
    assert answer.status_code == 200, answer.text
    assert answer.json()["truncated"] is False
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def kill_a_message(city: TinyCity) -> int:
    """A message of the manifest whose receiver does not exist; gives its number."""
    record = city.manifests[CARRIER_A]

    def op(tx: Any) -> int:
        tx.put_outbox(record, "sms", "+82-64-000", {"code": "test.x", "params": {}}, "key-dead")
        row = next(row for row in tx.list_outbox_of(record) if row.idempotency_key == "key-dead")
        tx.mark_outbox(row.id, "dead", tx.now, "unknown number", 12)
        return int(row.id)

    return city.hub.store.write(op).result(10)


def park_a_deadline(city: TinyCity) -> None:
    """Its action's guard raises each time, as a faulty table does, until the hub gives up."""
    hub, record = city.hub, city.manifests[CARRIER_A]
    hub.store.write(lambda tx: tx.set_deadline(record, Deadline("bad", tx.now, "cancel", {}))).result(10)
    plan = hub.records._plan

    def faulty(tx: Any, plans: Any, caller: Any, record_type: Any, before: Any, action: str, *more: Any) -> None:
        if action == "cancel":
            raise ZeroDivisionError("a faulty guard")
        plan(tx, plans, caller, record_type, before, action, *more)

    hub.records._plan = faulty  # type: ignore[method-assign]
    for _ in range(DEADLINE_ATTEMPTS_MAX):
        hub.store.write(hub.records.fire_due).result(10)
        with hub.store.read() as read:
            due = [one.due_at for one in read.list_deadlines(record) if one.name == "bad"]
        city.clock.set(max([city.clock.now(), *due]))
    hub.records._plan = plan  # type: ignore[method-assign]


def test_nothing_waits_in_a_city_that_works(client: TestClient, city: TinyCity) -> None:
    assert stuck(client, city) == []


def test_a_dead_message_is_listed_and_tried_again_once(own_client: TestClient, own_city: TinyCity) -> None:
    number = kill_a_message(own_city)
    record = own_city.manifests[CARRIER_A]
    (row,) = stuck(own_client, own_city)
    assert row["id"] == f"message|{record}|{number}"
    assert (row["kind"], row["to"], row["channel"], row["why"]) == ("message", "+82-64-000", "sms", "unknown number")
    assert (row["attempts"], row["since"]) == (12, render_instant(own_city.clock.now()))
    assert (row["record"], row["record_type"]) == (record, "ManureManifest")
    path = f"/api/stuck/{quote(row['id'], safe='')}/retry"
    assert own_client.post(path, headers=own_city.auth("operator")).status_code == 403
    answers = [own_client.post(path, headers=own_city.auth("admin")).json()["status"] for _ in range(2)]
    assert answers == ["again", "not-stuck"]
    assert stuck(own_client, own_city) == []
    with own_city.hub.store.read() as read:
        (again,) = [one for one in read.list_outbox_of(record) if one.id == number]
    assert (again.state, again.attempts, again.error, again.next_at) == ("due", 0, "", own_city.clock.now())


def test_a_message_that_was_sent_is_not_sent_again(own_client: TestClient, own_city: TinyCity) -> None:
    number = kill_a_message(own_city)
    own_city.hub.store.write(lambda tx: tx.mark_outbox(number, "sent", tx.now, "", 1)).result(10)
    path = f"/api/stuck/{quote(f'message|{own_city.manifests[CARRIER_A]}|{number}', safe='')}/retry"
    assert own_client.post(path, headers=own_city.auth("admin")).json() == {"status": "not-stuck"}
    with own_city.hub.store.read() as read:
        assert [one.state for one in read.list_outbox_of(own_city.manifests[CARRIER_A]) if one.id == number] == ["sent"]


def test_a_parked_deadline_is_listed_and_put_back(own_client: TestClient, own_city: TinyCity) -> None:
    park_a_deadline(own_city)
    record = own_city.manifests[CARRIER_A]
    (row,) = stuck(own_client, own_city)
    assert (row["id"], row["kind"], row["to"]) == (f"deadline|{record}|bad", "deadline", "")
    assert row["why"] == "ZeroDivisionError: a faulty guard"
    assert row["attempts"] == DEADLINE_ATTEMPTS_MAX
    path = f"/api/stuck/{quote(row['id'], safe='')}/retry"
    assert own_client.post(path, headers=own_city.auth("admin")).json() == {"status": "again"}
    assert own_client.post(path, headers=own_city.auth("admin")).json() == {"status": "not-stuck"}
    with own_city.hub.store.read() as read:
        assert [one.due_at for one in read.list_deadlines(record) if one.name == "bad"] == [own_city.clock.now()]


def test_a_deadline_that_was_set_anew_stands(own_client: TestClient, own_city: TinyCity) -> None:
    park_a_deadline(own_city)
    record = own_city.manifests[CARRIER_A]
    later = own_city.clock.now() + 3_600_000_000
    own_city.hub.store.write(lambda tx: tx.set_deadline(record, Deadline("bad", later, "cancel", {}))).result(10)
    path = f"/api/stuck/{quote(f'deadline|{record}|bad', safe='')}/retry"
    assert own_client.post(path, headers=own_city.auth("admin")).json() == {"status": "again"}
    assert stuck(own_client, own_city) == []
    with own_city.hub.store.read() as read:
        assert [one.due_at for one in read.list_deadlines(record) if one.name == "bad"] == [later]


def test_what_never_was_is_not_found(client: TestClient, city: TinyCity) -> None:
    for id_ in (
        "nonsense",
        "message|urn:x:none|1",
        f"message|{city.manifests[CARRIER_A]}|x",
        "deadline|urn:x:none|bad",
    ):
        answer = client.post(f"/api/stuck/{quote(id_, safe='')}/retry", headers=city.auth("admin"))
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found"), id_
