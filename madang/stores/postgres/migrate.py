"""The schema of a tenant: made by `madang db init`, brought up to date by `madang db upgrade`, only checked by a server.

The steps are the numbered SQL files in `migrations/`; what ran stands in the table `migration`. Each step is one
transaction, so a step that fails leaves the schema as it was.
"""

from importlib.resources import files
from importlib.resources.abc import Traversable

import psycopg
from msgspec import Struct
from psycopg import sql

from madang.hub.ports import StoreError
from madang.stores.postgres.connect import VERSION_MIN, Connection, connect, one_line, schema_of, shown, translate

INIT_WAIT_S = 120
"""How long `db init` waits for another one. PostGIS takes seconds to be added."""


class Step(Struct, frozen=True):
    """One migration."""

    number: int
    name: str
    text: str


def list_steps() -> list[Step]:
    """All migrations that this Madang knows, in order."""
    folder: Traversable = files("madang.stores.postgres") / "migrations"
    steps = []
    for file in sorted(folder.iterdir(), key=lambda f: f.name):
        if file.name.endswith(".sql"):
            number, _, name = file.name.removesuffix(".sql").partition("_")
            steps.append(Step(int(number), name, file.read_text(encoding="utf-8")))
    return steps


def init(url: str, tenant: str = "default") -> list[Step]:
    """Make the tenant's schema (and PostGIS in the database, where it is missing and we may) and bring it up to date.

    May be called again. Gives the steps that ran. Raises StoreError with what to do.
    """
    schema = schema_of(tenant)
    with connect(url, schema, "db init") as db:
        check_server(db, url)
        _wait_alone(db)  # until this connection ends
        make_postgis(db)
        try:
            db.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
        except psycopg.errors.InsufficientPrivilege as error:
            raise StoreError(
                f"this user may not make the schema {schema} ({one_line(error)}): GRANT CREATE ON DATABASE … TO it"
            ) from error
        except psycopg.Error as error:
            raise translate(error) from error
    with connect(url, schema, "db init") as db:  # again: now the path to PostGIS is known
        return _run(db)


def upgrade(url: str, tenant: str = "default") -> list[Step]:
    """Run the steps that have not run. Gives them. Raises StoreError when there is no schema or it is of a newer Madang."""
    with connect(url, schema_of(tenant), "db upgrade") as db:
        check_server(db, url)
        _check_not_newer(db, url, tenant)
        return _run(db)


def check(db: Connection, url: str, tenant: str) -> None:
    """Raise StoreError unless the schema is exactly what this Madang needs."""
    check_server(db, url)
    version, newest = _check_not_newer(db, url, tenant), list_steps()[-1].number
    if version < newest:
        raise StoreError(
            f"the schema of {shown(url)} is of an older Madang ({version}, this one needs {newest}):"
            " back up, then run `madang db upgrade`"
        )


def version_of(db: Connection) -> int | None:
    """The number of the last step that ran; None when there is no schema."""
    if _one(db, "SELECT to_regclass('migration')") is None:
        return None
    number = _one(db, "SELECT max(number) FROM migration")
    return 0 if number is None else int(str(number))


def check_server(db: Connection, url: str) -> None:
    """Raise StoreError when the server cannot serve."""
    if db.info.server_version < VERSION_MIN * 10_000:
        raise StoreError(
            f"{shown(url)} is PostgreSQL {db.info.server_version // 10_000}; {VERSION_MIN} or newer is needed"
        )
    encoding = db.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StoreError(f"the database of {shown(url)} is encoded in {encoding}: create one with ENCODING 'UTF8'")


def _one(db: Connection, text: str) -> object:
    row = db.execute(text.encode()).fetchone()
    return None if row is None else row[0]


def _check_not_newer(db: Connection, url: str, tenant: str) -> int:
    version, newest = version_of(db), list_steps()[-1].number
    if version is None:
        raise StoreError(
            f"{shown(url)} holds no Madang for the tenant {tenant!r}: run `madang db init --store {shown(url)}`"
        )
    if version > newest:
        raise StoreError(
            f"the data was written by a newer Madang (schema {version}, this one knows {newest}): upgrade Madang"
        )
    return version


def _wait_alone(db: Connection) -> None:
    """IF NOT EXISTS looks before it makes: of two processes that both look first, one fails. So they go one after the other.

    Raises StoreError."""
    try:
        db.execute(f"SET lock_timeout = '{INIT_WAIT_S}s'".encode())
        db.execute("SELECT pg_advisory_lock(hashtext('madang'), hashtext('db init'))")
        db.execute("RESET lock_timeout")
    except psycopg.errors.LockNotAvailable as error:
        raise StoreError(
            f"another process has been making tables in this database for {INIT_WAIT_S} s: look at pg_stat_activity"
        ) from error
    except psycopg.Error as error:
        raise translate(error) from error


def make_postgis(db: Connection) -> None:
    """Put PostGIS into the database where it is missing. Raises StoreError with what to do when the user may not."""
    if _one(db, "SELECT 1 FROM pg_extension WHERE extname = 'postgis'") is not None:
        return
    try:
        db.execute("CREATE EXTENSION IF NOT EXISTS postgis SCHEMA public")
    except psycopg.errors.InsufficientPrivilege as error:
        raise StoreError(
            "the database has no PostGIS and this user may not add it: have a superuser run CREATE EXTENSION postgis in it"
        ) from error
    except psycopg.Error as error:
        raise StoreError(
            f"PostGIS cannot be added ({one_line(error)}): install it beside the server (Debian: postgresql-15-postgis-3)"
        ) from error


def _run(db: Connection) -> list[Step]:
    ran = []
    try:
        with db.transaction():
            # Two `init` at once: the second waits here and finds nothing left to do.
            db.execute("SELECT pg_advisory_xact_lock(hashtext('madang'), hashtext(current_schema()))")
            db.execute(
                "CREATE TABLE IF NOT EXISTS migration (number integer PRIMARY KEY, name text NOT NULL,"
                " ran_at timestamptz NOT NULL DEFAULT now())"
            )
            done = {row[0] for row in db.execute("SELECT number FROM migration")}
            for step in list_steps():
                if step.number not in done:
                    db.execute(step.text.encode())
                    db.execute("INSERT INTO migration (number, name) VALUES (%s, %s)", (step.number, step.name))
                    ran.append(step)
    except psycopg.Error as error:
        raise translate(error) from error
    return ran
