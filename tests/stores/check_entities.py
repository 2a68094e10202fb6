"""The common check of every store, second part: what NGSI-LD asks of entities beyond values (part of `check_store`)."""

import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from madang.hub.ports import AttributeUse, Extent, NotificationRow, Tx
from madang.model.change import DELETION, Change
from madang.model.entity import NEVER, Reading, geo, instance_key, prop, rel
from madang.model.time import INSTANT_MAX, SECOND
from madang.ngsild.query import (
    And,
    Between,
    ByDistance,
    Compare,
    Exists,
    InScope,
    Linked,
    Not,
    OfType,
    Or,
    Order,
    Query,
)
from tests.stores.kit import T0, Make, ManualClock

ROOM = "urn:ngsi-ld:Room:1"


def check_put_entity_writes_removes_and_says_so(make: Make, folder: Path) -> None:
    clock = ManualClock()
    store = make(folder, clock)

    def put(attributes: Any, **more: Any) -> Any:
        options = {"reference": False, "replace": False} | more
        return store.write(lambda tx: tx.put_entity(ROOM, "Room", attributes, "token:kim", **options)).result(5)

    put(
        {"a": prop(1), "b": prop(2), instance_key("b", "urn:x"): prop(3)},
        scopes=["/a/b", "/c"],
        types=["Room", "Place"],
    )
    change = put({"a": prop(9)}, remove=["b urn:x", "nothing", "a"])
    assert (change.attributes, change.removed, change.source) == ({"a": prop(9)}, ("b urn:x",), "token:kim")
    with store.read() as read:
        entity = read.find_entity(ROOM)
        assert entity is not None
        assert entity.attributes == {"a": prop(9), "b": prop(2)}
        assert (entity.type, entity.types, entity.scopes) == ("Room", ("Room", "Place"), ("/a/b", "/c"))
        assert entity.expires_at is None
        assert [c.removed for c in read.read_log(0, 9)] == [(), ("b urn:x",)]
    # Replacing takes away whatever is not given; an expiry is set, kept and taken away.
    assert put({"c": prop(1)}, replace=True, expires_at=T0 + SECOND).removed == ("a", "b")
    store.close()
    store = make(folder, clock)
    with store.read() as read:
        entity = read.find_entity(ROOM)
        assert entity is not None
        assert (entity.attributes, entity.types, entity.scopes) == ({"c": prop(1)}, (), ())
        assert entity.expires_at == T0 + SECOND
        assert read.list_types() == {"Room": 1}
    put({"d": prop(1)})
    with store.read() as read:
        assert read.list_expired(T0 + SECOND, 9) == [ROOM]
        assert read.list_expired(T0 + SECOND - 1, 9) == []
    put({}, expires_at=NEVER, scopes=[])
    with store.read() as read:
        entity = read.find_entity(ROOM)
        assert entity is not None and (entity.expires_at, set(entity.attributes)) == (None, {"c", "d"})
        assert read.list_expired(T0 + 99 * SECOND, 9) == []
    # An attribute that expires is found too, until a new value without an expiry replaces it.
    put({"d": {**prop(2), "expiresAt": "2026-11-23T02:00:05Z"}})
    store.write(
        lambda tx: tx.append_reading(Reading(ROOM, "Room", T0 + SECOND, {"c": prop(5)}), "s", T0), bulk=True
    ).result(5)
    with store.read() as read:
        assert read.list_expired(T0 + 5 * SECOND, 9) == [ROOM]
    store.write(lambda tx: tx.append_reading(Reading(ROOM, "Room", T0 + SECOND, {"d": prop(5)}), "s", T0)).result(5)
    with store.read() as read:
        assert read.list_expired(T0 + 5 * SECOND, 9) == []
    gone = store.write(lambda tx: tx.delete_entity(ROOM, "s")).result(5)
    assert gone is not None and (gone.kind, gone.removed) == (DELETION, ())
    store.close()


