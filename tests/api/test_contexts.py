"""/ngsi-ld/v1/jsonldContexts over HTTP (clauses 5.13.2 to 5.13.5), and the @context of a Link header. Expected answers are
those of the conformance suite's jsonldContext group."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from madang.api.handlers.ngsild.context_of import context_link
from madang.model.time import render_instant
from madang.ngsild.core_context import CORE_CONTEXT, CORE_TERMS
from madang.ngsild.errors import NgsiLdError
from tests.api.tiny_city import TinyCity

PATH = "/ngsi-ld/v1/jsonldContexts"
DOCUMENT = {"@context": {"A1": "urn:ngsi-ld:attributes:A1"}}
ERRORS = "https://uri.etsi.org/ngsi-ld/errors/"


def host(client: TestClient, city: TinyCity, document: Any = DOCUMENT) -> str:
    answer = client.post(PATH, json=document, headers=city.auth("admin"))
    assert answer.status_code == 201 and answer.content == b"", answer.text
    return str(answer.headers["location"])


def test_add_serve_list_delete(own_client: TestClient, own_city: TinyCity) -> None:
    client, auth = own_client, own_city.auth("admin")
    location = host(client, own_city)
    assert location.startswith(f"{PATH}/urn:ngsi-ld:Context:")
    served = client.get(location)
    assert served.json() == DOCUMENT and served.headers["content-type"] == "application/json"
    details = client.get(f"{location}?details=true").json()
    assert details["kind"] == "Hosted" and details["URL"].endswith(location) and details["numberOfHits"] == 1
    assert details["createdAt"] == render_instant(own_city.clock.now())
    assert set(details) == {"URL", "localId", "kind", "createdAt", "lastUsage", "numberOfHits"}
    listed = client.get(PATH, headers=auth).json()
    assert listed == [CORE_CONTEXT, details["URL"]]
    assert client.get(f"{PATH}?kind=Hosted", headers=auth).json() == [details["URL"]]
    assert client.get(f"{PATH}?kind=ImplicitlyCreated&details=true", headers=auth).json() == []
    assert [d["kind"] for d in client.get(f"{PATH}?details=true", headers=auth).json()] == ["Cached", "Hosted"]
    gone = client.delete(location, headers=auth)
    assert gone.status_code == 204 and gone.content == b""
    assert client.get(location).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "kind"),
    [
        ("POST", "", {"A1": "urn:x:1"}, 400, "InvalidRequest"),
        ("POST", "", b'{"A1": "urn:x:1" "A2"}', 400, "InvalidRequest"),
        ("POST", "", {"@context": True}, 400, "BadRequestData"),
        ("GET", "?kind=other", None, 400, "BadRequestData"),
        ("GET", "?details=other", None, 400, "BadRequestData"),
        ("GET", "/wrong_id_context?details=true", None, 404, "ResourceNotFound"),
        ("DELETE", "/wrong_id_context", None, 404, "ResourceNotFound"),
        ("DELETE", "/wrong_id_context?reload=true", None, 400, "BadRequestData"),
        ("DELETE", "/wrong_id_context?reload=xxx", None, 400, "BadRequestData"),
        ("DELETE", f"/{CORE_CONTEXT.replace('/', '%2F')}", None, 400, "BadRequestData"),
        # The tiny city has no HTTP client: nothing can be fetched.
        ("DELETE", f"/{CORE_CONTEXT.replace('/', '%2F')}?reload=true", None, 504, "LdContextNotAvailable"),
    ],
)
def test_refusals(
    client: TestClient, city: TinyCity, method: str, path: str, body: Any, status: int, kind: str
) -> None:
    content = {"content": body} if isinstance(body, bytes) else {} if body is None else {"json": body}
    headers = city.auth("admin") | ({"Content-Type": "application/json"} if isinstance(body, bytes) else {})
    answer = client.request(method, PATH + path, headers=headers, **content)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["type"]) == (status, ERRORS + kind), answer.text


def test_the_core_is_served(client: TestClient) -> None:
    address = f"{PATH}/{CORE_CONTEXT.replace('/', '%2F')}"
    assert client.get(address).json() == {"@context": CORE_TERMS}
    assert client.get(f"{address}?details=true").json()["URL"] == CORE_CONTEXT


def test_who_may(client: TestClient, city: TinyCity) -> None:
    assert client.get(PATH).status_code == 401
    assert client.post(PATH, json=DOCUMENT, headers=city.auth("viewer")).status_code == 403
    assert client.get(PATH, headers=city.auth("viewer")).status_code == 200


@pytest.mark.parametrize(
    ("header", "address"),
    [
        (
            '<https://a.example/c>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"',
            "https://a.example/c",
        ),
        ("<https://a.example/c>;rel=http://www.w3.org/ns/json-ld#context", "https://a.example/c"),
        (
            '<x>; rel="next", <https://a.example/c>; type="t"; rel="http://www.w3.org/ns/json-ld#context"',
            "https://a.example/c",
        ),
        ('<x>; title="a, b; c"; rel=next', None),
        ("", None),
        ("nonsense", None),
    ],
)
def test_the_context_of_a_link_header(header: str, address: str | None) -> None:
    """RFC 8288; the relation is JSON-LD's (JSON-LD 1.1 section 6.1)."""
    assert context_link(header) == address


