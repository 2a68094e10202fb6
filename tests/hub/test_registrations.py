"""Registrations and subscriptions to them on one store, kept by two processes: two objects each."""

import asyncio
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from madang.app.clocks import ManualClock
from madang.hub.contexts import Contexts
from madang.hub.ports import Store
from madang.hub.registration_subscriptions import RegistrationSubscriptions
from madang.hub.registrations import Registrations
from madang.model.time import parse_instant
from madang.ngsild.context import CORE
from madang.ngsild.errors import NgsiLdError
from tests.stores.any_store import open_any

SOURCE: dict[str, Any] = {
    "id": "urn:r:1",
    "type": "ContextSourceRegistration",
    "information": [{"entities": [{"type": "Building"}]}],
    "endpoint": "http://a.example",
}
SUBSCRIPTION: dict[str, Any] = {
    "id": "urn:s:1",
    "type": "Subscription",
    "entities": [{"type": "Building"}],
    "notification": {"endpoint": {"uri": "http://a.example/notify"}},
}


class Process:
    """What one process has in memory. Without an HTTP client every notification fails, and is counted."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        numbers = count(1)
        contexts = Contexts(store, clock, None, lambda: f"c{next(numbers)}")
        self.registrations = Registrations(store, clock, lambda: f"r{next(numbers)}")
        self.subscriptions = RegistrationSubscriptions(
            store, clock, self.registrations, contexts, None, lambda: f"s{next(numbers)}"
        )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[tuple[Store, ManualClock]]:
    clock = ManualClock(parse_instant("2026-11-25T00:00:00Z"))
    store = open_any(tmp_path / "data", clock)
    yield store, clock
    store.close()


async def test_registrations_reach_the_other_process(store: tuple[Store, ManualClock]) -> None:
    here, there = Process(*store), Process(*store)
    await here.registrations.create(SOURCE, CORE)
    with pytest.raises(NgsiLdError) as caught:
        await there.registrations.create(SOURCE, CORE)
    assert caught.value.kind == "AlreadyExists", "the store knows, before the process does"
    await there.registrations.catch_up()
    await there.registrations.update("urn:r:1", {"endpoint": "http://b.example"}, CORE)
    await here.registrations.catch_up()
    assert here.registrations.get("urn:r:1").endpoint == "http://b.example"
    here.registrations.count("urn:r:1", good=True)
    await there.registrations.delete("urn:r:1")
    store[0].write(here.registrations.save_in).result(10)
    await here.registrations.catch_up()
    assert here.registrations.list_active() == [], "a counter does not bring back what was deleted"


async def test_subscribers_are_told_once(store: tuple[Store, ManualClock]) -> None:
    here, there = Process(*store), Process(*store)
    await here.subscriptions.create(SUBSCRIPTION, CORE)
    with pytest.raises(NgsiLdError):
        await there.subscriptions.create(SUBSCRIPTION, CORE)
    await there.subscriptions.catch_up()
    await asyncio.gather(*(there.registrations.create({**SOURCE, "id": f"urn:r:{n}"}, CORE) for n in range(3)))
    await there.subscriptions.settle()
    await here.registrations.catch_up()
    await here.subscriptions.settle()
    for process in (here, there):
        await process.subscriptions.catch_up()
        assert process.subscriptions.get("urn:s:1").sent.times_sent == 3
    await here.subscriptions.delete("urn:s:1")
    await there.registrations.create({**SOURCE, "id": "urn:r:9"}, CORE)
    await there.subscriptions.settle()
    await there.subscriptions.catch_up()
    assert there.subscriptions.list_all() == []
