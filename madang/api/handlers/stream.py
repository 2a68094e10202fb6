"""The event stream (Server-Sent Events): moves, incidents, records, the clock. Resumable by `Last-Event-ID`.

An event's id is the log sequence up to which the client has everything; within a batch only the last event carries it, so a
connection that breaks in the middle gets the batch again. Events say how things are, not how they changed: twice is as good as once.
"""

import asyncio
from contextlib import suppress
from typing import Any

import msgspec

from madang.api.dispatch import start_headers
from madang.api.errors import Problem
from madang.api.handlers.entities import question
from madang.api.route import Call, Send
from madang.hub.feed import Batch, Item, Position, RecordEvent, Reset, TooManyListeners
from madang.hub.queries import incidents
from madang.hub.queries.look import Look
from madang.hub.tokens import NotAuthenticated, TooManyFailures
from madang.model.time import MILLISECOND, render_instant
from madang.procedure.incident import INCIDENT_TYPE

TOPICS = ("moves", "incidents", "records", "clock")
CLOCK_S = 1.0
"""Between clock events; they also keep the connection alive and the client's last id young."""
RECHECK_S = 15.0
"""How long a stream may outlive its token."""
SUMMARIES_MAX = 512
RETRY_MS = 2_000


async def get_stream(call: Call, send: Send) -> None:
    """GET /api/stream"""
    topics = frozenset(call.query.get("topics") or TOPICS)
    after = _resume_point(call)
    try:
        listener = call.state.feed.listen()
    except TooManyListeners as error:
        raise Problem(503, "too-many-streams", f"{error}.", headers=(("Retry-After", "10"),)) from None
    stream = _Stream(call, send, topics)
    gone = asyncio.create_task(_wait_gone(call))
    try:
        if after is None:
            stream.seq = call.state.feed.seq
            await stream.begin()
        else:
            await stream.begin()
            await stream.give(await call.run(call.state.feed.read_since, after))
        loop = asyncio.get_running_loop()
        next_clock = loop.time()
        next_check = loop.time() + RECHECK_S
        while not gone.done() and not call.state.stopping.is_set():
            item = await listener.next(max(0.0, next_clock - loop.time()))
            if item is not None:
                await stream.give(item)
            if loop.time() >= next_clock:
                next_clock = loop.time() + CLOCK_S
                await stream.tick()
            if loop.time() >= next_check:
                next_check = loop.time() + RECHECK_S
                if not await call.run(_may_go_on, call):
                    break
                stream.forget_grants()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        listener.close()
        gone.cancel()
        with suppress(asyncio.CancelledError):
            await gone


def _resume_point(call: Call) -> int | None:
    """`Last-Event-ID`, which a browser sends by itself when it connects again, else the parameter `after`."""
    text = call.headers.get("last-event-id", "")
    if text:
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise Problem(400, "bad-header", "Last-Event-ID is the id of an event of this stream: a whole number.")
        return int(text)
    after = call.query.get("after")
    return after if isinstance(after, int) else None


async def _wait_gone(call: Call) -> None:
    """Done when the client has gone."""
    while (await call.receive())["type"] != "http.disconnect":
        pass


def _may_go_on(call: Call) -> bool:
    """Is the token or session still good, and the role the same?"""
    tokens = call.hub.tokens
    scheme, _, secret = call.headers.get("authorization", "").partition(" ")
    try:
        caller = tokens.authenticate(secret.strip()) if scheme else tokens.resume_session(call.cookie)
    except (NotAuthenticated, TooManyFailures):
        return False
    return caller == call.caller


