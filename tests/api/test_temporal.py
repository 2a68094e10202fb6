"""The temporal interface over HTTP (ETSI GS CIM 009 clauses 5.6.11 to 5.6.16, 5.7.3, 5.7.4). Expected values by hand."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from madang.api.state import ApiSettings
from madang.model.time import SECOND, render_instant
from tests.api.tiny_city import TRUCK, TinyCity

TEMPORAL = "/ngsi-ld/v1/temporal/entities"
ENTITIES = "/ngsi-ld/v1/entities"
CAR = "urn:ngsi-ld:Car:1"
EVOLUTION = {
    "id": CAR,
    "type": "Car",
    "speed": [
        {"type": "Property", "value": 120, "unitCode": "KMH", "observedAt": "2020-08-01T12:03:00Z"},
        {"type": "Property", "value": 80, "observedAt": "2020-08-01T12:05:00Z"},
        {
            "type": "Property",
            "value": 100,
            "observedAt": "2020-08-01T12:07:00Z",
            "by": {"type": "Property", "value": "gps"},
        },
    ],
    "fuelLevel": [
        {"type": "Property", "value": 67, "observedAt": "2020-08-01T12:03:00Z"},
        {"type": "Property", "value": 53, "observedAt": "2020-08-01T13:05:00Z"},
        {"type": "Property", "value": 40, "observedAt": "2020-08-01T14:07:00Z"},
    ],
}


@pytest.fixture
def ask(own_client: TestClient, own_city: TinyCity) -> Any:
    """Ask as an administrator; gives the answer."""

    def asked(method: str, path: str, body: Any = None, role: str = "admin") -> Any:
        return own_client.request(method, path, headers=own_city.auth(role), json=body)

    return asked


@pytest.fixture
def car(ask: Any) -> Any:
    """The same with a car that evolved."""
    answer = ask("POST", TEMPORAL, EVOLUTION)
    assert (answer.status_code, answer.headers["location"]) == (201, f"{TEMPORAL}/{CAR}")
    return ask


def without_ids(document: Any) -> Any:
    """Without the instanceIds, which are the server's."""
    if isinstance(document, dict):
        return {k: without_ids(v) for k, v in document.items() if k != "instanceId"}
    return [without_ids(item) for item in document] if isinstance(document, list) else document


def test_comes_out_as_it_went_in_and_is_the_state(car: Any) -> None:
    assert without_ids(car("GET", f"{TEMPORAL}/{CAR}").json()) == EVOLUTION
    assert car("GET", f"{ENTITIES}/{CAR}?options=keyValues").json() == {
        "id": CAR, "type": "Car", "speed": 100, "fuelLevel": 40
    }  # fmt: skip
    assert car("POST", TEMPORAL, EVOLUTION | {"type": "Truck"}).status_code == 204
    assert car("GET", f"{TEMPORAL}/{CAR}").json()["type"] == ["Car", "Truck"]


def test_windows(car: Any) -> None:
    def times(query: str, name: str = "fuelLevel") -> list[str]:
        found = car("GET", f"{TEMPORAL}/{CAR}?{query}").json()
        return [instance["observedAt"][11:16] for instance in found.get(name, [])]

    assert times("timerel=after&timeAt=2020-08-01T13:05:00Z") == ["13:05", "14:07"]
    assert times("timerel=before&timeAt=2020-08-01T13:05:00Z") == ["12:03"]
    between = "timerel=between&timeAt=2020-08-01T12:03:00Z&endTimeAt=2020-08-01T14:07:00Z"
    assert times(between) == ["12:03", "13:05"]
    assert times("lastN=2") == ["13:05", "14:07"]
    assert times("timerel=before&timeAt=2020-08-01T14:00:00Z&lastN=1") == ["13:05"]
    assert times("timerel=after&timeAt=2026-01-01T00:00:00Z&timeproperty=createdAt", "speed") == [
        "12:03",
        "12:05",
        "12:07",
    ]


