"""Starting, killing and examining a server; the load; and what must hold afterwards, counted apart from the server."""

import asyncio
import json
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from madang.app.control import ask_server
from madang.flow.memory_ref import MemoryRef
from madang.flow.runner import Runner
from madang.hub.ports import Store
from madang.model.change import READING, Change
from madang.model.entity import value_of
from madang.model.finding import Finding
from madang.model.time import SECOND, Instant, render_instant
from madang.services.manure import SERVICE as MANURE
from madang.stores.sqlite.store import SqliteStore
from tests.faults.detectors import DETECTORS, FALL, FALL_KG
from tests.faults.device import Device
from tests.faults.serve import SECRET, SOURCE, TOKEN_FILE
from tests.faults.store_writer import SystemClock
from tests.faults.tiny_disk import TinyDisk
from tests.repo.tree import ROOT

START_S = 40.0
DERIVED = ("ManureLoading", "ManureUnloading", "VehicleStop", "VehicleTrip")
LIMIT = 10_000_000


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class ServerProcess:
    """One server on one data folder with fixed ports, started as often as it is killed."""

    def __init__(self, data: Path, *flags: str, disk: TinyDisk | None = None) -> None:
        """`disk`: where the data folder lies, when it is not an ordinary one."""
        self.data = data
        self.outside = data if disk is None else disk.outside / data.relative_to(disk.inside)
        self._disk = disk
        self.http_port, self.mqtt_port = free_port(), free_port()
        self.starts = 0
        log_folder = data.parent if disk is None else disk.inside.parent
        self._flags = flags
        self._log = (log_folder / "server.log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; returns when it says that it is ready."""
        ports = [str(self.http_port), str(self.mqtt_port)]
        command = [sys.executable, "-m", "tests.faults.serve", str(self.data), *ports, *self._flags]
        if self._disk is not None:
            command = self._disk.command(command, ROOT)
        # Not a pipe: nobody would read it, and a server that says much would stand still at its full buffer.
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=self._log, stderr=self._log)
        self.starts += 1
        self.wait_ready()

    def wait_ready(self) -> None:
        """Until /health answers. Raises AssertionError with the end of its log when it does not."""
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            assert self._process is not None
            if self._process.poll() is not None:
                break
            try:
                if self.get("/health")[0] == 200:
                    return
            except OSError:
                time.sleep(0.02)
        raise AssertionError(f"the server did not come up:\n{self.log_text()[-4000:]}")

    def log_text(self) -> str:
        """Everything that it wrote to standard error, over all starts."""
        return Path(self._log.name).read_text(errors="replace")

    def kill(self) -> None:
        """SIGKILL: no handler runs, nothing is flushed by the process."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM; it must end by itself with status 0."""
        assert self._end(signal.SIGTERM) == 0, self.log_text()[-4000:]

    def _end(self, number: int) -> int:
        process = self._process
        assert process is not None
        process.send_signal(number)
        status = process.wait(40)
        self._process = None
        return status

    def close(self) -> None:
        """Leave nothing running."""
        if self._process is not None:
            self.kill()
        self._log.close()

    def rss_bytes(self) -> int:
        """Memory of the process now."""
        assert self._process is not None
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024
        return 0

    def request(
        self, path: str, *, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> tuple[int, bytes]:
        """(status, body) of a request with the first token. Raises OSError when nobody answers."""
        token_file = self.outside / TOKEN_FILE
        if token_file.exists() and "Authorization" not in headers:
            headers["Authorization"] = f"Bearer {token_file.read_text().strip()}"
        url = f"http://127.0.0.1:{self.http_port}{path}"
        request = urllib.request.Request(url, data=body, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def get(self, path: str) -> tuple[int, bytes]:
        """A GET."""
        return self.request(path)

    def get_json(self, path: str) -> Any:
        """The JSON of a GET that must succeed."""
        status, body = self.get(path)
        assert status == 200, (path, status, body[:500])
        return json.loads(body)

    def upsert(self, entities: Sequence[dict[str, Any]]) -> None:
        """Put reference data through the NGSI-LD interface."""
        status, body = self.request(
            "/ngsi-ld/v1/entityOperations/upsert",
            method="POST",
            body=json.dumps(list(entities)).encode(),
            **{"Content-Type": "application/json"},
        )
        assert status in (201, 204), (status, body[:500])

    def assert_console_opens(self) -> None:
        """What the console asks first answers."""
        for path in (
            "/health",
            "/api/me",
            "/api/city",
            "/api/layers",
            "/api/live",
            "/api/incidents?limit=20",
            "/api/sources",
        ):
            status, body = self.get(path)
            assert status == 200, (path, status, body[:500])

    def wait_settled(self, timeout_s: float = 60.0) -> None:
        """Until the detectors have committed everything up to the end of the log."""
        until = time.monotonic() + timeout_s
        quiet = 0
        while time.monotonic() < until:
            figures = ask_server(self.outside, {"command": "status"})["flow"]
            quiet = quiet + 1 if figures["lag"] == 0 else 0
            if quiet >= 3:
                return
            time.sleep(0.3)
        raise AssertionError("the detectors did not come to the end of the log")


def make_payload(n: int, at: Instant, weight_kg: float, *, lon: float = 127.0, lat: float = 37.0) -> bytes:
    """One message of a truck's terminal."""
    fields = {
        "seq": n,
        "t": render_instant(at),
        "lon": round(lon, 6),
        "lat": lat,
        "spd": 10.0,
        "hdg": 90.0,
        "w": weight_kg,
    }
    return json.dumps({**fields, "ws": True, "ign": True, "pto": False, "hdop": 0.9, "bat": 24.1}).encode()


def saw_tooth(n: int, every: int = 50) -> float:
    """The weight of message n: rises by 100 kg a message and falls by 4,900 kg every `every` messages."""
    return 10_000 + 100.0 * (n % every)


def make_devices(count: int, messages: int, first_at: Instant, gap_s: float = 0.0) -> list[Device]:
    """Trucks that send one message a second of their own time, each falling once every 50 messages."""
    devices = []
    for d in range(count):
        code = f"F{d:03d}"
        payloads = [make_payload(n, first_at + n * SECOND, saw_tooth(n), lon=127 + n * 1e-5) for n in range(messages)]
        devices.append(Device(code, SOURCE.id, SECRET, f"manure/{code}/telemetry", payloads, gap_s=gap_s))
    return devices


async def drive(devices: Sequence[Device], server: ServerProcess, timeout_s: float = 240.0) -> None:
    """Let all devices send everything."""
    async with asyncio.timeout(timeout_s):
        await asyncio.gather(*(device.run(lambda: server.mqtt_port) for device in devices))


async def drive_and_kill(
    devices: Sequence[Device], server: ServerProcess, moments: random.Random, kills: int, between_s: tuple[float, float]
) -> int:
    """Drive the devices and kill the server at random moments, `kills` times or until all is sent; gives the kills done."""
    driving = asyncio.create_task(drive(devices, server, timeout_s=3_600))
    done = 0
    try:
        while done < kills and not driving.done():
            await asyncio.sleep(moments.uniform(*between_s))
            if driving.done():
                break
            server.kill()
            await asyncio.to_thread(server.start)
            done += 1
        await driving
    finally:
        driving.cancel()
    return done


def falls_expected(weights: Sequence[float]) -> int:
    """Falls of a tonne and more, by hand."""
    return sum(1 for a, b in pairwise(weights) if a - b >= FALL_KG)


class Stored:
    """What a stopped server left in its folder."""

    def __init__(self, data: Path) -> None:
        self.store = self._open(data)
        with self.store.read() as read:
            self.log: list[Change] = read.read_log(0, LIMIT)
        self.findings = self._findings(data)

    def _open(self, data: Path) -> Store:
        return SqliteStore(data, SystemClock())

    def _findings(self, data: Path) -> dict[str, Finding]:
        # Read apart from the store's own code.
        db = sqlite3.connect(data / "default.db")
        try:
            rows = db.execute("SELECT id, document FROM finding").fetchall()
        finally:
            db.close()
        return {id_: msgspec.json.decode(document, type=Finding) for id_, document in rows}

    def readings(self, entity_id: str) -> list[Change]:
        """Its readings in the log."""
        return [c for c in self.log if c.kind == READING and c.entity_id == entity_id]

    @staticmethod
    def manure_detectors() -> Sequence[Any]:
        """The sector's detectors as the server runs them."""
        return MANURE.detectors

    def derived_events(self) -> dict[str, tuple[Any, ...]]:
        """Loadings, unloadings, stops and trips as they stand: id -> (type, plain values)."""
        found: dict[str, tuple[Any, ...]] = {}
        with self.store.read() as read:
            for type_ in DERIVED:
                for id_ in read.list_ids(type_):
                    entity = read.find_entity(id_)
                    assert entity is not None
                    values = {name: value_of(attribute) for name, attribute in entity.attributes.items()}
                    found[id_] = (type_, json.dumps(values, sort_keys=True))
        return found

    def findings_told(self, prefix: str) -> list[tuple[Any, ...]]:
        """(rule, situation, subject, marked_at, kilograms) of the standing telling of each finding whose rule begins so."""
        found: dict[tuple[str, str], Finding] = {}
        with closing(sqlite3.connect(self.store.path)) as db:
            rows = db.execute("SELECT document FROM finding ORDER BY seq, no").fetchall()
        for (document,) in rows:
            finding = msgspec.json.decode(document, type=Finding)
            key = (finding.rule, finding.situation)
            if finding.withdraws:
                found.pop(key, None)
            elif finding.rule.startswith(prefix):
                found[key] = finding
        kg = {key: next(v for k, v in f.reason.params.items() if k.endswith("_kg")) for key, f in found.items()}
        return sorted((f.rule, f.situation, f.subject, f.marked_at, kg[key]) for key, f in found.items())

    def close(self) -> None:
        """Let go of the folder."""
        self.store.close()

    def assert_stored_once(self, devices: Sequence[Device], first_at: Instant) -> None:
        """Every message of every device is in the log and in the history exactly once, with its values; state is the newest."""
        by_entity: dict[str, list[Change]] = {}
        for change in self.log:
            if change.kind == READING and change.entity_type == "Vehicle":
                by_entity.setdefault(change.entity_id, []).append(change)
        with self.store.read() as read:
            for device in devices:
                id_ = f"urn:ngsi-ld:Vehicle:{device.client_id}"
                sent = [json.loads(payload) for payload in device.payloads]
                logged = sorted((c.observed_at, c.value("grossWeight")) for c in by_entity.get(id_, []))
                expected = sorted((first_at + m["seq"] * SECOND, float(m["w"])) for m in sent)
                assert logged == expected, f"{id_}: {len(logged)} in the log, {len(expected)} sent"
                rows = read.history(id_, ["grossWeight"], 0, 2**62, LIMIT)
                assert [(r.observed_at, r.value) for r in rows] == expected
                entity = read.find_entity(id_)
                assert entity is not None and entity.attributes["grossWeight"]["value"] == expected[-1][1]

    def assert_findings_counted(self, devices: Sequence[Device]) -> None:
        """As many falls, findings and incidents as the payloads hold, by hand, each once."""
        falls = {
            f"urn:ngsi-ld:{FALL}:{device.client_id}-{n + 1}"
            for device in devices
            for n in range(falls_expected([json.loads(p)["w"] for p in device.payloads]))
        }
        emitted = [c.entity_id for c in self.log if c.kind == READING and c.entity_type == FALL]
        assert sorted(emitted) == sorted(falls), "derived observations missing or doubled"
        situations = [f.situation for f in self.findings.values() if f.rule == "tests.F1"]
        assert sorted(situations) == sorted(f"tests:{id_}" for id_ in falls), "findings missing or doubled"
        with self.store.read() as read:
            incidents = [read.find_link("situation", situation) for situation in situations]
            assert None not in incidents and len(set(incidents)) == len(falls), "incidents missing or doubled"

    def assert_replay_finds_the_same(self, detectors: Sequence[Any] = DETECTORS) -> None:
        """The log through fresh detectors, without a kill in between, gives the stored findings to the last id and value: the killed
        run found what an undisturbed one finds."""
        lookups = [lookup for detector in detectors for lookup in detector.lookups]
        parameters = {parameter.name: parameter.default for parameter in MANURE.parameters}
        runner = Runner(detectors, MemoryRef(lookups, parameters), lambda detector, keys: {})
        for change in self.log:
            runner.advance(change)
        again = {o.id: o.finding for o in runner.take().outputs if o.finding is not None}
        mine = {detector.id for detector in detectors}
        assert again == {id_: f for id_, f in self.findings.items() if id_.partition("/")[0] in mine}


def now() -> Instant:
    """The machine's time."""
    return time.time_ns() // 1000
