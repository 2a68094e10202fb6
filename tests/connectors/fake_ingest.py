"""An ingest in memory: keeps what was submitted and lets the test decide when, and whether, it is durable."""

from collections.abc import Sequence
from concurrent.futures import Future

from madang.hub.messages import ACCEPTED, Message, Outcome
from madang.services.manure.sources import TRUCK_SOURCE
from madang.wire.source import Source, secret_matches, with_secret

SECRET = "s3cret-of-the-terminals"
SOURCE = with_secret(TRUCK_SOURCE, SECRET)


class FakeIngest:
    """`automatic`: a batch is durable at once. Else the test calls `commit` or `fail`, in any order."""

    def __init__(self, *sources: Source, automatic: bool = True) -> None:
        self.sources = {source.id: source for source in sources or (SOURCE,)}
        self.automatic = automatic
        self.open = True
        self.batches: list[tuple[str, list[Message], Future[list[Outcome]]]] = []

    def submit(self, source_id: str, messages: Sequence[Message]) -> "Future[list[Outcome]]":
        future: Future[list[Outcome]] = Future()
        self.batches.append((source_id, list(messages), future))
        if self.automatic:
            self.commit(len(self.batches) - 1)
        return future

    def accepting(self) -> bool:
        return self.open

    def authenticate_source(self, source_id: str, secret: str) -> Source | None:
        source = self.sources.get(source_id)
        return source if source is not None and secret_matches(source, secret) else None

    def find_source(self, source_id: str) -> Source | None:
        return self.sources.get(source_id)

    def commit(self, index: int) -> None:
        _, messages, future = self.batches[index]
        future.set_result([Outcome(ACCEPTED)] * len(messages))

    def fail(self, index: int, error: Exception) -> None:
        self.batches[index][2].set_exception(error)

    @property
    def payloads(self) -> list[bytes]:
        """Everything submitted, in order."""
        return [message.payload for _, messages, _ in self.batches for message in messages]


class FixedClock:
    """Time that the test sets."""

    def __init__(self, now: int = 1_795_400_000_000_000) -> None:
        self.instant = now

    def now(self) -> int:
        return self.instant
