"""One error shape, whatever is done wrong: every way to fail that we could think of, at the front door."""

import gzip
from typing import Any

import pytest
from starlette.testclient import TestClient

from madang.api.route import BODY_BYTES_MAX
from tests.api.tiny_city import PUSH, TRUCK, TinyCity

NGSILD = "/ngsi-ld/v1/entities"
JSON = {"Content-Type": "application/json"}


def check_shape(answer: Any, status: int, code: str) -> dict[str, Any]:
    """RFC 9457 with our members; nothing of our insides. ETSI GS CIM 009 wants its media type to be the usual one (5.5.3)."""
    assert answer.status_code == status, answer.text
    ngsild = answer.request.url.path.startswith("/ngsi-ld/")
    assert answer.headers["content-type"] == ("application/json" if ngsild else "application/problem+json")
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert problem["code"] == code
    assert problem["detail"] and problem["title"] and problem["type"]
    assert "Traceback" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    return problem


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "code"),
    [
        ("GET", "/api/nothing", {}, None, 404, "no-such-path"),
        ("GET", "/api", {}, None, 404, "no-such-path"),
        ("GET", "/ngsi-ld/v2/entities", {}, None, 404, "no-such-path"),
        ("POST", "/somewhere", {}, None, 404, "no-such-path"),
        ("GET", "/picture.png", {}, None, 404, "no-such-path"),
        ("GET", "/api/" + "a/" * 40, {}, None, 404, "no-such-path"),
        ("GET", "/api/" + "a" * 5000, {}, None, 400, "bad-path"),
        ("GET", "/api/entities/%FF%FE", {}, None, 400, "bad-path"),
        ("PUT", "/api/live", {}, None, 405, "method-not-allowed"),
        ("BREW", "/api/live", {}, None, 405, "method-not-allowed"),
        ("HEAD", "/api/stream", {}, None, 405, "method-not-allowed"),
        ("GET", "/api/incidents?colour=red", {}, None, 400, "unknown-parameter"),
        ("GET", "/api/me?x", {}, None, 400, "unknown-parameter"),
        ("GET", "/api/incidents?limit=ten", {}, None, 400, "bad-parameter"),
        ("GET", "/api/incidents?limit=0", {}, None, 400, "bad-parameter"),
        ("GET", "/api/incidents?limit=99999999999999999999999", {}, None, 400, "bad-parameter"),
        ("GET", "/api/incidents?offset=-1", {}, None, 400, "bad-parameter"),
        ("GET", "/api/incidents?lane=left", {}, None, 400, "bad-parameter"),
        ("GET", "/api/incidents?lang=fr", {}, None, 400, "bad-parameter"),
        ("GET", "/api/incidents?limit=1&limit=2", {}, None, 400, "repeated-parameter"),
        ("GET", "/api/incidents?text=%FF", {}, None, 400, "bad-query"),
        ("GET", "/api/incidents?" + "&".join(f"a{n}=1" for n in range(100)), {}, None, 400, "bad-query"),
        ("GET", "/api/incidents?text=" + "a" * 20_000, {}, None, 400, "query-too-long"),
        ("GET", "/api/incidents?text=" + "a" * 5_000, {}, None, 400, "bad-parameter"),
        ("GET", "/api/indicators?from=yesterday", {}, None, 400, "bad-parameter"),
        ("GET", "/api/indicators?from=2026-11-23T00:00:00Z&to=2026-11-22T00:00:00Z", {}, None, 400, "bad-parameter"),
        ("GET", f"/api/entities/{TRUCK}/history?from=2020-01-01T00:00:00Z", {}, None, 400, "bad-parameter"),
        ("GET", "/api/entities/urn:x:none", {}, None, 404, "not-found"),
        ("GET", "/api/incidents/urn:x:none", {}, None, 404, "not-found"),
        ("GET", "/api/records/urn:x:none", {}, None, 404, "not-found"),
        ("GET", "/api/layers/none", {}, None, 404, "not-found"),
        ("GET", "/api/tables/None", {}, None, 404, "not-found"),
        ("GET", "/api/tables/Vehicle?sort=colour", {}, None, 400, "bad-parameter"),
        ("GET", "/api/tables/Vehicle?filter=speed%3E", {}, None, 400, "bad-request-data"),
        ("GET", "/api/tables/Vehicle.csv?filter=speed%3E", {}, None, 400, "bad-request-data"),
        ("GET", "/api/tables/None.xlsx", {}, None, 404, "not-found"),
        ("GET", "/api/stream?topics=noise", {}, None, 400, "bad-parameter"),
        ("GET", "/api/stream", {"Last-Event-ID": "last"}, None, 400, "bad-header"),
        ("POST", "/api/session", JSON, b"{", 400, "bad-json"),
        ("POST", "/api/session", JSON, b"", 400, "no-body"),
        ("POST", "/api/session", JSON, b"[" * 100_000, 400, "bad-body"),
        ("POST", NGSILD, JSON, b"[" * 100_000, 400, "bad-json"),
        ("POST", "/api/session", JSON, b'{"token": "\xff"}', 400, "bad-json"),
        ("POST", "/api/session", JSON, b'{"token": 5}', 400, "bad-body"),
        ("POST", "/api/session", JSON, b'{"toke": "x"}', 400, "bad-body"),
        ("POST", "/api/session", JSON, b'{"token": "mdg_wrong"}', 401, "not-authenticated"),
        ("POST", "/api/session", {"Content-Type": "text/plain"}, b"{}", 415, "media-type"),
        ("POST", "/api/session", {}, b"{}", 415, "media-type"),
        ("POST", "/api/session", {"Content-Type": "application/json; charset=euc-kr"}, b"{}", 415, "charset"),
        ("POST", "/api/session", JSON | {"Content-Encoding": "gzip"}, gzip.compress(b"{}"), 415, "content-encoding"),
        ("POST", "/api/session", JSON, b" " * (BODY_BYTES_MAX + 1), 413, "too-large"),
        ("POST", "/api/tokens", JSON, b'{"name": "a b", "role": "viewer"}', 400, "bad-token"),
        ("POST", "/api/tokens", JSON, b'{"name": "a", "role": "king"}', 400, "bad-token"),
        ("POST", "/api/tokens", JSON, b'{"name": "a", "role": "carrier"}', 400, "bad-token"),
        ("POST", "/api/tokens", JSON, b'{"name": "a-viewer", "role": "viewer"}', 409, "token-exists"),
        ("DELETE", "/api/tokens/nobody", {}, None, 404, "not-found"),
        ("POST", "/api/records/Nonsense", JSON, b"{}", 404, "not-found"),
        ("POST", "/api/records/Incident", JSON, b'{"action": "fly"}', 409, "not-allowed"),
        ("POST", "/api/records/Incident", JSON, b'{"action": "report", "arguments": {}}', 422, "bad-arguments"),
        ("POST", "/api/records/Incident", JSON | {"Idempotency-Key": "k" * 201}, b"{}", 400, "bad-header"),
        ("POST", "/api/records/urn:x:none/actions/fly", JSON, b"{}", 404, "not-found"),
        ("POST", "/api/quarantine/one/replay", {}, None, 400, "bad-path"),
        ("POST", "/api/quarantine/999/replay", {}, None, 404, "not-found"),
        ("POST", "/api/sources/none/messages", JSON, b"{}", 404, "not-found"),
        ("POST", f"/api/sources/{PUSH}/messages", {}, b"{}", 415, "media-type"),
        ("GET", NGSILD, {}, None, 400, "bad-request-data"),
        ("GET", f"{NGSILD}?type=Vehicle&q=(", {}, None, 400, "bad-request-data"),
        ("GET", f"{NGSILD}?type=Vehicle&georel=near", {}, None, 400, "bad-request-data"),
        ("GET", f"{NGSILD}?type=Vehicle&idPattern=(", {}, None, 400, "bad-request-data"),
        ("GET", f"{NGSILD}?type=Vehicle&options=shiny", {}, None, 400, "bad-parameter"),
        ("GET", f"{NGSILD}?type=Vehicle&limit=0", {}, None, 400, "bad-parameter"),
        ("GET", f"{NGSILD}?type=Vehicle&scopeQ=9", {}, None, 400, "bad-request-data"),
        ("GET", f"{NGSILD}?type=(Vehicle;A", {}, None, 400, "bad-request-data"),
        ("GET", f"{NGSILD}?type=Vehicle&colour=red", {}, None, 400, "unknown-parameter"),
        ("GET", f"{NGSILD}?type=Vehicle", {"Accept": "text/turtle"}, None, 406, "not-acceptable"),
        ("GET", f"{NGSILD}?q=a~=(x%2B)%2B", {}, None, 403, "bad-request-data"),
        ("GET", f"{NGSILD}/urn:x:none", {}, None, 404, "not-found"),
        ("GET", f"{NGSILD}/none?options=sysAttrs", {}, None, 400, "bad-request-data"),
        ("POST", NGSILD, JSON, b"[]", 400, "bad-request-data"),
        ("POST", NGSILD, JSON, b"{", 400, "bad-json"),
        ("POST", NGSILD, JSON, b'{"id": "urn:x:1", "type": "T", "@context": []}', 400, "bad-request-data"),
        ("POST", NGSILD, {"Content-Type": "application/ld+json"}, b'{"id": "urn:x:1", "type": "T"}', 400,
         "bad-request-data"),
        ("POST", NGSILD, JSON, b'{"id": "urn:ngsi-ld:Vehicle:t1", "type": "Vehicle"}', 409, "already-exists"),
        ("POST", NGSILD, JSON, b'{"id": "urn:x:1", "type": "ManureManifest"}', 409, "governed"),
        ("PATCH", f"{NGSILD}/urn:ngsi-ld:Vehicle:none", JSON, b"{}", 404, "not-found"),
        ("DELETE", f"{NGSILD}/urn:x:none", {}, None, 404, "not-found"),
        ("DELETE", f"{NGSILD}/none", {}, None, 400, "bad-request-data"),
        ("POST", "/ngsi-ld/v1/entityOperations/upsert", JSON, b"{}", 400, "bad-request-data"),
    ],
)  # fmt: skip
def test_every_way_to_fail_has_the_one_shape(
    client: TestClient, city: TinyCity, method: str, path: str, headers: dict[str, str], body: bytes | None, status: int,
    code: str,
) -> None:  # fmt: skip
    answer = client.request(method, path, headers=city.auth("admin") | headers, content=body)
    if method == "HEAD":
        assert answer.status_code == status
        return
    problem = check_shape(answer, status, code)
    standard = path.startswith("/ngsi-ld/") and code not in ("not-yet", "media-type")
    expected = "https://uri.etsi.org/ngsi-ld/errors/" if standard and status < 500 else "urn:madang:error:"
    assert problem["type"].startswith(expected), problem


