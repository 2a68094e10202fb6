"""Notifications over HTTP: connections are used again, answers come byte by byte, nothing private is asked, nothing waits for ever."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from madang.connectors.notify_http import HttpNotifier
from madang.hub.deliveries import Notification, NotifyFailed
from madang.ngsild.subscription import Endpoint

YES = b"HTTP/1.1 204 No Content\r\n\r\n"


class Server:
    """Answers each request with the next of `replies`; the last one stays. ``None``: closes without an answer."""

    def __init__(self, *replies: bytes | None, piecewise: bool = False) -> None:
        self.replies = list(replies)
        self.piecewise = piecewise
        self.heard: list[bytes] = []
        self.connections = 0
        self.tasks: list[asyncio.Task[object]] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.append(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                self.heard.append(head + await reader.readexactly(length))
                reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
                if reply is None:
                    break
                step = 1 if self.piecewise else max(1, len(reply))
                for at in range(0, len(reply), step):
                    writer.write(reply[at : at + step])
                    await writer.drain()
                if b"Connection: close" in reply:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[str]:
    listening = await asyncio.start_server(server, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/notify?x=1"
    finally:
        listening.close()
        for task in server.tasks:
            task.cancel()
        await asyncio.gather(*server.tasks, return_exceptions=True)
        await asyncio.sleep(0.02)


def notification(uri: str, body: bytes = b'{"a":1}') -> Notification:
    return Notification(Endpoint(uri), (("Content-Type", "application/json"), ("X-City", "Seoul")), body)


async def test_a_request_and_its_connection_used_again() -> None:
    server = Server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    notifier = HttpNotifier(allow_private=True)
    async with serving(server) as uri:
        for _ in range(3):
            await notifier.send(notification(uri))
        await notifier.close()
    host = uri.split("/")[2].encode()
    assert server.connections == 1 and server.heard[0] == (
        b"POST /notify?x=1 HTTP/1.1\r\nHost: " + host + b"\r\nContent-Type: application/json\r\nX-City: Seoul\r\n"
        b'Content-Length: 7\r\n\r\n{"a":1}'
    )


@pytest.mark.parametrize("piecewise", [False, True])
@pytest.mark.parametrize(
    ("reply", "connections"),
    [
        (YES, 1),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 1),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", 1),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end", 2),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 2),
    ],
)
async def test_answers_that_say_yes(reply: bytes, connections: int, piecewise: bool) -> None:
    server = Server(reply, piecewise=piecewise)
    notifier = HttpNotifier(allow_private=True)
    async with serving(server) as uri:
        for _ in range(2):
            await notifier.send(notification(uri))
        await notifier.close()
    assert server.connections == connections


@pytest.mark.parametrize(
    ("reply", "status", "text"),
    [
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", 503, "answered 503"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n", 302, "answered 302"),
        (b"nonsense\r\n\r\n", None, "cannot be notified"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, None, None),
        (None, None, "without an answer"),
    ],
)
async def test_answers_that_do_not(reply: bytes | None, status: int | None, text: str | None) -> None:
    notifier = HttpNotifier(allow_private=True)
    async with serving(Server(reply)) as uri:
        with pytest.raises(NotifyFailed, match=text) as failure:
            await notifier.send(notification(uri))
        await notifier.close()
    assert failure.value.status == status


async def test_a_connection_that_the_receiver_closed_while_it_was_idle() -> None:
    server = Server(YES, None, YES)
    notifier = HttpNotifier(allow_private=True)
    async with serving(server) as uri:
        await notifier.send(notification(uri))
        await notifier.send(notification(uri))  # The old connection ends without an answer; a new one is asked.
        await notifier.close()
    assert server.connections == 2 and len(server.heard) == 3


async def test_a_cancelled_attempt_takes_its_connection_with_it() -> None:
    """Its answer would be taken for the next one's."""
    server = Server(b"HTTP/1.1 200 OK\r\n")  # Never ends.
    notifier = HttpNotifier(allow_private=True)
    async with serving(server) as uri:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await notifier.send(notification(uri))
        await notifier.close()
    assert server.connections == 2


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254"])
async def test_private_addresses_need_permission(host: str) -> None:
    with pytest.raises(NotifyFailed, match="allow-private-addresses"):
        await HttpNotifier().send(notification(f"http://{host}:9/"))


async def test_nobody_there() -> None:
    with pytest.raises(NotifyFailed, match="cannot be notified"):
        await HttpNotifier(allow_private=True).send(notification("http://127.0.0.1:9/"))


async def test_no_line_breaks_in_headers() -> None:
    bad = Notification(Endpoint("http://127.0.0.1:9/"), (("X", "a\r\nY: b"),), b"")
    with pytest.raises(NotifyFailed, match="line break"):
        await HttpNotifier(allow_private=True).send(bad)
