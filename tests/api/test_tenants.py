"""NGSILD-Tenant over the API (ETSI GS CIM 009 clauses 4.14, 5.5.10, 6.3.14). Which operations make a tenant is the list of clause
5.5.10; the rest of what is expected comes from the clauses and from the conformance suite's group Tenancy."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madang.api.ngsild_routes import NGSILD
from madang.api.route import ANY, MADE, Route
from madang.api.routes import ROUTES
from madang.model.tenant import TENANT_LENGTH_MAX
from tests.hub.tenants_bench import Tenanted, opened
from tests.stores.any_store import VARIABLE

ERRORS = "https://uri.etsi.org/ngsi-ld/errors/"
MAKING = {
    ("POST", "/ngsi-ld/v1/entities"), ("POST", "/ngsi-ld/v1/entityOperations/create"),
    ("POST", "/ngsi-ld/v1/entityOperations/upsert"), ("POST", "/ngsi-ld/v1/temporal/entities"),
    ("POST", "/ngsi-ld/v1/subscriptions"), ("POST", "/ngsi-ld/v1/csourceRegistrations"),
    ("POST", "/ngsi-ld/v1/csourceSubscriptions"), ("POST", "/ngsi-ld/v1/jsonldContexts"),
}  # fmt: skip
ID, OTHER_ID = "urn:x:1", "urn:x:2"
EXAMPLES = {"tenant": "nowhere", "id": ID, "type": "Secret", "attr": "mark", "instanceId": "urn:x:instance"}
TENANTS = (None, "alpha", "beta")
HAS_HISTORY = os.environ.get(VARIABLE, "sqlite") == "sqlite"
"""The temporal interface is the embedded store's alone so far."""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Tenanted]:
    with opened(tmp_path) as bench:
        yield bench


def path_of(route: Route, id_: str = ID) -> str:
    """The path below /ngsi-ld/v1 with an example for each parameter."""
    path = route.path.removeprefix("/ngsi-ld/v1")
    for name, value in {**EXAMPLES, "id": id_}.items():
        path = path.replace("{" + name + "}", value)
    return path


def entity(mark: str, id_: str = ID) -> dict[str, Any]:
    return {"id": id_, "type": "Secret", "mark": {"type": "Property", "value": mark, "observedAt": "2026-11-01T00:00:00Z"},
            f"only{mark}": 1}  # fmt: skip


def fill(bench: Tenanted, tenant: str | None) -> str:
    """The same ids everywhere, and a word in each thing that says whose it is. Gives the local id of its @context."""
    mark = f"mark-{tenant or 'nobody'}".replace("-", "")
    address = {"endpoint": {"uri": f"http://{mark}.example/n"}}
    for path, body in (
        ("/entities", entity(mark)),
        ("/entities", entity(mark, f"urn:x:{mark}")),
        ("/temporal/entities", {**entity(mark, OTHER_ID), "mark": [entity(mark)["mark"]]}),
        ("/subscriptions", {"id": ID, "type": "Subscription", "entities": [{"type": mark}], "notification": address}),
        ("/csourceSubscriptions", {"id": ID, "type": "Subscription", "entities": [{"type": mark}], "notification": address}),
        ("/csourceRegistrations", {"id": ID, "type": "ContextSourceRegistration", "endpoint": f"http://{mark}.example",
                                   "information": [{"entities": [{"type": mark}]}]}),
    ):  # fmt: skip
        assert bench.ask("POST", path, body, tenant).status_code == 201, path
    made = bench.ask("POST", "/jsonldContexts", {"@context": {mark: f"https://{mark}.example/"}}, tenant)
    assert made.status_code == 201
    return str(made.headers["location"].rpartition("/")[2])


# ── which operations make one ───────────────────────────────────────────────


