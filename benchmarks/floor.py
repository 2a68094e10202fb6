"""The floor of `ingest.mqtt.manure`: one loop that only decodes the payload and writes it to SQLite.

No socket, no identity, no state, no history by attribute, no log, no detectors, no acknowledgement: what is left when
everything that Madang
promises is taken away. The ratio to it says what those promises cost.
"""

import tempfile
import time
from pathlib import Path

import apsw
import orjson

from madang.model.time import SECOND, render_instant

BATCH = 100
"""Messages in one commit: about what the listener gathers under load."""


def payloads(count: int, devices: int = 1_000) -> list[bytes]:
    """Truck payloads as the sample's terminals send them."""
    start = 1_795_400_000 * SECOND
    return [
        orjson.dumps(
            {
                "seq": n,
                "t": render_instant(start + n * SECOND // 100),
                "lon": 127.0 + n % devices * 1e-4,
                "lat": 36.0,
                "spd": 33.5,
                "hdg": 120.0,
                "w": 15_000 + n % 7 * 10,
                "ws": True,
                "ign": True,
                "pto": False,
                "hdop": 0.9,
                "bat": 24.1,
            }
        )
        for n in range(count)
    ]


def floor(count: int = 100_000, *, durable: bool = True) -> float:
    """Messages a second of the loop."""
    messages = payloads(count)
    with tempfile.TemporaryDirectory(prefix="madang-floor-") as folder:
        db = apsw.Connection(str(Path(folder) / "floor.db"))
        db.pragma("journal_mode", "wal")
        db.pragma("synchronous", "full" if durable else "off")
        db.execute(
            "CREATE TABLE message (n INTEGER PRIMARY KEY, seq INTEGER, t TEXT, lon REAL, lat REAL, w REAL, body TEXT)"
        )
        began = time.perf_counter()
        for start in range(0, count, BATCH):
            rows = []
            for payload in messages[start : start + BATCH]:
                one = orjson.loads(payload)
                rows.append((one["seq"], one["t"], one["lon"], one["lat"], one["w"], payload.decode()))
            with db:
                db.executemany("INSERT INTO message (seq, t, lon, lat, w, body) VALUES (?, ?, ?, ?, ?, ?)", rows)
        took = time.perf_counter() - began
        db.close()
    return count / took


if __name__ == "__main__":
    print(f"{floor():,.0f} messages/s")
