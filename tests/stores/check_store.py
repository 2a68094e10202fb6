"""The common check of every store: what `madang.hub.ports` promises, tried on the store that `make` gives.

`make(folder, clock)` opens a store on a folder; called again on the same folder it opens the same data. Run `check_store(make, folder)`
from a store's own test. Expected values are written out by hand; nothing is computed by the store under check.
"""

from pathlib import Path
from typing import Any

import pytest

from madang.hub.ports import StoreClosed, Tx
from madang.model.change import CLOCK, READING, RECORD, REFERENCE, Transition
from madang.model.entity import Reading, geo, point, prop, rel
from madang.model.record import Record
from madang.model.time import SECOND
from madang.ngsild.query import (
    And,
    Between,
    Compare,
    Contains,
    Exists,
    Near,
    Not,
    Or,
    Order,
    Query,
    Spatial,
)
from madang.procedure.contract import Deadline
from tests.stores import check_entities, check_evolution
from tests.stores.kit import SQUARE, T0, TRUCK, Make, ManualClock, reading


def check_store(make: Make, folder: Path) -> None:
    """Run every check, each on a fresh folder below `folder`."""
    for check in CHECKS:
        where = folder / check.__name__
        where.mkdir()
        check(make, where)


def check_reading_is_state_history_and_log(make: Make, folder: Path) -> None:
    clock = ManualClock(T0 + 5 * SECOND)
    store = make(folder, clock)
    change = store.write(lambda tx: tx.append_reading(reading(T0, 15_000.0), "trucks", T0 + SECOND)).result(5)
    assert (change.seq, change.kind, change.late) == (1, READING, False)
    store.close()
    store = make(folder, clock)
    with store.read() as read:
        entity = read.find_entity(TRUCK)
        assert entity is not None
        assert entity.attributes == {
            "location": {
                "type": "GeoProperty",
                "value": {"type": "Point", "coordinates": [127.0, 36.0]},
                "observedAt": "2026-11-23T02:00:00Z",
            },
            "grossWeight": {
                "type": "Property",
                "value": 15_000.0,
                "unitCode": "KGM",
                "observedAt": "2026-11-23T02:00:00Z",
            },
        }
        assert (entity.type, entity.observed_at, entity.created_at) == ("Vehicle", T0, T0 + 5 * SECOND)
        rows = read.history(TRUCK, ["grossWeight", "location"], T0, T0 + 1, 10)
        assert [(r.attribute, r.observed_at, r.received_at, r.value, r.seq) for r in rows] == [
            ("grossWeight", T0, T0 + SECOND, 15_000.0, 1),
            ("location", T0, T0 + SECOND, {"type": "Point", "coordinates": [127.0, 36.0]}, 1),
        ]
        log = read.read_log(0, 10)
        assert len(log) == 1
        assert log[0] == change
    store.close()


def check_late_reading_goes_to_history_alone(make: Make, folder: Path) -> None:
    store = make(folder, ManualClock())
    store.write(lambda tx: tx.append_reading(reading(T0 + 10 * SECOND, 9_000.0), "s", T0)).result(5)
    late = Reading(TRUCK, "Vehicle", T0, {"grossWeight": prop(15_000.0), "speed": prop(5.0)})
    change = store.write(lambda tx: tx.append_reading(late, "s", T0)).result(5)
    assert change.late
    with store.read() as read:
        entity = read.find_entity(TRUCK)
        assert entity is not None
        assert entity.attributes["grossWeight"]["value"] == 9_000.0
        assert entity.attributes["speed"]["value"] == 5.0, "an attribute without a newer value is taken"
        assert entity.observed_at == T0 + 10 * SECOND
        assert [r.value for r in read.history(TRUCK, ["grossWeight"], T0, T0 + 60 * SECOND, 10)] == [15_000.0, 9_000.0]
    store.close()


