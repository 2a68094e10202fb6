"""Entity maps over HTTP (clauses 5.2.39, 5.5.9.3, 5.7.1.4 to 5.7.4.4, 5.14). Expected answers are those of the conformance suite's
EntityMap group (5141 to 5145, 5593, 5714, 5734, IOP_EXT_MAP_01) or follow from the clause that a test names."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from madang.api.app import create_app
from madang.api.state import ApiSettings
from madang.hub.hub import Hub
from madang.model.time import DAY, HOUR, SECOND, parse_instant, render_instant
from madang.services.manure import SERVICE
from tests.api.test_federation import Two, boat
from tests.api.tiny_city import TinyCity, build_city, close_city
from tests.stores.any_store import open_any

ENTITIES, MAPS, TEMPORAL = "/ngsi-ld/v1/entities", "/ngsi-ld/v1/entityMaps", "/ngsi-ld/v1/temporal"
ERRORS = "https://uri.etsi.org/ngsi-ld/errors/"


class Boats:
    """A city whose boats a test makes, and one of its callers."""

    def __init__(self, city: TinyCity, client: TestClient, role: str = "admin") -> None:
        self.city, self.client, self.role = city, client, role

    @property
    def now(self) -> int:
        return self.city.clock.now()

    def ask(self, method: str, path: str, body: Any = None, *, status: int = 200, **headers: str) -> Any:
        sent: dict[str, Any] = {} if body is None else {"json": body}
        answer = self.client.request(method, path, headers={**self.city.auth(self.role), **headers}, **sent)
        assert answer.status_code == status, answer.text
        return answer

    def put(self, *numbers: int, speed: int = 50) -> None:
        for number in numbers:
            body = {"id": id_of(number), "type": "Boat", "speed": {"type": "Property", "value": speed}}
            self.ask("POST", ENTITIES, body, status=201)

    def delete(self, number: int) -> None:
        self.ask("DELETE", f"{ENTITIES}/{id_of(number)}", status=204)

    def start(self, query: str = "type=Boat", path: str = ENTITIES) -> str:
        """The address of a new map."""
        return str(self.ask("GET", f"{path}?{query}&entityMap=true", status=201).headers["ngsild-entitymap"])

    def page(
        self, where: str, query: str = "type=Boat", path: str = ENTITIES
    ) -> tuple[list[int], str | None, str | None]:
        """(numbers, the next page's address, count) by a map."""
        answer = self.ask("GET", f"{path}?{query}", **{"NGSILD-EntityMap": where})
        assert answer.headers["ngsild-entitymap"] == where
        following = re.search(r'<([^<>]*)>; rel="next"', answer.headers.get("link", ""))
        return numbers(answer), following and following[1], answer.headers.get("ngsild-results-count")

    def map(self, where: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = self.ask("GET", where).json()["entityMap"]
        return found


def id_of(number: int) -> str:
    return f"urn:ngsi-ld:Boat:{number:03}"


def numbers(answer: Any) -> list[int]:
    return [int(entity["id"][-3:]) for entity in answer.json()]


@pytest.fixture
def boats(own_city: TinyCity, own_client: TestClient) -> Boats:
    return Boats(own_city, own_client)


# ── the resource ────────────────────────────────────────────────────────────


def test_1_create_and_retrieve(boats: Boats) -> None:
    boats.put(1, speed=30)
    boats.put(2, speed=90)
    made = boats.ask("GET", f"{MAPS}?type=Boat&q=speed>50", status=201)
    where = made.headers["ngsild-entitymap"]
    id_ = where.rpartition("/")[2]
    expected = {
        "id": id_, "type": "EntityMap", "expiresAt": render_instant(boats.now + HOUR), "entityMap": {id_of(2): ["@none"]},
        "linkedMaps": {},
    }  # fmt: skip
    assert made.json() == expected == boats.ask("GET", f"{MAPS}/{id_}").json()
    named = boats.ask("GET", where, Accept="application/ld+json").json()
    assert named["@context"] == "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.9.jsonld"
    assert boats.ask("GET", f"{MAPS}?id={id_of(1)}", status=400).json()["type"] == f"{ERRORS}BadRequestData"


@pytest.mark.parametrize("lifetime", ["1hour", "PT0S", "P", "-PT1H", ""])
def test_2_a_lifetime_is_an_iso_8601_duration(boats: Boats, lifetime: str) -> None:
    boats.ask("GET", f"{MAPS}?type=Boat&entityMapLifetime={lifetime}", status=400)
    boats.ask("GET", f"{ENTITIES}?type=Boat&entityMap=true&entityMapLifetime={lifetime}", status=400)


def test_3_the_broker_bounds_the_lifetime(boats: Boats) -> None:
    """Table 6.4.3.2-1."""
    long = boats.ask("GET", f"{MAPS}?type=Boat&entityMapLifetime=P3650D", status=201)
    assert parse_instant(long.json()["expiresAt"]) == boats.now + DAY
    short = boats.ask("GET", f"{MAPS}?type=Boat&entityMapLifetime=PT30S", status=201)
    assert parse_instant(short.json()["expiresAt"]) == boats.now + 30 * SECOND
    boats.city.clock.set(boats.now + 30 * SECOND)
    boats.ask("GET", short.headers["location"], status=404)
    boats.ask("GET", long.headers["location"])


def test_4_update(boats: Boats) -> None:
    boats.put(1)
    where = boats.start()
    forged = {"expiresAt": "2099-01-01T00:00:00Z", "entityMap": {"urn:x:forged": ["@none"]}, "linkedMaps": {}}
    boats.ask("PATCH", where, forged, status=204)
    after = boats.ask("GET", where).json()
    assert (after["expiresAt"], list(after["entityMap"])) == (render_instant(boats.now + DAY), [id_of(1)])
    boats.ask("PATCH", where, {}, status=204)
    for wrong in ({"expiresAt": "tomorrow"}, {"expiresAt": 5}, {"colour": 1}, {"type": "Entity"}, []):
        boats.ask("PATCH", where, wrong, status=400)
    boats.ask("PATCH", f"{MAPS}/urn:x:none", {"expiresAt": "2099-01-01T00:00:00Z"}, status=404)
    # 5.5.14: an expired map cannot be accessed.
    boats.ask("PATCH", where, {"expiresAt": "2000-01-01T00:00:00Z"}, status=204)
    boats.ask("GET", where, status=404)


def test_5_delete_and_wrong_ids(boats: Boats) -> None:
    where = boats.start()
    assert boats.ask("DELETE", where, status=204).content == b""
    gone = boats.ask("GET", where, status=404)
    assert gone.json()["type"] == f"{ERRORS}ResourceNotFound"
    boats.ask("DELETE", where, status=404)
    for method in ("GET", "DELETE"):
        wrong = boats.ask(method, f"{MAPS}/not%20a%20uri", status=400)
        assert wrong.json()["type"] == f"{ERRORS}BadRequestData"


# ── pages ───────────────────────────────────────────────────────────────────


def test_6_pages_are_full_and_links_walk_the_query(boats: Boats) -> None:
    """5593_01_01 to 5593_01_03."""
    boats.put(0, 1, 2, 3, 4)
    where = boats.start()
    answer = boats.ask("GET", f"{ENTITIES}?type=Boat&limit=2", **{"NGSILD-EntityMap": where})
    assert 'rel="next"' in answer.headers["link"] and "offset=2" in answer.headers["link"]
    assert id_of(0)[:-1] not in answer.headers["link"]
    last = boats.ask("GET", f"{ENTITIES}?type=Boat&limit=2&offset=4", **{"NGSILD-EntityMap": where})
    assert numbers(last) == [4] and 'rel="next"' not in last.headers["link"]
    assert 'rel="prev"' in last.headers["link"] and "offset=2" in last.headers["link"]
    boats.delete(1)
    assert boats.page(where, "type=Boat&limit=3")[0] == [0, 2, 3]
    assert list(boats.map(where)) == [id_of(n) for n in (0, 2, 3, 4)]
    assert boats.page(where, "type=Boat&limit=2&count=true") == (
        [0, 2],
        f"{ENTITIES}?count=true&limit=2&offset=2&type=Boat",
        "4",
    )
    assert boats.page(where, "type=Boat&limit=0&count=true")[::2] == ([], "4")


def test_7_a_map_fixes_what_is_considered(boats: Boats) -> None:
    """5.5.14, IOP_EXT_UNI_01_07: later arrivals are not let in; filters are checked again; the order stays."""
    boats.put(1, 2, 3)
    where = boats.start("type=Boat&orderBy=id;desc")
    boats.put(4)
    assert boats.page(where)[0] == [3, 2, 1]
    assert boats.page(where, "type=Boat&orderBy=id;desc")[0] == [3, 2, 1]
    boats.ask("GET", f"{ENTITIES}?type=Boat&orderBy=speed", status=400, **{"NGSILD-EntityMap": where})
    boats.ask("PATCH", f"{ENTITIES}/{id_of(2)}/attrs", {"speed": {"type": "Property", "value": 5}}, status=204)
    assert boats.page(where, f"type=Boat&q=speed>10&id={id_of(2)},{id_of(3)},{id_of(4)}")[0] == [3]
    # What does not fit the query any more has left the map.
    assert boats.page(where)[0] == [3]


@pytest.mark.parametrize("reference", ["urn:ngsi-ld:entitymap:dead", "/ngsi-ld/v1/entityMaps/urn:x:1", "", "no uri"])
def test_8_a_dead_reference_makes_a_new_map(boats: Boats, reference: str) -> None:
    """5.7.2.4, 5.7.1.4."""
    boats.put(1)
    for path, status in ((f"{ENTITIES}?type=Boat", 201), (f"{ENTITIES}/{id_of(1)}", 200)):
        answer = boats.ask("GET", path, status=status, **{"NGSILD-EntityMap": reference})
        where = answer.headers["ngsild-entitymap"]
        assert where != reference and boats.map(where) == {id_of(1): ["@none"]}


def test_9_retrieving_one(boats: Boats) -> None:
    """5714_01_01, 5714_01_03; 5.7.1.4: of a live map only what it says is used."""
    boats.put(1, 2)
    first = boats.ask("GET", f"{ENTITIES}/{id_of(1)}?entityMap=true")
    where = first.headers["ngsild-entitymap"]
    assert first.json()["id"] == id_of(1) and boats.map(where) == {id_of(1): ["@none"]}
    again = boats.ask("GET", f"{ENTITIES}/{id_of(1)}", **{"NGSILD-EntityMap": where})
    assert again.headers["ngsild-entitymap"] == where and again.json() == first.json()
    boats.ask("GET", f"{ENTITIES}/{id_of(2)}", status=404, **{"NGSILD-EntityMap": where})
    boats.ask("GET", f"{ENTITIES}/urn:x:none?entityMap=true", status=404)


def test_10_queries_by_a_body(boats: Boats) -> None:
    boats.put(1, 2)
    body = {"type": "Query", "entities": [{"type": "Boat"}], "entityMap": True, "entityMapLifetime": "PT5M"}
    made = boats.ask("POST", "/ngsi-ld/v1/entityOperations/query?limit=1", body, status=201)
    where = made.headers["ngsild-entitymap"]
    assert boats.ask("GET", where).json()["expiresAt"] == render_instant(boats.now + 300 * SECOND)
    boats.put(3)
    rest = boats.ask("POST", "/ngsi-ld/v1/entityOperations/query?offset=1", body, **{"NGSILD-EntityMap": where})
    assert (numbers(made), numbers(rest)) == ([1], [2])
    for wrong in ({"entityMap": "yes"}, {"entityMapLifetime": 5}):
        boats.ask("POST", "/ngsi-ld/v1/entityOperations/query", body | wrong, status=400)


def test_11_a_walk_goes_on_after_a_restart(tmp_path: Path) -> None:
    city = build_city(tmp_path)
    with TestClient(city.app) as client:
        boats = Boats(city, client)
        boats.put(1, 2, 3)
        where = boats.start("type=Boat&limit=1")
    close_city(city)
    store = open_any(tmp_path / "data", city.clock)
    hub = Hub(store, city.clock, [SERVICE], city.hub.city)
    with TestClient(create_app(hub, ApiSettings(console_dir=tmp_path))) as client:
        assert Boats(city, client).page(where, "type=Boat&offset=1&limit=1")[0] == [2]
    hub.stop()
    store.close()


ACTS = st.lists(st.tuples(st.sampled_from(["delete", "add", "slow", "page"]), st.integers(0, 39)), max_size=30)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 5), ACTS)
def test_12_a_walk_meets_all_that_stays_exactly_once(
    city_of_boats: Boats, limit: int, acts: list[tuple[str, int]]
) -> None:
    """While entities come, change and go, following `next` gives each entity of the map that still fits exactly once; one that went or
    no longer fits may have been met before, never after; one that came is not met; every page but the last is full."""
    boats = city_of_boats
    for number in range(40):
        path = f"{ENTITIES}/{id_of(number)}"
        boats.client.delete(path, headers=boats.city.auth("admin"))
    boats.put(*range(0, 40, 2))
    where = boats.start("type=Boat&q=speed>10&limit=1")
    met: list[int] = []
    staying = set(range(0, 40, 2))
    following: str | None = f"{ENTITIES}?type=Boat&q=speed>10&limit={limit}"
    for act, number in [*acts, *[("page", 0)] * 41]:
        exists = boats.client.get(f"{ENTITIES}/{id_of(number)}", headers=boats.city.auth("admin")).status_code == 200
        if act == "page":
            if following is None:
                continue
            path, _, query = following.partition("?")
            found, following, _ = boats.page(where, query, path)
            assert set(found) <= staying
            assert len(found) == limit if following is not None else len(found) <= limit
            met += found
        elif act == "delete" and exists:
            boats.delete(number)
            staying.discard(number)
        elif act == "add" and not exists and number not in range(0, 40, 2):
            boats.put(number)
        elif act == "slow" and exists:
            slow = {"speed": {"type": "Property", "value": 1}}
            boats.ask("PATCH", f"{ENTITIES}/{id_of(number)}/attrs", slow, status=204)
            staying.discard(number)
    assert len(met) == len(set(met))
    assert staying <= set(met) <= set(range(0, 40, 2))


