"""Every route, every role: 401 without a log-in, 403 with too little, neither with enough. Made from the route table."""

import pytest
from starlette.testclient import TestClient

from madang.access.roles import ROLES
from madang.api.matrix import may
from madang.api.route import LOGGED_IN, PUBLIC, Route
from madang.api.routes import ROUTES
from tests.api.tiny_city import INCIDENT, TRUCK, TinyCity

EXAMPLES = {"id": "urn:x:none", "type": "Vehicle", "action": "none", "name": "nobody"}
BY_PATH = {"/api/layers/{id}": "manure.roads", "/api/entities/{id}": TRUCK, "/api/incidents/{id}": INCIDENT}


def path_of(route: Route) -> str:
    path = route.path
    if route.path in BY_PATH:
        return path.replace("{id}", BY_PATH[route.path])
    for name, value in EXAMPLES.items():
        path = path.replace("{" + name + "}", value)
    return path


def names(route: Route) -> str:
    return f"{route.method} {route.path}"


CLOSED = [route for route in ROUTES if route.permission != PUBLIC and route.path not in ("/api/stream", "/api/session")]
"""The stream has no end and its own tests; logging out is for everybody."""


@pytest.mark.parametrize("route", CLOSED, ids=names)
def test_without_a_log_in_401(client: TestClient, route: Route) -> None:
    answer = client.request(route.method, path_of(route))
    assert answer.status_code == 401
    media_type = "application/json" if route.path.startswith("/ngsi-ld/") else "application/problem+json"  # 5.5.3
    assert answer.headers["content-type"] == media_type
    assert "WWW-Authenticate" in answer.headers


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("route", CLOSED, ids=names)
def test_a_role_gets_what_its_permissions_say(client: TestClient, city: TinyCity, route: Route, role: str) -> None:
    answer = client.request(route.method, path_of(route), headers=city.auth(role))
    if may(role, route):
        refused = answer.json() if answer.status_code == 403 else {}
        # The route is open; policy may still refuse the type or the whole-city figure to an outsider.
        assert answer.status_code not in (401, 500), answer.text
        assert "permission" not in refused or refused["permission"] not in route.permission.split(), answer.text
    else:
        assert answer.status_code == 403, answer.text
        assert answer.json()["code"] == "forbidden"
        assert answer.json()["permission"] == " or ".join(route.permission.split())


def test_every_permission_of_the_table_exists() -> None:
    from madang.access.roles import PERMISSIONS

    used = {name for route in ROUTES for name in route.permission.split() if route.permission != LOGGED_IN}
    assert used <= set(PERMISSIONS)
