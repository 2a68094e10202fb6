"""The webhook sender against a real server of ours: what it sends, and every way to fail."""

import asyncio
import json
from typing import Any

import pytest

from madang.connectors.webhook import WebhookSender
from madang.hub.outbox import Outgoing, SendFailed

MESSAGE = Outgoing(
    7, "urn:r", "webhook", "saeol", {"code": "x", "params": {"n": 1}}, "key-1", 2, True, 1_795_402_800_000_000
)


class _Echo:
    def say(self, reason: Any, lang: str) -> str:
        return f"{lang}:{reason['code']}"


async def _post(answer: bytes | None, timeout_s: float = 5.0) -> bytes:
    """Send MESSAGE to a server that gives `answer` (None: keeps silent); what it received."""
    got = b""
    over = asyncio.Event()
    serving: list[asyncio.Task[Any]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal got
        task = asyncio.current_task()
        assert task is not None
        serving.append(task)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        got = head + await reader.readexactly(length)
        if answer is None:
            await over.wait()
        else:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sender = WebhookSender(
        {"saeol": f"http://127.0.0.1:{port}/in?a=1"}, _Echo(), headers={"saeol": {"Authorization": "Bearer t"}}
    )
    try:
        async with asyncio.timeout(timeout_s):
            await sender.send(MESSAGE)
    finally:
        over.set()
        server.close()
        await asyncio.gather(*serving, return_exceptions=True)
        await asyncio.sleep(0.02)  # transports end one turn of the loop later
    return got


async def test_what_is_sent() -> None:
    got = await _post(b"HTTP/1.1 204 No Content\r\n\r\n")
    head, body = got.split(b"\r\n\r\n", 1)
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /in?a=1 HTTP/1.1"
    assert {"Idempotency-Key: key-1", "Madang-Attempt: 2", "Authorization: Bearer t"} <= set(lines)
    assert json.loads(body) == {
        "id": 7,
        "record": "urn:r",
        "code": "x",
        "params": {"n": 1},
        "text": {"ko": "ko:x", "en": "en:x"},
        "at": "2026-11-23T03:00:00Z",
        "repeat": True,
    }


@pytest.mark.parametrize(
    ("answer", "permanent"),
    [
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", False),
        (b"SSH-2.0-OpenSSH\r\n", False),
        (b"", False),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000, False),
    ],
)
async def test_answers_that_are_no_success(answer: bytes, permanent: bool) -> None:
    with pytest.raises(SendFailed) as failed:
        await _post(answer)
    assert failed.value.permanent is permanent


async def test_a_receiver_that_never_answers_is_given_up() -> None:
    with pytest.raises(TimeoutError):
        await _post(None, timeout_s=0.1)


async def test_nobody_there_and_nobody_configured() -> None:
    sender = WebhookSender({"saeol": "http://127.0.0.1:9/"}, _Echo())
    with pytest.raises(SendFailed):
        await sender.send(MESSAGE)
    await asyncio.sleep(0.02)
    with pytest.raises(SendFailed) as unknown:
        await WebhookSender({}, _Echo()).send(MESSAGE)
    assert unknown.value.permanent


@pytest.mark.parametrize("url", ["ftp://host/", "http://", "file:///etc/passwd", "http://user:pw@host/"])
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        WebhookSender({"x": url}, _Echo())
