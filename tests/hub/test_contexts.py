"""What @contexts mean, what is fetched for them and what is kept (clauses 5.5.6, 5.5.7, 5.13)."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from madang.app.clocks import ManualClock
from madang.hub import contexts as module
from madang.hub.contexts import CACHED, HOSTED, IMPLICIT, Contexts, address_of
from madang.hub.http import HttpAnswer, HttpFailed
from madang.model.time import SECOND, parse_instant
from madang.ngsild.context import CORE
from madang.ngsild.core_context import CORE_CONTEXT, CORE_TERMS
from madang.ngsild.errors import NgsiLdError
from tests.stores.any_store import open_any

URL = "https://a.example/context.jsonld"
SPEED = {"@context": {"speed": "https://a.example/v"}}


class Web:
    """Documents by address; what is not there cannot be reached."""

    def __init__(self) -> None:
        self.documents: dict[str, Any] = {}
        self.asked: list[str] = []
        self.delay_s = 0.0

    async def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", *, timeout_s: float, bytes_max: int,
        redirects_max: int = 0,
    ) -> HttpAnswer:  # fmt: skip
        assert method == "GET" and "application/ld+json" in headers["Accept"]
        self.asked.append(url)
        await asyncio.sleep(self.delay_s)
        document = self.documents.get(url)
        if document is None:
            raise HttpFailed("a.example cannot be asked: nobody is there")
        if isinstance(document, int):
            return HttpAnswer(document, {}, b"{}")
        return HttpAnswer(200, {}, document if isinstance(document, bytes) else json.dumps(document).encode())


class Kept:
    """Contexts over a store of their own."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock(parse_instant("2026-11-25T00:00:00Z"))
        self.store = open_any(folder, self.clock, durable=False)
        self.web = Web()
        self._numbers = count(1)
        self.contexts = self.again()

    def again(self) -> Contexts:
        """As after a restart."""
        self.contexts = Contexts(self.store, self.clock, self.web, lambda: f"id{next(self._numbers)}")
        return self.contexts


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    kept = Kept(tmp_path / "data")
    yield kept
    kept.store.close()


async def kind_of_failure(kept: Kept, value: Any) -> str:
    with pytest.raises(NgsiLdError) as caught:
        await kept.contexts.resolve(value)
    return caught.value.kind


def test_the_core_is_never_fetched(kept: Kept) -> None:
    assert kept.contexts.find(None) is CORE
    for value in (CORE_CONTEXT, [CORE_CONTEXT], "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.3.jsonld"):
        found = kept.contexts.find(value)
        assert found is not None and found.is_core and found.value == value
    assert kept.web.asked == []


async def test_1_an_object_needs_nothing(kept: Kept) -> None:
    found = kept.contexts.find(SPEED["@context"])
    assert found is not None and found.stored_name("speed") == "https://a.example/v"


async def test_2_an_address_is_fetched_once_and_stays(kept: Kept) -> None:
    kept.web.documents[URL] = SPEED
    kept.web.delay_s = 0.01
    assert kept.contexts.find(URL) is None
    both = await asyncio.gather(*(kept.contexts.resolve([URL, CORE_CONTEXT]) for _ in range(5)))
    assert {context.stored_name("speed") for context in both} == {"https://a.example/v"}
    assert kept.web.asked == [URL]
    kept.web.documents.clear()
    again = kept.again().find(URL)
    assert again is not None and again.shown_name("https://a.example/v") == "speed"


async def test_3_documents_name_documents(kept: Kept) -> None:
    """A relative address is resolved against the document that names it (JSON-LD 1.1 section 3.1)."""
    kept.web.documents = {
        "https://a.example/all/c.jsonld": {"@context": ["../speed.jsonld", {"colour": "ex:colour"}]},
        "https://a.example/speed.jsonld": {"@context": {"ex": "https://a.example/", "speed": "ex:v"}},
    }
    context = await kept.contexts.resolve("https://a.example/all/c.jsonld")
    assert context.stored_name("speed") == "https://a.example/v"
    assert context.stored_name("colour") == "https://a.example/colour"


