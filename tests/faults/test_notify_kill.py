"""SIGKILL of the server while it notifies: every acknowledged change is told, in order; what comes twice comes under the same id; what was
due is what was delivered."""

import json
import random
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.faults.harness import ServerProcess
from tests.faults.notified import WITHIN_S, assert_told, receiving

ROOMS = 3
CHANGES = 60
KILLS = 2


def test_nothing_due_is_lost_by_a_kill(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", "allow-private")
    chance = random.Random(35)

    def post(path: str, document: Any, method: str = "POST") -> int:
        status, _ = server.request(
            path, method=method, body=json.dumps(document).encode(), **{"Content-Type": "application/json"}
        )
        return status

    with receiving() as (address, heard), closing(server):
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
        assert_told(heard, expected)
        until = time.monotonic() + WITHIN_S
        while time.monotonic() < until:
            (info,) = json.loads(server.request("/api/subscriptions")[1])
            if info["waiting"] == 0:
                break
            time.sleep(0.1)
        assert (info["due"], info["delivered"], info["failed"]) == (len(expected), len(expected), 0)
        server.stop()
