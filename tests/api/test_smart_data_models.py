"""Every example of the Smart Data Models goes in over HTTP and comes out as it was: normalised, key-values, in its own @context, and by
every way of writing a whole entity. The examples are read from beside the repository and skipped when they are not there.

What must come out is worked out here, apart from the code: by the rules of clause 4.5.4 (key-values) and, for @contexts, by PyLD: what
went in and what came out expand to the same JSON-LD. The published @contexts are on the internet, where no test goes; they are built
here in the shape of those (terms under smartdatamodels.org, and core terms defined again with the same meaning, as theirs do).
"""

import copy
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyld import jsonld
from starlette.testclient import TestClient

from madang.hub.http import HttpAnswer
from madang.ngsild.core_context import CORE_CONTEXT, CORE_TERMS
from tests.api.tiny_city import TinyCity, build_city, close_city

EXAMPLES = Path(__file__).parents[3] / "shared" / "data" / "ngsi-ld"
PATHS = sorted(EXAMPLES.glob("*/*/example*.jsonld"))
ENTITIES, OPERATIONS = "/ngsi-ld/v1/entities", "/ngsi-ld/v1/entityOperations"
LD = "application/ld+json"
CORE = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld"
KINDS = {"Property", "Relationship", "GeoProperty"}

pytestmark = pytest.mark.skipif(not PATHS, reason="the shared example entities are not here")
every_example = pytest.mark.parametrize("path", PATHS, ids=lambda p: f"{p.parent.name}-{p.stem}")


def in_utc(document: dict[str, Any]) -> dict[str, Any]:
    """The document with observedAt in UTC."""
    result = copy.deepcopy(document)
    for attribute in result.values():
        if isinstance(attribute, dict) and attribute.get("type") in KINDS and "observedAt" in attribute:
            moment = datetime.fromisoformat(attribute["observedAt"]).astimezone(UTC)
            attribute["observedAt"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return result


def load(path: Path) -> dict[str, Any]:
    """The example, with its instants in UTC: one has them with an offset, which clause 4.6.3 does not allow (see the test of it)."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return in_utc(document)


def bare(document: dict[str, Any]) -> dict[str, Any]:
    return {name: member for name, member in document.items() if name != "@context"}


def is_normalised(path: Path) -> bool:
    return path.stem == "example-normalized"


def key_values(document: dict[str, Any]) -> dict[str, Any]:
    """Clause 4.5.4 of a normalised document: values and objects alone."""
    simple = {}
    for name, attribute in document.items():
        if isinstance(attribute, dict) and attribute.get("type") in KINDS:
            attribute = attribute["object" if attribute["type"] == "Relationship" else "value"]
        simple[name] = attribute
    return simple


def sealed(document: dict[str, Any]) -> dict[str, Any]:
    """With structured values as text: a value is kept as it is, and the names inside it are not translated (as in every broker), so they
    mean the same only to a reader with the writer's @context."""
    result = copy.deepcopy(document)
    for attribute in result.values():
        value = attribute.get("value") if isinstance(attribute, dict) and attribute.get("type") == "Property" else None
        if isinstance(value, dict) and "@value" not in value:
            attribute["value"] = json.dumps(value, sort_keys=True)
    return result


class Contexts:
    """The @contexts that the examples name, as a server of ours and PyLD are given them."""

    def __init__(self) -> None:
        self.by_address: dict[str, dict[str, Any]] = {}
        for path in PATHS:
            document = load(path)
            for address in [a for a in document["@context"] if a != CORE]:
                terms = self.by_address.setdefault(address, {
                    "ngsi-ld": "https://uri.etsi.org/ngsi-ld/", "id": "@id", "type": "@type", "location": "ngsi-ld:location",
                    "features": {"@container": "@set", "@id": "geojson:features"},
                    "coordinates": {"@container": "@list", "@id": "https://purl.org/geojson/vocab#coordinates"},
                    "value": "https://uri.etsi.org/ngsi-ld/hasValue", "description": "http://purl.org/dc/terms/description",
                })  # fmt: skip
                for name in [document["type"], *bare(document)]:
                    terms.setdefault(name, f"https://smartdatamodels.org/dataModel.{path.parent.parent.name}/{name}")

    async def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", *, timeout_s: float, bytes_max: int,
        redirects_max: int = 0,
    ) -> HttpAnswer:  # fmt: skip
        content = json.dumps({"@context": self.by_address[url]}).encode()
        return HttpAnswer(200, {"content-type": LD}, content)

    def expand(self, document: dict[str, Any]) -> Any:
        """The JSON-LD of a document by PyLD, which takes the core last, as a broker does (clause 5.5.7)."""
        # PyLD would fetch the one remote context that the core names, for a term that no example uses.
        core = {name: value for name, value in CORE_TERMS.items() if name != "ngsildproof"}
        given = document["@context"] if isinstance(document["@context"], list) else [document["@context"]]
        inline = [self.by_address[a] for a in given if a not in (CORE, CORE_CONTEXT)]
        return jsonld.expand({**document, "@context": [*inline, core]})


@pytest.fixture(scope="module")
def contexts() -> Contexts:
    return Contexts()


