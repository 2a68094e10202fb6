"""Whatever bytes arrive at the front door, the answer is one whole HTTP answer and never our mistake (500)."""

import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madang.api.routes import ROUTES
from tests.api.tiny_city import TinyCity

PATHS = st.sampled_from([route.path for route in ROUTES if route.path != "/api/stream"]).map(
    lambda path: (
        path.replace("{id}", "urn:ngsi-ld:Vehicle:t1").replace("{type}", "Vehicle").replace("{name}", "x").encode()
    )
)
METHODS = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW", ""])
NAMES = st.sampled_from(["type", "q", "limit", "offset", "filter", "sort", "text", "state", "from", "to", "attributes", "id",
                         "georel", "geometry", "coordinates", "options", "attrs", "idPattern", "lang", "after", "x"])  # fmt: skip
VALUES = st.sampled_from(["Vehicle", "a==1", "10", "-1", "near;maxDistance==5", "Point", "[1,2]", "keyValues", "true",
                          "2026-11-23T00:00:00Z", "%FF", "%00", "", "a,b", "ko", "live"]) | st.text(max_size=8)  # fmt: skip
QUERIES = st.lists(st.tuples(NAMES, VALUES), max_size=4).map(
    lambda pairs: "&".join(f"{n}={v}" for n, v in pairs).encode("utf-8", "surrogatepass")
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from([b"accept", b"accept-language", b"content-type", b"cookie", b"origin", b"if-none-match",
                         b"content-length", b"content-encoding", b"idempotency-key", b"host", b"last-event-id"]),
        st.sampled_from([b"application/json", b"application/ld+json", b"*/*", b"madang_session=x", b"ko", b"-1", b"gzip",
                         b"text/html;q=x", b"\xff\x00"]) | st.binary(max_size=12),
    ),
    max_size=4,
)  # fmt: skip
BODIES = st.sampled_from([b"", b"{}", b"[]", b"null", b'{"id":"urn:x:1","type":"T"}', b'{"arguments":{}}', b"[{}]",
                          b'{"name":"q","role":"viewer"}', b"\xff", b"[" * 3000]) | st.binary(max_size=40)  # fmt: skip


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(METHODS, PATHS | st.binary(max_size=20).map(lambda b: b"/" + b), QUERIES, HEADERS, BODIES, st.booleans())
def test_any_request_gets_one_whole_answer(
    city: TinyCity, method: str, path: bytes, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes, known: bool
) -> None:
    if known:
        # A viewer may read everything and change nothing, so that the shared city stays as it is.
        headers = [*headers, (b"authorization", f"Bearer {city.tokens['viewer']}".encode())]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path.decode("utf-8", "replace"), "raw_path": path,
             "query_string": query, "headers": headers, "client": ("127.0.0.1", 1)}  # fmt: skip
    asyncio.run(city.app.api_dispatch(scope, receive, send))
    assert sent[0]["type"] == "http.response.start"
    assert sent[0]["status"] != 500, sent
    assert all(message["type"] == "http.response.body" for message in sent[1:])
    assert not sent[-1].get("more_body", False)
