"""A hub with subscriptions and a receiver in memory, for the tests of notifications. The entities are of no sector."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from madang.app.clocks import ManualClock
from madang.hub.deliveries import Deliveries, Notification, NotifyFailed
from madang.hub.hub import City, Hub
from madang.hub.matcher import Matcher
from madang.hub.subscriptions import Definition
from madang.model.caller import SYSTEM, Caller
from madang.model.change import Change
from madang.model.entity import Attributes, Reading, prop
from madang.model.time import SECOND
from madang.ngsild.context import CORE
from madang.services.contract import Service
from tests.stores.any_store import open_any
from tests.stores.kit import T0

ROOM = "urn:ngsi-ld:Room:1"
ADMIN = Caller("anonymous", "admin", frozenset({"*"}))


class Receivers:
    """Receivers by address, in memory. `acts`: what an address does instead of saying yes; it raises, or waits."""

    def __init__(self) -> None:
        self.got: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self.headers: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
        self.acts: dict[str, Callable[[], Any]] = {}
        self.attempts: defaultdict[str, int] = defaultdict(int)

    async def send(self, notification: Notification) -> None:
        uri = notification.endpoint.uri
        self.attempts[uri] += 1
        act = self.acts.get(uri)
        if act is not None:
            waits = act()
            if waits is not None:
                await waits
        self.got[uri].append(msgspec.json.decode(notification.body))
        self.headers[uri].append(dict(notification.headers))

    async def close(self) -> None:
        return None

    def data(self, uri: str) -> list[dict[str, Any]]:
        """Everything that an address was told, in order."""
        return [item for notification in self.got[uri] for item in notification["data"]]


class Bench:
    """A store, a hub, deliveries that are driven by hand or started."""

    def __init__(self, folder: Path, services: tuple[Service, ...] = (), **more: Any) -> None:
        self.folder = folder
        self.clock = ManualClock(T0)
        self.store = open_any(folder, self.clock, durable=False)
        self.hub = Hub(
            self.store, self.clock, services, City(name={"en": "Test"}, bounds=(0, 0, 1, 1)), real_clock=self.clock
        )
        self.receivers = Receivers()
        self.deliveries = Deliveries(
            self.hub, {"http": self.receivers}, jitter=lambda: 0.0, **{"wait_first_s": 0.01, "wait_max_s": 0.02, **more}
        )

    @property
    def matcher(self) -> Matcher:
        return self.deliveries.matcher

    def close(self) -> None:
        self.matcher.stop()
        self.hub.stop()
        self.store.close()

    async def subscribe(self, name: str, caller: Caller = ADMIN, **more: Any) -> Definition:
        """A subscription to rooms that is told at http://<name>.example/."""
        notification = {"endpoint": {"uri": uri_of(name)}, **more.pop("notification", {})}
        document = {
            "id": f"urn:s:{name}", "type": "Subscription", "entities": [{"type": "Room"}], "notification": notification, **more,
        }  # fmt: skip
        id_ = await self.hub.subscriptions.create(caller, document, CORE)
        found = self.hub.subscriptions.find(id_)
        assert found is not None
        return found

    def put(self, attributes: Attributes, id_: str = ROOM, type_: str = "Room", **more: Any) -> Change:
        """A write over the API, one second later."""
        self.clock.set(self.clock.now() + SECOND)
        options = {"reference": False, "replace": False} | more
        return self.store.write(lambda tx: tx.put_entity(id_, type_, attributes, "s", **options)).result(5)

    def value(self, number: float, id_: str = ROOM) -> Change:
        return self.put({"n": prop(number)}, id_)

    def read_in(self, number: float, id_: str = ROOM) -> Change:
        """A device's reading, one second later."""
        at = self.clock.now() + SECOND
        self.clock.set(at)
        reading = Reading(id_, "Room", at, {"n": prop(number)})
        return self.store.write(lambda tx: tx.append_reading(reading, "s", at), bulk=True).result(5)

    async def deliver(self, timeout_s: float = 5.0) -> None:
        """Match all, send all, keep all outcomes."""
        await asyncio.to_thread(self.matcher.settle)
        async with asyncio.timeout(timeout_s):
            while self.matcher.waiting:  # noqa: ASYNC110 - a test looks from outside
                await asyncio.sleep(0.005)

    def rows(self, name: str, state: str = "due") -> list[Any]:
        with self.store.read() as read:
            return read.list_notifications(f"urn:s:{name}", state, 1_000)

    def assert_accounted(self) -> None:
        """due + replayed = delivered + waiting + failed + discarded, for each subscription."""
        with self.store.read() as read:
            counts = self.hub.subscriptions.counts(read)
        for definition in self.hub.subscriptions.list(SYSTEM):
            due, done = self.hub.subscriptions.due[definition.id], self.hub.subscriptions.delivered[definition.id]
            kept = counts[definition.id]
            ends = done.events + kept.waiting_events + kept.failed_events + done.discarded
            assert due.events + done.replayed == ends, definition.id


def uri_of(name: str) -> str:
    return f"http://{name}.example/"


def refuse(status: int | None) -> Callable[[], None]:
    """An act: answer with this status; None: cannot be reached."""

    def act() -> None:
        raise NotifyFailed("no", status)

    return act
