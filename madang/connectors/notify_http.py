"""Notifications over HTTP(S): one POST each, over connections that are kept open and used again.

The address comes from a subscriber, so the host is looked up and refused unless it is public or the operator allowed private
ones; redirects are not followed. Of the answer the status counts; its body is read and dropped, so that the connection can be used again.
"""

import asyncio
import contextlib
import ssl
from collections import OrderedDict, deque
from typing import cast
from urllib.parse import SplitResult

import httptools

from madang.connectors.http_client import find_address, split_address
from madang.hub.deliveries import Notification, NotifyFailed
from madang.hub.http import HttpFailed

IDLE_MAX = 256
"""Open connections that nobody uses; the longest idle one is closed."""
IDLE_PER_RECEIVER_MAX = 16
IDLE_S = 30.0
"""A connection that was idle for longer is not used again: receivers close theirs after about a minute."""
ANSWER_BYTES_MAX = 65_536
"""More than this of an answer is not read; the connection is closed then."""
ADDRESS_S = 30.0
"""How long a host's address is believed."""

_Key = tuple[str, str, int]


class HttpNotifier:
    """`madang.hub.deliveries.NotificationSender` for http and https."""

    def __init__(self, *, allow_private: bool = False, tls: ssl.SSLContext | None = None) -> None:
        """`allow_private`: also notify addresses of this machine and of private networks."""
        self.allow_private = allow_private
        self._tls = tls
        self._idle: OrderedDict[_Key, deque[_Connection]] = OrderedDict()
        self._addresses: dict[tuple[str, int], tuple[float, str]] = {}

    async def send(self, notification: Notification) -> None:
        """See `NotificationSender`."""
        try:
            parts = split_address(notification.endpoint.uri)
            request = render_request(parts, notification)
            key = (parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
            while (connection := self._take(key)) is not None:
                status = await self._ask(key, connection, request)
                if status is not None:
                    return _judge(parts, status)
                # The receiver closed it while it was idle, before a byte of an answer: a new one may be asked.
            connection = await self._connect(key)
            status = await self._ask(key, connection, request)
        except HttpFailed as error:
            raise NotifyFailed(str(error)) from None
        except (OSError, httptools.HttpParserError) as error:
            raise NotifyFailed(f"{parts.netloc} cannot be notified: {error}") from None
        if status is None:
            raise NotifyFailed(f"{parts.netloc} closed the connection without an answer")
        return _judge(parts, status)

    async def _ask(self, key: _Key, connection: "_Connection", request: bytes) -> int | None:
        """The status; None when the connection ended before an answer began."""
        try:
            status = await connection.ask(request)
        except BaseException:
            connection.abort()
            raise
        if connection.is_reusable:
            self._give_back(key, connection)
        else:
            connection.abort()
        return status

    def _take(self, key: _Key) -> "_Connection | None":
        idle = self._idle.get(key)
        now = asyncio.get_running_loop().time()
        while idle:
            connection = idle.pop()
            if connection.is_open and now - connection.idle_since < IDLE_S:
                return connection
            connection.abort()
        return None

    def _give_back(self, key: _Key, connection: "_Connection") -> None:
        connection.idle_since = asyncio.get_running_loop().time()
        idle = self._idle.setdefault(key, deque())
        self._idle.move_to_end(key)
        idle.append(connection)
        if len(idle) > IDLE_PER_RECEIVER_MAX:
            idle.popleft().abort()
        while sum(map(len, self._idle.values())) > IDLE_MAX:
            _, oldest = self._idle.popitem(last=False)
            for other in oldest:
                other.abort()

    async def _connect(self, key: _Key) -> "_Connection":
        scheme, host, tcp_port = key
        loop = asyncio.get_running_loop()
        known = self._addresses.get((host, tcp_port))
        if known is None or loop.time() - known[0] > ADDRESS_S:
            if len(self._addresses) > 10_000:
                self._addresses.clear()
            known = loop.time(), await find_address(host, tcp_port, allow_private=self.allow_private)
            self._addresses[host, tcp_port] = known
        tls = None
        if scheme == "https":
            if self._tls is None:
                self._tls = ssl.create_default_context()
            tls = self._tls
        _, connection = await loop.create_connection(
            _Connection, known[1], tcp_port, ssl=tls, server_hostname=host if tls else None
        )
        return connection

    async def close(self) -> None:
        """Close what is open."""
        for idle in self._idle.values():
            for connection in idle:
                connection.abort()
        self._idle.clear()


def render_request(parts: SplitResult, notification: Notification) -> bytes:
    """The request's bytes. Raises NotifyFailed for a header that cannot stand in one."""
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"POST {target} HTTP/1.1", f"Host: {parts.netloc}"]
    lines += [f"{name}: {value}" for name, value in notification.headers]
    lines.append(f"Content-Length: {len(notification.body)}")
    if any("\r" in line or "\n" in line for line in lines):
        raise NotifyFailed("a line break stands in a header")
    try:
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + notification.body
    except UnicodeEncodeError:
        raise NotifyFailed("a header holds a character that HTTP does not have") from None


def _judge(parts: SplitResult, status: int) -> None:
    if not 200 <= status < 300:
        raise NotifyFailed(f"{parts.netloc} answered {status}", status)


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.idle_since = 0.0
        self.is_open = False
        self.is_reusable = False
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[int | None] | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._status = 0
        self._size = 0

    async def ask(self, request: bytes) -> int | None:
        """Send a request; its answer's status, None when the connection ended before an answer began."""
        if self._transport is None or not self.is_open:
            return None
        self._answer = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._status, self._size, self.is_reusable = 0, 0, False
        self._transport.write(request)
        return await self._answer

    def abort(self) -> None:
        """Not an orderly close: that would wait for a receiver that may never answer."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by what it does, not by its class.
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done() or self._parser is None:
            self.abort()  # Something that nobody asked for.
            return
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(error)
            return
        if self._size > ANSWER_BYTES_MAX and not self._answer.done():
            if self._status:
                self._answer.set_result(self._status)
            else:
                self._fail(OSError("answers without end"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = self.is_reusable = False
        if self._answer is None or self._answer.done():
            return
        if self._status >= 200:
            self._answer.set_result(self._status)  # A body that ends with the connection.
        elif self._size:
            self._answer.set_exception(OSError("closed the connection in the middle of its answer"))
        else:
            self._answer.set_result(None)

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        self.abort()

    # httptools

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        self._status = self._parser.get_status_code()

    def on_message_complete(self) -> None:
        assert self._parser is not None
        if self._status < 200:  # 100 Continue, 103 Early Hints: the answer is still to come.
            return
        self.is_reusable = self._parser.should_keep_alive()
        if self._answer is not None and not self._answer.done():
            with contextlib.suppress(asyncio.InvalidStateError):
                self._answer.set_result(self._status)