def check_a_failing_op_is_undone_alone(make: Make, folder: Path) -> None:
    store = make(folder, ManualClock())

    def fails(tx: Tx) -> None:
        tx.append_reading(reading(T0 + SECOND, 1.0), "s", T0)
        tx.append_reading(reading(T0, 1.0, id_="urn:ngsi-ld:Vehicle:ghost"), "s", T0)
        tx.put_link("k", "a", "b")
        tx.put_document("d", "1", b"x")
        raise ValueError("told to")

    def fails_in_bulk(tx: Tx) -> None:
        assert tx.remember_messages([b"m2"]) == [True]
        tx.append_reading(Reading(TRUCK, "Vehicle", T0 + 2 * SECOND, {"strange": prop(1)}), "s", T0)
        tx.put_quarantine("s", T0, "bad-json", "…", "t", b"{")
        raise ValueError("told to")

    good = store.write(lambda tx: tx.append_reading(reading(T0, 2.0), "s", T0), bulk=True)
    bad = store.write(fails)
    bad_bulk = store.write(fails_in_bulk, bulk=True)
    after = store.write(lambda tx: tx.append_reading(reading(T0 + 3 * SECOND, 3.0), "s", T0), bulk=True)
    assert good.result(5).seq == 1
    with pytest.raises(ValueError, match="told to"):
        bad.result(5)
    with pytest.raises(ValueError, match="told to"):
        bad_bulk.result(5)
    assert after.result(5).seq == 2
    assert store.write(lambda tx: tx.remember_messages([b"m2"])).result(5) == [True]
    with store.read() as read:
        assert read.find_entity("urn:ngsi-ld:Vehicle:ghost") is None
        assert read.find_link("k", "a") is None
        assert read.find_document("d", "1") is None
        assert read.list_quarantine(None, 10) == []
        assert [c.seq for c in read.read_log(0, 10)] == [1, 2]
        entity = read.find_entity(TRUCK)
        assert entity is not None and set(entity.attributes) == {"location", "grossWeight"}
        assert [r.value for r in read.history(TRUCK, ["grossWeight", "strange"], 0, T0 + 99 * SECOND, 9)] == [2.0, 3.0]
    store.close()


def check_messages_are_remembered(make: Make, folder: Path) -> None:
    store = make(folder, ManualClock())
    assert store.write(lambda tx: tx.remember_messages([b"a", b"b", b"a"]), bulk=True).result(5) == [True, True, False]
    assert store.write(lambda tx: tx.remember_messages([b"b", b"c"]), bulk=True).result(5) == [False, True]
    store.close()
    store = make(folder, ManualClock())
    assert store.write(lambda tx: tx.remember_messages([b"a", b"d"]), bulk=True).result(5) == [False, True]
    assert store.write(lambda tx: tx.forget_messages("20261124")).result(5) == 4
    assert store.write(lambda tx: tx.remember_messages([b"a"]), bulk=True).result(5) == [True]
    store.close()


def check_log_time_never_goes_back(make: Make, folder: Path) -> None:
    clock = ManualClock(T0)
    store = make(folder, clock)
    assert store.write(lambda tx: tx.append_clock_mark()).result(5).recorded_at == T0
    clock.time = T0 - 3600 * SECOND
    mark = store.write(lambda tx: tx.append_clock_mark()).result(5)
    assert (mark.recorded_at, mark.kind) == (T0, CLOCK)
    store.close()
    store = make(folder, clock)
    assert store.write(lambda tx: tx.append_clock_mark()).result(5).recorded_at == T0, "also after a restart"
    store.close()


def check_references_keep_their_versions(make: Make, folder: Path) -> None:
    store = make(folder, ManualClock())
    id_ = "urn:ngsi-ld:AgriParcel:P1"

    def put(name: str, replace: bool = False) -> Any:
        return store.write(
            lambda tx: tx.put_entity(
                id_,
                "AgriParcel",
                {"name": prop(name), "location": geo(SQUARE)},
                "import",
                reference=True,
                replace=replace,
            )
        ).result(5)

    first, second = put("one"), put("two")
    assert first.kind == REFERENCE
    gone = store.write(lambda tx: tx.delete_entity(id_, "import")).result(5)
    assert gone is not None
    third = put("three")
    with store.read() as read:
        for seq, name in ((first.seq, "one"), (second.seq, "two"), (third.seq, "three")):
            (entity,) = read.list_reference_versions(["AgriParcel"], seq)
            assert entity.attributes["name"]["value"] == name
        assert read.list_reference_versions(["AgriParcel"], gone.seq) == []
        assert read.list_reference_versions(["AgriParcel"], first.seq - 1) == []
    store.close()


