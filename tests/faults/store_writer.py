"""The process that the store's fault tests kill: it writes numbered readings and consumes its own log.

``python -m tests.faults.store_writer FOLDER FIRST COUNT`` writes readings FIRST … FIRST+COUNT-1, prints each number once the store
said that it is durable, and meanwhile follows the change log as a detector would: one finding for every even number, committed with
the cursor. It ends when all is written and consumed; ``full`` on its output means that the disk was full and it tries again.
"""

import os
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from madang.hub.ports import StoreError, StoreFull, Tx
from madang.model.entity import Reading, prop
from madang.model.time import SECOND, parse_instant
from madang.stores.sqlite.store import SqliteStore

T0 = parse_instant("2026-11-23T00:00:00Z")
ENTITIES = 7
IN_FLIGHT = 300


class SystemClock:
    """Now."""

    def now(self) -> int:
        """Microseconds since 1970."""
        return time.time_ns() // 1000


def reading_of(n: int) -> Reading:
    """Reading n: its number is its weight and its second."""
    return Reading(f"urn:ngsi-ld:Vehicle:{n % ENTITIES}", "Vehicle", T0 + n * SECOND, {"grossWeight": prop(n, "KGM")})


def say(word: object) -> None:
    """One line in one write: a kill leaves whole lines."""
    os.write(1, f"{word}\n".encode())


def store_reading(store: SqliteStore, n: int, padding: bytes) -> "Future[Any]":
    """Store reading n unless it is there, as ingest does."""

    def op(tx: Tx) -> None:
        if tx.remember_messages([b"%d" % n]) == [True]:
            tx.append_reading(reading_of(n), "test", tx.now)
            if padding:
                tx.put_quarantine("test", tx.now, "padding", "", "", padding)

    return store.write(op, bulk=True)


def consume(store: SqliteStore, limit: int = 500) -> bool:
    """One batch of the log: findings and cursor in one transaction. False when there was nothing."""
    with store.read() as read:
        after = read.find_cursor("even")
        changes = read.read_log(after, limit)
    if not changes:
        return False

    def op(tx: Tx) -> None:
        for change in changes:
            if change.kind == "reading" and change.value("grossWeight") % 2 == 0:
                tx.put_finding(f"even:{change.seq}", change.seq, b"%d" % change.value("grossWeight"))
        tx.put_cursor("even", changes[-1].seq)

    store.write(op).result(60)
    return True


def produce(store: SqliteStore, first: int, count: int, padding: bytes) -> None:
    """Write everything, `IN_FLIGHT` at a time, again where the disk was full."""
    room = threading.Semaphore(IN_FLIGHT)
    waiting = list(range(first, first + count))
    while waiting:
        again: list[int] = []

        def settled(n: int, future: "Future[Any]", again: list[int] = again) -> None:
            room.release()
            if future.exception() is None:
                say(n)
            else:
                again.append(n)

        for n in waiting:
            room.acquire()
            store_reading(store, n, padding).add_done_callback(lambda future, n=n: settled(n, future))  # type: ignore[misc]
        for _ in range(IN_FLIGHT):
            room.acquire()
        room.release(IN_FLIGHT)
        if again:
            say("full")
            time.sleep(0.05)
        waiting = sorted(again)


def main() -> None:
    """See the module."""
    folder, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    padding = b"x" * int(sys.argv[4]) if len(sys.argv) > 4 else b""
    store = SqliteStore(folder, SystemClock())
    say("open")
    producer = threading.Thread(target=produce, args=(store, first, count, padding))
    producer.start()
    while True:
        alive = producer.is_alive()
        try:
            busy = consume(store)
        except StoreFull:
            busy = True
            time.sleep(0.05)
        except StoreError as error:
            say(f"error {error}")
            raise
        if not busy and not alive:
            break
        if not busy:
            time.sleep(0.005)
    store.close()
    say("done")


if __name__ == "__main__":
    main()