async def test_4_what_cannot_be_had_and_what_is_wrong(kept: Kept) -> None:
    """5.5.6: not available is LdContextNotAvailable, invalid is BadRequestData."""
    kept.web.documents = {
        "https://a.example/404": 404,
        "https://a.example/text": b"this is { not json",
        "https://a.example/list": [1],
        "https://a.example/none": {"note": "no context member here"},
        "https://a.example/wrong": {"@context": 7},
        "https://a.example/term": {"@context": {"a": {"@id": 7}}},
        "https://a.example/itself": {"@context": ["https://a.example/itself"]},
    }
    assert await kind_of_failure(kept, "https://a.example/404") == "LdContextNotAvailable"
    assert await kind_of_failure(kept, "https://nobody.example/") == "LdContextNotAvailable"
    for name in ("text", "list", "none", "wrong", "term", "itself"):
        assert await kind_of_failure(kept, f"https://a.example/{name}") == "BadRequestData", name
    for value in (7, ["relative/path"], [[{}]], [None]):
        assert await kind_of_failure(kept, value) == "BadRequestData"
    missing = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-non-existing.jsonld"
    assert await kind_of_failure(kept, missing) == "LdContextNotAvailable"


async def test_5_a_dead_address_is_left_alone_for_a_while(kept: Kept) -> None:
    for _ in range(3):
        assert await kind_of_failure(kept, URL) == "LdContextNotAvailable"
    assert kept.web.asked == [URL]
    kept.web.documents[URL] = SPEED
    kept.clock.set(kept.clock.now() + 6 * SECOND)
    await kept.contexts.resolve(URL)
    assert kept.web.asked == [URL, URL]


async def test_6_too_many_documents(kept: Kept) -> None:
    for n in range(40):
        kept.web.documents[f"https://a.example/{n}"] = {"@context": {f"t{n}": "urn:x:1"}}
    many = [f"https://a.example/{n}" for n in range(40)]
    with pytest.raises(NgsiLdError, match="more than 16"):
        await kept.contexts.resolve(many)
    for n in range(40):
        kept.web.documents[f"https://b.example/{n}"] = {"@context": f"https://b.example/{n + 1}"}
    with pytest.raises(NgsiLdError, match="nested deeper"):
        await kept.contexts.resolve("https://b.example/0")


async def test_7_hosted_by_its_own_address(kept: Kept) -> None:
    id_ = await kept.contexts.add(SPEED)
    assert kept.contexts.get(id_).kind == HOSTED
    for value in (id_, address_of(id_, "http://127.0.0.1:8080"), address_of(id_, "https://city.example")):
        context = await kept.contexts.resolve([value])
        assert context.stored_name("speed") == "https://a.example/v"
    assert kept.web.asked == []
    await kept.contexts.delete(id_)
    with pytest.raises(NgsiLdError):
        kept.contexts.get(id_)
    assert kept.contexts.find([id_]) is None, "what was compiled of it is gone too"
    assert kept.again().list(HOSTED) == []


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"speed": "urn:x:1"}, "InvalidRequest"),  # 050_02_01
        ([], "InvalidRequest"),
        ({"@context": 42}, "BadRequestData"),  # 5132_01
        ({"@context": ["https://example.org/ctx.jsonld", 7]}, "BadRequestData"),
        ({"@context": {"a": 7}}, "BadRequestData"),
    ],
)
async def test_8_what_is_no_context_is_not_hosted(kept: Kept, document: Any, kind: str) -> None:
    with pytest.raises(NgsiLdError) as caught:
        await kept.contexts.add(document)
    assert caught.value.kind == kind
    assert kept.contexts.list(HOSTED) == []


async def test_9_one_address_for_several_members(kept: Kept) -> None:
    assert await kept.contexts.keep([URL]) == await kept.contexts.keep(URL) == URL
    assert await kept.contexts.keep([URL, CORE_CONTEXT]) == URL  # Every @context holds the core (5.5.7).
    value = [URL, SPEED["@context"]]
    id_ = await kept.contexts.keep(value)
    assert await kept.contexts.keep(value) == id_
    assert [entry.id for entry in kept.contexts.list(IMPLICIT)] == [id_]
    assert kept.contexts.get(id_).value == value
    assert await kept.again().keep(value) == id_


