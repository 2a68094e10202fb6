"""The store for many processes: group commit in each, turns between them, many readers."""

import contextlib
import logging
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

import psycopg

from madang.hub.ports import Body, Clock, NotQuick, Read, StoreClosed, StoreError, Tx
from madang.model.change import Change
from madang.stores.postgres.connect import (
    IDLE_IN_TURN_S,
    LOCK_WAIT_S,
    Connection,
    command,
    commit,
    connect,
    is_the_ops_own,
    is_worth_another_try,
    one_line,
    schema_of,
    shown,
    take_turn,
    together,
    translate,
)
from madang.stores.postgres.follow import POLL_S, Documents, Teller, is_ours, kinds_of, message_of
from madang.stores.postgres.leases import Leases
from madang.stores.postgres.memory import Head, WriterMemory
from madang.stores.postgres.migrate import check
from madang.stores.postgres.reader import PostgresRead
from madang.stores.postgres.tx import PostgresTx

T = TypeVar("T")
logger = logging.getLogger(__name__)

OPS_PER_GROUP_MAX = 2_000
"""Ops in one transaction: bounds how long the first of a group waits for the last."""
GROUP_SECONDS_MAX = 0.25
"""Time that a group may spend on its ops before it commits: the other processes wait for the turn meanwhile."""
READERS_IDLE_MAX = 8
"""Idle read connections that are kept open."""
READERS_MAX = 32
"""Read connections of one process. PostgreSQL allows 100 over all unless told otherwise."""
READER_WAIT_S = 10.0
TRIES_MAX = 5
"""Runs of a group that the database undoes because of others."""
OUTCOME_WAIT_S = 30.0
"""How long the outcome of a commit is asked for when the connection broke in the middle of it: a restart of the server takes seconds."""


class _Pending:
    __slots__ = ("bulk", "future", "ids", "op")

    def __init__(self, op: Callable[[Tx], Any], bulk: bool, future: "Future[Any]", ids: Sequence[str]) -> None:
        self.op = op
        self.bulk = bulk
        self.future = future
        self.ids = ids


class _Spoiled(Exception):
    """Writing what a group gathered failed because of a value of one of its ops: each op is run alone to find which."""


