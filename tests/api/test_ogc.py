"""OGC API - Features over HTTP: what Part 1 asks of each page, and that it shows no more than NGSI-LD does."""

from base64 import b64encode
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from madang.access.roles import ROLES
from madang.api.state import ApiSettings
from madang.model.entity import prop
from tests.api.tiny_city import CARRIER_A, PLANT, TinyCity

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
TRUCKS = "/ogc/collections/Vehicle/items"


def get(client: TestClient, city: TinyCity, path: str, role: str = "officer", *, status: int = 200) -> Any:
    answer = client.get(path, headers=city.auth(role))
    assert answer.status_code == status, answer.text
    return answer.json()


def ids(document: Any) -> list[str]:
    return [feature["id"].rsplit(":", 1)[-1] for feature in document["features"]]


@pytest.mark.parametrize("path", ["/ogc", "/ogc/"])
def test_1_landing_page_leads_everywhere(client: TestClient, city: TinyCity, path: str) -> None:
    page = client.get(path).json()
    links = {link["rel"]: link for link in page["links"]}
    assert set(links) == {"self", "service-desc", "conformance", "data"}
    assert links["service-desc"]["type"] == "application/vnd.oai.openapi+json;version=3.0"
    for link in links.values():
        found = client.get(link["href"], headers=city.auth("officer"))
        assert found.status_code == 200, link
        assert found.headers["content-type"] == link["type"]
    classes = client.get(links["conformance"]["href"]).json()["conformsTo"]
    assert "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core" in classes
    assert not any("html" in name for name in classes)


def test_1_links_are_where_the_operator_says(own_client: TestClient, own_city: TinyCity) -> None:
    own_city.app.api.settings = ApiSettings(public_url="https://city.example/madang/")
    page = own_client.get("/ogc").json()
    assert {link["href"] for link in page["links"]} == {
        f"https://city.example/madang/ogc{path}" for path in ("", "/openapi", "/conformance", "/collections")
    }
    assert own_client.get("/ogc/openapi").json()["servers"] == [{"url": "https://city.example/madang/ogc"}]


def test_2_description_is_openapi_3_0(client: TestClient) -> None:
    """What OpenAPI 3.0 forbids and 3.1 allows is not in it. (The whole of it was checked once with openapi-spec-validator 0.9.)"""
    document = client.get("/ogc/openapi").json()
    assert document["openapi"] == "3.0.3" and document["servers"] == [{"url": "http://testserver/ogc"}]
    assert set(document["paths"]) == {
        "/", "/conformance", "/openapi", "/collections", "/collections/{collectionId}",
        "/collections/{collectionId}/schema", "/collections/{collectionId}/items", "/collections/{collectionId}/items/{featureId}",
    }  # fmt: skip
    assert document["components"]["parameters"]["limit"]["schema"] == {
        "type": "integer", "minimum": 1, "maximum": 5_000, "default": 100,
    }  # fmt: skip

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            assert node.get("type") != "null" and not isinstance(node.get("type"), list), node
            assert "prefixItems" not in node and "const" not in node and node.get("required") != [], node
            for member in node.values():
                walk(member)
        elif isinstance(node, list):
            for member in node:
                walk(member)

    walk(document)


def test_3_collections_are_the_types_that_have_a_place(client: TestClient, city: TinyCity) -> None:
    page = get(client, city, "/ogc/collections")
    found = {one["id"]: one for one in page["collections"]}
    assert set(found) == {"AgriFarm", "Incident", "ManureTreatmentPlant", "ManureUnloading", "RoadSegment", "Vehicle"}
    trucks = found["Vehicle"]
    assert trucks["extent"]["spatial"] == {"bbox": [[126.51, 33.4, 126.55, 33.4]], "crs": CRS84}
    assert trucks["extent"]["temporal"]["interval"] == [["2026-11-23T02:14:10Z", "2026-11-23T02:14:14Z"]]
    assert trucks["crs"] == [CRS84] and trucks["itemType"] == "feature"
    by_relation = {link["rel"]: link["href"] for link in trucks["links"]}
    assert get(client, city, by_relation["self"]) == trucks
    assert len(get(client, city, by_relation["items"])["features"]) == 5


