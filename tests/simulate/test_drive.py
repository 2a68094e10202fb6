"""The drive against stand-ins of both servers: every event arrives once, at its time on the city's clock, by the right person."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson
import pytest

from madang.model.time import HOUR, SECOND, Instant, parse_instant
from madang.simulate.city import ManifestAction, SampleCity, Telemetry
from madang.simulate.drive import Credentials, Drive
from madang.simulate.town import Town
from tests.simulate.conftest import SEED
from tests.simulate.test_terminal_link import broker

START = parse_instant("2026-11-23T00:00:00Z")


class Clock:
    """City time that runs 600 times as fast."""

    def __init__(self, start: Instant) -> None:
        self._start = start
        self._began: float | None = None

    def now(self) -> Instant:
        loop = asyncio.get_running_loop()
        if self._began is None:
            self._began = loop.time()
        return self._start + int((loop.time() - self._began) * 600 * SECOND)


class Office(BaseHTTPRequestHandler):
    """Records what was posted; is away for the first request; refuses `finish`."""

    posts: list[tuple[str, dict[str, object], str, str]] = []
    away = 1

    def do_POST(self) -> None:
        body = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if Office.away:
            Office.away -= 1
            self._answer(503, {"code": "busy"})
            return
        Office.posts.append((self.path, body, self.headers["Authorization"], self.headers["Idempotency-Key"]))
        if self.path == "/api/records/ManureManifest":
            self._answer(201, {"record": {"id": f"urn:ngsi-ld:ManureManifest:{len(Office.posts)}"}})
        elif self.path.endswith("/finish"):
            self._answer(409, {"code": "not-allowed"})
        else:
            self._answer(200, {"record": {}})

    def _answer(self, status: int, document: dict[str, object]) -> None:
        raw = orjson.dumps(document)
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def office() -> Iterator[int]:
    Office.posts, Office.away = [], 1
    server = ThreadingHTTPServer(("127.0.0.1", 0), Office)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


async def test_an_hour_of_the_city_arrives_whole(town: Town, office: int) -> None:
    city = SampleCity(SEED, START, trucks=5, town=town)
    begin, end = START, START + HOUR
    expected = list(city.events(begin, end))
    sent = [e.payload for e in expected if isinstance(e, Telemetry)]
    known: dict[str, str] = {}
    async with broker() as server:
        credentials = Credentials("manure-terminals", "secret", lambda party, role: f"{role}:{party}")
        drive = Drive(city, Clock(begin), ("127.0.0.1", server.port), ("127.0.0.1", office), credentials, known)
        async with asyncio.timeout(60):
            await drive.run(begin, end)
        assert sorted(p.payload for p in server.got if not p.dup) == sorted(
            e.payload for e in expected if isinstance(e, Telemetry) and not e.dup
        )
        assert {c.client_id for c in server.connects} == {t.code for t in city.trucks}
    assert drive.stats.messages == len(sent)
    actions = [e for e in expected if isinstance(e, ManifestAction)]
    created = {e.manifest_ref for e in actions if e.action == "create"}
    assert set(known) == created
    mine = [e for e in actions if e.manifest_ref in created]
    assert len(Office.posts) == len(mine)  # those of manifests made before the hour are refused without asking
    for event, (path, body, authorization, key) in zip(mine, Office.posts, strict=True):
        assert path.endswith("ManureManifest" if event.action == "create" else event.action)
        assert body["on_behalf_of"] == event.on_behalf_of
        assert authorization == f"Bearer {event.actor_role}:{event.actor_party}"
        assert event.manifest_ref in key
    finishes = sum(e.action == "finish" for e in mine)
    assert drive.stats.refused.get("finish: not-allowed", 0) == finishes


async def test_it_stops_when_cancelled(town: Town, office: int) -> None:
    city = SampleCity(SEED, START, trucks=3, town=town)
    async with broker() as server:
        credentials = Credentials("u", "p", lambda party, role: "t")
        drive = Drive(city, Clock(START), ("127.0.0.1", server.port), ("127.0.0.1", office), credentials)
        task = asyncio.create_task(drive.run(START))
        while not server.got:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 10)
    assert all(link.pending == 0 for link in drive.links.values())
