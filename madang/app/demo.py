"""`madang demo`: the sample city, live and in mid-story.

A new data folder, or an empty database, gets a story: a seeded city whose first day holds a driver who empties his tank on the river
bank at dusk. City time starts a moment before that, the three hours before are filled in at full speed, then time runs (faster than real
time by default) and the trucks send over MQTT. One that has a story goes on where it stopped.
"""

import asyncio
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import structlog

from madang.access.roles import caller_of
from madang.app.clocks import StoryClock, SystemClock
from madang.app.database import run_init
from madang.app.feeder import REF_LINK, Feeder
from madang.app.server import Server, stop_on_signals
from madang.app.settings import Settings
from madang.app.stores import is_shared, open_store
from madang.hub.hub import City, Hub
from madang.hub.ports import Store, StoreError
from madang.hub.record_errors import RecordError
from madang.model.caller import SYSTEM
from madang.model.time import MINUTE, Instant
from madang.procedure.incident import INCIDENT_TYPE
from madang.services.manure.sources import TRUCK_SOURCE
from madang.simulate.drive import Credentials
from madang.simulate.drive import run as run_drive
from madang.simulate.story import Story, build_story

log = structlog.get_logger("madang.demo")

STORY_FILE = "story.json"
STORY_KIND = "sample"
"""The document that holds the same where a database is the store: there the folder may be another one the next time."""
SECRET_FILE = "sample-source-secret"


def _load_story(settings: Settings, seed: int, trucks: int, speed: float) -> tuple[Story, dict[str, Any], bool]:
    """(the story of the folder or the database, or a new one; what is kept of it; True when its first hours are still to be filled in).

    Raises StoreError for a database that holds something else."""
    if is_shared(settings.store):
        kept = _find_in_database(settings)
    else:
        path = settings.data / STORY_FILE
        kept = json.loads(path.read_text()) if path.exists() else None
    if kept is not None:
        story = build_story(kept["seed"], kept["day"], speed=kept["speed"], trucks=kept["trucks"])
        return story, kept, not kept.get("filled", True)
    story = build_story(seed, SystemClock().now(), speed=speed, trucks=trucks)
    return story, {"seed": seed, "trucks": trucks, "day": story.city.first_midnight, "speed": speed}, True


def _find_in_database(settings: Settings) -> dict[str, Any] | None:
    """What the database says of its story; makes the tables of an empty one."""
    run_init(settings.store, "default")
    with closing(open_store(settings.store, settings.data, SystemClock())) as store, store.read() as read:
        found, last_seq = read.find_document(STORY_KIND, STORY_KIND), read.last_seq()
    if found is None and last_seq > 0:
        raise StoreError("that database holds another city: give the sample one of its own (createdb …)")
    return None if found is None else dict(json.loads(found))


def _keep_story(settings: Settings, store: Store, kept: dict[str, Any], *, filled: bool) -> None:
    """Durable when this returns. A folder holds a story once it is filled in; a database says from the beginning whose it is."""
    if is_shared(settings.store):
        document = json.dumps({**kept, "filled": filled}).encode()
        store.write(lambda tx: tx.put_document(STORY_KIND, STORY_KIND, document)).result()
    elif filled:
        (settings.data / STORY_FILE).write_text(json.dumps(kept))


async def run_demo(settings: Settings, *, speed: float, seed: int, trucks: int, drive: bool) -> None:
    """Run the sample city until somebody stops it."""
    click.echo("Madang: preparing the sample city …")
    story, kept, new = await asyncio.to_thread(_load_story, settings, seed, trucks, speed)
    clock = StoryClock(story.city.first_midnight, speed)
    bounds = story.city.town.bounds()
    city = City({"ko": "마당시", "en": "Madang"}, bounds, sample=True, speed=speed)
    server = Server(settings, clock=clock, city=city, sources=[TRUCK_SOURCE])
    hub = server.hub
    secret = _source_secret(server, settings.data)
    feeder = Feeder(hub, clock, TRUCK_SOURCE.id)
    if new:
        await asyncio.to_thread(_keep_story, settings, server.store, kept, filled=False)
        server.store.set_durable(False)  # nobody waits for an acknowledgement yet; a crash here starts the story again
        await asyncio.to_thread(_fill_in, hub, clock, feeder, story)
        server.store.set_durable(True)
        await asyncio.to_thread(_keep_story, settings, server.store, kept, filled=True)
    else:
        with hub.store.read() as read:
            clock.set(max(story.starts_at, read.log_time()))
    clock.go()
    began = clock.now()
    async with server, stop_on_signals(server):
        _greet(server)
        driving = None
        if drive:
            with hub.store.read() as read:
                manifests = dict(read.list_links(REF_LINK))
            mqtt, http = (settings.mqtt_host, server.mqtt.tcp_port), (settings.host, server.tcp_port)
            credentials = _credentials(hub, secret)
            driving = asyncio.create_task(run_drive(story.city, clock, mqtt, http, credentials, began, manifests))
            driving.add_done_callback(_note_end)
        await server.wait()
        if driving is not None:
            driving.cancel()
            await asyncio.gather(driving, return_exceptions=True)


