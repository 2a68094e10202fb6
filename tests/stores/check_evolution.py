"""The common check of every store, third part: the evolution of entities (part of `check_store`). Expected values by hand."""

from pathlib import Path

from madang.hub.ports import AggregateRow
from madang.model.entity import prop
from madang.model.time import INSTANT_MAX, SECOND, parse_instant, render_instant
from madang.ngsild.temporal import CREATED_AT, DELETED_AT, Window
from tests.stores.kit import T0, TRUCK, Make, ManualClock, reading

ROOM = "urn:ngsi-ld:Room:1"
ALL = Window()
AT = "2020-08-01T12:00:0{}Z"


def check_evolution_tells_what_was_given(make: Make, folder: Path) -> None:
    clock = ManualClock(T0 + SECOND)
    store = make(folder, clock)
    late = {"type": "Property", "value": 1, "unitCode": "CEL", "observedAt": AT.format(1)}
    newest = {"type": "Property", "value": 3, "observedAt": AT.format(3)}
    plain = {"type": "Property", "value": 2}

    def put() -> object:
        instances = [("a", newest), ("a", late), ("b", plain)]
        return store.write(lambda tx: tx.put_instances(ROOM, "Room", instances, "token:kim", reference=False)).result(5)

    put()
    store.write(lambda tx: tx.append_reading(reading(T0, 15_000.0), "trucks", T0)).result(5)
    store.close()
    store = make(folder, clock)
    with store.read() as read:
        entity = read.find_entity(ROOM)
        assert entity is not None and entity.attributes == {"a": newest, "b": plain}
        assert read.list_evolving(ROOM) == ["a", "b"]
        rows = read.list_instances(ROOM, ["a", "b"], ALL, 9, newest=False)
        assert [(r.key, r.attribute) for r in rows] == [("a", late), ("a", newest)]  # b has no observedAt
        assert [r.attribute for r in read.list_instances(ROOM, ["a"], ALL, 1, newest=True)] == [newest]
        created = read.list_instances(ROOM, ["b"], Window(CREATED_AT), 9, newest=False)
        assert [(r.at, r.attribute) for r in created] == [(T0 + SECOND, plain)]
        truck = read.list_instances(TRUCK, ["grossWeight"], ALL, 9, newest=False)
        assert [(r.attribute, r.value, r.observed_at) for r in truck] == [(None, 15_000.0, T0)]
        token = rows[0].token
    # Changing and deleting leave the history as it was.
    changed = {**late, "value": 9}
    assert store.write(lambda tx: tx.edit_instance(ROOM, "a", token, changed, "token:kim")).result(5)
    with store.read() as read:
        assert [r.attribute for r in read.list_instances(ROOM, ["a"], ALL, 9, newest=False)] == [changed, newest]
        assert [r.token for r in read.list_instances(ROOM, ["a"], ALL, 1, newest=False)] == [token]
    assert store.write(lambda tx: tx.edit_instance(ROOM, "a", token, None, "token:kim")).result(5)
    assert not store.write(lambda tx: tx.edit_instance(ROOM, "a", token, None, "token:kim")).result(5)
    with store.read() as read:
        assert [r.attribute for r in read.list_instances(ROOM, ["a"], ALL, 9, newest=False)] == [newest]
        assert [r.value for r in read.history(ROOM, ["a"], 0, INSTANT_MAX, 9)] == [1, 3]
    store.close()


def check_evolution_ends_with_the_entity(make: Make, folder: Path) -> None:
    clock = ManualClock(T0)
    store = make(folder, clock)

    def put(**attributes: int) -> None:
        given = {name: prop(value) for name, value in attributes.items()}
        store.write(lambda tx: tx.put_entity(ROOM, "Room", given, "kim", reference=False, replace=False)).result(5)

    put(a=1, b=2)
    clock.time = T0 + SECOND
    store.write(lambda tx: tx.put_entity(ROOM, "Room", {}, "kim", reference=False, replace=False, remove=["b"])).result(
        5
    )
    with store.read() as read:
        gone = read.list_instances(ROOM, ["a", "b"], Window(DELETED_AT), 9, newest=False)
        assert [(r.key, r.at, r.deleted_at) for r in gone] == [("b", T0 + SECOND, T0 + SECOND)]
        assert gone[0].attribute == {"type": "Property", "value": "urn:ngsi-ld:null"}
        assert [r.value for r in read.history(ROOM, ["b"], 0, INSTANT_MAX, 9)] == [2]  # a deletion is no observation
    assert not store.write(lambda tx: tx.is_evolution_only(ROOM)).result(5)
    store.write(lambda tx: tx.delete_entity(ROOM, "kim")).result(5)
    with store.read() as read:
        assert read.list_evolving(ROOM) == []
    put(c=3)
    with store.read() as read:
        assert read.list_evolving(ROOM) == ["c"]
        assert [r.value for r in read.history(ROOM, ["a"], 0, INSTANT_MAX, 9)] == [1]
    put(d=4)
    store.write(lambda tx: tx.cut_evolution(ROOM, ["c"])).result(5)
    with store.read() as read:
        assert read.list_evolving(ROOM) == ["d"]
    store.write(lambda tx: tx.cut_evolution(ROOM, None)).result(5)
    with store.read() as read:
        assert read.list_evolving(ROOM) == []
        assert read.find_entity(ROOM) is not None
    store.close()


