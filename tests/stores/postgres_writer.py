"""A process that writes to a PostgreSQL store beside others: `python -m tests.stores.postgres_writer URL WORKER ENTITIES SECONDS`.

It counts entities up (what the store says, plus one), sends readings of its own, and takes numbers. A line per second says what was
acknowledged; the last one says all, as JSON.
"""

import json
import random
import sys
import time
from collections import Counter, deque
from concurrent.futures import Future
from typing import Any

from madang.app.clocks import SystemClock
from madang.hub.ports import StoreError, Tx
from madang.model.entity import Reading, prop
from madang.stores.postgres import PostgresStore

IN_FLIGHT = 40


def entity_id(n: int) -> str:
    """The id of a counted entity."""
    return f"urn:ngsi-ld:Counter:{n}"


def count_up(tx: Tx, id_: str, worker: int) -> int:
    """Read, add one, write: loses an update wherever two of these overlap."""
    known = tx.find_entity(id_)
    count = 0 if known is None or "count" not in known.attributes else int(known.attributes["count"]["value"])
    tx.put_entity(id_, "Counter", {"count": prop(count + 1)}, f"worker-{worker}", reference=False, replace=False)
    return count + 1


def main() -> None:
    """Write until the time is over or somebody kills it."""
    url, worker, entities, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    store = PostgresStore(url, SystemClock())
    draw = random.Random(worker)
    counted: Counter[int] = Counter()
    readings, numbers, failures, unknown = 0, 0, Counter[str](), 0
    waiting: deque[tuple[str, int, Future[Any]]] = deque()

    def settle(kind: str, n: int, future: "Future[Any]") -> None:
        nonlocal readings, numbers, unknown
        try:
            future.result(60)
        except StoreError as error:
            failures[str(error)[:120]] += 1
            unknown += "outcome is not known" in str(error)
            return
        if kind == "count":
            counted[n] += 1
        elif kind == "reading":
            readings += 1
        else:
            numbers += 1
        if (readings + numbers) % 50 == 0 or kind == "count":
            print(json.dumps(["ack", kind, n]), flush=True)

    until, turn = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        turn += 1
        n = draw.randrange(entities)
        if turn % 10 == 0:
            waiting.append(("number", n, store.write(lambda tx: tx.next_number("taken"))))
        elif turn % 2 == 0:
            reading = Reading(entity_id(n), "Counter", time.time_ns() // 1000, {f"level{worker}": prop(float(turn))})
            waiting.append(
                ("reading", n, store.write(lambda tx, r=reading: tx.append_reading(r, "w", r.observed_at), bulk=True))
            )
        else:
            waiting.append(("count", n, store.write(lambda tx, n=n: count_up(tx, entity_id(n), worker))))
        if len(waiting) >= IN_FLIGHT:
            settle(*waiting.popleft())
    while waiting:
        settle(*waiting.popleft())
    result = {
        "counted": dict(counted),
        "readings": readings,
        "numbers": numbers,
        "failures": dict(failures),
        "unknown": unknown,
        "stats": store.stats(),
    }
    store.close()
    print(json.dumps(["end", result]), flush=True)


if __name__ == "__main__":
    main()
