"""`ngsild.temporal.aggregate`: figures over 1,000,000 instances of one attribute in the embedded store, without HTTP.

    python -m benchmarks.ngsild_temporal

The instances are readings a second apart, recorded on one day (one history table); 20 periods. The whole call of the port is timed, ten
times, after one that is not counted.
"""

import tempfile
import time
from pathlib import Path

from madang.app.clocks import ManualClock
from madang.model.entity import Reading, prop
from madang.model.time import SECOND, parse_instant
from madang.ngsild.temporal import Window
from madang.stores.sqlite import SqliteStore

INSTANCES = 1_000_000
BATCH = 5_000
PERIODS = 20
RUNS = 10
METHODS = ("avg", "min", "max", "totalCount", "sum")
START = parse_instant("2026-01-01T00:00:00Z")
METER = "urn:ngsi-ld:Meter:1"


def fill(store: SqliteStore) -> None:
    """One attribute with its instances."""

    def batch(first: int) -> None:
        def op(tx: object) -> None:
            for number in range(first, first + BATCH):
                value = prop(float(number * 7919 % 1000))
                tx.append_reading(Reading(METER, "Meter", START + number * SECOND, {"level": value}), "bench", START)  # type: ignore[attr-defined]

        store.write(op, bulk=True).result(60)

    for first in range(0, INSTANCES, BATCH):
        batch(first)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder), ManualClock(START + INSTANCES * SECOND), durable=False)
        try:
            fill(store)
            length = INSTANCES // PERIODS * SECOND
            times = []
            with store.read() as read:
                for _ in range(RUNS + 1):
                    begun = time.perf_counter()
                    rows = read.aggregate(METER, "level", Window(), METHODS, START, length)
                    times.append((time.perf_counter() - begun) * 1000)
            assert rows is not None and len(rows) == PERIODS and sum(row.count for row in rows) == INSTANCES
            times = sorted(times[1:])
            print(f"ngsild.temporal.aggregate: {METHODS} over {INSTANCES} instances, {PERIODS} periods: "
                  f"median {times[RUNS // 2]:.0f} ms, least {times[0]:.0f} ms, most {times[-1]:.0f} ms")  # fmt: skip
        finally:
            store.close()


if __name__ == "__main__":
    main()
