"""Drives the sample city through the real protocols: one MQTT connection for each terminal, manifest actions and complaints over HTTP.

Paced by an injected clock at any speed. Devices keep what is not acknowledged; people try an action again when the
server is away (with the same
idempotency key) and give up when it says no.
"""

import asyncio
import http.client
import itertools
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import orjson
import structlog
from msgspec import Struct

from madang.model.time import DAY, SECOND, Instant, render_instant
from madang.simulate.city import Complaint, ManifestAction, SampleCity, SampleEvent, Telemetry
from madang.simulate.terminal_link import TerminalLink

log = structlog.get_logger("madang.drive")

TICK_S = 0.05
"""Real seconds between looks at the clock."""
LOOK_AHEAD = 30 * SECOND
"""City time taken from the generator at once."""
HORIZON = 3650 * DAY
TRIES, RETRY_S = 30, 1.0
MANIFEST = "ManureManifest"


class CityClock(Protocol):
    """City time; it may run at any speed, or be told."""

    def now(self) -> Instant: ...


class Credentials(Struct, frozen=True):
    """Who the sample is to the server."""

    username: str
    """MQTT: the source's id."""
    password: str
    token_of: Callable[[str, str], str]
    """Bearer token of a person of (party entity id, role ``carrier`` | ``farm`` | ``plant``)."""
    complaint_token: str | None = None
    """Bearer token that may write entities; None: complaints are not sent."""


class DriveStats(Struct):
    """What was done so far."""

    messages: int = 0
    actions: int = 0
    refused: dict[str, int] = {}
    """Actions that the server refused, by action and code."""