class _Stream:
    """One client's stream."""

    def __init__(self, call: Call, send: Send, topics: frozenset[str]) -> None:
        self.call = call
        self.send = send
        self.topics = topics
        self.seq = 0
        """The client has everything up to here."""
        self._own: frozenset[str] | None = None

    async def begin(self) -> None:
        headers = start_headers("text/event-stream; charset=utf-8", (("X-Accel-Buffering", "no"),))
        await self.send({"type": "http.response.start", "status": 200, "headers": headers})
        # An id without data is no event, but the client keeps it: it can come back even if it heard nothing.
        known = f"id: {self.seq}\n" if self.seq else ""
        await self._write(f"retry: {RETRY_MS}\n{known}\n".encode())

    def forget_grants(self) -> None:
        """Ask again what the caller's party owns."""
        self._own = None

    async def give(self, item: Item) -> None:
        """Send a batch, or the news that the client must start over."""
        if isinstance(item, Reset):
            self.seq = item.seq
            await self._write(_event("reset", b"{}", item.seq))
            return
        if item.seq <= self.seq:
            return
        events = await self._events(item)
        self.seq = item.seq
        if events:
            name, data = events[-1]
            frames = [_event(n, d, None) for n, d in events[:-1]]
            await self._write(b"".join([*frames, _event(name, data, item.seq)]))

    async def tick(self) -> None:
        """The clock, and with it how far the client has come."""
        if "clock" in self.topics:
            hub = self.call.hub
            data = msgspec.json.encode({"now": render_instant(hub.clock.now()), "speed": hub.city.speed})
            await self._write(_event("clock", data, self.seq or None))
        else:
            await self._write(f": still here\nid: {self.seq}\n\n".encode())

    async def _events(self, batch: Batch) -> list[tuple[str, bytes]]:
        events: list[tuple[str, bytes]] = []
        fresh = [event for event in batch.records if event.seq > self.seq]
        if fresh and ({"incidents", "records"} & self.topics):
            events += await self.call.run(question, self.call, _record_events, self.call, fresh, self.topics)
        if "moves" in self.topics and batch.moves:
            moves = await self._visible(batch.moves)
            if moves:
                events.append(("moves", self._moves(batch, moves)))
        return events

    def _moves(self, batch: Batch, moves: tuple[Position, ...]) -> bytes:
        if moves is not batch.moves:
            return _moves_data(batch.seq, moves)
        state = self.call.state
        if state.moves[0] is not batch:
            state.moves = (batch, _moves_data(batch.seq, moves))
        return state.moves[1]

    async def _visible(self, moves: tuple[Position, ...]) -> tuple[Position, ...]:
        """Moves of things that the caller may see."""
        caller = self.call.caller
        if caller.party is None:
            return moves if caller.may("entity.read") else ()
        own = self._own
        if own is None:
            own = self._own = await self.call.ask(_own_ids)
        return tuple(move for move in moves if move.id in own)

    async def _write(self, data: bytes) -> None:
        await self.send({"type": "http.response.body", "body": data, "more_body": True})


def _own_ids(look: Look) -> frozenset[str]:
    return look.own_ids


def _moves_data(seq: int, moves: tuple[Position, ...]) -> bytes:
    rows: list[list[Any]] = [
        [m.id, m.lon, m.lat, m.heading, m.speed, m.observed_at // MILLISECOND, m.weight_kg] for m in moves
    ]
    return msgspec.json.encode({"seq": seq, "moves": rows})


def _record_events(look: Look, call: Call, fresh: list[RecordEvent], topics: frozenset[str]) -> list[tuple[str, bytes]]:
    """Events of records that the caller may see; of several transitions of one record only the last."""
    events: list[tuple[str, bytes]] = []
    for event in {event.id: event for event in fresh}.values():
        if event.type == INCIDENT_TYPE:
            if "incidents" in topics and look.may_see_type(INCIDENT_TYPE):
                data = _summary(look, call, event)
                if data is not None:
                    events.append(("incident", data))
        elif "records" in topics and look.may_see_type(event.type):
            record = look.read.find_record(event.id)
            if record is not None and look.sees_record(record):
                row = {"id": event.id, "type": event.type, "state": record.state, "version": record.version}
                events.append(("record", msgspec.json.encode(row)))
    return events


def _summary(look: Look, call: Call, event: RecordEvent) -> bytes | None:
    """An incident's row of the queue, made once for all streams of a language."""
    summaries = call.state.summaries
    key = (event.id, event.version, look.lang)
    kept = summaries.get(key)
    if kept is None:
        summary = incidents.find_summary(look, event.id)
        if summary is None:
            return None
        kept = msgspec.json.encode(summary)
        if summary.version == event.version:
            summaries[key] = kept
            while len(summaries) > SUMMARIES_MAX:
                summaries.popitem(last=False)
    return kept


def _event(name: str, data: bytes, id_: int | None) -> bytes:
    head = f"id: {id_}\n" if id_ is not None else ""
    return f"{head}event: {name}\ndata: ".encode() + data + b"\n\n"