def _source_secret(server: Server, folder: Path) -> str:
    """The trucks' secret: made with the source, kept for the sample's terminals."""
    from madang.app.server import write_private

    path = folder / SECRET_FILE
    secret = server.new_secrets.get(TRUCK_SOURCE.id)
    if secret is None and path.exists():
        return path.read_text().strip()
    secret = secret or server.hub.sources.new_secret(TRUCK_SOURCE.id)
    write_private(path, secret)
    return secret


def _fill_in(hub: Hub, clock: StoryClock, feeder: Feeder, story: Story) -> None:
    """The hours before the story: the same way as live, only faster; with the control room at work on what came up."""
    hub.put_reference(story.city.reference(), "sample").result()
    feeder.feed(story.prefill(), ControlRoom(hub).look)
    clock.set(story.starts_at)
    log.info("the hours before are filled in", messages=feeder.messages, actions=feeder.actions, refused=feeder.refused)


class ControlRoom:
    """The sample's operators, for the hours before: they acknowledge what is some minutes old and resolve what is older."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._caller = caller_of("sample-operator", "operator", None)
        self._next: Instant = 0

    def look(self, now: Instant) -> None:
        """Every five minutes of city time."""
        if now < self._next:
            return
        self._next = now + 5 * MINUTE
        with self._hub.store.read() as read:
            incidents = read.list_records(INCIDENT_TYPE, ["OPEN", "ACKNOWLEDGED", "IN_PROGRESS"])
        for incident in incidents:
            age = now - incident.created_at
            if incident.state == "OPEN" and age > 20 * MINUTE:
                self._act(incident.id, "acknowledge", {})
            elif incident.state != "OPEN" and age > 70 * MINUTE:
                self._act(incident.id, "resolve", {"cause": "real", "note": "현장 확인"})

    def _act(self, id_: str, action: str, arguments: dict[str, str]) -> None:
        try:
            self._hub.records.act(self._caller, id_, action, arguments).result()
        except RecordError as error:
            log.info("sample operator was refused", action=action, why=str(error))


def _credentials(hub: Hub, secret: str) -> Credentials:
    """The sample's people get tokens of their own, each for its party, made when they first act."""
    known: dict[tuple[str, str], str] = {}
    started = hub.clock.now()

    def token_of(party: str, role: str) -> str:
        token = known.get((party, role))
        if token is None:
            name = f"sample-{party.rpartition(':')[2]}-{role}-{started}"
            token = known[(party, role)] = hub.tokens.create(SYSTEM, name, role, party)
        return token

    complaints = hub.tokens.create(SYSTEM, f"sample-complaints-{started}", "officer")
    return Credentials(TRUCK_SOURCE.id, secret, token_of, complaints)


def _note_end(driving: asyncio.Task[None]) -> None:
    """The sample must not stop unnoticed: the server goes on without it."""
    if not driving.cancelled() and driving.exception() is not None:
        log.error("the sample city stands still", exc_info=driving.exception())


def _greet(server: Server) -> None:
    token = server.first_token
    click.echo("")
    click.echo(f"  Madang is up:  {server.url}#token={token}" if token else f"  Madang is up:  {server.url}")
    click.echo(f"  Log-in token:  {token or '(made at the first start; madang token NAME --role admin makes another)'}")
    click.echo(f"  MQTT 3.1.1:    {server.settings.mqtt_host}:{server.mqtt.tcp_port}")
    click.echo("  Stop with Ctrl-C.")
    click.echo("")
