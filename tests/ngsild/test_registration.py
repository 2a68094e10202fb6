"""Context source registrations: what is taken, what is refused, and what matches (clauses 5.2.8 to 5.2.10, 5.2.34, 4.3.6,
5.12). Refusals are those of the conformance suite's ContextSource group."""

from typing import Any

import pytest

from madang.model.time import parse_instant
from madang.ngsild.context import CORE, compile_context
from madang.ngsild.errors import NgsiLdError
from madang.ngsild.operations import expand_operations
from madang.ngsild.registration import (
    Registration,
    Selection,
    in_time,
    matching,
    merge_registration,
    overlaps,
    parse_registration,
    read_registration,
    render_registration,
)

NOW = parse_instant("2026-11-25T00:00:00Z")
A456 = "urn:ngsi-ld:Vehicle:A456"
DOCUMENT: dict[str, Any] = {
    "id": "urn:ngsi-ld:ContextSourceRegistration:1",
    "type": "ContextSourceRegistration",
    "information": [
        {"entities": [{"id": A456, "type": "Vehicle"}], "propertyNames": ["brandName", "speed"], "relationshipNames": ["isParked"]},
        {"entities": [{"idPattern": ".*downtown$", "type": "OffStreetParking"}], "propertyNames": ["totalSpotNumber"]},
    ],
    "endpoint": "http://my.csource.org:1026",
}  # fmt: skip
CONTEXT = compile_context(
    [{"ex": "https://a.example/", "Vehicle": "ex:Vehicle", "speed": "ex:speed"}], "https://a.example/c"
)


def made(**members: Any) -> Registration:
    return read_registration(parse_registration({**DOCUMENT, **members}, CORE, NOW, "urn:new"))


def one(entity: dict[str, Any], names: list[str] | None = None, **members: Any) -> Registration:
    information = {"entities": [entity], **({"propertyNames": names} if names else {})}
    return made(information=[information], **members)


def test_names_go_in_and_come_out() -> None:
    stored = parse_registration(
        {**DOCUMENT, "sourceType": "sensor", "@context": "x", "status": "ok"}, CONTEXT, NOW, "urn:new"
    )
    assert stored["information"][0] == {
        "entities": [{"id": A456, "type": "https://a.example/Vehicle"}],
        "propertyNames": ["brandName", "https://a.example/speed"],
        "relationshipNames": ["isParked"],
    }
    registration = read_registration(stored, NOW, NOW)
    shown = render_registration(registration, CONTEXT, sys_attrs=True)
    assert shown == {
        **DOCUMENT, "sourceType": "sensor", "mode": "inclusive", "operations": ["federationOps"],
        "createdAt": "2026-11-25T00:00:00Z", "modifiedAt": "2026-11-25T00:00:00Z",
    }  # fmt: skip
    assert render_registration(registration, CORE)["information"][0]["propertyNames"][1] == "https://a.example/speed"
    assert "endpoint" not in render_registration(registration, CORE, hidden=("endpoint",))


def test_one_without_an_id_gets_one() -> None:
    without = {name: value for name, value in DOCUMENT.items() if name != "id"}
    assert parse_registration(without, CORE, NOW, "urn:new")["id"] == "urn:new"


@pytest.mark.parametrize(
    "members",
    [
        {"type": "Building"},
        {"id": "invalidURI"},
        {"information": None},
        {"information": []},
        {"information": [{}]},
        {"information": [{"entities": [{"id": A456}]}]},
        {"information": [{"entities": [{"type": "T", "idPattern": "(a+)+"}]}]},
        {"information": [{"propertyNames": []}]},
        {"information": [{"propertyNames": ["a b"]}]},
        {"endpoint": None},
        {"endpoint": "nowhere"},
        {"expiresAt": "2018-11-29T14:53:15Z"},
        {"expiresAt": " 2035-11-29T14:53:15Z"},
        {"mode": "sideways"},
        {"operations": ["fly"]},
        {"operations": []},
        {"mode": "auxiliary", "operations": ["updateEntity"]},
        {"mode": "exclusive"},
        {"mode": "exclusive", "information": [{"entities": [{"id": A456, "type": "Vehicle"}]}]},
        {"contextSourceInfo": [{"key": "X", "value": 1}]},
        {"contextSourceInfo": [{"key": "X"}]},
        {"contextSourceInfo": [{"key": "X", "value": "a\r\nY: b"}]},
        {"management": "yes"},
        {"management": {"cacheDuration": "bogus"}},
        {"management": {"cooldown": 0}},
        {"management": {"timeout": -5}},
        {"management": {"localOnly": "yes"}},
        {"observationInterval": {"endAt": "2026-01-01T00:00:00Z"}},
        {"observationInterval": {"startAt": "2026-01-02T00:00:00Z", "endAt": "2026-01-01T00:00:00Z"}},
        {"location": {"type": "Point", "coordinates": [900, 0]}},
        {"scope": 7},
        {"refreshRate": "P"},
    ],
)
def test_what_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(NgsiLdError) as caught:
        made(**members)
    assert caught.value.kind in ("BadRequestData", "TooComplexQuery")


