"""Distributed operations between two brokers of ours, and against sources that misbehave (clauses 4.3.6, 5.6, 5.7, 6.3.17,
6.3.18). Expected answers are those of the conformance suite's DistributedOperations group."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from madang.api.handlers.ngsild.distribute import visible
from madang.hub.http import HttpAnswer, HttpFailed, HttpTooLarge
from madang.hub.registrations import Registrations
from madang.model.entity import Entity
from madang.ngsild.federation import Fragment
from tests.api.tiny_city import TinyCity, build_city, close_city

ENTITIES, SOURCES = "/ngsi-ld/v1/entities", "/ngsi-ld/v1/csourceRegistrations"
OPERATIONS = "/ngsi-ld/v1/entityOperations"
ERRORS = "https://uri.etsi.org/ngsi-ld/errors/"
BOAT = "urn:ngsi-ld:Boat:1"
ALL = ["redirectionOps", "queryBatch", "createBatch", "upsertBatch", "updateBatch", "deleteBatch", "mergeBatch"]


class Net:
    """Servers by host: another broker of ours, or an answer that the test gives."""

    def __init__(self) -> None:
        self.brokers: dict[str, tuple[TestClient, dict[str, str]]] = {}
        self.answers: dict[str, Any] = {}
        self.heard: list[tuple[str, str, dict[str, str], Any]] = []

    async def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", *, timeout_s: float, bytes_max: int,
        redirects_max: int = 0,
    ) -> HttpAnswer:  # fmt: skip
        host, _, path = url.removeprefix("http://").partition("/")
        self.heard.append((method, url, dict(headers), json.loads(body) if body else None))
        if host in self.brokers:
            client, auth = self.brokers[host]
            got = await asyncio.to_thread(client.request, method, f"/{path}", content=body, headers={**headers, **auth})
            return HttpAnswer(got.status_code, dict(got.headers), got.content)
        answer = self.answers.get(host)
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            raise HttpFailed(f"{host} cannot be asked: nobody is there")
        status, content = answer
        return HttpAnswer(status, {}, content if isinstance(content, bytes) else json.dumps(content).encode())


class Two:
    """A city that asks, and one that is asked under the name there.example."""

    def __init__(self, folder: Path) -> None:
        self.net = Net()
        self.here = build_city(folder / "here", http=self.net)
        self.there = build_city(folder / "there", http=self.net)
        self.client, self.other = (TestClient(c.app, raise_server_exceptions=False) for c in (self.here, self.there))
        self.net.brokers["there.example"] = (self.other, self.there.auth("admin"))

    def register(self, mode: str = "inclusive", host: str = "there.example", **members: Any) -> None:
        information = members.pop("information", {"entities": [{"type": "Boat"}]})
        document = {"id": f"urn:r:{len(self.here.hub.registrations.list_active())}", "type": "ContextSourceRegistration",
                    "information": [information], "endpoint": f"http://{host}", "mode": mode,
                    "operations": members.pop("operations", ["retrieveOps"] if mode == "auxiliary" else ALL), **members}  # fmt: skip
        self.ask("POST", SOURCES, document, status=201)

    def ask(self, method: str, path: str, body: Any = None, *, status: int = 200, **headers: str) -> Any:
        return self._ask(self.client, self.here, method, path, body, status, headers)

    def ask_there(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        return self._ask(self.other, self.there, method, path, body, status, {})

    @staticmethod
    def _ask(
        client: TestClient, city: TinyCity, method: str, path: str, body: Any, status: int, headers: dict[str, str]
    ) -> Any:
        sent = {} if body is None else {"json": body}
        answer = client.request(method, path, headers={**city.auth("admin"), **headers}, **sent)  # type: ignore[arg-type]
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else answer


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    two = Two(tmp_path)
    with two.client, two.other:
        yield two
    close_city(two.here)
    close_city(two.there)


def boat(id_: str = BOAT, **attributes: Any) -> dict[str, Any]:
    return {"id": id_, "type": "Boat", **attributes}


EXCLUSIVE = {"entities": [{"id": BOAT, "type": "Boat"}], "propertyNames": ["speed"]}


def test_1_retrieve_merges(two: Two) -> None:
    two.register()
    two.ask("POST", f"{ENTITIES}?local=true", boat(name="A"), status=201)
    two.ask_there("POST", ENTITIES, boat(speed=7), status=201)
    found = two.ask("GET", f"{ENTITIES}/{BOAT}?options=keyValues")
    assert found == boat(name="A", speed=7)
    assert two.ask("GET", f"{ENTITIES}/{BOAT}?local=true&options=keyValues") == boat(name="A")
    assert two.ask("GET", f"{ENTITIES}/{BOAT}?attrs=speed&options=keyValues") == boat(speed=7)


def test_2_query_merges_and_pages(two: Two) -> None:
    two.register()
    for n in (1, 3):
        two.ask("POST", f"{ENTITIES}?local=true", boat(f"urn:x:{n}", n=n), status=201)
    for n in (2, 3, 4):
        two.ask_there("POST", ENTITIES, boat(f"urn:x:{n}", there=True), status=201)
    path = f"{ENTITIES}?type=Boat&options=keyValues"
    assert [e["id"][-1] for e in two.ask("GET", path)] == ["1", "2", "3", "4"]
    assert two.ask("GET", path)[2] == boat("urn:x:3", n=3, there=True)
    assert [e["id"][-1] for e in two.ask("GET", f"{path}&limit=2&offset=1")] == ["2", "3"]
    counted = two.client.get(f"{path}&count=true", headers=two.here.auth("admin"))
    assert counted.headers["ngsild-results-count"] == "4"
    assert [e["id"][-1] for e in two.ask("GET", f"{path}&q=there==true")] == ["2", "3", "4"]
    body = {"type": "Query", "entities": [{"type": "Boat", "id": "urn:x:4"}]}
    assert [e["id"] for e in two.ask("POST", f"{OPERATIONS}/query", body)] == ["urn:x:4"]
    assert two.net.heard[-1][:2] == ("POST", "http://there.example/ngsi-ld/v1/entityOperations/query?limit=21")
    two.ask("GET", f"{path}&orderBy=n", status=400)
    assert len(two.ask("GET", f"{path}&orderBy=n&local=true")) == 2


def test_3_conditions_over_split_entities(two: Two) -> None:
    """5.7.2.4: the two halves meet the condition only together."""
    two.register()
    two.ask("POST", f"{ENTITIES}?local=true", boat(a=1), status=201)
    two.ask_there("POST", ENTITIES, boat(b=2), status=201)
    path = f"{ENTITIES}?type=Boat&q=a==1;b==2"
    assert two.ask("GET", path) == []
    assert [e["id"] for e in two.ask("GET", f"{path}&splitEntities=true")] == [BOAT]
    assert "q=" not in two.net.heard[-1][1]


def test_4_an_inclusive_change_is_made_twice(two: Two) -> None:
    two.register()
    two.ask("POST", ENTITIES, boat(speed=1), status=201)
    assert two.ask_there("GET", f"{ENTITIES}/{BOAT}?options=keyValues") == boat(speed=1)
    two.ask("PATCH", f"{ENTITIES}/{BOAT}/attrs", {"speed": {"type": "Property", "value": 2}}, status=204)
    two.ask("PATCH", f"{ENTITIES}/{BOAT}/attrs/speed", {"value": 3}, status=204)
    two.ask("POST", f"{ENTITIES}/{BOAT}/attrs", {"name": {"value": "B"}}, status=204)
    two.ask("PATCH", f"{ENTITIES}/{BOAT}", {"name": {"value": "C"}}, status=204)
    assert two.ask_there("GET", f"{ENTITIES}/{BOAT}?options=keyValues") == boat(speed=3, name="C")
    two.ask("DELETE", f"{ENTITIES}/{BOAT}/attrs/name", status=204)
    two.ask("PUT", f"{ENTITIES}/{BOAT}", boat(speed=9), status=204)
    assert two.ask_there("GET", f"{ENTITIES}/{BOAT}?options=keyValues") == boat(speed=9)
    again = two.ask("POST", ENTITIES, boat(speed=1), status=207)
    assert [e["error"]["status"] for e in again["errors"]] == [409, 409]
    two.ask("DELETE", f"{ENTITIES}/{BOAT}", status=204)
    two.ask_there("GET", f"{ENTITIES}/{BOAT}", status=404)
    half = two.ask("DELETE", f"{ENTITIES}/{BOAT}", status=207)
    assert {e["error"]["type"] for e in half["errors"]} == {f"{ERRORS}ResourceNotFound"}


def test_5_an_exclusive_attribute_lives_there(two: Two) -> None:
    two.register("exclusive", information=EXCLUSIVE)
    two.ask("POST", ENTITIES, boat(speed=1, name="A"), status=201)
    assert two.ask("GET", f"{ENTITIES}/{BOAT}?local=true&options=keyValues") == boat(name="A")
    assert two.ask_there("GET", f"{ENTITIES}/{BOAT}?options=keyValues") == boat(speed=1)
    assert two.ask("GET", f"{ENTITIES}/{BOAT}?options=keyValues") == boat(speed=1, name="A")
    two.ask("PATCH", f"{ENTITIES}/{BOAT}", {"speed": {"value": 5}, "name": {"value": "B"}}, status=204)
    assert two.ask_there("GET", f"{ENTITIES}/{BOAT}?options=keyValues") == boat(speed=5)
    assert two.ask("GET", f"{ENTITIES}/{BOAT}?local=true&options=keyValues") == boat(name="B")


def test_6_a_redirected_entity_is_only_there(two: Two) -> None:
    two.register("redirect")
    two.ask("POST", ENTITIES, boat(speed=1), status=201)
    two.ask("GET", f"{ENTITIES}/{BOAT}?local=true", status=404)
    assert two.ask("GET", f"{ENTITIES}/{BOAT}?options=keyValues") == boat(speed=1)
    again = two.ask("POST", ENTITIES, boat(speed=1), status=409)
    assert again["type"] == f"{ERRORS}AlreadyExists"
    two.ask("DELETE", f"{ENTITIES}/{BOAT}", status=204)
    two.ask("DELETE", f"{ENTITIES}/{BOAT}", status=404)


def test_7_what_is_not_offered_there_is_refused_here(two: Two) -> None:
    """5614_01."""
    two.register("redirect", operations=["retrieveOps"])
    refused = two.ask("POST", ENTITIES, boat(speed=1), status=409)
    assert refused["type"] == f"{ERRORS}Conflict"
    assert two.net.heard == []


def test_8_batches_go_in_one_request(two: Two) -> None:
    two.register()
    two.ask("POST", f"{OPERATIONS}/create", [boat("urn:x:1", n=1), boat("urn:x:2", n=2)], status=201)
    two.ask("POST", f"{OPERATIONS}/upsert", [boat("urn:x:1", n=5), boat("urn:x:3", n=3)], status=201)
    assert [m[0] + m[1][-7:] for m in two.net.heard] == ["POST/create", "POST/upsert"]
    assert len(two.ask_there("GET", f"{ENTITIES}?type=Boat")) == 3
    two.ask("POST", f"{OPERATIONS}/update", [boat("urn:x:1", m=1)], status=204)
    two.ask("POST", f"{OPERATIONS}/merge", [boat("urn:x:1", k=1)], status=204)
    assert two.ask_there("GET", f"{ENTITIES}/urn:x:1?options=keyValues") == boat("urn:x:1", n=5, m=1, k=1)
    gone = two.ask("POST", f"{OPERATIONS}/delete", ["urn:x:1", "urn:x:9"], status=207)
    assert gone["success"] == ["urn:x:1"]
    assert [(e["entityId"], e["error"]["status"]) for e in gone["errors"]] == [("urn:x:9", 404)] * 2, "there and here"
    two.ask("DELETE", f"{ENTITIES}?type=Boat", status=204)
    assert two.ask_there("GET", f"{ENTITIES}?type=Boat") == []


def test_9_loops_end(two: Two) -> None:
    """Both brokers register each other; each request ends at the one that it came from."""
    two.register()
    two.net.brokers["here.example"] = (two.client, two.here.auth("admin"))
    back = {"id": "urn:r:back", "type": "ContextSourceRegistration", "information": [{"entities": [{"type": "Boat"}]}],
            "endpoint": "http://here.example", "operations": ALL}  # fmt: skip
    two.ask_there("POST", SOURCES, back, status=201)
    two.ask_there("POST", f"{ENTITIES}?local=true", boat(speed=1), status=201)
    assert two.ask("GET", f"{ENTITIES}/{BOAT}?options=keyValues") == boat(speed=1)
    vias = [headers["Via"].count(",") for _, _, headers, _ in two.net.heard]
    assert vias == [0, 1], "there and back, and no further"
    two.register("redirect", host="nobody.example", information={"entities": [{"type": "Ship"}]})
    looped = two.ask("DELETE", f"{ENTITIES}/urn:x:ship", status=508, Via=f"1.1 {two.here.hub.alias}")
    assert looped["code"] == "loop"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((403, {}), "299"),
        ((200, b"not a json document"), "111"),
        ((200, {"id": "no uri", "type": "Boat"}), "111"),
        (HttpTooLarge("says too much"), "111"),
        (HttpFailed("is not there"), "199"),
        ((404, {}), None),
    ],
)
def test_a_source_that_fails_is_a_warning(two: Two, answer: Any, code: str | None) -> None:
    """6317_01, 6317_02."""
    two.net.answers["odd.example"] = answer
    two.register(host="odd.example")
    two.ask("POST", f"{ENTITIES}?local=true", boat(name="A"), status=201)
    got = two.client.get(f"{ENTITIES}/{BOAT}?options=keyValues", headers=two.here.auth("admin"))
    assert got.json() == boat(name="A")
    warning = got.headers.get("ngsild-warning")
    assert warning is None if code is None else warning is not None and warning.startswith(f"{code} odd.example")
    missing = two.client.get(f"{ENTITIES}/urn:ngsi-ld:Boat:2", headers=two.here.auth("admin"))
    assert missing.status_code == 404 and ("ngsild-warning" in missing.headers) is (code is not None)


def test_headers_of_a_registration(two: Two) -> None:
    """436_04, 436_05."""
    two.net.answers["odd.example"] = (404, {})
    pairs = [("Authorization", "Bearer x"), ("user", "urn:ngsi-ld:request"), ("NGSILD-Tenant", "hacker"), ("Via", "1.1 evil"),
             ("accept", "application/ld+json"), ("cookie", "urn:ngsi-ld:request")]  # fmt: skip
    two.register(
        host="odd.example/base/", tenant="blue", management={"localOnly": True, "timeout": 300},
        contextSourceInfo=[{"key": key, "value": value} for key, value in pairs],
    )  # fmt: skip
    two.ask("GET", f"{ENTITIES}/{BOAT}", status=404, user="abcd", Cookie="madang_session=secret")
    _, url, headers, _ = two.net.heard[0]
    assert url == f"http://odd.example/base/ngsi-ld/v1/entities/{BOAT}?local=true"
    assert headers == {
        "Accept": "application/ld+json", "Authorization": "Bearer x", "user": "abcd", "NGSILD-Tenant": "blue",
        "Via": f"1.1 {two.here.hub.alias}",
    }  # fmt: skip


def test_a_source_rests_after_a_failure(two: Two) -> None:
    two.register(host="nobody.example", management={"cooldown": 60_000})
    for _ in range(2):
        two.ask("GET", f"{ENTITIES}/{BOAT}", status=404)
    assert len(two.net.heard) == 1
    two.here.clock.set(two.here.clock.now() + 61_000_000)
    two.ask("GET", f"{ENTITIES}/{BOAT}", status=404)
    assert len(two.net.heard) == 2


def test_how_a_source_did_is_shown_and_kept(two: Two) -> None:
    two.net.answers["odd.example"] = (404, {})
    two.register(host="odd.example")
    two.ask("GET", f"{ENTITIES}/{BOAT}", status=404)
    shown = two.ask("GET", f"{SOURCES}/urn:r:0")
    assert (shown["status"], shown["timesSent"], "timesFailed" in shown) == ("ok", 1, False)
    two.net.answers["odd.example"] = (500, {})
    two.here.clock.set(two.here.clock.now() + 1_000_000)
    two.ask("GET", f"{ENTITIES}/{BOAT}", status=404)
    two.here.hub.store.write(two.here.hub.registrations.save_in).result(10)
    again = Registrations(two.here.hub.store, two.here.clock, lambda: "x")
    assert (again.usage_of("urn:r:0").times_sent, again.usage_of("urn:r:0").times_failed) == (2, 1)
    shown = two.ask("GET", f"{SOURCES}/urn:r:0")
    assert (shown["status"], shown["timesFailed"]) == ("failed", 1) and shown["lastFailure"] > shown["lastSuccess"]


def test_a_source_speaks_for_what_it_registered_alone(two: Two) -> None:
    two.register(information={"entities": [{"type": "Boat"}], "propertyNames": ["speed"]})
    two.ask_there("POST", ENTITIES, boat(speed=1, name="A"), status=201)
    two.net.brokers["there.example"] = (two.other, two.there.auth("admin"))
    two.net.answers["odd.example"] = (200, boat(speed=1, name="forged"))
    two.register(host="odd.example", information={"entities": [{"type": "Boat"}], "propertyNames": ["speed"]})
    assert two.ask("GET", f"{ENTITIES}/{BOAT}?options=keyValues") == boat(speed=1)
    assert "attrs=speed" in two.net.heard[0][1]


def test_people_of_a_party_are_answered_from_here(two: Two) -> None:
    """Whom an entity names is known of what is here."""
    two.register()
    two.ask_there("POST", ENTITIES, boat(speed=1), status=201)
    assert two.client.get(f"{ENTITIES}/{BOAT}", headers=two.here.auth("carrier")).status_code == 404
    assert two.net.heard == []


def test_a_source_does_not_speak_for_others(two: Two) -> None:
    """Neither for a type that it did not register, nor for a type that the caller may not see."""
    forged = {"id": "urn:x:m", "type": "ManureManifest", "state": "closed"}
    two.net.answers["odd.example"] = (200, [forged, boat("urn:x:b", a=1)])
    two.register(host="odd.example")
    assert [e["id"] for e in two.ask("GET", f"{ENTITIES}?type=Boat,ManureManifest&id=urn:x:m,urn:x:b")] == ["urn:x:b"]

    class Look:
        def may_see_type(self, name: str) -> bool:
            return name != "ManureManifest"

    shown = [Fragment(Entity(f"urn:x:{name}", name, {}, 0, 0, 0, 0)) for name in ("Boat", "ManureManifest")]
    assert visible(Look(), shown) == shown[:1]  # type: ignore[arg-type]


def test_an_own_context_travels(two: Two) -> None:
    """436_06: names are the source's own where it asks for that."""
    two.net.answers["odd.example"] = (201, b"")
    context = {"ex": "https://a.example/", "v": "ex:speed", "Boat": "ex:Boat"}
    information = {"entities": [{"type": "https://a.example/Boat"}]}
    two.register(host="odd.example", information=information)
    headers = {**two.here.auth("admin"), "Content-Type": "application/ld+json"}
    body = {**boat(v=3), "@context": [context]}
    assert two.client.post(ENTITIES, content=json.dumps(body), headers=headers).status_code == 201
    _, _, sent, document = two.net.heard[0]
    assert sent["Content-Type"] == "application/ld+json" and document == body


