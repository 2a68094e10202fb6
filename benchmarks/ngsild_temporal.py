"""Benchmark `ngsild.temporal.aggregate`: figures over 1,000,000 instances of one attribute, without HTTP.

    python -m benchmarks.ngsild_temporal [--store postgresql://…] [--write]

The instances are readings a second apart, recorded on one day (one history table); 20 periods. The whole call of the port is timed, ten
times, after one that is not counted. Without `--store` the embedded store in a folder of its own; with it a tenant ``bench`` in that
database, which must be empty: `createdb` one. The id is permanent: data and numbers do not change under it.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

from madang import __version__
from madang.app.clocks import ManualClock
from madang.hub.ports import Store, Tx
from madang.model.entity import Reading, prop
from madang.model.time import SECOND, parse_instant
from madang.ngsild.temporal import Window
from madang.stores.sqlite import SqliteStore

ID = "ngsild.temporal.aggregate"
RESULT = Path(__file__).parent / "results" / f"{ID}.json"
INSTANCES = 1_000_000
BATCH = 5_000
PERIODS = 20
RUNS = 10
METHODS = ("avg", "min", "max", "totalCount", "sum")
START = parse_instant("2026-01-01T00:00:00Z")
METER = "urn:ngsi-ld:Meter:1"


def open_store(url: str | None, folder: Path) -> Store:
    """The store that is measured; a commit does not wait for the disk."""
    clock = ManualClock(START + INSTANCES * SECOND)
    if url is None:
        return SqliteStore(folder, clock, durable=False)
    from madang.stores.postgres import PostgresStore
    from madang.stores.postgres.migrate import init

    init(url, "bench")
    store = PostgresStore(url, clock, tenant="bench", durable=False)
    if store.last_seq():
        store.close()
        raise SystemExit("the tenant bench of that database has data: create an empty database")
    return store


def fill(store: Store) -> None:
    """One attribute with its instances."""

    def batch(first: int) -> None:
        def op(tx: Tx) -> None:
            for number in range(first, first + BATCH):
                value = prop(float(number * 7919 % 1000))
                tx.append_reading(Reading(METER, "Meter", START + number * SECOND, {"level": value}), "bench", START)

        store.write(op, bulk=True).result(60)

    for first in range(0, INSTANCES, BATCH):
        batch(first)


def measure(store: Store) -> dict[str, Any]:
    """Milliseconds of a call."""
    length = INSTANCES // PERIODS * SECOND
    times = []
    with store.read() as read:
        for _ in range(RUNS + 1):
            begun = time.perf_counter()
            rows = read.aggregate(METER, "level", Window(), METHODS, START, length)
            times.append(round((time.perf_counter() - begun) * 1000))
    assert rows is not None and len(rows) == PERIODS and sum(row.count for row in rows) == INSTANCES
    times = sorted(times[1:])
    return {"median_ms": times[RUNS // 2], "least_ms": times[0], "most_ms": times[-1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", metavar="URL", help="an empty PostgreSQL database; without: the embedded store")
    parser.add_argument("--write", action="store_true", help="keep the result in results/, the other store's stays")
    parser.add_argument("--note", default="", help="what else ran on the machine")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(options.store, Path(folder))
        try:
            fill(store)
            load = round(os.getloadavg()[0], 1)
            figures = measure(store)
        finally:
            store.close()
    result = {
        "version": __version__, "day": time.strftime("%Y-%m-%d"), "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_1min": load, "note": options.note, "instances": INSTANCES, "periods": PERIODS, "methods": list(METHODS), **figures,
    }  # fmt: skip
    print(json.dumps(result, indent=1))
    if options.write:
        kept = json.loads(RESULT.read_text()) if RESULT.exists() else {"id": ID}
        kept["sqlite" if options.store is None else "postgres"] = result
        RESULT.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
