"""An HTTP/1.1 client over asyncio streams and h11 for addresses that come from outside: in @contexts, registrations,
subscriptions.

Whoever may name an address could make Madang call the city's inner network (server-side request forgery). So a host's
addresses are looked up first, and one that is not public is refused unless the operator allowed it; the connection
then goes to the very address that was looked at, also after a redirect. No credentials, cookies or proxies are used.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import h11

from madang.hub.http import HttpAnswer, HttpFailed, HttpTooLarge

HEADERS_BYTES_MAX = 65_536
"""Head of an answer; servers allow each other 8 to 64 kB."""
CHUNK_BYTES = 65_536
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class HttpClient:
    """`madang.hub.http.Http`. One connection a request: peers are many and asked seldom."""

    def __init__(self, *, allow_private: bool = False, tls: ssl.SSLContext | None = None) -> None:
        """`allow_private`: also ask addresses of this machine and of private networks."""
        self.allow_private = allow_private
        self._tls = tls

    async def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        timeout_s: float,
        bytes_max: int,
        redirects_max: int = 0,
    ) -> HttpAnswer:
        """See `madang.hub.http.Http`."""
        parts = split_address(url)
        try:
            async with asyncio.timeout(timeout_s):
                for _ in range(redirects_max + 1):
                    answer = await self._once(method, parts, headers, body, bytes_max)
                    place = answer.headers.get("location", "")
                    if method != "GET" or redirects_max == 0 or answer.status not in _REDIRECTS or not place:
                        return answer
                    parts = split_address(urljoin(parts.geturl(), place))
                raise HttpFailed(f"{parts.netloc} redirects more than {redirects_max} times")
        except TimeoutError:
            raise HttpFailed(f"{parts.netloc} did not answer within {timeout_s:g} s") from None
        except (OSError, h11.ProtocolError) as error:
            raise HttpFailed(f"{parts.netloc} cannot be asked: {error}") from None

    async def _once(
        self, method: str, parts: SplitResult, headers: Mapping[str, str], body: bytes, bytes_max: int
    ) -> HttpAnswer:
        tls = self._tls_for(parts)
        tcp_port = parts.port or (443 if tls else 80)
        host = parts.hostname or ""
        address = await find_address(host, tcp_port, allow_private=self.allow_private)
        reader, writer = await asyncio.open_connection(
            address, tcp_port, ssl=tls, server_hostname=host if tls else None
        )
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            every = {"Host": parts.netloc, "Connection": "close", "Accept-Encoding": "identity", **headers}
            if body or method in ("POST", "PUT", "PATCH"):
                every["Content-Length"] = str(len(body))
            protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEADERS_BYTES_MAX)
            request = h11.Request(method=method, target=target, headers=list(every.items()))
            data = [h11.Data(data=body)] if body else []
            for event in (request, *data, h11.EndOfMessage()):
                writer.write(protocol.send(event) or b"")
            await writer.drain()
            return await _answer(protocol, reader, parts.netloc, bytes_max)
        finally:
            # Not an orderly close: that would wait for a peer that may never answer.
            writer.transport.abort()

    def _tls_for(self, parts: SplitResult) -> ssl.SSLContext | None:
        if parts.scheme != "https":
            return None
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


async def find_address(host: str, tcp_port: int, *, allow_private: bool) -> str:
    """The address of a host to connect to. Raises HttpFailed when none of the host's may be asked, OSError when it has none."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, tcp_port, type=socket.SOCK_STREAM)
    for address in [str(entry[4][0]) for entry in found]:
        if allow_private or is_public(address):
            return address
    raise HttpFailed(
        f"{host} is an address of this machine or of a private network, and those are not asked unless the server "
        "was started with --allow-private-addresses"
    )


def split_address(url: str) -> SplitResult:
    """The parts of an http(s) address. Raises HttpFailed for any other, and for one with a user in it."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None
        _ = parts.port
    except ValueError:
        usable = False
    if not usable or not url.isascii() or any(c <= " " or c == "\x7f" for c in url):
        raise HttpFailed(f"not an address of the form http(s)://host/path: {url[:80]!r}")
    return parts


def is_public(address: str) -> bool:
    """True for an address of the open internet; False for this machine's, private, link-local, multicast ones.

    >>> is_public("93.184.215.14"), is_public("127.0.0.1"), is_public("::ffff:10.0.0.1"), is_public("169.254.169.254")
    (True, False, False, False)
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None)
    if mapped is not None:
        ip = mapped
    return ip.is_global and not ip.is_multicast


async def _answer(protocol: h11.Connection, reader: asyncio.StreamReader, who: str, bytes_max: int) -> HttpAnswer:
    head: h11.Response | None = None
    chunks: list[bytes] = []
    size = 0
    while True:
        event: Any = protocol.next_event()
        if event is h11.NEED_DATA:
            protocol.receive_data(await reader.read(CHUNK_BYTES))
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            size += len(event.data)
            if size > bytes_max:
                raise HttpTooLarge(f"{who} answers with more than {bytes_max} bytes")
            chunks.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return HttpAnswer(int(head.status_code), _headers(head), b"".join(chunks))
        elif isinstance(event, h11.ConnectionClosed):
            raise HttpFailed(f"{who} closed the connection without an answer")


def _headers(head: h11.Response) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in head.headers:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found