@pytest.fixture(scope="module")
def city(contexts: Contexts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyCity]:
    city = build_city(tmp_path_factory.mktemp("models"), http=contexts)
    yield city
    close_city(city)


@pytest.fixture(scope="module")
def client(city: TinyCity) -> Iterator[TestClient]:
    with TestClient(city.app, raise_server_exceptions=False) as client:
        yield client


def ask(
    client: TestClient, city: TinyCity, method: str, path: str, body: Any = None, *, status: int, **headers: str
) -> Any:
    content = None if body is None else json.dumps(body).encode()
    sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    answer = client.request(method, path, content=content, headers=city.auth("admin") | sent)
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


@pytest.fixture
def gone(client: TestClient, city: TinyCity) -> Iterator[None]:
    """Nothing of the examples is left afterwards: several have the same id."""
    yield
    for id_ in {load(path)["id"] for path in PATHS}:
        client.delete(f"{ENTITIES}/{id_}", headers=city.auth("admin"))


@every_example
@pytest.mark.usefixtures("gone")
def test_1_in_the_core_context(client: TestClient, city: TinyCity, path: Path) -> None:
    document = bare(load(path))
    where = f"{ENTITIES}/{document['id']}"
    ask(client, city, "POST", ENTITIES, document, status=201)
    simple = key_values(document) if is_normalised(path) else document
    found = ask(client, city, "GET", where, status=200)
    if is_normalised(path):
        assert found == document
    else:
        assert key_values(found) == document
    assert ask(client, city, "GET", f"{where}?options=keyValues", status=200) == simple
    listed = ask(client, city, "GET", f"{ENTITIES}?type={document['type']}&id={document['id']}", status=200)
    assert listed == [found]
    # What came out goes in again and changes nothing.
    for form in ("normalized", "concise", "keyValues"):
        again = ask(client, city, "GET", f"{where}?format={form}", status=200)
        ask(client, city, "PUT", where, again, status=204)
        after = ask(client, city, "GET", where, status=200)
        assert (key_values(after) if form == "keyValues" else after) == (simple if form == "keyValues" else found), form
        ask(client, city, "PUT", where, found, status=204)


@every_example
@pytest.mark.usefixtures("gone")
def test_2_in_its_own_context(client: TestClient, city: TinyCity, contexts: Contexts, path: Path) -> None:
    document = load(path)
    where = f"{ENTITIES}/{document['id']}"
    ask(client, city, "POST", ENTITIES, document, status=201, Content_Type=LD)
    address = next(a for a in document["@context"] if a != CORE)
    link = f'<{address}>; rel="http://www.w3.org/ns/json-ld#context"; type="{LD}"'
    form = "" if is_normalised(path) else "?options=keyValues"
    expected = bare(document)
    assert ask(client, city, "GET", where + form, status=200, Link=link) == expected
    as_ld = ask(client, city, "GET", where + form, status=200, Link=link, Accept=LD)
    assert bare(as_ld) == expected
    if is_normalised(path):
        assert contexts.expand(as_ld) == contexts.expand(document)
        # To a reader who knows none of the terms the same is told in full.
        in_full = ask(client, city, "GET", where, status=200, Accept=LD)
        assert contexts.expand(sealed(in_full)) == contexts.expand(sealed(as_ld))
    found = ask(client, city, "GET", f"{ENTITIES}?type={document['type']}", status=200, Link=link)
    assert [one["id"] for one in found] == [document["id"]]
    assert ask(client, city, "GET", f"{ENTITIES}?type={document['type']}&id={document['id']}", status=200) == []


@pytest.mark.usefixtures("gone")
def test_3_an_instant_with_an_offset_is_refused_with_the_text_to_write(client: TestClient, city: TinyCity) -> None:
    """The one example that the standard does not allow as it is published."""
    published = [json.loads(path.read_text(encoding="utf-8")) for path in PATHS]
    refused = []
    for document in published:
        answer = client.post(ENTITIES, json=bare(document), headers=city.auth("admin"))
        if answer.status_code == 400:
            refused.append((document["id"], answer.json()["detail"]))
        client.delete(f"{ENTITIES}/{document['id']}", headers=city.auth("admin"))
    ((id_, detail),) = refused
    assert id_ == "urn:ngsi-ld:Vehicle:vehicle:WasteManagement:1" and "2021-03-11T10:21:02Z" in detail


@pytest.mark.parametrize("operation", ["create", "upsert", "update", "merge"])
@pytest.mark.usefixtures("gone")
def test_4_in_batches(client: TestClient, city: TinyCity, contexts: Contexts, operation: str) -> None:
    documents = [load(path) for path in PATHS if is_normalised(path)]
    if operation in ("update", "merge"):
        empty = [{"id": d["id"], "type": d["type"], "@context": d["@context"]} for d in documents]
        ask(client, city, "POST", f"{OPERATIONS}/create", empty, status=201, Content_Type=LD)
    status = 201 if operation in ("create", "upsert") else 204
    ask(client, city, "POST", f"{OPERATIONS}/{operation}", documents, status=status, Content_Type=LD)
    for document in documents:
        found = ask(client, city, "GET", f"{ENTITIES}/{document['id']}", status=200, Accept=LD)
        expected = document
        assert contexts.expand(sealed(found)) == contexts.expand(sealed(expected))
