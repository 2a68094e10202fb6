"""/ngsi-ld/v1/csourceRegistrations over HTTP (clauses 5.9, 5.10). Expected answers are those of the conformance suite's
ContextSource group."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from madang.model.time import MINUTE, render_instant
from tests.api.tiny_city import TRUCK, TinyCity

PATH = "/ngsi-ld/v1/csourceRegistrations"
ERRORS = "https://uri.etsi.org/ngsi-ld/errors/"


def document(name: str, **members: Any) -> dict[str, Any]:
    return {
        "id": f"urn:ngsi-ld:ContextSourceRegistration:{name}",
        "type": "ContextSourceRegistration",
        "information": [{"entities": [{"type": "Building"}]}],
        "endpoint": f"http://{name}.example",
        **members,
    }


def register(client: TestClient, city: TinyCity, name: str, **members: Any) -> str:
    answer = client.post(PATH, json=document(name, **members), headers=city.auth("admin"))
    assert answer.status_code == 201, answer.text
    return str(answer.headers["location"])


def test_a_life(own_client: TestClient, own_city: TinyCity) -> None:
    auth = own_city.auth("admin")
    location = register(own_client, own_city, "a")
    assert location == f"{PATH}/urn:ngsi-ld:ContextSourceRegistration:a"
    got = own_client.get(location, headers=auth)
    assert got.json() == {**document("a"), "mode": "inclusive", "operations": ["federationOps"]}
    assert "ngsi-ld-core-context" in got.headers["link"]
    assert own_client.get(location, headers=auth | {"Accept": "application/ld+json"}).json()["@context"]
    assert own_client.post(PATH, json=document("a"), headers=auth).status_code == 409
    changed = own_client.patch(location, json={"endpoint": "http://b.example"}, headers=auth)
    assert changed.status_code == 204
    assert own_client.get(location, headers=auth).json()["endpoint"] == "http://b.example"
    assert own_client.get(f"{location}?options=sysAttrs", headers=auth).json()["createdAt"]
    assert own_client.delete(location, headers=auth).status_code == 204
    for answer in (own_client.get(location, headers=auth), own_client.delete(location, headers=auth)):
        assert (answer.status_code, answer.json()["type"]) == (404, f"{ERRORS}ResourceNotFound")


def test_queries(own_client: TestClient, own_city: TinyCity) -> None:
    """51024_01 and 037."""
    register(
        own_client, own_city, "a", scope="/Madrid/Centro", location={"type": "Point", "coordinates": [8.68, 49.41]}
    )
    register(own_client, own_city, "b", scope="/Berlin", sourceType={"type": "Property", "value": "sensor"})
    interval = {"startAt": "2020-08-01T22:07:00Z", "endAt": "2021-08-01T21:07:00Z"}
    register(own_client, own_city, "c", observationInterval=interval)

    def ids(**query: Any) -> list[str]:
        answer = own_client.get(PATH, params=query, headers=own_city.auth("admin"))
        assert answer.status_code == 200, answer.text
        return [found["id"].rpartition(":")[2] for found in answer.json()]

    assert ids(type="Building") == ids(type="Building|Bus") == ["a", "b"]
    assert ids(type="Bus") == []
    assert ids(type="Building", csf='endpoint=="http://a.example"') == ["a"]
    assert ids(q='sourceType=="sensor"') == ["b"]
    assert ids(type="Building", scopeQ="/Madrid/#") == ["a"]
    near = {"georel": "near;maxDistance==2000", "geometry": "Point", "coordinates": "[8.68,49.41]"}
    assert ids(type="Building", **near) == ["a"]
    assert ids(type="Building", timerel="before", timeAt="2021-08-01T22:00:00Z") == ["c"]
    assert ids(type="Building", timerel="before", timeAt="2021-08-01T22:00:00Z", timeproperty="createdAt") == []
    page = own_client.get(f"{PATH}?type=Building&limit=1&offset=1&count=true", headers=own_city.auth("admin"))
    assert page.headers["ngsild-results-count"] == "2" and [r["id"][-1] for r in page.json()] == ["b"]
    assert (
        f'<{PATH}?type=Building&count=true&limit=1&offset=0>; rel="prev"; type="application/ld+json"'
        in page.headers["link"]
    )


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?id=invalidUri",
        "?q=(invalidQuery",
        "?georel=within&type=T",
        "?timerel=before&type=T",
        "?timeAt=2021-08-01T22:00:00Z&type=T",
    ],
)
def test_bad_queries(client: TestClient, city: TinyCity, query: str) -> None:
    answer = client.get(PATH + query, headers=city.auth("admin"))
    assert (answer.status_code, answer.json()["type"]) == (400, f"{ERRORS}BadRequestData")


def test_what_is_held_here_is_not_given_away(own_client: TestClient, own_city: TinyCity) -> None:
    """5922_01_02, 5922_01_03, 436_03_04."""
    auth = own_city.auth("admin")
    truck = {"entities": [{"id": TRUCK, "type": "Vehicle"}]}
    for members in (
        {"mode": "redirect", "operations": ["retrieveOps"], "information": [truck]},
        {"mode": "exclusive", "information": [{**truck, "propertyNames": ["speed"]}]},
    ):
        answer = own_client.post(PATH, json=document("a", **members), headers=auth)
        assert (answer.status_code, answer.json()["type"]) == (409, f"{ERRORS}Conflict")
    other = {"entities": [{"id": "urn:ngsi-ld:Vehicle:away", "type": "Vehicle"}], "propertyNames": ["speed"]}
    register(own_client, own_city, "a", mode="exclusive", information=[other])
    again = own_client.post(PATH, json=document("b", mode="redirect", information=[other]), headers=auth)
    assert again.status_code == 409


def test_one_that_expires_goes(own_client: TestClient, own_city: TinyCity) -> None:
    clock = own_city.hub.real_clock
    location = register(own_client, own_city, "a", expiresAt=render_instant(clock.now() + MINUTE))
    assert own_client.get(location, headers=own_city.auth("admin")).status_code == 200
    own_city.clock.set(clock.now() + 2 * MINUTE)
    assert own_client.get(location, headers=own_city.auth("admin")).status_code == 404
    register(own_client, own_city, "a")


def test_header_values_are_for_those_who_manage_sources(own_client: TestClient, own_city: TinyCity) -> None:
    secret = [{"key": "Authorization", "value": "Bearer x"}]
    location = register(own_client, own_city, "a", contextSourceInfo=secret)
    assert own_client.get(location, headers=own_city.auth("admin")).json()["contextSourceInfo"] == secret
    assert "contextSourceInfo" not in own_client.get(location, headers=own_city.auth("viewer")).json()
    assert own_client.post(PATH, json=document("b"), headers=own_city.auth("officer")).status_code == 403


def test_they_are_there_after_a_restart(own_client: TestClient, own_city: TinyCity) -> None:
    from madang.hub.registrations import Registrations

    register(own_client, own_city, "a")
    again = Registrations(own_city.hub.store, own_city.clock, lambda: "x")
    assert [r.id for r in again.list_active()] == ["urn:ngsi-ld:ContextSourceRegistration:a"]


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_all_at_once_is_not_a_change(client: TestClient, city: TinyCity, method: str) -> None:
    """035_02_01, 034_06_01."""
    body = {"json": {"endpoint": "http://b.example"}} if method == "PATCH" else {}
    answer = client.request(method, f"{PATH}/", headers=city.auth("admin"), **body)  # type: ignore[arg-type]
    assert answer.status_code == 405 and "POST" in answer.headers["allow"]
