"""Settings that the command line takes or refuses."""

from pathlib import Path

import pytest

from madang.app.server import Server
from madang.app.settings import Settings, SettingsError, check_public_url


@pytest.mark.parametrize("url", ["", "https://city.example", "http://127.0.0.1:8080/", "https://city.example/madang"])
def test_a_public_address(url: str) -> None:
    check_public_url(Settings(Path("x"), public_url=url))


@pytest.mark.parametrize(
    "url", ["city.example", "ftp://city.example", "https://city.example/?a=1", "https://a b", "https://"]
)
def test_what_is_no_public_address(url: str) -> None:
    with pytest.raises(SettingsError, match="--public-url must be an address"):
        check_public_url(Settings(Path("x"), public_url=url))


async def test_others_are_told_the_public_address(tmp_path: Path) -> None:
    """In a proxy's shadow the address that the server listens on is of no use to other brokers (5.8.1.4)."""
    async with Server(Settings(tmp_path, port=0, mqtt_port=0, public_url="https://city.example/")) as server:
        assert server.public_url == "https://city.example/" and server.url.startswith("http://127.0.0.1:")
        base_url = server.deliveries.remote._base_url
        assert base_url is not None and base_url() == "https://city.example/"
