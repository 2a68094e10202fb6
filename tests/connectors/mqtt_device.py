"""A device for tests: speaks MQTT through our codec, packet by packet, and can misbehave."""

import asyncio
from collections.abc import Callable
from typing import Self

from madang.wire.mqtt import Connack, Connect, Decoder, Packet, Publish, encode
from tests.connectors.fake_ingest import SECRET, SOURCE


async def until(condition: Callable[[], bool], limit_s: float = 5.0) -> None:
    """Wait until the condition holds; fails after `limit_s`."""
    end = asyncio.get_running_loop().time() + limit_s
    while not condition():
        assert asyncio.get_running_loop().time() < end, "waited in vain"
        await asyncio.sleep(0.002)


class Device:
    """One connection. Leave it with `async with`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.decoder = Decoder(role="client")
        self.waiting: list[Packet] = []

    @classmethod
    async def open(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    @classmethod
    async def connected(cls, port: int, client_id: str = "T-1", keep_alive_s: int = 60) -> Self:
        device = await cls.open(port)
        await device.send(Connect(client_id, keep_alive_s, True, SOURCE.id, SECRET.encode()))
        assert await device.packet() == Connack(0)
        return device

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.writer.close()
        await asyncio.gather(self.writer.wait_closed(), return_exceptions=True)

    async def send(self, *packets: Packet) -> None:
        await self.send_bytes(b"".join(map(encode, packets)))

    async def send_bytes(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def publish(self, *packet_ids: int, device: str = "T-1") -> None:
        await self.send(*(Publish(f"manure/{device}/telemetry", b"%d" % n, 1, n) for n in packet_ids))

    async def packet(self, limit_s: float = 5.0) -> Packet | None:
        """The next packet; None when the listener closed the connection."""
        while not self.waiting:
            try:
                data = await asyncio.wait_for(self.reader.read(65_536), limit_s)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self.waiting += self.decoder.feed(data)
        return self.waiting.pop(0)

    async def silent(self, for_s: float = 0.05) -> bool:
        """True when nothing comes and the connection stays."""
        try:
            packet = await self.packet(for_s)
        except TimeoutError:
            return True
        raise AssertionError(f"not silent: {packet}")
