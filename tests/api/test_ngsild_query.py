"""Queries over HTTP on a few things whose answers can be told by eye; expected sets are written by hand from clauses 4.9 to 4.23."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from tests.api.tiny_city import TinyCity, build_city, close_city

ENTITIES = "/ngsi-ld/v1/entities"
CORE = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.9.jsonld"


def at(lon: float) -> dict[str, Any]:
    return {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [lon, 33.4]}}


SHOPS: list[dict[str, Any]] = [
    {"id": "urn:s:1", "type": "Shop", "scope": "/Jeju/East", "location": at(126.5), "price": 10, "open": True,
     "name": {"languageMap": {"ko": "가게", "en": "shop"}}, "kind": {"vocab": "bakery"}, "tags": ["a", "b"],
     "data": {"json": {"deep": {"n": 1}}}, "owner": {"object": "urn:p:1"}},
    {"id": "urn:s:2", "type": ["Shop", "Cafe"], "scope": ["/Jeju/West", "/Korea"], "location": at(126.6), "price": 20.5,
     "open": False, "name": {"languageMap": {"en": "café"}}, "kind": {"vocab": "coffee"}, "sizes": {"valueList": [1, 5]},
     "owner": {"object": "urn:p:2"}, "rating": {"value": 3, "accuracy": {"value": 0.5}}},
    {"id": "urn:s:3", "type": "Cafe", "location": at(126.7), "rooms": 3, "opened": {"value": 1, "observedAt": "2020-05-05T00:00:00Z"},
     "price": [{"value": 30}, {"value": 99, "datasetId": "urn:d:1"}], "address": {"value": {"city": "Jeju", "no": 7}}},
    {"id": "urn:p:1", "type": "Person", "name": "Zoe", "boss": {"object": "urn:p:2"}},
    {"id": "urn:p:2", "type": "Person", "name": "Árpád", "age": 50, "friends": {"objectList": ["urn:p:1"]}},
]  # fmt: skip


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyCity]:
    """A city of this module's own: it adds things to it."""
    tiny = build_city(tmp_path_factory.mktemp("shops"))
    yield tiny
    close_city(tiny)


@pytest.fixture(scope="module")
def shops(city: TinyCity) -> Iterator[TestClient]:
    with TestClient(city.app, raise_server_exceptions=False) as client:
        answer = client.post("/ngsi-ld/v1/entityOperations/upsert", headers=city.auth("admin"), json=SHOPS)
        assert answer.status_code == 201, answer.text
        yield client


def ids(client: TestClient, city: TinyCity, query: str) -> list[str]:
    answer = client.get(f"{ENTITIES}?{query}", headers=city.auth("officer"))
    assert answer.status_code == 200, answer.text
    return [entity["id"].removeprefix("urn:") for entity in answer.json()]


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("price>10", ["s:2", "s:3"]), ("price==10..25", ["s:1", "s:2"]), ("price==10,30", ["s:1", "s:3"]),
        ("price==99", ["s:3"]), ("price!=10", ["s:2", "s:3"]), ("price!=10..25", ["s:3"]), ("price==10,20..21", ["s:1", "s:2"]),
        ("open==true", ["s:1"]), ("open", ["s:1", "s:2"]), ("!open", ["s:3"]), ("rooms|open==false", ["s:2", "s:3"]),
        ("(price>10;open)|rooms==3", ["s:2", "s:3"]), ('tags=="b"', ["s:1"]), ('tags!="b"', []),
        ('name[en]=="shop"', ["s:1"]), ('name[*]=="가게"', ["s:1"]), ('name[ko]=="shop"', []), ('name[*]~="^caf"', ["s:2"]),
        ("data[deep.n]==1", ["s:1"]), ("data[deep.m]", []), ('address[city]=="Jeju"', ["s:3"]), ("address[no]>=7", ["s:3"]),
        ("sizes==5", ["s:2"]), ("rating.accuracy<1", ["s:2"]), ("opened.observedAt<2021-01-01T00:00:00Z", ["s:3"]),
        ('price.datasetId=="urn:d:1"', ["s:3"]), ("kind==bakery", []),
        ('kind=="https://uri.etsi.org/ngsi-ld/default-context/bakery"', ["s:1"]), ("kind==bakery&expandValues=kind", ["s:1"]),
        ('owner=="urn:p:1"', ["s:1"]), ('owner>"urn:a"', []), ('owner{name}=="Zoe"&join=inline', ["s:1"]),
        ('owner{Person:name=="Zoe"}&join=inline', ["s:1"]), ('owner{Dog:name}=="Zoe"&join=inline', []),
        ('owner{boss{name}}~="rp"&join=flat&joinLevel=2', ["s:1"]), ("owner{age>40;name}&join=inline", ["s:2"]),
    ],
)  # fmt: skip
def test_q(shops: TestClient, city: TinyCity, q: str, found: list[str]) -> None:
    text, ampersand, rest = q.partition("&")
    assert sorted(set(ids(shops, city, f"type=Shop|Cafe&q={quote(text)}{ampersand}{rest}")) - {"p:1", "p:2"}) == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("type=Shop", ["s:1", "s:2"]), ("type=Shop;Cafe", ["s:2"]), ("type=(Shop|Cafe)", ["s:1", "s:2", "s:3"]),
        ("type=Cafe,Shop&scopeQ=/Jeju/%23", ["s:1", "s:2"]), ("type=Shop&scopeQ=/Jeju/East,/Korea", ["s:1", "s:2"]),
        ("type=Shop&scopeQ=/Jeju/West;/Korea", ["s:2"]), ("type=Shop&scopeQ=/%2B", ["s:2"]), ("type=Cafe&scopeQ=/%23", ["s:2"]),
        ("attrs=rooms,tags", ["s:1", "s:3"]), 
        ("type=Shop,Cafe&orderBy=price;desc", ["s:3", "s:2", "s:1"]), ("type=Person&orderBy=name", ["p:1", "p:2"]),
        ("type=Person&orderBy=name&collation=hu", ["p:2", "p:1"]), ("type=Shop,Cafe&orderBy=rooms,id;desc", ["s:3", "s:2", "s:1"]),
        ("type=Shop,Cafe&orderBy=location;dist-desc&orderFrom=[126.5,33.4]", ["s:3", "s:2", "s:1"]),
        ("type=Shop,Cafe&orderBy=address[city]", ["s:3", "s:1", "s:2"]),
        ("type=Shop,Cafe&georel=near;maxDistance==10000&geometry=Point&coordinates=[126.5,33.4]", ["s:1", "s:2"]),
        ("type=Shop,Cafe&georel=near;minDistance==10000&geometry=Point&coordinates=[126.5,33.4]", ["s:3"]),
        ("type=Person&idPattern=2$", ["p:2"]),
    ],
)  # fmt: skip
def test_selection_and_order(shops: TestClient, city: TinyCity, query: str, found: list[str]) -> None:
    assert ids(shops, city, query) == found