@pytest.fixture(scope="module")
def city_of_boats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boats]:
    city = build_city(tmp_path_factory.mktemp("boats"))
    with TestClient(city.app) as client:
        yield Boats(city, client)
    close_city(city)


# ── who sees what ───────────────────────────────────────────────────────────


def test_13_a_map_is_its_makers(boats: Boats) -> None:
    """Ids tell of entities that somebody else may not see: to others the map is not there, and a query by it makes their own."""
    where = boats.start("type=Vehicle")
    carrier = Boats(boats.city, boats.client, "carrier")
    carrier.ask("GET", where, status=404)
    carrier.ask("PATCH", where, {"expiresAt": "2099-01-01T00:00:00Z"}, status=404)
    carrier.ask("DELETE", where, status=404)
    own = carrier.ask("GET", f"{ENTITIES}?type=Vehicle", status=201, **{"NGSILD-EntityMap": where})
    assert own.headers["ngsild-entitymap"] != where
    visible = [e["id"] for e in carrier.ask("GET", f"{ENTITIES}?type=Vehicle").json()]
    assert list(carrier.map(own.headers["ngsild-entitymap"])) == visible == [e["id"] for e in own.json()]
    assert len(visible) < len(boats.map(where))


def test_14_a_page_is_masked_for_who_reads(boats: Boats) -> None:
    body = {"id": id_of(1), "type": "Boat", "driver": {"type": "Property", "value": "Kim"}}
    boats.ask("POST", ENTITIES, body, status=201)
    viewer = Boats(boats.city, boats.client, "viewer")
    made = viewer.ask("GET", f"{ENTITIES}?type=Boat&entityMap=true", status=201)
    again = viewer.ask("GET", f"{ENTITIES}?type=Boat", **{"NGSILD-EntityMap": made.headers["ngsild-entitymap"]})
    assert "Kim" not in made.text + again.text and numbers(again) == [1]


