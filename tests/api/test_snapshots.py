"""Snapshots over HTTP (clauses 5.2.41, 5.3.4, 5.5.15, 5.16, 6.3.22). Expected answers are those of the conformance suite (5161_01,
IOP_EXT_MSC_01_05 and 06) or follow from the clause that a test names."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from madang.api.app import create_app
from madang.api.handlers.ngsild import snapshots as handlers
from madang.api.state import ApiSettings
from madang.hub.hub import Hub
from madang.model.caller import SYSTEM
from madang.model.time import DAY, HOUR, render_instant
from madang.services.manure import SERVICE
from tests.api.test_entity_maps import ERRORS, Boats, id_of, numbers
from tests.api.test_federation import Net, Two, boat
from tests.api.tiny_city import CARRIER_B, TRUCK, TinyCity, build_city, close_city
from tests.hub.tenants_bench import opened
from tests.stores.any_store import open_any

ENTITIES, SNAPSHOTS, TEMPORAL = "/ngsi-ld/v1/entities", "/ngsi-ld/v1/snapshots", "/ngsi-ld/v1/temporal"
QUERY = {"type": "Query", "entities": [{"type": "Boat"}]}
ALWAYS = {"timerel": "after", "timeAt": "2000-01-01T00:00:00Z", "timeproperty": "createdAt"}


class Shots(Boats):
    """And snapshots of them."""

    def freeze(self, *queries: dict[str, Any], **members: Any) -> dict[str, Any]:
        """A new snapshot, when it is ready."""
        body = {"type": "Snapshot", **({"snapshotQueries": list(queries)} if queries else {}), **members}
        return self.ready(self.ask("POST", SNAPSHOTS, body, status=201).headers["location"])

    def ready(self, where: str) -> dict[str, Any]:
        for _ in range(200):
            found: dict[str, Any] = self.ask("GET", where).json()
            if found["snapshotStatus"] != "preparing":
                return found
            time.sleep(0.02)
        raise AssertionError("not ready")

    def look(
        self, snapshot: dict[str, Any], path: str, *, status: int = 200, method: str = "GET", body: Any = None
    ) -> Any:
        answer = self.ask(method, path, body, status=status, **{"NGSILD-Snapshot": snapshot["id"]})
        if status == 200:
            assert answer.headers["ngsild-snapshot"] == snapshot["id"]
        return answer


@pytest.fixture
def shots(own_city: TinyCity, own_client: TestClient) -> Shots:
    return Shots(own_city, own_client)


def where(snapshot: dict[str, Any]) -> str:
    return f"{SNAPSHOTS}/{snapshot['id']}"


# ── create and read ─────────────────────────────────────────────────────────


def test_1_a_snapshot_is_frozen(shots: Shots) -> None:
    """5161_01_01."""
    shots.put(1, speed=30)
    shots.put(2, speed=80)
    shot = shots.freeze({**QUERY, "q": "speed>50"})
    now = render_instant(shots.now)
    assert shot == {
        "id": shot["id"], "type": "Snapshot", "snapshotQueries": [{**QUERY, "q": "speed>50"}], "snapshotPriority": 5,
        "snapshotStatus": "success", "snapshotQueriesDetails": [{"resultStatus": "success"}], "createdAt": now,
        "modifiedAt": now, "lastUsedAt": now, "expiresAt": render_instant(shots.now + 7 * DAY),
    }  # fmt: skip
    assert numbers(shots.look(shot, f"{ENTITIES}?type=Boat")) == [2]
    change = {"speed": {"type": "Property", "value": 10}}
    shots.ask("PATCH", f"{ENTITIES}/{id_of(2)}/attrs", change, status=204)
    shots.put(3)
    assert shots.look(shot, f"{ENTITIES}/{id_of(2)}").json()["speed"]["value"] == 80
    assert shots.ask("GET", f"{ENTITIES}/{id_of(2)}").json()["speed"]["value"] == 10
    shots.delete(2)
    assert shots.look(shot, f"{ENTITIES}/{id_of(2)}?options=keyValues").json()["speed"] == 80
    assert numbers(shots.look(shot, f"{ENTITIES}?type=Boat&count=true")) == [2]
    shots.look(shot, f"{ENTITIES}/{id_of(1)}", status=404)
    shots.ask("DELETE", where(shot), status=204)
    shots.look(shot, f"{ENTITIES}?type=Boat", status=404)


def test_2_everything_that_reads_reads_it(shots: Shots) -> None:
    shots.put(1, 2, 3)
    shot = shots.freeze(QUERY)
    for n in (1, 2):
        shots.delete(n)
    assert shots.look(shot, "/ngsi-ld/v1/types").json()["typeList"] == ["Boat"]
    assert shots.look(shot, "/ngsi-ld/v1/types/Boat").json()["entityCount"] == 3
    assert shots.look(shot, "/ngsi-ld/v1/attributes").json()["attributeList"] == ["speed"]
    assert shots.look(shot, "/ngsi-ld/v1/attributes/speed").json()["attributeCount"] == 3
    assert numbers(shots.look(shot, "/ngsi-ld/v1/entityOperations/query", method="POST", body=QUERY)) == [1, 2, 3]
    ordered = shots.look(shot, f"{ENTITIES}?type=Boat&orderBy=id;desc&limit=2&count=true")
    assert (
        numbers(ordered) == [3, 2]
        and ordered.headers["ngsild-results-count"] == "3"
        and "offset=2" in ordered.headers["link"]
    )
    mapped = shots.ask(
        "GET", f"{ENTITIES}?type=Boat&entityMap=true&limit=1", status=201, **{"NGSILD-Snapshot": shot["id"]}
    )
    both = {"NGSILD-Snapshot": shot["id"], "NGSILD-EntityMap": mapped.headers["ngsild-entitymap"]}
    assert numbers(shots.ask("GET", f"{ENTITIES}?type=Boat&offset=1", **both)) == [2, 3]
    wide = shots.look(shot, f"{ENTITIES}?type=Boat&options=sysAttrs").json()[0]
    assert wide["createdAt"] == wide["speed"]["createdAt"] == shot["createdAt"]


def test_3_nothing_is_changed_in_it(shots: Shots) -> None:
    """Refused, because a write that passes the header over would go into what is now."""
    shots.put(1)
    shot = shots.freeze(QUERY)
    for method, path, body in (
        ("POST", ENTITIES, {"id": "urn:x:1", "type": "Boat"}), ("DELETE", f"{ENTITIES}/{id_of(1)}", None),
        ("POST", "/ngsi-ld/v1/entityOperations/delete", [id_of(1)]), ("POST", "/ngsi-ld/v1/subscriptions", {}),
        ("GET", where(shot), None),
    ):  # fmt: skip
        refused = shots.look(shot, path, method=method, body=body, status=422)
        assert refused.json()["type"] == f"{ERRORS}OperationNotSupported"
    assert numbers(shots.ask("GET", f"{ENTITIES}?type=Boat")) == [1]


WRONG: list[dict[str, Any]] = [
    {}, {"snapshotQueries": []}, {"snapshotQueries": QUERY}, {"snapshotQueries": [{"entities": [{"type": "Boat"}]}]},
    {"snapshotQueries": [{**QUERY, "temporalQ": ALWAYS}]}, {"snapshotTemporalQueries": [QUERY]},
    {"snapshotQueries": [QUERY], "type": "Snap"}, {"snapshotQueries": [QUERY], "id": "no uri"},
    {"snapshotQueries": [QUERY], "snapshotPriority": 11}, {"snapshotQueries": [QUERY], "snapshotPriority": True},
    {"snapshotQueries": [QUERY], "snapshotLifetime": "1 day"}, {"snapshotQueries": [QUERY], "colour": "blue"},
    {"snapshotQueries": [QUERY], "endpoint": "ftp://a.example"}, {"snapshotQueries": [QUERY], "endpoint": 5},
    {"snapshotQueries": [QUERY], "receiverInfo": [{"key": "Host", "value": "a"}]},
]  # fmt: skip


@pytest.mark.parametrize("members", WRONG, ids=str)
def test_4_a_wrong_snapshot_is_refused(shots: Shots, members: dict[str, Any]) -> None:
    """5161_01_02; 5.2.41."""
    refused = shots.ask("POST", SNAPSHOTS, {"type": "Snapshot", **members}, status=400)
    assert refused.json()["type"] == f"{ERRORS}BadRequestData"


def test_5_ids(shots: Shots) -> None:
    """5161_01_02; 5.16.1.4: one that is known already."""
    shots.ask("GET", f"{ENTITIES}?type=Boat", status=404, **{"NGSILD-Snapshot": "urn:ngsi-ld:snapshot:absent"})
    assert shots.freeze(QUERY, id="urn:s:1")["id"] == "urn:s:1"
    again = shots.ask("POST", SNAPSHOTS, {"type": "Snapshot", "id": "urn:s:1", "snapshotQueries": [QUERY]}, status=409)
    assert again.json()["type"] == f"{ERRORS}AlreadyExists"
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/clone")):
        body = None if method in ("GET", "DELETE") else {}
        assert (
            shots.ask(method, f"{SNAPSHOTS}/urn:s:2{path}", body, status=404).json()["type"]
            == f"{ERRORS}ResourceNotFound"
        )
        assert (
            shots.ask(method, f"{SNAPSHOTS}/no%20uri{path}", body, status=400).json()["type"]
            == f"{ERRORS}BadRequestData"
        )


def test_6_several_queries(shots: Shots) -> None:
    """5.16.1.4: success, partial and failure go by query; what two queries find of an entity stands together, and no more of it than they
    ask for."""
    body = {"id": id_of(1), "type": "Boat", **{n: {"type": "Property", "value": 1} for n in ("speed", "load", "crew")}}
    shots.ask("POST", ENTITIES, body, status=201)
    shot = shots.freeze({**QUERY, "attrs": ["speed"]}, {**QUERY, "pick": ["id", "load"]})
    assert shot["snapshotStatus"] == "success"
    assert shots.look(shot, f"{ENTITIES}/{id_of(1)}?options=keyValues").json() == {
        "id": id_of(1), "type": "Boat", "speed": 1, "load": 1,
    }  # fmt: skip
    none = {"type": "Query", "entities": [{"type": "Void"}]}
    wrong = {"type": "Query", "entities": [{"type": "Boat"}], "q": "speed>>1"}
    partly = shots.freeze({**QUERY, "omit": ["crew"]}, none, wrong)
    assert partly["snapshotStatus"] == "partial"
    details = partly["snapshotQueriesDetails"]
    assert [detail["resultStatus"] for detail in details] == ["success", "empty", "failure"]
    assert details[2]["problemDetails"]["type"] == f"{ERRORS}BadRequestData"
    assert "crew" not in shots.look(partly, f"{ENTITIES}/{id_of(1)}").json()
    empty = shots.freeze(none)
    assert empty["snapshotStatus"] == "failure" and shots.look(empty, f"{ENTITIES}?type=Void").json() == []


def test_7_too_much(shots: Shots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "ENTITIES_MAX", 2)
    shots.put(1, 2, 3)
    shot = shots.freeze(QUERY, {"type": "Query", "entities": [{"type": "Boat", "id": [id_of(1), id_of(2)]}]})
    details = shot["snapshotQueriesDetails"]
    assert [detail["resultStatus"] for detail in details] == ["failure", "success"]
    assert details[0]["problemDetails"]["type"] == f"{ERRORS}TooManyResults"
    assert numbers(shots.look(shot, f"{ENTITIES}?type=Boat")) == [1, 2]


def test_8_in_an_at_context(shots: Shots) -> None:
    context = {"ship": "https://a.example/Ship", "pace": "https://a.example/pace"}
    ship = {"id": "urn:x:1", "type": "ship", "pace": {"type": "Property", "value": 7}, "@context": context}
    ld = {"Content-Type": "application/ld+json"}
    shots.ask("POST", ENTITIES, ship, status=201, **ld)
    body = {
        "type": "Snapshot",
        "@context": context,
        "snapshotQueries": [{"type": "Query", "entities": [{"type": "ship"}], "q": "pace==7"}],
    }
    made = shots.ask("POST", SNAPSHOTS, body, status=201, **ld)
    shot = shots.ready(made.headers["location"])
    assert shot["snapshotStatus"] == "success" and shot["snapshotQueries"] == body["snapshotQueries"]
    named = shots.ask("GET", where(shot), Accept="application/ld+json").json()
    assert named["@context"] == context or context in named["@context"]
    found = shots.look(shot, f"{ENTITIES}?type=https://a.example/Ship&options=keyValues").json()
    assert found == [{"id": "urn:x:1", "type": "https://a.example/Ship", "https://a.example/pace": 7}]


# ── update, clone, delete, purge ────────────────────────────────────────────


def test_9_update(shots: Shots) -> None:
    """5161_01_03; table 5.2.41-2: lifetime moves expiresAt, within the limit."""
    shot = shots.freeze(QUERY)
    changed = shots.ask(
        "PATCH", where(shot), {"snapshotPriority": 2, "snapshotLifetime": "PT1H", "snapshotStatus": "x"}
    ).json()
    assert (changed["snapshotPriority"], changed["expiresAt"]) == (2, render_instant(shots.now + HOUR))
    assert changed["snapshotStatus"] == "failure"
    longest = shots.ask("PATCH", where(shot), {"snapshotLifetime": "P99Y", "snapshotPriority": None}).json()
    assert (longest["expiresAt"], longest["snapshotPriority"]) == (render_instant(shots.now + 366 * DAY), 5)
    for wrong in ({"snapshotQueries": []}, {"id": "urn:x:1"}, {"snapshotPriority": 0}, {"colour": 1}, {"type": "x"}):
        shots.ask("PATCH", where(shot), wrong, status=400)
    shots.ask("PATCH", where(shot), {"snapshotLifetime": "PT1S"})
    shots.city.clock.set(shots.now + 2_000_000)
    shots.ask("GET", where(shot), status=404)
    shots.look(shot, f"{ENTITIES}?type=Boat", status=404)


def test_10_clone_and_purge(shots: Shots) -> None:
    """5161_01_03."""
    shots.put(1, 2)
    shot = shots.freeze(QUERY, snapshotPriority=4)
    made = shots.ask("POST", f"{where(shot)}/clone", {"type": "Snapshot", "snapshotPriority": 9}, status=201)
    clone = shots.ready(made.headers["location"])
    assert (clone["snapshotStatus"], clone["snapshotPriority"], clone["snapshotQueries"]) == ("success", 9, [QUERY])
    assert clone["id"] != shot["id"]
    shots.ask("POST", f"{where(shot)}/clone", {"snapshotQueries": [QUERY]}, status=400)
    bare = shots.client.post(f"{where(shot)}/clone", headers=shots.city.auth("admin"), content=b"")
    assert bare.status_code == 201 and shots.ready(bare.headers["location"])["snapshotPriority"] == 5
    for wrong in ("", "?q=speed>50", "?q=snapshotPriority>", "?colour=1"):
        shots.ask("DELETE", SNAPSHOTS + wrong, status=400)
    shots.ask("DELETE", f"{SNAPSHOTS}?q=snapshotPriority<5", status=204)
    shots.ask("GET", where(shot), status=404)
    assert numbers(shots.look(clone, f"{ENTITIES}?type=Boat")) == [1, 2]
    later = render_instant(shots.now + DAY)
    shots.ask("DELETE", f"{SNAPSHOTS}?q=expiresAt>%22{later}%22;snapshotStatus==%22success%22", status=204)
    shots.ask("GET", where(clone), status=404)
    with shots.city.hub.store.read() as read:
        assert read.list_documents("snapshot") == read.list_documents("snapshot-part") == []


def test_11_last_used(shots: Shots) -> None:
    shots.put(1)
    shot = shots.freeze(QUERY)
    shots.city.clock.set(shots.now + HOUR)
    shots.look(shot, f"{ENTITIES}?type=Boat")
    assert shots.ask("GET", where(shot)).json()["lastUsedAt"] == render_instant(shots.now)
    shots.city.hub.store.write(shots.city.hub.snapshots.save_in).result(5)
    assert shots.ask("GET", where(shot)).json()["lastUsedAt"] == render_instant(shots.now)


def test_12_it_survives_a_restart(tmp_path: Path) -> None:
    city = build_city(tmp_path)
    with TestClient(city.app) as client:
        shots = Shots(city, client)
        shots.put(1, 2)
        shot = shots.freeze(
            QUERY,
            {"type": "Query", "entities": [{"type": "Vehicle"}]},
            snapshotTemporalQueries=[{**QUERY, "temporalQ": ALWAYS}],
        )
        shots.delete(1)
        before = shots.look(shot, f"{ENTITIES}?type=Boat,Vehicle&options=sysAttrs").json()
        evolved = shots.look(shot, f"{TEMPORAL}/entities/{id_of(1)}").json()
    close_city(city)
    store = open_any(tmp_path / "data", city.clock)
    hub = Hub(store, city.clock, [SERVICE], city.hub.city)
    with TestClient(create_app(hub, ApiSettings(console_dir=tmp_path))) as client:
        again = Shots(city, client)
        assert again.look(shot, f"{ENTITIES}?type=Boat,Vehicle&options=sysAttrs").json() == before
        assert again.look(shot, f"{TEMPORAL}/entities/{id_of(1)}").json() == evolved
        # One that the stop interrupted has failed.
        interrupted = hub.snapshots.create(SYSTEM, {"id": "urn:s:cut", "type": "Snapshot", "snapshotQueries": [QUERY]})
        assert interrupted.result(5).status == "preparing"
        cut = {"id": "urn:s:cut"}
        assert again.ask("GET", where(cut)).json()["snapshotStatus"] == "preparing"
        assert again.look(cut, f"{ENTITIES}?type=Boat", status=409).json()["type"] == f"{ERRORS}Conflict"
        city.clock.set(city.clock.now() + HOUR)
        assert again.ask("GET", where(cut)).json()["snapshotStatus"] == "failure"
    hub.stop()
    store.close()


# ── evolutions ──────────────────────────────────────────────────────────────


def test_13_evolutions(shots: Shots) -> None:
    """5.2.41 snapshotTemporalQueries: the temporal API reads what they found, the others do not."""
    shots.put(1, 2)
    for speed in (60, 70):
        shots.city.clock.set(shots.now + HOUR)
        change = {"speed": {"type": "Property", "value": speed, "observedAt": render_instant(shots.now)}}
        shots.ask("PATCH", f"{ENTITIES}/{id_of(1)}/attrs", change, status=204)
    window = "timerel=after&timeAt=2000-01-01T00:00:00Z"
    path = f"{TEMPORAL}/entities?type=Boat&{window}"
    now = shots.ask("GET", path).json()
    query = {**QUERY, "temporalQ": {"timerel": "after", "timeAt": "2000-01-01T00:00:00Z"}}
    shot = shots.freeze(snapshotTemporalQueries=[query])
    assert shot["snapshotTemporalQueriesDetails"] == [{"resultStatus": "success"}]
    shots.city.clock.set(shots.now + HOUR)
    change = {"speed": {"type": "Property", "value": 5, "observedAt": render_instant(shots.now)}}
    shots.ask("PATCH", f"{ENTITIES}/{id_of(1)}/attrs", change, status=204)
    assert shots.look(shot, path).json() == now
    assert [i["value"] for i in now[0]["speed"]] == [60, 70] and len(now) == 1
    figures = f"{path}&options=aggregatedValues&aggrMethods=avg,totalCount"
    (found,) = shots.look(shot, figures).json()
    assert found["speed"]["avg"][0][0] == 65 and found["speed"]["totalCount"][0][0] == 2
    last = shots.look(shot, f"{TEMPORAL}/entities/{id_of(1)}?{window}&lastN=1&options=temporalValues").json()
    assert [value for value, _ in last["speed"]["values"]] == [70]
    assert (
        numbers(shots.look(shot, f"{path}&q=speed>65")) == [1] and numbers(shots.look(shot, f"{path}&q=speed>75")) == []
    )
    body = shots.look(shot, f"{TEMPORAL}/entityOperations/query", method="POST", body=query)
    assert numbers(body) == [1]
    shots.ask("POST", f"{ENTITIES}/{id_of(1)}/attrs", {"scope": "/Sea"}, status=204)
    scoped = shots.freeze(snapshotTemporalQueries=[query])
    shots.ask("POST", f"{ENTITIES}/{id_of(1)}/attrs", {"scope": "/Port"}, status=204)
    by_scope = [shots.look(scoped, f"{path}&scopeQ=/{name}").json() for name in ("Sea", "Port")]
    assert [len(found) for found in by_scope] == [1, 0]
    assert shots.look(shot, f"{ENTITIES}?type=Boat").json() == []
    assert shots.look(shots.freeze(QUERY), path).json() == []


# ── who sees what ───────────────────────────────────────────────────────────


def test_14_a_snapshot_is_no_way_round_policy(shots: Shots) -> None:
    """Each reader sees of it what it may see; what the maker may not see is not in it."""
    body = {"id": id_of(1), "type": "Boat", "driver": {"type": "Property", "value": "Kim"}}
    shots.ask("POST", ENTITIES, body, status=201)
    vehicles = {"type": "Query", "entities": [{"type": "Vehicle"}]}
    whole = shots.freeze(QUERY, vehicles)
    assert "Kim" in shots.look(whole, f"{ENTITIES}/{id_of(1)}").text
    viewer, carrier = (Shots(shots.city, shots.client, role) for role in ("viewer", "carrier"))
    assert "Kim" not in viewer.look(whole, f"{ENTITIES}/{id_of(1)}").text
    # A snapshot is its maker's and the city's; an outsider has its own.
    carrier.look(whole, f"{ENTITIES}?type=Vehicle", status=404)
    carrier.ask("GET", where(whole), status=404)
    own = carrier.freeze(vehicles)
    visible = carrier.ask("GET", f"{ENTITIES}?type=Vehicle").json()
    assert carrier.look(own, f"{ENTITIES}?type=Vehicle").json() == visible != []
    assert shots.look(own, f"{ENTITIES}?type=Vehicle").json() == visible
    masked = viewer.freeze(QUERY)
    assert "Kim" not in shots.look(masked, f"{ENTITIES}/{id_of(1)}").text
    # Who only looks changes its own; who may write, all.
    viewer.ask("DELETE", where(whole), status=404)
    viewer.ask("PATCH", where(whole), {"snapshotPriority": 1}, status=404)
    viewer.ask("DELETE", f"{SNAPSHOTS}?q=snapshotPriority>0", status=204)
    shots.ask("GET", where(whole))
    shots.ask("GET", where(masked), status=404)
    shots.ask("DELETE", where(own), status=204)


def test_15_who_owns_what_is_asked_of_today(shots: Shots) -> None:
    """A stop names a truck, not its carrier: whose the truck is tells the city, not the snapshot, which has no trucks."""
    stop = {"id": "urn:x:stop", "type": "VehicleStop", "vehicle": {"type": "Relationship", "object": TRUCK}}
    shots.ask("POST", ENTITIES, stop, status=201)
    carrier = Shots(shots.city, shots.client, "carrier")
    own = carrier.freeze({"type": "Query", "entities": [{"type": "VehicleStop"}]})
    assert [e["id"] for e in carrier.look(own, f"{ENTITIES}?type=VehicleStop").json()] == ["urn:x:stop"]
    sold = {"owner": {"type": "Relationship", "object": CARRIER_B}}
    shots.ask("PATCH", f"{ENTITIES}/{TRUCK}/attrs", sold, status=204)
    assert carrier.ask("GET", f"{ENTITIES}?type=VehicleStop").json() == []
    assert carrier.look(own, f"{ENTITIES}?type=VehicleStop").json() == []
    carrier.look(own, f"{ENTITIES}/urn:x:stop", status=404)


# ── context sources, endpoint ───────────────────────────────────────────────


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    two = Two(tmp_path)
    with two.client, two.other:
        yield two
    close_city(two.here)
    close_city(two.there)


def test_16_sources_take_part(two: Two) -> None:
    """5161_01_05, IOP_EXT_MSC_01_05 and 06; 5.5.15: reading a snapshot asks nobody."""
    shots = Shots(two.here, two.client)
    two.register()
    two.ask("POST", f"{ENTITIES}?local=true", boat("urn:x:1", n=1), status=201)
    two.ask_there("POST", ENTITIES, boat("urn:x:2", n=2), status=201)
    shot = shots.freeze(QUERY)
    assert shot["snapshotStatus"] == "success"
    asked = len(two.net.heard)
    found = shots.look(shot, f"{ENTITIES}?type=Boat&options=keyValues").json()
    assert found == [boat("urn:x:1", n=1), boat("urn:x:2", n=2)]
    assert shots.look(shot, f"{ENTITIES}/urn:x:2?options=keyValues").json() == boat("urn:x:2", n=2)
    assert len(two.net.heard) == asked
    two.net.brokers.clear()
    alone = shots.freeze(QUERY)
    (detail,) = alone["snapshotQueriesDetails"]
    assert detail["resultStatus"] == "success" and "199 there.example" in detail["problemDetails"]["detail"]
    void = shots.freeze({"type": "Query", "entities": [{"type": "Boat"}], "q": "n==9"})
    assert void["snapshotQueriesDetails"][0]["resultStatus"] == "failure"


def test_17_the_endpoint_is_told(tmp_path: Path) -> None:
    """5.16.6, 5.3.4."""
    net = Net()
    net.answers["told.example"] = 200, b""
    city = build_city(tmp_path, http=net)
    with TestClient(city.app) as client:
        shots = Shots(city, client)
        shots.put(1)
        pairs = [{"key": "X-Key", "value": "secret"}]
        shot = shots.freeze(QUERY, endpoint="http://told.example/here", receiverInfo=pairs)
        shots.ask("PATCH", where(shot), {"snapshotPriority": 1})
        for _ in range(100):
            if len(net.heard) == 2:
                break
            time.sleep(0.02)
        (method, url, headers, body), (_, _, _, second) = net.heard
    close_city(city)
    assert (method, url, headers["X-Key"]) == ("POST", "http://told.example/here", "secret")
    assert body["id"].startswith("urn:ngsi-ld:SnapshotNotification:")
    assert body == {
        "id": body["id"], "type": "SnapshotNotification", "snapshotId": shot["id"], "snapshotStatus": "success",
        "snapshotPriority": 5, "expiresAt": shot["expiresAt"], "notifiedAt": shot["createdAt"],
        "snapshotQueriesDetails": [{"resultStatus": "success"}],
    }  # fmt: skip
    assert second["snapshotPriority"] == 1


# ── tenants ─────────────────────────────────────────────────────────────────


def test_18_a_tenant_has_its_own(tmp_path: Path) -> None:
    """4.14: to another tenant a map or a snapshot is not there (5141_02_01, 5141_02_02)."""
    with opened(tmp_path) as bench:
        for tenant in ("alpha", "beta"):
            assert (
                bench.ask("POST", "/entities", {"id": "urn:x:1", "type": "Boat", tenant: 1}, tenant).status_code == 201
            )
        made = bench.ask("GET", "/entityMaps?type=Boat", None, "alpha")
        assert made.status_code == 201 and list(made.json()["entityMap"]) == ["urn:x:1"]
        body = {"type": "Snapshot", "id": "urn:s:1", "snapshotQueries": [QUERY]}
        assert bench.ask("POST", "/snapshots", body, "alpha").status_code == 201
        of_map = made.headers["location"].removeprefix("/ngsi-ld/v1")
        for path in (of_map, "/snapshots/urn:s:1"):
            assert bench.ask("GET", path, None, "alpha").status_code == 200
            for method in ("GET", "DELETE"):
                assert bench.ask(method, path, None, "beta").status_code == 404
                assert bench.ask(method, path, None, None).status_code == 404
        assert bench.ask("POST", "/snapshots", body, "beta").status_code == 201
        assert bench.ask("DELETE", "/snapshots?q=snapshotPriority>0", None, "beta").status_code == 204
        assert bench.ask("GET", "/snapshots/urn:s:1", None, "alpha").status_code == 200
        assert bench.ask("GET", of_map, None, "alpha").status_code == 200
