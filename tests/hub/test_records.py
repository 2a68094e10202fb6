"""Records on the embedded store: versions, idempotency, conflict, deadlines across restarts, who typed and who agreed."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from madang.hub.records import (
    DEADLINE_ATTEMPTS_MAX,
    BadArguments,
    Forbidden,
    IdempotencyMismatch,
    NotAllowed,
    RecordNotFound,
    UnknownRecordType,
    VersionConflict,
    list_parked,
)
from madang.hub.stuck import retry
from madang.model.caller import SYSTEM, Caller
from madang.model.change import RECORD
from madang.model.time import DAY, HOUR, MINUTE, parse_instant
from madang.procedure.contract import Deadline
from tests.hub.record_bench import NOON, OTHER, WORKER, Bench, bench
from tests.procedure.toy import TICKET

ID = "urn:ngsi-ld:Ticket:T-2026-000001"


@pytest.fixture
def b(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path, [TICKET]) as made:
        yield made


def test_creating_writes_everything_at_once(b: Bench) -> None:
    record = b.create({"title": "Leak"})
    assert (record.id, record.state, record.version) == (ID, "OPEN", 1)
    with b.store.read() as read:
        assert read.find_record(ID) == record
        entity = read.find_entity(ID)
        assert entity is not None
        assert {n: a["value"] for n, a in entity.attributes.items()} == {
            "status": "OPEN",
            "version": 1,
            "number": "T-2026-000001",
            "title": "Leak",
        }
        assert read.list_deadlines(ID) == [Deadline("nag", NOON + HOUR, "nag", {"hours": 1})]
        sent = read.list_outbox_of(ID)
        assert [(o.channel, o.to, o.reason, o.idempotency_key) for o in sent] == [
            ("console", "group:desk", {"code": "toy.opened", "params": {"title": "Leak"}}, f"{ID}/1/0")
        ]
        assert read.list_records_by("Ticket", "title", "Leak") == [record]
        change = read.read_log(0, 10)[0]
        assert (change.kind, change.entity_id, change.source) == (RECORD, ID, "token:kim")
        assert change.transition is not None
        assert change.transition.action == "open"


def test_numbers_run_per_year_of_the_calendar_in_seoul(b: Bench) -> None:
    b.clock.at = parse_instant("2026-12-31T14:59:59Z")  # a second before New Year in Seoul
    assert b.create({"title": "a"}).data["number"] == "T-2026-000001"
    b.clock.at = parse_instant("2026-12-31T15:00:00Z")
    assert b.create({"title": "b"}).data["number"] == "T-2027-000001"


def test_a_refused_request_uses_up_no_number(b: Bench) -> None:
    with pytest.raises(BadArguments):
        b.create({})
    assert b.create({"title": "a"}).id == ID


def test_versions_and_trail_are_complete(b: Bench) -> None:
    b.create({"title": "Leak"})
    b.act(ID, "take", on_behalf_of="urn:ngsi-ld:AgriFarm:F1")
    b.act(ID, "note", {"text": "hello"}, caller=OTHER)
    b.clock.at += DAY
    b.act(ID, "close")
    with b.store.read() as read:
        versions = read.list_versions(ID)
    trail = [
        (
            v.transition.version,
            v.transition.action,
            v.transition.actor,
            v.transition.on_behalf_of,
            v.transition.to_state,
        )
        for v in versions
    ]
    assert trail == [
        (1, "open", "token:kim", None, "OPEN"),
        (2, "take", "token:kim", "urn:ngsi-ld:AgriFarm:F1", "TAKEN"),
        (3, "note", "token:lee", None, "TAKEN"),
        (4, "close", "token:kim", None, "CLOSED"),
    ]
    assert [v.at for v in versions] == [NOON, NOON, NOON, NOON + DAY]
    assert versions[0].record.data["takers"] == []  # earlier versions are never overwritten


def test_acting_for_oneself_is_nobody_elses_agreement(b: Bench) -> None:
    b.create({"title": "x"})
    b.act(ID, "take", on_behalf_of="token:kim")
    with b.store.read() as read:
        assert read.list_versions(ID)[1].transition.on_behalf_of is None


def test_a_conflict_says_what_changed_since(b: Bench) -> None:
    b.create({"title": "x"})
    b.act(ID, "take", caller=OTHER)
    with pytest.raises(VersionConflict) as caught:
        b.act(ID, "take", version=1)
    assert caught.value.current.version == 2
    assert [v.transition.action for v in caught.value.changed] == ["take"]
    assert b.act(ID, "take", version=2).version == 3


@pytest.mark.parametrize("version", [0, -1, 99])
def test_a_version_that_never_was_is_a_conflict(b: Bench, version: int) -> None:
    b.create({"title": "x"})
    with pytest.raises(VersionConflict):
        b.act(ID, "take", version=version)


def test_quiet_actions_put_nobody_in_conflict(b: Bench) -> None:
    b.create({"title": "x"})
    b.act(ID, "note", {"text": "a"}, caller=OTHER)
    assert b.act(ID, "take", version=1).version == 3


def test_errors_name_what_is_wrong_and_change_nothing(b: Bench) -> None:
    b.create({"title": "x"})
    with pytest.raises(RecordNotFound):
        b.act("urn:ngsi-ld:Ticket:none", "take")
    with pytest.raises(UnknownRecordType):
        b.records.create(WORKER, "Tocket", "open", {}).result(5)
    with pytest.raises(NotAllowed) as refused:
        b.act(ID, "close")
    assert [r.code for r in refused.value.reasons] == ["procedure.wrong-state"]
    with pytest.raises(BadArguments) as bad:
        b.act(ID, "note", {"text": "x" * 21, "color": 1})
    assert [(e.name, e.reason.code) for e in bad.value.errors] == [
        ("color", "argument.unknown"),
        ("text", "argument.too-long"),
    ]
    nobody = Caller("token:none", "viewer", frozenset())
    with pytest.raises(Forbidden) as forbidden:
        b.act(ID, "take", caller=nobody, version=77)
    assert forbidden.value.permission == "ticket.work"
    with pytest.raises(Forbidden):
        b.records.create(nobody, "Ticket", "open", {"title": "x"}).result(5)
    with pytest.raises(NotAllowed):
        b.act(ID, "fly")
    with pytest.raises(NotAllowed):
        b.create({"title": "y"}, id_=ID)
    with pytest.raises(BadArguments):
        b.act(ID, "take", on_behalf_of="x" * 600)
    assert b.get(ID).version == 1


# --- idempotency ---


def test_the_same_key_and_request_give_the_same_answer_also_after_a_restart(b: Bench) -> None:
    first = b.create({"title": "x"}, idempotency_key="k1")
    taken = b.act(ID, "take", version=1, idempotency_key="k2")
    b.reopen()
    assert b.create({"title": "x"}, idempotency_key="k1") == first
    assert b.act(ID, "take", version=1, idempotency_key="k2") == taken
    assert b.get(ID).version == 2
    with b.store.read() as read:
        assert len(read.list_records("Ticket")) == 1


def test_the_same_key_with_another_request_is_an_error(b: Bench) -> None:
    b.create({"title": "x"}, idempotency_key="k1")
    with pytest.raises(IdempotencyMismatch):
        b.create({"title": "y"}, idempotency_key="k1")


def test_a_key_belongs_to_one_caller(b: Bench) -> None:
    b.create({"title": "x"}, idempotency_key="k1")
    other = b.records.create(OTHER, "Ticket", "open", {"title": "x"}, idempotency_key="k1").result(5)
    assert other.id != ID


def test_a_refused_request_keeps_no_answer(b: Bench) -> None:
    b.create({"title": "x"})
    with pytest.raises(NotAllowed):
        b.act(ID, "close", idempotency_key="k")
    b.act(ID, "take")
    assert b.act(ID, "close", idempotency_key="k").state == "CLOSED"


@pytest.mark.parametrize("key", ["", "x" * 201])
def test_a_key_has_a_length(b: Bench, key: str) -> None:
    with pytest.raises(BadArguments):
        b.create({"title": "x"}, idempotency_key=key)


# --- what follows from an action ---


def test_opened_records_are_named_after_their_cause(b: Bench) -> None:
    b.create({"title": "x"})
    b.act(ID, "split")
    with b.store.read() as read:
        ids = [r.id for r in read.list_records("Ticket")]
    assert ids == [ID, "urn:ngsi-ld:Ticket:T-2026-000001.2.0", "urn:ngsi-ld:Ticket:T-2026-000001.2.1"]


def test_onward_actions_commit_together_or_not_at_all(b: Bench) -> None:
    b.create({"title": "x"})
    other = b.create({"title": "y"})
    b.act(ID, "split", {"tell": [other.id, other.id]})
    assert b.get(other.id).version == 3  # told twice, on top of each other
    b.act(other.id, "take")
    b.act(other.id, "close")
    with pytest.raises(NotAllowed):
        b.act(ID, "split", {"tell": [other.id]})
    assert b.get(ID).version == 2
    with b.store.read() as read:
        assert len(read.list_records("Ticket")) == 4  # x, y, and the two parts of the first split


def test_one_action_cannot_touch_the_world(b: Bench) -> None:
    b.create({"title": "x"})
    other = b.create({"title": "y"})
    with pytest.raises(RuntimeError, match="more than 64"):
        b.act(ID, "split", {"tell": [other.id] * 80})
    assert b.get(other.id).version == 1


# --- deadlines ---


def test_a_deadline_fires_once_at_its_time(b: Bench) -> None:
    b.create({"title": "x"})
    b.clock.at = NOON + HOUR - 1
    assert b.fire() == 0
    b.clock.at = NOON + HOUR
    assert b.fire() == 1
    assert b.fire() == 0
    with b.store.read() as read:
        last = read.list_versions(ID)[-1].transition
    assert (last.action, last.actor, last.arguments, last.version) == ("nag", "system", {"hours": 1}, 2)


def test_a_deadline_that_passed_while_the_city_was_down_fires_once_after_the_restart(b: Bench) -> None:
    b.create({"title": "x"})
    b.reopen()
    b.clock.at = NOON + 30 * DAY
    assert [b.fire(), b.fire()] == [1, 0]
    b.reopen()
    assert b.fire() == 0
    assert b.get(ID).version == 2


def test_a_clock_that_jumps_back_fires_nothing_twice(b: Bench) -> None:
    b.create({"title": "x"})
    b.clock.at = NOON + 2 * HOUR
    assert b.fire() == 1
    b.clock.at = NOON - DAY
    assert b.fire() == 0
    b.clock.at = NOON + 3 * HOUR
    assert b.fire() == 0


def test_a_cancelled_deadline_never_fires_and_a_final_state_cancels_all(b: Bench) -> None:
    b.create({"title": "x"})
    b.act(ID, "take")  # cancels the nag
    b.store.write(lambda tx: tx.set_deadline(ID, Deadline("other", NOON + DAY, "note", {}))).result(5)
    b.act(ID, "close")
    b.clock.at = NOON + 9 * DAY
    assert b.fire() == 0


def test_a_deadline_that_is_no_longer_allowed_is_dropped(b: Bench) -> None:
    b.create({"title": "x"})
    b.store.write(lambda tx: tx.set_deadline(ID, Deadline("odd", NOON, "close", {}))).result(5)
    b.store.write(lambda tx: tx.set_deadline("urn:gone", Deadline("odd", NOON, "close", {}))).result(5)
    assert b.fire() == 2
    assert b.fire() == 0
    assert b.get(ID).version == 1


def test_a_failing_deadline_waits_longer_each_time_is_parked_and_stops_nobody(b: Bench) -> None:
    b.create({"title": "x"})
    b.store.write(lambda tx: tx.set_deadline(ID, Deadline("bad", NOON, "break", {}))).result(5)
    waits = []
    for _ in range(DEADLINE_ATTEMPTS_MAX - 1):
        assert b.fire() >= 1
        with b.store.read() as read:
            due = next(d.due_at for d in read.list_deadlines(ID) if d.name == "bad")
        waits.append((due - b.clock.at) // MINUTE)
        b.clock.at = due
    assert waits == [1, 2, 4, 8, 16, 32, 60]
    b.fire()
    assert b.get(ID).version == 2  # the nag of the same record came through meanwhile
    with b.store.read() as read:
        parked = list_parked(read)
        assert read.list_deadlines(ID) == []
    assert [(p.record_id, p.deadline.name, p.attempts) for p in parked] == [(ID, "bad", DEADLINE_ATTEMPTS_MAX)]
    assert "a faulty effect" in parked[0].error
    with pytest.raises(Forbidden):
        retry(b.store, WORKER, f"deadline|{ID}|bad")
    assert retry(b.store, SYSTEM, f"deadline|{ID}|bad").result(5) == "again"
    assert retry(b.store, SYSTEM, f"deadline|{ID}|bad").result(5) == "not-stuck"
    with b.store.read() as read:
        assert [d.name for d in read.list_deadlines(ID)] == ["bad"]
        assert list_parked(read) == []


def test_many_due_deadlines_come_in_portions(b: Bench) -> None:
    for n in range(7):
        b.create({"title": f"x{n}"})
    b.clock.at = NOON + HOUR
    assert [b.fire(3), b.fire(3), b.fire(3), b.fire(3)] == [3, 3, 1, 0]


# --- many at once ---


def test_concurrent_actions_on_one_version_let_exactly_one_through(b: Bench) -> None:
    b.create({"title": "x"})
    results: list[str] = []

    def attempt(n: int) -> None:
        caller = Caller(f"token:{n}", "worker", WORKER.permissions)
        try:
            b.records.act(caller, ID, "take", {}, version=1).result(10)
            results.append("done")
        except VersionConflict:
            results.append("conflict")

    threads = [threading.Thread(target=attempt, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["conflict"] * 7 + ["done"]
    assert b.get(ID).version == 2


def test_buttons_for_a_caller(b: Bench) -> None:
    record = b.create({"title": "x"})
    with b.store.read() as read:
        views = b.records.list_actions(read, WORKER, record)
    assert [(v.action.name, v.allowed) for v in views] == [("take", True), ("note", True), ("split", True)]
    with pytest.raises(ValueError, match="same name"):
        type(b.records)(b.store, b.clock, [TICKET, TICKET], lambda r, n: None)
    assert b.records.list_types() == [TICKET]
