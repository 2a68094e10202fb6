"""Log-in by token and by cookie, and its end."""

from starlette.testclient import TestClient

from madang.model.caller import SYSTEM
from madang.model.time import HOUR
from tests.api.tiny_city import TinyCity

WRITE = {"X-Requested-With": "madang"}


def log_in(client: TestClient, city: TinyCity, role: str = "operator") -> None:
    answer = client.post("/api/session", json={"token": city.tokens[role]})
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/" in cookie and "Max-Age=43200" in cookie
    assert city.tokens[role] not in cookie


def test_a_session_opens_and_closes(own_client: TestClient, own_city: TinyCity) -> None:
    log_in(own_client, own_city)
    assert own_client.get("/api/me").json()["role"] == "operator"
    value = own_client.cookies["madang_session"]
    assert own_client.delete("/api/session", headers=WRITE).status_code == 204
    assert own_client.get("/api/me").status_code == 401
    # The cookie's value is dead on the server, not only forgotten by the browser.
    assert own_client.get("/api/me", headers={"Cookie": f"madang_session={value}"}).status_code == 401


def test_a_session_ends_after_twelve_hours_and_survives_a_restart_of_the_cache(
    own_client: TestClient, own_city: TinyCity
) -> None:
    log_in(own_client, own_city)
    own_city.clock.set(own_city.clock.now() + 12 * HOUR - 10_000_000)
    assert own_client.get("/api/me").status_code == 200
    own_city.clock.set(own_city.clock.now() + 11_000_000)
    assert own_client.get("/api/me").status_code == 401


def test_a_write_with_a_cookie_comes_from_our_own_page(own_client: TestClient, own_city: TinyCity) -> None:
    log_in(own_client, own_city)
    path, body = "/api/records/Incident", {"action": "report", "arguments": {"title": "x", "severity": "low"}}
    assert own_client.post(path, json=body).json()["code"] == "cross-site"
    foreign = {"Origin": "https://evil.example"}
    assert own_client.post(path, json=body, headers=foreign).json()["code"] == "cross-site"
    assert own_client.post(path, json=body, headers={"Origin": "http://testserver"}).status_code == 201
    assert own_client.post(path, json=body, headers=WRITE).status_code == 201
    # A token in the header is no cookie: nothing sends it by itself.
    own_client.cookies.clear()
    assert own_client.post(path, json=body, headers=own_city.auth("operator") | foreign).status_code == 201


def test_revoking_a_token_ends_it_and_its_sessions_at_once(own_client: TestClient, own_city: TinyCity) -> None:
    log_in(own_client, own_city)
    own_city.hub.tokens.revoke(SYSTEM, "a-operator")
    assert own_client.get("/api/me").status_code == 401
    own_client.cookies.clear()
    assert own_client.get("/api/me", headers=own_city.auth("operator")).status_code == 401
    assert own_client.get("/api/me", headers=own_city.auth("viewer")).status_code == 200


def test_tokens_over_the_api(own_client: TestClient, own_city: TinyCity) -> None:
    admin = own_city.auth("admin")
    body = {"name": "night", "role": "viewer", "expires_at": "2026-11-23T03:00:00Z"}
    made = own_client.post("/api/tokens", headers=admin, json=body).json()
    mine = {"Authorization": f"Bearer {made['token']}"}
    assert own_client.get("/api/me", headers=mine).json()["name"] == "night"
    rows = {row["name"]: row for row in own_client.get("/api/tokens", headers=admin).json()}
    assert rows["night"]["created_by"] == "token:a-admin" and "hash" not in rows["night"]
    assert made["token"] not in own_client.get("/api/tokens", headers=admin).text
    own_city.clock.set(own_city.clock.now() + HOUR)
    assert own_client.get("/api/me", headers=mine).status_code == 401
    assert own_client.delete("/api/tokens/night", headers=admin).status_code == 204


def test_a_token_made_by_another_process_is_found(own_client: TestClient, own_city: TinyCity) -> None:
    import secrets

    from madang.hub.tokens import Tokens

    assert own_client.get("/api/me", headers=own_city.auth("viewer")).status_code == 200
    other = Tokens(own_city.hub.store, own_city.clock, secrets.token_bytes)
    token = other.create(SYSTEM, "late", "viewer")
    own_city.clock.set(own_city.clock.now() + 2_000_000)
    assert own_client.get("/api/me", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    with own_city.hub.store.read() as read:
        stored = b"".join(body for _, body in [*read.list_documents("token"), *read.list_documents("session")])
    assert token.encode() not in stored