def test_the_operations_that_make_a_tenant_are_those_of_clause_5_5_10() -> None:
    assert {(route.method, route.path) for route in NGSILD if route.tenant == MADE} == MAKING
    assert {route.path for route in NGSILD if route.tenant == ANY} == {
        "/ngsi-ld/v1/info/sourceIdentity", "/ngsi-ld/v1/jsonldContexts"
    }  # fmt: skip
    assert {route.tag for route in ROUTES if route.tenant != "known"} == {"ngsi-ld"}


def test_what_is_no_create_says_that_there_is_no_such_tenant_and_makes_none(bench: Tenanted) -> None:
    for route in NGSILD:
        if route.tenant == "known":
            body = None if route.request is None else {}
            answer = bench.ask(route.method, path_of(route), body, "nowhere")
            assert answer.status_code == 404, (route.method, route.path, answer.text)
            assert answer.json()["type"] == f"{ERRORS}NonexistentTenant"
            assert answer.headers["ngsild-tenant"] == "nowhere"
    assert bench.stores.list_names() == [] and bench.tenants.list_open() == []


@pytest.mark.parametrize(("method", "path"), sorted(MAKING))
def test_each_create_makes_its_tenant(bench: Tenanted, method: str, path: str) -> None:
    bodies: dict[str, Any] = {
        "entities": entity("m"), "create": [entity("m")], "upsert": [entity("m")],
        "jsonldContexts": {"@context": {"m": "https://m.example/"}},
        "csourceRegistrations": {"type": "ContextSourceRegistration", "endpoint": "http://m.example",
                                 "information": [{"entities": [{"type": "M"}]}]},
    }  # fmt: skip
    told = {
        "type": "Subscription",
        "entities": [{"type": "M"}],
        "notification": {"endpoint": {"uri": "http://m.example"}},
    }
    body = bodies.get(path.rpartition("/")[2], told)
    answer = bench.ask(method, path.removeprefix("/ngsi-ld/v1"), body, "New-1_x")
    assert answer.status_code == 201 and answer.headers["ngsild-tenant"] == "New-1_x", answer.text
    assert bench.stores.list_names() == ["New-1_x"]
    query = bench.ask("GET", "/entities?type=Secret", None, "New-1_x")
    assert query.status_code == 200 and query.headers["ngsild-tenant"] == "New-1_x"
    assert bench.ask("GET", "/types").json()["typeList"] == [], "nothing of it in the default tenant"


def test_a_request_that_is_refused_before_its_handler_makes_none(bench: Tenanted) -> None:
    viewer = bench.token("viewer")
    assert bench.ask("POST", "/entities?unknown=1", entity("m"), "new").status_code == 400
    assert bench.ask("POST", "/entities", entity("m"), "new", viewer).status_code == 403
    assert bench.ask("POST", "/entities", entity("m"), "new", "mdg_wrong").status_code == 401
    assert (
        bench.client.post("/ngsi-ld/v1/entities", headers={"NGSILD-Tenant": "new"}, content=iter([b"{}"])).status_code
        == 411
    )
    assert bench.stores.list_names() == []


# ── isolation ───────────────────────────────────────────────────────────────


