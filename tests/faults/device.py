"""A terminal as the fault tests need it: MQTT 3.1.1 written here by hand from the standard, apart from the codec under test.

It sends its messages in order at QoS 1, a few in flight, keeps what is not acknowledged and sends it again after every
reconnect, as the buffer of a real terminal does. What it counts as acknowledged is what the server promised to have.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

IN_FLIGHT = 20
"""Messages without an answer; fewer than 65,535, so that a packet id names one message."""
RETRY_S = 0.05


def _text(value: str) -> bytes:
    data = value.encode()
    return len(data).to_bytes(2, "big") + data


def _packet(first: int, body: bytes) -> bytes:
    length, remaining = b"", len(body)
    while True:  # remaining length, MQTT 3.1.1 clause 2.2.3
        digit, remaining = remaining % 128, remaining // 128
        length += bytes([digit | (0x80 if remaining else 0)])
        if not remaining:
            return bytes([first]) + length + body


def render_connect(client_id: str, username: str, password: str) -> bytes:
    """CONNECT with clean session, user name and password (clause 3.1)."""
    flags = 0b1100_0010
    return _packet(
        0x10, _text("MQTT") + bytes([4, flags, 0, 60]) + _text(client_id) + _text(username) + _text(password)
    )


def render_publish(topic: str, payload: bytes, packet_id: int, again: bool) -> bytes:
    """PUBLISH at QoS 1; DUP when it was sent before (clause 3.3)."""
    return _packet(0x32 | (0x08 if again else 0), _text(topic) + packet_id.to_bytes(2, "big") + payload)


async def read_packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """First byte and body of the next packet. Raises IncompleteReadError when the connection ends."""
    first = (await reader.readexactly(1))[0]
    length, shift = 0, 0
    while True:
        digit = (await reader.readexactly(1))[0]
        length |= (digit & 0x7F) << shift
        shift += 7
        if not digit & 0x80:
            return first, await reader.readexactly(length)


@dataclass
class Device:
    """One terminal with everything that it will send."""

    client_id: str
    username: str
    password: str
    topic: str | Callable[[int], str]
    """One topic, or that of message n."""
    payloads: Sequence[bytes]
    acknowledged: list[bool] = field(default_factory=list)
    connects: int = 0
    repeats: int = 0
    """Messages sent again because a connection ended before their answer."""
    gap_s: float = 0.0
    """Pause after each message."""

    def __post_init__(self) -> None:
        self.acknowledged = [False] * len(self.payloads)
        self.waiting = len(self.payloads)
        self._sent = [False] * len(self.payloads)

    @property
    def done(self) -> bool:
        """Everything was acknowledged."""
        return self.waiting == 0

    async def run(self, tcp_port: Callable[[], int]) -> None:
        """Send everything, through as many connections as it takes. Cancel it to give up."""
        while not self.done:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, OSError):
                await self._session(tcp_port())
            if not self.done:
                await asyncio.sleep(RETRY_S)

    async def _session(self, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(render_connect(self.client_id, self.username, self.password))
            first, body = await read_packet(reader)
            if first != 0x20 or body[1] != 0:
                raise PermissionError(f"{self.client_id}: CONNACK {first:#x} {body.hex()}")
            self.connects += 1
            room = asyncio.Semaphore(IN_FLIGHT)
            answers = asyncio.create_task(self._read_answers(reader, room))
            try:
                for n, payload in enumerate(self.payloads):
                    if self.acknowledged[n]:
                        continue
                    taken = asyncio.create_task(room.acquire())
                    await asyncio.wait((taken, answers), return_when=asyncio.FIRST_COMPLETED)
                    if answers.done():
                        taken.cancel()
                        break
                    self.repeats += self._sent[n]
                    topic = self.topic if isinstance(self.topic, str) else self.topic(n)
                    writer.write(render_publish(topic, payload, n % 60_000 + 1, self._sent[n]))
                    self._sent[n] = True
                    await writer.drain()
                    if self.gap_s:
                        await asyncio.sleep(self.gap_s)
                await answers
            finally:
                answers.cancel()
                with contextlib.suppress(asyncio.CancelledError, ConnectionError, asyncio.IncompleteReadError, OSError):
                    await answers
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, OSError):
                await writer.wait_closed()

    async def _read_answers(self, reader: asyncio.StreamReader, room: asyncio.Semaphore) -> None:
        while not self.done:
            first, body = await read_packet(reader)
            if first == 0x40:  # PUBACK
                self._acknowledge(int.from_bytes(body[:2], "big"))
                room.release()

    def _acknowledge(self, packet_id: int) -> None:
        # Packet ids repeat every 60,000 messages; the one meant is the oldest without an answer.
        for n in range(packet_id - 1, len(self.payloads), 60_000):
            if not self.acknowledged[n]:
                self.acknowledged[n] = True
                self.waiting -= 1
                return
