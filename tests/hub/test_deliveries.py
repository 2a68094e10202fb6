"""Deliveries: at least once, in order, with one id; no receiver slows another; what fails is tried again or listed, never gone."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from madang.hub import deliveries as module
from madang.hub import matcher as matcher_module
from madang.model.time import HOUR
from madang.ngsild.context import CORE
from tests.hub.notify_bench import ADMIN, Bench, refuse, uri_of


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(module, "STOP_GRACE_S", 0.1)
    made = Bench(tmp_path)
    await made.deliveries.start(match=False)
    yield made
    await made.deliveries.stop()
    made.close()


def numbers(bench: Bench, name: str) -> list[float]:
    return [item["n"]["value"] for item in bench.receivers.data(uri_of(name))]


async def until(condition: Any, timeout_s: float = 5.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - a test looks from outside
            await asyncio.sleep(0.005)


async def test_a_notification_and_its_headers(bench: Bench) -> None:
    info = [{"key": "X-City", "value": "Seoul"}]
    definition = await bench.subscribe("a", notification={"endpoint": {"uri": uri_of("a"), "receiverInfo": info}})
    bench.value(1)
    await bench.deliver()
    (notification,), (headers,) = bench.receivers.got[uri_of("a")], bench.receivers.headers[uri_of("a")]
    assert notification["type"] == "Notification" and notification["subscriptionId"] == definition.id
    assert notification["data"] == [{"id": "urn:ngsi-ld:Room:1", "type": "Room", "n": {"type": "Property", "value": 1}}]
    assert headers["Idempotency-Key"] == notification["id"] and headers["X-City"] == "Seoul"
    assert headers["Content-Type"] == "application/json" and "json-ld#context" in headers["Link"]
    sent = bench.hub.subscriptions.delivered[definition.id].sent
    assert (sent.times_sent, sent.times_failed, sent.failed, sent.last_success) == (1, 0, False, bench.clock.now())
    bench.assert_accounted()


async def test_what_fails_is_tried_again_with_the_same_id_and_order_is_kept(bench: Bench) -> None:
    await bench.subscribe("a")
    ids: list[str] = []
    failures = iter([503, None, 500])

    def act() -> None:
        status = next(failures, "fine")
        if status != "fine":
            refuse(status)()  # type: ignore[arg-type]

    bench.receivers.acts[uri_of("a")] = act
    for number in range(5):
        bench.value(number)
    await bench.deliver()
    ids = [notification["id"] for notification in bench.receivers.got[uri_of("a")]]
    assert numbers(bench, "a") == [0, 1, 2, 3, 4] and len(set(ids)) == 5
    assert bench.receivers.headers[uri_of("a")][0]["Madang-Attempt"] == "4"
    sent = bench.hub.subscriptions.delivered["urn:s:a"].sent
    assert (sent.times_sent, sent.times_failed, sent.failed) == (8, 3, False)
    bench.assert_accounted()


async def test_a_dead_and_a_slow_receiver_slow_nobody_else(bench: Bench) -> None:
    bench.receivers.acts[uri_of("dead")] = refuse(None)
    bench.receivers.acts[uri_of("slow")] = lambda: asyncio.sleep(60)
    for name in ("dead", "slow", "well"):
        await bench.subscribe(name)
    for number in range(20):
        bench.value(number)
    await asyncio.to_thread(bench.matcher.settle)
    await until(lambda: len(numbers(bench, "well")) == 20)
    assert len(bench.rows("dead")) == len(bench.rows("slow")) == 20
    bench.assert_accounted()


async def test_a_receiver_that_comes_back_misses_nothing(bench: Bench) -> None:
    await bench.subscribe("a")
    for number in range(3):
        bench.value(number)
    await bench.deliver()
    bench.receivers.acts[uri_of("a")] = refuse(None)
    for number in range(3, 400):  # More than a lane holds in memory.
        bench.value(number)
    await asyncio.to_thread(bench.matcher.settle)
    await until(lambda: bench.deliveries.is_resting("urn:s:a"))
    assert bench.rows("a", "dead") == []
    del bench.receivers.acts[uri_of("a")]
    await bench.deliver()
    assert numbers(bench, "a") == list(range(400)) and not bench.deliveries.is_resting("urn:s:a")
    bench.assert_accounted()


async def test_what_is_refused_is_listed_and_can_be_sent_again(bench: Bench) -> None:
    definition = await bench.subscribe("a")
    bench.receivers.acts[uri_of("a")] = refuse(422)
    bench.value(1)
    await bench.deliver()
    (row,) = bench.rows("a", "dead")
    assert row.error == "no" and bench.receivers.attempts[uri_of("a")] == 1
    del bench.receivers.acts[uri_of("a")]
    bench.value(2)
    await bench.deliver()
    assert numbers(bench, "a") == [2]
    assert await bench.deliveries.revive(definition, [row.no, 999]) == 1
    await bench.deliver()
    assert numbers(bench, "a") == [2, 1] and bench.rows("a", "dead") == []
    bench.assert_accounted()


async def test_an_error_of_a_living_receiver_does_not_hold_the_queue_forever(bench: Bench) -> None:
    await bench.subscribe("a")
    seen: list[int] = []

    def act() -> None:
        seen.append(1)
        if len(seen) <= module.ATTEMPTS_MAX:
            refuse(500)()

    bench.receivers.acts[uri_of("a")] = act
    bench.value(1)
    bench.value(2)
    await bench.deliver()
    assert numbers(bench, "a") == [2] and [row.events for row in bench.rows("a", "dead")] == [1]
    bench.assert_accounted()


async def test_after_a_day_without_a_receiver_it_is_listed(bench: Bench) -> None:
    await bench.subscribe("a")
    bench.receivers.acts[uri_of("a")] = refuse(None)
    bench.value(1)
    await asyncio.to_thread(bench.matcher.settle)
    await until(lambda: bench.receivers.attempts[uri_of("a")] > 2)
    assert bench.rows("a", "dead") == []
    bench.clock.set(bench.clock.now() + 25 * HOUR)
    await until(lambda: bench.rows("a", "dead") != [])
    bench.assert_accounted()


async def test_overflow_is_listed_and_made_again_from_the_log(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matcher_module, "QUEUE_MAX", 2)
    definition = await bench.subscribe("a")
    bench.receivers.acts[uri_of("a")] = refuse(None)
    for number in range(6):
        bench.value(number)
    await asyncio.to_thread(bench.matcher.settle)
    (row,) = bench.rows("a", "dead")
    assert row.events == 4
    bench.assert_accounted()
    del bench.receivers.acts[uri_of("a")]
    await bench.deliver()
    monkeypatch.setattr(matcher_module, "QUEUE_MAX", 100)
    assert await bench.deliveries.revive(definition, [row.no]) == 4
    await bench.deliver()
    assert numbers(bench, "a") == [0, 1, 2, 3, 4, 5] and bench.rows("a", "dead") == []
    bench.assert_accounted()


async def test_replay_and_discard(bench: Bench) -> None:
    definition = await bench.subscribe("a", q="n>2")
    changes = [bench.value(number) for number in range(6)]
    await bench.deliver()
    again = await bench.deliveries.replay(definition, changes[1].seq, changes[4].seq)
    assert (again.events, again.to_seq, again.is_complete) == (2, changes[4].seq, True)
    await bench.deliver()
    assert numbers(bench, "a") == [3, 4, 5, 3, 4]
    bench.receivers.acts[uri_of("a")] = refuse(410)
    bench.value(7)
    await bench.deliver()
    (row,) = bench.rows("a", "dead")
    assert await bench.deliveries.discard(definition.id, [row.no]) == 1
    assert bench.rows("a", "dead") == []
    bench.assert_accounted()


async def test_a_paused_subscription_keeps_what_waits_and_a_deleted_one_does_not(bench: Bench) -> None:
    await bench.subscribe("a")
    bench.receivers.acts[uri_of("a")] = refuse(None)
    bench.value(1)
    await asyncio.to_thread(bench.matcher.settle)
    await bench.hub.subscriptions.update(ADMIN, "urn:s:a", {"isActive": False}, CORE)
    await asyncio.sleep(0.05)
    before = bench.receivers.attempts[uri_of("a")]
    await asyncio.sleep(0.1)
    assert bench.receivers.attempts[uri_of("a")] == before and len(bench.rows("a")) == 1
    del bench.receivers.acts[uri_of("a")]
    await bench.hub.subscriptions.update(ADMIN, "urn:s:a", {"isActive": True}, CORE)
    await bench.deliver()
    assert numbers(bench, "a") == [1]
    bench.receivers.acts[uri_of("a")] = refuse(None)
    bench.value(2)
    await asyncio.to_thread(bench.matcher.settle)
    await bench.hub.subscriptions.delete(ADMIN, "urn:s:a")
    assert bench.rows("a") == [] and not bench.matcher.waiting


async def test_outcomes_that_were_not_kept_come_again_after_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies after the receiver said yes and before that was committed: it comes again, under the same id."""
    first = Bench(tmp_path)
    await first.deliveries.start(match=False)
    await first.subscribe("a")
    monkeypatch.setattr(module, "SETTLE_S", 60.0)
    await asyncio.sleep(0.05)
    first.value(1)
    first.value(2)
    await asyncio.to_thread(first.matcher.settle)
    await until(lambda: len(numbers(first, "a")) == 2)
    first.deliveries._outcomes.clear()  # As a kill does.
    await first.deliveries.stop()
    first.close()
    monkeypatch.undo()
    second = Bench(tmp_path)
    await second.deliveries.start(match=False)
    await second.deliver()
    assert numbers(second, "a") == [1, 2]
    assert [n["id"] for n in second.receivers.got[uri_of("a")]] == [n["id"] for n in first.receivers.got[uri_of("a")]]
    second.assert_accounted()
    await second.deliveries.stop()
    second.close()


async def test_no_sender_for_an_address_is_said(bench: Bench) -> None:
    await bench.subscribe("a", notification={"endpoint": {"uri": "mqtt://broker.example/t"}})
    bench.value(1)
    await asyncio.to_thread(bench.matcher.settle)
    await until(lambda: bench.deliveries.is_resting("urn:s:a"))
    assert len(bench.rows("a")) == 1
