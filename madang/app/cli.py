"""The command line: `madang demo | serve | replay | evaluate | token | source-secret | backup | restore | doctor | db | version`."""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from madang import __version__
from madang.app.settings import LOOPBACK, MQTT_PORT, PORT, Settings, SettingsError, check_anonymous, check_public_url

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
STORE_HELP = "sqlite:///FOLDER or postgresql://USER@HOST/DATABASE. Without it: SQLite in the data folder."


def _log_days(context: click.Context, option: click.Parameter, days: int) -> int:
    from madang.hub.trim import KEEP_DAYS_MIN

    if 0 < days < KEEP_DAYS_MIN:
        raise click.BadParameter(
            f"{KEEP_DAYS_MIN} or more (readings may be a week late), or 0 to keep changes for ever"
        )
    return days


def _server_options(default_data: str) -> Callable[[F], F]:
    """Options that every command with a server has."""

    def add(command: F) -> F:
        for option in reversed(
            (
                click.option(
                    "--data",
                    type=click.Path(path_type=Path, file_okay=False),
                    default=default_data,
                    show_default=True,
                    help="Data folder; made when absent.",
                ),
                click.option("--host", default=LOOPBACK, show_default=True, help="Address that HTTP listens on."),
                click.option("--port", default=PORT, show_default=True, help="HTTP port; 0 takes a free one."),
                click.option("--mqtt-host", default=LOOPBACK, show_default=True, help="Address that MQTT listens on."),
                click.option(
                    "--mqtt-port", default=MQTT_PORT, show_default=True, help="MQTT port; 0 takes a free one."
                ),
                click.option(
                    "--allow-private-addresses",
                    is_flag=True,
                    help="Ask addresses of this machine and of private networks when requests name them: @contexts, context"
                    " sources, subscribers.",
                ),
                click.option(
                    "--public-url",
                    default="",
                    help="How others reach this server, such as https://city.example; empty: the address that it listens on."
                    " Notifications name @contexts there, other brokers tell there, and links of /ogc lead there.",
                ),
                click.option(
                    "--anonymous-role",
                    default="",
                    help="For the conformance suite alone: a caller without a token gets this role. Refused unless everything"
                    " listens on this machine only.",
                ),
                click.option("--store", default="", help=STORE_HELP),
                click.option(
                    "--temporal-page",
                    default=1_000,
                    show_default=True,
                    type=click.IntRange(1, 100_000),
                    help="Attribute instances in one answer of the NGSI-LD temporal interface.",
                ),
                click.option(
                    "--log-days",
                    default=30,
                    show_default=True,
                    type=click.IntRange(0),
                    callback=_log_days,
                    help="Days for which changes stay in the change log, 9 or more; 0: for ever. State and history stay anyway.",
                ),
                click.option(
                    "--log-format",
                    type=click.Choice(["auto", "json", "text"]),
                    default="auto",
                    show_default=True,
                    help="auto: text on a terminal, else one JSON object a line.",
                ),
                click.option(
                    "--log-level",
                    type=click.Choice(["debug", "info", "warning", "error"]),
                    default="info",
                    show_default=True,
                ),
            )
        ):
            command = option(command)
        return command

    return add


def _data_option(command: F) -> F:
    """The option of commands that work on a data folder."""
    path = click.Path(path_type=Path, file_okay=False)
    return click.option("--data", type=path, default="./var/data", show_default=True, help="Data folder.")(command)


