"""A consistent copy of a store's file while others write it, and a look whether a copy is sound."""

from pathlib import Path
from urllib.parse import quote

import apsw

from madang.hub.ports import StoreError
from madang.stores.sqlite.schema import SCHEMA_VERSION

MAGIC = b"SQLite format 3\x00"
BUSY_TIMEOUT_MS = 10_000
ROOM_FACTOR = 1.05
"""Of what the file and its write-ahead log take, a copy takes at most so much."""


def is_database(path: Path) -> bool:
    """Is the file one of SQLite's?"""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def room_of(path: Path) -> int:
    """Bytes that a copy may take."""
    log = path.with_name(path.name + "-wal")
    return int((path.stat().st_size + (log.stat().st_size if log.exists() else 0)) * ROOM_FACTOR)


def copy_database(source: Path, target: Path) -> None:
    """Copy the last commit of `source` to the new file `target`. Writers go on meanwhile; their log cannot be cut before it ends.

    All pages are copied in one step: in several, each commit of another process would begin the copy anew, and under load it would never
    end. Raises StoreError.
    """
    try:
        reader = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READWRITE)
        writer = apsw.Connection(str(target))
        try:
            reader.set_busy_timeout(BUSY_TIMEOUT_MS)
            with writer.backup("main", reader, "main") as copy:
                copy.step(-1)
        finally:
            writer.close()
            reader.close()
    except apsw.FullError as error:
        raise StoreError(f"no room for a copy of {source.name} at {target.parent}") from error
    except apsw.Error as error:
        raise StoreError(f"{source} cannot be copied ({error}): `madang doctor` says what is wrong with it") from error


def check_database(path: Path) -> None:
    """Raise StoreError unless the file is whole and of a version that this Madang can open. Reads all of it."""
    try:
        # Immutable: a look leaves no write-ahead log beside the copy.
        db = apsw.Connection(
            f"file:{quote(str(path))}?immutable=1", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        )
        try:
            version = int(db.pragma("user_version"))
            (verdict,) = next(iter(db.execute("PRAGMA quick_check(1)")))
        finally:
            db.close()
    except apsw.Error as error:
        raise StoreError(f"{path.name} is damaged ({error})") from error
    if verdict != "ok":
        raise StoreError(f"{path.name} is damaged ({verdict})")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path.name} was written by a newer Madang (schema {version}, this one knows {SCHEMA_VERSION}): upgrade Madang"
        )
