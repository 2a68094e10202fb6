"""decide, allowed_actions: on a small ticket whose every cell was worked out by hand."""

import pytest

from madang.model.finding import Reason
from madang.model.record import Record
from madang.model.time import HOUR
from madang.procedure.contract import Context, Deadline, Effect, RecordType
from madang.procedure.engine import BrokenProcedure, Decision, Refusal, allowed_actions, decide
from tests.procedure.toy import TICKET, action, both, free

NOW = 1_795_400_049_000_000
WORKER = frozenset({"ticket.work"})


class NoRefs:
    def find(self, id_: str) -> None:
        return None

    def find_record(self, id_: str) -> None:
        return None

    def list_records_by(self, type_: str, name: str, value: str) -> list[Record]:
        return []

    def parameter(self, name: str) -> None:
        raise LookupError(name)


def context(actor: str = "token:kim", permissions: frozenset[str] = WORKER, behalf: str | None = None) -> Context:
    return Context(actor, behalf, NOW, NoRefs(), permissions, number="T-2026-000001")


def ticket(state: str = "OPEN", **data: object) -> Record:
    return Record("urn:ngsi-ld:Ticket:1", "Ticket", state, 4, {"takers": [], **data}, 5, 6)


def test_creating_makes_version_1_with_all_that_follows() -> None:
    decision = decide(TICKET, None, "open", {"title": "Leak"}, context(behalf="urn:x:lee"), "urn:ngsi-ld:Ticket:9")
    assert isinstance(decision, Decision)
    assert decision.record == Record(
        "urn:ngsi-ld:Ticket:9",
        "Ticket",
        "OPEN",
        1,
        {"number": "T-2026-000001", "title": "Leak", "takers": []},
        NOW,
        NOW,
    )
    assert decision.transition.from_state is None
    assert (decision.transition.actor, decision.transition.on_behalf_of) == ("token:kim", "urn:x:lee")
    assert decision.effect.deadlines == (Deadline("nag", NOW + HOUR, "nag", {"hours": 1}),)
    assert not decision.cancels_all


def test_acting_makes_the_next_version_and_keeps_when_it_was_created() -> None:
    decision = decide(TICKET, ticket(), "take", {}, context())
    assert isinstance(decision, Decision)
    assert (decision.record.state, decision.record.version) == ("TAKEN", 5)
    assert (decision.record.created_at, decision.record.modified_at) == (5, NOW)


def test_a_final_state_cancels_every_deadline() -> None:
    decision = decide(TICKET, ticket("TAKEN"), "close", {}, context(permissions=frozenset({"*"})))
    assert isinstance(decision, Decision)
    assert decision.cancels_all


def test_every_state_and_action_of_the_table() -> None:
    allowed = {
        (state, row.name)
        for state in TICKET.procedure.states
        for row in TICKET.procedure.actions
        if row.name != "break"
        and isinstance(decide(TICKET, ticket(state), row.name, {}, context(permissions=frozenset({"*"}))), Decision)
    }
    assert allowed == {
        ("OPEN", "take"),
        ("OPEN", "note"),
        ("OPEN", "split"),
        ("OPEN", "nag"),
        ("TAKEN", "take"),
        ("TAKEN", "note"),
        ("TAKEN", "split"),
        ("TAKEN", "close"),
        ("CLOSED", "reopen"),
    }


@pytest.mark.parametrize(
    ("record", "name", "arguments", "expected"),
    [
        (ticket(), "fly", {}, Refusal(reasons=(Reason("procedure.unknown-action"),))),
        (ticket(), "open", {"title": "x"}, Refusal(reasons=(Reason("procedure.exists-already", {"state": "OPEN"}),))),
        (None, "take", {}, Refusal(reasons=(Reason("procedure.no-record"),))),
        (
            ticket("CLOSED"),
            "take",
            {},
            Refusal(reasons=(Reason("procedure.wrong-state", {"state": "CLOSED", "action": "take"}),)),
        ),
        (ticket("TAKEN"), "close", {}, Refusal(permission="ticket.close")),
        (
            ticket(takers=["token:kim", "b", "c"]),
            "take",
            {},
            Refusal(reasons=(Reason("toy.taken-by-you"), Reason("toy.enough"))),
        ),
    ],
)
def test_refusals_carry_every_reason(record: Record | None, name: str, arguments: dict, expected: Refusal) -> None:  # type: ignore[type-arg]
    assert decide(TICKET, record, name, arguments, context(), "urn:ngsi-ld:Ticket:9") == expected


def test_an_effect_that_breaks_its_table_is_the_authors_mistake() -> None:
    broken = RecordType(
        "B",
        both("b"),
        (),
        type(TICKET.procedure)(
            ("A", "B"), (), (action("x", ("A",), ("=",), guard=free, effect=lambda r, a, c: Effect({}, state="B")),)
        ),
    )
    with pytest.raises(BrokenProcedure, match=r"B\.x"):
        decide(broken, Record("urn:b", "B", "A", 1, {}, 0, 0), "x", {}, context())


def test_buttons_show_what_is_possible_next_and_why_not() -> None:
    views = allowed_actions(TICKET, ticket("TAKEN", takers=["token:kim"]), context())
    assert [(v.action.name, v.allowed, [r.code for r in v.reasons]) for v in views] == [
        ("take", False, ["toy.taken-by-you"]),
        ("note", True, []),
        ("split", True, []),
        ("close", False, ["procedure.no-permission"]),
    ]
