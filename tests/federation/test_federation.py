"""Distributed operations among real servers (ETSI GS CIM 009 clauses 4.3.6, 5.6, 5.7, 5.12, 6.3.17, 6.3.18): who has what is
assembled exactly, changes reach whom they shall reach, loops end, and a source that hangs or is killed costs its own part only.

Expected answers are written out from the clauses: what is registered as exclusive or redirect is held there alone, inclusive
there too, auxiliary only where nobody else has it.
"""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.steps import Receiver
from tests.federation.conftest import ENTITIES, OPERATIONS, SOURCES, TOLD, Broker

LAMP = "urn:ngsi-ld:Lamp:1"
LAMPS = f"{ENTITIES}?type=Lamp&options=keyValues"
WHERE = f"{ENTITIES}/{LAMP}"


def lamp(id_: str = LAMP, **attributes: Any) -> dict[str, Any]:
    return {"id": id_, "type": "Lamp", **attributes}


def only(id_: str = LAMP, *names: str) -> list[dict[str, Any]]:
    information: dict[str, Any] = {"entities": [{"id": id_, "type": "Lamp"}]}
    if names:
        information["propertyNames"] = list(names)
    return [information]


# ── reading ─────────────────────────────────────────────────────────────────


def test_1_an_entity_is_assembled_from_three(brokers: list[Broker]) -> None:
    a, b, c = brokers
    a.ask("POST", ENTITIES, lamp(name="Main Street 1", height=8), status=201)
    b.ask("POST", ENTITIES, lamp(power={"value": 60, "unitCode": "WTT"}), status=201)
    c.ask("POST", ENTITIES, lamp(location={"type": "Point", "coordinates": [127, 37]}), status=201)
    a.register(b)
    a.register(c)
    whole = a.ask("GET", WHERE)
    assert whole.warnings == [] and whole.body == {
        **lamp(),
        "name": {"type": "Property", "value": "Main Street 1"},
        "height": {"type": "Property", "value": 8},
        "power": {"type": "Property", "value": 60, "unitCode": "WTT"},
        "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [127, 37]}},
    }
    assert a.ask("GET", f"{WHERE}?attrs=power&options=keyValues").body == lamp(power=60)
    assert a.here(WHERE) == lamp(name="Main Street 1", height=8)
    # The other way round nothing is registered.
    assert b.ask("GET", f"{WHERE}?options=keyValues").body == lamp(power=60)


def test_2_of_two_values_the_one_observed_last(brokers: list[Broker]) -> None:
    a, b, c = brokers
    for broker, value, second in ((a, 1, 10), (b, 2, 30), (c, 3, 20)):
        power = {"value": value, "observedAt": f"2026-11-23T02:14:{second}Z"}
        broker.ask("POST", ENTITIES, lamp(power=power), status=201)
    a.register(b)
    a.register(c)
    found = a.ask("GET", WHERE).body
    assert found["power"] == {"type": "Property", "value": 2, "observedAt": "2026-11-23T02:14:30Z"}


def test_3_a_query_finds_all_once_in_order_and_in_pages(brokers: list[Broker]) -> None:
    a, b, c = brokers
    for broker, numbers in ((a, (1, 4, 7)), (b, (2, 4, 5)), (c, (3, 5, 6))):
        for n in numbers:
            broker.ask("POST", ENTITIES, lamp(f"urn:ngsi-ld:Lamp:{n}", **{f"by_{broker.name}": n}), status=201)
    a.register(b)
    a.register(c)
    found = a.ask("GET", f"{LAMPS}&count=true")
    assert found.body == [
        lamp("urn:ngsi-ld:Lamp:1", by_a=1), lamp("urn:ngsi-ld:Lamp:2", by_b=2), lamp("urn:ngsi-ld:Lamp:3", by_c=3),
        lamp("urn:ngsi-ld:Lamp:4", by_a=4, by_b=4), lamp("urn:ngsi-ld:Lamp:5", by_b=5, by_c=5),
        lamp("urn:ngsi-ld:Lamp:6", by_c=6), lamp("urn:ngsi-ld:Lamp:7", by_a=7),
    ]  # fmt: skip
    assert found.count == "7"
    pages = [a.ask("GET", f"{LAMPS}&limit=3&offset={offset}").body for offset in (0, 3, 6)]
    assert [e["id"][-1] for page in pages for e in page] == list("1234567")
    body = {"type": "Query", "entities": [{"type": "Lamp"}], "q": "by_c>=5"}
    by_body = a.ask("POST", f"{OPERATIONS}/query?options=keyValues", body).body
    assert [e["id"][-1] for e in by_body] == ["5", "6"]
    assert [e["id"][-1] for e in a.ask("GET", f"{LAMPS}&q=by_b==4").body] == ["4"]


