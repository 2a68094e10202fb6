"""A terminal's connection against a small server of our own that misbehaves on demand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from madang.simulate.terminal_link import Refused, TerminalLink
from madang.wire.mqtt import Connack, Connect, Decoder, Publish, encode, encode_puback


class Broker:
    """Takes connections; acknowledges unless told to be `mute`; drops a connection after `drop_after` messages."""

    def __init__(self, return_code: int = 0) -> None:
        self.return_code = return_code
        self.mute = False
        self.drop_after: int | None = None
        self.got: list[Publish] = []
        self.connects: list[Connect] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = Decoder()
        count = 0
        try:
            while data := await reader.read(65_536):
                for packet in decoder.feed(data):
                    if isinstance(packet, Connect):
                        self.connects.append(packet)
                        writer.write(encode(Connack(self.return_code)))
                    elif isinstance(packet, Publish):
                        self.got.append(packet)
                        count += 1
                        if self.drop_after is not None and count > self.drop_after:
                            self.drop_after = None
                            return
                        if not self.mute:
                            writer.write(encode_puback(packet.packet_id))
        finally:
            writer.close()


@asynccontextmanager
async def broker(return_code: int = 0) -> AsyncIterator[Broker]:
    one = Broker(return_code)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()


async def until(condition: object, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # type: ignore[operator]  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_messages_are_published_once_acknowledged_and_in_order() -> None:
    async with broker() as server:
        link = TerminalLink("127.0.0.1", server.port, "MD01", "manure-terminals", "secret")
        task = asyncio.create_task(link.run())
        for n in range(100):
            link.publish("manure/MD01/telemetry", b"%d" % n)
        await until(lambda: link.acknowledged == 100)
        await link.close()
        await task
        assert [p.payload for p in server.got] == [b"%d" % n for n in range(100)]
        assert all(p.qos == 1 and not p.dup for p in server.got)
        assert (server.connects[0].client_id, server.connects[0].username, server.connects[0].password) == (
            "MD01",
            "manure-terminals",
            b"secret",
        )
        assert link.pending == 0


async def test_what_was_not_acknowledged_is_sent_again_with_dup() -> None:
    async with broker() as server:
        server.drop_after = 3
        link = TerminalLink("127.0.0.1", server.port, "MD01", "u", "p")
        task = asyncio.create_task(link.run())
        for n in range(10):
            link.publish("t", b"%d" % n)
        await until(lambda: link.acknowledged == 10)
        await link.close()
        await task
        assert len(server.connects) == 2
        again = [p for p in server.got if p.dup]
        assert again and again[0].payload == b"3"
        assert {p.payload for p in server.got} == {b"%d" % n for n in range(10)}


async def test_no_more_than_the_window_is_in_flight() -> None:
    async with broker() as server:
        server.mute = True
        link = TerminalLink("127.0.0.1", server.port, "MD01", "u", "p")
        task = asyncio.create_task(link.run())
        for n in range(50):
            link.publish("t", b"%d" % n)
        await until(lambda: len(server.got) == 20)
        await asyncio.sleep(0.1)
        assert (len(server.got), link.pending) == (20, 50)
        await link.close(patience_s=0.05)
        await task


async def test_wrong_credentials_end_it() -> None:
    async with broker(return_code=4) as server:
        link = TerminalLink("127.0.0.1", server.port, "MD01", "u", "wrong")
        with pytest.raises(Refused, match="return code 4"):
            await link.run()


async def test_it_waits_for_a_server_that_comes_later() -> None:
    async with broker() as server:
        port = server.port
    link = TerminalLink("127.0.0.1", port, "MD01", "u", "p")
    task = asyncio.create_task(link.run())
    link.publish("t", b"kept")
    await asyncio.sleep(0.2)
    late = Broker()
    listening = await asyncio.start_server(late.serve, "127.0.0.1", port)
    await until(lambda: link.acknowledged == 1)
    await link.close()
    await task
    listening.close()
    assert [p.payload for p in late.got] == [b"kept"]


async def test_the_marked_repeat_of_a_device_keeps_its_flag() -> None:
    async with broker() as server:
        link = TerminalLink("127.0.0.1", server.port, "MD01", "u", "p")
        task = asyncio.create_task(link.run())
        link.publish("t", b"x", dup=True)
        await until(lambda: link.acknowledged == 1)
        await link.close()
        await task
        assert server.got[0].dup
