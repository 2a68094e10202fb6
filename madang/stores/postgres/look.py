"""What `madang doctor` says of a database."""

from collections.abc import Iterator

import psycopg

from madang.hub.ports import StoreError
from madang.stores.postgres.connect import connect, one_line, schema_of, shown
from madang.stores.postgres.migrate import check

CONNECTIONS_MIN = 60
"""Connections that two processes may want together."""


def examine_database(url: str, tenant: str = "default") -> Iterator[tuple[str, str, str]]:
    """(state, what, detail): state is ok, warn or fail."""
    try:
        db = connect(url, schema_of(tenant), "doctor")
    except StoreError as error:
        yield "fail", "database", str(error)
        return
    with db:
        try:
            check(db, url, tenant)
            yield (
                "ok",
                "database",
                f"{shown(url)}, PostgreSQL {db.info.parameter_status('server_version')}, schema up to date",
            )
        except StoreError as error:
            yield "fail", "database", str(error)
            return
        try:
            yield from _settings(db)
            row = db.execute("SELECT pg_database_size(current_database()), (SELECT seq FROM log_head)").fetchone()
            if row is not None:
                yield "ok", "size", f"{row[0] / 1024**2:.0f} MiB, {row[1]} changes in the log"
            row = db.execute("SELECT holder FROM lease WHERE name = 'hub' AND until > now()").fetchone()
            leads = "no process runs detectors now" if row is None else "one process runs detectors"
            yield "warn" if row is None else "ok", "lead", leads
        except psycopg.Error as error:
            yield "fail", "database", one_line(error)


def _settings(db: psycopg.Connection[tuple[object, ...]]) -> Iterator[tuple[str, str, str]]:
    for name, want, why in (
        ("fsync", "on", "a crash of the machine may destroy the database"),
        ("full_page_writes", "on", "a crash of the machine may destroy the database"),
    ):
        row = db.execute(f"SHOW {name}".encode()).fetchone()
        value = "" if row is None else str(row[0])
        yield "ok" if value == want else "fail", name, value if value == want else f"{value}: {why}; set it to {want}"
    row = db.execute("SHOW max_connections").fetchone()
    value = "0" if row is None else str(row[0])
    enough = int(value) >= CONNECTIONS_MIN
    yield (
        "ok" if enough else "warn",
        "max_connections",
        value if enough else f"{value}: {CONNECTIONS_MIN} or more for two processes",
    )