def test_nothing_of_one_tenant_is_in_any_answer_to_another(bench: Tenanted) -> None:
    """Every route that reads, with the same ids: one's own word may be in the answer, the others' never are."""
    contexts = {tenant: fill(bench, tenant) for tenant in TENANTS}
    marks = {tenant: f"mark{tenant or 'nobody'}" for tenant in TENANTS}
    own_ids = {tenant: {context} for tenant, context in contexts.items()}
    for tenant, ids in own_ids.items():
        ids.add(bench.ask("GET", "/entityMaps?type=Secret", None, tenant).json()["id"])
    ids = (ID, OTHER_ID, *set().union(*own_ids.values()))
    shapes = {path_of(route, id_): route.path for route in NGSILD if route.method == "GET" for id_ in ids}
    reads: list[tuple[str, str, Any]] = [("GET", path, None) for path in shapes]
    reads += [(method, f"{path}?details=true", None) for method, path, _ in reads]
    reads += [
        ("GET", f"{path}?type=Secret{more}", None)
        for path, more in (
            ("/entities", ""),
            ("/entityMaps", ""),
            ("/temporal/entities", "&timerel=after&timeAt=2000-01-01T00:00:00Z"),
            ("/temporal/entityMaps", "&timerel=after&timeAt=2000-01-01T00:00:00Z"),
        )
    ]
    reads += [
        ("GET", f"{path}?type={quoted}", None)
        for quoted in marks.values()
        for path in ("/entities", "/csourceRegistrations")
    ]
    query = {"type": "Query", "entities": [{"type": "Secret"}]}
    reads += [("POST", "/entityOperations/query", query), ("POST", "/temporal/entityOperations/query", query)]
    seen: set[str] = set()
    own: dict[str | None, int] = dict.fromkeys(TENANTS, 0)
    for method, path, body in dict.fromkeys((m, p, repr(b)) for m, p, b in reads):
        for tenant in TENANTS:
            answer = bench.ask(method, path, query if body != "None" else None, tenant)
            text = answer.text + repr(sorted(answer.headers.items()))
            if marks[tenant] in text or any(id_ in text for id_ in own_ids[tenant]):
                own[tenant] += 1
                seen.add(shapes.get(path.split("?")[0], path))
            for other in set(TENANTS) - {tenant}:
                # Who names a word gets it back in the error; who names the unguessable id of an @context may read it.
                asked = marks[other] in path or (tenant is None and contexts[other] in path)
                assert asked or marks[other] not in text, (method, path, tenant, answer.text)
                assert all(id_ in path or id_ not in text for id_ in own_ids[other]), (method, path, tenant)
    assert min(own.values()) > 20, "each tenant sees its own"
    silent = {route.path for route in NGSILD if route.method == "GET"} - seen
    assert silent == {"/ngsi-ld/v1/info/sourceIdentity", "/ngsi-ld/v1/attributes/{attr}"}, "the rest shows one's own"


def test_deleting_everything_in_one_tenant_leaves_the_others_as_they_are(bench: Tenanted) -> None:
    contexts = {tenant: fill(bench, tenant) for tenant in TENANTS}
    before = {tenant: everything(bench, tenant, contexts[tenant]) for tenant in TENANTS}
    assert all(status == 200 for told in before.values() for status, _ in told)
    for context in contexts.values():
        bench.ask("DELETE", f"/jsonldContexts/{context}", None, "alpha")
    for route in NGSILD:
        if route.method == "DELETE" and "Contexts" not in route.path:
            bench.ask("DELETE", path_of(route, ID if "temporal" not in route.path else OTHER_ID), None, "alpha")
    bench.ask("DELETE", "/entities?type=Secret", None, "alpha")
    bench.ask("POST", "/entityOperations/delete", [ID, OTHER_ID], "alpha")
    assert all(status == 404 for status, _ in everything(bench, "alpha", contexts["alpha"]))
    for tenant in (None, "beta"):
        assert everything(bench, tenant, contexts[tenant]) == before[tenant]


def everything(bench: Tenanted, tenant: str | None, context: str) -> list[tuple[int, str]]:
    paths = [f"/{kind}/{ID}" for kind in ("entities", "subscriptions", "csourceSubscriptions", "csourceRegistrations")]
    answers = [
        bench.ask("GET", path, None, tenant)
        for path in (*paths, f"/temporal/entities/{OTHER_ID}", f"/jsonldContexts/{context}")
    ]
    return [(answer.status_code, answer.text) for answer in answers]


IDS = st.sampled_from(["urn:p:1", "urn:p:2", "urn:p:3"])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(TENANTS), st.sampled_from(["create", "upsert", "patch", "delete"]), IDS, st.integers(0, 9)
    ),
    max_size=20,
)