def _settings(options: dict[str, Any]) -> Settings:
    from madang.app.logs import set_up_logs

    settings = Settings(**{name: options[name] for name in Settings.__struct_fields__})
    try:
        check_anonymous(settings)
        check_public_url(settings)
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    set_up_logs(settings.log_format, settings.log_level)
    return settings


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run a command's coroutine on uvloop; errors that a person can mend come out as one sentence."""
    from madang.hub.ports import StoreError

    try:
        import uvloop
    except ImportError:
        runner = asyncio.Runner()
    else:
        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    try:
        with runner:
            runner.run(work)
    except (StoreError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _do(work: Callable[[], T]) -> T:
    """Run a command's work; what a person can mend comes out as one sentence."""
    from madang.hub.ports import StoreError

    try:
        return work()
    except StoreError as error:
        raise click.ClickException(str(error)) from error


@click.group(context_settings={"auto_envvar_prefix": "MADANG", "help_option_names": ["-h", "--help"]})
def main() -> None:
    """Madang, the common platform of a city."""


@main.command()
@_server_options("./var/data")
def serve(**options: Any) -> None:
    """Run a city's server."""
    settings = _settings(options)
    from madang.app.run import run_server

    _run(run_server(settings))


@main.command()
@_server_options("./var/demo")
@click.option(
    "--speed", type=click.FloatRange(0.1, 100), default=4.0, show_default=True, help="City seconds in a real one."
)
@click.option("--seed", default=1, show_default=True, help="Another seed is another city.")
@click.option("--trucks", type=click.IntRange(1, 400), default=40, show_default=True)
@click.option(
    "--no-drivers", is_flag=True, help="Start the city without its trucks driving on (what happened so far stays)."
)
def demo(speed: float, seed: int, trucks: int, no_drivers: bool, **options: Any) -> None:
    """Run the sample city: a generated town whose trucks send over MQTT, in mid-story."""
    settings = _settings(options)
    from madang.app.demo import run_demo

    _run(run_demo(settings, speed=speed, seed=seed, trucks=trucks, drive=not no_drivers))


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@_server_options("./var/replay")
@click.option("--tracks", type=click.IntRange(1), default=100, show_default=True, help="At most so many tracks.")
@click.option(
    "--speed", type=click.FloatRange(1, 10_000), default=60.0, show_default=True, help="City seconds in a real one."
)
@click.option("--seed", default=1, show_default=True)
@click.option("--keep", is_flag=True, help="Keep the server running afterwards, to look at the result in the console.")
def replay(files: tuple[Path, ...], tracks: int, speed: float, seed: int, keep: bool, **options: Any) -> None:
    """Send recorded GPS tracks over MQTT into a server of their own, with a truck's weight laid over, and judge what was found.

    FILES are CSV tracks (timestamp, x, y in metres, label) or zip archives of them. Prints JSON.
    """
    settings = _settings(options)
    from madang.app.replay import run_replay

    _run(run_replay(settings, list(files), tracks=tracks, speed=speed, seed=seed, keep=keep))


@main.command()
@click.argument("service", type=click.Choice(["manure"]))
@click.option("--seed", default=1, show_default=True)
@click.option("--days", type=click.IntRange(1, 3650), default=7, show_default=True, help="Simulated city days.")
@click.option("--trucks", type=click.IntRange(1, 400), default=40, show_default=True)
@click.option(
    "--enriched", is_flag=True, help="Many more cheats: serves recall. Without: natural rates, serves false alarms."
)
@click.option("--details", is_flag=True, help="Also list every missed event and false alarm.")
def evaluate(service: str, seed: int, days: int, trucks: int, enriched: bool, details: bool) -> None:
    """Judge a sector's rules on simulated city days at full speed, through decode and ingest. Prints JSON."""
    from madang.app.evaluate import evaluate_manure
    from madang.app.logs import set_up_logs

    set_up_logs("auto", "warning")
    result = evaluate_manure(seed=seed, days=days, trucks=trucks, enriched=enriched, details=details)
    click.echo(json.dumps(result, ensure_ascii=False, indent=2))


@main.command()
@click.argument("name")
@click.option(
    "--role",
    default="viewer",
    show_default=True,
    help="admin, operator, officer, carrier, farm, plant, viewer, source.",
)
@click.option("--party", default=None, help="Id of the carrier, farm or plant that the token acts for.")
@click.option(
    "--tenant",
    default="default",
    show_default=True,
    help="Where the token works. An admin's of the default tenant works in all tenants.",
)
@_data_option
@click.option("--store", default="", help=STORE_HELP)
def token(name: str, role: str, party: str | None, tenant: str, data: Path, store: str) -> None:
    """Make a token and print it: it is shown this once. Works whether a server runs on the folder or not."""
    from madang.app.tokens import make_token

    try:
        click.echo(make_token(data, name, role, party, store, tenant))
    except (ValueError, RuntimeError) as error:
        raise click.ClickException(str(error)) from error


@main.command("source-secret")
@click.argument("source")
@_data_option
@click.option("--store", default="", help=STORE_HELP)
def source_secret(source: str, data: Path, store: str) -> None:
    """Give a source a new secret and print it: it is shown this once. The old one ends at once."""
    from madang.app.tokens import new_source_secret

    try:
        click.echo(new_source_secret(data, source, store))
    except (LookupError, RuntimeError) as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_data_option
@click.option("--store", default="", help=STORE_HELP)
@click.option(
    "--recipient",
    "recipients",
    multiple=True,
    help="Public half of a key (age1…): only who holds the other half can read the backup. May be named several times.",
)
def backup(file: Path, data: Path, store: str, recipients: tuple[str, ...]) -> None:
    """Write everything to the new file FILE: all data as of this moment, whether a server runs or not."""
    from madang.app.backup import back_up

    manifest = _do(lambda: back_up(data, file, recipients, store))
    sealed = "sealed" if recipients else "not sealed: keep it as safe as the data"
    click.echo(
        f"{file}: {len(manifest.parts)} files as of {manifest.taken_at}, {file.stat().st_size >> 10} KiB, {sealed}"
    )


@main.command("backup-key")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def backup_key(file: Path) -> None:
    """Make a key for sealed backups: the secret half goes to the new FILE, the public one is printed.

    Keep FILE where a burglar of the server does not find it, and twice: without it no sealed backup can be read by anybody.
    """
    from madang.app.sealing import make_key

    try:
        click.echo(make_key(file))
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from error


@main.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@_data_option
@click.option(
    "--store",
    default="",
    help="postgresql://USER@HOST/DATABASE, for a backup of one: the database must hold no Madang.",
)
@click.option(
    "--identity",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File with the key of a sealed backup.",
)
@click.option("--check", is_flag=True, help="Only look whether the backup is whole and its databases sound.")
def restore(file: Path, data: Path, store: str, identity: Path | None, check: bool) -> None:
    """Make a new data folder of a backup. Refuses a folder that holds something."""
    from madang.app import backup as backups

    if check:
        manifest = _do(lambda: backups.verify(file, identity))
        click.echo(
            f"{file}: whole and sound, {len(manifest.parts)} files as of {manifest.taken_at}, Madang {manifest.madang}"
        )
        return
    manifest = _do(lambda: backups.restore(file, data, identity, store))
    click.echo(
        f"{data}: as of {manifest.taken_at}. Make yourself a token (madang token NAME --role admin --data {data}), then start."
    )


@main.command()
@_data_option
@click.option("--store", default="", help=STORE_HELP)
def doctor(data: Path, store: str) -> None:
    """Look for what could go wrong on this machine and in a data folder; ends with 1 when something must be mended."""
    from madang.app.doctor import examine

    bad = False
    for check in examine(data, store):
        mark = {"ok": click.style("ok  ", fg="green"), "warn": click.style("warn", fg="yellow")}.get(
            check.state, click.style("FAIL", fg="red")
        )
        click.echo(f"{mark}  {check.what}: {check.detail}")
        bad = bad or check.state == "fail"
    sys.exit(1 if bad else 0)


@main.group()
def db() -> None:
    """Make the tables of a PostgreSQL store, or bring them up to this version. The embedded store needs neither."""


_database_option = click.option("--store", required=True, help="postgresql://USER@HOST/DATABASE")


@db.command("init")
@_database_option
@click.option("--tenant", default="default", show_default=True, help="Whose schema: madang_TENANT.")
def db_init(store: str, tenant: str) -> None:
    """Make the schema and its tables, and PostGIS in the database where it is missing and the user may. May be repeated."""
    from madang.app.database import run_init

    _say_steps(lambda: run_init(store, tenant))


@db.command("upgrade")
@_database_option
@click.option("--tenant", default="", help="Whose schema: madang_TENANT. Without it: all tenants'.")
def db_upgrade(store: str, tenant: str) -> None:
    """Run the migrations that have not run yet. Stop the servers and back up first."""
    from madang.app.database import run_upgrade

    _say_steps(lambda: run_upgrade(store, tenant))


def _say_steps(run: Callable[[], list[str]]) -> None:
    for step in _do(run):
        click.echo(f"ran {step}")
    click.echo("The schema is up to date.")


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(f"madang {__version__}")


if __name__ == "__main__":
    main()
