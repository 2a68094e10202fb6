"""`madang demo`: the sample city, live and in mid-story.

A new data folder gets a story: a seeded city whose first day holds a driver who empties his tank on the river bank at dusk.
City time starts a moment before that, the three
hours before are filled in at full speed, then time runs (faster than real time by default) and the trucks send over MQTT. A
folder that has a story goes
on where it stopped.
"""

import asyncio
import json
from pathlib import Path

import click
import structlog

from madang.access.roles import caller_of
from madang.app.clocks import StoryClock, SystemClock
from madang.app.feeder import REF_LINK, Feeder
from madang.app.server import Server, stop_on_signals
from madang.app.settings import Settings
from madang.hub.hub import City, Hub
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
SECRET_FILE = "sample-source-secret"


def _load_story(folder: Path, seed: int, trucks: int, speed: float) -> tuple[Story, bool]:
    """The folder's story, or a new one; True when it is new."""
    path = folder / STORY_FILE
    if path.exists():
        kept = json.loads(path.read_text())
        return build_story(kept["seed"], kept["day"], speed=kept["speed"], trucks=kept["trucks"]), False
    return build_story(seed, SystemClock().now(), speed=speed, trucks=trucks), True


async def run_demo(settings: Settings, *, speed: float, seed: int, trucks: int, drive: bool) -> None:
    """Run the sample city until somebody stops it."""
    click.echo("Madang: preparing the sample city …")
    story, new = await asyncio.to_thread(_load_story, settings.data, seed, trucks, speed)
    clock = StoryClock(story.city.first_midnight, speed)
    bounds = story.city.town.bounds()
    city = City({"ko": "마당시", "en": "Madang"}, bounds, sample=True, speed=speed)
    server = Server(settings, clock=clock, city=city, sources=[TRUCK_SOURCE])
    hub = server.hub
    secret = _source_secret(server, settings.data)
    feeder = Feeder(hub, clock, TRUCK_SOURCE.id)
    if new:
        server.store.set_durable(False)  # nobody waits for an acknowledgement yet; a crash here starts the story again
        await asyncio.to_thread(_fill_in, hub, clock, feeder, story)
        server.store.set_durable(True)
        (settings.data / STORY_FILE).write_text(
            json.dumps({"seed": seed, "trucks": trucks, "day": story.city.first_midnight, "speed": speed})
        )
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