def test_a_tenant_is_what_it_would_be_alone(tmp_path: Path) -> None:
    """For any operations in any order on the same ids in three tenants, each holds what its own operations alone make."""
    with opened(tmp_path) as bench:
        for tenant in TENANTS:
            bench.ask("POST", "/entities", {"id": "urn:first", "type": "T"}, tenant)

        @given(STEPS)
        @settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
        def hold(steps: list[tuple[str | None, str, str, int]]) -> None:
            model: dict[str | None, dict[str, int]] = {tenant: {} for tenant in TENANTS}
            for tenant in TENANTS:
                bench.ask("DELETE", "/entities?type=P", None, tenant)
            for tenant, step, id_, number in steps:
                held = model[tenant]
                was = id_ in held
                if step == "create":
                    status = bench.ask("POST", "/entities", {"id": id_, "type": "P", "n": number}, tenant).status_code
                    assert status == (409 if was else 201)
                    held.setdefault(id_, number)
                elif step == "upsert":
                    sent = [{"id": id_, "type": "P", "n": number}]
                    assert bench.ask("POST", "/entityOperations/upsert", sent, tenant).status_code == (
                        204 if was else 201
                    )
                    held[id_] = number
                elif step == "patch":
                    assert bench.ask("PATCH", f"/entities/{id_}", {"n": number}, tenant).status_code == (
                        204 if was else 404
                    )
                    if was:
                        held[id_] = number
                else:
                    assert bench.ask("DELETE", f"/entities/{id_}", None, tenant).status_code == (204 if was else 404)
                    held.pop(id_, None)
            for tenant in TENANTS:
                found = bench.ask("GET", "/entities?type=P&options=keyValues", None, tenant).json()
                assert {e["id"]: e["n"] for e in found} == model[tenant]

        hold()


# ── names ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "name",
    ["", " ", "..", ".", "../beta", "a/b", "a\\b", "a.b", "a b", "a\tb", "a,b", "+beta", "%2e%2e", "a;b", '"a"', "a\x7f",
     "x" * (TENANT_LENGTH_MAX + 1),
     "제주".encode(), "é".encode("latin-1"), b"a\x00b"],
)  # fmt: skip
def test_a_name_that_is_none_is_refused_and_touches_nothing(bench: Tenanted, tmp_path: Path, name: str | bytes) -> None:
    raw = name if isinstance(name, bytes) else name.encode()
    files = sorted(path for path in tmp_path.rglob("*") if not path.name.endswith(("-wal", "-shm")))
    for method, path in (("POST", "/ngsi-ld/v1/entities"), ("GET", "/ngsi-ld/v1/types")):
        sent: dict[str, Any] = {"json": entity("m")} if method == "POST" else {}
        answer = bench.client.request(method, path, headers=[(b"NGSILD-Tenant", raw)], **sent)
        assert answer.status_code == 400, answer.text
        assert answer.json()["type"] == f"{ERRORS}BadRequestData" and "ngsild-tenant" not in answer.headers
        assert f"1 to {TENANT_LENGTH_MAX}" in answer.json()["detail"]
    assert bench.stores.list_names() == []
    assert sorted(path for path in tmp_path.rglob("*") if not path.name.endswith(("-wal", "-shm"))) == files


def test_two_headers_are_no_name(bench: Tenanted) -> None:
    headers = [("NGSILD-Tenant", "alpha"), ("NGSILD-Tenant", "beta")]
    assert bench.client.get("/ngsi-ld/v1/types", headers=headers).status_code == 400


def test_names_that_differ_in_capitals_alone_are_two(bench: Tenanted) -> None:
    for name in ("seoul", "Seoul", "x" * TENANT_LENGTH_MAX, "X" * TENANT_LENGTH_MAX):
        assert bench.ask("POST", "/entities", entity("m"), name).status_code == 201
    assert bench.stores.list_names() == sorted(["Seoul", "seoul", "x" * TENANT_LENGTH_MAX, "X" * TENANT_LENGTH_MAX])


