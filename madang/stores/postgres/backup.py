"""Madang's schemas of a database to a file and back, by PostgreSQL's own pg_dump and pg_restore."""

import shutil
import subprocess
from pathlib import Path

from madang.hub.ports import StoreError
from madang.stores.postgres.connect import connect, shown
from madang.stores.postgres.migrate import check_server, make_postgis

SCHEMAS = "madang_*"


def dump(url: str, target: Path) -> None:
    """Write all tenants' schemas, as one snapshot, to the new file `target`. Servers go on. Raises StoreError."""
    if not list_schemas(url):
        raise StoreError(f"{shown(url)} holds no Madang: there is nothing to back up")
    _run("pg_dump", f"--dbname={url}", "--format=custom", f"--schema={SCHEMAS}", "--no-owner", f"--file={target}")


def load(url: str, source: Path) -> None:
    """Make the schemas of a dump in a database that has none, in one transaction. Raises StoreError."""
    standing = list_schemas(url)
    if standing:
        raise StoreError(f"{shown(url)} holds {', '.join(standing)} already: restore into an empty database")
    with connect(url, "public", "restore") as db:
        check_server(db, url)
        make_postgis(db)
    _run("pg_restore", f"--dbname={url}", "--single-transaction", "--exit-on-error", "--no-owner", str(source))


def check(source: Path) -> None:
    """Raise StoreError unless pg_restore can read all of a dump."""
    _run("pg_restore", "--file=/dev/null", str(source))


def list_schemas(url: str) -> list[str]:
    """Madang's schemas in the database."""
    with connect(url, "public", "backup") as db:
        rows = db.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'madang\\_%' ORDER BY nspname"
        ).fetchall()
    return [str(row[0]) for row in rows]


def _run(program: str, *arguments: str) -> None:
    found = shutil.which(program)
    if found is None:
        raise StoreError(f"{program} is not here: install PostgreSQL's client programs (Debian: postgresql-client)")
    done = subprocess.run([found, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise StoreError(f"{program} failed: {said[0]}")
