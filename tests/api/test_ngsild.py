"""NGSI-LD over HTTP (ETSI GS CIM 009), as far as it is there."""

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.api.tiny_city import CARRIER_A, TRUCK, TinyCity

EXAMPLES = Path(__file__).parents[3] / "shared" / "data" / "ngsi-ld"
ENTITIES = "/ngsi-ld/v1/entities"
UPSERT = "/ngsi-ld/v1/entityOperations/upsert"
DEFAULT = "https://uri.etsi.org/ngsi-ld/default-context/"
LD = {"Content-Type": "application/ld+json"}
CORE = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.9.jsonld"


def post(client: TestClient, city: TinyCity, path: str, body: Any, **headers: str) -> Any:
    return client.post(path, headers=city.auth("admin") | headers, json=body)


def test_create_retrieve_delete(own_client: TestClient, own_city: TinyCity) -> None:
    entity = {"id": "urn:ngsi-ld:Bench:1", "type": "Bench", "seats": {"type": "Property", "value": 4, "unitCode": "C62"},
              "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [126.5, 33.4]}}}  # fmt: skip
    answer = post(own_client, own_city, ENTITIES, entity)
    assert (answer.status_code, answer.headers["location"]) == (201, f"{ENTITIES}/urn:ngsi-ld:Bench:1")
    path = f"{ENTITIES}/urn:ngsi-ld:Bench:1"
    for role in ("admin", "viewer"):  # once from the stored text, once parsed and masked
        found = own_client.get(path, headers=own_city.auth(role))
        assert found.json() == entity
        assert "json-ld#context" in found.headers["link"]
    assert own_client.get(path + "?options=keyValues", headers=own_city.auth("viewer")).json() == {
        "id": "urn:ngsi-ld:Bench:1", "type": "Bench", "seats": 4, "location": {"type": "Point", "coordinates": [126.5, 33.4]}
    }  # fmt: skip
    concise = own_client.get(path + "?format=concise&attrs=seats", headers=own_city.auth("viewer")).json()
    assert concise == {"id": "urn:ngsi-ld:Bench:1", "type": "Bench", "seats": {"value": 4, "unitCode": "C62"}}
    sys = own_client.get(path + "?options=sysAttrs", headers=own_city.auth("viewer")).json()
    assert sys["createdAt"] == sys["modifiedAt"] == "2026-11-23T02:14:14Z"
    as_ld = own_client.get(path, headers=own_city.auth("viewer") | {"Accept": "application/ld+json"})
    assert as_ld.headers["content-type"] == "application/ld+json" and as_ld.json()["@context"] == CORE
    assert own_client.delete(path, headers=own_city.auth("admin")).status_code == 204
    assert own_client.get(path, headers=own_city.auth("admin")).status_code == 404
    assert "Bench" not in own_client.get("/ngsi-ld/v1/types", headers=own_city.auth("admin")).json()["typeList"]


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the shared example entities are not here")
def test_smart_data_model_examples_come_out_as_they_went_in(own_client: TestClient, own_city: TinyCity) -> None:
    documents = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(EXAMPLES.glob("*/*/example*.jsonld"))]
    # Their own @contexts are on the internet, and no test goes there: names are taken in the core @context.
    documents = [{key: value for key, value in document.items() if key != "@context"} for document in documents]
    unique = {document["id"]: document for document in documents}
    answer = post(own_client, own_city, UPSERT, list(unique.values()))
    assert answer.status_code == 201 and sorted(answer.json()) == sorted(unique)
    for id_, document in unique.items():
        is_simple = not any(isinstance(v, dict) and v.get("type") == "Property" for v in document.values())
        path = f"{ENTITIES}/{id_}" + ("?options=keyValues" if is_simple else "")
        found = own_client.get(path, headers=own_city.auth("admin")).json()
        assert set(found) == set(document) - {"@context"}
        if is_simple:
            assert found == {key: value for key, value in document.items() if key != "@context"}


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("type=Vehicle", [1, 2, 3, 4, 5]),
        ("type=Vehicle&q=grossWeight>18003", [4, 5]),
        (f'q=owner=="{CARRIER_A}"&type=Vehicle', [1, 2, 3]),
        ("type=Vehicle&q=vehiclePlateIdentifier~=^8[12]", [1, 2]),
        (f"type=Vehicle&id={TRUCK},urn:ngsi-ld:Vehicle:t5", [1, 5]),
        ("type=Vehicle&idPattern=t[34]$", [3, 4]),
        ("type=Vehicle&limit=2&offset=2", [3, 4]),
        # 0.01 degrees of longitude at 33.4 north are 928.3 m.
        ("type=Vehicle&georel=near;maxDistance==1000&geometry=Point&coordinates=[126.52,33.4]", [1, 2, 3]),
        ("type=Vehicle&georel=within&geometry=Polygon"
         "&coordinates=[[[126.535,33.3],[126.6,33.3],[126.6,33.5],[126.535,33.5],[126.535,33.3]]]", [4, 5]),
        ("type=Vehicle&q=grossWeight.observedAt>2026-11-23T02:14:13Z", [5]),
        ("type=Nothing", []),
    ],
)  # fmt: skip
def test_query(client: TestClient, city: TinyCity, query: str, numbers: list[int]) -> None:
    found = client.get(f"{ENTITIES}?{query}", headers=city.auth("viewer"))
    assert found.status_code == 200, found.text
    assert [entity["id"] for entity in found.json()] == [f"urn:ngsi-ld:Vehicle:t{n}" for n in numbers]


