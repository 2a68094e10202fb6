"""A load generator for the MQTT listener: many trucks over a few connections, QoS 1, a window of messages in flight.

    python -m benchmarks.mqtt_load --port 1883 --secret SECRET --devices 1000 --connections 10 --rate 4000 --seconds 300

Packets are encoded once; for each message only sequence, time and packet id are written into the bytes, so that the generator takes
a small part of the core that it shares with what it measures. Acknowledgements are compared with what was sent: a missing or
misplaced PUBACK ends the run with an error. Latency is from `write` to PUBACK, in a histogram with steps of 5 %.
"""

import argparse
import asyncio
import json
import math
import os
import resource
import sys
import time
from collections import deque
from functools import partial
from typing import Any, cast

from msgspec import Struct

from madang.model.time import render_instant
from madang.wire.mqtt import Connack, Connect, Decoder, ProtocolError, encode, encode_publish

TICK_S = 0.005
"""Between two rounds of sending."""
PLACES = 16
"""Positions of a truck's loop; each is one encoded packet for each truck."""
SEQ_FIRST = 1_000_000
"""Sequence numbers have seven digits, so that they fit into the encoded packet."""
TIME_FORM = "2026-01-01T00:00:00.000Z"


class Plan(Struct, kw_only=True):
    """What to send to whom."""

    host: str = "127.0.0.1"
    port: int = 1883
    source: str = "manure-terminals"
    secret: str = ""
    topic: str = "manure/{device}/telemetry"
    device_prefix: str = "L"
    devices: int = 1_000
    connections: int = 10
    rate: float = 4_000.0
    """Messages a second in all; 0: as fast as the windows allow."""
    seconds: float = 10.0
    window: int = 500
    """Unacknowledged messages of one connection."""
    drain_s: float = 10.0
    """How long to wait for the last acknowledgements."""
    seq_first: int = SEQ_FIRST


class Result(Struct, kw_only=True):
    """What came of it."""

    sent: int
    acknowledged: int
    seconds: float
    """From the first message to the last acknowledgement."""
    rate: float
    """Acknowledged messages a second."""
    latency_ms_p50: float
    latency_ms_p99: float
    latency_ms_max: float
    behind: int
    """Messages that were due but did not fit into a window."""
    cpu_share: float
    """Of one core, of this process."""
    lost_connections: int
    error: str = ""


class Histogram:
    """Latencies in steps of 5 %, from 10 µs."""

    def __init__(self) -> None:
        self.counts = [0] * 400
        self.most = 0.0

    def add(self, seconds: float, count: int) -> None:
        step = int(math.log(max(seconds, 1e-5) / 1e-5) / math.log(1.05))
        self.counts[min(step, len(self.counts) - 1)] += count
        self.most = max(self.most, seconds)

    def quantile_ms(self, share: float) -> float:
        """Upper edge of the step that holds the quantile; 0 without data."""
        rest = share * sum(self.counts)
        for step, count in enumerate(self.counts):
            rest -= count
            if rest <= 0 and count:
                return min(1e-5 * 1.05 ** (step + 1), self.most) * 1e3
        return 0.0


