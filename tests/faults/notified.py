"""A receiver of notifications that counts, and what must hold for what it heard."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WITHIN_S = 40.0
Heard = list[tuple[str, str, int]]
"""(notification id, entity, its number ``n``) as they came."""


@contextmanager
def receiving() -> Iterator[tuple[str, Heard]]:
    """(address, what it hears)."""
    heard: Heard = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            heard.extend((self.headers["Idempotency-Key"], e["id"], e["n"]["value"]) for e in body["data"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/n", heard
    finally:
        server.shutdown()
        server.server_close()


def assert_told(heard: Heard, expected: set[tuple[str, int]]) -> None:
    """Waits until everything was told: of each entity in order, and again only under the same id."""
    until = time.monotonic() + WITHIN_S
    while {(entity, number) for _, entity, number in heard} != expected and time.monotonic() < until:
        time.sleep(0.05)
    assert {(entity, number) for _, entity, number in heard} == expected
    first: dict[tuple[str, int], str] = {}
    newest: dict[str, int] = {}
    for id_, entity, number in heard:
        if (entity, number) in first:
            assert first[entity, number] == id_, "a repeat has another id"
            continue
        first[entity, number] = id_
        assert number >= newest.get(entity, 0), "out of order"
        newest[entity] = number
