"""The keyed runner: order, timers, outputs until committed, paused keys, bounded memory."""

from madang.flow import runner as runner_module
from madang.flow.memory_ref import MemoryRef
from madang.flow.runner import Runner
from madang.model.change import CLOCK, READING, Change
from madang.model.entity import prop
from madang.model.time import SECOND
from tests.flow.counting import Counting

T0 = 1_795_400_000 * SECOND


def change(seq: int, thing: str = "a", n: int = 0, at: int | None = None) -> Change:
    time = T0 + seq * SECOND if at is None else at
    return Change(seq, READING, time, time, f"urn:{thing}", "Thing", {"n": prop(n)})


def mark(seq: int, at: int) -> Change:
    return Change(seq, CLOCK, at, at)


def make(stored: dict[str, bytes] | None = None, **options) -> Runner:
    kept = stored if stored is not None else {}
    return Runner([Counting()], MemoryRef(), lambda d, keys: {k: kept[k] for k in keys if k in kept}, **options)


def rules(runner: Runner) -> list[tuple[str, str, int]]:
    return [(o.finding.rule, o.key, o.seq) for o in runner.take().outputs if o.finding is not None]


def test_01_every_third_of_each_key() -> None:
    runner = make()
    for seq in range(1, 7):
        runner.advance(change(seq, "ab"[seq % 2]))
    assert rules(runner) == [("t.third", "urn:b", 5), ("t.third", "urn:a", 6)]
    assert [o.id for o in runner.take().outputs] == [
        "t.counting/urn:b/5/0",
        "t.counting/urn:b/5/1",
        "t.counting/urn:a/6/0",
        "t.counting/urn:a/6/1",
    ]


def test_02_outputs_stay_until_they_are_committed() -> None:
    runner = make()
    for seq in range(1, 4):
        runner.advance(change(seq))
    first = runner.take()
    assert len(first.outputs) == len(runner.take().outputs) == 2
    runner.committed(first)
    assert not runner.take().outputs
    assert runner.take().states == []


def test_03_timer_fires_in_log_time_once_and_before_the_change_that_reached_it() -> None:
    runner = make()
    runner.advance(change(1))
    runner.advance(mark(2, T0 + 60 * SECOND))
    assert rules(runner) == [], "61 s of log time have not passed"
    runner.advance(change(3, "other", at=T0 + 61 * SECOND))
    runner.advance(mark(4, T0 + 300 * SECOND))
    assert rules(runner) == [("t.silent", "urn:a", 3), ("t.silent", "urn:other", 4)]


def test_04_a_later_reading_moves_the_timer() -> None:
    runner = make()
    runner.advance(change(1))
    runner.advance(change(2, at=T0 + 50 * SECOND))
    runner.advance(mark(3, T0 + 100 * SECOND))
    assert rules(runner) == []
    runner.advance(mark(4, T0 + 110 * SECOND))
    assert rules(runner) == [("t.silent", "urn:a", 4)]


def test_05_restart_from_the_committed_states_continues_identically() -> None:
    whole, part = make(), make()
    changes = [change(seq, "abc"[seq % 3]) for seq in range(1, 30)] + [mark(30, T0 + 500 * SECOND)]
    for one in changes:
        whole.advance(one)
    for one in changes[:13]:
        part.advance(one)
    snapshot = part.take()
    stored = {key: document for _, key, document, _ in snapshot.states}
    wakes = [(wake, detector, key) for detector, key, _, wake in snapshot.states if wake is not None]
    again = make(stored, seq=snapshot.seq, wakes=wakes)
    for one in changes[13:]:
        again.advance(one)
    assert [o.id for o in snapshot.outputs] + [o.id for o in again.take().outputs] == [
        o.id for o in whole.take().outputs
    ]


def test_06_a_failing_key_stands_still_and_the_others_go_on() -> None:
    runner = make()
    runner.advance(change(1))
    runner.committed(runner.take())
    runner.advance(change(2))
    runner.advance(change(3, n=13))
    for seq in range(4, 10):
        runner.advance(change(seq, "ab"[seq % 2]))
    (pause,) = runner.list_paused()
    assert (pause.key, pause.from_seq, pause.error) == ("urn:a", 2, "ValueError: unlucky number")
    assert rules(runner) == [("t.third", "urn:b", 9)]
    assert [key for _, key, _, _ in runner.take().states] == ["urn:b"], "the half-changed state is not kept"


def test_07_states_in_memory_are_bounded_and_come_back_from_the_store(monkeypatch) -> None:
    monkeypatch.setattr(runner_module, "STATES_MAX", 10)
    stored: dict[str, bytes] = {}
    runner = make(stored)
    for round_ in range(3):
        for n in range(50):
            runner.advance(change(1 + round_ * 50 + n, f"t{n}", at=T0))
            snapshot = runner.take()
            stored.update({key: document for _, key, document, _ in snapshot.states if document})
            if round_ < 2:
                runner.committed(snapshot)
    assert runner.figures()["keys_in_memory"] <= 60
    assert len(rules(runner)) == 50, "all counted to three although most were let go in between"
