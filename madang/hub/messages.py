"""What a connector hands to ingest, and what ingest answers: the whole of the port between them.

A connector receives bytes and knows from whom; ingest decodes, stores and answers once it is durable. The connector
acknowledges to its device only then ("acknowledged = committed", DESIGN §2).
"""

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol

from msgspec import Struct

from madang.model.time import Instant
from madang.wire.source import Source

ACCEPTED = "accepted"
"""At least one reading of the message is new and stored. `code` is set when other parts of it were rejected."""
DUPLICATE = "duplicate"
"""Everything in the message was stored before; nothing changed."""
REJECTED = "rejected"
"""Nothing in it could be understood; the raw bytes and the reason are in quarantine."""


class Message(Struct, frozen=True, gc=False):
    """One payload as it arrived."""

    payload: bytes
    topic: str = ""
    """MQTT topic; for HTTP the path below the source, usually empty."""
    received_at: Instant = 0
    """Of the connector's clock, when the last byte was there."""
    idempotency_key: str | None = None
    """HTTP only: the sender's own identity of the request."""


class Outcome(Struct, frozen=True, gc=False):
    """What became of one message. All three mean: durable, acknowledge it."""

    status: str
    code: str = ""
    """Stable reason, e.g. ``out-of-range``; empty when nothing was wrong."""
    detail: str = ""
    """The reason in words, for the person who mends the device or the mapping."""


class IngestPort(Protocol):
    """What a connector asks of the hub. Called from the connector's event loop: all of them return at once."""

    def submit(self, source_id: str, messages: Sequence[Message]) -> "Future[list[Outcome]]":
        """Take messages of one source in the order given. The future is done when they are durable, with one outcome
        each; an exception in it means that none of them is stored and none may be acknowledged."""
        ...

    def accepting(self) -> bool:
        """False while consumers of the log lag too far or the store cannot keep up: read no more from devices."""
        ...

    def authenticate_source(self, source_id: str, secret: str) -> Source | None:
        """The source, when it exists, is enabled and the secret is its own; else None."""
        ...

    def find_source(self, source_id: str) -> Source | None:
        """The source as it is now, or None: an open connection ends when its source was disabled or changed."""
        ...
