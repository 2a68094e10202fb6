"""`madang backup` and `madang restore`: a city's whole data in one file, taken while it runs.

A backup holds every database of the data folder as of one moment each (or, on PostgreSQL, every tenant's schema as of one moment), and the
folder's other files. Left out are what belongs to a running process (lock, sockets, write-ahead logs) and ``first-token``, a secret in
clear: who restores makes a token with `madang token`.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from madang import __version__
from madang.app.archive import FORMAT, Manifest, Part, part_of, read_archive, write_archive
from madang.app.sealing import is_sealed, opening, parse_recipients, read_identities, sealing
from madang.app.stores import folder_of, is_shared, missing_driver
from madang.hub.ports import StoreError
from madang.model.time import render_instant
from madang.stores.folder import lock_folder
from madang.stores.sqlite.backup import check_database, copy_database, is_database, room_of

STAGING = ".backup-"
"""Begins the name of the folder of copies beside the data, which is removed when the backup is written."""
LEFT_OUT = ("lock", "control.sock", "first-token", "restored.json")
POSTGRES_DUMP = "postgres.dump"
RESTORED = "restored.json"
"""Left in a restored data folder: where it is from."""


def back_up(data: Path, target: Path, recipients: tuple[str, ...] = (), store: str = "") -> Manifest:
    """Write a backup to the new file `target`, whether a server runs or not. Raises StoreError; a backup that failed leaves nothing."""
    data, target = data.resolve(), target.absolute()
    keys = parse_recipients(recipients)
    folder = folder_of(store, data).resolve() if not is_shared(store) else data
    if not folder.is_dir():
        raise StoreError(f"{folder} is no data folder")
    if target.exists():
        raise StoreError(f"{target} is there already: give each backup a name of its own")
    if target.is_relative_to(folder) or target.is_relative_to(data):
        raise StoreError(f"{target} lies in the data folder: a backup there is lost together with the data")
    taken_at = render_instant(time.time_ns() // 1000)
    with _staging(folder) as staging:
        parts, files = [], []
        for part, path in _gather(folder, staging, store):
            parts.append(part)
            files.append(path)
        if not any(part.kind != "file" for part in parts):
            raise StoreError(f"{folder} holds no database: was it ever a server's data folder?")
        manifest = Manifest(FORMAT, __version__, taken_at, tuple(parts))
        with _new_file(target) as file, sealing(file, keys) if keys else nullcontext(file) as sink:
            write_archive(sink, manifest, files)
    return manifest


def restore(source: Path, data: Path, identity: Path | None = None, store: str = "") -> Manifest:
    """Make a data folder (absent or empty) of a backup; with a PostgreSQL store also its schemas, in a database that has none.

    Everything is checked before the folder takes its name. Raises StoreError; what failed leaves nothing.
    """
    data = (data if is_shared(store) else folder_of(store, data)).absolute()
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise StoreError(f"{data} is not empty: restore into a new folder, then point the server to it")
    data.parent.mkdir(parents=True, exist_ok=True)
    with _unpacked(source, data.parent, identity) as (manifest, folder):
        dump = folder / POSTGRES_DUMP
        if dump.exists() != is_shared(store):
            need = "--store postgresql://…" if dump.exists() else "no --store, or sqlite:///FOLDER"
            raise StoreError(f"the backup is of another kind of store: it needs {need}")
        if dump.exists():
            _postgres().load(store, dump)
            dump.unlink()
        told = {"takenAt": manifest.taken_at, "restoredAt": render_instant(time.time_ns() // 1000), "from": source.name}
        (folder / RESTORED).write_bytes(msgspec.json.encode(told))
        if data.exists():
            data.rmdir()
        folder.rename(data)
    return manifest


def verify(source: Path, identity: Path | None = None) -> Manifest:
    """Unpack a backup as `restore` does, check every database in it, and throw it away. Raises StoreError."""
    with _unpacked(source, Path(tempfile.gettempdir()), identity) as (manifest, _):
        return manifest


# --- taking ---


def _gather(folder: Path, staging: Path, store: str) -> Iterator[tuple[Part, Path]]:
    """Each part and the file with its bytes. Databases first: what comes after them may be newer than them, never older."""
    if is_shared(store):
        dump = staging / POSTGRES_DUMP
        _postgres().dump(store, dump)
        yield part_of(dump, POSTGRES_DUMP, "postgres"), dump
    others = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.startswith(STAGING) or path.name in LEFT_OUT or name.endswith(("-wal", "-shm")) or not path.is_file():
            continue
        if path.is_symlink() or not is_database(path):
            others.append((name, path))
            continue
        copy = staging / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        free, needed = shutil.disk_usage(staging).free, room_of(path)
        if needed > free:
            raise StoreError(
                f"a copy of {name} needs {needed >> 20} MiB beside the data, and {free >> 20} MiB are free"
            )
        copy_database(path, copy)
        yield part_of(copy, name, "sqlite"), copy
    for name, path in others:
        copy = staging / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)  # it may grow while it is read
        yield part_of(copy, name, "file"), copy


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """A private folder beside the data: copies are as secret as it. What an interrupted backup left there goes."""
    for old in folder.glob(STAGING + "*"):
        if not _is_held(old):
            shutil.rmtree(old, ignore_errors=True)
    staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=folder))
    held = lock_folder(staging)
    try:
        yield staging / _files(staging)
    finally:
        held.close()
        shutil.rmtree(staging, ignore_errors=True)


def _files(staging: Path) -> str:
    (staging / "files").mkdir()
    return "files"


def _is_held(staging: Path) -> bool:
    try:
        lock_folder(staging).close()
    except (StoreError, OSError):
        return True
    return False


@contextmanager
def _new_file(target: Path) -> Iterator[BinaryIO]:
    """A file that gets its name only when it is whole and on the disk; readable by its owner alone."""
    part = target.with_name(target.name + ".part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.rename(target)
        folder = os.open(target.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise StoreError(f"the backup cannot be written to {target.parent}: {error.strerror or error}") from error
        raise


# --- giving back ---


@contextmanager
def _unpacked(source: Path, beside: Path, identity: Path | None) -> Iterator[tuple[Manifest, Path]]:
    """A backup's checked files in a private folder, which goes afterwards unless it was renamed."""
    sealed = is_sealed(source)
    if sealed and identity is None:
        raise StoreError(f"{source} is sealed: name the file with its key (--identity FILE)")
    keys = read_identities(identity) if sealed and identity is not None else []
    folder = Path(tempfile.mkdtemp(prefix=".restore-", dir=beside))
    try:
        with source.open("rb") as file, opening(file, keys) if sealed else nullcontext(file) as plain:
            manifest = read_archive(plain, folder)
            while plain.read(1 << 20):  # to the end: only then is a sealed file known to be whole
                pass
        for part in manifest.parts:
            if part.kind == "sqlite":
                check_database(folder / part.path)
            elif part.kind == "postgres":
                _postgres().check(folder / part.path)
        yield manifest, folder
    except OSError as error:
        raise StoreError(f"the backup cannot be unpacked at {beside}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _postgres() -> Any:
    """The module that backs up PostgreSQL; its driver may not be installed."""
    try:
        from madang.stores.postgres import backup
    except ImportError as error:
        raise StoreError(missing_driver(error)) from error
    return backup