def test_the_default_tenant_may_be_named(bench: Tenanted) -> None:
    assert bench.ask("POST", "/entities", entity("m"), "default").headers["ngsild-tenant"] == "default"
    assert bench.ask("GET", f"/entities/{ID}").status_code == 200
    assert "ngsild-tenant" not in bench.ask("GET", f"/entities/{ID}").headers
    assert bench.client.get("/api/me", headers={"NGSILD-Tenant": "default"}).status_code == 200
    assert bench.stores.list_names() == []


def test_as_many_tenants_as_there_may_be(tmp_path: Path) -> None:
    with opened(tmp_path, tenants_max=2) as bench:
        for name in ("one", "two"):
            assert bench.ask("POST", "/entities", entity("m"), name).status_code == 201
        refused = bench.ask("POST", "/entities", entity("m"), "three")
        assert refused.status_code == 422 and refused.json()["type"] == f"{ERRORS}OperationNotSupported"
        assert refused.json()["detail"].startswith("2 tenants are kept here")
        assert bench.ask("POST", "/entities", entity("m", OTHER_ID), "two").status_code == 201


# ── who may ───────────────────────────────────────────────────────────────────


def test_a_token_works_in_its_own_tenant_and_an_administrators_of_the_default_one_in_all(bench: Tenanted) -> None:
    bench.ask("POST", "/entities", entity("m"), "alpha")
    bench.ask("POST", "/entities", entity("m"), "beta")
    bench.ask("POST", "/entities", entity("m"))
    tokens = {
        "root": bench.token("admin"), "officer": bench.token("officer"), "alpha": bench.token("officer", "alpha"),
        "alpha-root": bench.token("admin", "alpha"),
    }  # fmt: skip
    works = {"root": {None, "alpha", "beta"}, "officer": {None}, "alpha": {"alpha"}, "alpha-root": {"alpha"}}
    for who, token in tokens.items():
        for tenant in TENANTS:
            answer = bench.ask("GET", f"/entities/{ID}", None, tenant, token)
            assert answer.status_code == (200 if tenant in works[who] else 403), (who, tenant, answer.text)
            # What it may not enter it does not learn the existence of.
        assert bench.ask("GET", "/types", None, "nowhere", token).status_code == (404 if who == "root" else 403)
    refused = bench.ask("GET", "/types", None, None, tokens["alpha"])
    assert refused.json()["code"] == "other-tenant" and "NGSILD-Tenant: alpha" in refused.json()["detail"]


def test_who_makes_a_tenant(bench: Tenanted) -> None:
    for role, tenant, status in (("officer", "new", 403), ("admin", "new", 201)):
        answer = bench.ask("POST", "/entities", entity("m"), tenant, bench.token(role, tenant))
        assert answer.status_code == status, answer.text
        if status == 403:
            assert answer.json()["permission"] == "tenant.manage" and "administrator" in answer.json()["detail"]
    assert bench.ask("POST", "/entities", entity("m"), "second", bench.token("admin")).status_code == 201
    assert (
        bench.ask("POST", "/entities", entity("m", OTHER_ID), "new", bench.token("officer", "new", "more")).status_code
        == 201
    )


def test_what_is_not_ngsi_ld_knows_no_tenants(bench: Tenanted) -> None:
    bench.ask("POST", "/entities", entity("m"), "alpha")
    for path in ("/api/me", "/api/city", "/health", "/metrics", "/"):
        answer = bench.client.get(path, headers={"NGSILD-Tenant": "alpha"})
        assert answer.status_code == 400 and answer.json()["code"] == "no-tenants-here", path
    own = {"Authorization": f"Bearer {bench.token('admin', 'alpha')}"}
    assert bench.client.get("/api/me", headers=own).status_code == 403
    login = bench.client.post("/api/session", json={"token": own["Authorization"][7:]})
    assert login.status_code == 403 and "set-cookie" not in login.headers