async def test_uses_are_counted_and_kept(kept: Kept) -> None:
    """As 053_06 counts: a use, a serving, a use."""
    kept.web.documents[URL] = SPEED
    await kept.contexts.resolve([URL])
    assert kept.contexts.serve(URL).hits == 1
    await kept.contexts.resolve([URL])
    assert kept.contexts.serve(URL).hits == 3
    kept.store.write(kept.contexts.save_in).result(10)
    assert kept.again().get(URL).hits == 4
    assert kept.contexts.get(URL).used_at == kept.clock.now()


async def test_a_reload_replaces_or_leaves(kept: Kept) -> None:
    """5.13.5.4."""
    kept.web.documents[URL] = SPEED
    await kept.contexts.resolve(URL)
    for bad in (404, b"no json", {"note": "no context"}):
        kept.web.documents[URL] = bad
        with pytest.raises(NgsiLdError) as caught:
            await kept.contexts.reload(URL)
        assert caught.value.kind == "LdContextNotAvailable"
        assert (await kept.contexts.resolve(URL)).stored_name("speed") == "https://a.example/v"
    kept.web.documents[URL] = {"@context": {"speed": "https://a.example/faster"}}
    await kept.contexts.reload(URL)
    assert (await kept.contexts.resolve(URL)).stored_name("speed") == "https://a.example/faster"
    hosted = await kept.contexts.add(SPEED)
    for name in (hosted, "nobody"):
        with pytest.raises(NgsiLdError) as caught:
            await kept.contexts.reload(name)
        assert caught.value.kind == "BadRequestData"


async def test_the_core_stays(kept: Kept) -> None:
    with pytest.raises(NgsiLdError):
        await kept.contexts.delete(CORE_CONTEXT)
    with pytest.raises(NgsiLdError) as caught:
        await kept.contexts.reload(CORE_CONTEXT)
    assert caught.value.kind == "LdContextNotAvailable"
    kept.web.documents[CORE_CONTEXT] = {"@context": {"speed": "urn:x:1"}}
    with pytest.raises(NgsiLdError, match="differs"):
        await kept.contexts.reload(CORE_CONTEXT)
    kept.web.documents[CORE_CONTEXT] = {"@context": CORE_TERMS}
    await kept.contexts.reload(CORE_CONTEXT)
    assert [entry.url for entry in kept.contexts.list(CACHED)] == [CORE_CONTEXT]


async def test_the_least_used_leaves(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CACHED_MAX", 2)
    for n in range(4):
        kept.web.documents[f"https://a.example/{n}"] = SPEED
        kept.clock.set(kept.clock.now() + SECOND)
        await kept.contexts.resolve(f"https://a.example/{n}")
        kept.clock.set(kept.clock.now() + SECOND)
        if n:
            kept.contexts.find("https://a.example/0")
    assert {entry.url for entry in kept.contexts.list(CACHED)} == {
        CORE_CONTEXT,
        "https://a.example/0",
        "https://a.example/3",
    }
    monkeypatch.setattr(module, "KEPT_MAX", 1)
    await kept.contexts.add(SPEED)
    with pytest.raises(NgsiLdError, match="delete some"):
        await kept.contexts.keep([URL, SPEED["@context"]])


async def test_without_a_client_nothing_is_fetched(kept: Kept) -> None:
    alone = Contexts(kept.store, kept.clock, None, lambda: "x")
    with pytest.raises(NgsiLdError) as caught:
        await alone.resolve(URL)
    assert caught.value.kind == "LdContextNotAvailable"


async def test_two_processes_share_what_is_kept(kept: Kept) -> None:
    """Two objects on one store, as two processes on one database."""
    here, there = kept.contexts, kept.again()
    id_ = await here.add(SPEED)
    assert there.find([id_]) is None
    await there.catch_up()
    context = there.find([id_])
    assert context is not None and context.stored_name("speed") == "https://a.example/v"
    here.find([id_])
    here.find([id_])
    for contexts in (here, there):
        kept.store.write(contexts.save_in).result(10)
    await here.catch_up()
    assert here.get(id_).hits == 3, "both count"
    there.find([id_])
    await here.delete(id_)
    kept.store.write(there.save_in).result(10)
    await there.catch_up()
    assert there.find([id_]) is None and there.list(HOSTED) == [], "a counter does not bring back what was deleted"
