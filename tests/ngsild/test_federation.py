"""Who gets which part of a distributed operation, and how what comes back is merged (clauses 4.3.6, 4.5.5, 5.12, 5.6.1.4).
Expected values by hand from the clauses."""

from typing import Any

import pytest

from madang.model.entity import Entity
from madang.ngsild.context import CORE, compile_context
from madang.ngsild.federation import (
    Fragment,
    keep_members,
    link_of,
    merge_all,
    merge_fragments,
    parts_of,
    rename,
    split_change,
)
from madang.ngsild.parse import parse_entity
from madang.ngsild.registration import Registration, Selection, read_registration

ID = "urn:ngsi-ld:Vehicle:1"


def source(
    mode: str, names: list[str] | None = None, operations: list[str] | None = None, **entity: Any
) -> Registration:
    information = {"entities": [{"type": "Vehicle", **entity}], **({"propertyNames": names} if names else {})}
    return read_registration(
        {"id": f"urn:r:{mode}", "information": [information], "mode": mode, "endpoint": "http://a.example",
         "operations": operations or ["redirectionOps"]}
    )  # fmt: skip


def fragment(auxiliary: bool = False, types: tuple[str, ...] = ("Vehicle",), **attributes: Any) -> Fragment:
    parsed = {
        name: value if isinstance(value, dict) else {"type": "Property", "value": value}
        for name, value in attributes.items()
    }
    return Fragment(Entity(ID, types[0], parsed, 0, 0, 0, 0, types=types if len(types) > 1 else ()), auxiliary)


def split(registrations: list[Registration], names: set[str] | None, operation: str = "updateAttrs") -> Any:
    asked = Selection(types=("Vehicle",), ids=(ID,), names=tuple(sorted(names or ())))
    return split_change(parts_of(registrations, asked), (operation,), names)


def test_1_an_inclusive_source_shares_the_change() -> None:
    done = split([source("inclusive")], {"speed", "colour"})
    assert [part.names for part, _ in done.forwards] == [("colour", "speed")]
    assert done.is_local and done.held == set() and done.refused == ()


def test_2_an_exclusive_source_takes_its_attributes() -> None:
    done = split([source("exclusive", ["speed"], id=ID)], {"speed", "colour"})
    assert [part.names for part, _ in done.forwards] == [("speed",)]
    assert done.is_local and done.held == {"speed"}
    alone = split([source("exclusive", ["speed"], id=ID)], {"speed"})
    assert not alone.is_local


def test_3_a_redirect_source_takes_all_of_it() -> None:
    done = split([source("redirect"), source("redirect")], {"speed", "colour"})
    assert len(done.forwards) == 2 and not done.is_local
    assert not split([source("redirect")], None, "deleteEntity").is_local


def test_4_a_whole_entity_of_which_a_part_is_elsewhere_stays_a_local_matter() -> None:
    done = split([source("exclusive", ["speed"], id=ID)], None, "deleteEntity")
    assert len(done.forwards) == 1 and done.is_local


def test_5_what_is_held_elsewhere_and_not_offered_is_refused() -> None:
    done = split([source("exclusive", ["speed"], ["retrieveOps"], id=ID)], {"speed"})
    assert done.forwards == () and len(done.refused) == 1 and not done.is_local
    shared = split([source("inclusive", None, ["retrieveOps"])], {"speed"})
    assert shared.forwards == () and shared.refused == () and shared.is_local


def test_6_an_auxiliary_source_is_never_changed() -> None:
    done = split([source("auxiliary", None, ["retrieveOps"])], {"speed"})
    assert done.forwards == () and done.refused == () and done.is_local


def test_parts_are_narrowed_to_what_is_registered_and_asked() -> None:
    asked = Selection(types=("Vehicle",), ids=(ID,))
    assert parts_of([source("inclusive", ["speed", "colour"])], asked)[0].names == ("speed", "colour")
    narrowed = Selection(types=("Vehicle",), ids=(ID,), names=("colour", "weight"))
    assert parts_of([source("inclusive", ["speed", "colour"])], narrowed)[0].names == ("colour",)
    assert parts_of([source("inclusive")], narrowed)[0].names == ("colour", "weight")
    assert parts_of([source("inclusive", ["speed"])], narrowed) == []