def test_layers_are_those_of_the_tenant(bench: Tenanted) -> None:
    """OGC API - Features: by the header, or by the token alone, because a GIS may have no way to send a header."""
    for tenant in (None, "alpha"):
        place = {"type": "Point", "coordinates": [127, 37]}
        document = {"id": f"urn:x:{tenant}", "type": f"Tree{tenant}", "location": place}
        assert bench.ask("POST", "/entities", document, tenant).status_code == 201

    def layers(status: int = 200, **headers: str) -> list[str]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = bench.client.get("/ogc/collections", headers=sent)
        assert answer.status_code == status, answer.text
        return [one["id"] for one in answer.json().get("collections", [])]

    own = {"Authorization": f"Bearer {bench.token('viewer', 'alpha')}"}
    assert layers() == ["TreeNone"]
    assert layers(NGSILD_Tenant="alpha") == ["Treealpha"]
    assert layers(**own) == ["Treealpha"]
    (feature,) = bench.client.get("/ogc/collections/Treealpha/items", headers=own).json()["features"]
    assert feature["id"] == "urn:x:alpha"
    assert bench.client.get("/ogc/collections/TreeNone/items", headers=own).status_code == 404
    assert layers(403, NGSILD_Tenant="default", **own) == []
    assert layers(404, NGSILD_Tenant="nowhere") == []
    assert layers(400, NGSILD_Tenant="../x") == []


def test_a_token_is_made_for_a_tenant_over_the_api(bench: Tenanted) -> None:
    made = bench.client.post("/api/tokens", json={"name": "kim", "role": "admin", "tenant": "alpha"})
    assert made.status_code == 201
    assert [(t["name"], t["tenant"]) for t in bench.client.get("/api/tokens").json()] == [("kim", "alpha")]
    assert bench.ask("POST", "/entities", entity("m"), "alpha", made.json()["token"]).status_code == 201
    wrong = bench.client.post("/api/tokens", json={"name": "lee", "role": "admin", "tenant": "../x"})
    assert wrong.status_code == 400


# ── the rest of the clauses ───────────────────────────────────────────────────


def test_an_alias_says_which_tenant_also_before_it_exists(bench: Tenanted) -> None:
    """Clause 5.2.40; a peer keeps it in its registration before anything is written."""
    aliases = [
        bench.ask("GET", "/info/sourceIdentity", None, t).json()["contextSourceAlias"] for t in (None, "alpha", "beta")
    ]
    assert len(set(aliases)) == 3 and aliases[1] == f"{aliases[0]}.alpha"
    bench.ask("POST", "/entities", entity("m"), "alpha")
    again = bench.ask("GET", "/info/sourceIdentity", None, "alpha").json()
    assert again["contextSourceAlias"] == aliases[1]


def test_a_forwarded_request_names_the_registrations_tenant_and_a_loop_is_one_tenants(bench: Tenanted) -> None:
    """Clause 4.14: "If no Tenant information is present in the Context Source Registration, no Tenant information is to be used". Clause
    6.3.18: a loop is one through the same tenant."""
    for id_, more in (("urn:r:plain", {}), ("urn:r:named", {"tenant": "there"})):
        body = {"id": id_, "type": "ContextSourceRegistration", "endpoint": f"http://{id_[6:]}.example",
                "information": [{"entities": [{"type": "Secret"}]}], **more}  # fmt: skip
        assert bench.ask("POST", "/csourceRegistrations", body, "alpha").status_code == 201
    bench.ask("GET", "/entities?type=Secret", None, "alpha")
    asked = {url.partition("/ngsi-ld")[0]: headers for _, url, headers in bench.elsewhere.asked}
    alias = bench.ask("GET", "/info/sourceIdentity", None, "alpha").json()["contextSourceAlias"]
    assert {host: headers.get("ngsild-tenant") for host, headers in asked.items()} == {
        "http://plain.example": None, "http://named.example": "there",
    }  # fmt: skip
    assert {headers["via"] for headers in asked.values()} == {f"1.1 {alias}"}
    for via, hops in ((alias, 0), (bench.hub.alias, 2), (f"{bench.hub.alias}.beta", 2)):
        bench.elsewhere.asked.clear()
        headers = {"NGSILD-Tenant": "alpha", "Via": f"1.1 {via}"}
        assert bench.client.get("/ngsi-ld/v1/entities?type=Secret", headers=headers).status_code == 200
        assert len(bench.elsewhere.asked) == hops, via
    bench.elsewhere.asked.clear()
    bench.ask("GET", "/entities?type=Secret")
    assert bench.elsewhere.asked == [], "the default tenant has no registration"


