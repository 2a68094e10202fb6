"""One tiny city for the tests that only read, a fresh one for those that change it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.api.tiny_city import TinyCity, build_city, close_city


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyCity]:
    """Shared: do not change it."""
    tiny = build_city(tmp_path_factory.mktemp("city"))
    yield tiny
    close_city(tiny)


@pytest.fixture(scope="session")
def client(city: TinyCity) -> Iterator[TestClient]:
    with TestClient(city.app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def own_city(tmp_path: Path) -> Iterator[TinyCity]:
    """The test's own."""
    tiny = build_city(tmp_path)
    yield tiny
    close_city(tiny)


@pytest.fixture
def own_client(own_city: TinyCity) -> Iterator[TestClient]:
    with TestClient(own_city.app, raise_server_exceptions=False) as client:
        yield client
