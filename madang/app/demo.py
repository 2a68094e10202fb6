"""`madang demo`: the sample city, live and in mid-story.

A new data folder gets a story: a seeded city whose first day holds a driver who empties his tank on the river bank at dusk.
City time starts a moment before that, the three
hours before are filled in at full speed, then time runs (faster than real time by default) and the trucks send over MQTT. A
folder that has a story goes
on where it stopped.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import click
import structlog

from madang.access.roles import caller_of
from madang.app.clocks import StoryClock, SystemClock
from madang.app.feeder import Feeder
from madang.app.server import Server, stop_on_signals
from madang.app.settings import Settings
from madang.hub.hub import City, Hub
from madang.hub.record_errors import RecordError
from madang.model.time import DAY, HOUR, MINUTE, SECOND, Instant
from madang.procedure.incident import INCIDENT_TYPE
from madang.services.manure.sources import TRUCK_SOURCE
from madang.simulate.city import UTC_OFFSET, Complaint, SampleCity, SampleEvent, Telemetry
from madang.simulate.drive import Terminals, pace

log = structlog.get_logger("madang.demo")

STORY_FILE = "story.json"
PREFILL = 3 * HOUR
LEAD_REAL_S = 12.0
"""Real seconds from the start until the first driver of the story opens his valve."""
DUMPERS = (3, 11, 19)
"""Trucks whose drivers dump at dusk of the first day."""
SECRET_FILE = "sample-source-secret"


class Story:
    """Which city, and when its time began."""

    def __init__(self, seed: int, trucks: int, midnight: Instant) -> None:
        self.seed, self.trucks, self.midnight = seed, trucks, midnight
        forced = {(number % trucks, 0): "river_all" for number in DUMPERS}
        self.city = SampleCity(seed, midnight, trucks=trucks, forced=forced)

    def opening(self, speed: float) -> Instant:
        """When city time starts: a little before the first dump of the evening."""
        self.city.build_day(0)
        evening = self.midnight + 14 * HOUR
        dumps = [e.started_at for e in self.city.truth() if e.rule == "manure.D1" and e.started_at > evening]
        first = min(dumps, default=self.midnight + 18 * HOUR)
        return first - int(LEAD_REAL_S * speed * SECOND)


def _load_story(folder: Path, seed: int, trucks: int) -> tuple[Story, bool]:
    """The folder's story, or a new one; True when it is new."""
    path = folder / STORY_FILE
    if path.exists():
        kept = json.loads(path.read_text())
        return Story(kept["seed"], kept["trucks"], kept["midnight"]), False
    now = SystemClock().now()
    midnight = (now + UTC_OFFSET) // DAY * DAY - UTC_OFFSET
    return Story(seed, trucks, midnight), True


async def run_demo(settings: Settings, *, speed: float, seed: int, trucks: int, drive: bool) -> None:
    """Run the sample city until somebody stops it."""
    click.echo("Madang: preparing the sample city …")
    story, new = await asyncio.to_thread(_load_story, settings.data, seed, trucks)
    opening = await asyncio.to_thread(story.opening, speed)
    clock = StoryClock(story.midnight, speed)
    bounds = story.city.town.bounds()
    city = City({"ko": "마당시", "en": "Madang"}, bounds, sample=True, speed=speed)
    server = Server(settings, clock=clock, city=city, sources=[TRUCK_SOURCE])
    hub = server.hub
    secret = _source_secret(server, settings.data)
    feeder = Feeder(hub, clock, TRUCK_SOURCE.id)
    if new:
        server.store.set_durable(False)  # nobody waits for an acknowledgement yet; a crash here starts the story again
        await asyncio.to_thread(_fill_in, hub, clock, feeder, story, opening)
        server.store.set_durable(True)
        (settings.data / STORY_FILE).write_text(
            json.dumps({"seed": story.seed, "trucks": story.trucks, "midnight": story.midnight})
        )
    else:
        with hub.store.read() as read:
            clock.set(max(opening, read.log_time()))
    clock.go()
    began = clock.now()
    async with server, stop_on_signals(server):
        _greet(server)
        terminals = Terminals(settings.mqtt_host, server.mqtt.tcp_port, TRUCK_SOURCE.id, secret)
        driving = asyncio.create_task(_drive(story, clock, began, feeder, terminals)) if drive else None
        await server.wait()
        if driving is not None:
            driving.cancel()
            await asyncio.gather(driving, return_exceptions=True)
        await terminals.close()


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


def _fill_in(hub: Hub, clock: StoryClock, feeder: Feeder, story: Story, opening: Instant) -> None:
    """The hours before the story: the same way as live, only faster; with the control room at work on what came up."""
    begin = opening - PREFILL
    clock.set(story.midnight)
    hub.put_reference(story.city.reference(), "sample").result()
    # Manifests of the whole day are needed: a truck may be under way with one that was opened in the morning.
    early: list[SampleEvent] = [e for e in story.city.events(story.midnight, begin) if not isinstance(e, Telemetry)]
    feeder.feed(early)
    desk = ControlRoom(hub)
    feeder.feed(story.city.events(begin, opening), desk.look)
    clock.set(opening)
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


async def _drive(story: Story, clock: StoryClock, began: Instant, feeder: Feeder, terminals: Terminals) -> None:
    """The city goes on: telemetry over MQTT, manifests as their people act."""

    async def act(event: SampleEvent) -> None:
        if isinstance(event, Telemetry):
            await terminals.send(event)
        elif isinstance(event, Complaint):
            await asyncio.to_thread(feeder.complain, event)
        else:
            await asyncio.to_thread(feeder.act, event)

    try:
        await pace(_stream(story, began), clock, act)
    except Exception:
        log.exception("the sample city stands still")
        raise


async def _stream(story: Story, began: Instant) -> AsyncIterator[SampleEvent]:
    """Events from `began` on, for a year; a day is generated in a thread so that the server goes on meanwhile."""
    iterator = story.city.events(began, story.midnight + 366 * DAY)
    done = object()
    while True:
        chunk = await asyncio.to_thread(lambda: [e for e, _ in zip(iterator, range(200), strict=False)] or done)
        if chunk is done:
            return
        for event in chunk:  # type: ignore[attr-defined]
            yield event


def _greet(server: Server) -> None:
    token = server.first_token
    click.echo("")
    click.echo(f"  Madang is up:  {server.url}#token={token}" if token else f"  Madang is up:  {server.url}")
    click.echo(f"  Log-in token:  {token or '(made at the first start; madang token NAME --role admin makes another)'}")
    click.echo(f"  MQTT 3.1.1:    {server.settings.mqtt_host}:{server.mqtt.tcp_port}")
    click.echo("  Stop with Ctrl-C.")
    click.echo("")
