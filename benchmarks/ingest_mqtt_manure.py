"""Benchmark `ingest.mqtt.manure`: own listener, QoS 1, five attributes and more a message → committed with history → all detectors.

    python -m benchmarks.ingest_mqtt_manure [--seconds 300] [--rate 0] [--latency-seconds 120] [--write]

A server (`madang serve`) and the load generator share the machine. Part one sends as fast as acknowledgements come (rate 0),
or at `--rate`, and reports
messages a second acknowledged (= committed), the server's memory at the start, the middle and the end, and how far detectors
were behind at the end.
Part two sends 500 messages a second and lets trucks dump among them: the time from sending the message that completes the rule
to the incident
arriving on the event stream that the console listens to. Part three is the floor (`benchmarks.floor`). The id is permanent: seed, fleet and
payload do not change under it.
"""

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

from benchmarks.floor import floor
from benchmarks.mqtt_load import Plan
from madang import __version__
from madang.app.control import ask_server
from madang.model.time import SECOND, parse_instant, render_instant
from madang.wire.mqtt import Connect, Decoder, Puback, encode, encode_publish

ID = "ingest.mqtt.manure"
RESULT = Path(__file__).parent / "results" / f"{ID}.json"
DUMPERS = 200
"""Trucks that dump in part two."""
LON, LAT = 127.5, 36.5
"""Where they dump: far from every registered place."""