def test_4_collection_that_is_none(client: TestClient, city: TinyCity) -> None:
    for type_ in ("Nothing", "Organization"):  # the second has entities and none of them a place
        for path in (f"/ogc/collections/{type_}", f"/ogc/collections/{type_}/items"):
            assert get(client, city, path, status=404)["code"] == "not-found"


def test_4_schema_tells_columns_that_only_some_have(own_client: TestClient, own_city: TinyCity) -> None:
    more = {
        "person": prop("홍길동"),
        "height": prop(3),
        "tags": prop(["a"]),
        "open": prop(True),
        "address": prop({"no": 1}),
    }
    own_city.hub.put_reference(
        [(PLANT, "ManureTreatmentPlant", more), ("urn:p:2", "ManureTreatmentPlant", {})], "test"
    ).result(5)
    path = "/ogc/collections/ManureTreatmentPlant/schema"
    answer = own_client.get(path, headers=own_city.auth("viewer"))
    assert answer.headers["content-type"] == "application/schema+json"
    columns = answer.json()["properties"]["properties"]["properties"]
    assert {name: column["type"] for name, column in columns.items()} == {
        "type": "string", "observedAt": "string", "modifiedAt": "string", "address": "object", "capacity": "number",
        "height": "number", "name": "string", "open": "boolean", "tags": "array",
    }  # fmt: skip
    assert "person" in get(own_client, own_city, path)["properties"]["properties"]["properties"]
    get(own_client, own_city, "/ogc/collections/Organization/schema", status=404)


def test_5_items(client: TestClient, city: TinyCity) -> None:
    answer = client.get(f"{TRUCKS}?limit=2", headers=city.auth("officer"))
    assert answer.headers["content-type"] == "application/geo+json"
    assert answer.headers["content-crs"] == f"<{CRS84}>"
    page = answer.json()
    assert (page["type"], page["numberMatched"], page["numberReturned"]) == ("FeatureCollection", 5, 2)
    assert page["timeStamp"].startswith("2026-11-23T02:14:")
    first = page["features"][0]
    assert first["id"] == "urn:ngsi-ld:Vehicle:t1" and first["geometry"] == {
        "type": "Point",
        "coordinates": [126.51, 33.4],
    }
    assert first["properties"]["vehiclePlateIdentifier"] == "81가 1231"
    assert first["properties"]["owner"] == CARRIER_A
    assert first["properties"]["observedAt"] == "2026-11-23T02:14:10Z"


def test_6_pages_by_the_next_link(client: TestClient, city: TinyCity) -> None:
    path, seen, pages = f"{TRUCKS}?limit=2&bbox=126,33,127,34", [], 0
    while path:
        page = get(client, city, path)
        seen += ids(page)
        pages += 1
        assert page["numberMatched"] == 5 and page["numberReturned"] == len(page["features"])
        path = next((link["href"] for link in page["links"] if link["rel"] == "next"), "")
    assert (seen, pages) == (["t1", "t2", "t3", "t4", "t5"], 3)


def test_7_a_page_is_stable_when_entities_come_and_go(own_client: TestClient, own_city: TinyCity) -> None:
    first = get(own_client, own_city, f"{TRUCKS}?limit=2")
    own_city.hub.store.write(lambda tx: tx.delete_entity("urn:ngsi-ld:Vehicle:t1", "test")).result(5)
    following = next(link["href"] for link in first["links"] if link["rel"] == "next")
    assert ids(get(own_client, own_city, following)) == ["t3", "t4"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("bbox=126.505,33.3,126.525,33.5", ["t1", "t2"]),
        ("bbox=126.505,33.3,0,126.525,33.5,100", ["t1", "t2"]),
        (f"bbox=126.505,33.3,126.525,33.5&bbox-crs={CRS84}&crs={CRS84}", ["t1", "t2"]),
        ("bbox=126.51,33.4,126.51,33.4", ["t1"]),
        ("bbox=170,-10,-170,80", []),
        ("datetime=2026-11-23T02:14:12Z", ["t3"]),
        ("datetime=2026-11-23T02:14:12Z/..", ["t3", "t4", "t5"]),
        ("datetime=../2026-11-23T02:14:11Z", ["t1", "t2"]),
        ("datetime=2026-11-23T02:14:11Z/2026-11-23T02:14:12Z", ["t2", "t3"]),
        (f"vehiclePlateIdentifier={quote('82가 1232')}", ["t2"]),
        (f"owner={CARRIER_A}&grossWeight=18003", ["t3"]),
        ("owner=nobody", []),
        ("limit=100000", ["t1", "t2", "t3", "t4", "t5"]),  # /req/core/fc-limit-response-1: no error
    ],
)
def test_8_filters(client: TestClient, city: TinyCity, asked: str, expected: list[str]) -> None:
    page = get(client, city, f"{TRUCKS}?{asked}")
    assert ids(page) == expected and page["numberMatched"] == len(expected)


