"""Benchmark `ngsild.notify`: 500 subscriptions, 2,000 updates/s for 20 s, every notification counted and timed.

    python -m benchmarks.ngsild_notify [--seconds 20] [--rate 2000] [--subscriptions 500] [--kill] [--write]

A server, a receiver (one process, keep-alive HTTP) and the load share the machine. Each subscription watches one truck by its id, so each
update is due to one subscription; the manure detectors run as always. A truck's weight counts its updates up, so the receiver knows what is
missing, what came twice and what came out of order. Time: from the moment before the push that holds the update to its arrival. With
`--kill` the receiver dies in the middle and comes back 3 s later. The id is permanent: fleet, payload and numbers do not change under it.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from collections import defaultdict, deque
from pathlib import Path
from typing import Any

import httptools
import msgspec
import uvloop

from madang import __version__
from madang.app.collector import settle_collector
from madang.app.server import Server, stop_on_signals
from madang.app.settings import Settings
from madang.connectors.notify_http import HttpNotifier
from madang.hub.deliveries import Notification
from madang.model.time import render_instant
from madang.ngsild.subscription import Endpoint
from madang.services.manure.sources import TRUCK_SOURCE
from madang.wire.source import with_secret

ID = "ngsild.notify"
RESULT = Path(__file__).parent / "results" / f"{ID}.json"
PUSH, SECRET = "bench-push", "a secret of the benchmark"
PUSH_EVERY_S = 0.05
PUSHES_MAX = 3
DRAIN_S = 60.0
WEIGHT_FIRST = 10_000
"""Kilograms of a truck's first update; each further one has one more."""


# ── the server's process ────────────────────────────────────────────────────


async def serve(folder: Path) -> None:
    """Serve until a signal; prints the port."""
    mapping = msgspec.structs.replace(TRUCK_SOURCE.mapping, device="dev")
    source = msgspec.structs.replace(
        TRUCK_SOURCE, id=PUSH, protocol="http", topic="", mapping=mapping, devices_max=10_000
    )
    settings = Settings(folder, port=0, mqtt_port=0, allow_private_addresses=True, anonymous_role="admin")
    server = Server(settings, sources=[with_secret(source, SECRET)])
    async with server, stop_on_signals(server):
        settle_collector()
        print(server.tcp_port, flush=True)
        await server.wait()


# ── the receiver's process ──────────────────────────────────────────────────


class Receiver(asyncio.Protocol):
    """Takes every notification, says 204, writes one line for each truck told of: arrival, truck, weight, id."""

    out: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.parser = httptools.HttpRequestParser(self)
        self.body = b""

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        at = time.time()
        notification = msgspec.json.decode(self.body)
        self.body = b""
        for entity in notification["data"]:
            weight = entity["grossWeight"]["value"]
            self.out.write(f"{at} {entity['id'].rpartition(':')[2]} {weight:.0f} {notification['id']}\n")
        self.transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


async def receive(tcp_port: int, path: Path) -> None:
    """Receive until killed."""
    with path.open("a", buffering=1) as out:
        Receiver.out = out
        server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", tcp_port)
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Event().wait()


async def spawn(*arguments: str) -> tuple[asyncio.subprocess.Process, int]:
    """A process of this script and the port that it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.ngsild_notify", *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    while line := await process.stdout.readline():
        if line.strip().isdigit():
            asyncio.create_task(process.stdout.read())  # noqa: RUF006 - ends with the process
            return process, int(line)
    raise RuntimeError(f"{arguments[0]} did not start")


# ── the load ────────────────────────────────────────────────────────────────


async def ask(tcp_port: int, method: str, path: str, body: Any = None) -> Any:
    """One request to the server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", tcp_port)
    data = b"" if body is None else json.dumps(body).encode()
    writer.write(
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{tcp_port}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\n\r\n".encode()
        + data
    )
    answer = await reader.read()
    writer.close()
    head, _, content = answer.partition(b"\r\n\r\n")
    if not 200 <= int(head.split()[1]) < 300:
        raise RuntimeError(f"{method} {path}: {answer[:300]!r}")
    return json.loads(content) if content else None


def update(truck: int, number: int, at: float) -> dict[str, Any]:
    """A terminal's message; its weight counts."""
    return {
        "dev": f"b{truck:04d}", "seq": number, "t": render_instant(int(at * 1e6)), "lon": 126.5 + truck * 1e-4, "lat": 33.4,
        "spd": 41.5, "hdg": 90.0, "w": WEIGHT_FIRST + number, "ws": True, "ign": True, "pto": False, "hdop": 0.9, "bat": 24.1,
    }  # fmt: skip