class Truck:
    """One truck's packets, encoded once, and the places in them that change."""

    def __init__(self, plan: Plan, index: int) -> None:
        device = f"{plan.device_prefix}-{index:05d}"
        self.seq = plan.seq_first
        self.packets: list[tuple[bytearray, int, int, int]] = []
        """(packet, offset of the packet id, of the sequence, of the time) for each place of its loop."""
        topic = plan.topic.replace("{device}", device)
        lon, lat = 126.30 + index % 40 * 0.01, 33.30 + index // 40 % 20 * 0.01
        for place in range(PLACES):
            turn = 2 * math.pi * place / PLACES
            payload = json.dumps(
                {
                    "seq": plan.seq_first,
                    "t": TIME_FORM,
                    "lon": round(lon + 0.002 * math.cos(turn), 6),
                    "lat": round(lat + 0.002 * math.sin(turn), 6),
                    "spd": 30.5,
                    "hdg": round(math.degrees(-turn) % 360, 1),
                    "w": 18_400 + 10 * (place % 5),
                    "ws": True,
                    "ign": True,
                    "pto": False,
                    "hdop": 0.9,
                    "bat": 24.1,
                }
            ).encode()
            packet = bytearray(encode_publish(topic, payload, 1, 1))
            body = len(packet) - len(payload)
            seq_at = packet.index(str(plan.seq_first).encode(), body)
            self.packets.append((packet, body - 2, seq_at, packet.index(TIME_FORM.encode(), body)))

    def next(self, packet_id: bytes, time_text: bytes) -> bytearray:
        """The next message; valid until the next call."""
        seq = self.seq
        packet, id_at, seq_at, time_at = self.packets[seq % PLACES]
        packet[id_at : id_at + 2] = packet_id
        packet[seq_at : seq_at + 7] = b"%07d" % seq
        packet[time_at : time_at + 24] = time_text
        self.seq = seq + 1
        return packet


class Client(asyncio.Protocol):
    """One connection with its trucks."""

    def __init__(self, plan: Plan, number: int, trucks: list[Truck], latency: Histogram) -> None:
        self._plan, self._number, self._trucks, self._latency = plan, number, trucks, latency
        self._decoder = Decoder(role="client")
        self._turn = 0
        self._packet_id = 0
        self._expected = bytearray()
        self._sent_at: deque[list[Any]] = deque()
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.connected = False
        self.in_flight = 0
        self.sent = 0
        self.acknowledged = 0
        self.last_ack_at = 0.0
        self.error = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        plan = self._plan
        connect = Connect(f"load-{os.getpid()}-{self._number}", 0, True, plan.source, plan.secret.encode())
        self.transport.write(encode(connect))

    def connection_lost(self, error: Exception | None) -> None:
        self.connected = False
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(f"closed before CONNACK: {error}"))

    def data_received(self, data: bytes) -> None:
        if not self.connected:
            try:
                [connack] = self._decoder.feed(data)
            except (ProtocolError, ValueError) as error:
                self.ready.set_exception(ConnectionError(str(error)))
                return
            if isinstance(connack, Connack) and connack.return_code == 0:
                self.connected = True
                self.ready.set_result(None)
            else:
                self.ready.set_exception(ConnectionError(f"refused: {connack}"))
            return
        # From here on only PUBACKs come, of four bytes each; those that are cut wait in the comparison below.
        if not self._expected.startswith(data):
            self.error = "a PUBACK that was not due, or out of order"
            self.transport.abort()
            return
        before = self._acked(len(self._expected))
        del self._expected[: len(data)]
        self._settle(before - self._acked(len(self._expected)))

    @staticmethod
    def _acked(length: int) -> int:
        return (length + 3) // 4

    def _settle(self, count: int) -> None:
        now = time.perf_counter()
        self.acknowledged += count
        self.in_flight -= count
        self.last_ack_at = now
        while count:
            group = self._sent_at[0]
            part = min(count, group[1])
            self._latency.add(now - group[0], part)
            count -= part
            group[1] -= part
            if not group[1]:
                self._sent_at.popleft()

    def send(self, count: int, time_text: bytes) -> int:
        """Send up to `count` messages; gives back how many fitted into the window."""
        if not self.connected:
            return 0
        count = min(count, self._plan.window - self.in_flight)
        if count <= 0:
            return 0
        trucks, expected, turn, packet_id = self._trucks, self._expected, self._turn, self._packet_id
        out = bytearray()
        for _ in range(count):
            packet_id = packet_id % 65_535 + 1
            id_bytes = packet_id.to_bytes(2, "big")
            out += trucks[turn].next(id_bytes, time_text)
            expected += b"\x40\x02" + id_bytes
            turn = turn + 1 if turn + 1 < len(trucks) else 0
        self._turn, self._packet_id = turn, packet_id
        self.transport.write(out)
        self._sent_at.append([time.perf_counter(), count])
        self.in_flight += count
        self.sent += count
        return count