def check_measure_says_where_and_when(make: Make, folder: Path) -> None:
    """The box, the count and the instants of what a query matches; worked out by hand."""
    store = make(folder, ManualClock(T0))
    square = {"type": "Polygon", "coordinates": [[[127.5, 36.0], [127.75, 36.0], [127.75, 36.25], [127.5, 36.0]]]}

    def read_point(id_: str, at: int, lon: float, lat: float) -> None:
        reading = Reading(id_, "Bus", at, {"location": geo({"type": "Point", "coordinates": [lon, lat]})})
        store.write(lambda tx: tx.append_reading(reading, "s", T0)).result(5)

    def put(id_: str, attributes: Any, **more: Any) -> None:
        options = {"reference": False, "replace": False} | more
        store.write(lambda tx: tx.put_entity(id_, "Bus", attributes, "s", **options)).result(5)

    read_point("urn:b:1", T0 - 20 * SECOND, 127.123456789, 36.5)
    read_point("urn:b:2", T0 - 10 * SECOND, 127.25, 36.987654321)
    put("urn:b:3", {"location": geo(square)})
    put("urn:b:4", {"speed": prop(1)})
    put("urn:b:5", {"location": geo(square), "speed": prop(2)})
    put("urn:b:5", {}, remove=["location"])
    buses = Query(types=("Bus",))
    with store.read() as read:
        whole = read.measure(replace(buses, limit=1, after="urn:b:4", order=(Order("speed"),)))
        assert (whole.count, whole.placed) == (5, 3)
        assert whole.box == pytest.approx((127.123456789, 36.0, 127.75, 36.987654321), abs=1e-5)
        assert (whole.first_at, whole.last_at) == (T0 - 20 * SECOND, T0)
        points = read.measure(replace(buses, ids=("urn:b:1", "urn:b:2")))
        assert points.box == (127.123456789, 36.5, 127.25, 36.987654321)
        assert read.measure(replace(buses, ids=("urn:b:4",))).box is None
        assert read.measure(Query(types=("Tram",))) == Extent(0, 0, None, None, None)
        for window, expected in (
            ((T0 - 20 * SECOND, T0 - 10 * SECOND), ["urn:b:1", "urn:b:2"]),
            ((T0 - 15 * SECOND, None), ["urn:b:2", "urn:b:3", "urn:b:4", "urn:b:5"]),
            ((None, T0 - 11 * SECOND), ["urn:b:1"]),
            ((T0 + 1, None), []),
        ):
            assert [e.id for e in read.query(replace(buses, observed=window)).entities] == expected
    store.close()


def check_changes_tell_what_stood_before(make: Make, folder: Path) -> None:
    """The chain of an entity's changes, and what a write over the API replaced; the same from the log as from the writer."""
    clock = ManualClock(T0)
    store = make(folder, clock)
    heard: list[Any] = []
    store.subscribe(heard.extend)

    def put(attributes: Any, **more: Any) -> Any:
        options = {"reference": False, "replace": False} | more
        return store.write(lambda tx: tx.put_entity(ROOM, "Room", attributes, "s", **options)).result(5)

    first = put({"a": prop(1), "b": prop(1)})
    assert (first.previous, first.before) == (0, {})
    second = put({"a": prop(2), "c": prop(1)}, remove=["b"])
    assert (second.previous, second.before) == (first.seq, {"a": prop(1), "b": prop(1)})
    third = store.write(lambda tx: tx.append_reading(Reading(ROOM, "Room", T0, {"a": prop(3)}), "s", T0)).result(5)
    assert (third.previous, third.before) == (second.seq, None)
    store.close()
    store = make(folder, clock)
    store.subscribe(heard.extend)
    fourth = put({"c": prop(2)}, replace=True)
    with store.read() as read:
        entity = read.find_entity(ROOM)
    assert entity is not None
    assert fourth.before is not None and fourth.previous == third.seq
    assert set(fourth.before) == {"a", "c"} and fourth.before["a"]["value"] == 3
    gone = store.write(lambda tx: tx.delete_entity(ROOM, "s")).result(5)
    assert gone is not None and (gone.previous, gone.before) == (fourth.seq, {"c": prop(2)})
    again = put({"a": prop(9)})
    assert (again.previous, again.before) == (0, {})
    with store.read() as read:
        assert read.read_log(0, 99) == heard
    store.close()