def test_management_as_the_standard_has_it() -> None:
    """5234_01_01."""
    management = {"cacheDuration": "PT5M", "cooldown": 500, "timeout": 3000, "localOnly": True}
    assert made(management=management).document["management"] == management


def test_a_change_replaces_and_takes_away() -> None:
    stored = made(expiresAt="2035-11-29T14:53:15Z", sourceType="a").document
    changed = merge_registration(
        stored, {"endpoint": "http://new.example", "expiresAt": None, "sourceType": None}, CORE, NOW
    )
    assert changed == {**DOCUMENT, "endpoint": "http://new.example"}
    for fragment in (
        {"information": None},
        {"type": "building"},
        {"id": "urn:other"},
        {"mode": "exclusive"},
        [],
        {"mode": 7},
    ):
        with pytest.raises(NgsiLdError):
            merge_registration(stored, fragment, CORE, NOW)


def test_operations_and_groups() -> None:
    """Clause 4.20: the groups as the suite uses them (436_01: updateOps has no reading)."""
    assert "retrieveEntity" not in expand_operations(["updateOps"])
    assert {"retrieveEntity", "createEntity", "deleteEntity", "purgeEntity"} <= expand_operations(["redirectionOps"])
    assert made().operations == expand_operations(["federationOps"])
    assert made(mode="auxiliary").operations == {"retrieveEntity", "queryEntity"}


@pytest.mark.parametrize(
    ("asked", "parts"),
    [
        (Selection(types=("Vehicle",)), [0]),
        (Selection(types=("Building",)), []),
        (Selection(types=("Building", "OffStreetParking")), [1]),
        (Selection(ids=(A456,)), [0]),
        (Selection(ids=("urn:x:downtown",)), [1]),
        (Selection(ids=("urn:x:downtown",), types=("Vehicle",)), []),
        (Selection(id_pattern=".*downtown$", types=("OffStreetParking",)), [1]),
        (Selection(id_pattern="^urn:ngsi-ld:Vehicle"), [0, 1]),
        (Selection(names=("speed",)), [0]),
        (Selection(names=("nobody",)), []),
        (Selection(), [0, 1]),
    ],
)
def test_what_matches(asked: Selection, parts: list[int]) -> None:
    """By hand, from clause 5.12."""
    registration = made()
    assert matching(registration, asked) == tuple(registration.information[n] for n in parts)


def test_without_entities_any_entity_matches() -> None:
    """037_05_02."""
    registration = made(information=[{"propertyNames": ["name"]}])
    assert matching(registration, Selection(types=("OffStreetParking",), id_pattern=".*downtown$"))


def test_exclusive_ones_do_not_overlap() -> None:
    """4.3.6.3 and 436_03."""
    entity = {"id": A456, "type": "Vehicle"}
    exclusive = one(entity, ["speed"], mode="exclusive")
    assert overlaps(one(entity, ["speed"], mode="exclusive"), exclusive)
    assert overlaps(one(entity, ["speed"], mode="redirect"), exclusive)
    assert overlaps(one({"type": "Vehicle", "idPattern": "Vehicle"}, mode="redirect"), exclusive)
    assert not overlaps(one(entity, ["weight"], mode="exclusive"), exclusive)
    assert not overlaps(one(entity, ["speed"]), exclusive)
    assert not overlaps(one({"id": "urn:x:other", "type": "Vehicle"}, ["speed"], mode="redirect"), exclusive)
    redirect = one(entity, ["speed"], mode="redirect")
    assert not overlaps(one(entity, ["speed"], mode="redirect"), redirect)


def test_intervals() -> None:
    """5.10.2.4 and 037_08, 037_09."""

    def at(text: str) -> int:
        return parse_instant(f"{text}T00:00:00Z")

    interval = {"startAt": "2020-08-01T22:07:00Z", "endAt": "2021-08-01T21:07:00Z"}
    past, now = made(observationInterval=interval), made()
    assert in_time(now, None, 0, 0, "observationInterval") and not in_time(past, None, 0, 0, "observationInterval")
    assert in_time(past, "before", at("2021-08-02"), 0, "observationInterval")
    assert not in_time(past, "before", at("2020-01-01"), 0, "observationInterval")
    assert not in_time(past, "after", at("2022-01-01"), 0, "observationInterval")
    assert in_time(past, "between", at("2021-01-01"), at("2022-01-01"), "observationInterval")
    assert not in_time(past, "before", at("2021-08-02"), 0, "managementInterval")
    assert not in_time(now, "before", at("2021-08-02"), 0, "observationInterval")
