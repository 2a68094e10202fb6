"""The console's files: pages for its own paths, nothing from outside its folder, nothing run from elsewhere."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from tests.api.tiny_city import TinyCity, build_city, close_city


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyCity]:
    folder = tmp_path_factory.mktemp("built")
    console = folder / "console"
    (console / "assets").mkdir(parents=True)
    (console / "index.html").write_text("<!doctype html><title>Console</title>")
    (console / "assets" / "app-1a2b.js").write_text("let a = 1;\n" * 200)
    (folder / "secret.txt").write_text("secret")
    (console / "link.txt").symlink_to(folder / "secret.txt")
    tiny = build_city(folder, console=console)
    yield tiny
    close_city(tiny)


@pytest.fixture(scope="module")
def site(built: TinyCity) -> Iterator[TestClient]:
    with TestClient(built.app) as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/index.html", "/incidents/urn:ngsi-ld:Incident:1", "/tables"])
def test_every_page_of_the_console_is_its_one_page(site: TestClient, path: str) -> None:
    answer = site.get(path)
    assert (answer.status_code, answer.text) == (200, "<!doctype html><title>Console</title>")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "DENY"


def test_files_with_a_hash_in_their_name_are_kept(site: TestClient) -> None:
    answer = site.get("/assets/app-1a2b.js")
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-encoding"] == "gzip" and answer.text.startswith("let a")
    again = site.get("/assets/app-1a2b.js", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    plain = site.get("/assets/app-1a2b.js", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers and len(plain.content) == 2200


@pytest.mark.parametrize(
    "path",
    ["/../secret.txt", "/%2e%2e/secret.txt", "/assets/../../secret.txt", "/..%2fsecret.txt", "/link.txt", "/etc/passwd.x",
     "/assets/none.js", "/a%00.js"],
)  # fmt: skip
def test_nothing_outside_the_folder(site: TestClient, path: str) -> None:
    answer = site.get(path)
    assert answer.status_code == 404
    assert "secret" not in answer.text or "There is no" in answer.text


def test_without_a_console_the_page_says_how_to_build_it(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 503
    assert "make setup" in answer.text and "만들어지지" in answer.text
