"""Three real servers, each with tokens of its own, that know each other only through registrations."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.harness import ServerProcess
from tests.faults.serve import TOKEN_FILE

ENTITIES, OPERATIONS = "/ngsi-ld/v1/entities", "/ngsi-ld/v1/entityOperations"
SOURCES, TOLD = "/ngsi-ld/v1/csourceRegistrations", "/ngsi-ld/v1/csourceSubscriptions"


class Answer:
    """Status, JSON body (None without one) and headers by name in small letters, repeated ones as a list."""

    def __init__(self, status: int, body: bytes, headers: Any) -> None:
        self.status = status
        self.body = json.loads(body) if body else None
        self.warnings = headers.get_all("NGSILD-Warning") or []
        self.count = headers.get("NGSILD-Results-Count")


class Broker:
    """One server, asked as its administrator."""

    def __init__(self, name: str, process: ServerProcess) -> None:
        self.name = name
        self.process = process
        self.registered: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.process.http_port}"

    @property
    def token(self) -> str:
        return (self.process.data / TOKEN_FILE).read_text().strip()

    def ask(self, method: str, path: str, body: Any = None, *, status: int | None = 200, **headers: str) -> Answer:
        """Raises OSError when nobody answers, AssertionError for another status (None: any)."""
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, content, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as got:
                answer = Answer(got.status, got.read(), got.headers)
        except urllib.error.HTTPError as error:
            with error:
                answer = Answer(error.code, error.read(), error.headers)
        assert status is None or answer.status == status, (self.name, method, path, answer.status, answer.body)
        return answer

    def here(self, path: str) -> Any:
        """What this server itself has, in key-values."""
        return self.ask("GET", f"{path}{'&' if '?' in path else '?'}local=true&options=keyValues", status=None).body

    def register(
        self, source: "Broker | str", mode: str = "inclusive", *, token: str | None = None, **members: Any
    ) -> str:
        """Register a source here, with credentials for it; gives the registration's id."""
        endpoint = source if isinstance(source, str) else source.url
        secret = token if token is not None or isinstance(source, str) else source.token
        name = endpoint.rsplit(":", 1)[-1]
        document: dict[str, Any] = {
            "id": f"urn:ngsi-ld:ContextSourceRegistration:{self.name}-{name}-{len(self.registered)}",
            "type": "ContextSourceRegistration",
            "information": [{"entities": [{"type": "Lamp"}]}],
            "endpoint": endpoint,
            "mode": mode,
            "operations": ["retrieveOps"] if mode == "auxiliary" else ["redirectionOps", *BATCHES],
        } | members  # fmt: skip
        if secret is not None:
            document["contextSourceInfo"] = [{"key": "Authorization", "value": f"Bearer {secret}"}]
        self.ask("POST", SOURCES, document, status=201)
        self.registered.append(document["id"])
        return str(document["id"])

    def forget(self) -> None:
        """Take back every registration and every lamp."""
        for id_ in self.registered:
            self.ask("DELETE", f"{SOURCES}/{id_}", status=None)
        self.registered.clear()
        for entity in self.here(f"{ENTITIES}?type=Lamp&limit=1000"):
            self.ask("DELETE", f"{ENTITIES}/{entity['id']}?local=true", status=204)


BATCHES = ["queryBatch", "createBatch", "upsertBatch", "updateBatch", "deleteBatch", "mergeBatch"]


@pytest.fixture(scope="package")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Broker]]:
    started: list[Broker] = []
    try:
        for name in "abc":
            folder: Path = tmp_path_factory.mktemp(name)
            broker = Broker(name, ServerProcess(folder / "data", "allow-private"))
            started.append(broker)
            broker.process.start()
        yield started
    finally:
        for broker in started:
            broker.process.close()


@pytest.fixture
def brokers(servers: list[Broker]) -> Iterator[list[Broker]]:
    """The three, without registrations and lamps."""
    yield servers
    for broker in servers:
        broker.forget()
