"""What the console reads: exact answers about the tiny city."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from madang.hub.queries import live
from madang.model.time import SECOND
from tests.api.tiny_city import CARRIER_A, FARM, INCIDENT, START, TRUCK, TinyCity


def get(client: TestClient, city: TinyCity, path: str, role: str = "officer") -> Any:
    answer = client.get(path, headers=city.auth(role))
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_city(client: TestClient, city: TinyCity) -> None:
    found = get(client, city, "/api/city?lang=ko")
    assert found.pop("clock") == {"now": "2026-11-23T02:14:14Z", "speed": 2.0}
    assert found.pop("version")
    assert found == {"name": "작은 마당", "languages": ["ko", "en"], "bounds": [126.4, 33.3, 126.6, 33.5],
                     "time_zone": "Asia/Seoul", "sample": True, "anonymous_role": ""}  # fmt: skip


@pytest.mark.parametrize(
    ("header", "name"),
    [("ko-KR,ko;q=0.9,en;q=0.8", "작은 마당"), ("en", "Tiny Madang"), ("fr", "Tiny Madang"), ("", "Tiny Madang"),
     ("en;q=0.1, ko;q=0.5", "작은 마당"), ("ko;q=x", "Tiny Madang")],
)  # fmt: skip
def test_the_language_follows_the_browser(client: TestClient, city: TinyCity, header: str, name: str) -> None:
    headers = city.auth("viewer") | {"Accept-Language": header}
    assert client.get("/api/city", headers=headers).json()["name"] == name


def test_layers(client: TestClient, city: TinyCity) -> None:
    layers = get(client, city, "/api/layers")
    assert [layer["order"] for layer in layers] == sorted(layer["order"] for layer in layers)
    assert {"id": "manure.trucks", "title": "Trucks", "entity_type": "Vehicle", "style": "moving", "role": "truck",
            "label": "vehiclePlateIdentifier", "order": 100, "moving": True} in layers  # fmt: skip
    road = get(client, city, "/api/layers/manure.roads")
    assert road == {"type": "FeatureCollection", "features": [
        {"type": "Feature", "id": "urn:ngsi-ld:RoadSegment:r1",
         "geometry": {"type": "LineString", "coordinates": [[126.5, 33.4], [126.6, 33.5]]},
         "properties": {"label": "1100로", "role": "road", "name": "1100로"}}]}  # fmt: skip


def test_a_layer_is_not_sent_twice(client: TestClient, city: TinyCity) -> None:
    first = client.get("/api/layers/manure.roads", headers=city.auth("viewer"))
    again = client.get(
        "/api/layers/manure.roads", headers=city.auth("viewer") | {"If-None-Match": first.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")


def test_live(client: TestClient, city: TinyCity) -> None:
    found = get(client, city, "/api/live")
    assert found["seq"] > 0
    assert found["things"][0] == {
        "id": TRUCK, "type": "Vehicle", "label": "81가 1231", "lon": 126.51, "lat": 33.4, "heading": 90.0, "speed": 41.5,
        "observed_at": "2026-11-23T02:14:10Z", "state": "incident", "severity": "high", "weight_kg": 18001.0, "active": True,
    }  # fmt: skip
    assert [thing["state"] for thing in found["things"]] == ["incident", "ok", "ok", "ok", "ok"]
    assert found["total"] == 5


def test_a_picture_of_too_many_things_is_cut_and_says_so(
    client: TestClient, city: TinyCity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one with an incident stays although others were heard later; then those heard last."""
    everything = get(client, city, "/api/live")["things"]
    monkeypatch.setattr(live, "THINGS_MAX", 3)
    found = get(client, city, "/api/live")
    heard = sorted(everything, key=lambda t: (t["state"] == "incident", t["observed_at"], t["id"]), reverse=True)
    assert [t["id"] for t in found["things"]] == [t["id"] for t in heard[:3]]
    assert (found["things"][0]["id"], found["total"]) == (TRUCK, 5)


def test_a_silent_truck_is_stale_and_one_that_is_switched_off_is_not(
    own_client: TestClient, own_city: TinyCity
) -> None:
    own_city.drive(2, "t3", ign=False)
    own_city.clock.set(own_city.clock.now() + 31_000_000)
    own_city.drive(2, "t2")
    own_city.app.api.feed.flush()
    things = {t["id"][-2:]: t["state"] for t in get(own_client, own_city, "/api/live")["things"]}
    assert things == {"t1": "incident", "t2": "ok", "t3": "ok", "t4": "stale", "t5": "stale"}