@pytest.mark.parametrize(
    "query",
    ["timerel=after", "timerel=between&timeAt=2020-08-01T12:00:00Z", "timerel=near&timeAt=2020-08-01T12:00:00Z", "lastN=0",
     "timeproperty=x", "format=aggregatedValues", "format=aggregatedValues&aggrMethods=mode",
     "format=aggregatedValues&aggrMethods=avg&aggrPeriodDuration=1H", "format=nothing", "options=nothing"],
)  # fmt: skip
def test_what_is_wrong_is_said(car: Any, query: str) -> None:
    assert car("GET", f"{TEMPORAL}/{CAR}?{query}").status_code == 400


def test_simplified(car: Any) -> None:
    assert car("GET", f"{TEMPORAL}/{CAR}?format=temporalValues&attrs=fuelLevel").json() == {
        "id": CAR,
        "type": "Car",
        "fuelLevel": {
            "type": "Property",
            "values": [[67, "2020-08-01T12:03:00Z"], [53, "2020-08-01T13:05:00Z"], [40, "2020-08-01T14:07:00Z"]],
        },
    }


def test_aggregated(car: Any) -> None:
    methods = "totalCount,distinctCount,sum,avg,min,max,stddev,sumsq"
    found = car(
        "GET", f"{TEMPORAL}/{CAR}?format=aggregatedValues&aggrMethods={methods}&aggrPeriodDuration=P1D&attrs=speed"
    )
    span = ["2020-08-01T12:03:00Z", "2020-08-02T12:03:00Z"]
    # 120, 80, 100: mean 100, deviations 20, -20, 0, so sqrt(800 / 3).
    figures = {
        "totalCount": 3,
        "distinctCount": 3,
        "sum": 300.0,
        "avg": 100.0,
        "min": 80.0,
        "max": 120.0,
        "sumsq": 30_800.0,
    }
    speed = found.json()["speed"]
    assert speed.pop("stddev") == [[pytest.approx(16.3299316), *span]]
    assert speed == {"type": "Property"} | {name: [[value, *span]] for name, value in figures.items()}
    hourly = car(
        "GET", f"{TEMPORAL}/{CAR}?format=aggregatedValues&aggrMethods=avg&aggrPeriodDuration=PT1H&attrs=fuelLevel"
    )
    assert hourly.json()["fuelLevel"]["avg"] == [
        [67.0, "2020-08-01T12:03:00Z", "2020-08-01T13:03:00Z"],
        [53.0, "2020-08-01T13:03:00Z", "2020-08-01T14:03:00Z"],
        [40.0, "2020-08-01T14:03:00Z", "2020-08-01T15:03:00Z"],
    ]
    monthly = car("GET", f"{TEMPORAL}/{CAR}?format=aggregatedValues&aggrMethods=max&aggrPeriodDuration=P1M&attrs=speed")
    assert monthly.json()["speed"]["max"] == [[120.0, "2020-08-01T12:03:00Z", "2020-09-01T12:03:00Z"]]


def test_a_long_answer_is_cut_by_time(car: Any, own_city: TinyCity) -> None:
    own_city.app.api.settings = ApiSettings(temporal_page=4)
    answer = car("GET", f"{TEMPORAL}/{CAR}")
    assert answer.status_code == 206
    # In order: 12:03 twice, 12:05, 12:07, 13:05, 14:07; four of them fit.
    assert answer.headers["content-range"] == "date-time 2020-08-01T12:03:00Z-2020-08-01T12:07:00Z/*"
    assert [len(answer.json()[name]) for name in ("speed", "fuelLevel")] == [3, 1]
    newest = car("GET", f"{TEMPORAL}/{CAR}?lastN=3&timerel=before&timeAt=2021-01-01T00:00:00Z")
    assert newest.headers["content-range"] == "date-time 2021-01-01T00:00:00Z-2020-08-01T12:05:00Z/3"
    assert [len(newest.json()[name]) for name in ("speed", "fuelLevel")] == [2, 2]


