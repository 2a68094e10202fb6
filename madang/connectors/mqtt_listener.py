"""The MQTT 3.1.1 listener: devices publish here, and PUBACK means committed.

Messages of all connections that arrive in one turn of the event loop go to ingest as one batch per source. While
`limits.batches` batches wait for their commit the next one gathers, so that batches grow with the load instead of the queue.
A batch whose commit fails closes its connections without PUBACK: the devices keep what they sent and send it again.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from concurrent.futures import Future

import structlog

from madang.connectors.mqtt_connection import HOLD_ALL, Connection, Part
from madang.connectors.mqtt_limits import Limits
from madang.hub.messages import IngestPort, Message, Outcome
from madang.hub.ports import Clock
from madang.model.time import Instant
from madang.wire.source import Source

log = structlog.get_logger("madang.mqtt")

SWEEP_S = 1.0
"""How often keep-alives and half-open connections are looked at."""
NOTES_MAX = 1_000
"""Refusals (by code and source) that the log remembers to leave out repeats."""


class _Batch:
    """Messages of one source on their way to the commit."""

    __slots__ = ("bytes", "messages", "parts", "source_id")

    def __init__(self, source_id: str) -> None:
        self.source_id = source_id
        self.messages: list[Message] = []
        self.parts: list[Part] = []
        self.bytes = 0


class MqttListener:
    """Use: `await start(host, port)`, then `await stop()`. All other methods belong to the event loop's thread.

    `ingest` is the hub's side (`madang.hub.messages.IngestPort`); `clock` gives `received_at`.
    """

    def __init__(self, ingest: IngestPort, clock: Clock, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.stopping = False
        self.now: Callable[[], Instant] = clock.now
        self.authenticate: Callable[[str, str], Source | None] = ingest.authenticate_source
        self._ingest = ingest
        self._connections: set[Connection] = set()
        self._by_client: dict[tuple[str, str], Connection] = {}
        self._gathering: dict[str, _Batch] = {}
        self._flush_due = False
        self._batches = 0
        self._in_flight = 0
        self._in_flight_bytes = 0
        self._holding = False
        self._clients_named = 0
        self._counts: dict[str, int] = {}
        self._notes: dict[tuple[str, str], tuple[float, int]] = {}
        self._received = 0
        self._committed_messages = 0
        self._holds = 0
        self._failed_batches = 0
        self._server: asyncio.Server | None = None

    # -- life -----------------------------------------------------------------------------------------------------------

    async def start(self, host: str = "127.0.0.1", port: int = 1883, tls: ssl.SSLContext | None = None) -> None:
        """Listen. `port` 0 takes a free one (see `tcp_port`). Raises OSError when the address is taken."""
        self._loop = asyncio.get_running_loop()
        self.loop_time: Callable[[], float] = self._loop.time
        self._server = await self._loop.create_server(lambda: Connection(self), host, port, ssl=tls, backlog=1024)
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)
        log.info("mqtt listening", host=host, port=self.tcp_port, tls=tls is not None)

    @property
    def tcp_port(self) -> int:
        """The port that it listens on."""
        if self._server is None or not self._server.sockets:
            raise RuntimeError("the listener is not listening")
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self, grace_s: float = 10.0) -> None:
        """Take no more, wait for what is on its way to the commit, acknowledge it, close. Safe to call twice."""
        if self._server is None or self.stopping:
            return
        self.stopping = True
        self._server.close()
        self._sweeper.cancel()
        for connection in self._connections:
            connection.hold(HOLD_ALL)
        self._submit_all()
        await self._until(lambda: self._in_flight == 0, grace_s)
        if self._in_flight:
            log.error("mqtt stopped before the commit", unacknowledged=self._in_flight)
        for connection in list(self._connections):
            connection.close()
        await self._until(lambda: not self._connections, self.limits.close_s)
        for connection in list(self._connections):
            connection.abort()
        await self._until(lambda: not self._connections, 1.0)
        await self._server.wait_closed()
        log.info("mqtt stopped", received=self._received, committed=self._committed_messages)

    async def _until(self, done: Callable[[], bool], limit_s: float) -> None:
        end = self._loop.time() + limit_s
        while not done() and self._loop.time() < end:  # noqa: ASYNC110 - several causes, and only while stopping
            await asyncio.sleep(0.005)

    # -- asked by the rest of the program -------------------------------------------------------------------------------

    def stats(self) -> dict[str, float]:
        """Figures for metrics. `refused_<code>` counts connections and subscriptions refused, by reason."""
        figures: dict[str, float] = {
            "connections": len(self._connections),
            "clients": len(self._by_client),
            "received": self._received,
            "committed": self._committed_messages,
            "in_flight": self._in_flight,
            "in_flight_bytes": self._in_flight_bytes,
            "holding": self._holding,
            "holds": self._holds,
            "failed_batches": self._failed_batches,
        }
        figures.update({f"refused_{code.replace('-', '_')}": count for code, count in sorted(self._counts.items())})
        return figures

    def send_command(self, source_id: str, client_id: str, payload: bytes) -> bool:
        """Send to a device that listens on its command topic, with QoS 0. False: it does not, or is not connected."""
        connection = self._by_client.get((source_id, client_id))
        return connection is not None and connection.send_command(payload)

    def disconnect_source(self, source_id: str) -> int:
        """Close all connections of a source; gives back how many. A source that was disabled or got another secret or
        topic needs no call: its connections end within a second."""
        theirs = [connection for (source, _), connection in self._by_client.items() if source == source_id]
        for connection in theirs:
            connection.close()
        return len(theirs)

    # -- told by connections --------------------------------------------------------------------------------------------

    def opened(self, connection: Connection) -> bool:
        """A socket was accepted; False: no room."""
        if len(self._connections) >= self.limits.connections:
            self._count(connection, "too-many-connections", f"at most {self.limits.connections:,} connections")
            return False
        self._connections.add(connection)
        return True

    def connected(self, connection: Connection) -> None:
        """A CONNECT was accepted: a connection of the same client ends [MQTT-3.1.4-2]."""
        assert connection.source is not None
        key = (connection.source.id, connection.client_id)
        earlier = self._by_client.get(key)
        self._by_client[key] = connection
        if earlier is not None:
            self._count(earlier, "taken-over", "the same client id connected again")
            earlier.close()
        if self._holding:
            connection.hold(HOLD_ALL)

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if connection.source is not None:
            key = (connection.source.id, connection.client_id)
            if self._by_client.get(key) is connection:
                del self._by_client[key]

    def refused(self, connection: Connection, code: str, reason: str) -> None:
        """The connection is closed for what its peer did."""
        self._count(connection, code, reason)

    def noted(self, connection: Connection, code: str, reason: str) -> None:
        """Something was refused, but the connection stays."""
        self._count(connection, code, reason)

    def next_client_id(self) -> str:
        """A client id for a client that gave none."""
        self._clients_named += 1
        return f"unnamed-{self._clients_named}"

    def take(self, message: Message, connection: Connection) -> None:
        """A message arrived; it goes with the next batch."""
        assert connection.source is not None
        source_id = connection.source.id
        batch = self._gathering.get(source_id)
        if batch is None:
            batch = self._gathering[source_id] = _Batch(source_id)
            if not self._flush_due:
                self._flush_due = True
                self._loop.call_soon(self._flush)
        batch.messages.append(message)
        size = len(message.payload)
        batch.bytes += size
        self._received += 1
        self._in_flight += 1
        self._in_flight_bytes += size
        part = connection.open_part
        assert part is not None
        if part.count == 1:
            batch.parts.append(part)

    # -- batches --------------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        self._flush_due = False
        if self._batches < self.limits.batches:
            self._submit_all()
        self._check_pressure()

    def _submit_all(self) -> None:
        gathering, self._gathering = self._gathering, {}
        for batch in gathering.values():
            for part in batch.parts:
                part.connection.open_part = None
            self._batches += 1
            try:
                future = self._ingest.submit(batch.source_id, batch.messages)
            except Exception as error:  # noqa: BLE001 - whatever the hub raises, devices must keep what they sent
                self._settle(batch, error)
                continue
            future.add_done_callback(lambda done, batch=batch: self._hear(batch, done))  # type: ignore[misc]

    def _hear(self, batch: _Batch, done: "Future[list[Outcome]]") -> None:
        """In the writer's thread."""
        error = done.exception() if not done.cancelled() else asyncio.CancelledError("ingest gave the batch up")
        with contextlib.suppress(RuntimeError):  # the loop is closed: the devices were told nothing and send again
            self._loop.call_soon_threadsafe(self._settle, batch, error)

    def _settle(self, batch: _Batch, error: BaseException | None) -> None:
        self._batches -= 1
        self._in_flight -= len(batch.messages)
        self._in_flight_bytes -= batch.bytes
        if error is None:
            self._committed_messages += len(batch.messages)
            for part in batch.parts:
                part.done = True
                part.connection.settle()
        else:
            self._failed_batches += 1
            left_out = self._may_note("not-committed", batch.source_id)
            if left_out is not None:
                log.error(
                    "mqtt batch not committed",
                    source=batch.source_id,
                    messages=len(batch.messages),
                    error=str(error),
                    left_out=left_out,
                )
            for part in batch.parts:
                part.connection.close()
        if self._gathering and not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)
        if self._holding:
            self._check_pressure()

    # -- back-pressure --------------------------------------------------------------------------------------------------

    def _check_pressure(self) -> None:
        limits = self.limits
        # Begin to hold at the limit, end at half of it, so that it does not flutter.
        share = 2 if self._holding else 1
        full = self._in_flight * share > limits.in_flight or self._in_flight_bytes * share > limits.in_flight_bytes
        if full or not self._ingest.accepting():
            if not self._holding and not self.stopping:
                self._holding = True
                self._holds += 1
                log.warning("mqtt reading paused", in_flight=self._in_flight, ingest_accepting=self._ingest.accepting())
                for connection in self._by_client.values():
                    connection.hold(HOLD_ALL)
                self._loop.call_later(limits.resume_poll_s, self._poll)
        elif self._holding and not self.stopping:
            self._holding = False
            log.info("mqtt reading resumed", in_flight=self._in_flight)
            for connection in self._by_client.values():
                connection.release(HOLD_ALL)

    def _poll(self) -> None:
        if self._holding and not self.stopping:
            self._check_pressure()
            if self._holding:
                self._loop.call_later(self.limits.resume_poll_s, self._poll)

    # -- time and log ---------------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        now = self._loop.time()
        for source_id in {source for source, _ in self._by_client}:
            self._leave_if_changed(source_id)
        for connection in list(self._connections):
            if connection.closing_since:
                if now - connection.closing_since > self.limits.close_s:
                    connection.abort()
            elif connection.patience_s and not connection.held and now - connection.last_heard > connection.patience_s:
                if connection.source is None:
                    connection.refuse("no-connect", f"no CONNECT within {connection.patience_s:g} s")
                else:
                    connection.refuse("keep-alive", f"nothing heard for {connection.patience_s:g} s")
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)

    def _leave_if_changed(self, source_id: str) -> None:
        """A source was disabled, or got another secret or topic: who is connected must say again who they are."""
        source = self._ingest.find_source(source_id)
        for connection in [c for (id_, _), c in self._by_client.items() if id_ == source_id]:
            before = connection.source
            if before is None or source is None or not source.enabled:
                connection.refuse("source-disabled", f"source {source_id} was disabled or removed")
            elif (source.secret_sha256, source.topic) != (before.secret_sha256, before.topic):
                connection.refuse("source-changed", f"source {source_id} got another secret or topic")

    def _count(self, connection: Connection, code: str, reason: str) -> None:
        """Count a refusal; log it unless the same was logged moments ago."""
        self._counts[code] = self._counts.get(code, 0) + 1
        source = connection.source.id if connection.source is not None else ""
        left_out = self._may_note(code, source)
        if left_out is None:
            return
        client, peer = connection.client_id[:64], connection.peer
        log.warning(
            "mqtt refused", code=code, reason=reason, source=source, client=client, peer=peer, left_out=left_out
        )

    def _may_note(self, code: str, source: str) -> int | None:
        """None when the like was logged moments ago; else how many were left out since."""
        now, key = self._loop.time(), (code, source)
        last, left_out = self._notes.get(key, (float("-inf"), 0))
        if now - last < self.limits.log_every_s:
            self._notes[key] = (last, left_out + 1)
            return None
        if len(self._notes) >= NOTES_MAX:
            self._notes.clear()
        self._notes[key] = (now, 0)
        return left_out