async def run(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        heard = folder / "heard"
        receiver, receiver_port = await spawn("receive", "0", str(heard))
        server, tcp_port = await spawn("serve", str(folder / "data"))
        try:
            for truck in range(options.subscriptions):
                await ask(tcp_port, "POST", "/ngsi-ld/v1/subscriptions", {
                    "id": f"urn:s:{truck}", "type": "Subscription",
                    "entities": [{"type": "Vehicle", "id": f"urn:ngsi-ld:Vehicle:b{truck:04d}"}],
                    "notification": {"endpoint": {"uri": f"http://127.0.0.1:{receiver_port}/n"}},
                })  # fmt: skip
            sent, took_s, receiver = await load(options, tcp_port, receiver, receiver_port, heard)
            figures = await drained(tcp_port)
            return {**figures, **examine(sent, heard), "sent": len(sent), "rate": round(len(sent) / took_s, 1)}
        finally:
            for process in (receiver, server):
                process.terminate()
                await process.wait()


async def load(
    options: argparse.Namespace, tcp_port: int, receiver: Any, receiver_port: int, heard: Path
) -> tuple[dict[tuple[str, int], float], float, Any]:
    """Push updates at the rate; gives when each was sent, how long it took, and the receiver that lives in the end."""
    pusher = HttpNotifier(allow_private=True)
    endpoint = Endpoint(f"http://127.0.0.1:{tcp_port}/api/sources/{PUSH}/messages", timeout_s=30)
    sent: dict[tuple[str, int], float] = {}
    batch = round(options.rate * PUSH_EVERY_S)
    began = time.perf_counter()
    number = 0
    killed_at: float | None = None
    pushes: deque[asyncio.Task[None]] = deque()
    headers = (("Content-Type", "application/json"), ("Authorization", f"Bearer {SECRET}"))
    while (elapsed := time.perf_counter() - began) < options.seconds:
        if options.kill and killed_at is None and elapsed > options.seconds / 3:
            receiver.kill()
            await receiver.wait()
            killed_at = elapsed
        elif killed_at is not None and killed_at > 0 and elapsed > killed_at + 3:
            receiver, _ = await spawn("receive", str(receiver_port), str(heard))
            killed_at = -1.0
        due = int(elapsed / PUSH_EVERY_S + 1) * batch
        if number >= due:
            await asyncio.sleep(max(0.0, due / options.rate - elapsed))
            continue
        at = time.time()
        messages = []
        for _ in range(batch):
            truck, count = number % options.subscriptions, number // options.subscriptions
            messages.append(update(truck, count, at))
            sent[f"b{truck:04d}", WEIGHT_FIRST + count] = at
            number += 1
        # Three pushes under way; a truck's next update is five pushes later, so its own order stays.
        pushes.append(asyncio.create_task(pusher.send(Notification(endpoint, headers, msgspec.json.encode(messages)))))
        if len(pushes) >= PUSHES_MAX:
            await pushes.popleft()
    await asyncio.gather(*pushes)
    await pusher.close()
    return sent, time.perf_counter() - began, receiver


async def drained(tcp_port: int) -> dict[str, Any]:
    """Wait until nothing waits; what the server counted."""
    began = time.perf_counter()
    last = -1
    while True:
        rows = await ask(tcp_port, "GET", "/api/subscriptions")
        totals = {
            name: sum(row[name] for row in rows) for name in ("due", "delivered", "waiting", "failed", "attempts")
        }
        settled = totals["waiting"] == 0 and totals["due"] == last
        last = totals["due"]
        if settled or time.perf_counter() - began > DRAIN_S:
            return {**totals, "drain_s": round(time.perf_counter() - began, 1)}
        await asyncio.sleep(1.0)


def examine(sent: dict[tuple[str, int], float], heard: Path) -> dict[str, Any]:
    """What the receiver heard against what was sent."""
    waits: list[float] = []
    seen: set[tuple[str, int]] = set()
    newest: defaultdict[str, int] = defaultdict(int)
    ids: set[tuple[str, str]] = set()
    twice = disorder = 0
    for line in heard.read_text().splitlines():
        at, truck, weight, id_ = line.split()
        key = truck, int(weight)
        if (truck, id_) in ids:
            twice += 1
            continue
        ids.add((truck, id_))
        disorder += key[1] < newest[truck]
        newest[truck] = max(newest[truck], key[1])
        seen.add(key)
        waits.append(float(at) - sent[key])
    waits.sort()

    def at(share: float) -> float:
        return round(waits[int(share * (len(waits) - 1))] * 1000, 1) if waits else 0.0

    return {
        "heard": len(seen), "missing": len(sent.keys() - seen), "came_twice": twice, "out_of_order": disorder,
        "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rate", type=float, default=2_000)
    parser.add_argument("--subscriptions", type=int, default=500)
    parser.add_argument("--kill", action="store_true", help="the receiver dies in the middle and comes back")
    parser.add_argument("--write", action="store_true", help="keep the result in results/")
    parser.add_argument("--note", default="", help="what else ran on the machine")
    options = parser.parse_args()
    result = {
        "id": ID, "version": __version__, "day": time.strftime("%Y-%m-%d"), "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_1min": round(os.getloadavg()[0], 1), "note": options.note, "seconds": options.seconds,
        "subscriptions": options.subscriptions, "kill": options.kill, **asyncio.run(run(options)),
    }  # fmt: skip
    print(json.dumps(result, indent=1))
    if options.write:
        RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.Runner(loop_factory=uvloop.new_event_loop).run(serve(Path(sys.argv[2])))  # as `madang serve` does
    elif sys.argv[1:2] == ["receive"]:
        asyncio.run(receive(int(sys.argv[2]), Path(sys.argv[3])))
    else:
        main()
