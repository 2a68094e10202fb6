"""Which change concerns which subscription, and what it is told. Expected values: clause 5.8.6 and table 5.2.12-1 of ETSI GS CIM 009; the
documents are those of the official suite (data/subscriptions/expectations)."""

from typing import Any

import pytest
from msgspec.structs import replace

from madang.model.change import DELETION, READING, Change
from madang.model.entity import Attributes, Entity, instance_key, prop, rel
from madang.model.time import SECOND, parse_instant
from madang.ngsild.context import CORE
from madang.ngsild.notification import Happened, after_of, happened, is_due, tell, tell_entity
from madang.ngsild.subscription import TRIGGERS, Subscription, parse_subscription, read_subscription

NOW = parse_instant("2026-11-23T02:00:00Z")
ID = "urn:ngsi-ld:Building:1"
NAME, HEIGHT = prop("Eiffel Tower"), prop(300)
STREET = {"type": "LanguageProperty", "languageMap": {"fr": "Grand Place", "nl": "Grote Markt"}}
NULL = "urn:ngsi-ld:null"


def subscription(notification: dict[str, Any] | None = None, **more: Any) -> Subscription:
    document = {
        "type": "Subscription", "entities": [{"type": "Building"}],
        "notification": {"endpoint": {"uri": "http://a.example/"}, **(notification or {})}, **more,
    }  # fmt: skip
    return read_subscription(parse_subscription(document, CORE, NOW, "urn:s:1"), CORE, CORE)


def write(before: Attributes | None, attributes: Attributes, *removed: str) -> Happened:
    """What an API write did. `before` None: it created the entity."""
    change = Change(
        2, READING, NOW, NOW, ID, "Building", attributes, removed=removed, previous=0 if before is None else 1,
        before={k: v for k, v in (before or {}).items() if k in attributes or k in removed},
    )  # fmt: skip
    after = after_of(change, before or {})
    return happened(change, Entity(ID, "Building", after, NOW - SECOND, NOW, NOW, 2), before or {})


def deletion(before: Attributes) -> Happened:
    change = Change(3, DELETION, NOW, NOW, ID, "Building", previous=2, before=before)
    return happened(change, Entity(ID, "Building", before, NOW - SECOND, NOW - SECOND, NOW, 2), before)


CHANGES = {
    "created": write(None, {"name": NAME}),
    "added": write({"height": HEIGHT}, {"name": NAME}),
    "updated": write({"name": NAME}, {"name": prop("Tour Eiffel")}),
    "removed": write({"name": NAME, "height": HEIGHT}, {}, "name"),
    "deleted": deletion({"name": NAME, "height": HEIGHT}),
}
FIRES = {
    "entityCreated": {"created"},
    "entityUpdated": {"added", "updated", "removed"},
    "entityDeleted": {"deleted"},
    "attributeCreated": {"created", "added"},
    "attributeUpdated": {"updated"},
    "attributeDeleted": {"removed", "deleted"},
}
"""Table 5.2.12-1, by hand."""


@pytest.mark.parametrize("trigger", TRIGGERS)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("watched", [None, "name", "color"])
def test_triggers(trigger: str, change: str, watched: str | None) -> None:
    more = {} if watched is None else {"watchedAttributes": [watched]}
    fires = change in FIRES[trigger] and watched != "color"
    assert is_due(subscription(notificationTrigger=[trigger], **more), CHANGES[change]) is fires


def test_default_triggers_are_attributes_created_and_updated() -> None:
    assert {n for n, what in CHANGES.items() if is_due(subscription(), what)} == {"created", "added", "updated"}


@pytest.mark.parametrize(
    ("more", "due"),
    [
        ({"entities": [{"type": "Tower"}]}, False),
        ({"entities": [{"type": "Tower"}, {"type": "Building"}]}, True),
        ({"entities": [{"type": "*"}]}, True),
        ({"entities": [{"type": "Building", "id": ID}]}, True),
        ({"entities": [{"type": "Building", "id": "urn:other"}]}, False),
        ({"entities": [{"type": "Building", "idPattern": "Building:[0-9]$"}]}, True),
        ({"q": 'name=="Tour Eiffel"'}, True),
        ({"q": 'name=="Tour%20Eiffel"'}, True),
        ({"q": 'name=="Eiffel Tower"'}, False),  # Judged on the entity as the change left it.
        ({"isActive": False}, False),
        ({"timeInterval": 5}, False),
        ({"scopeQ": "/a"}, False),
        (
            {"geoQ": {"georel": "within", "geometry": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}},
            False,
        ),
    ],
)
def test_selection_and_conditions(more: dict[str, Any], due: bool) -> None:
    assert is_due(subscription(**more), CHANGES["updated"]) is due


def test_an_expired_subscription_is_not_due() -> None:
    ends = subscription(expiresAt="2026-11-23T02:00:01Z")
    assert is_due(ends, CHANGES["updated"])
    assert not is_due(ends, replace(CHANGES["updated"], at=NOW + SECOND))


def test_previous_contents_are_told() -> None:
    what = write({"name": NAME, "street": STREET, "at": rel("urn:c:1")}, {
        "name": prop("Tour Eiffel"), "street": {"type": "LanguageProperty", "languageMap": {"fr": "Grand Place"}},
        "at": rel("urn:c:2"), "new": prop(1),
    })  # fmt: skip
    (told,) = tell(subscription({"showChanges": True}), what, frozenset())
    assert told["name"] == {"type": "Property", "value": "Tour Eiffel", "previousValue": "Eiffel Tower"}
    assert told["street"]["previousLanguageMap"] == {"fr": "Grand Place", "nl": "Grote Markt"}
    assert told["at"] == {"type": "Relationship", "object": "urn:c:2", "previousObject": "urn:c:1"}
    assert told["new"] == prop(1)
    (concise,) = tell(subscription({"showChanges": True, "format": "concise"}), what, frozenset())
    assert concise["name"] == {"value": "Tour Eiffel", "previousValue": "Eiffel Tower"} and concise["new"] == 1