def test_4_auxiliary_only_fills_what_nobody_else_has(brokers: list[Broker]) -> None:
    a, b, _ = brokers
    a.ask("POST", ENTITIES, lamp(power=1), status=201)
    b.ask("POST", ENTITIES, lamp(power={"value": 2, "observedAt": "2026-11-23T02:14:09Z"}, colour="warm"), status=201)
    a.register(b, "auxiliary")
    assert a.ask("GET", f"{WHERE}?options=keyValues").body == lamp(power=1, colour="warm")
    a.ask("PATCH", f"{WHERE}/attrs", {"power": 3}, status=204)
    assert b.here(WHERE) == lamp(power=2, colour="warm"), "an auxiliary source is read, never changed"


# ── changing ────────────────────────────────────────────────────────────────


def test_10_inclusive_is_changed_here_and_there(brokers: list[Broker]) -> None:
    a, b, c = brokers
    a.register(b)
    a.register(c)
    a.ask("POST", ENTITIES, lamp(power=1), status=201)
    assert [x.here(WHERE) for x in brokers] == [lamp(power=1)] * 3
    a.ask("PATCH", f"{WHERE}/attrs", {"power": 2}, status=204)
    a.ask("POST", f"{WHERE}/attrs", {"colour": "warm"}, status=204)
    a.ask("PATCH", f"{WHERE}/attrs/power", {"value": 3}, status=204)
    assert [x.here(WHERE) for x in brokers] == [lamp(power=3, colour="warm")] * 3
    a.ask("DELETE", f"{WHERE}/attrs/colour", status=204)
    a.ask("PATCH", WHERE, {"power": 4}, status=204)
    assert [x.here(WHERE) for x in brokers] == [lamp(power=4)] * 3
    a.ask("PUT", WHERE, lamp(height=5), status=204)
    assert [x.here(WHERE) for x in brokers] == [lamp(height=5)] * 3
    a.ask("DELETE", WHERE, status=204)
    assert [x.ask("GET", f"{WHERE}?local=true", status=None).status for x in brokers] == [404] * 3


def test_11_exclusive_attributes_are_held_there_alone(brokers: list[Broker]) -> None:
    a, b, _ = brokers
    a.register(b, "exclusive", information=only(LAMP, "power"))
    b.ask("POST", ENTITIES, lamp(power=1), status=201)
    a.ask("POST", ENTITIES, lamp(name="Main Street 1"), status=201)
    assert (a.here(WHERE), b.here(WHERE)) == (lamp(name="Main Street 1"), lamp(power=1))
    a.ask("PATCH", f"{WHERE}/attrs", {"name": "Main Street 2", "power": 2}, status=204)
    assert (a.here(WHERE), b.here(WHERE)) == (lamp(name="Main Street 2"), lamp(power=2))
    assert a.ask("GET", f"{WHERE}?options=keyValues").body == lamp(name="Main Street 2", power=2)
    # Another lamp is not concerned.
    a.ask("POST", ENTITIES, lamp("urn:ngsi-ld:Lamp:2", power=9), status=201)
    assert a.here(f"{ENTITIES}/urn:ngsi-ld:Lamp:2") == lamp("urn:ngsi-ld:Lamp:2", power=9)
    assert len(b.here(f"{ENTITIES}?type=Lamp")) == 1


def test_12_redirect_takes_the_whole(brokers: list[Broker]) -> None:
    a, b, c = brokers
    a.register(b, "redirect")
    a.register(c, "redirect")
    a.ask("POST", ENTITIES, lamp(power=1), status=201)
    assert [x.here(WHERE) for x in (b, c)] == [lamp(power=1)] * 2
    assert a.ask("GET", f"{WHERE}?local=true", status=404).body["type"].endswith("ResourceNotFound")
    a.ask("PATCH", f"{WHERE}/attrs", {"power": 2}, status=204)
    assert a.ask("GET", f"{WHERE}?options=keyValues").body == lamp(power=2)
    a.ask("DELETE", WHERE, status=204)
    assert [x.ask("GET", f"{WHERE}?local=true", status=None).status for x in brokers] == [404] * 3


