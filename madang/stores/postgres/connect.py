"""Connections, and PostgreSQL's errors in words for the person who must act."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import pq, sql

from madang.hub.ports import StoreError, StoreFull
from madang.model.tenant import check_tenant_name

Connection = psycopg.Connection[tuple[Any, ...]]

VERSION_MIN = 15
CONNECT_S = 5
"""A database that does not answer within this time is taken to be away."""
LOCK_WAIT_S = 30
"""How long a writer waits for its turn: far longer than any sound process holds it."""
IDLE_IN_TURN_S = 15
"""A process that holds the turn and says nothing for so long (stopped, cut off from the network) loses it."""
SCHEMA_PREFIX = "madang_"
"""What the schema of a tenant is called by; the rest is the tenant's name as it is: always written in quotes, so capitals differ."""


def schema_of(tenant: str) -> str:
    """The schema that holds a tenant. Raises StoreError for a name that cannot be one."""
    try:
        return f"{SCHEMA_PREFIX}{check_tenant_name(tenant)}"
    except ValueError as error:
        raise StoreError(f"{tenant!r} cannot name a tenant: {error}") from error


def shown(url: str) -> str:
    """The address without its password."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@", 1)))


def connect(url: str, schema: str, name: str) -> Connection:
    """A connection in autocommit whose statements mean the tenant's tables.

    `name` is what the server's administrator sees. Raises StoreError when the database cannot be reached or refuses.
    """
    try:
        db = psycopg.connect(
            url,
            autocommit=True,
            application_name=f"madang {name}",
            connect_timeout=CONNECT_S,
            keepalives=1,
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=30_000,
        )
    except psycopg.OperationalError as error:
        raise StoreError(f"{shown(url)} cannot be reached: {one_line(error)}") from error
    except psycopg.ProgrammingError as error:
        raise StoreError(f"{shown(url)} is not an address of a database: {one_line(error)}") from error
    try:
        # PostGIS may have been put into any schema.
        row = db.execute(
            "SELECT n.nspname FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace WHERE x.extname = 'postgis'"
        ).fetchone()
        path = [schema, str(row[0])] if row is not None else [schema, "public"]
        db.execute(sql.SQL("SET search_path TO {}").format(sql.SQL(", ").join(map(sql.Identifier, path))))
    except psycopg.Error as error:
        db.close()
        raise translate(error) from error
    return db


def command(db: Connection, text: bytes) -> None:
    """Run a statement without values or rows (BEGIN, COMMIT): a third of the cost of `execute`. Raises psycopg.Error."""
    result = db.pgconn.exec_(text)
    if result.status != pq.ExecStatus.COMMAND_OK:
        raise _error_of(result)


def take_turn(db: Connection) -> tuple[int, int, int, int, str] | None:
    """Begin a transaction and wait for the turn to write: (seq, recorded_at, entity_no, name_no, the transaction's number); None when
    the row is gone. One message there and back. Raises psycopg.Error."""
    result = db.pgconn.exec_(
        b"BEGIN; SELECT seq, recorded_at, entity_no, name_no, pg_current_xact_id() FROM log_head FOR UPDATE"
    )
    if result.status != pq.ExecStatus.TUPLES_OK:
        raise _error_of(result)
    if result.ntuples == 0:
        return None
    seq, recorded_at, entity_no, name_no, xid = (result.get_value(0, n) or b"" for n in range(5))
    return int(seq), int(recorded_at), int(entity_no), int(name_no), xid.decode()


def together(db: Connection) -> AbstractContextManager[object]:
    """Statements inside are sent without waiting for each answer; the first error among them is raised at the end. An older libpq (before
    14) waits for each."""
    return db.pipeline() if psycopg.Pipeline.is_supported() else nullcontext()


def commit(db: Connection) -> None:
    """COMMIT, and be sure of it: of a transaction in which a statement failed PostgreSQL makes a ROLLBACK and calls it done."""
    result = db.pgconn.exec_(b"COMMIT")
    if result.status != pq.ExecStatus.COMMAND_OK:
        raise _error_of(result)
    if result.command_status != b"COMMIT":
        raise psycopg.errors.InFailedSqlTransaction("an op hid the failure of one of its statements")


def _error_of(result: pq.abc.PGresult) -> psycopg.Error:
    """The error of a failed statement. One without an SQLSTATE is none of the server's: the connection broke."""
    error = psycopg.errors.error_from_result(result, encoding="utf-8")
    return error if error.sqlstate is not None else psycopg.OperationalError(str(error))


def one_line(error: BaseException) -> str:
    """The first line of an error's text."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def is_the_ops_own(error: BaseException) -> bool:
    """Is it the fault of what was asked for (a value that does not fit), not of the database or the way to it?"""
    if isinstance(error, psycopg.Error):
        if isinstance(error, psycopg.errors.InFailedSqlTransaction):
            return True  # an op hid the failure of one of its statements and went on
        return not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | psycopg.InternalError)
    return isinstance(error, Exception)


def is_worth_another_try(error: BaseException) -> bool:
    """Did the database undo the transaction only because of others (deadlock, serialisation)? Nothing of it happened."""
    return isinstance(error, psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure)


def translate(error: BaseException) -> StoreError:
    """The error as one of `madang.hub.ports`."""
    text = one_line(error)
    if isinstance(error, psycopg.errors.DiskFull):
        return StoreFull(
            f"the database's disk is full ({text}): nothing was stored or acknowledged; free some space and it goes on by itself"
        )
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        return StoreError(f"the database takes no writes ({text}): connect to the primary")
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return StoreError(
            f"another process has held the turn to write for {LOCK_WAIT_S} s: nothing was stored; send again"
        )
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return StoreError(f"the database does not answer ({text}): nothing was stored or acknowledged; send again")
    return StoreError(f"the store failed: {text}")
