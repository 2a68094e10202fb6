"""Webhooks out: one HTTP/1.1 POST a message, over asyncio streams and h11, so that an attempt can be given up at any byte.

Receivers are named in the configuration, never in a message: nothing that a record holds can make Madang call an address that
nobody configured. Redirects are not followed for the same reason.
"""

import asyncio
import json
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

import h11

from madang.hub.outbox import Outgoing, Says, SendFailed
from madang.model.time import render_instant

ANSWER_BYTES_MAX = 65_536
"""Of the answer only the status counts; more than this is not read."""
PERMANENT = frozenset({400, 401, 403, 404, 405, 410, 413, 414, 415, 422})
"""Answers that trying again cannot change: the receiver's configuration, or the content, has to."""


class WebhookSender:
    """Posts JSON ``{"id", "record", "code", "params", "text", "at"}`` with ``Idempotency-Key`` and ``Madang-Attempt``."""

    def __init__(
        self,
        urls: Mapping[str, str],
        words: Says,
        *,
        headers: Mapping[str, Mapping[str, str]] | None = None,
        timeout_s: float = 10.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`urls`: receiver's name -> address; `headers`: further headers (a token) by name. Raises ValueError for an address
        that is not http(s)."""
        self._urls = {name: _checked(url) for name, url in urls.items()}
        self._headers = {name: dict(more) for name, more in (headers or {}).items()}
        self._words = words
        self._tls = tls
        self.timeout_s = timeout_s

    def receiver(self, to: str) -> str:
        """Host and port: what is slow or dead as one."""
        url = self._urls.get(to)
        return to if url is None else url.netloc

    async def send(self, message: Outgoing) -> None:
        """See `madang.hub.outbox.Sender`."""
        url = self._urls.get(message.to)
        if url is None:
            raise SendFailed(f"no webhook is configured under the name {message.to!r}", permanent=True)
        headers = {
            **self._headers.get(message.to, {}),
            "Content-Type": "application/json",
            "Idempotency-Key": message.idempotency_key,
            "Madang-Attempt": str(message.attempt),
        }
        try:
            status = await self._post(url, headers, self._body(message))
        except (OSError, h11.RemoteProtocolError) as error:
            raise SendFailed(f"{url.netloc}: {error}") from error
        if not 200 <= status < 300:
            raise SendFailed(f"{url.netloc} answered {status}", permanent=status in PERMANENT)

    def _body(self, message: Outgoing) -> bytes:
        content = {
            "id": message.id,
            "record": message.record_id,
            "code": message.reason.get("code"),
            "params": message.reason.get("params"),
            "text": {lang: self._words.say(message.reason, lang) for lang in ("ko", "en")},
            "at": render_instant(message.created_at),
            "repeat": message.repeat,
        }
        return json.dumps(content, ensure_ascii=False).encode("utf-8")

    async def _post(self, url: SplitResult, headers: dict[str, str], body: bytes) -> int:
        tls = None
        if url.scheme == "https":
            tls = self._tls or ssl.create_default_context()
        tcp_port = url.port or (443 if tls else 80)
        reader, writer = await asyncio.open_connection(url.hostname, tcp_port, ssl=tls)
        try:
            target = (url.path or "/") + (f"?{url.query}" if url.query else "")
            every = {"Host": url.netloc, "Connection": "close", "Content-Length": str(len(body)), **headers}
            protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=ANSWER_BYTES_MAX)
            request = h11.Request(method="POST", target=target, headers=list(every.items()))
            for event in (request, h11.Data(data=body), h11.EndOfMessage()):
                writer.write(protocol.send(event) or b"")
            await writer.drain()
            return await _status(protocol, reader)
        finally:
            # Not an orderly close: that would wait for a receiver that may never answer.
            writer.transport.abort()


async def _status(protocol: h11.Connection, reader: asyncio.StreamReader) -> int:
    while True:
        event: Any = protocol.next_event()
        if event is h11.NEED_DATA:
            protocol.receive_data(await reader.read(4096))
        elif isinstance(event, h11.Response):
            return int(event.status_code)
        elif isinstance(event, h11.ConnectionClosed):
            raise OSError("closed the connection without an answer")


def _checked(url: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError(f"a webhook's address is http(s)://host/path without a user, not {url!r}")
    return parts