def test_13_what_is_held_elsewhere_and_not_offered_is_a_conflict(brokers: list[Broker]) -> None:
    a, b, _ = brokers
    a.register(b, "redirect", operations=["retrieveOps"])
    assert a.ask("POST", ENTITIES, lamp(power=1), status=409).body["type"].endswith("Conflict")
    assert b.here(f"{ENTITIES}?type=Lamp") == []


def test_14_batches(brokers: list[Broker]) -> None:
    a, b, _ = brokers
    a.register(b, "redirect", information=[{"entities": [{"idPattern": "urn:ngsi-ld:Lamp:b.*", "type": "Lamp"}]}])
    mine, its = "urn:ngsi-ld:Lamp:a1", "urn:ngsi-ld:Lamp:b1"

    def batch(name: str, *documents: Any, status: int) -> Any:
        return a.ask("POST", f"{OPERATIONS}/{name}", list(documents), status=status).body

    assert sorted(batch("create", lamp(mine, power=1), lamp(its, power=1), status=201)) == [mine, its]
    assert [e["id"] for e in a.here(f"{ENTITIES}?type=Lamp")] == [mine]
    assert [e["id"] for e in b.here(f"{ENTITIES}?type=Lamp")] == [its]
    batch("update", lamp(mine, power=2), lamp(its, power=2), status=204)
    batch("upsert", lamp(mine, power=3), lamp(its, power=3), status=204)
    batch("merge", lamp(mine, height=3), lamp(its, height=3), status=204)
    assert a.ask("GET", LAMPS).body == [lamp(mine, power=3, height=3), lamp(its, power=3, height=3)]
    problem = batch("create", lamp(mine, power=1), lamp(its, power=1), lamp("urn:ngsi-ld:Lamp:a2"), status=207)
    assert problem["success"] == ["urn:ngsi-ld:Lamp:a2"]
    assert sorted(error["entityId"] for error in problem["errors"]) == [mine, its]
    batch("delete", mine, its, "urn:ngsi-ld:Lamp:a2", status=204)
    assert a.ask("GET", LAMPS).body == []


# ── credentials ─────────────────────────────────────────────────────────────


def test_20_credentials_stand_in_the_registration(brokers: list[Broker]) -> None:
    """contextSourceInfo carries them (clause 4.3.6.5); the caller's own never leave."""
    a, b, _ = brokers
    b.ask("POST", ENTITIES, lamp(power=1), status=201)
    a.register(b, token="mdg_wrong")
    refused = a.ask("GET", WHERE, status=404)
    assert len(refused.warnings) == 1 and refused.warnings[0].startswith("299 ") and "401" in refused.warnings[0]
    a.ask("POST", ENTITIES, lamp(height=1), status=207)
    assert b.here(WHERE) == lamp(power=1)
    shown = a.ask("GET", f"{SOURCES}/{a.registered[0]}").body["contextSourceInfo"]
    assert shown == [{"key": "Authorization", "value": "Bearer mdg_wrong"}]
    fixed = {"contextSourceInfo": [{"key": "Authorization", "value": f"Bearer {b.token}"}]}
    a.ask("PATCH", f"{SOURCES}/{a.registered[0]}", fixed, status=204)
    assert a.ask("GET", f"{WHERE}?options=keyValues").body == lamp(height=1, power=1)
    # Whoever may not manage sources does not see the secret.
    viewer = a.ask("POST", "/api/tokens", {"name": f"viewer-{time.time_ns()}", "role": "viewer"}, status=201).body[
        "token"
    ]
    hidden = a.ask("GET", f"{SOURCES}/{a.registered[0]}", Authorization=f"Bearer {viewer}").body
    assert b.token not in str(hidden)


def test_21_a_source_gives_what_its_token_may_see(brokers: list[Broker]) -> None:
    a, b, _ = brokers
    b.ask("POST", ENTITIES, lamp(power=1), status=201)
    viewer = b.ask("POST", "/api/tokens", {"name": f"viewer-{time.time_ns()}", "role": "viewer"}, status=201).body[
        "token"
    ]
    a.register(b, token=viewer)
    assert a.ask("GET", f"{WHERE}?options=keyValues").body == lamp(power=1)
    refused = a.ask("PATCH", f"{WHERE}/attrs", {"power": 2}, status=None)
    assert refused.status in (403, 207), refused.body
    assert b.here(WHERE) == lamp(power=1)


