"""The embedded store: one writer thread with group commit, many readers, checkpoints off the commit path."""

import contextlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import apsw

from madang.hub.ports import Body, Clock, NotQuick, Read, StoreClosed, StoreError, StoreFull, Tx
from madang.model.change import Change
from madang.stores.folder import lock_folder
from madang.stores.sqlite.reader import BUSY_TIMEOUT_MS, PlaceSlot, SqliteRead, configure
from madang.stores.sqlite.schema import SchemaTooNew, prepare
from madang.stores.sqlite.tx import SqliteTx, WriterMemory

T = TypeVar("T")
logger = logging.getLogger(__name__)

FILE = "default.db"
"""The database in a data folder."""
OPS_PER_GROUP_MAX = 2_000
"""Ops in one transaction: bounds how long the first of a group waits for the last."""
GROUP_SECONDS_MAX = 0.25
"""Time that a group may spend on its ops before it commits."""
READERS_MAX = 8
"""Idle read connections that are kept open."""
CACHE_KIB = 65_536
"""Pages of the file that a connection keeps in memory at most."""
STEPS_PER_LOOK = 1_000
QUICK_LOOKS = 20
"""An answer on the event loop may take 20 times 1,000 steps of SQLite's machine: one or two milliseconds, the conditions of some 300
entities."""
CHECKPOINT_EVERY_S = 1.0
WAL_RESTART_BYTES = 256 * 1024 * 1024
"""When the write-ahead log is larger, the writer itself finishes the checkpoint between two groups so that the file starts over.
Under steady load a checkpoint from another thread alone never catches up, and the file would grow without end."""
WAL_ROOM_SHARE = 4
"""The write-ahead log takes at most this part (a quarter) of the room that it and the free disk have together. Its pages need room in the
main file before its own comes back: a log that took all the room could never be emptied again."""
WAL_LEAST_BYTES = 1024 * 1024
"""Below this size the log is left alone, however full the disk: emptying it with every commit would gain nothing."""
TRUNCATE_WAIT_MS = 200
"""How long the writer waits for readers of the write-ahead log when it cuts the file."""


class _Pending:
    __slots__ = ("bulk", "future", "ids", "op")

    def __init__(self, op: Callable[[Tx], Any], bulk: bool, future: "Future[Any]", ids: Sequence[str]) -> None:
        self.op = op
        self.bulk = bulk
        self.future = future
        self.ids = ids