def check_records_keep_their_versions(make: Make, folder: Path) -> None:
    clock = ManualClock()
    store = make(folder, clock)
    id_ = "urn:ngsi-ld:ManureManifest:M-1"

    def put(version: int, state: str, vehicle: str) -> Any:
        record = Record(id_, "ManureManifest", state, version, {"vehicle": vehicle}, T0, clock.time)
        move = Transition(
            "a", None if version == 1 else "x", state, version, "token:kim", "urn:ngsi-ld:AgriFarm:F1", {"n": 1}
        )
        attributes = {"status": prop(state), "vehicle": rel(vehicle)}
        return store.write(lambda tx: tx.put_record(record, move, attributes, {"vehicle": vehicle})).result(5)

    first = put(1, "DRAFT", "urn:V1")
    clock.time += SECOND
    second = put(2, "PRECHECKED", "urn:V2")
    assert (second.kind, second.entity_type) == (RECORD, "ManureManifest")
    assert second.transition is not None and second.transition.on_behalf_of == "urn:ngsi-ld:AgriFarm:F1"
    store.close()
    store = make(folder, clock)
    with store.read() as read:
        record = read.find_record(id_)
        assert record is not None and (record.state, record.version, record.data) == (
            "PRECHECKED",
            2,
            {"vehicle": "urn:V2"},
        )
        assert read.list_records_by("ManureManifest", "vehicle", "urn:V1") == []
        assert [r.id for r in read.list_records_by("ManureManifest", "vehicle", "urn:V2")] == [id_]
        assert [r.id for r in read.list_records("ManureManifest", ["DRAFT"])] == []
        versions = read.list_versions(id_)
        assert [(v.record.version, v.record.state, v.at, v.seq) for v in versions] == [
            (1, "DRAFT", T0, first.seq),
            (2, "PRECHECKED", T0 + SECOND, second.seq),
        ]
        assert [r.state for r in read.list_record_versions_at(["ManureManifest"], first.seq)] == ["DRAFT"]
        assert read.list_record_versions_at(["ManureManifest"], first.seq - 1) == []
        entity = read.find_entity(id_)
        assert entity is not None and entity.attributes["status"]["value"] == "PRECHECKED"
    store.close()