def test_an_instance_is_changed_and_deleted(car: Any) -> None:
    instance = car("GET", f"{TEMPORAL}/{CAR}").json()["speed"][0]["instanceId"]
    path = f"{TEMPORAL}/{CAR}/attrs/speed/{instance}"
    assert car("PATCH", path, {"speed": [{"type": "Property", "value": 121}]}).status_code == 204
    first = car("GET", f"{TEMPORAL}/{CAR}").json()["speed"][0]
    assert (first["value"], first["unitCode"], first["instanceId"]) == (121, "KMH", instance)
    top = car("GET", f"{TEMPORAL}/{CAR}?format=aggregatedValues&aggrMethods=max&attrs=speed").json()["speed"]["max"]
    assert top[0][0] == 121  # figures follow the change
    assert car("DELETE", path).status_code == 204
    assert [i["value"] for i in car("GET", f"{TEMPORAL}/{CAR}").json()["speed"]] == [80, 100]
    assert car("DELETE", path).status_code == 404
    assert car("PATCH", f"{TEMPORAL}/{CAR}/attrs/speed/nothing", {"value": 1}).status_code == 400


def test_attributes_are_added_and_deleted(car: Any) -> None:
    more = {"speed": [{"type": "Property", "value": 7, "observedAt": "2020-08-02T00:00:00Z", "datasetId": "urn:x:gps"}]}
    assert car("POST", f"{TEMPORAL}/{CAR}/attrs", more).status_code == 204
    assert len(car("GET", f"{TEMPORAL}/{CAR}").json()["speed"]) == 4
    assert car("DELETE", f"{TEMPORAL}/{CAR}/attrs/speed").status_code == 204
    assert [i["value"] for i in car("GET", f"{TEMPORAL}/{CAR}").json()["speed"]] == [7]
    assert car("DELETE", f"{TEMPORAL}/{CAR}/attrs/speed?deleteAll=true").status_code == 204
    assert "speed" not in car("GET", f"{TEMPORAL}/{CAR}").json()
    assert car("DELETE", f"{TEMPORAL}/{CAR}/attrs/speed").status_code == 404


def test_a_deleted_attribute_is_told_with_its_instant(car: Any) -> None:
    assert car("DELETE", f"{ENTITIES}/{CAR}/attrs/fuelLevel").status_code == 204
    assert without_ids(car("GET", f"{TEMPORAL}/{CAR}?timeproperty=deletedAt").json()) == {
        "id": CAR,
        "type": "Car",
        "fuelLevel": [{"type": "Property", "value": "urn:ngsi-ld:null", "deletedAt": "2026-11-23T02:14:14Z"}],
    }


def test_deleting(car: Any, own_city: TinyCity) -> None:
    assert car("DELETE", f"{TEMPORAL}/{CAR}").status_code == 204
    # Nothing but the temporal interface ever wrote it, so that it is gone.
    assert [car("GET", f"{where}/{CAR}").status_code for where in (TEMPORAL, ENTITIES)] == [404, 404]
    assert car("DELETE", f"{TEMPORAL}/{CAR}").status_code == 404
    # One that lives otherwise keeps its state, and the platform its history.
    assert car("DELETE", f"{TEMPORAL}/{TRUCK}").status_code == 204
    assert car("GET", f"{TEMPORAL}/{TRUCK}").status_code == 404
    assert car("GET", f"{ENTITIES}/{TRUCK}").status_code == 200
    with own_city.hub.store.read() as read:
        assert read.history(CAR, ["speed"], 0, 1 << 60, 9) and read.history(TRUCK, ["grossWeight"], 0, 1 << 60, 9)
    # An id that is used again begins anew.
    assert car("POST", ENTITIES, {"id": CAR, "type": "Car", "seats": 4}).status_code == 201
    assert set(car("GET", f"{TEMPORAL}/{CAR}?timeproperty=createdAt").json()) == {"id", "type", "seats"}