def test_pick_leaves_out_entities_of_which_nothing_is_left(shops: TestClient, city: TinyCity) -> None:
    answer = shops.get(f"{ENTITIES}?type=Shop,Cafe&pick=rooms&count=true", headers=city.auth("officer"))
    assert answer.json() == [{"rooms": {"type": "Property", "value": 3}}]
    assert answer.headers["ngsild-results-count"] == "1"


def test_the_same_query_in_a_body(shops: TestClient, city: TinyCity) -> None:
    body = {
        "type": "Query",
        "entities": [{"type": "Shop"}, {"type": "Person", "idPattern": "1$"}],
        "q": 'open|name=="Zoe"',
        "attrs": ["price", "name"],
        "ordering": {"orderBy": ["type;desc"]},
    }
    path = "/ngsi-ld/v1/entityOperations/query?options=keyValues&count=true&limit=2"
    answer = shops.post(path, headers=city.auth("officer"), json=body)
    assert answer.json() == [
        {"id": "urn:s:1", "type": "Shop", "scope": "/Jeju/East", "price": 10, "name": {"languageMap": {"ko": "가게", "en": "shop"}}},
        {"id": "urn:s:2", "type": ["Shop", "Cafe"], "scope": ["/Jeju/West", "/Korea"], "price": 20.5,
         "name": {"languageMap": {"en": "café"}}},
    ]  # fmt: skip
    assert answer.headers["ngsild-results-count"] == "3"
    assert any('rel="next"' in link for link in answer.headers.get_list("link"))


def test_linked_entities_inline_and_flat(shops: TestClient, city: TinyCity) -> None:
    def get(query: str) -> Any:
        return shops.get(f"{ENTITIES}/urn:s:1?{query}", headers=city.auth("officer")).json()

    inline = get("join=inline&joinLevel=2&pick=owner{name,boss{name}}")
    assert inline["owner"]["entity"] == {
        "name": {"type": "Property", "value": "Zoe"},
        "boss": {
            "type": "Relationship",
            "object": "urn:p:2",
            "entity": {"name": {"type": "Property", "value": "Árpád"}},
        },
    }
    assert get("join=inline&options=keyValues&pick=owner")["owner"] == {
        "id": "urn:p:1", "type": "Person", "name": "Zoe", "boss": "urn:p:2"
    }  # fmt: skip
    flat = get("join=flat&joinLevel=2&options=keyValues")
    assert [entity["id"] for entity in flat] == ["urn:s:1", "urn:p:1", "urn:p:2"]
    assert "entity" not in get("join=inline&containedBy=urn:p:1")["owner"]


def test_geojson_with_and_without_its_context(shops: TestClient, city: TinyCity) -> None:
    headers = city.auth("officer") | {"Accept": "application/geo+json"}
    found = shops.get(f"{ENTITIES}/urn:s:1?options=keyValues&attrs=price", headers=headers)
    assert found.headers["content-type"] == "application/geo+json"
    assert found.json() == {
        "id": "urn:s:1",
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [126.5, 33.4]},
        "properties": {"type": "Shop", "scope": "/Jeju/East", "price": 10},
        "@context": CORE,
    }
    many = shops.get(f"{ENTITIES}?type=Person", headers=headers | {"Prefer": "body=json"})
    assert (many.json()["type"], [f["geometry"] for f in many.json()["features"]]) == (
        "FeatureCollection",
        [None, None],
    )
    assert "@context" not in many.json() and CORE in many.headers["link"]


