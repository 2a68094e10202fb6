"""The event stream against a real server on 127.0.0.1: what a client hears, and that it misses nothing when it comes back."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import msgspec
import pytest
import uvicorn

from madang.api.handlers import stream as stream_handler
from madang.hub import feed as feed_module
from madang.hub.feed import Batch, Feed, Reset
from madang.model.caller import SYSTEM
from tests.api.tiny_city import CARRIER_B, OTHER_TRUCK, TRUCK, TinyCity

Event = tuple[str, str, Any]
"""(id, name, data)."""


@asynccontextmanager
async def serving(city: TinyCity) -> AsyncIterator[str]:
    """The app behind uvicorn, as the server runs it (no lifespan)."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        config = uvicorn.Config(city.app, lifespan="off", log_config=None, timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        server.capture_signals = no_signals  # type: ignore[method-assign,assignment]
        task = asyncio.create_task(server.serve(sockets=[bound]))
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            city.app.stop_streams()
            server.should_exit = True
            await task
            await city.app.api.feed.stop()


def no_signals() -> Any:
    from contextlib import nullcontext

    return nullcontext()


class Client:
    """A reader of the stream."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self.last_id = ""

    async def event(self) -> Event:
        """The next event."""
        id_, name, data = "", "", ""
        async for line in self._lines:
            field, _, value = line.partition(": ")
            if field == "id":
                id_ = self.last_id = value
            elif field == "event":
                name = value
            elif field == "data":
                data = value
            elif line == "" and name:
                return id_, name, msgspec.json.decode(data)
        raise EOFError

    async def until(self, name: str) -> Event:
        async with asyncio.timeout(10):
            while True:
                event = await self.event()
                if event[1] == name:
                    return event


@asynccontextmanager
async def listening(
    url: str, city: TinyCity, role: str = "officer", topics: str = "moves,incidents,records", **headers: str
) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(timeout=20) as http,
        http.stream("GET", f"{url}/api/stream?topics={topics}", headers=city.auth(role) | headers) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        yield Client(answer.aiter_lines())


async def soon(city: TinyCity) -> None:
    """Until the stream that was just opened listens: there is no event that says so before something happens."""
    deadline = time.monotonic() + 5
    while city.app.api.feed.listeners == 0 and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_moves_incidents_records_and_the_clock(own_city: TinyCity) -> None:
    async with serving(own_city) as url, listening(url, own_city, topics="moves,incidents,records,clock") as client:
        _, _, clock = await client.until("clock")
        assert clock == {"now": "2026-11-23T02:14:14Z", "speed": 2.0}
        await asyncio.to_thread(own_city.drive, 2, "t1", 126.55, 17_000)
        id_, _, data = await client.until("moves")
        assert data["moves"] == [[TRUCK, 126.55, 33.4, 90.0, 41.5, 1795400055000, 17000.0]]
        assert data["seq"] == int(id_)
        record = await asyncio.to_thread(own_city.raise_incident, "other", "critical", OTHER_TRUCK)
        _, _, summary = await client.until("incident")
        assert (summary["id"], summary["severity"], summary["subject_label"]) == (record.id, "critical", "84가 1234")
        manifest = own_city.manifests[CARRIER_B]
        await asyncio.to_thread(
            lambda: own_city.hub.records.act(SYSTEM, manifest, "cancel", {"reason": "no truck"}).result(5)
        )
        _, _, row = await client.until("record")
        assert row == {"id": manifest, "type": "ManureManifest", "state": "CANCELLED", "version": 2}


async def test_moves_are_gathered_to_four_a_second(own_city: TinyCity) -> None:
    async with serving(own_city) as url, listening(url, own_city, topics="moves") as client:
        await soon(own_city)
        started = time.monotonic()
        for seq in range(2, 42):
            await asyncio.to_thread(own_city.drive, seq, "t1", 126.5, 17_000 + seq)
            await asyncio.sleep(0.02)
        events = []
        while not events or events[-1]["moves"][0][6] != 17_041:
            events.append((await client.until("moves"))[2])
        took = time.monotonic() - started
        assert len(events) <= took * 4 + 2
        assert all(len(event["moves"]) == 1 for event in events), "only the newest of each thing"
        seqs = [event["seq"] for event in events]
        assert seqs == sorted(set(seqs))


async def test_who_comes_back_has_missed_nothing(own_city: TinyCity) -> None:
    """However often the connection breaks, all connections together hear of every incident, and know where each truck is."""
    heard: set[str] = set()
    weights: dict[str, float] = {}
    expected: set[str] = set()
    last = ""
    async with serving(own_city) as url:
        for connection in range(6):
            headers = {"Last-Event-ID": last} if last else {}
            async with listening(url, own_city, **headers) as client:
                await soon(own_city)
                # Some things happen while connected, some while the connection is down.
                await happen(own_city, connection * 10, expected)
                for _ in range(1 + connection % 3):
                    collect(await one(client), heard, weights)
                last = client.last_id or last
            await happen(own_city, connection * 10 + 5, expected)
        async with listening(url, own_city, **{"Last-Event-ID": last}) as client:
            async with asyncio.timeout(10):
                while not expected <= heard or weights.get(TRUCK) != 17_055:
                    collect(await client.event(), heard, weights)
    assert len(expected) == 12
    assert heard == expected


async def happen(city: TinyCity, number: int, expected: set[str]) -> None:
    """An incident and a move."""

    def work() -> None:
        expected.add(city.raise_incident(f"situation-{number}").id)
        city.drive(1000 + number, "t1", 126.5, 17_000 + number)

    await asyncio.to_thread(work)


async def one(client: Client) -> Event:
    async with asyncio.timeout(10):
        return await client.event()


def collect(event: Event, heard: set[str], weights: dict[str, float]) -> None:
    _, name, data = event
    if name == "incident":
        heard.add(data["id"])
    elif name == "moves":
        for move in data["moves"]:
            weights[move[0]] = move[6]


async def test_who_was_away_too_long_starts_over(own_city: TinyCity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "RESUME_MAX", 3)
    async with serving(own_city) as url:
        for text in ("1", "999999"):
            async with listening(url, own_city, **{"Last-Event-ID": text}) as client:
                id_, _, data = await client.until("reset")
                assert data == {} and int(id_) == own_city.hub.store.last_seq()


async def test_a_carrier_hears_only_of_its_own(own_city: TinyCity) -> None:
    async with serving(own_city) as url, listening(url, own_city, role="carrier") as client:
        await soon(own_city)

        def work() -> None:
            own_city.raise_incident("secret")
            own_city.drive(2, "t4")
            own_city.hub.records.act(SYSTEM, own_city.manifests[CARRIER_B], "cancel", {"reason": "x"}).result(5)
            own_city.drive(2, "t2", weight=16_000)

        await asyncio.to_thread(work)
        _, name, data = await one(client)
        assert (name, [move[0] for move in data["moves"]]) == ("moves", ["urn:ngsi-ld:Vehicle:t2"])


async def test_a_stream_ends_when_its_token_is_revoked(own_city: TinyCity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_handler, "RECHECK_S", 0.2)
    async with serving(own_city) as url, listening(url, own_city, topics="clock") as client:
        await client.until("clock")
        await asyncio.to_thread(own_city.hub.tokens.revoke, SYSTEM, "a-officer")
        with pytest.raises(EOFError):
            async with asyncio.timeout(10):
                while True:
                    await client.event()


async def test_a_slow_listener_is_bounded_and_starts_over(own_city: TinyCity) -> None:
    feed = Feed(own_city.hub.store, own_city.clock, ["Vehicle"])
    await feed.start()
    try:
        slow, quick = feed.listen(), feed.listen()
        for seq in range(2, 60):
            await asyncio.to_thread(own_city.drive, seq, "t1")
            feed.flush()
            assert isinstance(await quick.next(1), Batch)
        item = await slow.next(1)
        assert isinstance(item, Reset) and slow.resets == 1
        assert item.seq < own_city.hub.store.last_seq()
        following = await slow.next(1)
        assert isinstance(following, Batch) and following.seq > item.seq
        assert quick.resets == 0
    finally:
        await feed.stop()


async def test_a_feed_begins_from_what_the_store_holds(own_city: TinyCity) -> None:
    feed = Feed(own_city.hub.store, own_city.clock, ["Vehicle"])
    await feed.start()
    try:
        seq, positions = feed.positions()
        assert seq == own_city.hub.store.last_seq()
        assert sorted(position.id[-2:] for position in positions) == ["t1", "t2", "t3", "t4", "t5"]
        # A late reading is history: it does not move the truck back.
        own_city.hub.ingest.submit("manure-terminals", [late_message(own_city)]).result(5)
        feed.flush()
        assert {p.id[-2:]: p.lon for p in feed.positions()[1]}["t1"] == 126.51
    finally:
        await feed.stop()


async def test_a_feed_remembers_so_many_and_tells_of_all(own_city: TinyCity, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five trucks are there and room is for three: who is over is told of when it moves, and not kept."""
    monkeypatch.setattr(feed_module, "THINGS_MAX", 3)
    feed = Feed(own_city.hub.store, own_city.clock, ["Vehicle"])
    await feed.start()
    listener = feed.listen()
    try:
        assert len(feed.positions()[1]) == 3
        for seq, truck in enumerate(("t1", "t2", "t3", "t4", "t5"), 2):
            await asyncio.to_thread(own_city.drive, seq, truck)
        feed.flush()
        batch = await listener.next(1)
        assert isinstance(batch, Batch)
        assert sorted(move.id[-2:] for move in batch.moves) == ["t1", "t2", "t3", "t4", "t5"]
        assert len(feed.positions()[1]) == 3
    finally:
        await feed.stop()


def late_message(city: TinyCity) -> Any:
    from tests.api.tiny_city import START, message

    return message(77, "t1", 120.0, 15_000, START - 60_000_000)