def test_the_queue(client: TestClient, city: TinyCity) -> None:
    found = get(client, city, "/api/incidents?state=open,acknowledged")
    assert (found["total"], found["truncated"], found["lanes"]) == (1, False, {"act": 1, "look": 0, "log": 0})
    assert found["items"] == [{
        "id": INCIDENT, "number": "I-2026-000001", "state": "OPEN", "state_title": "Open", "severity": "high", "lane": "act",
        "title": "Unloading outside any permitted place", "sentence": "test.dropped", "subject": TRUCK,
        "subject_label": "81가 1231", "lon": 126.5, "lat": 33.4, "marked_at": "2026-11-23T02:11:14Z",
        "opened_at": "2026-11-23T02:14:14Z", "acknowledged_by": None, "assignee": None, "rules": ["manure.D1"],
        "findings": 1, "withdrawn": False, "version": 1, "unseen": True,
    }]  # fmt: skip
    for path, total in (("?state=resolved", 0), ("?lane=look", 0), ("?rule=manure.D1", 1), ("?rule=manure.D2", 0),
                        ("?text=81가", 1), ("?text=없음", 0), ("?severity=high,low", 1), ("?state=live", 1),
                        (f"?subject={TRUCK}", 1), ("?offset=1", 1)):  # fmt: skip
        assert get(client, city, "/api/incidents" + path)["total"] == total, path
    assert get(client, city, "/api/incidents?offset=1")["items"] == []


def test_the_queue_shows_the_worst_first_and_what_is_done_last(own_client: TestClient, own_city: TinyCity) -> None:
    for situation, severity in (("b", "medium"), ("c", "critical"), ("d", "low"), ("e", "high")):
        own_city.clock.set(own_city.clock.now() + 1_000_000)
        own_city.raise_incident(situation, severity)
    act(own_client, own_city, "urn:ngsi-ld:Incident:I-2026-000003", "resolve", {"cause": "real"})
    found = get(own_client, own_city, "/api/incidents")
    assert [(i["severity"], i["number"][-1]) for i in found["items"]] == [
        ("high", "5"), ("high", "1"), ("medium", "2"), ("low", "4"), ("critical", "3")
    ]  # fmt: skip
    assert found["lanes"] == {"act": 2, "look": 1, "log": 1}


