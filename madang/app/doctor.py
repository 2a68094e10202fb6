"""`madang doctor`: what could go wrong here, told before it does."""

import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from madang.app.control import NoServer, ask_server
from madang.app.stores import folder_of, is_shared, missing_driver
from madang.model.tenant import DEFAULT_TENANT
from madang.stores.sqlite.store import FILE
from madang.stores.sqlite.tenants import FOLDER, name_of

FREE_BYTES_MIN = 2 * 1024**3
"""Two days of a hundred trucks that send every ten seconds (1.2 KB of log a message, measured in the sample city)."""


class Check(Struct, frozen=True):
    """One thing looked at. `state`: ok, warn, fail."""

    state: str
    what: str
    detail: str


def examine(data: Path, store: str = "") -> Iterator[Check]:
    """Look at the machine, the installation and the data folder."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield Check("ok" if sys.version_info >= (3, 11) else "fail", "Python", f"{version} (3.11 or newer is needed)")
    console = Path(__file__).parent.parent / "console_dist" / "index.html"
    yield (
        Check("ok", "console", "built")
        if console.exists()
        else Check("warn", "console", "not built: run `make setup` (needs Node 20 or newer)")
    )
    folder = data if data.exists() else data.parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    enough = free >= FREE_BYTES_MIN
    yield Check("ok" if enough else "warn", "disk", f"{free / 1024**3:.1f} GiB free at {folder}")
    if not data.exists():
        yield Check("warn", "data folder", f"{data} does not exist yet: the first start makes it")
        return
    mode = data.stat().st_mode & 0o077
    yield Check(
        "warn" if mode else "ok",
        "data folder",
        f"{data} " + (f"can be read by others: chmod 700 {data}" if mode else "is private"),
    )
    yield Check(
        "ok" if os.access(data, os.W_OK) else "fail",
        "permission",
        "writable" if os.access(data, os.W_OK) else "not writable",
    )
    yield from (_postgres(store) if is_shared(store) else _database(folder_of(store, data)))
    yield from _server(data)


def _database(data: Path) -> Iterator[Check]:
    if not (data / FILE).exists():
        yield Check("warn", "database", "not there yet")
        return
    yield from _file(data / FILE, "database")
    for file in sorted((data / FOLDER).glob(f"*/{FILE}")):
        name = name_of(file.parent.name)
        if name is None:
            yield Check("warn", "tenant", f"{file.parent} is named like none and is left alone")
        else:
            yield from _file(file, f"tenant {name}")


def _file(file: Path, what: str) -> Iterator[Check]:
    try:
        db = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
        try:
            result = db.execute("PRAGMA quick_check(5)").fetchall()
        finally:
            db.close()
    except sqlite3.Error as error:
        yield Check("fail", what, f"cannot be read ({error}): restore it from a backup")
        return
    sound = result == [("ok",)]
    size = file.stat().st_size / 1024**2
    yield Check("ok" if sound else "fail", what, f"sound, {size:.0f} MiB" if sound else f"damaged: {result[0][0]}")


def _postgres(store: str) -> Iterator[Check]:
    try:
        from madang.stores.postgres.look import examine_database
        from madang.stores.postgres.tenants import list_tenants
    except ImportError as error:
        yield Check("fail", "database", missing_driver(error))
        return
    for state, what, detail in examine_database(store):
        yield Check(state, what, detail)
        if (state, what) == ("fail", "database"):
            return
    for name in list_tenants(store):
        if name != DEFAULT_TENANT:
            state, _, detail = next(examine_database(store, name))
            yield Check(state, f"tenant {name}", detail)


def _server(data: Path) -> Iterator[Check]:
    try:
        status = ask_server(data, {"command": "status"})
    except NoServer:
        yield Check("ok", "server", "none runs on this folder")
        return
    except (RuntimeError, OSError) as error:
        yield Check("fail", "server", f"does not answer: {error}")
        return
    yield Check("ok", "server", f"{status['url']}  MQTT port {status['mqtt_port']}")
    if status["failure"]:
        yield Check("fail", "store", status["failure"])
    for failure in status["closed_tenants"]:
        yield Check("fail", "tenant", failure)
    if status["tenants"]:
        yield Check("ok", "tenants", f"{len(status['tenants'])} open: {', '.join(status['tenants'])}")
    lag = status["flow"]["lag"]
    yield Check("ok" if lag < 5_000 else "warn", "detectors", f"{lag:.0f} changes behind")
    for paused in status["paused"]:
        yield Check("fail", "paused key", f"{paused} (mend the detector, then restart: its log range is replayed)")
