"""A throw-away PostgreSQL cluster with PostGIS, and databases in it: started once a test run, on a Unix socket alone, and removed after.

PostgreSQL refuses to run as root, so root hands it to the user postgres that Debian's package brings.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import psycopg
import pytest

from madang.stores.postgres import PostgresStore
from madang.stores.postgres.migrate import init

USER = "postgres"
TEMPLATE, COMMON = "madang_template", "madang_common"
START_S = 60


def find_programs() -> Path | None:
    """The folder of initdb and pg_ctl of the newest PostgreSQL here that has PostGIS, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[4]), reverse=True)
    for initdb in found:
        if (Path("/usr/share/postgresql") / initdb.parts[4] / "extension" / "postgis.control").exists():
            return initdb.parent
    return None


class Cluster:
    """One running server."""

    def __init__(self, programs: Path, *, durable: bool = False) -> None:
        """`durable`: with fsync, for tests that kill it."""
        self._programs = programs
        self._as = USER if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="madang-pg-"))
        if self._as is not None:
            entry = pwd.getpwnam(USER)
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
        self._data = self.folder / "data"
        safe = "on" if durable else "off"
        self._options = (
            f"-k {self.folder} -c listen_addresses='' -c shared_buffers=64MB -c max_connections=80"
            f" -c fsync={safe} -c full_page_writes={safe} -c autovacuum_naptime=10s -c log_min_messages=warning"
        )
        self._databases: set[str] = set()
        self._tenants: set[str] = set()
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", USER, "-E", "UTF8", "--locale=C", "--no-sync")
        self.start()
        with self.connect("postgres") as db:
            for name in (TEMPLATE, COMMON):
                db.execute(f"CREATE DATABASE {name}")
        init(self.url(TEMPLATE))

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        done = subprocess.run(command, user=self._as, env=environment, cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        """Start it and wait until it answers."""
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", str(self._data), "-o", self._options, "-l", log, "-w", "-t", str(START_S), "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it: ``fast`` rolls back what runs, ``immediate`` is a crash."""
        self._run("pg_ctl", "-D", str(self._data), "-m", mode, "-w", "-t", str(START_S), "stop")

    def close(self) -> None:
        """Stop it and remove its folder."""
        self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str) -> str:
        """The address of a database."""
        return f"postgresql://{USER}@/{database}?host={self.folder}"

    def connect(self, database: str) -> psycopg.Connection[Any]:
        """A connection in autocommit."""
        return psycopg.connect(self.url(database), autocommit=True)

    def database_of(self, folder: Path) -> str:
        """The address of the database that stands for a folder: made with a schema when it is asked for first."""
        name = "t_" + blake2b(str(folder).encode(), digest_size=8).hexdigest()
        if name not in self._databases:
            with self.connect("postgres") as db:
                db.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
            self._databases.add(name)
        return self.url(name)

    def make(self, folder: Path, clock: Any) -> PostgresStore:
        """`tests.stores.kit.Make`."""
        return PostgresStore(self.database_of(folder), clock)

    def make_tenant(self, folder: Path, clock: Any) -> PostgresStore:
        """A store in a schema of its own in one common database: a quarter of a database's files, for runs that need hundreds."""
        tenant = "t" + blake2b(str(folder).encode(), digest_size=8).hexdigest()
        url = self.url(COMMON)
        if tenant not in self._tenants:
            init(url, tenant)
            self._tenants.add(tenant)
        return PostgresStore(url, clock, tenant=tenant)

    def wait_up(self) -> None:
        """Until it takes connections again (after one of its processes was killed it recovers by itself)."""
        until = time.monotonic() + START_S
        while True:
            try:
                self.connect("postgres").close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < until, "the cluster did not recover"
                time.sleep(0.05)


@contextmanager
def open_cluster(*, durable: bool = False) -> Iterator[Cluster]:
    """A cluster; skips the test where there is no PostgreSQL with PostGIS, except in CI."""
    programs = find_programs()
    if programs is None:
        message = "no PostgreSQL with PostGIS on this machine: make setup installs it (Debian: postgresql, postgis)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    cluster = Cluster(programs, durable=durable)
    try:
        yield cluster
    finally:
        cluster.close()