def test_query(car: Any) -> None:
    window = "timerel=after&timeAt=2020-01-01T00:00:00Z"

    def ids(query: str) -> list[str]:
        answer = car("GET", f"{TEMPORAL}?{query}")
        assert answer.status_code == 200, answer.text
        return [document["id"] for document in answer.json()]

    assert ids(f"type=Car&{window}") == [CAR]
    assert ids(f"type=Car&{window}&q=speed>110") == [CAR]  # an instance, not the state
    assert ids("type=Car&timerel=after&timeAt=2020-08-01T12:06:00Z&q=speed>110") == []
    assert car("GET", f"{TEMPORAL}?type=Car&{window}&pick=id").json() == [{"id": CAR}]
    assert ids("type=Car&timerel=after&timeAt=2027-01-01T00:00:00Z") == []
    assert car("GET", f"{TEMPORAL}?{window}").status_code == 400  # too wide
    assert car("GET", f"{TEMPORAL}?type=Car").status_code == 400  # clause 5.7.4.4: a query needs a time
    body = {"type": "Query", "entities": [{"type": "Car"}],
            "temporalQ": {"timerel": "before", "timeAt": "2020-08-01T12:04:00Z"}}  # fmt: skip
    found = car("POST", "/ngsi-ld/v1/temporal/entityOperations/query", body).json()
    assert [i["value"] for i in found[0]["speed"]] == [120]


def test_readings_of_devices_are_told_too(own_city: TinyCity, ask: Any) -> None:
    own_city.drive(9_001, weight=18_500)
    found = ask("GET", f"{TEMPORAL}/{TRUCK}?lastN=1&attrs=grossWeight").json()["grossWeight"][0]
    assert (found["type"], found["value"], found["unitCode"]) == ("Property", 18_500, "KGM")
    assert found["observedAt"] == "2026-11-23T02:14:15Z"


def test_policy_is_the_same_as_for_the_state(own_city: TinyCity, ask: Any) -> None:
    other = "urn:ngsi-ld:Vehicle:t4"  # of another carrier
    own_city.drive(9_002, truck="t4")
    window = "timerel=after&timeAt=2020-01-01T00:00:00Z&timeproperty=createdAt"
    assert ask("GET", f"{TEMPORAL}/{other}").status_code == 200
    assert ask("GET", f"{TEMPORAL}/{other}", role="carrier").status_code == 404
    seen = ask("GET", f"{TEMPORAL}?type=Vehicle&limit=100&{window}", role="carrier").json()
    assert seen and other not in {document["id"] for document in seen}
    # People's names are hidden from those who only look, also from their conditions.
    driven = {"id": "urn:ngsi-ld:Car:2", "type": "Car", "speed": 1, "driver": "Kim"}
    assert ask("POST", ENTITIES, driven).status_code == 201
    assert "driver" in ask("GET", f"{TEMPORAL}/urn:ngsi-ld:Car:2").json()
    assert "driver" not in ask("GET", f"{TEMPORAL}/urn:ngsi-ld:Car:2", role="viewer").json()
    asked = f'{TEMPORAL}?type=Car&{window}&q=driver=="Kim"'
    assert len(ask("GET", asked).json()) == 1
    assert ask("GET", asked, role="viewer").json() == []
    assert ask("POST", TEMPORAL, EVOLUTION, role="viewer").status_code == 403


# ── scopes over time (clauses 4.5.6, 4.18, 4.19) ────────────────────────────


def speeds(*values: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"type": "Property", "value": v, "observedAt": f"2026-03-01T{at}:00Z"} for v, at in values]


def test_a_change_of_scopes_is_told(ask: Any, own_city: TinyCity) -> None:
    """Clause 4.5.6: a Property whose observedAt is its modifiedAt, when the change came through /entities (456_01, 020_19, 020_20)."""
    ask("POST", ENTITIES, {"id": CAR, "type": "Car", "scope": "/Old", "speed": 1})
    first = render_instant(own_city.clock.now())
    own_city.clock.set(own_city.clock.now() + SECOND)
    assert ask("PATCH", f"{ENTITIES}/{CAR}", {"type": "Car", "scope": ["/New", "/B"]}).status_code == 204
    second = render_instant(own_city.clock.now())
    assert ask("PATCH", f"{ENTITIES}/{CAR}", {"type": "Car", "scope": ["/New", "/B"]}).status_code == 204
    told = without_ids(ask("GET", f"{TEMPORAL}/{CAR}?options=sysAttrs").json())["scope"]
    assert told == [
        {"type": "Property", "value": value, "observedAt": at, "createdAt": at, "modifiedAt": at}
        for value, at in (("/Old", first), (["/New", "/B"], second))
    ]
    assert ask("DELETE", f"{ENTITIES}/{CAR}/attrs/scope").status_code == 204
    gone = without_ids(ask("GET", f"{TEMPORAL}/{CAR}?timeproperty=deletedAt").json())
    assert gone == {"id": CAR, "type": "Car", "scope": [{"type": "Property", "value": [], "deletedAt": second}]}
    values = ask("GET", f"{TEMPORAL}/{CAR}?timeproperty=deletedAt&options=temporalValues").json()
    assert values["scope"] == {"type": "Property", "values": [[[], second]]}