def test_documents_are_narrowed_by_stored_names() -> None:
    context = compile_context([{"v": "https://a.example/speed"}])
    document = {"id": ID, "type": "Vehicle", "v": 1, "colour": "red", "scope": "/a"}
    assert keep_members(document, context, {"https://a.example/speed"}) == {
        "id": ID,
        "type": "Vehicle",
        "v": 1,
        "scope": "/a",
    }
    assert keep_members(document, context, None) == document


def test_a_document_in_other_names_means_the_same() -> None:
    """The parser is the judge: both documents are stored alike."""
    old = compile_context([{"ex": "https://a.example/", "v": "ex:speed", "Car": "ex:Vehicle", "fast": "ex:Fast"}])
    new = compile_context([{"tempo": "https://a.example/speed", "Fahrzeug": "https://a.example/Vehicle"}])
    document = {
        "id": ID, "type": ["Car", "Thing"], "@context": "x",
        "v": [{"value": 3, "ex:by": {"object": "urn:x:1", "v": {"value": 1}}}, {"value": 4, "datasetId": "urn:d:1"}],
        "kind": {"type": "VocabProperty", "vocab": ["fast", "slow"]},
        "ex:plain": {"a": {"v": 1}}, "note": "v",
    }  # fmt: skip
    renamed = rename(document, old, new)
    assert renamed["type"] == ["Fahrzeug", "Thing"] and "tempo" in renamed and "@context" not in renamed
    assert parse_entity(renamed, "", new) == parse_entity(
        {k: v for k, v in document.items() if k != "@context"}, "", old
    )


@pytest.mark.parametrize(
    ("value", "link"),
    [
        ("https://a.example/c", "https://a.example/c"),
        (
            ["https://a.example/c", "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.8.jsonld"],
            "https://a.example/c",
        ),
        (["https://a.example/c", "https://a.example/d"], None),
        ({"a": "urn:x:a"}, None),
    ],
)
def test_the_one_address_of_a_context(value: Any, link: str | None) -> None:
    assert link_of(compile_context([{"a": "urn:x:a"}], value)) == link
    assert link_of(CORE) is None


def test_fragments_become_one_entity() -> None:
    here = fragment(speed=1, colour="red").entity
    merged = merge_fragments(here, [fragment(weight=5, types=("Truck", "Vehicle"))])
    assert merged is not None and merged.all_types == ("Vehicle", "Truck")
    assert {name: a["value"] for name, a in merged.attributes.items()} == {"speed": 1, "colour": "red", "weight": 5}
    assert merge_fragments(None, []) is None and merge_fragments(here, []) is here


def test_of_two_instances_the_newer_one_stays() -> None:
    def at(text: str, value: int) -> dict[str, Any]:
        return {"type": "Property", "value": value, "observedAt": f"2026-11-25T{text}Z"}

    here = fragment(speed=at("10:00:00", 1), weight=2).entity
    for time, wins in (("09:00:00", 1), ("10:00:00", 1), ("11:00:00", 9)):
        merged = merge_fragments(here, [fragment(speed=at(time, 9), weight=9)])
        assert merged is not None
        assert (merged.attributes["speed"]["value"], merged.attributes["weight"]["value"]) == (wins, 2)


def test_an_auxiliary_source_only_fills() -> None:
    """4.3.6.2, also when it answers first and is newer."""
    newer = {"type": "Property", "value": 9, "observedAt": "2026-11-25T11:00:00Z"}
    merged = merge_fragments(None, [fragment(True, speed=newer, weight=7), fragment(speed=1)])
    assert merged is not None and merged.attributes["speed"]["value"] == 1 and merged.attributes["weight"]["value"] == 7


def test_a_query_gives_each_entity_once_by_id() -> None:
    def named(id_: str, value: int) -> Entity:
        return Entity(id_, "Vehicle", {"n": {"type": "Property", "value": value}}, 0, 0, 0, 0)

    merged = merge_all(
        [named("urn:x:b", 1)],
        [Fragment(named("urn:x:c", 2)), Fragment(named("urn:x:a", 3)), Fragment(named("urn:x:b", 4))],
    )
    assert [(e.id, e.attributes["n"]["value"]) for e in merged] == [("urn:x:a", 3), ("urn:x:b", 1), ("urn:x:c", 2)]