# ── evolutions ──────────────────────────────────────────────────────────────

WINDOW = "timerel=after&timeAt=2000-01-01T00:00:00Z&timeproperty=createdAt"


def test_15_temporal_maps(boats: Boats) -> None:
    """5145_01_01, 5145_01_02."""
    boats.put(1)
    boats.ask("GET", f"{TEMPORAL}/entityMaps?type=Boat", status=400)
    before = "timerel=before&timeproperty=createdAt&timeAt"
    made = boats.ask("GET", f"{TEMPORAL}/entityMaps?type=Boat&{before}=2999-01-01T00:00:00Z", status=201)
    assert made.json()["entityMap"] == {id_of(1): ["@none"]} == boats.map(made.headers["ngsild-entitymap"])
    none = boats.ask("GET", f"{TEMPORAL}/entityMaps?type=Boat&{before}=2000-01-01T00:00:00Z", status=201)
    assert none.json()["entityMap"] == {}


def test_16_temporal_pages(boats: Boats) -> None:
    """5734_01_02, 5734_01_03, and the walk of 5.5.9.3."""
    path = f"{TEMPORAL}/entities"
    boats.put(1, 2, 3, 4)
    where = boats.start(f"type=Boat&id={id_of(1)}&{WINDOW}", path)
    assert boats.page(where, f"type=Boat&{WINDOW}", path)[0] == [1]
    where = boats.start(f"type=Boat&orderBy=id;desc&{WINDOW}", path)
    first, following, count = boats.page(where, f"type=Boat&limit=2&count=true&{WINDOW}", path)
    assert (first, count) == ([4, 3], "4") and following is not None
    boats.delete(2)
    assert boats.page(where, following.partition("?")[2], path) == ([1], None, "3")
    new = boats.ask("GET", f"{path}?type=Boat&{WINDOW}", status=201, **{"NGSILD-EntityMap": "urn:x:dead"})
    assert numbers(new) == [1, 3, 4]
    body = {"type": "Query", "entities": [{"type": "Boat"}], "entityMap": True,
            "temporalQ": {"timerel": "after", "timeAt": "2000-01-01T00:00:00Z", "timeproperty": "createdAt"}}  # fmt: skip
    boats.ask("POST", f"{TEMPORAL}/entityOperations/query", body, status=201)


