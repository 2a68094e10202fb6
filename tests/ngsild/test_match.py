"""Conditions in memory mean what they mean in the store: the embedded store's SQL is the oracle. Where both are ours, the
cases of clause 4.9 below are by hand."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.app.clocks import ManualClock
from madang.hub.ports import Store
from madang.model.entity import Entity, point
from madang.model.time import parse_instant
from madang.ngsild.match import in_place, matches
from madang.ngsild.query import (
    And,
    Between,
    Compare,
    Contains,
    Exists,
    InScope,
    Linked,
    Near,
    Node,
    Not,
    OfType,
    Or,
    Order,
    Query,
    Spatial,
)  # fmt: skip
from tests.stores.any_store import open_any

NOW = parse_instant("2026-11-25T00:00:00Z")
SQUARE = {
    "type": "Polygon",
    "coordinates": [[[126.0, 33.0], [127.0, 33.0], [127.0, 34.0], [126.0, 34.0], [126.0, 33.0]]],
}
VALUES: tuple[Any, ...] = (3, 3.5, -1, "b", "abc", True, False, [1, 5, "b"], {"x": {"y": 4}}, "2026-01-01T00:00:00Z",
                           {"@type": "DateTime", "@value": "2026-01-01T00:00:00Z"})  # fmt: skip
TIMES = ("2022-03-14T13:00:00Z", "2022-03-14T13:00:00.500Z", "2022-03-14T13:00:01Z")
ENTITIES = [
    Entity(
        f"urn:x:{n}", "A" if n % 2 else "B",
        {
            "v": {"type": "Property", "value": value, "unitCode": "KMH" if n % 3 else "MTR",
                  "sub": {"type": "Property", "value": n}},
            **({"v urn:d:1": {"type": "Property", "value": 9, "datasetId": "urn:d:1"}} if n % 4 == 0 else {}),
            **({"r": {"type": "Relationship", "object": [f"urn:x:{n + 1}", "urn:x:0"]}} if n % 3 == 0 else {}),
            **({"l": {"type": "LanguageProperty", "languageMap": {"en": "b", "ko": "나"}}} if n % 5 == 0 else {}),
            **({"t": {"type": "Property", "value": TIMES[n], "observedAt": TIMES[n]}} if n < len(TIMES) else {}),
            **({"location": point(126.5, 33.0 + n / 5)} if n % 2 else {}),
        },
        NOW, NOW, NOW, n + 1, scopes=("/a/b", f"/c/{n}") if n % 2 else (), types=("A", "C") if n == 3 else (),
    )
    for n, value in enumerate(VALUES)
]  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = open_any(tmp_path_factory.mktemp("match") / "data", ManualClock(NOW), durable=False)
    for e in ENTITIES:
        store.write(
            lambda tx, e=e: tx.put_entity(  # type: ignore[misc]
                e.id, e.type, e.attributes, "test", reference=False, replace=True, types=e.types, scopes=e.scopes
            )
        ).result(10)
    yield store
    store.close()


def in_store(store: Store, query: Query) -> list[str]:
    with store.read() as read:
        return [entity.id for entity in read.query(query).entities]


names = st.sampled_from(["v", "r", "l", "nobody", "id", "type"])
right = st.sampled_from([3, 9, 5, 4, "b", "abc", True, "A", "urn:x:3", "urn:x:0", ["b", 9], "2026-01-01T00:00:00Z"])
paths = st.sampled_from([(), (), ("x", "y"), ("x",), ("en",), ("*",)])
subs = st.sampled_from([(), (), ("sub",), ("unitCode",), ("nobody",)])


def plain(node: Node) -> bool:
    """A member of the entity itself has neither path nor sub, and metadata has no path: the parser makes no such node."""
    if isinstance(node, Compare | Between | Exists) and node.path and node.sub == ("unitCode",):
        return False
    if isinstance(node, Compare | Between | Exists) and node.attribute in ("id", "type"):
        return not node.path and not node.sub and not isinstance(node, Between)
    return True


compares = st.builds(Compare, names, st.sampled_from(["==", "!="]), right, paths, subs).filter(plain)
ordered = st.builds(
    Compare, st.sampled_from(["v", "r", "nobody"]), st.sampled_from(["<", "<=", ">", ">=", "~=", "!~="]),
    st.sampled_from([3, 4, 9, "b", "abc"]), paths, subs,
).filter(lambda n: plain(n) and ("~" not in n.op or isinstance(n.value, str)))  # fmt: skip
leaves = st.one_of(
    compares,
    ordered,
    st.builds(Between, st.just("v"), st.just(3), st.sampled_from([4, 9]), paths, subs).filter(plain),
    st.builds(Between, st.just("v"), st.just("a"), st.just("c")),
    st.builds(Exists, names, paths, subs).filter(plain),
    st.builds(OfType, st.sampled_from(["A", "B", "C", "D"])),
    st.builds(InScope, st.sampled_from(["/a/b", "/a/#", "/+/3", "/c/+", "/a", "/#"])),
    st.builds(Contains, st.sampled_from(["B", "x:3", "nothing"]), st.just(("v",))),
)
nodes: st.SearchStrategy[Node] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda items: And(tuple(items)), st.lists(inner, max_size=3)),
        st.builds(lambda items: Or(tuple(items)), st.lists(inner, max_size=3)),
        st.builds(Not, inner),
    ),
    max_leaves=6,
)


@given(nodes)
def test_the_store_says_the_same(store: Store, node: Node) -> None:
    """For every condition: the entities that meet it are those that the store finds."""
    assert sorted(e.id for e in ENTITIES if matches(e, node)) == in_store(store, Query(where=node)), node


@pytest.mark.parametrize(
    "place",
    [
        Near({"type": "Point", "coordinates": [126.5, 33.4]}, maximum_m=30_000),
        Near({"type": "Point", "coordinates": [126.5, 33.4]}, minimum_m=30_000),
        *(
            Spatial(relation, SQUARE)
            for relation in ("within", "contains", "intersects", "equals", "disjoint", "overlaps")
        ),
    ],
)
def test_places_too(store: Store, place: Near | Spatial) -> None:
    assert [e.id for e in ENTITIES if in_place(e, place)] == in_store(store, Query(place=place))


@pytest.mark.parametrize(
    ("op", "value", "expected"),
    [
        ("==", "urn:x:4", ["urn:x:3"]),
        ("!=", "urn:x:4", ["urn:x:0", "urn:x:6", "urn:x:9"]),
        *((op, "a", []) for op in ("<", "<=", ">", ">=")),
        ("~=", "urn", []),
    ],
)
def test_a_relationship_is_equal_or_unequal_and_nothing_else(
    store: Store, op: str, value: str, expected: list[str]
) -> None:
    """Clause 4.9: any other operator "shall result in not matching" (the official suite's 5744_02_04)."""
    node = Compare("r", op, value)
    assert [e.id for e in ENTITIES if matches(e, node)] == in_store(store, Query(where=node)) == expected


@pytest.mark.parametrize("sub", [(), ("observedAt",)])
@pytest.mark.parametrize(
    ("op", "place", "expected"),
    [
        ("<", 1, [0]),
        ("<=", 1, [0, 1]),
        (">", 0, [1, 2]),
        (">=", 1, [1, 2]),
        ("<", 2, [0, 1]),
        ("==", 1, [1]),
        ("!=", 0, [1, 2]),
    ],
)
def test_instants_compare_by_time(store: Store, sub: tuple[str, ...], op: str, place: int, expected: list[int]) -> None:
    """Clause 4.9 compares instants in time: as text, 13:00:00.500Z comes before 13:00:00Z."""
    node = Compare("t", op, TIMES[place], (), sub)
    ids = [f"urn:x:{n}" for n in expected]
    assert [e.id for e in ENTITIES if matches(e, node)] == in_store(store, Query(where=node)) == ids
    between = Between("t", TIMES[0], TIMES[1], (), sub)
    assert in_store(store, Query(where=between)) == ["urn:x:0", "urn:x:1"]
    assert [e.id for e in ENTITIES if matches(e, between)] == ["urn:x:0", "urn:x:1"]


def test_instants_sort_by_time(store: Store) -> None:
    query = Query(where=Exists("t"), order=(Order("t", sub=("observedAt",)),))
    assert in_store(store, query) == ["urn:x:0", "urn:x:1", "urn:x:2"]


def test_no_condition_holds() -> None:
    assert all(matches(e, None) and in_place(e, None) for e in ENTITIES)


def test_linked_entities_need_a_store() -> None:
    with pytest.raises(ValueError, match="store"):
        matches(ENTITIES[0], Linked("r", Exists("v")))