@pytest.mark.parametrize(
    ("asked", "parameter"),
    [
        ("limit=0", "limit"), ("limit=many", "limit"), ("bbox=1,2,3", "bbox"), ("datetime=2026", "datetime"),
        ("colour=red", "colour"), ("a%20b=1", "a b"), ("crs=EPSG:4326", "crs"), ("f=html", "f"),
    ],
)  # fmt: skip
def test_9_a_wrong_parameter_is_named(client: TestClient, city: TinyCity, asked: str, parameter: str) -> None:
    problem = get(client, city, f"{TRUCKS}?{asked}", status=400)
    assert problem["parameter"] == parameter and parameter in problem["detail"]


def test_10_one_feature(client: TestClient, city: TinyCity) -> None:
    feature = get(client, city, f"{TRUCKS}/urn:ngsi-ld:Vehicle:t1")
    assert feature["id"] == "urn:ngsi-ld:Vehicle:t1"
    links = {link["rel"]: link["href"] for link in feature["links"]}
    assert get(client, city, links["self"]) == feature
    assert get(client, city, links["collection"])["id"] == "Vehicle"
    get(client, city, "/ogc/collections/AgriFarm/items/urn:ngsi-ld:Vehicle:t1", status=404)
    get(client, city, f"{TRUCKS}/urn:ngsi-ld:Vehicle:none", status=404)


def test_11_names_that_are_iris(own_client: TestClient, own_city: TinyCity) -> None:
    type_, name = "https://example.org/ns#Bench", "https://example.org/ns#seats"
    document = {
        "id": "http://bench/1",
        "type": type_,
        name: 3,
        "location": {"type": "Point", "coordinates": [126.5, 33.4]},
    }
    created = own_client.post("/ngsi-ld/v1/entities", json=document, headers=own_city.auth("officer"))
    assert created.status_code == 201, created.text
    found = {one["id"]: one for one in get(own_client, own_city, "/ogc/collections")["collections"]}
    assert found[type_]["title"] == "Bench"
    items = next(link["href"] for link in found[type_]["links"] if link["rel"] == "items")
    assert get(own_client, own_city, items)["features"][0]["properties"][name] == 3
    assert get(own_client, own_city, f"{items}?{quote(name, safe='')}=3")["numberMatched"] == 1
    one = get(own_client, own_city, f"{items}/{quote('http://bench/1', safe='')}")
    assert get(own_client, own_city, next(link["href"] for link in one["links"] if link["rel"] == "self")) == one


def test_12_languages(own_client: TestClient, own_city: TinyCity) -> None:
    document = {"id": "urn:x:1", "type": "Square", "location": {"type": "Point", "coordinates": [126.5, 33.4]},
                "name": {"languageMap": {"ko": "광장", "en": "square"}}}  # fmt: skip
    assert own_client.post("/ngsi-ld/v1/entities", json=document, headers=own_city.auth("officer")).status_code == 201
    path = "/ogc/collections/Square/items"
    for asked, name in (("?lang=ko", "광장"), ("?lang=en", "square"), (f"?name={quote('광장')}&lang=en", "square")):
        assert get(own_client, own_city, path + asked)["features"][0]["properties"]["name"] == name