def act(client: TestClient, city: TinyCity, id_: str, action: str, arguments: dict[str, Any], **more: Any) -> Any:
    answer = client.post(
        f"/api/records/{id_}/actions/{action}", headers=city.auth("officer"), json={"arguments": arguments, **more}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["record"]


def test_an_incident_says_why(client: TestClient, city: TinyCity) -> None:
    page = get(client, city, f"/api/incidents/{INCIDENT}")
    (why,) = page["why"]
    assert why == {
        "rule": "manure.D1", "rule_title": "Unloading outside any permitted place", "rule_version": "1", "severity": "high",
        "sentence": "test.dropped", "would_differ": ["test.inside"], "withdrawn": False, "withdrawn_sentence": None, "earlier": [],
        "marked_at": "2026-11-23T02:11:14Z", "completed_at": "2026-11-23T02:14:14Z", "found_at": "2026-11-23T02:14:14Z",
        "measures": [
            {"code": "dropped", "title": "dropped", "value": 2900.0, "limit": 300.0, "relation": ">=", "unit": "kg",
             "met": True, "value_text": "2,900 kg", "limit_text": "300 kg"},
            {"code": "distance", "title": "distance", "value": None, "limit": 30.0, "relation": ">", "unit": "m",
             "met": False, "value_text": "", "limit_text": "30 m"},
        ],
    }  # fmt: skip
    assert page["evidence"] == [{"entity_id": TRUCK, "label": "81가 1231", "attributes": ["grossWeight", "speed"],
                                 "from": "2026-11-23T02:04:14Z", "to": "2026-11-23T02:14:14Z"}]  # fmt: skip
    assert page["involved"] == [{"id": TRUCK, "type": "Vehicle", "label": "81가 1231", "type_title": "Truck"},
                                {"id": FARM, "type": "AgriFarm", "label": "행복농장", "type_title": "Livestock farm"}]  # fmt: skip
    assert [entry["action"] for entry in page["trail"]] == ["open"]
    assert [(step["state"], step["at"]) for step in page["states"]] == [
        ("OPEN", "2026-11-23T02:14:14Z"), ("ACKNOWLEDGED", None), ("IN_PROGRESS", None), ("RESOLVED", None), ("REVIEWED", None)
    ]  # fmt: skip
    acknowledge = next(action for action in page["actions"] if action["name"] == "acknowledge")
    assert (
        acknowledge["allowed"]
        and acknowledge["title"] == "Acknowledge"
        and "escalation stops" in acknowledge["consequence"]
    )
    resolve = next(action for action in page["actions"] if action["name"] == "resolve")
    cause = next(argument for argument in resolve["arguments"] if argument["name"] == "cause")
    assert [choice["value"] for choice in cause["choices"]] == ["real", "false", "test", "device-fault"]
    assert page["deadlines"][0]["due_at"] == "2026-11-23T02:24:14Z"  # high: ten minutes


def test_a_viewer_sees_buttons_with_their_reasons(client: TestClient, city: TinyCity) -> None:
    page = get(client, city, f"/api/incidents/{INCIDENT}", "viewer")
    assert all(not action["allowed"] for action in page["actions"])
    assert page["actions"][0]["reasons"] == ["Your role does not hold the permission incident.act."]


def test_acting_twice_with_one_key_is_acting_once(own_client: TestClient, own_city: TinyCity) -> None:
    headers = own_city.auth("operator") | {"Idempotency-Key": "k1"}
    path = f"/api/records/{INCIDENT}/actions/acknowledge"
    body = {"version": 1, "arguments": {"note": "on it"}}
    first = own_client.post(path, headers=headers, json=body).json()["record"]
    again = own_client.post(path, headers=headers, json=body).json()["record"]
    assert (first["state"], first["version"], again["version"]) == ("ACKNOWLEDGED", 2, 2)
    other = own_client.post(path, headers=headers, json={"version": 2, "arguments": {}})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    page = get(own_client, own_city, f"/api/incidents/{INCIDENT}")
    assert [(e["action"], e["actor"], e["note"]) for e in page["trail"]][1:] == [
        ("acknowledge", "token:a-operator", "on it")
    ]
    assert page["acknowledged_by"] == "token:a-operator" and page["deadlines"] == []


def test_a_conflict_says_what_changed(own_client: TestClient, own_city: TinyCity) -> None:
    act(own_client, own_city, INCIDENT, "acknowledge", {}, version=1)
    answer = own_client.post(
        f"/api/records/{INCIDENT}/actions/resolve", headers=own_city.auth("officer"),
        json={"version": 1, "arguments": {"cause": "real"}},
    )  # fmt: skip
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (409, "version-conflict")
    assert (problem["current_version"], problem["current_state"]) == (2, "ACKNOWLEDGED")
    assert [(c["action"], c["actor"], c["to_state"]) for c in problem["changed"]] == [
        ("acknowledge", "token:a-officer", "ACKNOWLEDGED")
    ]


def test_what_is_not_allowed_says_every_reason(own_client: TestClient, own_city: TinyCity) -> None:
    act(own_client, own_city, INCIDENT, "resolve", {"cause": "false"})
    answer = own_client.post(
        f"/api/records/{INCIDENT}/actions/acknowledge?lang=ko", headers=own_city.auth("officer"), json={}
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "not-allowed")
    assert answer.json()["reasons"] == ["“종결” 상태에서는 할 수 없습니다."]


def test_a_manifests_page(client: TestClient, city: TinyCity) -> None:
    page = get(client, city, f"/api/records/{city.manifests[CARRIER_A]}")
    fields = {field["name"]: field["text"] for field in page["fields"]}
    assert (fields["transporter"], fields["from"], fields["to"]) == ("한라운수", "행복농장", "북부처리장")
    assert fields["plannedAmount"] == "9,000 kg"
    assert fields["plannedAt"] == "23 Nov 12:00:00"
    assert page["state"] == "DRAFT" and page["type_title"]
    assert {(r["id"], r["type"]) for r in page["related"]} >= {(TRUCK, "Vehicle"), (FARM, "AgriFarm")}
    assert [step["state"] for step in page["states"]][:3] == ["DRAFT", "PRECHECKED", "STARTED"]


def test_creating_a_record(own_client: TestClient, own_city: TinyCity) -> None:
    body = {"action": "report", "arguments": {"title": "악취", "severity": "medium", "subject": TRUCK}}
    answer = own_client.post("/api/records/Incident", headers=own_city.auth("operator"), json=body)
    assert answer.status_code == 201
    record = answer.json()["record"]
    assert answer.headers["location"] == f"/api/records/{record['id']}"
    assert record["label"] == "I-2026-000002"
    types = {t["type"]: t for t in get(own_client, own_city, "/api/record-types")}
    assert [action["name"] for action in types["Incident"]["actions"]] == ["report"]


def test_a_things_page(client: TestClient, city: TinyCity) -> None:
    page = get(client, city, f"/api/entities/{TRUCK}")
    values = {a["name"]: a for a in page["attributes"]}
    assert values["grossWeight"] == {
        "name": "grossWeight", "title": "Gross weight", "value": 18001, "text": "18,001 kg", "unit": "kg",
        "kind": "Property", "observed_at": "2026-11-23T02:14:10Z", "age_s": 4.0,
    }  # fmt: skip
    assert values["owner"]["text"] == "한라운수"
    assert (page["label"], page["type_title"], page["kind"]) == ("81가 1231", "Truck", "thing")
    assert page["location"] == {"type": "Point", "coordinates": [126.51, 33.4]}
    assert [incident["id"] for incident in page["incidents"]] == [INCIDENT]
    assert [record["id"] for record in page["records"]] == [city.manifests[CARRIER_A]]
    (row,) = page["derived"]
    assert (row["type"], row["amount"], row["startedAt"]) == ("ManureUnloading", 2900, "2026-11-23T02:00:00Z")


def test_history(own_client: TestClient, own_city: TinyCity) -> None:
    for number in range(2, 7):
        own_city.drive(number, weight=18_000 + number)
    path = f"/api/entities/{TRUCK}/history?attributes=grossWeight,location"
    found = get(own_client, own_city, path)
    assert found["series"]["grossWeight"]["v"] == [18001, 18002, 18003, 18004, 18005, 18006]
    assert found["series"]["grossWeight"]["unit"] == "kg"
    assert found["series"]["location"]["v"][-1] == [126.5, 33.4]
    assert found["series"]["grossWeight"]["t"][0] == START / 1000 + 1000
    assert found["truncated"] is False
    cut = get(own_client, own_city, path + "&limit=2")
    assert (cut["series"]["grossWeight"]["v"], cut["truncated"]) == ([18005, 18006], True)
    window = get(own_client, own_city, path + "&from=2026-11-23T02:14:15Z&to=2026-11-23T02:14:17Z")
    assert window["series"]["grossWeight"]["v"] == [18002, 18003]


def test_sources_and_quarantine(own_client: TestClient, own_city: TinyCity) -> None:
    source = next(s for s in get(own_client, own_city, "/api/sources") if s["id"] == "manure-terminals")
    assert (source["state"], source["accepted"], source["rejected"], source["devices"]) == ("ok", 5, 1, 5)
    assert source["quarantined"] == 1 and "PUBACK means" in source["acknowledgement"]
    (row,) = get(own_client, own_city, "/api/quarantine?source=manure-terminals")
    assert (row["payload"], row["topic"]) == ("{broken", "manure/t1/telemetry")
    answer = own_client.post(f"/api/quarantine/{row['id']}/replay", headers=own_city.auth("admin"))
    assert answer.json()["status"] == "rejected"


def test_a_silent_source_is_said_on_its_page_in_the_figures_and_as_an_incident(
    own_client: TestClient, own_city: TinyCity
) -> None:
    own_city.hub.tick()
    own_city.clock.set(own_city.clock.now() + (40 * 3_600 + 11) * SECOND)  # a weekend's rest, and the ten of a look
    own_city.hub.tick()
    states = {s["id"]: s["state"] for s in get(own_client, own_city, "/api/sources")}
    assert states == {"manure-terminals": "silent", "manure-push": "never"}
    text = own_client.get("/metrics", headers=own_city.auth("operator")).text
    assert 'madang_source_silent{source="manure-terminals"} 1.0' in text
    assert 'madang_source_silent{source="manure-push"} 0.0' in text
    (one,) = get(own_client, own_city, "/api/incidents?rule=platform.silence")["items"]
    assert (one["severity"], one["title"]) == ("medium", "A source is silent")
    assert one["sentence"].startswith("Nothing from ")
    assert own_client.get(f"/api/incidents/{one['id']}", headers=own_city.auth("viewer")).status_code == 200


def test_search_indicators_and_parameters(client: TestClient, city: TinyCity) -> None:
    assert [n["id"] for n in get(client, city, "/api/search?text=행복")] == [FARM]
    assert get(client, city, "/api/search") == []
    assert isinstance(get(client, city, "/api/indicators"), list)
    parameters = {p["name"]: p["value"] for p in get(client, city, "/api/parameters")}
    assert parameters["manure.discharge_min_kg"] == 300