def test_17_retrieving_one_evolution(boats: Boats) -> None:
    """5734_01_01."""
    boats.put(1, 2)
    made = boats.ask("GET", f"{TEMPORAL}/entities/{id_of(1)}?{WINDOW}&entityMap=true")
    where = made.headers["ngsild-entitymap"]
    assert boats.map(where) == {id_of(1): ["@none"]}
    again = boats.ask("GET", f"{TEMPORAL}/entities/{id_of(1)}?{WINDOW}", **{"NGSILD-EntityMap": where})
    assert again.json() == made.json() and again.headers["ngsild-entitymap"] == where
    boats.ask("GET", f"{TEMPORAL}/entities/{id_of(2)}?{WINDOW}", status=404, **{"NGSILD-EntityMap": where})


# ── context sources ─────────────────────────────────────────────────────────


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    two = Two(tmp_path)
    with two.client, two.other:
        yield two
    close_city(two.here)
    close_city(two.there)


def walk(two: Two, path: str, where: str) -> Any:
    return two.client.get(path, headers={**two.here.auth("admin"), "NGSILD-EntityMap": where})


def test_18_a_map_says_where_each_entity_is(two: Two) -> None:
    """IOP_EXT_MAP_01_01; only the sources that have an entity of the page are asked, for it alone."""
    two.register()
    for n in (1, 3):
        two.ask("POST", f"{ENTITIES}?local=true", boat(f"urn:x:{n}", n=n), status=201)
    for n in (2, 3, 4):
        two.ask_there("POST", ENTITIES, boat(f"urn:x:{n}", there=True), status=201)
    path = f"{ENTITIES}?type=Boat&options=keyValues"
    made = two.client.get(f"{path}&entityMap=true&limit=1", headers=two.here.auth("admin"))
    where = made.headers["ngsild-entitymap"]
    source = two.here.hub.registrations.list_active()[0].id
    assert two.ask("GET", where)["entityMap"] == {
        "urn:x:1": ["@none"], "urn:x:2": [source], "urn:x:3": ["@none", source], "urn:x:4": [source],
    }  # fmt: skip
    # The page wants entity 3 and looks one further.
    two.ask_there("POST", ENTITIES, boat("urn:x:5"), status=201)
    page = walk(two, f"{path}&limit=2&offset=2&count=true", where)
    assert page.json() == [boat("urn:x:3", n=3, there=True), boat("urn:x:4", there=True)]
    assert page.headers["ngsild-results-count"] == "4"
    assert two.net.heard[-1][1].partition("?")[2] == "type=Boat&id=urn:x:3,urn:x:4&limit=2"
    before = len(two.net.heard)
    one = walk(two, f"{ENTITIES}/urn:x:1?options=keyValues", where)
    assert one.json() == boat("urn:x:1", n=1) and len(two.net.heard) == before
    # IOP_EXT_MAP_01_03: deleted at the source, it is not met and leaves the map.
    two.ask_there("DELETE", f"{ENTITIES}/urn:x:2", status=204)
    assert [e["id"][-1] for e in walk(two, path, where).json()] == ["1", "3", "4"]
    assert "urn:x:2" not in two.ask("GET", where)["entityMap"]