# ── access ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("role", [role for role in ROLES if role != "source"])
def test_20_shows_what_ngsi_ld_shows(client: TestClient, city: TinyCity, role: str) -> None:
    """The same entities, and of them the same attributes, for every role and type."""
    for type_ in (
        "Vehicle",
        "AgriFarm",
        "ManureTreatmentPlant",
        "ManureUnloading",
        "RoadSegment",
        "Incident",
        "ManureManifest",
    ):
        entities = get(client, city, f"/ngsi-ld/v1/entities?type={type_}&options=keyValues&limit=100", role)
        answer = client.get(f"/ogc/collections/{type_}/items", headers=city.auth(role))
        features = answer.json()["features"] if answer.status_code == 200 else []
        if any("location" in entity for entity in entities):
            assert [f["id"] for f in features] == [e["id"] for e in entities], (role, type_)
        for feature, entity in zip(features, entities, strict=False):
            names = set(feature["properties"]) - {"type", "observedAt", "modifiedAt"} | ({"location"} & set(entity))
            assert names == set(entity) - {"id", "type"}, (role, type_)


def test_21_a_carrier_finds_its_own_trucks_and_no_foreign_extent(client: TestClient, city: TinyCity) -> None:
    page = get(client, city, TRUCKS, "carrier")
    assert ids(page) == ["t1", "t2", "t3"] and page["numberMatched"] == 3
    bbox = get(client, city, "/ogc/collections/Vehicle", "carrier")["extent"]["spatial"]["bbox"]
    assert bbox == [[126.51, 33.4, 126.53, 33.4]]
    get(client, city, f"{TRUCKS}/urn:ngsi-ld:Vehicle:t4", "carrier", status=404)


def test_22_a_hidden_property_is_an_unknown_one(own_client: TestClient, own_city: TinyCity) -> None:
    """Otherwise a viewer could guess a driver's name by filtering on it."""
    own_city.hub.put_reference([(PLANT, "ManureTreatmentPlant", {"person": prop("홍길동")})], "test").result(5)
    path = "/ogc/collections/ManureTreatmentPlant/items"
    assert ids(get(own_client, own_city, f"{path}?person={quote('홍길동')}")) == ["p1"]
    hidden = get(own_client, own_city, f"{path}?person={quote('홍길동')}", "viewer", status=400)
    unknown = get(own_client, own_city, f"{path}?nobody={quote('홍길동')}", "viewer", status=400)
    assert hidden["detail"].replace("person", "nobody") == unknown["detail"]
    assert "person" not in get(own_client, own_city, path, "viewer")["features"][0]["properties"]


def test_23_a_token_is_the_password_of_basic(client: TestClient, city: TinyCity) -> None:
    def basic(text: str) -> dict[str, str]:
        return {"Authorization": "Basic " + b64encode(text.encode()).decode()}

    token = city.tokens["viewer"]
    assert client.get("/ogc/collections", headers=basic(f"qgis:{token}")).status_code == 200
    assert client.get("/ogc/collections", headers=basic(f"qgis:{token}x")).status_code == 401
    assert client.get("/ogc/collections", headers={"Authorization": "Basic ?"}).status_code == 401
    refused = client.get("/ogc/collections")
    assert refused.status_code == 401
    assert refused.headers.get_list("www-authenticate") == [
        'Bearer realm="madang"', 'Basic realm="madang", charset="UTF-8"',
    ]  # fmt: skip
    # Nowhere that something can be written: a browser would send it by itself.
    assert client.get("/ngsi-ld/v1/types", headers=basic(f"qgis:{token}")).status_code == 401
    assert client.get("/ngsi-ld/v1/types").headers.get_list("www-authenticate") == ['Bearer realm="madang"']


def test_24_basic_log_in_is_for_reading_alone() -> None:
    from madang.api.routes import ROUTES

    assert {route.method for route in ROUTES if route.basic_login} == {"GET"}


def test_25_unknown_path_is_no_console_page(client: TestClient) -> None:
    assert client.get("/ogc/nothing").json()["code"] == "no-such-path"
