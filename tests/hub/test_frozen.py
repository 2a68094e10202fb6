"""What a snapshot holds answers like the store that it was taken from: the common check of stores, run on a frozen copy."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from madang.hub.frozen import Frozen, FrozenRead
from madang.hub.ports import InstanceRow, Read, Store
from madang.model.entity import Entity, prop, rel
from madang.ngsild.query import Compare, Linked, Not, Order, Query
from madang.ngsild.sort import sort_entities
from madang.ngsild.temporal import ANY_TIME, CREATED_AT, DELETED_AT, Window
from tests.stores import check_entities, check_evolution
from tests.stores.any_store import open_any

FROZEN = frozenset(
    {
        "find_entity",
        "query",
        "query_ids",
        "query_bodies",
        "list_types",
        "list_attributes",
        "list_evolving",
        "list_instances",
    }
)


class FrozenStore:
    """A store whose every look is at a frozen copy of all that it holds."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @contextmanager
    def read(self, *, quick: bool = False) -> Iterator["FrozenLook"]:
        with self._store.read(quick=quick) as read:
            yield FrozenLook(read)


class FrozenLook:
    def __init__(self, read: Read) -> None:
        self._read = read
        page = read.query(Query(limit=1_000, stamps=True))
        self._rows = [Frozen(entity, True, instances_of(read, entity)) for entity in page.entities]

    def __getattr__(self, name: str) -> Any:
        if name not in FROZEN:
            return getattr(self._read, name)
        evolving = name in ("list_evolving", "list_instances")
        return getattr(FrozenRead(self._rows, evolving=evolving), name)


def instances_of(read: Read, entity: Entity) -> list[InstanceRow]:
    keys = read.list_evolving(entity.id)
    found: dict[tuple[str, str], InstanceRow] = {}
    for property_ in (ANY_TIME, CREATED_AT, DELETED_AT):
        for row in read.list_instances(entity.id, keys, Window(property_), 1_000, newest=False):
            found[row.key, row.token] = row
    return sorted(found.values(), key=lambda row: (row.key, row.created_at))


CHECKS = [
    check_entities.check_further_queries,
    check_entities.check_put_entity_writes_removes_and_says_so,
    check_entities.check_attributes_know_when_they_were_created_and_modified,
    check_evolution.check_evolution_tells_what_was_given,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_frozen_copy_keeps_the_contract(check: Any, tmp_path: Path) -> None:
    check(lambda folder, clock: FrozenStore(open_any(folder, clock)), tmp_path)


def entity(id_: str, **attributes: Any) -> Entity:
    return Entity(id_, "T", {name: a if isinstance(a, dict) else prop(a) for name, a in attributes.items()}, 0, 0, 0, 0)


def test_links_are_followed_inside() -> None:
    rows = [entity("urn:1", at=rel("urn:2")), entity("urn:2", n=5, at=rel("urn:3")), entity("urn:3", n=9)]
    read = FrozenRead([Frozen(one) for one in rows])
    deep = Linked("at", Linked("at", Compare("n", "==", 9)))
    assert read.query_ids(Query(where=deep)) == ["urn:1"]
    assert read.query_ids(Query(where=Not(Linked("at", Compare("n", ">", 1))))) == ["urn:3"]
    assert read.query_ids(Query(where=Linked("at", Compare("n", ">", 99)))) == []


def test_numbers_come_before_text_and_nothing_last() -> None:
    """By hand from `madang.ngsild.query.Order`."""
    rows = [
        entity("urn:1", n="b"),
        entity("urn:2"),
        entity("urn:3", n=10),
        entity("urn:4", n=9),
        entity("urn:5", n="a"),
        entity("urn:6", n=9),
    ]
    assert [e.id[-1] for e in sort_entities(rows, [Order("n")])] == ["4", "6", "3", "5", "1", "2"]
    assert [e.id[-1] for e in sort_entities(rows, [Order("n", descending=True)])] == ["1", "5", "3", "4", "6", "2"]


def test_pages_and_what_is_only_evolving() -> None:
    rows = [Frozen(entity(f"urn:{n}")) for n in range(5)] + [Frozen(entity("urn:9"), False, [])]
    read, evolving = FrozenRead(rows), FrozenRead(rows, evolving=True)
    page = read.query(Query(limit=2, offset=1, count=True))
    assert ([e.id for e in page.entities], page.total, page.next_after) == (["urn:1", "urn:2"], 5, "urn:2")
    assert read.query(Query(limit=2, after="urn:3")).next_after is None
    assert read.find_entity("urn:9") is None and evolving.query_ids(Query()) == ["urn:9"]