# ── loops ───────────────────────────────────────────────────────────────────


def test_30_two_that_registered_each_other(brokers: list[Broker]) -> None:
    a, b, _ = brokers
    a.register(b)
    b.register(a)
    a.ask("POST", ENTITIES, lamp(power=1), status=201)
    assert [x.here(WHERE) for x in (a, b)] == [lamp(power=1)] * 2
    for broker, value in ((a, 2), (b, 3)):
        broker.ask("PATCH", f"{WHERE}/attrs", {"power": value}, status=204)
        assert [x.here(WHERE) for x in (a, b)] == [lamp(power=value)] * 2
    for broker in (a, b):
        found = broker.ask("GET", f"{LAMPS}&count=true")
        assert found.body == [lamp(power=3)] and found.warnings == []
        assert broker.ask("GET", f"{WHERE}?options=keyValues").body == lamp(power=3)


def test_31_three_in_a_ring(brokers: list[Broker]) -> None:
    a, b, c = brokers
    for broker, following in ((a, b), (b, c), (c, a)):
        broker.register(following)
    for broker in brokers:
        broker.ask("POST", f"{ENTITIES}?local=true", lamp(**{f"by_{broker.name}": 1}), status=201)
    for broker in brokers:
        assert broker.ask("GET", f"{WHERE}?options=keyValues").body == lamp(by_a=1, by_b=1, by_c=1)
    a.ask("POST", f"{WHERE}/attrs", {"colour": "warm"}, status=204)
    assert {x.here(WHERE)["colour"] for x in brokers} == {"warm"}
    a.ask("DELETE", WHERE, status=204)
    assert [x.ask("GET", f"{WHERE}?local=true", status=None).status for x in brokers] == [404] * 3


def test_32_batches_in_a_ring(brokers: list[Broker]) -> None:
    a, b, _ = brokers
    a.register(b)
    b.register(a)
    ids = [f"urn:ngsi-ld:Lamp:{n}" for n in range(3)]
    assert sorted(a.ask("POST", f"{OPERATIONS}/create", [lamp(id_, power=1) for id_ in ids], status=201).body) == ids
    b.ask("POST", f"{OPERATIONS}/update", [lamp(id_, power=2) for id_ in ids], status=204)
    assert [x.here(f"{ENTITIES}?type=Lamp") for x in (a, b)] == [[lamp(id_, power=2) for id_ in ids]] * 2
    a.ask("POST", f"{OPERATIONS}/delete", ids, status=204)
    assert [x.here(f"{ENTITIES}?type=Lamp") for x in (a, b)] == [[], []]


def test_33_who_is_known_by_alias_is_not_asked_in_a_circle(brokers: list[Broker]) -> None:
    """Clause 5.2.9, contextSourceAlias: B knows that A has the request, and does not send it back."""
    a, b, _ = brokers
    a.register(b)
    alias = a.ask("GET", "/ngsi-ld/v1/info/sourceIdentity").body["contextSourceAlias"]
    id_ = b.register(a, contextSourceAlias=alias)

    def asked() -> int:
        return int(b.ask("GET", f"{SOURCES}/{id_}?options=sysAttrs").body.get("timesSent", 0))

    a.ask("POST", ENTITIES, lamp(power=1), status=201)
    a.ask("GET", WHERE)
    assert asked() == 0
    assert [x.here(WHERE) for x in (a, b)] == [lamp(power=1)] * 2
    b.ask("GET", WHERE)
    assert asked() == 1


def test_34_a_ring_of_redirects_is_told(brokers: list[Broker]) -> None:
    a, b, _ = brokers
    a.register(b, "redirect")
    b.register(a, "redirect")
    assert a.ask("POST", ENTITIES, lamp(power=1), status=None).status == 508
    assert [x.here(f"{ENTITIES}?type=Lamp") for x in (a, b)] == [[], []]
    assert a.ask("GET", LAMPS).body == []


