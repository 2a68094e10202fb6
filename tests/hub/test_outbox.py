"""The outbox on the embedded store: at least once, with retries, and no receiver slows another."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from madang.hub import outbox as module
from madang.hub.outbox import ATTEMPTS_MAX, STARTED, ConsoleSender, FileSender, OutboxWorker, Outgoing, SendFailed
from madang.hub.ports import OutboxRow
from madang.hub.record_errors import Forbidden
from madang.hub.stuck import retry
from madang.model.caller import SYSTEM
from madang.model.time import HOUR, SECOND
from tests.hub.record_bench import NOON, WORKER, ToldClock
from tests.stores.any_store import open_any


class Wire:
    """A sender that does what the test says, per receiver."""

    timeout_s = 0.2

    def __init__(self) -> None:
        self.got: list[Outgoing] = []
        self.acts: dict[str, Callable[[], Any]] = {}
        self.at_once: dict[str, int] = {}
        self.most: dict[str, int] = {}

    def receiver(self, to: str) -> str:
        return to

    async def send(self, message: Outgoing) -> None:
        to = message.to
        self.at_once[to] = self.at_once.get(to, 0) + 1
        self.most[to] = max(self.most.get(to, 0), self.at_once[to])
        try:
            self.got.append(message)
            act = self.acts.get(to)
            if act is not None and asyncio.iscoroutine(waiting := act()):
                await waiting
        finally:
            self.at_once[to] -= 1


class Post:
    """A store, a clock, a wire and a worker that is stepped by hand."""

    def __init__(self, folder: Path) -> None:
        self.clock = ToldClock()
        self.store = open_any(folder, self.clock, durable=False)
        self.wire = Wire()
        self.worker = OutboxWorker(self.store, self.clock, {"sms": self.wire}, random.Random(7).random)

    def put(self, to: str, count: int = 1, channel: str = "sms") -> None:
        def op(tx: Any) -> None:
            have = len(tx.list_outbox("due", 100_000)) + len(tx.list_outbox("sent", 100_000))
            for n in range(count):
                tx.put_outbox("urn:r", channel, to, {"code": "x", "params": {"n": n}}, f"key-{to}-{have + n}")

        self.store.write(op).result(10)

    async def step(self) -> int:
        """One round, to its end."""
        began = await self.worker.start_due()
        await self.worker.drain(5)
        return began

    def rows(self, state: str) -> list[OutboxRow]:
        with self.store.read() as read:
            return read.list_outbox(state, 100_000)


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    made = Post(tmp_path)
    yield made
    made.store.close()


def _fail(text: str = "busy", permanent: bool = False) -> Callable[[], Any]:
    def act() -> None:
        raise SendFailed(text, permanent=permanent)

    return act


async def test_a_message_goes_out_once_with_its_key(post: Post) -> None:
    post.put("kim")
    assert [await post.step(), await post.step()] == [1, 0]
    message = post.wire.got[0]
    assert (message.to, message.idempotency_key, message.attempt, message.repeat) == ("kim", "key-kim-0", 1, False)
    assert [(r.state, r.attempts) for r in post.rows("sent")] == [("sent", 1)]
    assert post.worker.counts == {"sent": 1, "failed": 0, "dead": 0}


async def test_the_start_of_an_attempt_is_committed_before_it(post: Post) -> None:
    post.put("kim")
    seen: list[tuple[str, str, int]] = []

    def look() -> None:
        seen.extend((r.state, r.error, r.attempts) for r in post.rows("due"))

    post.wire.acts["kim"] = look
    await post.step()
    assert seen == [("due", STARTED, 1)]


async def test_after_a_crash_in_the_middle_it_goes_again_marked_as_a_repeat(post: Post) -> None:
    post.put("kim")
    post.store.write(lambda tx: tx.mark_outbox(1, "due", tx.now, STARTED, 1)).result(5)  # what a dead process left
    await post.step()
    assert [(m.attempt, m.repeat, m.idempotency_key) for m in post.wire.got] == [(2, True, "key-kim-0")]


async def test_waits_double_with_jitter_and_the_end_is_dead(post: Post) -> None:
    post.put("kim")
    post.wire.acts["kim"] = _fail("gateway says no")
    waits = []
    while not post.rows("dead"):
        assert await post.step() == 1
        due = post.rows("due")
        if due:
            receiver = post.worker._receivers["sms|kim"]
            waits.append((due[0].next_at - post.clock.at) / SECOND)
            post.clock.at = max(due[0].next_at, receiver.rest_until)
    longest = [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600]
    assert len(waits) == ATTEMPTS_MAX - 1
    assert all(most / 2 <= wait <= most for wait, most in zip(waits, longest, strict=True))
    assert len(set(round(w / m, 3) for w, m in zip(waits, longest, strict=True))) > 5  # spread, not all alike
    dead = post.rows("dead")[0]
    assert (dead.attempts, dead.error) == (ATTEMPTS_MAX, "gateway says no")
    with pytest.raises(Forbidden):
        retry(post.store, WORKER, f"message|urn:r|{dead.id}")
    answers = [retry(post.store, SYSTEM, f"message|urn:r|{dead.id}").result(5) for _ in range(2)]
    assert answers == ["again", "not-stuck"]
    del post.wire.acts["kim"]
    post.clock.at += HOUR
    await post.step()
    assert [r.attempts for r in post.rows("sent")] == [1]


@pytest.mark.parametrize(
    ("act", "state", "error"),
    [
        (_fail("unknown number", True), "dead", "unknown number"),
        (lambda: asyncio.sleep(30), "due", "no answer within 0.2 s; it may have arrived"),
        (lambda: 1 / 0, "due", "ZeroDivisionError: division by zero"),
    ],
)
async def test_how_an_attempt_may_fail(post: Post, act: Callable[[], Any], state: str, error: str) -> None:
    post.put("kim")
    post.wire.acts["kim"] = act
    await post.step()
    assert [(r.error, r.attempts) for r in post.rows(state)] == [(error, 1)]


async def test_a_channel_without_sender_is_dead_and_says_what_to_do(post: Post) -> None:
    post.put("kim", channel="pigeon")
    assert await post.step() == 0
    assert "configure a sender" in post.rows("dead")[0].error


async def test_a_slow_receiver_slows_nobody(post: Post) -> None:
    post.put("slow", 40)
    post.put("quick", 40)
    post.wire.acts["slow"] = lambda: asyncio.sleep(30)
    async with asyncio.timeout(20):  # the slow one's first attempt alone takes longer
        while sum(1 for m in post.wire.got if m.to == "quick") < 40:
            await post.worker.start_due()
            await asyncio.sleep(0.005)
    assert post.wire.most["slow"] == module.RUNNING_PER_RECEIVER_MAX
    await post.worker.drain(5)


async def test_a_dead_receiver_is_left_alone_and_tried_with_one(post: Post) -> None:
    post.put("dead", 30)
    post.wire.acts["dead"] = _fail()
    await post.step()
    assert len(post.wire.got) == 4
    await post.step()
    assert len(post.wire.got) == 4  # it rests
    post.clock.at += HOUR
    await post.step()
    assert len(post.wire.got) == 5  # one message tries
    del post.wire.acts["dead"]
    post.clock.at += 2 * HOUR
    await post.step()
    await post.step()
    assert len([m for m in post.wire.got]) == 10  # one that arrived, then four at once again


async def test_ten_thousand_messages_to_a_dead_receiver_do_not_hide_one(post: Post, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "ROWS_MAX", 20)
    post.put("dead", 200)
    post.wire.acts["dead"] = _fail()
    post.clock.at = NOON + SECOND
    post.put("quick")
    for _ in range(15):
        await post.step()
    assert [m.to for m in post.wire.got if m.to == "quick"] == ["quick"]
    assert len(post.rows("due")) == 200


async def test_running_and_stopping(post: Post) -> None:
    task = asyncio.create_task(post.worker.run())
    post.put("kim", 3)
    for _ in range(200):
        if len(post.rows("sent")) == 3:
            break
        await asyncio.sleep(0.01)
    post.worker.stop()
    post.worker.stop()
    await asyncio.wait_for(task, 5)
    assert len(post.rows("sent")) == 3


async def test_the_console_only_stores(post: Post) -> None:
    worker = OutboxWorker(post.store, post.clock, {"console": ConsoleSender()})
    post.put("group:control-room", channel="console")
    await worker.start_due()
    await worker.drain(5)
    assert len(post.rows("sent")) == 1


class _Echo:
    def say(self, reason: Any, lang: str) -> str:
        return f"{lang}:{reason['code']}"


async def test_the_file_gets_one_line_a_message_in_both_languages(post: Post, tmp_path: Path) -> None:
    folder = tmp_path / "outbox"
    worker = OutboxWorker(post.store, post.clock, {"sms": FileSender(folder, _Echo())})
    post.put("kim")
    path = folder / "sms-20261123.jsonl"
    folder.mkdir()
    path.write_text('{"cut off by a cra', encoding="utf-8")
    await worker.start_due()
    await worker.drain(5)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == '{"cut off by a cra'
    assert json.loads(lines[1]) == {
        "at": "2026-11-23T03:00:00Z",
        "channel": "sms",
        "to": "kim",
        "text": {"ko": "ko:x", "en": "en:x"},
        "code": "x",
        "params": {"n": 0},
        "record": "urn:r",
        "key": "key-kim-0",
        "attempt": 1,
        "repeat": False,
    }


async def test_a_file_that_cannot_be_written_is_tried_again(post: Post, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    worker = OutboxWorker(post.store, post.clock, {"sms": FileSender(blocked, _Echo())})
    post.put("kim")
    await worker.start_due()
    await worker.drain(5)
    assert "cannot be written" in post.rows("due")[0].error
