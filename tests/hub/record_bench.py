"""What the tests of records share: a told clock, the embedded store, callers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from madang.hub.ports import Read
from madang.hub.records import Records
from madang.model.caller import Caller
from madang.model.record import Record
from madang.model.time import Instant, parse_instant
from madang.procedure.contract import RecordType
from tests.stores.any_store import open_any

NOON = parse_instant("2026-11-23T03:00:00Z")
"""Monday noon in Seoul."""
WORKER = Caller("token:kim", "worker", frozenset({"ticket.work", "ticket.close", "incident.act", "incident.review"}))
OTHER = Caller("token:lee", "worker", WORKER.permissions)


class ToldClock:
    """A clock that stands where it is put."""

    def __init__(self, now: Instant = NOON) -> None:
        self.at = now

    def now(self) -> Instant:
        return self.at


class Bench:
    """A store with records on it; `reopen` is a restart."""

    def __init__(self, folder: Path, record_types: list[RecordType], parameters: dict[str, Any]) -> None:
        self.folder, self.types, self.parameters = folder, record_types, parameters
        self.clock = ToldClock()
        self.open()

    def open(self) -> None:
        self.store = open_any(self.folder, self.clock, durable=False)
        self.records = Records(self.store, self.clock, self.types, self._parameter)

    def _parameter(self, read: Read, name: str) -> Any:
        return self.parameters[name]

    def reopen(self) -> None:
        self.store.close()
        self.open()

    def get(self, id_: str) -> Record:
        with self.store.read() as read:
            record = read.find_record(id_)
        assert record is not None
        return record

    def create(self, arguments: dict[str, Any], **more: Any) -> Record:
        return self.records.create(WORKER, "Ticket", "open", arguments, **more).result(10)

    def act(self, id_: str, action: str, arguments: dict[str, Any] | None = None, **more: Any) -> Record:
        caller = more.pop("caller", WORKER)
        return self.records.act(caller, id_, action, arguments or {}, **more).result(10)

    def fire(self, limit: int = 100) -> int:
        return self.store.write(lambda tx: self.records.fire_due(tx, limit)).result(10)


@contextmanager
def bench(folder: Path, record_types: list[RecordType], **parameters: Any) -> Iterator[Bench]:
    made = Bench(folder, record_types, parameters)
    try:
        yield made
    finally:
        made.store.close()