TYPES, ATTRIBUTES = "/ngsi-ld/v1/types", "/ngsi-ld/v1/attributes"
DISCOVERY = ["retrieveEntityTypes", "retrieveEntityTypeDetails", "retrieveEntityTypeInfo",
             "retrieveAttrTypes", "retrieveAttrTypeDetails", "retrieveAttrTypeInfo"]  # fmt: skip


def test_types_and_attributes_of_sources_are_told(two: Two) -> None:
    """Clauses 5.7.5.4 to 5.7.10.4: of those that they registered, merged with what is here."""
    two.register(operations=DISCOVERY, information={"entities": [{"type": "Boat"}, {"type": "Raft"}]})
    two.ask("POST", f"{ENTITIES}?local=true", boat(name="A", speed=7), status=201)
    two.ask_there("POST", ENTITIES, boat("urn:x:2", speed=8, owner={"object": "urn:o:1"}), status=201)
    two.ask_there("POST", ENTITIES, boat("urn:x:3", speed={"object": "urn:o:1"}), status=201)
    two.ask_there("POST", ENTITIES, {"id": "urn:x:4", "type": "Raft", "logs": 9}, status=201)
    two.ask_there("POST", ENTITIES, {"id": "urn:x:5", "type": "Secret", "hidden": 9}, status=201)
    types = two.ask("GET", TYPES)["typeList"]
    assert {"Boat", "Raft", "Vehicle"} <= set(types) and "Secret" not in types and types == sorted(types)
    assert "Raft" not in two.ask("GET", f"{TYPES}?local=true")["typeList"]
    details = {item["typeName"]: item["attributeNames"] for item in two.ask("GET", f"{TYPES}?details=true")}
    assert (details["Boat"], details["Raft"]) == (["name", "owner", "speed"], ["logs"])
    info = two.ask("GET", f"{TYPES}/Boat")
    assert info["entityCount"] == 3
    assert {d["attributeName"]: d["attributeTypes"] for d in info["attributeDetails"]} == {
        "name": ["Property"],
        "owner": ["Relationship"],
        "speed": ["Property", "Relationship"],
    }
    assert two.ask("GET", f"{TYPES}/Raft")["entityCount"] == 1
    two.ask("GET", f"{TYPES}/Secret", status=404)
    attributes = two.ask("GET", ATTRIBUTES)["attributeList"]
    assert "logs" in attributes and attributes == sorted(attributes)
    by_name = {item["attributeName"]: item["typeNames"] for item in two.ask("GET", f"{ATTRIBUTES}?details=true")}
    assert by_name["logs"] == ["Raft"] and by_name["owner"][:1] == ["Boat"] and "hidden" not in by_name
    logs = two.ask("GET", f"{ATTRIBUTES}/logs")
    assert (logs["attributeCount"], logs["attributeTypes"], logs["typeNames"]) == (1, ["Property"], ["Raft"])