class SqliteStore:
    """`madang.hub.ports.Store` on one file. `folder` is the data folder (made when absent); this process locks it.

    Raises StoreLocked when another process holds the folder, StoreError when the file is damaged or of a newer version.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        *,
        durable: bool = True,
        readers_max: int = READERS_MAX,
        cache_kib: int = CACHE_KIB,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / FILE
        self._cache_kib = cache_kib
        self._clock = clock
        self._lock_file = lock_folder(folder)
        try:
            self._writer_db, self._writer_slot = self._connect(writer=True, durable=durable)
            self._memory = WriterMemory(self._writer_db)
        except BaseException:
            self._lock_file.close()
            raise
        self._queue: queue.SimpleQueue[_Pending | None] = queue.SimpleQueue()
        self._readers: queue.LifoQueue[tuple[apsw.Connection, PlaceSlot]] = queue.LifoQueue(readers_max)
        self._listeners: tuple[Callable[[Sequence[Change]], None], ...] = ()
        self._last_seq = self._memory.counters.seq
        self._closed = False
        self._close_lock = threading.Lock()
        self._stop_checkpoints = threading.Event()
        self._figures = {"commits": 0.0, "ops": 0.0, "rows": 0.0, "failed_commits": 0.0, "commit_seconds": 0.0}
        self._wanted_synchronous = ""
        self._wal_grown_to = 0
        """Size of the write-ahead log's file when the writer last finished a checkpoint of it."""
        self._cramped = False
        """A commit failed for lack of room: the write-ahead log is emptied before anything more is written into it."""
        self.failure: str = ""
        """Why the last commit failed; empty when it did not."""
        self._writer = threading.Thread(target=self._write_loop, name="madang-writer", daemon=True)
        self._checkpointer = threading.Thread(target=self._checkpoint_loop, name="madang-checkpoint", daemon=True)
        self._writer.start()
        self._checkpointer.start()

    # --- connections ---

    def _connect(self, *, writer: bool, durable: bool = True) -> tuple[apsw.Connection, PlaceSlot]:
        try:
            db = apsw.Connection(str(self.path))
            slot = configure(db, self._cache_kib)
            if writer:
                db.pragma("journal_mode", "wal")
                db.pragma("synchronous", "full" if durable else "off")
                db.pragma("wal_autocheckpoint", 0)
                prepare(db)
            else:
                db.pragma("query_only", True)
        except SchemaTooNew as error:
            raise StoreError(str(error)) from error
        except (apsw.NotADBError, apsw.CorruptError) as error:
            raise StoreError(f"{self.path} is damaged ({error}): restore it from a backup") from error
        except apsw.Error as error:
            raise _translate(error) from error
        return db, slot

    @contextlib.contextmanager
    def read(self, *, quick: bool = False) -> Iterator[Read]:
        """A consistent snapshot. May be used from any thread; do not keep it open while waiting for something else."""
        with self._reader() as (db, slot):
            if quick:
                db.set_progress_handler(_Budget(), STEPS_PER_LOOK)
            db.execute("BEGIN")
            try:
                yield SqliteRead(db, slot)
            except apsw.InterruptError:
                raise NotQuick from None
            finally:
                db.set_progress_handler(None)
                db.execute("COMMIT")

    def find_entity_body(self, id_: str) -> Body | None:
        """See `madang.hub.ports.Store.find_entity_body`: one statement is a snapshot in itself."""
        with self._reader() as (db, slot):
            return SqliteRead(db, slot).find_entity_body(id_)

    @contextlib.contextmanager
    def _reader(self) -> Iterator[tuple[apsw.Connection, PlaceSlot]]:
        """An idle connection, or a new one. What the database itself failed on is not used again."""
        if self._closed:
            raise StoreClosed("the store is closed")
        try:
            reader = self._readers.get_nowait()
        except queue.Empty:
            reader = self._connect(writer=False)
        try:
            yield reader
        except apsw.Error:
            reader[0].close()
            raise
        except BaseException:
            self._give_back(reader)
            raise
        self._give_back(reader)

    def _give_back(self, reader: tuple[apsw.Connection, PlaceSlot]) -> None:
        try:
            self._readers.put_nowait(reader)
        except queue.Full:
            reader[0].close()

    # --- writing ---

    def write(self, op: Callable[[Tx], T], *, bulk: bool = False, ids: Sequence[str] = ()) -> Future[T]:
        """See `madang.hub.ports.Store.write`."""
        future: Future[T] = Future()
        with self._close_lock:
            if self._closed:
                raise StoreClosed("the store is closed")
            self._queue.put(_Pending(op, bulk, future, ids))
        return future

    def _write_loop(self) -> None:
        stopping = False
        while not stopping:
            first = self._queue.get()
            if first is None:
                break
            group = [first]
            while len(group) < OPS_PER_GROUP_MAX:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    stopping = True
                    break
                group.append(more)
            rest = group
            while rest:
                rest = self._run_group(rest)

    def _run_group(self, group: list[_Pending]) -> list[_Pending]:
        """Run ops until the group is empty or its time is up, commit, settle futures; gives back what did not run."""
        db = self._writer_db
        if self._wanted_synchronous:  # cannot change inside a transaction
            db.pragma("synchronous", self._wanted_synchronous)
            self._wanted_synchronous = ""
        if self._cramped and (hindrance := self._make_room()) is not None:
            self._fail_group(group, None, hindrance)
            return []
        started = time.perf_counter()
        done: list[tuple[_Pending, Any, BaseException | None]] = []
        tx: SqliteTx | None = None
        index = 0
        try:
            db.execute("BEGIN IMMEDIATE")
            tx = SqliteTx(db, self._writer_slot, self._memory, self._clock.now())
            tx.prefetch([id_ for pending in group for id_ in pending.ids])
            for index, pending in enumerate(group, 1):  # noqa: B007 - index says how far the group came
                if not pending.future.set_running_or_notify_cancel():
                    continue
                tx.begin_op(pending.bulk)
                try:
                    result = pending.op(tx)
                    tx.end_op()
                except apsw.Error:
                    raise
                except BaseException as error:  # noqa: BLE001 - the op's error belongs to its caller: it goes into the future
                    tx.undo_op()
                    done.append((pending, None, error))
                else:
                    done.append((pending, result, None))
                if time.perf_counter() - started > GROUP_SECONDS_MAX:
                    break
            tx.finish()
            db.execute("COMMIT")
        except apsw.Error as error:
            self._fail_group(group[:index] if index else group, tx, error)
            return group[index:] if index else []
        tx.committed()
        self.failure = ""
        self._cramped = False
        self._last_seq = self._memory.counters.seq
        for listener in self._listeners:
            if tx.changes:
                listener(tx.changes)
        for pending, result, problem in done:
            if problem is not None:
                pending.future.set_exception(problem)
            else:
                pending.future.set_result(result)
        figures = self._figures
        figures["commits"] += 1
        figures["ops"] += len(done)
        figures["rows"] += tx.rows_written
        figures["commit_seconds"] += time.perf_counter() - started
        self._keep_wal_small()
        return group[index:]

    def _fail_group(self, group: list[_Pending], tx: SqliteTx | None, error: apsw.Error) -> None:
        """Nothing of the group happened: roll back, clean the memory, tell every caller."""
        if self._writer_db.in_transaction:
            with contextlib.suppress(apsw.Error):
                self._writer_db.execute("ROLLBACK")
        if tx is not None:
            tx.rolled_back()
        problem = _translate(error)
        self.failure = str(problem)
        self._figures["failed_commits"] += 1
        logger.error("commit failed: %s", problem)
        for pending in group:
            if not pending.future.done():
                # A future that was not yet running must be marked so before an exception can be set.
                if not pending.future.running() and not pending.future.set_running_or_notify_cancel():
                    continue
                pending.future.set_exception(problem)
        self._cramped = isinstance(error, apsw.FullError | apsw.IOError)
        time.sleep(0.05)  # a full disk is not hammered

    def set_durable(self, durable: bool) -> None:
        """Whether a commit waits for the disk. Off is for filling in data that can be made again; blocks until it holds."""

        def op(_: Tx) -> None:
            self._wanted_synchronous = "full" if durable else "off"

        self.write(op).result()
        self.write(lambda _: None).result()

    # --- checkpoints ---

    def _wal_bytes(self) -> int:
        try:
            return os.stat(f"{self.path}-wal").st_size  # noqa: PTH116 - hot path, no Path object needed
        except OSError:
            return 0

    def _keep_wal_small(self) -> None:
        """Called by the writer between two groups: start the log over when it is large, cut it when the disk has little room."""
        wal = self._wal_bytes()
        if wal <= WAL_LEAST_BYTES:
            return
        disk = os.statvfs(self.path.parent)
        if wal * WAL_ROOM_SHARE > wal + disk.f_bavail * disk.f_frsize:
            self._make_room()
        elif wal > max(WAL_RESTART_BYTES, self._wal_grown_to):
            if wal > 2 * WAL_RESTART_BYTES:
                self._make_room()
            else:
                with contextlib.suppress(apsw.Error):
                    self._writer_db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            # A log that starts over keeps the size of its file: only when it grows again there is something to do again.
            self._wal_grown_to = self._wal_bytes()

    def _make_room(self) -> apsw.Error | None:
        """Move everything from the write-ahead log into the main file and cut the log to nothing; gives what hindered it.

        What is freed on a full disk must go to the main file first. If commits took it, the log would grow by what was freed (a commit
        that fails halfway leaves its pages there), the checkpoint would find no room for the main file, and neither would ever end.
        """
        db = self._writer_db
        db.set_busy_timeout(TRUNCATE_WAIT_MS)
        try:
            db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError:
            return None  # somebody reads an older state: what is in the log stays there a moment longer
        except apsw.Error as error:
            return error
        finally:
            db.set_busy_timeout(BUSY_TIMEOUT_MS)
        return None

    def _checkpoint_loop(self) -> None:
        db = apsw.Connection(str(self.path))
        db.set_busy_timeout(1_000)
        # A connection that has read nothing does not know that the file is in WAL mode, and its checkpoints do nothing.
        db.execute("SELECT count(*) FROM sqlite_master").fetchall()
        while not self._stop_checkpoints.wait(CHECKPOINT_EVERY_S):
            with contextlib.suppress(apsw.Error):
                db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        db.close()

    # --- the rest ---

    def subscribe(self, listener: Callable[[Sequence[Change]], None]) -> Callable[[], None]:
        """See `madang.hub.ports.Store.subscribe`."""
        self._listeners = (*self._listeners, listener)

        def end() -> None:
            self._listeners = tuple(x for x in self._listeners if x is not listener)

        return end

    def subscribe_documents(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Nobody else writes: nothing to tell."""
        return lambda: None

    def last_seq(self) -> int:
        """Sequence of the last committed change."""
        return self._last_seq

    def leads(self, role: str) -> bool:
        """Always: this process alone holds the folder."""
        return True

    def stats(self) -> dict[str, float]:
        """Counts since the start, and sizes now in bytes."""
        return {
            **self._figures,
            "queue": float(self._queue.qsize()),
            "wal_bytes": float(self._wal_bytes()),
            "file_bytes": float(self.path.stat().st_size if self.path.exists() else 0),
            "cached_entities": float(len(self._memory.entities)),
        }

    def close(self) -> None:
        """Finish what is queued, checkpoint, let go of the folder. May be called twice."""
        with self._close_lock:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._writer.join()
        self._stop_checkpoints.set()
        self._checkpointer.join()
        while True:
            try:
                self._readers.get_nowait()[0].close()
            except queue.Empty:
                break
        with contextlib.suppress(apsw.Error):
            self._writer_db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self._writer_db.close()
        self._lock_file.close()


class _Budget:
    """Called by SQLite every so many steps; stops it when they are used up. SQLite counts the steps of a prepared statement over all
    its runs, so the first look may come early."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = QUICK_LOOKS

    def __call__(self) -> bool:
        self._left -= 1
        return self._left < 0


def _translate(error: apsw.Error) -> StoreError:
    """SQLite's error in words for the person who must act."""
    if isinstance(error, apsw.FullError):
        return StoreFull(
            "the disk is full: nothing was stored or acknowledged; free some space and it goes on by itself"
        )
    if isinstance(error, apsw.IOError):
        return StoreFull(f"the disk cannot be written ({error}): nothing was stored or acknowledged; check the disk")
    return StoreError(f"the store failed: {error}")