def test_a_context_of_the_reader_renames_and_asks(own_client: TestClient, own_city: TinyCity) -> None:
    context = {
        "Shop": "https://e.org/Shop",
        "price": "https://e.org/price",
        "kind": "https://e.org/kind",
        "big": "https://e.org/big",
    }
    admin = own_city.auth("admin")
    made = own_client.post("/ngsi-ld/v1/jsonldContexts", headers=admin, json={"@context": context})
    link = f'<http://testserver{made.headers["location"]}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'
    body = {"id": "urn:x:1", "type": "Shop", "price": 5, "kind": {"vocab": "big"}, "@context": context}
    ld = admin | {"Content-Type": "application/ld+json"}
    assert own_client.post(ENTITIES, headers=ld, json=body).status_code == 201
    plain = own_client.get(f"{ENTITIES}/urn:x:1?options=keyValues", headers=admin).json()
    assert plain == {
        "id": "urn:x:1", "type": "https://e.org/Shop", "https://e.org/price": 5,
        "https://e.org/kind": {"vocab": "https://e.org/big"},
    }  # fmt: skip
    mine = own_client.get(
        f"{ENTITIES}?type=Shop&q=price==5;kind==big&expandValues=kind", headers=admin | {"Link": link}
    )
    assert mine.json()[0] == {
        "id": "urn:x:1", "type": "Shop", "price": {"type": "Property", "value": 5},
        "kind": {"type": "VocabProperty", "vocab": "big"},
    }  # fmt: skip
    assert own_client.get(f"{ENTITIES}?type=Shop", headers=admin).json() == []
    types = own_client.get("/ngsi-ld/v1/types/Shop", headers=admin | {"Link": link}).json()
    assert (types["typeName"], types["entityCount"]) == ("Shop", 1)
    assert [a["attributeName"] for a in types["attributeDetails"]] == ["kind", "price"]


def test_discovery(shops: TestClient, city: TinyCity) -> None:
    officer = city.auth("officer")
    attributes = shops.get("/ngsi-ld/v1/attributes/rooms", headers=officer).json()
    assert (attributes["attributeCount"], attributes["typeNames"], attributes["attributeTypes"]) == (
        1,
        ["Cafe"],
        ["Property"],
    )
    details = shops.get("/ngsi-ld/v1/types?details=true", headers=officer).json()
    assert next(t for t in details if t["typeName"] == "Person")["attributeNames"] == ["age", "boss", "friends", "name"]
    assert shops.get("/ngsi-ld/v1/types/Nothing", headers=officer).status_code == 404
    identity = shops.get("/ngsi-ld/v1/info/sourceIdentity", headers=officer).json()
    assert identity["type"] == "ContextSourceIdentity" and identity["contextSourceUptime"].startswith("PT")


def test_a_caller_who_acts_for_a_party_sees_nothing_undeclared_and_looks_into_nothing(
    shops: TestClient, city: TinyCity
) -> None:
    carrier = city.auth("carrier")
    assert shops.get(f"{ENTITIES}?type=Shop", headers=carrier).json() == []
    assert shops.get(f"{ENTITIES}/urn:s:1", headers=carrier).status_code == 404
    query = f"{ENTITIES}?type=Vehicle&join=inline&q={quote('owner{name}')}"
    assert {e["owner"]["object"] for e in shops.get(query, headers=carrier).json()} <= {"urn:ngsi-ld:Organization:a"}


def test_a_reader_of_an_older_version_gets_what_it_knows(shops: TestClient, city: TinyCity) -> None:
    def get(path: str, prefer: str) -> Any:
        return shops.get(f"{ENTITIES}{path}", headers=city.auth("officer") | {"Prefer": prefer})

    old = get("/urn:s:1", "ngsi-ld=1.5")
    assert (old.status_code, old.headers["preference-applied"]) == (203, "ngsi-ld=1.5")
    assert old.json()["kind"] == {"type": "Property", "value": "bakery"}
    assert old.json()["data"] == {"type": "Property", "value": {"deep": {"n": 1}}}
    assert old.json()["name"]["type"] == "LanguageProperty"
    assert get("/urn:s:1", "ngsi-ld=1.3").json()["name"]["value"] == {"ko": "가게", "en": "shop"}
    new = get("/urn:s:1", "ngsi-ld=1.9")
    assert (new.status_code, new.headers["preference-applied"]) == (200, "ngsi-ld=1.9")
    assert new.json()["kind"]["type"] == "VocabProperty"
    assert get("?type=Person", "ngsi-ld=1.5").status_code == 203
    assert get("?type=Person&q=boss", "ngsi-ld=1.5").status_code == 200
    assert get("/urn:s:1", "ngsi-ld=3.0").status_code == 400