def check_notifications_wait_in_order(make: Make, folder: Path) -> None:
    store = make(folder, ManualClock(T0))

    def put(subscription: str, body: bytes, **more: Any) -> int:
        row = NotificationRow(0, subscription, "due", 1, 2, 2, body, T0)
        return int(store.write(lambda tx: tx.put_notification(replace(row, **more))).result(5))

    numbers = [
        put("urn:s:1", b"[1]"),
        put("urn:s:2", b"[2]"),
        put("urn:s:1", b"[3]"),
        put("urn:s:1", b"", state="dead"),
    ]
    assert numbers == sorted(set(numbers))
    with store.read() as read:
        assert [row.body for row in read.list_notifications("urn:s:1", "due", 9)] == [b"[1]", b"[3]"]
        assert [row.body for row in read.list_notifications("urn:s:1", "due", 9, numbers[0])] == [b"[3]"]
        assert [row.body for row in read.list_notifications("urn:s:1", "due", 1)] == [b"[1]"]
        assert read.count_notifications() == [
            ("urn:s:1", "dead", 1, 2), ("urn:s:1", "due", 2, 4), ("urn:s:2", "due", 1, 2)
        ]  # fmt: skip
    # Written anew under its number; a failed op leaves no trace.
    put("urn:s:1", b"[1]", no=numbers[0], state="dead", events=1, error="refused")

    def fails(tx: Tx) -> None:
        tx.delete_notifications([numbers[0]])
        raise ValueError

    with pytest.raises(ValueError):
        store.write(fails).result(5)
    store.close()
    store = make(folder, ManualClock(T0))
    with store.read() as read:
        assert [(r.no, r.error) for r in read.list_notifications("urn:s:1", "dead", 9)] == [
            (numbers[0], "refused"), (numbers[3], "")
        ]  # fmt: skip
    store.write(lambda tx: tx.delete_notifications(numbers)).result(5)
    with store.read() as read:
        assert read.count_notifications() == []
    # A number is not given twice: receivers know notifications by it.
    assert put("urn:s:1", b"[5]") > max(numbers)
    store.close()


def check_entities_are_written_in_bulk_and_undone_alone(make: Make, folder: Path) -> None:
    store = make(folder, ManualClock())

    def put(number: int, fails: bool = False, **more: Any) -> Any:
        def op(tx: Tx) -> int:
            change = tx.put_entity(
                f"urn:E:{number}", "A", {"n": prop(number)}, "s", reference=True, replace=False, **more
            )
            if fails:
                raise ValueError("told to")
            return change.seq

        return store.write(op, bulk=True)

    futures = [put(1, types=["A", "B"]), put(2, True, types=["A", "B"]), put(3), put(1, True, types=["A", "C"]), put(1)]
    assert [future.exception(5) is None for future in futures] == [True, False, True, False, True]
    with store.read() as read:
        assert read.list_ids("A") == ["urn:E:1", "urn:E:3"]
        assert (read.list_ids("B"), read.list_ids("C")) == (["urn:E:1"], [])
        assert [c.entity_id for c in read.read_log(0, 9)] == ["urn:E:1", "urn:E:3", "urn:E:1"]
        assert len(read.list_reference_versions(["A"], 99)) == 2
    store.close()


def check_an_id_is_used_again_in_one_group(make: Make, folder: Path) -> None:
    """Made, deleted and made again before anything was committed: one entity, one row, and what others wrote with them is kept."""
    store = make(folder, ManualClock(T0))
    gate = threading.Event()
    store.write(lambda tx: gate.wait(5))

    def put(id_: str, value: int) -> Future[Change]:
        return store.write(
            lambda tx: tx.put_entity(id_, "T", {"a": prop(value)}, "x", reference=False, replace=False),
            ids=[id_, "urn:9"],
        )

    writes: list[Future[Any]] = [put("urn:1", 1), store.write(lambda tx: tx.delete_entity("urn:1", "x"), ids=["urn:1"])]
    writes += [put("urn:1", 2), put("urn:2", 3)]
    gate.set()
    assert [write.result(5).seq for write in writes] == [1, 2, 3, 4]
    store.close()
    store = make(folder, ManualClock(T0))
    with store.read() as read:
        found = {id_: read.find_entity(id_) for id_ in ("urn:1", "urn:2", "urn:9")}
        assert {id_: e and e.attributes["a"]["value"] for id_, e in found.items()} == {
            "urn:1": 2,
            "urn:2": 3,
            "urn:9": None,
        }
        assert [row.value for row in read.history("urn:1", ["a"], 0, INSTANT_MAX, 9)] == [1, 2]
    store.close()


