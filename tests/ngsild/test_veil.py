"""A query with hidden attributes gives what it gives on entities without them, held against the matcher on small trees."""

from itertools import product

from madang.model.entity import Entity, prop
from madang.ngsild.match import matches
from madang.ngsild.query import And, Between, Compare, Contains, Exists, Near, Not, Or, Order, Query
from madang.ngsild.veil import NEVER, veil, veil_query

HIDDEN = frozenset({"driver"})
LEAVES = [
    Compare("driver", "==", "Kim"),
    Compare("driver", "~=", "^K"),
    Exists("driver"),
    Between("driver", "A", "Z"),
    Contains("kim", ("driver", "plate")),
    Compare("speed", ">", 5),
    Exists("plate"),
]


def entity(**attributes: object) -> Entity:
    return Entity("urn:e:1", "Car", {name: prop(value) for name, value in attributes.items()}, 0, 0, 0, 1)


def test_as_if_it_were_not_there() -> None:
    whole = [
        entity(driver="Kim", speed=9, plate="12 kim"),
        entity(driver="Lee", speed=1),
        entity(speed=9),
        entity(driver="Kim"),
    ]
    bare = [Entity(e.id, e.type, {n: a for n, a in e.attributes.items() if n not in HIDDEN}, 0, 0, 0, 1) for e in whole]
    singles = [*LEAVES, *(Not(leaf) for leaf in LEAVES)]
    nodes = [*singles, *(kind((a, b)) for kind, a, b in product((And, Or), singles, singles))]
    for node in nodes:
        for one, without in zip(whole, bare, strict=True):
            assert matches(one, veil(node, HIDDEN)) == matches(without, node), node


def test_everything_else_of_a_query() -> None:
    asked = Query(attributes=("driver", "speed"), order=(Order("driver"), Order("speed")), where=LEAVES[5])
    seen = veil_query(asked, HIDDEN)
    assert (seen.attributes, seen.order, seen.where) == (("speed",), (Order("speed"),), LEAVES[5])
    assert veil_query(Query(attributes=("driver",)), HIDDEN).where == NEVER
    here = Near({"type": "Point", "coordinates": [0, 0]}, property="driver")
    assert veil_query(Query(place=here), HIDDEN).where == NEVER
    assert veil_query(asked, ()) is asked