class Drive:
    """See the module's docstring. `record_ids` maps manifest refs to record ids; those made before the drive begins
    are given, new ones are added."""

    def __init__(
        self,
        city: SampleCity,
        clock: CityClock,
        mqtt_endpoint: tuple[str, int],
        http_endpoint: tuple[str, int],
        credentials: Credentials,
        record_ids: dict[str, str] | None = None,
    ) -> None:
        self._city, self._clock, self._http, self._credentials = city, clock, http_endpoint, credentials
        self.record_ids = record_ids if record_ids is not None else {}
        self.stats = DriveStats()
        self.links = {
            truck.code: TerminalLink(*mqtt_endpoint, truck.code, credentials.username, credentials.password)
            for truck in city.trucks
        }
        self._people: asyncio.Queue[ManifestAction | Complaint] = asyncio.Queue()

    async def run(self, from_at: Instant, to_at: Instant | None = None) -> None:
        """Drive from a moment of the city to another (None: until cancelled). On the way out terminals get two seconds
        for their acknowledgements.
        Raises Refused when the server does not accept the terminals."""
        end = to_at if to_at is not None else from_at + HORIZON
        async with asyncio.TaskGroup() as group:
            background = [group.create_task(link.run(), name=f"terminal {code}") for code, link in self.links.items()]
            background.append(group.create_task(self._work_people(), name="people"))
            try:
                await self._dispatch(self._city.events(from_at, end))
                await self._people.join()
            finally:
                await asyncio.gather(*(link.close() for link in self.links.values()))
                for task in background:
                    task.cancel()

    async def _dispatch(self, events: Iterator[SampleEvent]) -> None:
        # Days are built in a thread: a day takes seconds, and terminals must go on answering meanwhile.
        held: list[SampleEvent] = []
        while True:
            chunk = await asyncio.to_thread(_take, events, held)
            if not chunk:
                return
            for event in chunk:
                while (ahead := event.at - self._clock.now()) > 0:  # noqa: ASYNC110 - city time may be told or run at any speed
                    await asyncio.sleep(TICK_S if ahead > SECOND // 10 else TICK_S / 5)
                if isinstance(event, Telemetry):
                    self.links[event.device].publish(event.topic, event.payload, event.dup)
                    self.stats.messages += 1
                else:
                    self._people.put_nowait(event)
            await asyncio.sleep(0)

    # ---- people

    async def _work_people(self) -> None:
        while True:
            event = await self._people.get()
            try:
                if isinstance(event, Complaint):
                    await self._complain(event)
                else:
                    await self._act(event)
            finally:
                self._people.task_done()

    async def _act(self, event: ManifestAction) -> None:
        token = self._credentials.token_of(event.actor_party, event.actor_role)
        key = f"sample:{event.manifest_ref}:{event.action}:{event.at}"
        self.stats.actions += 1
        body: dict[str, Any] = {"arguments": event.arguments, "on_behalf_of": event.on_behalf_of}
        if event.action == "create":
            status, answer = await self._post(f"/api/records/{MANIFEST}", {"action": "create", **body}, token, key)
            if status == 201:
                self.record_ids[event.manifest_ref] = answer["record"]["id"]
                return
        else:
            record = self.record_ids.get(event.manifest_ref)
            if record is None:
                self._refuse(event.action, "unknown-manifest")
                return
            status, answer = await self._post(
                f"/api/records/{record}/actions/{event.action}", {"version": None, **body}, token, key
            )
            if status == 200:
                return
        self._refuse(event.action, str(answer.get("code", status)))

    def _refuse(self, action: str, code: str) -> None:
        name = f"{action}: {code}"
        self.stats.refused[name] = self.stats.refused.get(name, 0) + 1
        log.info("the server refused an action of the sample's people", action=action, code=code)

    async def _complain(self, event: Complaint) -> None:
        if self._credentials.complaint_token is None:
            return
        reading = event.reading
        observed = render_instant(reading.observed_at)
        attributes = {name: {**value, "observedAt": observed} for name, value in reading.attributes.items()}
        entity = {"id": reading.entity_id, "type": reading.entity_type, **attributes}
        status, answer = await self._post(
            "/ngsi-ld/v1/entityOperations/upsert",
            [entity],
            self._credentials.complaint_token,
            f"complaint:{reading.entity_id}",
        )
        if status >= 300:
            self._refuse("complaint", str(answer.get("code", status)))

    async def _post(self, path: str, body: Any, token: str, key: str) -> tuple[int, dict[str, Any]]:
        """POST JSON; tried again with the same key while the server is away or asks to wait (429, 503)."""
        for attempt in range(TRIES):
            try:
                status, answer = await asyncio.to_thread(_post_once, self._http, path, orjson.dumps(body), token, key)
            except (OSError, http.client.HTTPException) as error:
                log.debug("the server is away", why=str(error), attempt=attempt)
            else:
                if status not in (429, 503):
                    return status, answer
            await asyncio.sleep(RETRY_S)
        return 599, {"code": "server-away"}


def _take(events: Iterator[SampleEvent], held: list[SampleEvent]) -> list[SampleEvent]:
    """The next events, LOOK_AHEAD of city time of them; `held` keeps the one that is too far ahead."""
    chunk: list[SampleEvent] = held[:]
    held.clear()
    for event in itertools.islice(events, 50_000):
        if chunk and event.at > chunk[0].at + LOOK_AHEAD:
            held.append(event)
            break
        chunk.append(event)
    return chunk


def _post_once(endpoint: tuple[str, int], path: str, body: bytes, token: str, key: str) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(*endpoint, timeout=10)
    try:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Idempotency-Key": key}
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        raw = response.read()
        answer = orjson.loads(raw) if raw else {}
        return response.status, answer if isinstance(answer, dict) else {}
    finally:
        connection.close()


async def run(
    city: SampleCity,
    clock: CityClock,
    mqtt_endpoint: tuple[str, int],
    http_endpoint: tuple[str, int],
    credentials: Credentials,
    from_at: Instant,
    record_ids: dict[str, str] | None = None,
) -> None:
    """Drive until cancelled: `Drive(...).run(from_at)`."""
    await Drive(city, clock, mqtt_endpoint, http_endpoint, credentials, record_ids).run(from_at)
