"""The HTTP client for addresses from outside: what it asks, what it refuses, and that nothing makes it wait for ever."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from madang.connectors.http_client import HttpClient, is_public, split_address
from madang.hub.http import HttpFailed

Reply = Callable[[bytes], bytes]


@asynccontextmanager
async def serve(
    reply: Reply, *, piecewise: bool = False, silent: bool = False
) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server on a free port; gives its address and what it was sent."""
    heard: list[bytes] = []
    serving: list[asyncio.Task[Any]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.append(task)
        try:
            await talk(reader, writer)
        finally:
            writer.transport.abort()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        heard.append(head + await reader.readexactly(length))
        if silent:
            await asyncio.sleep(30)
        data = reply(heard[-1])
        for at in range(0, len(data), 1 if piecewise else len(data) or 1):
            writer.write(data[at : at + (1 if piecewise else len(data))])
            await writer.drain()
        writer.write_eof()
        await writer.drain()
        await asyncio.sleep(0.01)

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heard
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await asyncio.sleep(0.02)  # transports end one turn of the loop later


def ok(body: bytes, more: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-A: 1\r\nx-a: 2\r\n%s\r\n%s" % (len(body), more, body)


CLIENT = HttpClient(allow_private=True)


@pytest.mark.parametrize("piecewise", [False, True])
async def test_a_request_and_its_answer(piecewise: bool) -> None:
    async with serve(lambda _: ok(b'{"a": 1}'), piecewise=piecewise) as (url, heard):
        answer = await CLIENT.ask("POST", f"{url}/x?y=1", {"Accept": "a/b"}, b"body", timeout_s=5, bytes_max=100)
    assert (answer.status, answer.headers["x-a"], answer.body) == (200, "1, 2", b'{"a": 1}')
    assert heard[0].startswith(b"POST /x?y=1 HTTP/1.1\r\n") and heard[0].endswith(b"\r\n\r\nbody")
    assert b"Accept: a/b" in heard[0] and b"Content-Length: 4" in heard[0]


async def test_a_body_without_length_and_in_chunks() -> None:
    async with serve(
        lambda _: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    ) as (url, _):
        assert (await CLIENT.ask("GET", url, {}, timeout_s=5, bytes_max=9)).body == b"abc"
    async with serve(lambda _: b"HTTP/1.0 404 Not Found\r\n\r\nabc") as (url, _):
        answer = await CLIENT.ask("GET", url, {}, timeout_s=5, bytes_max=9)
        assert (answer.status, answer.body) == (404, b"abc")


async def test_redirects_are_followed_so_far() -> None:
    async def ask(redirects_max: int, method: str = "GET") -> int:
        def reply(heard: bytes) -> bytes:
            if heard.split(b" ")[1] == b"/end":
                return ok(b"there")
            return b"HTTP/1.1 302 Found\r\nLocation: /end\r\nContent-Length: 0\r\n\r\n"

        async with serve(reply) as (url, _):
            return (await CLIENT.ask(method, url, {}, timeout_s=5, bytes_max=9, redirects_max=redirects_max)).status

    assert await ask(0) == 302
    assert await ask(1) == 200
    assert await ask(3, "POST") == 302

    async with serve(lambda _: b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n") as (url, heard):
        with pytest.raises(HttpFailed, match="redirects more than 2 times"):
            await CLIENT.ask("GET", url, {}, timeout_s=5, bytes_max=9, redirects_max=2)
        assert len(heard) == 3


async def test_what_goes_wrong_is_said() -> None:
    async with serve(lambda _: ok(b"x" * 100)) as (url, _):
        with pytest.raises(HttpFailed, match="more than 99 bytes"):
            await CLIENT.ask("GET", url, {}, timeout_s=5, bytes_max=99)
    async with serve(lambda _: b"", silent=True) as (url, _):
        with pytest.raises(HttpFailed, match=r"within 0\.05 s"):
            await CLIENT.ask("GET", url, {}, timeout_s=0.05, bytes_max=99)
    for garbage in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", b"nonsense\r\n\r\n"):
        async with serve(lambda _, garbage=garbage: garbage) as (url, _):  # type: ignore[misc]
            with pytest.raises(HttpFailed):
                await CLIENT.ask("GET", url, {}, timeout_s=5, bytes_max=99)
    with pytest.raises(HttpFailed, match="cannot be asked"):
        await CLIENT.ask("GET", url, {}, timeout_s=5, bytes_max=99)
    with pytest.raises(HttpFailed):
        await CLIENT.ask("GET", "http://nobody.invalid/", {}, timeout_s=5, bytes_max=99)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.1.2.3", "0.0.0.0", "[::ffff:127.0.0.1]"]
)
async def test_inner_addresses_are_not_asked(host: str) -> None:
    with pytest.raises(HttpFailed, match="--allow-private-addresses"):
        await HttpClient().ask("GET", f"http://{host}:1/", {}, timeout_s=5, bytes_max=9)


@pytest.mark.parametrize(
    "url", ["ftp://a.example/", "http:///x", "http://u:p@a.example/", "http://a.example:x/", "x", "http://a b/"]
)
def test_odd_addresses_are_refused(url: str) -> None:
    with pytest.raises(HttpFailed):
        split_address(url)


def test_public_addresses() -> None:
    assert is_public("2606:2800:21f:cb07:6820:80da:af6b:8b2c") and is_public("8.8.8.8")
    assert not is_public("fe80::1%eth0") and not is_public("224.0.0.1") and not is_public("100.64.0.1")