def test_types_of_a_source_that_fails_are_a_warning(two: Two) -> None:
    two.register(operations=DISCOVERY, host="nobody.example")
    answer = two.client.get(TYPES, headers=two.here.auth("admin"))
    assert answer.status_code == 200 and "Vehicle" in answer.json()["typeList"]
    assert answer.headers["ngsild-warning"].startswith("199 nobody.example ")
    two.register(operations=["retrieveOps"], information={"entities": [{"type": "Raft"}]})
    two.ask("GET", f"{TYPES}/Raft", status=404)


def test_people_of_a_party_hear_of_types_here_alone(two: Two) -> None:
    two.register(operations=DISCOVERY)
    two.ask_there("POST", ENTITIES, boat(), status=201)
    found = two.client.get(TYPES, headers=two.here.auth("carrier")).json()["typeList"]
    assert "Boat" not in found


TEMPORAL = f"/ngsi-ld/v1/temporal/entities/{BOAT}?timerel=after&timeAt=2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((200, b"no json"), "111"),
        ((200, [5]), "111"),
        ((200, {"type": "Boat", "speed": []}), "111"),
        ((200, {"id": BOAT, "type": "Boat", "speed": "fast"}), "111"),
        (
            (200, {"id": BOAT, "type": "Boat", "speed": [{"type": "Property", "value": 1, "observedAt": "yesterday"}]}),
            "111",
        ),
        ((500, {}), "299"),
        (
            (
                206,
                {
                    "id": BOAT,
                    "type": "Boat",
                    "other": [{"type": "Property", "value": 1, "observedAt": "2026-02-01T00:00:00Z"}],
                },
            ),
            "199",
        ),
    ],
)
def test_evolutions_of_a_source_that_says_nonsense_are_left_out(two: Two, answer: Any, code: str) -> None:
    """Clause 5.7.3.4: what is here is told all the same, with a warning."""
    two.net.answers["odd.example"] = answer
    two.register(host="odd.example", operations=["retrieveTemporal"])
    speed = {"value": 7, "observedAt": "2026-03-01T00:00:00Z"}
    two.ask("POST", f"{ENTITIES}?local=true", boat(speed=speed), status=201)
    found = two.client.get(TEMPORAL, headers=two.here.auth("admin"))
    assert found.status_code == 200 and found.json()["speed"][0]["value"] == 7
    assert found.headers["NGSILD-Warning"].startswith(code)
    assert ("other" in found.json()) == (answer[0] == 206)


def test_evolutions_are_asked_for_in_the_readers_words(two: Two) -> None:
    two.net.answers["odd.example"] = (404, {})
    two.register(host="odd.example", operations=["retrieveTemporal"])
    two.ask("GET", f"{TEMPORAL}&attrs=speed&lastN=3&pick=speed", status=400)
    two.ask("GET", f"{TEMPORAL}&attrs=speed&lastN=3&options=temporalValues", status=404)
    method, url, headers, body = two.net.heard[-1]
    assert (method, body) == ("GET", None) and headers["Via"].startswith("1.1 ")
    assert url == (
        f"http://odd.example/ngsi-ld/v1/temporal/entities/{BOAT}"
        "?timerel=after&timeAt=2026-01-01T00:00:00Z&attrs=speed&lastN=3&options=temporalValues"
    )