def check_attributes_know_when_they_were_created_and_modified(make: Make, folder: Path) -> None:
    clock = ManualClock(T0)
    store = make(folder, clock)

    def at(second: int, op: Any) -> None:
        clock.time = T0 + second * SECOND
        store.write(op).result(5)

    def stamps() -> dict[str, tuple[int, int]]:
        with store.read() as read:
            entity = read.find_entity(ROOM, stamps=True)
            plain = read.find_entity(ROOM)
            (found,) = read.query(Query(ids=(ROOM,), stamps=True)).entities
        assert entity is not None and plain is not None and plain.stamps == {} and found.stamps == entity.stamps
        inside = store.write(lambda tx: tx.find_entity(ROOM, stamps=True)).result(5)
        assert inside is not None and inside.stamps == entity.stamps
        return {k: ((c - T0) // SECOND, (m - T0) // SECOND) for k, (c, m) in entity.stamps.items()}

    def put(attributes: Any, **more: Any) -> Any:
        options = {"reference": False, "replace": False} | more
        return lambda tx: tx.put_entity(ROOM, "Room", attributes, "s", **options)

    at(0, put({"a": prop(1), "b": prop(1)}))
    assert stamps() == {"a": (0, 0), "b": (0, 0)}
    at(1, put({"a": prop(2), "c": prop(1)}))
    assert stamps() == {"a": (0, 1), "b": (0, 0), "c": (1, 1)}
    at(2, lambda tx: tx.append_reading(Reading(ROOM, "Room", T0, {"b": prop(3), "d": prop(1)}), "s", T0))
    assert stamps() == {"a": (0, 1), "b": (0, 2), "c": (1, 1), "d": (2, 2)}
    at(3, put({}, scopes=["/x"]))
    assert stamps() == {"a": (0, 1), "b": (0, 2), "c": (1, 1), "d": (2, 2)}
    at(4, put({}, remove=["a"]))
    store.close()
    store = make(folder, clock)
    assert stamps() == {"b": (0, 2), "c": (1, 1), "d": (2, 2)}
    at(5, put({"a": prop(1), "b": prop(1)}, replace=True))
    assert stamps() == {"a": (5, 5), "b": (0, 5)}
    at(6, lambda tx: tx.delete_entity(ROOM, "s"))
    at(7, put({"b": prop(1)}))
    assert stamps() == {"b": (7, 7)}
    with store.read() as read:
        entity = read.find_entity(ROOM)
        assert entity is not None and (entity.created_at, entity.modified_at) == (T0 + 7 * SECOND, T0 + 7 * SECOND)
    store.close()


def check_further_queries(make: Make, folder: Path) -> None:
    """What NGSI-LD asks beyond values: types, scopes, instances, kinds of attributes, links, order, expiry."""
    clock = ManualClock(T0)
    store = make(folder, clock)
    here, near, far = ({"type": "Point", "coordinates": [127.0 + x, 36.0]} for x in (0.0, 0.001, 0.01))
    spire = {"type": "LanguageProperty", "languageMap": {"fr": "La flèche", "en": "The spire", "ko": ["첨탑", "탑"]}}
    words = {"type": "VocabProperty", "vocab": ["tall", "old"]}
    tree = {"type": "JsonProperty", "json": {"deep": {"n": 4}, "list": [1, 2]}}
    steps = {"type": "ListProperty", "valueList": [3, "go"]}
    owners = {"type": "ListRelationship", "objectList": ["urn:O:1", {"object": "urn:O:2"}]}
    when = prop({"@type": "DateTime", "@value": "2026-01-01T00:00:00Z"})

    def fill(tx: Tx) -> None:
        def put(number: int, attributes: Any, **more: Any) -> None:
            tx.put_entity(
                f"urn:E:{number}", more.pop("type", "A"), attributes, "s", reference=False, replace=True, **more
            )

        put(1, {"speed": prop(10), "speed urn:gps": {**prop(55), "datasetId": "urn:gps"}, "location": geo(far)})
        put(2, {"name": spire, "words": words, "tree": tree, "location": geo(here)}, types=["A", "B"])
        put(
            3,
            {"steps": steps, "owners": owners, "when": when, "location": geo(near)},
            type="B",
            scopes=["/Madrid/Gardens/East"],
        )
        put(4, {"speed": prop(20), "sort": prop("Zebra")}, type="C", scopes=["/Madrid", "/Spain"])
        put(5, {"speed": prop(30), "sort": prop("Ähre"), "of": rel("urn:E:4")}, type="C", types=["C", "B"])
        put(6, {"sort": prop("apple"), "soon": {**prop(1), "expiresAt": "2026-11-23T02:00:01Z"}}, type="D")
        put(7, {"sort": prop("Apple")}, type="D", expires_at=T0 + SECOND)

    store.write(fill).result(5)
    clock.time = T0 + 10 * SECOND
    store.write(
        lambda tx: tx.put_entity("urn:E:4", "C", {"late": prop(1)}, "s", reference=False, replace=False)
    ).result(5)

    def ids(query: Query) -> list[int]:
        with store.read() as read:
            return [int(e.id.rpartition(":")[2]) for e in read.query(query).entities]

    now = "2026-11-23T02:00:05Z"
    cases: list[tuple[Query, list[int]]] = [
        (Query(types=("B",)), [2, 3, 5]),
        (Query(where=And((OfType("A"), OfType("B")))), [2]),
        (Query(where=Or((OfType("A"), OfType("C")))), [1, 2, 4, 5]),
        (Query(where=And((Not(OfType("B")), Or((OfType("A"), OfType("C")))))), [1, 4]),
        (Query(where=InScope("/Madrid")), [4]),
        (Query(where=InScope("/Madrid/#")), [3, 4]),
        (Query(where=InScope("/Madrid/+/East")), [3]),
        (Query(where=InScope("/+")), [4]),
        (Query(where=InScope("/Mad")), []),
        # Any instance meets a condition.
        (Query(where=Compare("speed", ">", 50)), [1]),
        (Query(where=Compare("speed", "<", 15)), [1]),
        (Query(where=Compare("speed", "!=", 10)), [1, 4, 5]),
        (Query(where=Compare("speed", "==", "urn:gps", sub=("datasetId",))), [1]),
        (Query(where=Exists("speed", sub=("datasetId",))), [1]),
        (Query(attributes=("speed", "steps")), [1, 3, 4, 5]),
        # Kinds of attributes.
        (Query(where=Compare("name", "==", "The spire", ("en",))), [2]),
        (Query(where=Compare("name", "==", "The spire", ("fr",))), []),
        (Query(where=Compare("name", "==", "The spire", ("*",))), [2]),
        (Query(where=Compare("name", "==", "탑", ("*",))), [2]),
        (Query(where=Compare("name", "~=", "^La ", ("*",))), [2]),
        (Query(where=Compare("name", "==", "The spire")), []),
        (Query(where=Compare("words", "==", "old")), [2]),
        (Query(where=Compare("tree", ">", 3, ("deep", "n"))), [2]),
        (Query(where=Compare("tree", "==", 2, ("list",))), [2]),
        (Query(where=Exists("tree", ("deep",))), [2]),
        (Query(where=Exists("tree", ("shallow",))), []),
        (Query(where=Compare("steps", "==", "go")), [3]),
        (Query(where=Between("steps", 2, 3)), [3]),
        (Query(where=Compare("owners", "==", "urn:O:1")), [3]),
        (Query(where=Compare("owners", "==", ["urn:O:2", "urn:O:9"])), [3]),
        (Query(where=Compare("when", "<", "2026-06-01T00:00:00Z")), [3]),
        # Links.
        (Query(where=Linked("of", Compare("speed", "==", 20))), [5]),
        (Query(where=Linked("of", And((OfType("C"), Compare("speed", "==", 21))))), []),
        # The entity's own members.
        (Query(where=Compare("modifiedAt", ">", now)), [4]),
        (Query(where=And((Compare("createdAt", "<=", now), Compare("id", "~=", "[45]$")))), [4, 5]),
        (Query(where=Between("modifiedAt", now, "2026-11-23T02:00:10Z")), [4]),
        (Query(where=Compare("late", ">", now, sub=("createdAt",))), [4]),
        (Query(where=Compare("speed", "<", now, sub=("modifiedAt",))), [1, 4, 5]),
        (Query(where=Compare("modifiedAt", ">", "yesterday")), []),
        # Order; entities without it come last, then by id.
        (Query(types=("C", "D"), order=(Order("sort"),)), [7, 4, 6, 5]),
        (Query(types=("C", "D"), order=(Order("sort", collated=True),)), [5, 6, 7, 4]),
        (Query(types=("C", "D"), order=(Order("type", descending=True), Order("sort"))), [7, 6, 4, 5]),
        (Query(order=(Order("speed", descending=True),), limit=4), [5, 4, 1, 2]),
        (Query(order=(Order("createdAt"), Order("modifiedAt", descending=True)), limit=2), [4, 1]),
        (Query(order=(ByDistance(here),), limit=3), [2, 3, 1]),
        (Query(order=(ByDistance(here, descending=True),), limit=4), [1, 3, 2, 4]),
        # Expiry.
        (Query(types=("D",), alive_at=T0 + SECOND - 1), [6, 7]),
        (Query(types=("D",), alive_at=T0 + SECOND), [6]),
        (Query(types=("D",)), [6, 7]),
    ]
    for query, expected in cases:
        assert ids(query) == expected, query
    with store.read() as read:
        assert read.list_ids("B") == ["urn:E:2", "urn:E:3", "urn:E:5"]
        assert read.list_types() == {"A": 2, "B": 3, "C": 2, "D": 2}
        (six,) = read.query(Query(ids=("urn:E:6",), alive_at=T0 + SECOND)).entities
        assert set(six.attributes) == {"sort"}
        assert read.list_attributes(["A"]) == [
            AttributeUse("A", "location", "GeoProperty", 2),
            AttributeUse("A", "name", "LanguageProperty", 1),
            AttributeUse("A", "speed", "Property", 1),
            AttributeUse("A", "tree", "JsonProperty", 1),
            AttributeUse("A", "words", "VocabProperty", 1),
        ]
        assert {(u.entity_type, u.name) for u in read.list_attributes() if u.name == "speed"} == {
            ("A", "speed"), ("B", "speed"), ("C", "speed")
        }  # fmt: skip
        bodies = read.query_bodies(Query(types=("C",), limit=1, count=True))
        assert [(id_, body.type, body.is_plain) for id_, body in bodies.rows] == [("urn:E:4", "C", False)]
        assert (bodies.total, bodies.more) == (2, True)
        assert read.query_ids(Query(types=("C", "D"), order=(Order("sort"),), limit=3)) == [
            f"urn:E:{n}" for n in (7, 4, 6)
        ]
        body, other = read.find_entity_body("urn:E:4"), read.find_entity_body("urn:E:1")
        assert body is not None and (body.type, body.is_plain) == ("C", False)
        assert other is not None and not other.is_plain
        assert read.find_entity_body("urn:E:99") is None
    # What an entity was is no longer found after it changed or went.
    store.write(lambda tx: tx.put_entity("urn:E:2", "A", {"x": prop(1)}, "s", reference=False, replace=True)).result(5)
    store.write(lambda tx: tx.delete_entity("urn:E:5", "s")).result(5)
    assert ids(Query(types=("B",))) == [3]
    store.close()
