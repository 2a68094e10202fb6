"""What the hub asks of an HTTP client: for @contexts, context sources and whoever else is asked over the network."""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct


class HttpFailed(Exception):
    """There is no answer: the address cannot be reached or may not be asked, or the peer is too slow or says too much. The
    text is a sentence without a full stop and names the host, never a path, which may hold a secret."""


class HttpTooLarge(HttpFailed):
    """The peer says more than was asked for."""


class HttpAnswer(Struct, frozen=True):
    """What the peer answered, whatever its status."""

    status: int
    headers: dict[str, str]
    """By name in small letters; repeated ones joined by commas."""
    body: bytes


class Http(Protocol):
    """A client. Nothing of it blocks the event loop."""

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
        """One request. `timeout_s` is for the whole of it, `bytes_max` for the answer's body, `redirects_max` for GET alone.
        Raises HttpFailed."""
        ...
