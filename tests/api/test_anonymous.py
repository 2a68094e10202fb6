"""A caller without a token gets a role only when the server was told so, and that only where nobody else reaches it."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

from madang.api.state import ApiSettings
from madang.app.cli import main
from madang.app.settings import Settings, SettingsError, check_anonymous
from tests.api.tiny_city import TinyCity

ENTITIES = "/ngsi-ld/v1/entities?type=Vehicle"


def test_by_default_nobody_is_let_in(client: TestClient) -> None:
    assert client.get(ENTITIES).status_code == 401
    assert Settings(Path("x")).anonymous_role == ""


def test_with_the_role_a_caller_without_a_token_has_its_permissions_and_no_more(
    own_client: TestClient, own_city: TinyCity
) -> None:
    own_city.app.api.settings = ApiSettings(anonymous_role="viewer")
    assert len(own_client.get(ENTITIES).json()) == 5
    assert own_client.post("/ngsi-ld/v1/entities", json={"id": "urn:x:1", "type": "T"}).status_code == 403
    assert own_client.get("/api/me").json()["role"] == "viewer"
    assert own_client.get("/api/city").json()["anonymous_role"] == "viewer"
    own_city.app.api.settings = ApiSettings(anonymous_role="admin")
    assert own_client.post("/ngsi-ld/v1/entities", json={"id": "urn:x:1", "type": "T"}).status_code == 201


def test_a_wrong_token_is_not_taken_for_none(own_client: TestClient, own_city: TinyCity) -> None:
    own_city.app.api.settings = ApiSettings(anonymous_role="admin")
    assert own_client.get(ENTITIES, headers={"Authorization": "Bearer mdg_wrong"}).status_code == 401


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"host": "0.0.0.0"}, "--host is 0.0.0.0"),
        ({"mqtt_host": "192.168.0.4"}, "--mqtt-host is 192.168.0.4"),
        ({"anonymous_role": "carrier"}, "nobody in particular"),
        ({"anonymous_role": "king"}, "unknown role"),
    ],
)
def test_refused_where_it_could_do_harm(options: dict[str, str], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        check_anonymous(Settings(Path("x"), **{"anonymous_role": "admin", **options}))  # type: ignore[arg-type]
    check_anonymous(Settings(Path("x"), host="0.0.0.0"))


def test_the_command_says_so_and_starts_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    answer = CliRunner().invoke(main, ["serve", "--anonymous-role", "admin", "--host", "0.0.0.0", "--data", str(data)])
    assert answer.exit_code == 2 and "everything must listen on 127.0.0.1" in answer.output
    assert not data.exists()
