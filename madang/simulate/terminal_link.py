"""One terminal's MQTT connection: QoS 1, keeps what is not acknowledged, connects again and sends it with the DUP flag.

This is the device's side of the wire, so it relies on nothing of the server but the protocol (MQTT 3.1.1).
"""

import asyncio
import contextlib
from collections import OrderedDict

import structlog

from madang.wire.mqtt import (
    ACCEPTED,
    PACKET_MAX_DEFAULT,
    Connack,
    Connect,
    Decoder,
    Disconnect,
    Pingreq,
    ProtocolError,
    Puback,
    encode,
    encode_publish,
)

log = structlog.get_logger("madang.terminal")

KEEP_ALIVE_S = 60
RETRY_FIRST_S, RETRY_MAX_S = 0.5, 10.0
IN_FLIGHT_MAX = 20
"""Messages sent and not acknowledged (field: small modems keep a short window)."""
BUFFER_MAX = 20_000
"""Messages kept while there is no connection; the oldest go first, counted in `dropped` (two days of a terminal)."""


class Refused(Exception):
    """The server refused the connection for good: wrong credentials or client id. The text says the return code."""


class TerminalLink:
    """Use: `link = TerminalLink(...)`, `task = create_task(link.run())`, `link.publish(...)`, finally `await link.close()`."""

    def __init__(self, host: str, port: int, client_id: str, username: str, password: str) -> None:
        self._address = (host, port)
        self._connect = encode(Connect(client_id, KEEP_ALIVE_S, True, username, password.encode()))
        self.client_id = client_id
        self._waiting: OrderedDict[int, tuple[str, bytes, bool]] = OrderedDict()
        self._in_flight: OrderedDict[int, tuple[str, bytes]] = OrderedDict()
        self._number = 0
        self._wake = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._closing = False
        self.acknowledged = 0
        self.dropped = 0
        self.reconnects = 0

    def publish(self, topic: str, payload: bytes, dup: bool = False) -> None:
        """Queue a message; it is sent now or when the connection is back. Never blocks."""
        self._number += 1
        self._waiting[self._number] = (topic, payload, dup)
        if len(self._waiting) > BUFFER_MAX:
            self._waiting.popitem(last=False)
            self.dropped += 1
        self._pump()

    @property
    def pending(self) -> int:
        """Messages not yet acknowledged."""
        return len(self._waiting) + len(self._in_flight)

    async def run(self) -> None:
        """Stay connected until `close`. Raises Refused when the server does not want this client."""
        pause = RETRY_FIRST_S
        while not self._is_closing():
            try:
                await self._session()
                pause = RETRY_FIRST_S
            except (OSError, ProtocolError, asyncio.IncompleteReadError, TimeoutError) as error:
                log.debug("terminal lost its connection", terminal=self.client_id, why=str(error))
            if self._is_closing():
                return
            self.reconnects += 1
            await asyncio.sleep(pause)
            pause = min(RETRY_MAX_S, pause * 2)

    async def close(self, patience_s: float = 2.0) -> None:
        """Wait a little for acknowledgements, then say goodbye."""
        self._closing = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while self.pending and self._writer is not None:
                    self._wake.clear()
                    await self._wake.wait()
        writer, self._writer = self._writer, None
        if writer is not None:
            with contextlib.suppress(OSError):
                writer.write(encode(Disconnect()))
                await writer.drain()
            writer.close()

    def _is_closing(self) -> bool:
        return self._closing

    async def _session(self) -> None:
        reader, writer = await asyncio.open_connection(*self._address)
        decoder = Decoder(PACKET_MAX_DEFAULT, role="client")
        pinger: asyncio.Task[None] | None = None
        try:
            writer.write(self._connect)
            while data := await reader.read(65_536):
                for packet in decoder.feed(data):
                    if isinstance(packet, Connack):
                        if packet.return_code != ACCEPTED:
                            raise Refused(
                                f"{self.client_id}: the server answered CONNECT with return code {packet.return_code}"
                            )
                        self._writer = writer
                        self._resend()
                        self._pump()
                        pinger = asyncio.create_task(self._ping(writer))
                    elif isinstance(packet, Puback) and self._in_flight.pop(packet.packet_id, None) is not None:
                        self.acknowledged += 1
                        self._wake.set()
                self._pump()
        finally:
            if self._writer is writer:
                self._writer = None
            self._wake.set()
            if pinger is not None:
                pinger.cancel()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _ping(self, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while True:
                await asyncio.sleep(KEEP_ALIVE_S / 2)
                writer.write(encode(Pingreq()))

    def _resend(self) -> None:
        """What was in flight when the connection broke goes out again, in order, with DUP [MQTT-4.4.0-1]."""
        assert self._writer is not None
        for packet_id, (topic, payload) in self._in_flight.items():
            self._writer.write(encode_publish(topic, payload, 1, packet_id, dup=True))

    def _pump(self) -> None:
        writer = self._writer
        if writer is None or writer.is_closing():
            return
        while self._waiting and len(self._in_flight) < IN_FLIGHT_MAX:
            number, (topic, payload, dup) = self._waiting.popitem(last=False)
            packet_id = number % 65_535 + 1
            self._in_flight[packet_id] = (topic, payload)
            writer.write(encode_publish(topic, payload, 1, packet_id, dup=dup))