def check_queries(make: Make, folder: Path) -> None:
    store = make(folder, ManualClock())

    def fill(tx: Tx) -> None:
        for n in range(10):
            tx.append_reading(
                Reading(
                    f"urn:ngsi-ld:Vehicle:T{n}",
                    "Vehicle",
                    T0,
                    {
                        "location": point(127.0 + n * 0.001, 36.0),
                        "speed": prop(n * 10.0),
                        "plate": prop(f"12가 {n}"),
                        "ignition": prop(n % 2 == 0),
                        "owner": rel(f"urn:O{n % 2}"),
                        "deep": prop({"a": {"b": n}}),
                        "tags": prop(["even" if n % 2 == 0 else "odd", n]),
                        "seen": {**prop(1), "accuracy": prop(n), "by": rel(f"urn:O{n}")},
                    },
                ),
                "s",
                T0,
            )
        tx.put_entity(
            "urn:ngsi-ld:AgriParcel:P1", "AgriParcel", {"location": geo(SQUARE)}, "i", reference=True, replace=False
        )

    store.write(fill).result(5)

    def ids(query: Query) -> list[str]:
        with store.read() as read:
            return [e.id.rpartition(":")[2] for e in read.query(query).entities]

    cases: list[tuple[Query, list[str]]] = [
        (Query(types=("AgriParcel",)), ["P1"]),
        (Query(types=("Vehicle",), where=Compare("speed", ">", 70)), ["T8", "T9"]),
        (Query(where=Compare("speed", "==", [10, 30.0])), ["T1", "T3"]),
        (Query(where=Compare("plate", "==", "12가 4")), ["T4"]),
        (Query(where=Compare("plate", "==", 4)), []),
        (
            Query(types=("Vehicle",), where=And((Compare("ignition", "==", True), Compare("speed", "<", 30)))),
            ["T0", "T2"],
        ),
        (Query(where=And((Compare("owner", "==", "urn:O1"), Between("speed", 30, 50)))), ["T3", "T5"]),
        (Query(where=Compare("deep", "==", 7, ("a", "b"))), ["T7"]),
        (Query(where=Or((Compare("speed", "==", 0), Not(Exists("speed"))))), ["P1", "T0"]),
        (Query(where=Compare("speed", "!=", 0), limit=2), ["T1", "T2"]),
        # Clause 4.9: an array matches when one of its elements does; sub-attributes stand after a dot.
        (Query(where=Compare("tags", "==", "odd"), limit=2), ["T1", "T3"]),
        (Query(where=Compare("tags", "==", ["even", 7]), limit=9), ["T0", "T2", "T4", "T6", "T7", "T8"]),
        (Query(where=And((Compare("tags", "!=", "odd"), Compare("tags", ">", 5)))), ["T6", "T8"]),
        (Query(where=Compare("seen", "<", 2, sub=("accuracy",))), ["T0", "T1"]),
        (Query(where=Compare("seen", "==", "urn:O3", sub=("by",))), ["T3"]),
        (Query(where=Between("seen", 8, 9, sub=("accuracy",))), ["T8", "T9"]),
        (Query(where=And((Exists("seen", sub=("by",)), Compare("speed", ">", 80)))), ["T9"]),
        (Query(where=Exists("seen", sub=("nothing",))), []),
        (Query(where=Compare("speed", "<", "1971-01-01T00:00:00Z", sub=("observedAt",))), []),
        (Query(where=Compare("speed", ">", "1971-01-01T00:00:00Z", sub=("observedAt",)), limit=1), ["T0"]),
        (Query(where=Compare("plate", "~=", "[89]$")), ["T8", "T9"]),
        (Query(where=Contains("가 5", ("plate",))), ["T5"]),
        (Query(where=Contains("%", ("plate",))), []),
        (Query(types=("Vehicle",), order=(Order("speed", descending=True),), limit=2), ["T9", "T8"]),
        (Query(types=("Vehicle",), limit=3, after="urn:ngsi-ld:Vehicle:T6"), ["T7", "T8", "T9"]),
        (Query(types=("Vehicle",), limit=2, offset=8), ["T8", "T9"]),
        (Query(attributes=("speed",), limit=1), ["T0"]),
        (Query(id_pattern="T[12]$"), ["T1", "T2"]),
        # 0.001 degrees of longitude at 36 north are 89.96 m.
        (
            Query(types=("Vehicle",), place=Near({"type": "Point", "coordinates": [127.0, 36.0]}, 200.0)),
            ["T0", "T1", "T2"],
        ),
        (
            Query(types=("Vehicle",), place=Near({"type": "Point", "coordinates": [127.0, 36.0]}, None, 700.0)),
            ["T8", "T9"],
        ),
        # A point on the edge is not within.
        (Query(types=("Vehicle",), place=Spatial("within", SQUARE)), []),
        (Query(types=("Vehicle",), place=Spatial("intersects", SQUARE), limit=2), ["T0", "T1"]),
        (Query(place=Spatial("intersects", {"type": "Point", "coordinates": [127.005, 36.005]})), ["P1"]),
        (Query(types=("Vehicle",), where=Compare("a\"b'c);--", "==", "x'; DROP TABLE log; --")), []),
    ]
    for query, expected in cases:
        assert ids(query) == expected, query
    with store.read() as read:
        page = read.query(Query(types=("Vehicle",), limit=4, count=True))
        assert (page.total, page.next_after) == (10, "urn:ngsi-ld:Vehicle:T3")
        assert read.list_types() == {"AgriParcel": 1, "Vehicle": 10}
    # A moved thing is found where it is, not where it was.
    store.write(
        lambda tx: tx.append_reading(reading(T0 + SECOND, lon=128.0, id_="urn:ngsi-ld:Vehicle:T0"), "s", T0)
    ).result(5)
    near = Near({"type": "Point", "coordinates": [127.0, 36.0]}, 50.0)
    assert ids(Query(types=("Vehicle",), place=near)) == []
    assert ids(Query(types=("Vehicle",), place=Near({"type": "Point", "coordinates": [128.0, 36.0]}, 1.0))) == ["T0"]
    store.close()


def check_flow_state_and_cursor_commit_together(make: Make, folder: Path) -> None:
    store = make(folder, ManualClock())

    def commit(tx: Tx) -> None:
        tx.put_states([("d", "k1", b"{}", T0), ("d", "k2", b"{1}", None), ("d", "k3", b"x", T0 - 1)])
        tx.put_cursor("flow", 7)
        assert tx.put_finding("d/k1/7/0", 7, b"{}")
        assert not tx.put_finding("d/k1/7/0", 7, b"{}")

    store.write(commit).result(5)
    store.write(lambda tx: tx.put_states([("d", "k1", b"{2}", None), ("d", "k3", None, None)])).result(5)
    store.close()
    store = make(folder, ManualClock())
    with store.read() as read:
        assert read.find_states("d", ["k1", "k2", "k3", "k4"]) == {"k1": b"{2}", "k2": b"{1}"}
        assert read.list_wakes() == []
        assert read.find_cursor("flow") == 7
        assert read.find_cursor("nobody") == 0
    store.close()