def test_two_contexts_in_one_link_header() -> None:
    one = '<https://a.example/c>; rel="http://www.w3.org/ns/json-ld#context"'
    with pytest.raises(NgsiLdError):
        context_link(f"{one}, {one}")


def test_a_subscription_in_several_contexts_gets_one_address(own_client: TestClient, own_city: TinyCity) -> None:
    """Clauses 5.2.12 (jsonldContext) and 5.13.1 (ImplicitlyCreated); the suite's 050_03, 051_06, 051_07, 053_07 and 053_08."""
    client, auth = own_client, own_city.auth("admin")
    value = [{"A1": "urn:ngsi-ld:attributes:A1"}, {"T1": "urn:ngsi-ld:types:T1"}]
    body = {
        "id": "urn:ngsi-ld:Subscription:1",
        "type": "Subscription",
        "entities": [{"type": "T1"}],
        "notification": {"endpoint": {"uri": "https://receiver.example/notify"}},
        "@context": value,
    }
    ld = {**auth, "Content-Type": "application/ld+json"}
    assert client.post("/ngsi-ld/v1/subscriptions", json=body, headers=ld).status_code == 201
    assert client.post("/ngsi-ld/v1/subscriptions", json=body, headers=ld).status_code == 409
    address = client.get(f"/ngsi-ld/v1/subscriptions/{body['id']}", headers=auth).json()["jsonldContext"]
    assert address.startswith("http://testserver" + PATH)
    (details,) = client.get(f"{PATH}?kind=ImplicitlyCreated&details=true", headers=auth).json()
    assert (details["URL"], details["kind"], details["numberOfHits"]) == (address, "ImplicitlyCreated", 0)
    assert client.get(address).json() == {"@context": value}
    entity = {"id": "urn:x:1", "type": "T1", "A1": "a", "@context": address}
    assert client.post("/ngsi-ld/v1/entities", json=entity, headers=ld).status_code == 201
    assert client.get(f"{address}?details=true").json()["numberOfHits"] == 2
    shown = client.get("/ngsi-ld/v1/entities/urn:x:1", headers=auth).json()
    assert shown["urn:ngsi-ld:attributes:A1"]["value"] == "a"
    refused = client.delete(f"{address}?reload=true", headers=auth)
    assert (refused.status_code, refused.json()["type"]) == (400, ERRORS + "BadRequestData")
    assert client.delete(address, headers=auth).status_code == 204


def test_a_subscription_in_one_context_needs_no_other(own_client: TestClient, own_city: TinyCity) -> None:
    """One address, the core beside it or not, is the address of notifications already."""
    auth = own_city.auth("admin")
    address = "http://testserver" + host(own_client, own_city)
    for number, value in enumerate((address, [address], [address, CORE_CONTEXT], CORE_CONTEXT, [CORE_CONTEXT])):
        body = {
            "id": f"urn:ngsi-ld:Subscription:{number}",
            "type": "Subscription",
            "entities": [{"type": "T1"}],
            "notification": {"endpoint": {"uri": "https://receiver.example/notify"}},
            "@context": value,
        }
        ld = {**auth, "Content-Type": "application/ld+json"}
        assert own_client.post("/ngsi-ld/v1/subscriptions", json=body, headers=ld).status_code == 201
        shown = own_client.get(f"/ngsi-ld/v1/subscriptions/{body['id']}", headers=auth).json()
        assert "jsonldContext" not in shown
    assert own_client.get(f"{PATH}?kind=ImplicitlyCreated", headers=auth).json() == []
