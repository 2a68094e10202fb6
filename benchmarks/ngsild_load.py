"""Load for `ngsild.requests`: the requests of each operation as bytes, and two ways to send them as fast as answers come.

wrk sends them where it is installed; otherwise a generator of our own does, which takes about ten times as much of the processor that it
shares with the server. Results say which one it was, and are compared only with results of the same.
"""

import asyncio
import json
import random
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import httptools
from msgspec import Struct

ROOT = "/ngsi-ld/v1"
BODIES = 50
"""Different batches that are sent in turn."""
READS = 5_000
"""Different requests of an operation that may repeat them."""
SEED = 20_261_125
JSON = "application/json"

_LUA = """
local requests, turn = {}, 0
function init(args)
  local file = assert(io.open(args[1], "rb"))
  local text = file:read("*a")
  file:close()
  local place = 1
  while place <= #text do
    local size = tonumber(text:sub(place, place + 7))
    requests[#requests + 1] = text:sub(place + 8, place + 7 + size)
    place = place + 8 + size
  end
end
function request()
  turn = turn % #requests + 1
  return requests[turn]
end
"""


class Measured(Struct):
    """What the sender saw."""

    rate: float
    """Answers a second."""
    p99_ms: float
    bad: int
    """Answers outside 2xx."""


class Operation(Struct):
    """One operation: what is sent, again and again."""

    name: str
    method: str
    paths: list[str]
    bodies: list[bytes]
    """As many as paths, or none."""

    def requests(self, host: str, token: str) -> list[bytes]:
        """Whole requests, headers included."""
        head = f"Host: {host}\r\nAuthorization: Bearer {token}\r\n"
        if not self.bodies:
            return [f"{self.method} {path} HTTP/1.1\r\n{head}\r\n".encode() for path in self.paths]
        return [
            f"{self.method} {path} HTTP/1.1\r\n{head}Content-Type: {JSON}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
            for path, body in zip(self.paths, self.bodies, strict=True)
        ]


def vehicle(id_: str, number: int, speed: int) -> dict[str, Any]:
    """An entity of some 550 bytes with five attributes."""
    return {
        "id": f"urn:ngsi-ld:Vehicle:{id_}",
        "type": "Vehicle",
        "brand": {"type": "Property", "value": "Hyundai"},
        "speed": {"type": "Property", "value": speed, "unitCode": "KMH", "observedAt": "2026-08-20T10:00:00Z"},
        "location": {
            "type": "GeoProperty",
            "value": {"type": "Point", "coordinates": [126 + (number % 9000 + 1000) / 10_000, 37.5]},
        },
        "isParked": {"type": "Relationship", "object": "urn:ngsi-ld:OffStreetParking:1"},
        "description": {"type": "Property", "value": "measured on this machine. " * 8},
    }


def operation(name: str, entities: int, count: int) -> Operation:
    """The requests of one operation on `entities` vehicles; `count`: how many creates there may be."""
    chance = random.Random(f"{SEED}/{name}")
    one = [f"{ROOT}/entities/urn:ngsi-ld:Vehicle:{chance.randrange(entities)}" for _ in range(READS)]
    many = f"{ROOT}/entities?type=Vehicle&limit=20"
    match name:
        case "get":
            return Operation(name, "GET", one, [])
        case "query":
            return Operation(name, "GET", [many], [])
        case "filter":
            return Operation(name, "GET", [f"{many}&q=speed%3E50"], [])
        case "near":
            near = f"{many}&georel=near%3BmaxDistance==500&geometry=Point&coordinates="
            return Operation(
                name, "GET", [f"{near}%5B126.{1000 + i},37.5%5D" for i in chance.sample(range(9000), READS)], []
            )
        case "patch":
            bodies = [
                json.dumps({"type": "Property", "value": i % 200, "observedAt": "2026-08-20T10:00:01Z"}).encode()
                for i in range(READS)
            ]
            return Operation(name, "PATCH", [f"{path}/attrs/speed" for path in one], bodies)
        case "create":
            start = f"new-{time.time_ns()}-"
            bodies = [json.dumps(vehicle(f"{start}{i}", i, 1)).encode() for i in range(count)]
            return Operation(name, "POST", [f"{ROOT}/entities"] * count, bodies)
    size = int(name.removeprefix("upsert"))
    batches = [
        json.dumps([vehicle(str(i), i, chance.randrange(121)) for i in chance.sample(range(entities), size)]).encode()
        for _ in range(BODIES)
    ]
    return Operation(name, "POST", [f"{ROOT}/entityOperations/upsert"] * BODIES, batches)


# ── sending ─────────────────────────────────────────────────────────────────


def sender() -> str:
    """The name of what sends."""
    return "wrk" if shutil.which("wrk") else "own"


def send(requests: list[bytes], url: str, connections: int, seconds: float) -> Measured:
    """Send for so many seconds, one request at a time on each connection."""
    if sender() == "wrk":
        return _send_by_wrk(requests, url, connections, seconds)
    return asyncio.run(_send_by_us(requests, url, connections, seconds))


def _send_by_wrk(requests: list[bytes], url: str, connections: int, seconds: float) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        script, file = Path(folder) / "turn.lua", Path(folder) / "requests"
        script.write_text(_LUA)
        file.write_bytes(b"".join(b"%08d%b" % (len(request), request) for request in requests))
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency", "-s", str(script)]
        out = subprocess.run([*command, url, "--", str(file)], capture_output=True, text=True, check=True).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    late = re.search(r"99%\s+([\d.]+)(us|ms|s)", out)
    if rate is None or late is None:
        raise RuntimeError(f"wrk says: {out}")
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    p99_ms = float(late[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[late[2]]
    return Measured(float(rate[1]), round(p99_ms, 1), int(bad[1]) if bad else 0)


class _Client(asyncio.Protocol):
    """One connection: sends the next request when the last one is answered."""

    def __init__(self, turn: "_Turn") -> None:
        self.turn = turn
        self.sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.parser = httptools.HttpResponseParser(self)
        self.next()

    def next(self) -> None:
        self.sent_at = time.perf_counter()
        self.transport.write(self.turn.next())

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.turn.answered(self.parser.get_status_code(), time.perf_counter() - self.sent_at)
        if not self.turn.is_over:
            self.next()


class _Turn:
    """The requests in turn, and what came back."""

    def __init__(self, requests: list[bytes]) -> None:
        self._requests = requests
        self._place = 0
        self.is_over = False
        self.waits: list[float] = []
        self.bad = 0

    def next(self) -> bytes:
        request = self._requests[self._place % len(self._requests)]
        self._place += 1
        return request

    def answered(self, status: int, wait_s: float) -> None:
        self.waits.append(wait_s)
        self.bad += not 200 <= status < 300


async def _send_by_us(requests: list[bytes], url: str, connections: int, seconds: float) -> Measured:
    host, _, port = url.partition("://")[2].partition(":")
    turn = _Turn(requests)
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    made = [await loop.create_connection(lambda: _Client(turn), host, int(port)) for _ in range(connections)]
    await asyncio.sleep(seconds)
    turn.is_over = True
    took = time.perf_counter() - began
    for transport, _ in made:
        transport.close()
    waits = sorted(turn.waits)
    return Measured(len(waits) / took, round(waits[int(0.99 * (len(waits) - 1))] * 1000, 1), turn.bad)