def check_the_log_can_be_cut(make: Make, folder: Path) -> None:
    """The oldest go, at most so many, the newest never; everything else stays, and a restart goes on counting."""
    store = make(folder, ManualClock())
    for n in range(6):
        store.write(lambda tx, n=n: tx.append_reading(reading(T0 + n * SECOND, float(n)), "s", T0)).result(5)  # type: ignore[misc]
    store.write(lambda tx: tx.put_cursor("b", 4)).result(5)
    store.write(lambda tx: tx.put_cursor("a", 6)).result(5)

    def cut(below: int, limit: int) -> tuple[int, list[int]]:
        gone = store.write(lambda tx: tx.trim_log(below, limit)).result(5)
        with store.read() as read:
            return gone, [c.seq for c in read.read_log(0, 99)]

    assert cut(1, 99) == (0, [1, 2, 3, 4, 5, 6])
    assert cut(5, 2) == (2, [3, 4, 5, 6])
    assert cut(5, 99) == (2, [5, 6])
    assert cut(99, 99) == (1, [6])
    assert cut(99, 99) == (0, [6])
    # In one op with what it writes itself: that is the newest then.
    both = store.write(lambda tx: (tx.append_reading(reading(T0 + 9 * SECOND, 9.0), "s", T0).seq, tx.trim_log(99, 99)))
    assert both.result(5) == (7, 1)
    store.close()
    store = make(folder, ManualClock())
    assert store.write(lambda tx: tx.append_reading(reading(T0 + 10 * SECOND, 9.0), "s", T0)).result(5).seq == 8
    with store.read() as read:
        assert (read.list_cursors(), read.find_cursor("b"), read.last_seq()) == ([("a", 6), ("b", 4)], 4, 8)
        assert len(read.history(TRUCK, ["grossWeight"], 0, T0 + 99 * SECOND, 99)) == 8
        entity = read.find_entity(TRUCK)
        assert entity is not None and entity.attributes["grossWeight"]["value"] == 9.0
    store.close()


def check_deadlines_outbox_and_small_things(make: Make, folder: Path) -> None:
    clock = ManualClock()
    store = make(folder, clock)

    def fill(tx: Tx) -> None:
        tx.set_deadline("r1", Deadline("confirm", T0 + 10, "expire", {"a": 1}))
        tx.set_deadline("r1", Deadline("confirm", T0 + 20, "expire"))
        tx.set_deadline("r1", Deadline("remind", T0 + 5, "remind"))
        tx.set_deadline("r2", Deadline("x", T0 + 1, "y"))
        tx.cancel_deadlines("r2", None)
        tx.put_outbox("r1", "sms", "group:control-room", {"code": "c", "params": {}}, "k1")
        tx.put_outbox("r1", "sms", "group:control-room", {"code": "c", "params": {}}, "k1")
        tx.put_idempotent("i", b"answer")
        assert [tx.next_number("M"), tx.next_number("M"), tx.next_number("I")] == [1, 2, 1]

    store.write(fill).result(5)
    with store.read() as read:
        assert [(d.record_id, d.deadline.name, d.deadline.due_at) for d in read.list_due_deadlines(T0 + 19, 10)] == [
            ("r1", "remind", T0 + 5)
        ]
        assert [d.name for d in read.list_deadlines("r1")] == ["remind", "confirm"]
        (row,) = read.list_outbox("due", 10, T0)
        assert (row.record_id, row.to, row.attempts, row.idempotency_key) == ("r1", "group:control-room", 0, "k1")
        assert read.find_idempotent("i") == b"answer"
    store.write(lambda tx: tx.mark_outbox(row.id, "sent", T0, "")).result(5)
    with store.read() as read:
        assert read.list_outbox("due", 10) == []
        assert [(r.state, r.attempts) for r in read.list_outbox_of("r1")] == [("sent", 1)]
    store.close()


def check_listeners_see_commits_in_order(make: Make, folder: Path) -> None:
    store = make(folder, ManualClock())
    seen: list[int] = []
    end = store.subscribe(lambda changes: seen.extend(c.seq for c in changes))
    for n in range(20):
        store.write(lambda tx, n=n: tx.append_reading(reading(T0 + n, 1.0), "s", T0), bulk=True)  # type: ignore[misc]
    store.write(lambda tx: tx.append_clock_mark()).result(5)
    assert seen == list(range(1, 22))
    end()
    store.write(lambda tx: tx.append_clock_mark()).result(5)
    assert len(seen) == 21
    assert store.last_seq() == 22
    store.close()
    with pytest.raises(StoreClosed):
        store.write(lambda tx: None)


CHECKS = [
    value
    for names in (globals(), vars(check_entities), vars(check_evolution))
    for name, value in sorted(names.items())
    if name.startswith("check_") and name not in ("check_store", "check_entities", "check_evolution")
]