def test_counts_and_pages(client: TestClient, city: TinyCity) -> None:
    found = client.get(f"{ENTITIES}?type=Vehicle&count=true&limit=2&offset=2", headers=city.auth("viewer"))
    assert found.headers["ngsild-results-count"] == "5"
    links = found.headers.get_list("link")
    assert f'<{ENTITIES}?count=true&limit=2&offset=4&type=Vehicle>; rel="next"; type="application/json"' in links
    assert f'<{ENTITIES}?count=true&limit=2&offset=0&type=Vehicle>; rel="prev"; type="application/json"' in links
    only = client.get(f"{ENTITIES}?type=Vehicle&count=true&limit=0", headers=city.auth("viewer"))
    assert (only.json(), only.headers["ngsild-results-count"]) == ([], "5")


def test_upsert_creates_changes_and_says_what_failed(own_client: TestClient, own_city: TinyCity) -> None:
    bench = {"id": "urn:ngsi-ld:Bench:1", "type": "Bench", "seats": 4, "colour": "green"}
    assert post(own_client, own_city, UPSERT, [bench]).json() == ["urn:ngsi-ld:Bench:1"]
    assert post(own_client, own_city, UPSERT, [{**bench, "seats": 5}]).status_code == 204
    path = f"{ENTITIES}/urn:ngsi-ld:Bench:1?options=keyValues"
    newer = {"id": bench["id"], "type": "Bench", "seats": 6}
    post(own_client, own_city, UPSERT + "?options=update", [newer])
    assert own_client.get(path, headers=own_city.auth("admin")).json() == {**bench, "seats": 6}
    post(own_client, own_city, UPSERT, [newer])
    assert own_client.get(path, headers=own_city.auth("admin")).json() == newer
    answer = post(own_client, own_city, UPSERT, [
        {"id": "urn:ngsi-ld:Bench:2", "type": "Bench"}, {"id": "bench 3", "type": "Bench"},
        {"id": "urn:ngsi-ld:Bench:1", "type": "Chair", "scope": 5}, {"id": own_city.manifests[CARRIER_A], "type": "ManureManifest"},
    ])  # fmt: skip
    assert answer.status_code == 207
    assert answer.json()["success"] == ["urn:ngsi-ld:Bench:2"]
    assert [(e["entityId"], e["error"]["status"]) for e in answer.json()["errors"]] == [
        ("bench 3", 400), ("urn:ngsi-ld:Bench:1", 400), (own_city.manifests[CARRIER_A], 409)
    ]  # fmt: skip


def test_attributes_are_appended_and_updated(own_client: TestClient, own_city: TinyCity) -> None:
    path = f"{ENTITIES}/{TRUCK}/attrs"
    admin = own_city.auth("admin")
    assert own_client.post(path, headers=admin, json={"colour": "red"}).status_code == 204
    answer = own_client.post(path + "?options=noOverwrite", headers=admin, json={"colour": "blue", "doors": 2})
    assert (answer.status_code, answer.json()["updated"]) == (207, [f"{DEFAULT}doors"])
    answer = own_client.patch(path, headers=admin, json={"colour": "blue", "wheels": 6})
    assert answer.status_code == 204, "clause 5.6.2: what is not there is added"
    found = own_client.get(f"{ENTITIES}/{TRUCK}?options=keyValues", headers=admin).json()
    assert (found["colour"], found["doors"], "wheels" in found) == ("blue", 2, True)


@pytest.mark.parametrize(("method", "tail"), [("PATCH", ""), ("PATCH", "/attrs"), ("POST", "/attrs"), ("DELETE", "")])
def test_a_record_changes_only_by_its_actions(client: TestClient, city: TinyCity, method: str, tail: str) -> None:
    path = f"{ENTITIES}/{city.manifests[CARRIER_A]}{tail}"
    body = None if method == "DELETE" else {"status": "CONFIRMED"}
    answer = client.request(method, path, headers=city.auth("admin"), json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "governed")
    assert "actions of its procedure" in answer.json()["detail"] or "only by actions" in answer.json()["detail"]


def test_a_record_is_an_entity_to_those_who_read(client: TestClient, city: TinyCity) -> None:
    found = client.get(f"{ENTITIES}/{city.manifests[CARRIER_A]}", headers=city.auth("admin")).json()
    assert (found["type"], found["status"]["value"], found["transporter"]["object"]) == (
        "ManureManifest",
        "DRAFT",
        CARRIER_A,
    )


def test_odd_ids_keep_their_slashes(own_client: TestClient, own_city: TinyCity) -> None:
    post(own_client, own_city, ENTITIES, {"id": "http://example.org/bench/1", "type": "Bench"})
    path = f"{ENTITIES}/http:%2F%2Fexample.org%2Fbench%2F1"
    assert own_client.get(path, headers=own_city.auth("admin")).json() == {
        "id": "http://example.org/bench/1",
        "type": "Bench",
    }
