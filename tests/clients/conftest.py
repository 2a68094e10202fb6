"""A real server for clients that others wrote: one process for the whole folder, with trees, a park and their history."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.harness import ServerProcess
from tests.faults.serve import TOKEN_FILE


class Served:
    """The server's address and token, and the shortest way to ask it."""

    def __init__(self, process: ServerProcess) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{process.http_port}"
        self.token = (process.data / TOKEN_FILE).read_text().strip()

    def ask(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        """The JSON of an answer, which must have the status."""
        content = None if body is None else json.dumps(body).encode()
        got, answer = self.process.request(path, method=method, body=content, **{"Content-Type": "application/json"})
        assert got == status, (got, answer[:500])
        return json.loads(answer) if answer else None


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    process = ServerProcess(tmp_path_factory.mktemp("clients") / "data", "allow-private")
    process.start()
    yield Served(process)
    process.close()


TREES = 2_500
"""More than one page of any client."""


def tree(n: int) -> dict[str, Any]:
    """A tree on a grid of 50 columns, one hundredth of a degree apart."""
    return {
        "id": f"urn:ngsi-ld:Tree:{n:05d}",
        "type": "Tree",
        "location": {"type": "Point", "coordinates": [127 + n % 50 / 100, 37 + n // 50 / 100]},
        "height": {"value": n / 10, "unitCode": "MTR"},
        "species": "은행나무" if n % 2 else "소나무",
        "name": {"languageMap": {"ko": f"나무 {n}", "en": f"tree {n}"}},
        "address": {"value": {"city": "서울", "no": n}},
        "tended": n % 3 == 0,
        "owner": {"object": "urn:ngsi-ld:Organization:1"},
        **({"felledAt": "2026-11-01"} if n == TREES - 1 else {}),
    }


PARK = {
    "id": "urn:ngsi-ld:Park:1",
    "type": "https://example.org/ns#Park",
    "location": {"type": "Polygon", "coordinates": [[[127, 37], [127.1, 37], [127.1, 37.1], [127, 37]]]},
}


@pytest.fixture(scope="package")
def wood(served: Served) -> Served:
    """The server with what a map shows."""
    for start in range(0, TREES, 500):
        served.ask(
            "POST", "/ngsi-ld/v1/entityOperations/create", [tree(n) for n in range(start, start + 500)], status=201
        )
    served.ask("POST", "/ngsi-ld/v1/entities", PARK, status=201)
    return served