def test_a_removed_attribute_is_told_as_null() -> None:
    what = CHANGES["removed"]
    watching = {"notificationTrigger": ["attributeDeleted"]}
    assert tell(subscription(**watching), what, frozenset()) == [
        {"id": ID, "type": "Building", "height": HEIGHT, "name": prop(NULL)}
    ]
    assert tell(subscription({"format": "keyValues"}, **watching), what, frozenset()) == [
        {"id": ID, "type": "Building", "height": 300, "name": NULL}
    ]
    (told,) = tell(subscription({"sysAttrs": True, "showChanges": True}, **watching), what, frozenset())
    assert told["name"]["deletedAt"] == "2026-11-23T02:00:00Z" and told["name"]["previousValue"] == "Eiffel Tower"


def test_a_removed_instance_stands_beside_the_others() -> None:
    key = instance_key("name", "urn:fr")
    french = {**prop("La tour"), "datasetId": "urn:fr"}
    what = write({"name": NAME, key: french}, {}, key)
    (told,) = tell(subscription(notificationTrigger=["attributeDeleted"]), what, frozenset())
    assert told["name"] == [NAME, {**prop(NULL), "datasetId": "urn:fr"}]
    (simple,) = tell(subscription({"format": "keyValues"}, notificationTrigger=["attributeDeleted"]), what, frozenset())
    assert simple["name"] == {"dataset": {"@none": "Eiffel Tower", "urn:fr": NULL}}


def test_an_attribute_that_goes_with_all_its_instances_is_one_null() -> None:
    """046_22_08 of the official suite."""
    key = instance_key("name", "urn:fr")
    before = {"name": NAME, key: {**prop("La tour"), "datasetId": "urn:fr"}}
    (told,) = tell(subscription(notificationTrigger=["attributeDeleted"]), write(before, {}, "name", key), frozenset())
    assert told["name"] == prop(NULL)


def test_a_deleted_entity() -> None:
    what = deletion({"name": NAME, "street": STREET})
    gone = {"id": ID, "type": "Building", "deletedAt": "2026-11-23T02:00:00Z"}
    assert tell(subscription(notificationTrigger=["entityDeleted"]), what, frozenset()) == [gone]
    assert tell(
        subscription(notificationTrigger=["attributeDeleted"], watchedAttributes=["name"]), what, frozenset()
    ) == [{**gone, "name": prop(NULL)}]
    (told,) = tell(subscription({"showChanges": True}, notificationTrigger=["entityDeleted"]), what, frozenset())
    assert told == {
        **gone, "name": {**prop(NULL), "previousValue": "Eiffel Tower"},
        "street": {
            "type": "LanguageProperty", "languageMap": {"@none": NULL},
            "previousLanguageMap": {"fr": "Grand Place", "nl": "Grote Markt"},
        },
    }  # fmt: skip


def test_hidden_attributes_are_never_told() -> None:
    """Not their value, not the one before, not that they are gone."""
    hidden = frozenset({"name"})
    every = subscription({"showChanges": True}, notificationTrigger=list(TRIGGERS))
    for what in CHANGES.values():
        for told in tell(every, what, hidden):
            assert "name" not in told and "Eiffel" not in str(told)


def test_projection_datasets_and_media_types() -> None:
    what = CHANGES["updated"]
    assert tell(subscription({"pick": ["id", "name"]}), what, frozenset()) == [{"id": ID, "name": prop("Tour Eiffel")}]
    assert tell(subscription({"omit": ["name"]}), what, frozenset()) == [{"id": ID, "type": "Building"}]
    (geo,) = tell(
        subscription({"endpoint": {"uri": "http://a.example/", "accept": "application/geo+json"}}), what, frozenset()
    )
    assert geo["type"] == "Feature" and geo["geometry"] is None and geo["properties"]["name"] == prop("Tour Eiffel")
    (ld,) = tell(
        subscription({"endpoint": {"uri": "http://a.example/", "accept": "application/ld+json"}}), what, frozenset()
    )
    assert ld["@context"].startswith("https://uri.etsi.org/ngsi-ld/v1/")


def test_a_periodic_notification_tells_the_entity_as_it_is() -> None:
    entity = Entity(ID, "Building", {"name": NAME}, NOW, NOW, NOW, 2)
    assert tell_entity(subscription(timeInterval=5), entity, frozenset()) == [
        {"id": ID, "type": "Building", "name": NAME}
    ]


def test_a_late_reading_updates_only_what_it_is_newer_for() -> None:
    """A device's reading carries one time for all; attributes that know a newer value keep it (as the store does)."""
    before = {
        "a": {**prop(1), "observedAt": "2026-11-23T01:00:00Z"},
        "b": {**prop(1), "observedAt": "2026-11-23T03:00:00Z"},
    }
    change = Change(5, READING, NOW, NOW, ID, "Building", {"a": prop(2), "b": prop(2)}, late=True, previous=4)
    after = after_of(change, before)
    assert (after["a"]["value"], after["b"]["value"]) == (2, 1)
    what = happened(change, Entity(ID, "Building", after, NOW, NOW, NOW, 5), before)
    assert (what.updated, what.added) == ({"a"}, frozenset())