class ServerUnderTest:
    """`madang serve` on free ports and a fresh folder."""

    def __init__(self, folder: Path, *options: str) -> None:
        """`options`: further ones of the command."""
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "madang.app.cli", "serve", "--data", str(folder), "--port", "0", "--mqtt-port", "0",
             "--log-level", "warning", *options],
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        deadline = time.monotonic() + 30
        while True:
            try:
                self.status = self.ask()
                break
            except Exception:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.1)
        self.url = self.status["url"].rstrip("/")
        self.mqtt_port = int(self.status["mqtt_port"])
        self.token = (folder / "first-token").read_text().strip()
        self.secret = ask_server(folder, {"command": "source-secret", "id": "manure-terminals"})["secret"]

    def ask(self) -> dict[str, Any]:
        """The server's own figures."""
        return ask_server(self.folder, {"command": "status"})

    def rss_mib(self) -> float:
        """Resident memory of the server."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def cpu_s(self) -> float:
        """Processor seconds of the server so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def upsert(self, entities: list[dict[str, Any]]) -> None:
        """Put reference data through the NGSI-LD interface."""
        request = urllib.request.Request(
            self.url + "/ngsi-ld/v1/entityOperations/upsert",
            json.dumps(entities).encode(),
            {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            if answer.status >= 300:
                raise RuntimeError(answer.read().decode())

    def stop(self) -> float:
        """Stop it; gives the seconds that this took."""
        began = time.monotonic()
        self.process.terminate()
        self.process.wait(60)
        return time.monotonic() - began


def registrations(prefix: str, count: int) -> list[dict[str, Any]]:
    """Registered trucks: detectors look every one of them up."""
    return [
        {
            "id": f"urn:ngsi-ld:VehicleRegistration:{prefix}-{n:05d}",
            "type": "VehicleRegistration",
            "vehicle": {"type": "Relationship", "object": f"urn:ngsi-ld:Vehicle:{prefix}-{n:05d}"},
            "vehiclePlateIdentifier": {"type": "Property", "value": f"{prefix} {n}"},
            "tareWeight": {"type": "Property", "value": 10_000, "unitCode": "KGM"},
            "maxPayload": {"type": "Property", "value": 15_000, "unitCode": "KGM"},
            "weightNoise": {"type": "Property", "value": 0.01},
        }
        for n in range(count)
    ]


def plants(count: int = 200) -> list[dict[str, Any]]:
    """Places to look through: as many as a county has."""
    result = []
    for n in range(count):
        lon, lat = 126.30 + n % 20 * 0.02, 33.30 + n // 20 * 0.02
        ring = [[lon, lat], [lon + 0.001, lat], [lon + 0.001, lat + 0.001], [lon, lat + 0.001], [lon, lat]]
        result.append(
            {
                "id": f"urn:ngsi-ld:AgriParcel:B{n}",
                "type": "AgriParcel",
                "name": {"type": "Property", "value": f"B{n}"},
                "location": {"type": "GeoProperty", "value": {"type": "Polygon", "coordinates": [ring]}},
            }
        )
    return result


# --- part one: throughput ---


def throughput(server: ServerUnderTest, seconds: float, rate: float) -> dict[str, Any]:
    """Load for `seconds`, in a process of its own."""
    plan = Plan(port=server.mqtt_port, secret=server.secret, seconds=seconds, rate=rate, window=200, drain_s=30)
    command = [sys.executable, "-m", "benchmarks.mqtt_load", "--port", str(plan.port), "--secret", plan.secret]
    command += [
        "--devices",
        "1000",
        "--connections",
        "10",
        "--rate",
        str(rate),
        "--seconds",
        str(seconds),
        "--window",
        "200",
    ]
    memory: list[float] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(max(1.0, seconds / 60)):
            memory.append(server.rss_mib())

    watcher = threading.Thread(target=watch)
    watcher.start()
    cpu = server.cpu_s()
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        stop.set()
        watcher.join()
    cpu = server.cpu_s() - cpu
    load = json.loads(done.stdout.strip().splitlines()[-1])
    figures = server.ask()
    third = max(1, len(memory) // 3)
    return {
        "messages_per_s": round(load["rate"]),
        "observations_per_s": round(load["rate"] * 9),
        "messages": load["acknowledged"],
        "seconds": round(load["seconds"], 1),
        "puback_ms_p50": round(load["latency_ms_p50"], 1),
        "puback_ms_p99": round(load["latency_ms_p99"], 1),
        "server_cpu_us_per_message": round(cpu / max(1, load["acknowledged"]) * 1e6, 1),
        "generator_cpu_share": round(load["cpu_share"], 2),
        "rss_mib_first_third": round(sum(memory[:third]) / third, 1) if memory else None,
        "rss_mib_last_third": round(sum(memory[-third:]) / third, 1) if memory else None,
        "detector_lag_at_end": figures["flow"]["lag"],
        "error": load["error"] or done.stderr[-500:],
    }


# --- part two: from the completing message to the console ---


def payload(seq: int, at: int, lon: float, speed: float, weight: float) -> bytes:
    """A terminal's message."""
    body = {"seq": seq, "t": render_instant(at), "lon": lon, "lat": LAT, "spd": speed, "hdg": 90, "w": round(weight),
            "ws": True, "ign": True, "pto": False, "hdop": 0.9, "bat": 24.1}  # fmt: skip
    return json.dumps(body).encode()


async def dump_one(server: ServerUnderTest, number: int, sent_at: dict[tuple[str, int], float]) -> None:
    """One truck's story: 25 minutes of the past at once, then a dump whose messages are sent in turn."""
    device = f"D-{number:05d}"
    reader, writer = await asyncio.open_connection("127.0.0.1", server.mqtt_port)
    writer.write(encode(Connect(device, 60, True, "manure-terminals", server.secret.encode())))
    decoder = Decoder(role="client")
    decoder.feed(await reader.read(100))
    start = time.time_ns() // 1000 - 30 * 60 * SECOND
    lon = LON + number * 0.01
    pid = 0

    async def send(step: int, x: float, speed: float, weight: float) -> None:
        nonlocal pid
        pid += 1
        at = start + step * 10 * SECOND
        sent_at[(f"urn:ngsi-ld:Vehicle:{device}", at - at % SECOND)] = time.time()
        writer.write(
            encode_publish(f"manure/{device}/telemetry", payload(step, at, x, speed, weight), 1, packet_id=pid)
        )
        while True:
            if any(isinstance(p, Puback) and p.packet_id == pid for p in decoder.feed(await reader.read(4096))):
                return

    for step in range(90):  # driving loaded for 15 minutes, then standing for 3
        moving = step < 72
        await send(step, lon - 0.0008 * max(0, 72 - step), 30.0 if moving else 0.0, 20_000 + (step * 37 % 11 - 5) * 20)
    for step in range(90, 165):  # 5 t flow out within a minute; then standing, then driving on, empty
        weight = 20_000 - min(step - 89, 6) / 6 * 5_000
        moving = step > 120
        await send(
            step,
            lon + (0.0008 * (step - 120) if moving else 0),
            30.0 if moving else 0.0,
            weight + (step * 37 % 11 - 5) * 20,
        )
        await asyncio.sleep(0.05)
    writer.close()


async def listen(server: ServerUnderTest, seen: dict[str, float]) -> None:
    """The console's event stream: when each truck's incident arrived."""
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"GET /api/stream?topics=incidents HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {server.token}\r\n"
        "Accept: text/event-stream\r\n\r\n".encode()
    )
    while line := await reader.readline():
        if line.startswith(b"data:") and b'"subject"' in line:
            seen.setdefault(json.loads(line[5:])["subject"], time.time())
            seen.setdefault(json.loads(line[5:])["id"], time.time())


async def latency(server: ServerUnderTest, seconds: float) -> dict[str, Any]:
    """500 messages a second beside trucks that dump; the time until the console knows."""
    sent_at: dict[tuple[str, int], float] = {}
    seen: dict[str, float] = {}
    listener = asyncio.create_task(listen(server, seen))
    command = [sys.executable, "-m", "benchmarks.mqtt_load", "--port", str(server.mqtt_port), "--secret", server.secret]
    command += [
        "--devices",
        "1000",
        "--connections",
        "10",
        "--rate",
        "500",
        "--seconds",
        str(seconds),
        "--seq-first",
        "5000000",
    ]
    load = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    await asyncio.sleep(2)
    gap = max(0.05, (seconds - 20) / DUMPERS)
    trucks = []
    for number in range(DUMPERS):
        trucks.append(asyncio.create_task(dump_one(server, number, sent_at)))
        await asyncio.sleep(gap)
    await asyncio.gather(*trucks)
    await asyncio.sleep(3)
    listener.cancel()
    await load.wait()
    return await asyncio.to_thread(arrivals, server, sent_at, seen)


def arrivals(server: ServerUnderTest, sent_at: dict[tuple[str, int], float], seen: dict[str, float]) -> dict[str, Any]:
    """How long each dump's incident took from its completing message to the event stream."""
    delays = []
    request = urllib.request.Request(
        server.url + "/api/incidents?limit=1000", headers={"Authorization": f"Bearer {server.token}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        incidents = json.load(answer)["items"]
    for incident in incidents:
        detail = urllib.request.Request(
            server.url + "/api/incidents/" + incident["id"], headers={"Authorization": f"Bearer {server.token}"}
        )
        with urllib.request.urlopen(detail, timeout=30) as answer:
            why = json.load(answer)["why"]
        first = next((w for w in why if w["rule"] == "manure.D1"), None)
        if first is None or incident["id"] not in seen:
            continue
        # The first telling is the one that the stream announced; its newest was completed by a later message.
        told_first = first["earlier"][0] if first["earlier"] else first
        completed = parse_instant(told_first["completed_at"])
        sent = sent_at.get((incident["subject"], completed - completed % SECOND))
        if sent is not None:
            delays.append(seen[incident["id"]] - sent)
    delays.sort()
    return {
        "dumps": DUMPERS,
        "arrived": len(delays),
        "rate_messages_per_s": 500,
        "finding_on_console_ms_p50": round(delays[len(delays) // 2] * 1e3, 1) if delays else None,
        "finding_on_console_ms_p99": round(delays[max(0, -(-len(delays) * 99 // 100) - 1)] * 1e3, 1)
        if delays
        else None,
        "finding_on_console_ms_max": round(delays[-1] * 1e3, 1) if delays else None,
    }


def machine() -> dict[str, Any]:
    """Where it was measured."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        "",
    )
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
    }


def main() -> None:
    """Run all three parts and print the result; `--write` keeps it beside the code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--latency-seconds", type=float, default=120)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="madang-bench-") as folder:
        server = ServerUnderTest(Path(folder))
        try:
            for start in range(0, 1000, 250):
                server.upsert(registrations("L", 1000)[start : start + 250])
            server.upsert(registrations("D", DUMPERS))
            server.upsert(plants())
            fast = throughput(server, options.seconds, options.rate) if options.seconds else {}
            slow = asyncio.run(latency(server, options.latency_seconds)) if options.latency_seconds else {}
        finally:
            stopped_in_s = server.stop()
    base = floor()
    result = {
        "id": ID,
        "version": __version__,
        "machine": machine(),
        "measured_at": time.strftime("%Y-%m-%d", time.gmtime()),
        "throughput": fast,
        "latency": slow,
        "floor_messages_per_s": round(base),
        "ratio_to_floor": round(fast["messages_per_s"] / base, 3) if fast else None,
        "stopped_in_s": round(stopped_in_s, 1),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if options.write:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(text + "\n")


if __name__ == "__main__":
    main()
