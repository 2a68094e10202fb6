"""Benchmark `ngsild.requests`: requests a second of the NGSI-LD interface on its commonest work, at 10,000 and 100,000 entities.

    python -m benchmarks.ngsild_requests [--entities 10000 100000] [--only get patch] [--seconds 5] [--rounds 3] [--store …] [--write]

A running `madang serve` with durable writes, history, detectors and the notification matcher on, and the sender on the same machine:
50 connections with one request each on its way. Each operation runs `--rounds` times and the median counts. `upsert20` and `upsert100`
count requests of so many entities.

The floor of each operation is a bare Starlette route in one process that reads the body and returns the bytes that Madang answered: what
HTTP and the framework alone take on this machine. The ratio to it says what everything that Madang does costs.

`cpu_us` is the server's processor time for one request. It hardly changes with what else the machine does; rates do.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from benchmarks.ingest_mqtt_manure import ServerUnderTest
from benchmarks.ngsild_load import Measured, Operation, operation, send, sender, vehicle
from madang import __version__

ID = "ngsild.requests"
RESULT = Path(__file__).parent / "results" / f"{ID}.json"
OPERATIONS = ("get", "query", "filter", "near", "patch", "upsert20", "upsert100", "create")
SIZES = (10_000, 100_000)
CONNECTIONS = 50
CREATES_A_SECOND = 20_000
"""Bodies that are made for creates: more than any server here takes."""
LOAD_BATCH = 500


def load(server: ServerUnderTest, entities: int) -> float:
    """Put the entities there; gives how many a second."""
    began = time.perf_counter()
    for start in range(0, entities, LOAD_BATCH):
        server.upsert([vehicle(str(i), i, i % 120) for i in range(start, min(entities, start + LOAD_BATCH))])
    return entities / (time.perf_counter() - began)


def measure(server: ServerUnderTest, what: Operation, options: argparse.Namespace) -> dict[str, Any]:
    """The median of some rounds of one operation."""
    requests = what.requests(server.url.partition("://")[2], server.token)
    runs: list[tuple[Measured, float]] = []
    for number in range(options.rounds):
        if what.name == "create" and number:
            requests = operation("create", 1, len(requests)).requests(server.url.partition("://")[2], server.token)
        cpu = server.cpu_s()
        found = send(requests, server.url, CONNECTIONS, options.seconds)
        runs.append((found, (server.cpu_s() - cpu) / max(1.0, found.rate * options.seconds)))
    return {
        "rate": round(statistics.median(run.rate for run, _ in runs), 1),
        "p99_ms": max(run.p99_ms for run, _ in runs),
        "bad": sum(run.bad for run, _ in runs),
        "cpu_us": round(statistics.median(cpu for _, cpu in runs) * 1e6, 1),
    }


# ── the floor ───────────────────────────────────────────────────────────────


def answer_of(server: ServerUnderTest, what: Operation) -> tuple[int, dict[str, str], bytes]:
    """What Madang answers to the first request of an operation."""
    body = what.bodies[0] if what.bodies else None
    headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
    request = urllib.request.Request(server.url + what.paths[0], body, headers, method=what.method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{what.name}: {error.code} {error.read().decode()}") from error


def serve_floor(status: int, headers: dict[str, str], content: bytes) -> None:
    """A bare route that reads what it is sent and answers the same every time; prints its port."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    kept = {
        name: value for name, value in headers.items() if name.lower() not in ("content-length", "date", "connection")
    }

    async def answer(request: Request) -> Response:
        if request.method != "GET":
            await request.body()
        return Response(content, status, kept)

    app = Starlette(routes=[Route("/{rest:path}", answer, methods=["GET", "POST", "PATCH"])])
    config = uvicorn.Config(
        app, port=0, access_log=False, log_config=None, http="httptools", loop="uvloop", lifespan="off"
    )

    async def run() -> None:
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event to wait for
            await asyncio.sleep(0.01)
        print(server.servers[0].sockets[0].getsockname()[1], flush=True)
        await task

    asyncio.Runner(loop_factory=config.get_loop_factory()).run(run())


def floor(what: Operation, answer: tuple[int, dict[str, str], bytes], options: argparse.Namespace) -> float:
    """Requests a second of the bare route."""
    status, headers, content = answer
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "answer.json"
        file.write_text(json.dumps([status, headers, content.decode()]))
        command = [sys.executable, "-m", "benchmarks.ngsild_requests", "--floor", str(file)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            url = f"http://127.0.0.1:{int(process.stdout.readline())}"
            return round(
                send(what.requests(url.partition("://")[2], "none"), url, CONNECTIONS, options.seconds).rate, 1
            )
        finally:
            process.terminate()
            process.wait(10)


# ── all of it ───────────────────────────────────────────────────────────────


def run(entities: int, options: argparse.Namespace) -> dict[str, Any]:
    """Everything at one size, on a fresh server."""
    with tempfile.TemporaryDirectory() as folder:
        server = ServerUnderTest(Path(folder) / "data", *(("--store", options.store) if options.store else ()))
        try:
            result: dict[str, Any] = {"loaded_a_second": round(load(server, entities), 1)}
            for name in options.only or OPERATIONS:
                what = operation(name, entities, round(options.seconds * CREATES_A_SECOND))
                found = measure(server, what, options)
                if options.with_floor:
                    again = operation(name, entities, 1) if name == "create" else what
                    found["floor"] = floor(again, answer_of(server, again), options)
                    found["ratio"] = round(found["rate"] / found["floor"], 3)
                result[name] = found
                print(f"{entities:7d} {name:10s} {json.dumps(found)}", flush=True)
            return result
        finally:
            server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entities", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--only", nargs="+", choices=OPERATIONS)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--store", default="", help="as `madang serve --store`; without it SQLite")
    parser.add_argument("--no-floor", dest="with_floor", action="store_false", help="leave the floor out")
    parser.add_argument("--write", action="store_true", help="keep the result in results/")
    parser.add_argument("--note", default="", help="what else ran on the machine")
    options = parser.parse_args()
    result = {
        "id": ID, "version": __version__, "day": time.strftime("%Y-%m-%d"), "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_1min": round(os.getloadavg()[0], 1), "note": options.note, "store": options.store.partition(":")[0] or "sqlite",
        "sender": sender(), "connections": CONNECTIONS, "seconds": options.seconds, "rounds": options.rounds,
        "entities": {str(size): run(size, options) for size in options.entities},
    }  # fmt: skip
    if options.write:
        path = RESULT if not options.store else RESULT.with_name(f"{ID}.{result['store']}.json")
        path.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--floor"]:
        serve_floor(
            *[
                part.encode() if place == 2 else part
                for place, part in enumerate(json.loads(Path(sys.argv[2]).read_text()))
            ]
        )
    else:
        main()