def check_figures_by_period(make: Make, folder: Path) -> None:
    clock = ManualClock(T0)
    store = make(folder, clock)
    for day, second, value in ((0, 0, 2.0), (0, 1, 4.0), (0, 2, 9.0), (1, 12, 9.0)):
        clock.time = T0 + day * 86_400 * SECOND
        store.write(
            lambda tx, at=T0 + second * SECOND, value=value: tx.append_reading(reading(at, value), "trucks", at)
        ).result(5)
    methods = ["totalCount", "distinctCount", "sum", "min", "max", "sumsq", "stddev"]
    with store.read() as read:
        rows = read.aggregate(TRUCK, "grossWeight", ALL, methods, T0, 2 * SECOND)
        # [0 s, 2 s): 2 and 4; [2 s, 4 s): 9; [12 s, 14 s): 9, recorded the day after.
        assert rows == [
            AggregateRow("grossWeight", 0, 2, 2, 6.0, 2.0, 4.0, 20.0, 1.0),
            AggregateRow("grossWeight", 1, 1, 1, 9.0, 9.0, 9.0, 81.0, 0.0),
            AggregateRow("grossWeight", 6, 1, 1, 9.0, 9.0, 9.0, 81.0, 0.0),
        ]
        assert read.aggregate(TRUCK, "grossWeight", ALL, ["max"], None, 0) == [
            AggregateRow("grossWeight", 0, 4, maximum=9.0)
        ]
        assert read.aggregate(TRUCK, "location", ALL, ["max"], None, 0) is None  # no numbers
    store.close()


def check_scopes_over_time(make: Make, folder: Path) -> None:
    """Clauses 4.5.6 and 4.18: every change of an entity's scopes is an instance of ``scope``, whoever makes it; none is a deletion."""
    clock = ManualClock(T0)
    store = make(folder, clock)

    def put(scopes: tuple[str, ...] | None, *, replace: bool = False) -> None:
        clock.time += SECOND
        store.write(
            lambda tx: tx.put_entity(
                ROOM, "Room", {"a": prop(1)}, "kim", reference=False, replace=replace, scopes=scopes
            )
        ).result(5)

    put(("/a",))  # T0 + 1 s
    put(None)
    put(("/a",))
    put(("/a", "/b"))  # T0 + 4 s
    put(None, replace=True)  # T0 + 5 s
    clock.time += SECOND
    timed = {"type": "Property", "value": "/c", "observedAt": AT.format(1)}
    store.write(
        lambda tx: tx.put_instances(ROOM, "Room", [("scope", timed)], "kim", reference=False, scopes=("/c",))
    ).result(5)
    with store.read() as read:
        entity = read.find_entity(ROOM)
        assert entity is not None and entity.scopes == ("/c",) and "scope" not in entity.attributes
        assert read.list_evolving(ROOM) == ["a", "scope"]
        told = [(r.at, r.attribute) for r in read.list_instances(ROOM, ["scope"], ALL, 9, newest=False)]
        gone = [(r.at, r.attribute) for r in read.list_instances(ROOM, ["scope"], Window(DELETED_AT), 9, newest=False)]
    assert told == [
        (parse_instant(AT.format(1)), timed),
        *(
            (at, {"type": "Property", "value": value, "observedAt": render_instant(at)})
            for at, value in ((T0 + SECOND, "/a"), (T0 + 4 * SECOND, ["/a", "/b"]))
        ),
    ]
    assert gone == [(T0 + 5 * SECOND, {"type": "Property", "value": []})]
    store.close()
