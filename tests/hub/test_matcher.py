"""What is due follows from the log alone: once, in order, judged on the entity as the change left it, with the eyes of who subscribed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from madang.access.roles import caller_of
from madang.hub import matcher as module
from madang.hub.past import Past
from madang.hub.subscriptions import Due
from madang.model.caller import SYSTEM
from madang.model.entity import instance_key, prop, rel
from madang.model.time import SECOND
from madang.ngsild.context import CORE
from madang.ngsild.errors import NgsiLdError
from madang.services.manure import SERVICE
from tests.hub.notify_bench import ADMIN, ROOM, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def told(bench: Bench, name: str) -> list[Any]:
    """What waits for a subscription: the data of its notifications, in order."""
    return [item for row in bench.rows(name) for item in msgspec.json.decode(row.body)]


def numbers(bench: Bench, name: str) -> list[float]:
    return [item["n"]["value"] for item in told(bench, name)]


async def test_each_change_is_due_once_and_in_order(bench: Bench) -> None:
    bench.value(0)
    await bench.subscribe("a")
    await bench.subscribe("other", entities=[{"type": "Car"}])
    for number in (1, 2, 3):
        bench.value(number)
    bench.matcher.settle()
    bench.value(4)
    bench.matcher.settle()
    bench.matcher.settle()
    assert numbers(bench, "a") == [1, 2, 3, 4] and told(bench, "other") == []


async def test_a_query_is_judged_on_the_entity_as_the_change_left_it(bench: Bench) -> None:
    """Two changes are read together: the first meets the query, the second does not. By now the entity does not either."""
    await bench.subscribe("high", q="n>10")
    for write in (bench.value, bench.read_in):
        for number in (5, 20, 7):
            write(number)
    bench.matcher.settle()
    assert numbers(bench, "high") == [20, 20]


@pytest.mark.parametrize("again", [False, True])
async def test_after_a_restart_the_same_is_due(tmp_path: Path, again: bool) -> None:
    """Everything was written while nothing matched, or was matched as it came: it is the same. Writes and readings,
    attributes that come and go, a deletion and a new life."""
    bench = Bench(tmp_path)
    await bench.subscribe(
        "a",
        notificationTrigger=[
            "entityCreated",
            "attributeCreated",
            "attributeUpdated",
            "attributeDeleted",
            "entityDeleted",
        ],
        notification={"showChanges": True},
    )

    def happens() -> Iterator[None]:
        yield bench.put({"n": prop(1), "x": prop("x"), instance_key("x", "urn:d"): {**prop("d"), "datasetId": "urn:d"}})  # type: ignore[misc]
        yield bench.read_in(2)  # type: ignore[misc]
        yield bench.read_in(3)  # type: ignore[misc]
        yield bench.put({"y": prop(1)}, remove=["x"])  # type: ignore[misc]
        yield bench.put({"n": prop(4), "y": prop(2)}, replace=True)  # type: ignore[misc]
        yield bench.store.write(lambda tx: tx.delete_entity(ROOM, "s")).result(5)  # type: ignore[misc]
        yield bench.put({"z": prop(9)})  # type: ignore[misc]
        yield bench.read_in(10)  # type: ignore[misc]

    for _ in happens():
        if not again:
            bench.matcher.settle()
    if again:
        bench.close()
        bench = Bench(tmp_path)
    bench.matcher.settle()
    found = told(bench, "a")
    assert bench.matcher.past.inexact == 0
    bench.close()
    assert [item.get("n", {}).get("value") for item in found] == [1, 2, 3, 3, 4, "urn:ngsi-ld:null", None, 10]
    assert [item.get("n", {}).get("previousValue") for item in found] == [None, 1, 2, None, 3, 4, None, None]
    assert found[3]["x"] == [  # Both instances went.
        {"type": "Property", "value": "urn:ngsi-ld:null", "previousValue": "x"},
        {"type": "Property", "value": "d", "datasetId": "urn:d"},
    ] or found[3]["x"] == [
        {"type": "Property", "value": "d", "datasetId": "urn:d"},
        {"type": "Property", "value": "urn:ngsi-ld:null", "previousValue": "x"},
    ]
    assert found[4]["y"]["previousValue"] == 1 and found[6] == {"id": ROOM, "type": "Room", "z": prop(9)}


async def test_what_was_queued_and_the_cursor_commit_together(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit fails once: nothing is queued then, and nothing twice afterwards."""
    await bench.subscribe("a")
    bench.value(1)
    write = bench.store.write

    def fails(op: Any, *, bulk: bool = False) -> Any:
        def undone(tx: Any) -> None:
            op(tx)
            raise module.StoreError("the disk is full")

        return write(undone, bulk=bulk)

    monkeypatch.setattr(bench.store, "write", fails)
    with pytest.raises(module.StoreError):
        bench.matcher.run_once()
    monkeypatch.undo()
    assert told(bench, "a") == []
    bench.matcher.settle()
    assert numbers(bench, "a") == [1] and bench.hub.subscriptions.due["urn:s:a"].events == 1