def test_19_what_does_not_answer_stays_in_the_map(two: Two) -> None:
    """Not met while its source is away, met when it is back; the walk goes on behind it."""
    two.register()
    two.ask_there("POST", ENTITIES, boat("urn:x:1"), status=201)
    two.ask("POST", f"{ENTITIES}?local=true", boat("urn:x:2"), status=201)
    two.ask("POST", f"{ENTITIES}?local=true", boat("urn:x:3"), status=201)
    where = two.client.get(f"{ENTITIES}?type=Boat&entityMap=true", headers=two.here.auth("admin")).headers[
        "ngsild-entitymap"
    ]
    broker = two.net.brokers.pop("there.example")
    page = walk(two, f"{ENTITIES}?type=Boat&limit=1", where)
    assert [e["id"] for e in page.json()] == ["urn:x:2"] and "199 there.example" in page.headers["ngsild-warning"]
    assert "offset=2" in page.headers["link"]
    two.net.brokers["there.example"] = broker
    assert [e["id"] for e in walk(two, f"{ENTITIES}?type=Boat", where).json()] == ["urn:x:1", "urn:x:2", "urn:x:3"]


def test_20_sources_are_read_to_their_end(two: Two) -> None:
    """A source answers 1,000 at a time; a map wants all."""
    two.register()
    everything = [boat(f"urn:x:{n:04}") for n in range(1_200)]
    for at in range(0, 1_200, 400):
        two.ask_there("POST", "/ngsi-ld/v1/entityOperations/create", everything[at : at + 400], status=201)
    made = two.client.get(f"{MAPS}?type=Boat", headers=two.here.auth("admin"))
    assert len(made.json()["entityMap"]) == 1_200
    page = walk(two, f"{ENTITIES}?type=Boat&limit=3&offset=1198", made.headers["ngsild-entitymap"])
    assert [e["id"] for e in page.json()] == ["urn:x:1198", "urn:x:1199"]


def test_21_split_entities(two: Two) -> None:
    """5.7.2.4: the two halves meet the condition only together, in the map and on its pages."""
    two.register()
    two.ask("POST", f"{ENTITIES}?local=true", boat(a=1), status=201)
    two.ask_there("POST", ENTITIES, boat(b=2), status=201)
    two.ask_there("POST", ENTITIES, boat("urn:x:other", b=3), status=201)
    path = f"{ENTITIES}?type=Boat&q=a==1;b==2&splitEntities=true&options=keyValues"
    made = two.client.get(f"{path}&entityMap=true", headers=two.here.auth("admin"))
    assert made.status_code == 201 and made.json() == [boat(a=1, b=2)]
    where = made.headers["ngsild-entitymap"]
    assert list(two.ask("GET", where)["entityMap"]) == ["urn:ngsi-ld:Boat:1"]
    assert walk(two, path, where).json() == [boat(a=1, b=2)]
    two.ask("GET", f"{ENTITIES}?type=Boat&orderBy=a&entityMap=true", status=400)