async def run_load(plan: Plan) -> Result:
    """Connect, send for `plan.seconds`, wait for the rest of the acknowledgements, close.

    Raises ConnectionError when the listener refuses.
    """
    if not 0 < plan.window < 65_536 or plan.connections > plan.devices:
        raise ValueError("the window is 1 to 65,535, and each connection needs a device")
    loop = asyncio.get_running_loop()
    latency = Histogram()
    trucks = [Truck(plan, index) for index in range(plan.devices)]
    clients = []
    for number in range(plan.connections):
        mine = trucks[number :: plan.connections]
        _, client = await loop.create_connection(partial(Client, plan, number, mine, latency), plan.host, plan.port)
        await asyncio.wait_for(client.ready, 10)
        clients.append(client)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    sent = behind = 0
    first = 0
    while (elapsed := time.perf_counter() - start) < plan.seconds and any(client.connected for client in clients):
        due = int(plan.rate * elapsed) - sent if plan.rate else plan.connections * plan.window
        # Milliseconds, always three digits of them.
        moment = time.time_ns() // 1_000_000
        time_text = f"{render_instant(moment // 1000 * 1_000_000)[:-1]}.{moment % 1000:03d}Z".encode()
        left = due
        for offset in range(len(clients)):
            client = clients[(first + offset) % len(clients)]
            left -= client.send(-(-left // (len(clients) - offset)), time_text)
        first = (first + 1) % len(clients)
        sent += due - left
        behind = max(behind, left) if plan.rate else 0
        await asyncio.sleep(TICK_S if plan.rate else 0)
    end = time.perf_counter() + plan.drain_s
    while any(client.in_flight and client.connected for client in clients) and time.perf_counter() < end:  # noqa: ASYNC110
        await asyncio.sleep(TICK_S)
    seconds = max([client.last_ack_at for client in clients] + [start + 1e-9]) - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
    lost = sum(not client.connected for client in clients)
    for client in clients:
        client.transport.close()
    acknowledged = sum(client.acknowledged for client in clients)
    return Result(
        sent=sent,
        acknowledged=acknowledged,
        seconds=seconds,
        rate=acknowledged / seconds,
        latency_ms_p50=latency.quantile_ms(0.50),
        latency_ms_p99=latency.quantile_ms(0.99),
        latency_ms_max=latency.most * 1e3,
        behind=behind,
        cpu_share=cpu_s / (time.perf_counter() - start),
        lost_connections=lost,
        error=next((client.error for client in clients if client.error), ""),
    )


def main() -> int:
    """Command line: every field of `Plan` is an option; prints the result as JSON."""
    parser = argparse.ArgumentParser(description="Load the MQTT listener with trucks.")
    for field, default in (
        ("host", "127.0.0.1"),
        ("source", "manure-terminals"),
        ("secret", os.environ.get("MADANG_SECRET", "")),
    ):
        parser.add_argument(f"--{field}", default=default)
    for field, whole in (("port", 1883), ("devices", 1_000), ("connections", 10), ("window", 500)):
        parser.add_argument(f"--{field}", type=int, default=whole)
    parser.add_argument("--rate", type=float, default=4_000.0, help="messages a second, 0: as fast as possible")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument(
        "--seq-first", type=int, default=SEQ_FIRST, help="seven digits; choose another for a second run"
    )
    plan = Plan(**vars(parser.parse_args()))
    if sys.platform != "win32":
        import uvloop

        result = uvloop.run(run_load(plan))
    else:
        result = asyncio.run(run_load(plan))
    print(json.dumps({name: getattr(result, name) for name in result.__struct_fields__}))
    return 1 if result.error or result.acknowledged < result.sent else 0


if __name__ == "__main__":
    sys.exit(main())