WINDOW = "timerel=between&timeAt=2026-03-01T12:00:00Z&endTimeAt=2026-03-01T13:00:00Z"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        # As 5744_03 has it: scopes hold from their observedAt until the next.
        ("/R", {"rep": ["old"]}),
        ("/S", {"rep": ["new"]}),
        ("/R%7C/S", {"rep": ["old", "new"]}),
        ("/M", {"mid": ["post"]}),
        ("/Z", {}),
        ("/B", {"back": ["one", "three"]}),
        # Said without a time: from the beginning. Made by a device, and never told of: as it is now.
        ("/plain", {"plain": ["a"]}),
        ("/%23", {"back": ["one", "two", "three"], "mid": ["post"], "plain": ["a"], "rep": ["old", "new"]}),
    ],
)
def test_a_query_by_scope_looks_at_the_scopes_of_then(ask: Any, condition: str, expected: dict[str, list[str]]) -> None:
    for name, scope, speed in (
        ("rep", [("/R", "10:00"), ("/S", "12:30")], [("old", "12:15"), ("new", "12:45")]),
        ("mid", [("/M", "12:10")], [("pre", "12:05"), ("post", "12:20")]),
        ("late", [("/Z", "14:00")], [("val", "12:05")]),
        (
            "back",
            [("/B", "12:00"), ("/C", "12:20"), ("/B", "12:40")],
            [("one", "12:10"), ("two", "12:30"), ("three", "12:50")],
        ),
        ("plain", "/plain", [("a", "12:05")]),
        ("bare", None, [("a", "12:05")]),
    ):
        document: dict[str, Any] = {"id": f"urn:x:{name}", "type": "Car", "speed": speeds(*speed)}
        if scope is not None:
            document["scope"] = scope if isinstance(scope, str) else speeds(*scope)
        assert ask("POST", TEMPORAL, document).status_code == 201
    answer = ask("GET", f"{TEMPORAL}?type=Car&scopeQ={condition}&{WINDOW}").json()
    assert {e["id"][6:]: [i["value"] for i in e["speed"]] for e in answer} == expected
    counted = ask(
        "GET", f"{TEMPORAL}?type=Car&scopeQ={condition}&{WINDOW}&options=aggregatedValues&aggrMethods=totalCount"
    )
    totals = {e["id"][6:]: e["speed"]["totalCount"][0][0] for e in counted.json()}
    assert totals == {name: len(values) for name, values in expected.items()}
    last = ask("GET", f"{TEMPORAL}?type=Car&scopeQ={condition}&{WINDOW}&lastN=1").json()
    assert {e["id"][6:]: [i["value"] for i in e["speed"]] for e in last} == {n: v[-1:] for n, v in expected.items()}


def test_the_scopes_that_held_come_with_what_they_held_for(ask: Any) -> None:
    """Clause C.5.16 shows the scope that held as the window began."""
    document = {
        "id": CAR,
        "type": "Car",
        "scope": speeds(("/R", "10:00"), ("/S", "12:30")),
        "speed": speeds(("a", "12:15")),
    }
    ask("POST", TEMPORAL, document)
    (found,) = ask("GET", f"{TEMPORAL}?type=Car&scopeQ=/R&{WINDOW}").json()
    assert [(s["value"], s["observedAt"]) for s in found["scope"]] == [("/R", "2026-03-01T10:00:00Z")]


