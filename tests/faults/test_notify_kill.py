"""SIGKILL of the server while it notifies: every acknowledged change is told, in order; what comes twice comes under the same id; what was
due is what was delivered."""

import json
import random
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.faults.harness import ServerProcess

ROOMS = 3
CHANGES = 60
KILLS = 2
WITHIN_S = 40.0
Heard = list[tuple[str, str, int]]


@pytest.fixture
def receiver() -> Iterator[tuple[str, Heard]]:
    """(address, (notification id, room, number) as they came)."""
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
    yield f"http://127.0.0.1:{server.server_port}/n", heard
    server.shutdown()
    server.server_close()


def test_nothing_due_is_lost_by_a_kill(tmp_path: Path, receiver: tuple[str, Heard]) -> None:
    address, heard = receiver
    server = ServerProcess(tmp_path / "data", "allow-private")
    chance = random.Random(35)

    def post(path: str, document: Any, method: str = "POST") -> int:
        status, _ = server.request(
            path, method=method, body=json.dumps(document).encode(), **{"Content-Type": "application/json"}
        )
        return status

    try:
        server.start()
        assert post("/ngsi-ld/v1/subscriptions", {
            "id": "urn:s:1", "type": "Subscription", "entities": [{"type": "Room"}],
            "notification": {"endpoint": {"uri": address}},
        }) == 201  # fmt: skip
        for room in range(ROOMS):
            assert post("/ngsi-ld/v1/entities", {"id": f"urn:r:{room}", "type": "Room", "n": 0}) == 201
        kill_at = set(chance.sample(range(1, CHANGES), KILLS))
        for number in range(1, CHANGES):
            assert post(f"/ngsi-ld/v1/entities/urn:r:{number % ROOMS}/attrs", {"n": number}, "PATCH") == 204
            if number in kill_at:  # The change is acknowledged; its notification may be anywhere.
                time.sleep(chance.uniform(0, 0.05))
                server.kill()
                server.start()
        expected = {(f"urn:r:{room}", 0) for room in range(ROOMS)} | {
            (f"urn:r:{n % ROOMS}", n) for n in range(1, CHANGES)
        }
        until = time.monotonic() + WITHIN_S
        while {(room, number) for _, room, number in heard} != expected and time.monotonic() < until:
            time.sleep(0.05)
        assert {(room, number) for _, room, number in heard} == expected
        first: dict[tuple[str, int], str] = {}
        newest: dict[str, int] = {}
        for id_, room, number in heard:
            if (room, number) in first:
                assert first[room, number] == id_, "a repeat has another id"
                continue
            first[room, number] = id_
            assert number >= newest.get(room, 0), "out of order"
            newest[room] = number
        until = time.monotonic() + WITHIN_S
        while time.monotonic() < until:
            (info,) = json.loads(server.request("/api/subscriptions")[1])
            if info["waiting"] == 0:
                break
            time.sleep(0.1)
        assert (info["due"], info["delivered"], info["failed"]) == (len(expected), len(expected), 0)
        server.stop()
    finally:
        server.close()