# ── sources that fail ───────────────────────────────────────────────────────


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        kept: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    kept.append(listener.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        for one in kept:
            one.close()


def test_40_a_slow_source_costs_its_time_once(brokers: list[Broker], silent: str) -> None:
    a, b, _ = brokers
    a.ask("POST", ENTITIES, lamp(name="x"), status=201)
    b.ask("POST", ENTITIES, lamp(power=1), status=201)
    a.register(b)
    a.register(silent, management={"timeout": 500, "cooldown": 60_000})
    before = time.monotonic()
    found = a.ask("GET", f"{WHERE}?options=keyValues")
    took_s = time.monotonic() - before
    assert found.body == lamp(name="x", power=1) and 0.4 < took_s < 3
    assert len(found.warnings) == 1 and found.warnings[0].startswith("199 ")
    before = time.monotonic()
    again = a.ask("GET", f"{WHERE}?options=keyValues")
    assert again.body == found.body and len(again.warnings) == 1
    assert time.monotonic() - before < 0.4, "it is left alone for a while"


def test_41_a_source_that_is_killed_and_comes_back(brokers: list[Broker]) -> None:
    """While it is asked over and over: each answer is whole, or is our part with a warning; never anything between, never an error."""
    a, b, _ = brokers
    for n in range(20):
        id_ = f"urn:ngsi-ld:Lamp:{n:02d}"
        a.ask("POST", ENTITIES, lamp(id_, name=n), status=201)
        b.ask("POST", ENTITIES, lamp(id_, power=n), status=201)
    a.register(b)
    here = [lamp(f"urn:ngsi-ld:Lamp:{n:02d}", name=n) for n in range(20)]
    whole = [{**entity, "power": n} for n, entity in enumerate(here)]
    seen: list[tuple[bool, int]] = []
    wrong: list[Any] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            found = a.ask("GET", f"{LAMPS}&limit=100", status=None)
            is_whole = found.body == whole
            seen.append((is_whole, len(found.warnings)))
            if found.status != 200 or (found.warnings == []) != is_whole or (not is_whole and found.body != here):
                wrong.append((found.status, found.warnings, found.body))

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    time.sleep(0.5)
    b.process.kill()
    time.sleep(0.5)
    b.process.start()
    time.sleep(0.5)
    stop.set()
    for thread in asking:
        thread.join(30)
    assert wrong == []
    assert {is_whole for is_whole, _ in seen} == {True, False}
    assert a.ask("GET", f"{LAMPS}&limit=100").body == whole
    # A change that it did not take is told, and is not made half.
    b.process.kill()
    failed = a.ask("PATCH", f"{ENTITIES}/urn:ngsi-ld:Lamp:00/attrs", {"power": 99}, status=207).body
    assert failed["errors"][0]["registrationId"] == a.registered[0]
    b.process.start()
    counted = a.ask("GET", f"{SOURCES}/{a.registered[0]}?options=sysAttrs").body
    assert counted["timesFailed"] >= 1 and counted["timesSent"] > counted["timesFailed"]


def test_42_registrations_outlive_a_kill(brokers: list[Broker]) -> None:
    a, b, _ = brokers
    b.ask("POST", ENTITIES, lamp(power=1), status=201)
    a.register(b)
    a.process.kill()
    a.process.start()
    assert a.ask("GET", f"{WHERE}?options=keyValues").body == lamp(power=1)


# ── hearing of registrations ────────────────────────────────────────────────


def test_50_who_subscribed_hears_of_registrations(brokers: list[Broker]) -> None:
    a, b, c = brokers
    receiver = Receiver()
    subscription = {
        "id": "urn:ngsi-ld:Subscription:sources", "type": "Subscription", "entities": [{"type": "Lamp"}],
        "notification": {"endpoint": {"uri": receiver.url, "accept": "application/json"}},
    }  # fmt: skip
    a.register(b)
    a.ask("POST", TOLD, subscription, status=201)
    try:
        first = receiver.wait(1)[0]
        assert (first["type"], first["triggerReason"]) == ("ContextSourceNotification", "newlyMatching")
        assert [one["id"] for one in first["data"]] == [a.registered[0]]
        a.register(c)
        second = receiver.wait(2)[1]
        assert second["triggerReason"] == "newlyMatching" and [one["id"] for one in second["data"]] == [a.registered[1]]
        a.ask("PATCH", f"{SOURCES}/{a.registered[1]}", {"registrationName": "C"}, status=204)
        assert receiver.wait(3)[2]["triggerReason"] == "updated"
        a.ask("DELETE", f"{SOURCES}/{a.registered[0]}", status=204)
        assert receiver.wait(4)[3]["triggerReason"] == "noLongerMatching"
        assert all(broker.token not in str(receiver.heard) for broker in (b, c)), "credentials are not told"
    finally:
        a.ask("DELETE", f"{TOLD}/{subscription['id']}", status=None)
        receiver.close()


# ── types and attributes ────────────────────────────────────────────────────


def test_60_types_and_attributes_of_all(brokers: list[Broker]) -> None:
    """Clauses 5.7.5 to 5.7.10 over registrations: a source is heard for what it registered."""
    a, b, c = brokers
    a.ask("POST", ENTITIES, lamp(name="x"), status=201)
    b.ask("POST", ENTITIES, lamp("urn:ngsi-ld:Lamp:2", power=1, owner={"object": "urn:x:1"}), status=201)
    b.ask("POST", ENTITIES, {"id": "urn:ngsi-ld:Mast:1", "type": "Mast", "height": 3}, status=201)
    c.ask("POST", ENTITIES, lamp("urn:ngsi-ld:Lamp:3", power={"object": "urn:x:2"}, colour="warm"), status=201)
    try:
        types = "/ngsi-ld/v1/types"
        before = a.ask("GET", types).body["typeList"]
        assert "Lamp" in before
        a.register(b)
        a.register(c, information=[{"entities": [{"type": "Lamp"}], "propertyNames": ["power"]}])
        assert a.ask("GET", types).body["typeList"] == before, "the mast is not registered"
        (details,) = [one for one in a.ask("GET", f"{types}?details=true").body if one["typeName"] == "Lamp"]
        assert details["attributeNames"] == ["name", "owner", "power"]
        info = a.ask("GET", f"{types}/Lamp").body
        assert info["entityCount"] == 3
        kinds = {one["attributeName"]: sorted(one["attributeTypes"]) for one in info["attributeDetails"]}
        assert kinds == {"name": ["Property"], "owner": ["Relationship"], "power": ["Property", "Relationship"]}
        assert a.ask("GET", f"{types}/Lamp?local=true").body["entityCount"] == 1
        assert a.ask("GET", f"{types}/Mast", status=404).warnings == []
        a.register(b, information=[{"entities": [{"type": "Mast"}]}])
        assert a.ask("GET", f"{types}/Mast").body["entityCount"] == 1
        assert set(a.ask("GET", types).body["typeList"]) == {*before, "Mast"}
        attributes = "/ngsi-ld/v1/attributes"
        assert {"name", "owner", "power", "height"} <= set(a.ask("GET", attributes).body["attributeList"])
        assert "colour" not in a.ask("GET", attributes).body["attributeList"]
        power = a.ask("GET", f"{attributes}/power").body
        assert (power["attributeCount"], sorted(power["attributeTypes"]), power["typeNames"]) == (
            2, ["Property", "Relationship"], ["Lamp"],
        )  # fmt: skip
        a.ask("GET", f"{attributes}/power?local=true", status=404)
        (told,) = [one for one in a.ask("GET", f"{attributes}?details=true").body if one["attributeName"] == "height"]
        assert told["typeNames"] == ["Mast"]
    finally:
        b.ask("DELETE", f"{ENTITIES}/urn:ngsi-ld:Mast:1?local=true", status=None)


def test_61_a_source_that_does_not_answer_is_said(brokers: list[Broker], silent: str) -> None:
    a, _, _ = brokers
    a.ask("POST", ENTITIES, lamp(name="x"), status=201)
    a.register(silent, management={"timeout": 300})
    for path in ("/ngsi-ld/v1/types", "/ngsi-ld/v1/types/Lamp", "/ngsi-ld/v1/attributes?details=true"):
        found = a.ask("GET", path)
        assert len(found.warnings) == 1 and found.warnings[0].startswith("199 "), path


# ── how entities evolved ────────────────────────────────────────────────────

EVOLUTION = f"/ngsi-ld/v1/temporal/entities/{LAMP}"
SINCE = "timerel=after&timeAt=2026-11-01T00:00:00Z"
TEMPORAL_OPS = ["retrieveTemporal", "queryTemporal"]


def day(n: int) -> str:
    return f"2026-11-{n:02d}T00:00:00Z"


def observe(broker: Broker, n: int, id_: str = LAMP, **values: Any) -> None:
    """One value of each attribute on a day of November."""
    attributes = {name: {"value": value, "observedAt": day(n)} for name, value in values.items()}
    broker.ask("POST", f"{OPERATIONS}/upsert?options=update&local=true", [lamp(id_, **attributes)], status=None)


def test_70_an_evolution_is_assembled(brokers: list[Broker]) -> None:
    """Clause 5.7.3: instances of all, in order of time, each once."""
    a, b, c = brokers
    for broker, days in ((a, (2, 5)), (b, (3, 5, 7)), (c, (4,))):
        for n in days:
            observe(broker, n, power=n if broker is not c else n * 10, **{f"by_{broker.name}": n})
    a.register(b, operations=TEMPORAL_OPS)
    a.register(c, operations=TEMPORAL_OPS, information=[{"entities": [{"type": "Lamp"}], "propertyNames": ["power"]}])
    found = a.ask("GET", f"{EVOLUTION}?{SINCE}&options=temporalValues").body
    assert found["power"]["values"] == [[2, day(2)], [3, day(3)], [40, day(4)], [5, day(5)], [7, day(7)]]
    assert found["by_b"]["values"] == [[3, day(3)], [5, day(5)], [7, day(7)]]
    assert "by_c" not in found, "not registered"
    normal = a.ask("GET", f"{EVOLUTION}?{SINCE}&attrs=power").body
    assert [one["value"] for one in normal["power"]] == [2, 3, 40, 5, 7] and "by_a" not in normal
    assert [
        v for v, _ in a.ask("GET", f"{EVOLUTION}?lastN=2&{SINCE}&options=temporalValues").body["power"]["values"]
    ] == [5, 7]
    shown = a.ask("GET", f"{EVOLUTION}?{SINCE}&options=temporalValues&pick=power").body
    assert set(shown) == {"power"}
    here = a.ask("GET", f"{EVOLUTION}?{SINCE}&options=temporalValues&local=true").body
    assert here["power"]["values"] == [[2, day(2)], [5, day(5)]]


def test_71_evolutions_are_queried(brokers: list[Broker]) -> None:
    """Clause 5.7.4: every entity once, by id, in pages."""
    a, b, _ = brokers
    for broker, numbers in ((a, (1, 3)), (b, (2, 3, 4))):
        for n in numbers:
            observe(broker, n + (broker is b), f"urn:ngsi-ld:Lamp:{n}", power=n)
    a.register(b, operations=TEMPORAL_OPS)
    path = f"/ngsi-ld/v1/temporal/entities?type=Lamp&{SINCE}&options=temporalValues"
    whole = a.ask("GET", f"{path}&count=true")
    assert [one["id"][-1] for one in whole.body] == list("1234") and whole.count == "4"
    assert whole.body[2]["power"]["values"] == [[3, day(3)], [3, day(4)]]
    assert [one["id"][-1] for one in a.ask("GET", f"{path}&limit=2&offset=1").body] == list("23")
    assert [one["id"][-1] for one in a.ask("GET", f"{path}&orderBy=id;desc").body] == list("4321")
    assert [one["id"][-1] for one in a.ask("GET", f"{path}&local=true").body] == list("13")


def test_72_sources_that_are_not_asked_or_do_not_answer(brokers: list[Broker], silent: str) -> None:
    a, b, _ = brokers
    observe(a, 1, power=1)
    observe(b, 2, power=2)
    a.register(b)  # does not offer it
    path = f"{EVOLUTION}?{SINCE}&options=temporalValues"
    assert [v for v, _ in a.ask("GET", path).body["power"]["values"]] == [1]
    a.register(silent, operations=TEMPORAL_OPS, management={"timeout": 300})
    found = a.ask("GET", path)
    assert [v for v, _ in found.body["power"]["values"]] == [1]
    assert len(found.warnings) == 1 and found.warnings[0].startswith("199 ")
    # Two that registered each other: each answers for both, and nothing goes round.
    a.register(b, operations=TEMPORAL_OPS)
    b.register(a, operations=TEMPORAL_OPS)
    assert [v for v, _ in b.ask("GET", path).body["power"]["values"]] == [1, 2]