async def test_paused_changed_and_deleted_subscriptions(bench: Bench) -> None:
    subscriptions = bench.hub.subscriptions
    await bench.subscribe("a", isActive=False)
    bench.value(1)
    bench.matcher.settle()
    await subscriptions.update(ADMIN, "urn:s:a", {"isActive": True}, CORE)
    bench.value(2)
    bench.matcher.settle()
    await subscriptions.update(ADMIN, "urn:s:a", {"q": "n>100"}, CORE)
    bench.value(3)
    bench.matcher.settle()
    assert numbers(bench, "a") == [2]
    await subscriptions.delete(ADMIN, "urn:s:a")
    bench.value(300)
    bench.matcher.settle()
    assert bench.rows("a") == [] and "urn:s:a" not in subscriptions.due
    with pytest.raises(NgsiLdError):
        subscriptions.get(ADMIN, "urn:s:a")


async def test_throttling_and_periodic_notifications(bench: Bench) -> None:
    await bench.subscribe("slow", throttling=3)
    await bench.subscribe("beat", timeInterval=10)
    for number in range(7):  # One a second.
        bench.value(number)
        bench.matcher.settle()
    assert numbers(bench, "slow") == [0, 3, 6] and bench.hub.subscriptions.due["urn:s:slow"].throttled == 4
    assert told(bench, "beat") == []
    bench.clock.set(bench.clock.now() + 3 * SECOND)
    bench.matcher.run_once()
    bench.matcher.run_once()
    assert numbers(bench, "beat") == [6]
    # A standstill of many intervals makes one notification, not many.
    bench.clock.set(bench.clock.now() + 100 * SECOND)
    bench.matcher.run_once()
    bench.matcher.run_once()
    assert numbers(bench, "beat") == [6, 6]


async def test_a_notification_tells_of_many_entities_but_of_none_twice(bench: Bench) -> None:
    await bench.subscribe("a")
    for number, id_ in enumerate(["urn:r:1", "urn:r:2", "urn:r:1", "urn:r:3"]):
        bench.value(number, id_)
    bench.matcher.run_once()
    assert [[item["id"] for item in msgspec.json.decode(row.body)] for row in bench.rows("a")] == [
        ["urn:r:1", "urn:r:2"], ["urn:r:1", "urn:r:3"],
    ]  # fmt: skip


async def test_what_finds_no_room_is_listed_not_gone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUEUE_MAX", 2)
    await bench.subscribe("a")
    changes = [bench.value(number) for number in range(6)]
    bench.matcher.settle()
    changes += [bench.value(number) for number in range(6, 8)]
    bench.matcher.settle()
    assert numbers(bench, "a") == [0, 1]
    (row,) = bench.rows("a", "dead")
    assert (row.first_seq, row.last_seq, row.events, row.body) == (changes[2].seq, changes[7].seq, 6, b"")
    assert "replay" in row.error
    bench.assert_accounted()


async def test_a_mistake_in_one_subscription_is_listed_and_the_others_go_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.subscribe("a")
    await bench.subscribe("b")
    tell = module.tell

    def broken(subscription: Any, *rest: Any) -> Any:
        if subscription.id == "urn:s:a":
            raise RuntimeError("ours")
        return tell(subscription, *rest)

    monkeypatch.setattr(module, "tell", broken)
    bench.value(1)
    bench.matcher.settle()
    assert numbers(bench, "b") == [1] and [row.events for row in bench.rows("a", "dead")] == [1]
    bench.assert_accounted()