def test_an_address_in_a_link_header_leads_to_its_context_without_the_header(bench: Tenanted) -> None:
    """Whoever reads an answer follows the address with no header but Accept."""
    value = [{"mark": "https://m.example/mark"}, {"other": "https://m.example/other"}]
    sent = {**entity("m"), "@context": value}
    headers = {"NGSILD-Tenant": "alpha", "Content-Type": "application/ld+json"}
    assert bench.client.post("/ngsi-ld/v1/entities", content=json.dumps(sent), headers=headers).status_code == 201
    told = {"type": "Query", "entities": [{"type": "Secret"}], "@context": value}
    answer = bench.client.post("/ngsi-ld/v1/entityOperations/query", content=json.dumps(told), headers=headers)
    address = answer.headers["link"].partition("<")[2].partition(">")[0]
    assert bench.client.get(address).json() == {"@context": value}
    assert bench.client.get(address, headers={"NGSILD-Tenant": "alpha"}).json() == {"@context": value}
    assert bench.client.get(address, headers={"NGSILD-Tenant": "default"}).status_code == 404
    assert bench.client.get("/ngsi-ld/v1/jsonldContexts/urn:ngsi-ld:Context:nowhere.00").status_code == 404


def test_without_other_tenants_it_is_said(tmp_path: Path) -> None:
    with opened(tmp_path) as bench:
        bench.app.api.tenants = None
        answer = bench.ask("GET", "/types", None, "alpha")
        assert answer.status_code == 501 and answer.json()["type"] == f"{ERRORS}NoMultiTenantSupport"


def test_a_copy_of_a_subscription_elsewhere_says_whose_it_is(bench: Tenanted) -> None:
    """Clause 5.8.1.4. The address says the tenant: the header of a notification is the tenant at the other broker (clause 6.3.14)."""
    registration = {"id": "urn:r:1", "type": "ContextSourceRegistration", "information": [{"entities": [{"type": "Car"}]}],
                    "endpoint": "http://other.example"}  # fmt: skip
    subscription = {"id": "urn:s:1", "type": "Subscription", "entities": [{"type": "Car"}],
                    "notification": {"endpoint": {"uri": "http://receiver.example/n"}}}  # fmt: skip
    assert bench.ask("POST", "/csourceRegistrations", registration, "alpha").status_code == 201
    assert bench.ask("POST", "/subscriptions", subscription, "alpha").status_code == 201
    for _ in range(100):
        if bench.elsewhere.bodies:
            break
        time.sleep(0.02)
    (body,) = bench.elsewhere.bodies
    copy = json.loads(body)
    assert copy["notification"]["endpoint"]["uri"].endswith("/ngsi-ld/ex/remote-notify/alpha")
    told = {"type": "Notification", "subscriptionId": copy["id"], "data": []}
    bench.ask("POST", "/entities", entity("m"), "beta")
    for header in (None, "beta", "its-own", "alpha"):
        assert bench.ask("POST", "/ngsi-ld/ex/remote-notify/alpha", told, header).status_code == 200, header
    for path in ("", "/beta", "/default", "/nowhere"):
        assert bench.ask("POST", f"/ngsi-ld/ex/remote-notify{path}", told).status_code == 404, path
    assert bench.ask("POST", "/ngsi-ld/ex/remote-notify/a.b", told).status_code == 400
