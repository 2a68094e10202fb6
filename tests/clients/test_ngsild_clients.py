"""NGSI-LD clients that others wrote, each in an environment of its own (`scripts/setup.sh all` makes them): ngsildclient 0.5.2 of
Orange and FiLiP 0.8.1 of RWTH Aachen. Expected values are what the scripts put in; where a client stumbles by itself, the test says
over what, so that a newer version that does better is noticed.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import Served
from tests.repo.tree import ROOT

FOLDER = Path(__file__).parent
WITHIN_S = 120


def run(name: str, *arguments: str) -> dict[str, Any]:
    """The results of the client's script, by step."""
    python = ROOT / ".venv/clients" / name / "bin/python"
    if not python.exists():
        pytest.skip(f"{name} has no environment here: make setup")
    environment = {**os.environ, "NO_PROXY": "127.0.0.1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [str(python), str(FOLDER / f"{name}_run.py"), *arguments], capture_output=True, text=True, check=False,
        timeout=WITHIN_S, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    results: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return results


def test_ngsildclient(served: Served) -> None:
    found = run("ngsildclient", str(served.process.http_port), served.token)
    raised = {
        name: result["raised"] for name, result in found.items() if isinstance(result, dict) and "raised" in result
    }
    assert raised == {
        "create again": "NgsiAlreadyExistsError",
        "get none": "NgsiResourceNotFoundError",
        # It deletes the first page and then asks for the second: with 127 left, 27 of them are passed over, and it divides by the
        # nothing that it found.
        "drop": "ZeroDivisionError",
    }
    assert found["dropped"] == 27
    expected = {
        "connect": True,
        "create": True,
        "exists": True,
        "exists not": False,
        "get same": True,
        "upserted": 21.5,
        "updated": 22.5,
        "batch create": "op: create, success: 128, errors: 0",
        "batch create again": "op: create, success: 1, errors: 1",
        "batch upsert": "op: upsert, success: 128, errors: 0",
        "batch update": "op: update, success: 2, errors: 0",
        "count": 130,  # 1 to 129, and 500
        "count q": 41,  # 91 to 129, and the two that were updated
        "query": 130,
        "query head": ["urn:ngsi-ld:Room:1", "urn:ngsi-ld:Room:10"],
        "alt count": 34,  # 98 to 129, and the two
        "subscribe": True,
        "subscription": [{"type": "Room"}],
        "subscriptions": ["rooms"],
        "unsubscribe": True,
        "temporal get verbose": [22.5],
        "temporal query": ["urn:ngsi-ld:Room:1", "urn:ngsi-ld:Room:10"],
        "contexts": True,
        "delete": True,
        "deleted": False,
        "batch delete": "op: delete, success: 2, errors: 0",
    }
    assert {name: found[name] for name in expected} == expected
    assert "Room" in found["types"]
    assert len(found["query q"]) == 34
    # Both subscriptions told of both changes, in order: the client does not see that the second is the same as the first, because it
    # compares with what the broker adds.
    values = [values for kind, values in found["notified"] if kind == "Notification"]
    assert [31.0] in values
    assert found["temporal get"]["temperature"] == {"type": "Property", "values": [[22.5, "2026-11-23T02:14:09Z"]]}
    period = ["2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z"]
    assert found["temporal aggregate"]["temperature"] == {
        "type": "Property", "max": [[22.5, *period]], "totalCount": [[1, *period]],
    }  # fmt: skip


def test_filip(served: Served) -> None:
    found = run("filip", served.url, served.token)
    raised = {name: result for name, result in found.items() if isinstance(result, dict) and "raised" in result}
    assert set(raised) == {"create again", "get none", "batch create again", "query everything"}
    assert "409" in raised["create again"]["detail"] and "404" in raised["get none"]["detail"]
    # It asks for everything by idPattern alone; clause 5.7.2.4 has a broker refuse that: a type, attributes, q or a place must be named.
    assert "400" in raised["query everything"]["detail"]
    hall = {
        "temperature": {"type": "Property", "value": 21.5, "unitCode": "CEL", "observedAt": "2026-11-23T02:14:09Z"},
        "name": {"type": "Property", "value": "방 1"},
        "owner": {"type": "Relationship", "object": "urn:ngsi-ld:Organization:1"},
        "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [126.51, 33.4]}},
    }
    assert {name: member for name, member in found["get"].items() if name in hall} == hall
    values = {name: found["get key values"][name] for name in ("temperature", "owner")}
    assert values == {"temperature": 21.5, "owner": "urn:ngsi-ld:Organization:1"}
    expected = {
        "create": "/ngsi-ld/v1/entities/urn:ngsi-ld:Hall:1",
        "get attrs": ["@context", "id", "name", "type"],
        "query": 131,
        "query q": ["urn:ngsi-ld:Hall:131"],
        "query pattern": ["urn:ngsi-ld:Hall:130", "urn:ngsi-ld:Hall:131"],
        "query near": ["urn:ngsi-ld:Hall:1"],
        "subscribe": "urn:ngsi-ld:Subscription:halls",
        "subscription": [{"type": "Hall"}],
        "notified": [[31.5]],
        "updated subscription": "changed",
        "left": 0,
        "tenant": True,
    }
    assert {name: found[name] for name in expected} == expected
    assert "value=13" in found["patched"]
    assert found["updated attribute"] == {**hall["temperature"], "value": 22.5}
    assert "urn:ngsi-ld:Subscription:halls" in found["subscriptions"]