async def test_further_types_links_and_system_attributes(bench: Bench) -> None:
    await bench.subscribe("place", entities=[{"type": "Place"}], notification={"sysAttrs": True})
    await bench.subscribe("linked", q='owner{name}=="Kim"', notification={"join": "inline"})
    bench.put({"name": prop("Kim")}, "urn:o:1", "Person")
    bench.put({"owner": rel("urn:o:1")}, types=["Room", "Place"])
    bench.put({"owner": rel("urn:o:2")}, "urn:r:2")
    bench.matcher.settle()
    (place,) = told(bench, "place")
    assert place["type"] == ["Room", "Place"] and "createdAt" in place and "modifiedAt" in place["owner"]
    (linked,) = told(bench, "linked")
    assert linked["id"] == ROOM and linked["owner"]["entity"]["name"] == prop("Kim")
    bench.read_in(1)
    bench.matcher.settle()
    assert [item["n"]["value"] for item in told(bench, "place")[1:]] == [1]


async def test_a_subscription_sees_what_its_maker_may_see(tmp_path: Path) -> None:
    """A carrier is told of its own vehicle alone; who only looks is not told people's names; a revoked token is told nothing."""
    bench = Bench(tmp_path, (SERVICE,))
    mine, theirs = "urn:ngsi-ld:Organization:a", "urn:ngsi-ld:Organization:b"
    for name, role, party in (("ca", "carrier", mine), ("vi", "viewer", None), ("of", "officer", None)):
        bench.hub.tokens.create(SYSTEM, name, role, party)
        await bench.subscribe(name, caller_of(name, role, party), entities=[{"type": "Vehicle"}])

    def drive(speed: int) -> None:
        for id_, owner in (("urn:ngsi-ld:Vehicle:1", mine), ("urn:ngsi-ld:Vehicle:2", theirs)):
            bench.put({"owner": rel(owner), "speed": prop(speed), "driver": prop("Kim Minsu")}, id_, "Vehicle")
        bench.matcher.settle()

    drive(1)
    assert [item["id"] for item in told(bench, "ca")] == ["urn:ngsi-ld:Vehicle:1"]
    assert [item["id"] for item in told(bench, "of")] == ["urn:ngsi-ld:Vehicle:1", "urn:ngsi-ld:Vehicle:2"]
    assert all("driver" in item for item in told(bench, "of")) and len(told(bench, "vi")) == 2
    assert all("driver" not in item for item in told(bench, "vi"))
    # What it no longer may see it is not told, not even that it is gone.
    bench.put({"owner": rel(theirs)}, "urn:ngsi-ld:Vehicle:1", "Vehicle")
    bench.matcher.settle()
    bench.hub.tokens.revoke(SYSTEM, "of")
    bench.matcher._callers.clear()
    drive(2)
    assert len(told(bench, "ca")) == 2 and len(told(bench, "of")) == 3
    for caller in (caller_of("ca", "carrier", mine), caller_of("other", "farm", theirs)):
        with pytest.raises(NgsiLdError):
            bench.hub.subscriptions.get(caller, "urn:s:of")
    assert [d.id for d in bench.hub.subscriptions.list(caller_of("ca", "carrier", mine))] == ["urn:s:ca"]
    bench.close()


async def test_the_past_of_an_entity(bench: Bench) -> None:
    """Each change's before and after, from the log at its end, equal what was written then (kept apart)."""
    expected: list[tuple[int, dict[str, Any], dict[str, Any]]] = []

    def state() -> dict[str, Any]:
        with bench.store.read() as read:
            entity = read.find_entity(ROOM)
        return {} if entity is None else entity.attributes

    steps = [
        lambda: bench.put({"a": prop(1), "n": prop(0)}), lambda: bench.read_in(1), lambda: bench.put({"b": prop(2)}),
        lambda: bench.read_in(2), lambda: bench.put({}, remove=["a"]), lambda: bench.put({"n": prop(5)}, reference=True),
        lambda: bench.put({"c": prop(5)}, reference=True, remove=["b"]), lambda: bench.read_in(3),
    ]  # fmt: skip
    for step in steps:
        before = state()
        change = step()
        expected.append((change.seq, before, state()))
    past = Past()
    with bench.store.read() as read:
        for change in read.read_log(0, 99):
            entity, before = past.entity_at(read, change)
            assert (change.seq, before, entity.attributes) == expected.pop(0)
    assert past.inexact == 0


def test_due_documents_decode_with_less_in_them() -> None:
    assert msgspec.json.decode(b'{"events":3}', type=Due).throttled == 0
