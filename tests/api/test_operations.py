"""Health, readiness, figures, the OpenAPI document, the authorisation matrix."""

from pathlib import Path

from starlette.testclient import TestClient

from madang.api.matrix import render_matrix
from madang.api.openapi import operation_id
from madang.api.route import PUBLIC
from madang.api.routes import ROUTES
from tests.api.tiny_city import TinyCity

MATRIX = Path(__file__).parents[2] / "docs" / "generated" / "authorisation.md"


def test_health_and_readiness(client: TestClient) -> None:
    assert client.get("/health").json()["status"] == "ok"
    ready = client.get("/ready")
    assert (ready.status_code, ready.json()) == (
        200, {"status": "ok", "checks": {"store": "ok", "detectors": "ok", "ingest": "ok"}}
    )  # fmt: skip


def test_figures(client: TestClient, city: TinyCity) -> None:
    client.get("/api/me", headers=city.auth("viewer"))
    text = client.get("/metrics", headers=city.auth("operator")).text
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert lines["madang_ingest_readings_total"] == "5.0"
    assert lines['madang_source_rejected_total{source="manure-terminals"}'] == "1.0"
    assert float(lines['madang_http_requests_total{method="GET",route="/api/me",status="200"}']) >= 1
    assert float(lines["madang_store_commits"]) > 0


def test_the_openapi_document_says_what_the_table_says(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    found = {(m.upper(), path) for path, methods in document["paths"].items() for m in methods}
    assert found == {(route.method, route.path) for route in ROUTES}
    ids = [operation_id(route) for route in ROUTES]
    assert len(ids) == len(set(ids))
    for route in ROUTES:
        operation = document["paths"][route.path][route.method.lower()]
        assert (operation["security"] == []) == (route.permission == PUBLIC)
        media_type = "application/json" if route.path.startswith("/ngsi-ld/") else "application/problem+json"
        assert operation["responses"]["default"]["content"].keys() == {media_type}


def test_every_reference_of_the_document_leads_somewhere(client: TestClient) -> None:
    text = client.get("/openapi.json").text
    document = client.get("/openapi.json").json()
    for part in text.split('"$ref":"#/components/schemas/')[1:]:
        assert part.split('"', 1)[0] in document["components"]["schemas"]


def test_the_authorisation_matrix_is_fresh() -> None:
    """Writes the page and fails when it was stale: commit it."""
    page = render_matrix(ROUTES)
    fresh = MATRIX.exists() and MATRIX.read_text(encoding="utf-8") == page
    if not fresh:
        MATRIX.parent.mkdir(parents=True, exist_ok=True)
        MATRIX.write_text(page, encoding="utf-8")
    assert fresh, "docs/generated/authorisation.md was stale and is rewritten: commit it"


def test_what_is_said_exists_in_both_languages(client: TestClient, city: TinyCity) -> None:
    """Pages of the tiny city in Korean and English need no text that no locale file has, but those of its test rules."""
    for lang in ("ko", "en"):
        for path in ("/api/incidents", "/api/record-types", "/api/tables", "/api/layers", "/api/sources"):
            client.get(f"{path}?lang={lang}", headers=city.auth("viewer"))
        for id_ in city.manifests.values():
            client.get(f"/api/records/{id_}?lang={lang}", headers=city.auth("viewer"))
    missing = {name for name in city.hub.words.missing if ":test." not in name}
    assert missing == set()
