"""`madang replay`: recorded GPS tracks over MQTT into a server of their own, with a truck's weight laid over, and what was
found set beside what is known."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import click
import structlog

from madang.app.clocks import StoryClock, SystemClock
from madang.app.server import Server, stop_on_signals
from madang.app.settings import Settings
from madang.hub.hub import City, Hub
from madang.model.entity import value_of
from madang.model.statistics import wilson_interval
from madang.model.time import DAY, MINUTE, SECOND, Instant, parse_instant
from madang.services.manure.sources import TRUCK_SOURCE
from madang.simulate.overlay import Replay, build_replay, load_tracks
from madang.simulate.terminal_link import TerminalLink
from madang.simulate.town import build_town

log = structlog.get_logger("madang.replay")

SLACK = MINUTE
"""A detected event belongs to a known one when they overlap, give or take this much."""
LENGTHS = (("60 to 120 s", MINUTE, 2 * MINUTE), ("120 s and more", 2 * MINUTE, DAY))
"""Known stops are told apart by length: the cleaning detector calls only two minutes and more a stop."""
AFTER = 6 * MINUTE
"""City time after the last message in which judgements may still complete."""


class Span(Protocol):
    """Something known about a vehicle in a time."""

    @property
    def vehicle(self) -> str: ...

    @property
    def started_at(self) -> Instant: ...

    @property
    def ended_at(self) -> Instant: ...


async def run_replay(
    settings: Settings, files: list[Path], *, tracks: int, speed: float, seed: int, keep: bool
) -> None:
    """Send, wait, judge, print JSON."""
    if (settings.data / "default.db").exists():
        raise OSError(f"{settings.data} holds data already: choose an empty folder with --data")
    loaded, rejected = await asyncio.to_thread(load_tracks, files, tracks)
    if not loaded:
        raise OSError("no track could be read: " + "; ".join(f"{name}: {why}" for name, why in rejected[:3]))
    town = await asyncio.to_thread(build_town, seed)
    midnight = SystemClock().now() // DAY * DAY
    plan = build_replay(town, loaded, rejected, seed=seed, start_at=midnight)
    clock = StoryClock(midnight, speed)
    city = City({"ko": "재생", "en": "Replay"}, town.bounds(), sample=True, speed=speed)
    server = Server(settings, clock=clock, city=city, sources=[TRUCK_SOURCE])
    secret = server.new_secrets[TRUCK_SOURCE.id]
    async with server, stop_on_signals(server):
        await asyncio.wrap_future(server.hub.put_reference(plan.reference, "replay"))
        clock.go()
        click.echo(f"Replay of {len(loaded)} tracks: {server.url}#token={server.first_token}", err=True)
        await _send(plan, clock, settings.mqtt_host, server.mqtt.tcp_port, secret)
        await asyncio.sleep(AFTER / SECOND / speed)
        while server.hub.flow.lag():  # noqa: ASYNC110 - the detectors run in a thread of their own
            await asyncio.sleep(0.05)
        click.echo(
            json.dumps(await asyncio.to_thread(_judge, server.hub, plan, len(loaded)), indent=2, ensure_ascii=False)
        )
        if keep:
            await server.wait()


async def _send(plan: Replay, clock: StoryClock, host: str, port: int, secret: str) -> None:
    """Each track's device has its own connection; messages go when their time has come, and all are acknowledged at the end."""
    devices = sorted({event.device for event in plan.events})
    links = {code: TerminalLink(host, port, code, TRUCK_SOURCE.id, secret) for code in devices}
    running = [asyncio.create_task(link.run()) for link in links.values()]
    try:
        for event in plan.events:
            wait = clock.real_seconds_until(event.at)
            if wait > 0.002:
                await asyncio.sleep(wait)
            links[event.device].publish(event.topic, event.payload)
        await asyncio.gather(*(link.close(20.0) for link in links.values()))
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _judge(hub: Hub, plan: Replay, tracks: int) -> dict[str, Any]:
    """Stops against the labels, unloadings against the overlay, findings in all."""
    status = hub.sources.status(TRUCK_SOURCE.id)
    with hub.store.read() as read:
        incidents = [record.data for record in read.list_records("Incident")]
    stops = _events(hub, "VehicleStop")
    rules: dict[str, int] = {}
    for incident in incidents:
        for entry in incident["findings"]:
            rules[entry["finding"]["rule"]] = rules.get(entry["finding"]["rule"], 0) + (not entry["withdrawn"])
    return {
        "origin": "public tracks, weight laid over by a stated model",
        "tracks": tracks,
        "rejected_tracks": [list(one) for one in plan.rejected],
        "messages": {"accepted": status.accepted, "duplicates": status.duplicates, "rejected": status.rejected},
        "stops": {**_compare(stops, plan.stops), "by_length": _by_length(stops, plan.stops)},
        "unloadings": _compare(_events(hub, "ManureUnloading"), plan.unloadings),
        "incidents": len(incidents),
        "findings": rules,
    }


def _events(hub: Hub, type_: str) -> list[tuple[str, Instant, Instant]]:
    """(vehicle, from, to) of the derived events that stand."""
    with hub.store.read() as read:
        entities = [read.find_entity(id_) for id_ in read.list_ids(type_)]
    found = []
    for entity in entities:
        if entity is None or value_of(entity.attributes.get("status")) == "withdrawn":
            continue
        vehicle, begin, end = (value_of(entity.attributes[name]) for name in ("vehicle", "startedAt", "endedAt"))
        found.append((vehicle, parse_instant(begin), parse_instant(end)))
    return found


def _compare(found: Sequence[tuple[str, Instant, Instant]], known: Iterable[Span]) -> dict[str, Any]:
    """One known event is found when a detected one overlaps it; a detected one is true when it overlaps a known one."""
    wanted = list(known)
    hit = sum(any(_overlap(one, span) for one in found) for span in wanted)
    true = sum(any(_overlap(one, span) for span in wanted) for one in found)
    return {
        "known": len(wanted),
        "found": len(found),
        "recall": round(hit / len(wanted), 4) if wanted else None,
        "recall_ci": [round(x, 4) for x in wilson_interval(hit, len(wanted))],
        "precision": round(true / len(found), 4) if found else None,
        "precision_ci": [round(x, 4) for x in wilson_interval(true, len(found))],
    }


def _by_length(found: Sequence[tuple[str, Instant, Instant]], known: Sequence[Span]) -> dict[str, Any]:
    """Recall apart by how long the known one lasted."""
    parts = {}
    for name, least, below in LENGTHS:
        wanted = [span for span in known if least <= span.ended_at - span.started_at < below]
        hit = sum(any(_overlap(one, span) for one in found) for span in wanted)
        parts[name] = {
            "known": len(wanted),
            "recall": round(hit / len(wanted), 4) if wanted else None,
            "recall_ci": [round(x, 4) for x in wilson_interval(hit, len(wanted))],
        }
    return parts


def _overlap(one: tuple[str, Instant, Instant], span: Span) -> bool:
    return one[0] == span.vehicle and one[1] <= span.ended_at + SLACK and one[2] >= span.started_at - SLACK
