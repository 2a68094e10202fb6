"""NGSI-LD provision over HTTP, operation by operation. Expected answers are written by hand from ETSI GS CIM 009 clauses 5.6 and 6."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from madang.model.time import SECOND
from tests.api.tiny_city import CARRIER_A, TinyCity

ENTITIES = "/ngsi-ld/v1/entities"
BATCH = "/ngsi-ld/v1/entityOperations"
ID = "urn:ngsi-ld:Room:1"
PATH = f"{ENTITIES}/{ID}"
NULL = "urn:ngsi-ld:null"
DEFAULT = "https://uri.etsi.org/ngsi-ld/default-context/"
ROOM: dict[str, Any] = {
    "id": ID,
    "type": "Room",
    "scope": ["/A/B", "/C"],
    "temperature": [
        {"type": "Property", "value": 20, "unitCode": "CEL", "observedAt": "2026-01-01T00:00:00Z"},
        {"type": "Property", "value": 21, "datasetId": "urn:d:2"},
    ],
    "name": {"type": "LanguageProperty", "languageMap": {"ko": "방", "en": "room"}},
    "address": {"type": "Property", "value": {"city": "Jeju", "zip": "63000"}},
    "inside": {
        "type": "Relationship",
        "object": "urn:ngsi-ld:Building:1",
        "since": {"type": "Property", "value": 2020},
    },
}


class Rooms:
    """A client with one room in it."""

    def __init__(self, client: TestClient, city: TinyCity) -> None:
        self.client = client
        self.city = city
        self.auth = city.auth("admin")
        assert self.send("POST", ENTITIES, ROOM) == (201, None)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        answer = self.client.request(method, path, headers=self.auth | headers, json=body)
        return answer.status_code, answer.json() if answer.content else None

    def get(self, query: str = "") -> Any:
        status, document = self.send("GET", PATH + query)
        assert status == 200, document
        return document


@pytest.fixture
def rooms(own_client: TestClient, own_city: TinyCity) -> Rooms:
    return Rooms(own_client, own_city)


def test_an_entity_comes_back_as_it_came(rooms: Rooms) -> None:
    assert rooms.get() == ROOM
    assert rooms.get("?options=keyValues") == {
        "id": ID,
        "type": "Room",
        "scope": ["/A/B", "/C"],
        "temperature": {"dataset": {"@none": 20, "urn:d:2": 21}},
        "name": {"languageMap": {"ko": "방", "en": "room"}},
        "address": {"city": "Jeju", "zip": "63000"},
        "inside": "urn:ngsi-ld:Building:1",
    }
    assert rooms.get("?format=concise&pick=inside,name&lang=en") == {
        "name": {"value": "room", "lang": "en"},
        "inside": {"object": "urn:ngsi-ld:Building:1", "since": 2020},
    }
    assert rooms.get("?datasetId=urn:d:2&attrs=temperature")["temperature"]["value"] == 21


def test_merge_goes_into_values_and_takes_away_what_is_null(rooms: Rooms) -> None:
    body = {
        "temperature": {"value": 22},
        "address": {"value": {"zip": NULL, "street": "1"}},
        "name": NULL,
        "inside": {"since": NULL},
        "fresh": 1,
    }
    assert rooms.send("PATCH", f"{PATH}?observedAt=2026-02-02T00:00:00Z", body) == (204, None)
    found = rooms.get()
    assert found["temperature"][0] == {
        "type": "Property", "value": 22, "unitCode": "CEL", "observedAt": "2026-02-02T00:00:00Z"
    }  # fmt: skip
    assert found["address"]["value"] == {"city": "Jeju", "street": "1"}
    assert found["inside"] == {"type": "Relationship", "object": "urn:ngsi-ld:Building:1"}
    assert "name" not in found and found["fresh"] == {"type": "Property", "value": 1}
    assert rooms.send("PATCH", f"{ENTITIES}/urn:none", {"a": 1})[0] == 404


def test_merge_takes_a_simplified_value_as_what_the_attribute_is(rooms: Rooms) -> None:
    body = {"name": "chambre", "inside": "urn:ngsi-ld:Building:2"}
    assert rooms.send("PATCH", f"{PATH}?options=keyValues&lang=fr", body) == (204, None)
    found = rooms.get()
    assert found["name"]["languageMap"] == {"ko": "방", "en": "room", "fr": "chambre"}
    assert found["inside"]["object"] == "urn:ngsi-ld:Building:2"


def test_replace_leaves_nothing_of_what_was(rooms: Rooms) -> None:
    assert rooms.send("PUT", PATH, {"id": ID, "type": "Hall", "a": 1}) == (204, None)
    assert rooms.get() == {"id": ID, "type": "Hall", "a": {"type": "Property", "value": 1}}
    assert rooms.send("PUT", PATH, {"id": "urn:other", "type": "Hall"})[0] == 400
    assert rooms.send("PUT", f"{ENTITIES}/urn:none", {"type": "Hall"})[0] == 404


def test_append_keeps_or_replaces(rooms: Rooms) -> None:
    body = {"temperature": {"value": 1}, "b": 2, "scope": "/D", "type": "Place"}
    status, result = rooms.send("POST", f"{PATH}/attrs?options=noOverwrite", body)
    assert (status, result["updated"], [n["attributeName"] for n in result["notUpdated"]]) == (
        207, [f"{DEFAULT}b", "scope", "type"], [f"{DEFAULT}temperature"]
    )  # fmt: skip
    found = rooms.get()
    assert (found["type"], found["scope"]) == (["Room", "Place"], ["/A/B", "/C", "/D"])
    assert rooms.send("POST", f"{PATH}/attrs", {"temperature": {"value": 1}, "scope": "/D"}) == (204, None)
    found = rooms.get()
    assert (found["temperature"][0], found["scope"]) == ({"type": "Property", "value": 1}, "/D")
    assert found["temperature"][1]["value"] == 21


def test_update_replaces_whole_attributes_and_scopes_only_where_there_are_some(rooms: Rooms) -> None:
    body = {"temperature": {"value": 5}, "address": NULL, "scope": NULL}
    assert rooms.send("PATCH", f"{PATH}/attrs", body) == (204, None)
    found = rooms.get()
    assert found["temperature"][0] == {"type": "Property", "value": 5}
    assert "address" not in found and "scope" not in found
    status, result = rooms.send("PATCH", f"{PATH}/attrs", {"scope": "/X", "address": NULL})
    assert (status, [n["attributeName"] for n in result["notUpdated"]]) == (207, [f"{DEFAULT}address", "scope"])
    assert rooms.send("PATCH", f"{PATH}/attrs?type=Hall", {"a": 1})[0] == 404


def test_one_attribute_is_updated_in_part_replaced_and_deleted(rooms: Rooms) -> None:
    attribute = f"{PATH}/attrs/temperature"
    assert rooms.send("PATCH", attribute, {"value": 30, "observedAt": NULL}) == (204, None)
    assert rooms.get()["temperature"][0] == {"type": "Property", "value": 30, "unitCode": "CEL"}
    assert rooms.send("PATCH", attribute, {"value": 31, "datasetId": "urn:d:2"}) == (204, None)
    assert rooms.get()["temperature"][1]["value"] == 31
    assert rooms.send("PATCH", attribute, {"type": "Relationship", "object": "urn:x"})[0] == 400
    assert rooms.send("PATCH", f"{PATH}/attrs/nothing", {"value": 1})[0] == 404
    assert rooms.send("PATCH", f"{PATH}/attrs/scope", {"value": "/A"})[0] == 400
    assert rooms.send("PUT", attribute, {"type": "Property", "value": 1}) == (204, None)
    assert rooms.get()["temperature"][0] == {"type": "Property", "value": 1}
    assert rooms.send("DELETE", attribute) == (204, None)
    assert rooms.get()["temperature"] == {"type": "Property", "value": 31, "datasetId": "urn:d:2"}
    assert rooms.send("DELETE", attribute)[0] == 404
    assert rooms.send("DELETE", f"{attribute}?deleteAll=true") == (204, None)
    assert rooms.send("DELETE", f"{PATH}/attrs/scope") == (204, None)
    assert not {"temperature", "scope"} & rooms.get().keys()


def test_purge_deletes_what_the_query_finds_or_attributes_of_it_but_no_record(rooms: Rooms) -> None:
    for n in (2, 3):
        rooms.send("POST", ENTITIES, {"id": f"urn:ngsi-ld:Room:{n}", "type": "Room", "a": n, "b": n})
    assert rooms.send("DELETE", f"{ENTITIES}?type=Room&q=a>1&drop=b") == (204, None)
    query = f"{ENTITIES}?type=Room&options=keyValues&attrs=a,b"
    assert [sorted(e) for e in rooms.send("GET", query)[1]] == [["a", "id", "type"]] * 2
    assert rooms.send("DELETE", f"{ENTITIES}?type=Room&q=a==2") == (204, None)
    assert [e["id"] for e in rooms.send("GET", query)[1]] == ["urn:ngsi-ld:Room:3"]
    assert rooms.send("DELETE", f"{ENTITIES}?type=Room,ManureManifest") == (204, None)
    assert rooms.send("GET", f"{ENTITIES}?type=Room")[1] == []
    assert rooms.send("GET", f"{ENTITIES}/{rooms.city.manifests[CARRIER_A]}")[0] == 200
    assert rooms.send("DELETE", ENTITIES)[0] == 400


def test_batches_answer_exactly(rooms: Rooms) -> None:
    two = {"id": "urn:ngsi-ld:Room:2", "type": "Room", "a": 1}
    bad = {"id": "urn:ngsi-ld:Room:9", "type": "Room", "a": None}
    assert rooms.send("POST", f"{BATCH}/create", [two]) == (201, [two["id"]])
    status, result = rooms.send("POST", f"{BATCH}/create", [two, bad, {**two, "id": "urn:ngsi-ld:Room:3"}])
    assert (status, result["success"]) == (207, ["urn:ngsi-ld:Room:3"])
    assert [(e["entityId"], e["error"]["status"], e["error"]["type"].rpartition("/")[2]) for e in result["errors"]] == [
        (bad["id"], 400, "BadRequestData"), (two["id"], 409, "AlreadyExists")
    ]  # fmt: skip
    assert rooms.send("POST", f"{BATCH}/upsert", [{**two, "a": 2}]) == (204, None)
    assert rooms.send("POST", f"{BATCH}/upsert", [two, {**two, "id": "urn:ngsi-ld:Room:4"}])[0] == 201
    assert rooms.send("POST", f"{BATCH}/update", [{"id": two["id"], "b": 1}]) == (204, None)
    status, result = rooms.send("POST", f"{BATCH}/update?options=noOverwrite", [{"id": two["id"], "b": 2, "c": 1}])
    assert (status, result["success"], result["errors"][0]["entityId"]) == (207, [], two["id"])
    assert rooms.send("POST", f"{BATCH}/merge", [{"id": two["id"], "b": NULL}, {"id": "urn:none", "b": 1}])[0] == 207
    found = rooms.send("GET", f"{ENTITIES}/{two['id']}?options=keyValues")[1]
    assert found == {"id": two["id"], "type": "Room", "a": 1, "c": 1}
    status, result = rooms.send("POST", f"{BATCH}/delete", [two["id"], "urn:none", "no uri"])
    assert (status, result["success"]) == (207, [two["id"]])
    assert [(e["entityId"], e["error"]["status"]) for e in result["errors"]] == [("no uri", 400), ("urn:none", 404)]
    six = {"id": "urn:ngsi-ld:Room:6", "type": "Room"}
    status, result = rooms.send("POST", f"{BATCH}/create", [six, six])
    assert (status, result["success"], result["errors"][0]["entityId"]) == (207, [six["id"]], six["id"])
    assert rooms.send("POST", f"{BATCH}/create", [None])[0] == 400
    assert rooms.send("POST", f"{BATCH}/create", [])[0] == 400


def test_what_expires_is_hidden_at_once_and_then_taken_away(rooms: Rooms) -> None:
    clock, hub = rooms.city.clock, rooms.city.hub
    now = clock.now()
    soon = "2026-11-23T02:14:30Z"
    body = {"id": "urn:t:1", "type": "T", "expiresAt": soon, "a": 1}
    assert rooms.send("POST", ENTITIES, body)[0] == 201
    assert (
        rooms.send("POST", ENTITIES, {"id": "urn:t:2", "type": "T", "a": {"value": 1, "expiresAt": soon}, "b": 2})[0]
        == 201
    )
    assert "expiresAt" not in rooms.send("GET", f"{ENTITIES}/urn:t:1")[1]
    assert rooms.send("GET", f"{ENTITIES}/urn:t:1?options=sysAttrs")[1]["expiresAt"] == soon
    clock.set(max(now, 1_795_400_070 * SECOND))
    assert rooms.send("GET", f"{ENTITIES}/urn:t:1")[0] == 404
    assert rooms.send("GET", f"{ENTITIES}/urn:t:2?options=keyValues")[1] == {"id": "urn:t:2", "type": "T", "b": 2}
    assert [e["id"] for e in rooms.send("GET", f"{ENTITIES}?type=T")[1]] == ["urn:t:2"]
    seq = hub.store.last_seq()
    hub.tick()
    with hub.store.read() as read:
        changes = [c for c in read.read_log(seq, 99) if c.entity_id.startswith("urn:t:")]
    assert {(c.entity_id, c.kind, c.removed) for c in changes} == {
        ("urn:t:1", "deletion", ()), ("urn:t:2", "reading", ("a",))
    }  # fmt: skip
    assert rooms.send("POST", ENTITIES, {**body, "expiresAt": "2030-01-01T00:00:00Z"})[0] == 201


def test_stamps_are_told_with_sys_attrs(rooms: Rooms) -> None:
    first = rooms.get("?options=sysAttrs")["address"]["createdAt"]
    rooms.city.clock.set(rooms.city.clock.now() + 5 * SECOND)
    rooms.send("PATCH", f"{PATH}/attrs/address", {"value": 1})
    found = rooms.get("?options=sysAttrs")
    assert (found["address"]["createdAt"], found["name"]["modifiedAt"], found["createdAt"]) == (first, first, first)
    assert found["address"]["modifiedAt"] == found["modifiedAt"] > first


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PATCH", f"{ENTITIES}/", 400), ("PATCH", f"{ENTITIES}//attrs", 400), ("DELETE", f"{PATH}/attrs/", 405),
        ("PUT", ENTITIES, 405), ("POST", PATH, 405), ("GET", f"{PATH}/", 200), ("GET", f"{ENTITIES}?type=Room&x=1", 400),
        ("GET", f"{PATH}?pick=nothing", 404), ("GET", f"{PATH}?omit=id,type,scope,temperature,name,address,inside", 404),
        ("GET", f"{PATH}?pick=a||b", 400), ("GET", f"{PATH}?pick=inside{{name}}", 400), ("GET", f"{PATH}?attrs=nothing", 404),
        ("GET", f"{PATH}?geometryProperty=location", 400), ("GET", f"{PATH}?options=nonsense", 400),
        ("GET", f"{PATH}?joinLevel=2", 400), ("GET", f"{PATH}?type=Hall", 404), ("GET", f"{PATH}?type=(Hall|Room)", 200),
    ],
)  # fmt: skip
def test_requests_answer_with_the_right_status(rooms: Rooms, method: str, path: str, status: int) -> None:
    body = {"a": 1} if method in ("PATCH", "PUT", "POST") else None
    assert rooms.send(method, path, body)[0] == status


def test_without_a_length_nothing_is_said_but_that(rooms: Rooms) -> None:
    answer = rooms.client.post(
        ENTITIES, headers=rooms.auth | {"Content-Type": "application/json"}, content=iter([b'{"id": "urn:x:1"', b"}"])
    )
    assert (answer.status_code, answer.content) == (411, b"")