def test_an_omit_that_leaves_nothing_is_404(car: Any) -> None:
    """Clauses 4.21, 5.7.3 (020_23_02)."""
    answer = car("GET", f"{TEMPORAL}/{CAR}?omit=id,type,speed,fuelLevel")
    assert answer.status_code == 404 and answer.json()["type"].endswith("/ResourceNotFound")


# ── what is told again, what expires, what has no name ──────────────────────


def test_what_is_told_again_of_an_instant_takes_its_place(car: Any) -> None:
    """As 008_01 has it: of one attribute and datasetId one value at an instant. The history keeps both."""
    again = {
        "id": CAR,
        "type": "Car",
        "speed": [
            {"type": "Property", "value": 121, "observedAt": "2020-08-01T12:03:00Z"},
            {"type": "Property", "value": 101, "observedAt": "2020-08-01T12:07:00Z"},
            {"type": "Property", "value": 7, "observedAt": "2020-08-01T12:07:00Z", "datasetId": "urn:d:1"},
            {"type": "Property", "value": 60, "observedAt": "2020-08-01T12:09:00Z"},
        ],
    }
    for _ in range(2):
        assert car("POST", TEMPORAL, again).status_code == 204
        told = [
            (i["value"], i["observedAt"][14:16]) for i in car("GET", f"{TEMPORAL}/{CAR}?attrs=speed").json()["speed"]
        ]
        assert told == [(121, "03"), (80, "05"), (101, "07"), (60, "09"), (7, "07")]
    entity = car("GET", f"{ENTITIES}/{CAR}?options=keyValues").json()
    assert entity["speed"] == {"dataset": {"@none": 60, "urn:d:1": 7}}


def test_a_transient_attribute_is_told_until_it_expires(ask: Any, own_city: TinyCity) -> None:
    """Clauses 4.22 and 5.2.5 (422_07_02). What lasts stays."""
    until = render_instant(own_city.clock.now() + 5 * SECOND)
    ask(
        "POST",
        ENTITIES,
        {"id": CAR, "type": "Car", "flash": {"value": 10, "expiresAt": until}, "steady": {"value": 100}},
    )
    ask("PATCH", f"{ENTITIES}/{CAR}/attrs/flash", {"type": "Property", "value": 11})
    before = "timerel=before&timeAt=2090-01-01T00:00:00Z&timeproperty=modifiedAt"
    figures = f"{before}&options=aggregatedValues&aggrMethods=totalCount"
    told = ask("GET", f"{TEMPORAL}/{CAR}?{before}&options=temporalValues").json()
    assert [v for v, _ in told["flash"]["values"]] == [10, 11]
    assert ask("GET", f"{TEMPORAL}/{CAR}?{figures}").json()["flash"]["totalCount"][0][0] == 2
    assert len(ask("GET", f"{TEMPORAL}?attrs=flash&{before}").json()) == 1
    own_city.clock.set(own_city.clock.now() + 5 * SECOND)
    told = ask("GET", f"{TEMPORAL}/{CAR}?{before}&options=temporalValues").json()
    assert "flash" not in told and [v for v, _ in told["steady"]["values"]] == [100]
    counted = ask("GET", f"{TEMPORAL}/{CAR}?{figures}").json()
    assert "flash" not in counted and counted["steady"]["totalCount"][0][0] == 1
    assert ask("GET", f"{TEMPORAL}?attrs=flash&{before}").json() == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", f"{TEMPORAL}/", 405),
        ("PATCH", f"{TEMPORAL}/{CAR}/attrs//urn:ngsi-ld:instance:1", 405),
        ("DELETE", f"{TEMPORAL}/{CAR}/attrs//urn:ngsi-ld:instance:1", 400),
        ("PATCH", f"{TEMPORAL}//attrs/speed/urn:ngsi-ld:instance:1", 400),
    ],
)
def test_a_path_with_nothing_in_a_place(car: Any, method: str, path: str, status: int) -> None:
    """009_02_01, 016_02_02, 016_02_06, 017_02_05."""
    assert car(method, path, {"value": 1} if method == "PATCH" else None).status_code == status