class PostgresStore:
    """`madang.hub.ports.Store` on one schema of a database. `url`: ``postgresql://user@host/database``.

    Raises StoreError when the database cannot be reached or its schema is not the one that this Madang needs.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        tenant: str = "default",
        durable: bool = True,
        readers_max: int = READERS_MAX,
    ) -> None:
        self.url = url
        self.name = shown(url)
        self._schema = schema_of(tenant)
        self._clock = clock
        self._durable = durable
        self._readers_max = readers_max
        self._id = uuid.uuid4()
        self._memory = WriterMemory()
        self._db: Connection | None = None
        db = self._writer_connection()
        try:
            check(db, url, tenant)
            row = db.execute("SELECT seq FROM log_head").fetchone()
        except BaseException:
            db.close()
            raise
        self._teller = Teller(int(row[0]) if row is not None else 0)
        self._documents = Documents()
        self.leases = Leases(lambda: connect(url, self._schema, "leases"), self._id)
        self._queue: queue.SimpleQueue[_Pending | None] = queue.SimpleQueue()
        self._readers: queue.LifoQueue[Connection] = queue.LifoQueue(READERS_IDLE_MAX)
        self._reader_slots = threading.BoundedSemaphore(readers_max)
        self._closed = False
        self._close_lock = threading.Lock()
        self._stop_following = threading.Event()
        self._figures = {
            "commits": 0.0, "ops": 0.0, "rows": 0.0, "failed_commits": 0.0, "commit_seconds": 0.0, "turn_seconds": 0.0,
            "retries": 0.0,
        }  # fmt: skip
        self.failure: str = ""
        """Why the last commit failed; empty when it did not."""
        self._writer = threading.Thread(target=self._write_loop, name="madang-writer", daemon=True)
        self._follower = threading.Thread(target=self._follow_loop, name="madang-follower", daemon=True)
        self._writer.start()
        self._follower.start()

    # --- connections ---

    def _writer_connection(self) -> Connection:
        """The writer's connection, opened anew when it broke. Raises StoreError."""
        if self._db is not None and not self._db.closed:
            return self._db
        db = connect(self.url, self._schema, "writer")
        try:
            db.execute(f"SET synchronous_commit = {'on' if self._durable else 'off'}")
            db.execute(f"SET lock_timeout = '{LOCK_WAIT_S}s'")
            db.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_IN_TURN_S}s'")
        except psycopg.Error as error:
            db.close()
            raise translate(error) from error
        self._db = db
        return db

    @contextlib.contextmanager
    def read(self, *, quick: bool = False) -> Iterator[Read]:
        """A consistent snapshot. May be used from any thread; do not keep it open while waiting for something else. Never quick: the
        database may be far away.

        Raises StoreError when the database cannot be reached.
        """
        if quick:
            raise NotQuick
        if self._closed:
            raise StoreClosed("the store is closed")
        if not self._reader_slots.acquire(timeout=READER_WAIT_S):
            raise StoreError(f"{self._readers_max} reads have been under way for {READER_WAIT_S:g} s: ask again later")
        try:
            db = self._begin_read()
            try:
                yield PostgresRead(db)
                command(db, b"COMMIT")
            except psycopg.Error as error:
                db.close()
                if is_the_ops_own(error):
                    raise ValueError(one_line(error)) from error
                raise translate(error) from error
            except BaseException:
                with contextlib.suppress(psycopg.Error):
                    db.execute("ROLLBACK")
                self._keep(db)
                raise
            self._keep(db)
        finally:
            self._reader_slots.release()

    def _begin_read(self) -> Connection:
        """A connection in a snapshot. One that broke while it lay idle is thrown away."""
        while True:
            try:
                db, idle = self._readers.get_nowait(), True
            except queue.Empty:
                db, idle = connect(self.url, self._schema, "reader"), False
            try:
                command(db, b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                return db
            except psycopg.Error as error:
                db.close()
                if not idle:
                    raise translate(error) from error

    def _keep(self, db: Connection) -> None:
        if db.closed or db.broken or self._closed:
            db.close()
            return
        try:
            self._readers.put_nowait(db)
        except queue.Full:
            db.close()

    def find_entity_body(self, id_: str) -> Body | None:
        """See `madang.hub.ports.Store.find_entity_body`."""
        with self.read() as read:
            return read.find_entity_body(id_)

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
            rest = [p for p in group if p.future.set_running_or_notify_cancel()]
            while rest:
                rest = self._run_group(rest)
        if self._db is not None:
            with contextlib.suppress(psycopg.Error):
                self._db.execute(
                    "SELECT pg_notify(%s, '')", (self._schema,)
                )  # so that our follower need not wait to end
            self._db.close()

    def _run_group(self, group: list[_Pending]) -> list[_Pending]:
        """Run ops until the group is empty or its time is up, commit, settle futures; gives back what did not run."""
        for attempt in range(1, TRIES_MAX + 1):
            ran = 0
            try:
                db = self._writer_connection()
                ran = self._try_group(db, group)
                return group[ran:]
            except _Spoiled:
                self._abandon()
                for pending in group:
                    self._run_alone(pending)
                return []
            except StoreError as error:
                self._fail(group, error)
                return []
            except Exception as error:  # noqa: BLE001 - whatever it was, the callers must hear of it and the writer must go on
                self._abandon()
                if is_worth_another_try(error) and attempt < TRIES_MAX:
                    self._figures["retries"] += 1
                    time.sleep(0.01 * attempt)
                    continue
                self._fail(group, translate(error))
                return []
        return []

    def _run_alone(self, pending: _Pending) -> None:
        """One op in a transaction of its own, after the group failed because of one of them."""
        try:
            self._try_group(self._writer_connection(), [pending])
        except _Spoiled as error:
            self._abandon()
            pending.future.set_exception(error.__cause__ or error)
        except StoreError as error:
            self._fail([pending], error)
        except Exception as error:  # noqa: BLE001 - as in `_run_group`
            self._abandon()
            self._fail([pending], translate(error))

    def _try_group(self, db: Connection, group: list[_Pending]) -> int:
        """One transaction. Gives how many ops of the group ran; their futures are settled then. Whatever it raises, nothing was stored
        and no future was settled."""
        started = time.perf_counter()
        # Everyone else waits here until our commit is visible, so that seq grows in the order of commits.
        row = take_turn(db)
        if row is None:
            raise StoreError(f"{self.name}: the row of log_head is gone; restore the schema from a backup")
        began = time.perf_counter()
        head = Head(row[0], row[1], row[2], row[3])
        base, xid = head.seq, row[4]
        self._memory.take_turn(db, head)
        tx = PostgresTx(db, self._memory, head, self._clock.now())
        tx.prefetch([id_ for pending in group for id_ in pending.ids])
        done: list[tuple[_Pending, Any, BaseException | None]] = []
        for pending in group:
            tx.begin_op(pending.bulk)
            try:
                result = pending.op(tx)
                tx.end_op()
            except BaseException as error:
                if not is_the_ops_own(error):
                    raise
                tx.undo_op()
                done.append((pending, None, error))
            else:
                done.append((pending, result, None))
            if time.perf_counter() - began > GROUP_SECONDS_MAX:
                break
        try:
            with together(db):  # what is still buffered and the log's end: one answer is waited for, not six
                tx.finish()
                self._move_head(db, tx, base)
        except Exception as error:
            if is_the_ops_own(error):
                raise _Spoiled(one_line(error)) from error
            raise
        try:
            commit(db)
        except psycopg.Error as error:
            if not self._was_committed(xid, error):
                raise
        self._memory.committed(tx.head)
        self._settle(tx, base, done)
        figures = self._figures
        figures["commits"] += 1
        figures["ops"] += len(done)
        figures["rows"] += tx.rows_written
        figures["turn_seconds"] += began - started
        figures["commit_seconds"] += time.perf_counter() - started
        return len(done)

    def _move_head(self, db: Connection, tx: PostgresTx, base: int) -> None:
        """Keep the log's end, and wake whoever follows it."""
        head = tx.head
        if head.seq > base:
            db.execute(
                "UPDATE log_head SET seq = %s, recorded_at = %s, entity_no = %s, name_no = %s",
                (head.seq, head.log_time, head.entity_no, head.name_no),
            )
        if head.seq > base or tx.kinds:
            db.execute("SELECT pg_notify(%s, %s)", (self._schema, message_of(self._id, tx.kinds)))

    def _was_committed(self, xid: str, error: psycopg.Error) -> bool:
        """The connection broke while the commit was under way: ask the database what became of it.

        Raises StoreError when it cannot be known.
        """
        logger.error("the connection broke during a commit (%s); asking for its outcome", one_line(error))
        if self._db is not None:
            self._db.close()
        until = time.monotonic() + OUTCOME_WAIT_S
        while time.monotonic() < until:
            try:
                row = self._writer_connection().execute("SELECT pg_xact_status(%s::xid8)", (xid,)).fetchone()
            except (StoreError, psycopg.OperationalError, psycopg.InterfaceError):
                if self._db is not None:
                    self._db.close()
                time.sleep(0.2)
                continue
            status = None if row is None else row[0]
            if status == "committed":
                return True
            if status == "aborted":
                return False
            if status is None:
                break
            time.sleep(0.05)  # in progress: the server has not noticed yet that we are gone
        self._memory.forget()
        raise StoreError(
            "the connection to the database broke during a commit and its outcome is not known: it may have been stored."
            " Send again with the same idempotency key"
        ) from error

    def _settle(self, tx: PostgresTx, base: int, done: list[tuple[_Pending, Any, BaseException | None]]) -> None:
        """It is durable: tell listeners, then the callers."""
        self.failure = ""
        if tx.changes:
            try:
                self._teller.tell_own(base, tx.changes, self._read_log)
            except StoreError as error:
                logger.warning("changes of other processes cannot be read now (%s): they are told later", error)
        for pending, result, problem in done:
            if problem is not None:
                pending.future.set_exception(problem)
            else:
                pending.future.set_result(result)

    def _abandon(self) -> None:
        """Nothing of the transaction happened: roll back and know nothing."""
        self._memory.forget()
        if self._db is not None:
            try:
                if not self._db.closed:
                    self._db.execute("ROLLBACK")
            except psycopg.Error:
                self._db.close()

    def _fail(self, group: list[_Pending], problem: StoreError) -> None:
        """Nothing of the group happened: tell every caller."""
        self._abandon()
        self.failure = str(problem)
        self._figures["failed_commits"] += 1
        logger.error("commit failed: %s", problem)
        for pending in group:
            pending.future.set_exception(problem)
        time.sleep(0.05)  # a full disk or a server that is away is not hammered

    def set_durable(self, durable: bool) -> None:
        """Whether a commit waits for the disk. Off is for filling in data that can be made again; blocks until it holds."""
        self._durable = durable

        def op(tx: Tx) -> None:
            assert isinstance(tx, PostgresTx)
            tx._db.execute(f"SET synchronous_commit = {'on' if durable else 'off'}")

        self.write(op).result()

    # --- following others ---

    def _read_log(self, after_seq: int, limit: int) -> list[Change]:
        with self.read() as read:
            return read.read_log(after_seq, limit)

    def _follow_loop(self) -> None:
        db: Connection | None = None
        broken, others, looked_at = False, True, 0.0  # others: something may have happened that nobody told us of
        while not self._stop_following.is_set():
            try:
                if db is None or db.closed:
                    db = connect(self.url, self._schema, "follower")
                    db.execute(f'LISTEN "{self._schema}"')
                    others = True
                    if broken:
                        self._documents.tell([""])
                # Of our own commits listeners hear from the writer: then there is nothing to look for.
                if others or time.monotonic() - looked_at >= POLL_S:
                    looked_at = time.monotonic()
                    self._follow(db)
                notices = list(db.notifies(timeout=POLL_S, stop_after=1))
                others = not all(is_ours(notice.payload, self._id) for notice in notices)
                for notice in notices:
                    self._documents.tell(kinds_of(notice.payload, self._id))
            except Exception as error:  # noqa: BLE001 - whatever it was: nobody else would tell what others committed
                broken = True
                if db is not None:
                    db.close()
                if not self._stop_following.is_set():
                    logger.warning("following the log waits for the database: %s", one_line(error))
                self._stop_following.wait(POLL_S)
        if db is not None:
            db.close()

    def _follow(self, db: Connection) -> None:
        row = db.execute("SELECT seq FROM log_head").fetchone()
        if row is not None and row[0] > self._teller.seq and not self._closed:
            self._teller.tell_up_to(int(row[0]), self._read_log)

    def subscribe(self, listener: Callable[[Sequence[Change]], None]) -> Callable[[], None]:
        """See `madang.hub.ports.Store.subscribe`. Called from the writer's thread, or from the follower's for what others committed."""
        return self._teller.subscribe(listener)

    def subscribe_documents(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """See `madang.hub.ports.Store.subscribe_documents`."""
        return self._documents.subscribe(listener)

    def last_seq(self) -> int:
        """Sequence of the last committed change that this process knows of; every later one will be told to listeners."""
        return self._teller.seq

    def leads(self, role: str) -> bool:
        """See `madang.hub.ports.Store.leads`."""
        return not self._closed and self.leases.hold(role)

    # --- the rest ---

    def stats(self) -> dict[str, float]:
        """Counts since the start of this process."""
        return {
            **self._figures,
            "queue": float(self._queue.qsize()),
            "cached_entities": float(len(self._memory.entities)),
        }

    def close(self) -> None:
        """Finish what is queued, let go of everything. May be called twice."""
        with self._close_lock:
            if self._closed:
                return
            self._closed = True
            self._stop_following.set()
            self._queue.put(None)
        self._writer.join()
        self._follower.join()
        self.leases.close()
        while True:
            try:
                self._readers.get_nowait().close()
            except queue.Empty:
                break
