"""What a carrier sees over the API: its own trucks, manifests and trips, the map, nothing of others. Every list, page, file and
stream obeys the same rule."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.api.tiny_city import CARRIER_A, CARRIER_B, INCIDENT, OTHER_TRUCK, TRUCK, TinyCity

OWN = [f"urn:ngsi-ld:Vehicle:t{n}" for n in (1, 2, 3)]
NGSILD = "/ngsi-ld/v1/entities"


def get(client: TestClient, city: TinyCity, path: str, role: str = "carrier") -> Any:
    answer = client.get(path, headers=city.auth(role))
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_lists_hold_its_own(client: TestClient, city: TinyCity) -> None:
    assert [row["id"] for row in get(client, city, "/api/tables/Vehicle?sort=id")["rows"]] == OWN
    assert get(client, city, "/api/tables/Vehicle")["total"] == 3
    assert [t["id"] for t in get(client, city, "/api/live")["things"]] == OWN
    assert [e["id"] for e in get(client, city, f"{NGSILD}?type=Vehicle")] == OWN
    manifests = get(client, city, "/api/tables/ManureManifest")
    assert [row["id"] for row in manifests["rows"]] == [city.manifests[CARRIER_A]]
    assert {t["entity_type"]: t["count"] for t in get(client, city, "/api/tables")}["Vehicle"] == 3
    csv = client.get("/api/tables/Vehicle.csv", headers=city.auth("carrier")).text
    assert TRUCK in csv and OTHER_TRUCK not in csv
    assert [n["id"] for n in get(client, city, "/api/search?text=가 123") if n["type"] == "Vehicle"] == OWN
    headers = client.get(f"{NGSILD}?type=Vehicle&count=true&limit=1", headers=city.auth("carrier")).headers
    assert headers["ngsild-results-count"] == "3"


def test_the_trips_of_its_trucks_are_its_own(client: TestClient, city: TinyCity) -> None:
    assert get(client, city, "/api/tables/ManureUnloading")["total"] == 1
    page = get(client, city, f"/api/entities/{TRUCK}")
    assert [row["type"] for row in page["derived"]] == ["ManureUnloading"]
    assert page["incidents"] == []


def test_mixed_types_in_one_query(client: TestClient, city: TinyCity) -> None:
    found = get(client, city, f"{NGSILD}?type=Vehicle,Organization,ManureManifest&limit=4&options=keyValues")
    assert [e["id"] for e in found] == sorted([CARRIER_A, CARRIER_B, city.manifests[CARRIER_A], OWN[0]])
    rest = get(client, city, f"{NGSILD}?type=Vehicle,Organization,ManureManifest&limit=4&offset=4")
    assert [e["id"] for e in rest] == OWN[1:]


@pytest.mark.parametrize(
    "path",
    [f"/api/entities/{OTHER_TRUCK}", f"/api/entities/{OTHER_TRUCK}/history", f"{NGSILD}/{OTHER_TRUCK}",
     f"{NGSILD}/{INCIDENT}", f"/api/records/{INCIDENT}"],
)  # fmt: skip
def test_what_is_not_its_own_is_not_there(client: TestClient, city: TinyCity, path: str) -> None:
    assert client.get(path, headers=city.auth("carrier")).status_code == 404


def test_another_carriers_manifest_can_neither_be_seen_nor_changed(client: TestClient, city: TinyCity) -> None:
    other = city.manifests[CARRIER_B]
    assert client.get(f"/api/records/{other}", headers=city.auth("carrier")).status_code == 404
    answer = client.post(f"/api/records/{other}/actions/cancel", headers=city.auth("carrier"), json={"arguments": {}})
    assert answer.status_code == 404


def test_what_is_refused_outright(client: TestClient, city: TinyCity) -> None:
    for path in (
        "/api/incidents",
        "/api/tables/Incident",
        "/api/tables/OdourComplaint",
        "/api/indicators",
        "/api/sources",
    ):
        answer = client.get(path, headers=city.auth("carrier"))
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), path


def test_the_map_is_for_everybody_and_layers_of_others_things_are_empty(client: TestClient, city: TinyCity) -> None:
    assert len(get(client, city, "/api/layers/manure.roads")["features"]) == 1
    own = [f["id"] for f in get(client, city, "/api/layers/manure.trucks")["features"]]
    assert own == OWN
    assert len(get(client, city, "/api/layers/manure.trucks", "viewer")["features"]) == 5
    # The cache for city staff must not leak to a party, nor the other way round.
    assert [f["id"] for f in get(client, city, "/api/layers/manure.trucks")["features"]] == OWN


def test_a_farm_sees_the_manifests_that_name_it(client: TestClient, city: TinyCity) -> None:
    assert get(client, city, "/api/tables/ManureManifest", "farm")["total"] == 2
    assert get(client, city, "/api/tables/ManureManifest", "plant")["total"] == 2
    assert get(client, city, "/api/live", "farm")["things"] == []


def test_names_of_people_are_for_those_who_act(client: TestClient, city: TinyCity) -> None:
    id_ = city.manifests[CARRIER_A]
    assert get(client, city, f"/api/records/{id_}", "officer")["data"]["driver"] == "홍길동"
    for path in (f"/api/records/{id_}", f"/api/entities/{id_}", f"{NGSILD}/{id_}", f"{NGSILD}?type=ManureManifest"):
        assert "홍길동" not in client.get(path, headers=city.auth("viewer")).text, path


def test_me_names_the_party(client: TestClient, city: TinyCity) -> None:
    me = get(client, city, "/api/me")
    assert me == {
        "principal": "token:a-carrier", "name": "a-carrier", "role": "carrier", "tenant": "default", "party": CARRIER_A,
        "permissions": ["entity.read", "manifest.carry", "manifest.read"], "party_label": "한라운수",
    }  # fmt: skip


# --- what is hidden cannot be guessed either ---


@pytest.mark.parametrize(
    ("asked", "officer"),
    [
        ('q=driver=="Kim"', ["1"]),
        ('q=driver~="^K"', ["1"]),
        ("q=driver", ["1", "2"]),
        ("q=!driver", ["3"]),
        ('q=speed>0;driver=="Lee"', ["2"]),
        ("attrs=driver", ["1", "2"]),
        ("orderBy=driver;desc", ["2", "1", "3"]),
    ],
)
def test_a_viewer_does_not_find_a_name_by_asking_for_it(own_city: TinyCity, asked: str, officer: list[str]) -> None:
    with TestClient(own_city.app) as client:
        for number, more in (("1", {"driver": "Kim"}), ("2", {"driver": "Lee"}), ("3", {})):
            body = {"id": f"urn:ngsi-ld:Car:{number}", "type": "Car", "speed": 1, **more}
            assert client.post(NGSILD, json=body, headers=own_city.auth("officer")).status_code == 201

        def found(role: str) -> list[str]:
            return [e["id"][-1] for e in get(client, own_city, f"{NGSILD}?type=Car&{asked}", role)]

        assert found("officer") == officer
        # As if nobody had a driver: only "has none" is met, by all.
        assert found("viewer") == (["1", "2", "3"] if asked in ("q=!driver", "orderBy=driver;desc") else [])