def test_an_unknown_parameter_is_told_which_are_known(client: TestClient, city: TinyCity) -> None:
    problem = client.get("/api/quarantine?before=5&sauce=x", headers=city.auth("admin")).json()
    assert problem["known"] == ["source", "limit", "before"]
    assert "known: source, limit, before, lang" in problem["detail"]


def test_405_says_which_methods(client: TestClient) -> None:
    answer = client.put("/api/session")
    check_shape(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "DELETE, OPTIONS, POST"


def test_options_says_which_methods(client: TestClient) -> None:
    answer = client.options("/api/live")
    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS")


def test_head_is_get_without_its_body(client: TestClient, city: TinyCity) -> None:
    whole = client.get("/api/city", headers=city.auth("viewer"))
    head = client.head("/api/city", headers=city.auth("viewer"))
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.content))


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer mdg_x", "Basic YTpi", "Digest x", "Bearer " + "x" * 10_000, "mdg_", "Bearer \xe9"]
)
def test_a_bad_log_in_is_401(client: TestClient, header: str) -> None:
    check_shape(client.get("/api/me", headers={"Authorization": header.encode("latin-1")}), 401, "not-authenticated")


def test_what_nobody_expected_is_500_with_an_id_and_nothing_more(
    own_client: TestClient, own_city: TinyCity, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("secret insides")

    monkeypatch.setattr(own_city.hub.sources, "list", fail)
    answer = own_client.get("/api/sources", headers=own_city.auth("admin"))
    problem = check_shape(answer, 500, "unexpected")
    assert "insides" not in answer.text
    assert problem["error_id"] in caplog.text and "secret insides" in caplog.text


def test_a_closed_store_is_503(own_client: TestClient, own_city: TinyCity) -> None:
    headers = own_city.auth("admin")
    assert own_client.get("/api/me", headers=headers).status_code == 200
    own_city.hub.store.close()
    check_shape(own_client.get("/api/tables", headers=headers), 503, "shutting-down")
    assert own_client.get("/health").json()["status"] == "ok"
    assert own_client.get("/ready").status_code == 503


def test_failed_log_ins_are_slowed_down(own_client: TestClient, own_city: TinyCity) -> None:
    for _ in range(10):
        check_shape(own_client.get("/api/me", headers={"Authorization": "Bearer mdg_x"}), 401, "not-authenticated")
    answer = own_client.get("/api/me", headers={"Authorization": "Bearer mdg_x"})
    check_shape(answer, 429, "too-many-failures")
    assert 0 < int(answer.headers["retry-after"]) <= 60
    # A good token is not held up by somebody else's broken one at the same address.
    assert own_client.get("/api/me", headers=own_city.auth("viewer")).status_code == 200
    own_city.clock.set(own_city.clock.now() + 61_000_000)
    check_shape(own_client.get("/api/me", headers={"Authorization": "Bearer mdg_x"}), 401, "not-authenticated")


def test_a_wrong_host_is_not_answered(own_client: TestClient, own_city: TinyCity) -> None:
    from madang.api.state import ApiSettings

    own_city.app.api.settings = ApiSettings(hosts=("madang.example", "testserver"))
    assert own_client.get("/health").status_code == 200
    check_shape(own_client.get("/health", headers={"Host": "evil.example"}), 421, "wrong-host")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        # What it is can be seen (RFC 9110, 8.3), and that it is not JSON (5.5.4; the official suite's 039_05).
        ("PATCH", "/ngsi-ld/v1/csourceSubscriptions/urn:x:1", 400, "bad-json"),
        # Any page can make a browser send a POST without a type; a PATCH it must ask for.
        ("POST", "/ngsi-ld/v1/csourceSubscriptions", 415, "media-type"),
    ],
)
def test_a_body_without_a_type(
    client: TestClient, city: TinyCity, method: str, path: str, status: int, code: str
) -> None:
    answer = client.request(method, path, content=b'{"a": 1,,}', headers=city.auth("admin"))
    check_shape(answer, status, code)
