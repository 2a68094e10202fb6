"""Opening, resuming and stopping tenants; where their files are; notifications that say whose they are."""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.app.clocks import SystemClock
from madang.hub import deliveries, tenants
from madang.hub.ports import StoreError
from madang.hub.subscriptions import Creator, acting_caller
from madang.hub.tenants import RETRY_S
from madang.model.caller import SYSTEM
from madang.model.tenant import TENANT_LENGTH_MAX, is_tenant_name
from madang.stores.sqlite import SqliteStore
from madang.stores.sqlite.tenants import SqliteTenants, folder_name, name_of
from tests.hub.tenants_bench import opened
from tests.stores.any_store import VARIABLE

WITHIN_S = 10.0
NAMES = st.text("abzABZ019_-", min_size=1, max_size=TENANT_LENGTH_MAX)
SUBSCRIPTION: dict[str, Any] = {
    "id": "urn:s:1", "type": "Subscription", "entities": [{"type": "Room"}],
    "notification": {"endpoint": {"uri": "http://receiver.example/n",
                                  "receiverInfo": [{"key": "NGSILD-Tenant", "value": "forged"}]}},
}  # fmt: skip


def until(is_so: Callable[[], Any]) -> Any:
    """Wait for it."""
    end = time.monotonic() + WITHIN_S
    while not (found := is_so()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return found


@given(NAMES, NAMES)
def test_two_names_never_share_a_folder(one: str, other: str) -> None:
    """The folder gives the name back, and differs from every other one's also where capitals do not count."""
    assert name_of(folder_name(one)) == one
    assert (folder_name(one).casefold() == folder_name(other).casefold()) == (one == other)
    assert not set(folder_name(one)) & set("/\\. ") and len(folder_name(one)) <= 2 * TENANT_LENGTH_MAX


@given(st.text())
def test_any_text_is_a_safe_name_or_none(text: str) -> None:
    assert is_tenant_name(text) == (0 < len(text) <= TENANT_LENGTH_MAX and text.isascii() and
                                    all(c.isalnum() or c in "_-" for c in text))  # fmt: skip
    folder = name_of(text)
    assert folder is None or folder_name(folder) == text


def test_what_is_no_tenants_folder_is_passed_over(tmp_path: Path) -> None:
    stores = SqliteTenants(tmp_path, SystemClock(), durable=False)
    assert stores.list_names() == []
    stores.open("Jeju").close()
    for name in ("Seoul", "a.b", "제주", "empty", "+", "a+1"):
        (tmp_path / "tenants" / name).mkdir()
        if name != "empty":
            (tmp_path / "tenants" / name / "default.db").touch()
    assert stores.list_names() == ["Jeju"]
    assert (tmp_path / "tenants" / "+jeju").stat().st_mode & 0o077 == 0, "private"


def test_subscriptions_are_told_with_their_tenant_and_go_on_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody names the tenant after the restart, and what waited is told all the same (clause 6.3.14 for the header)."""
    monkeypatch.setattr(deliveries, "STOP_GRACE_S", 0.2)
    uri = SUBSCRIPTION["notification"]["endpoint"]["uri"]
    with opened(tmp_path) as bench:
        assert bench.ask("POST", "/subscriptions", SUBSCRIPTION, "alpha").status_code == 201
        bench.ask("POST", "/entities", {"id": "urn:r:1", "type": "Room", "n": 1}, "beta")
        bench.ask("POST", "/entities", {"id": "urn:r:1", "type": "Room", "n": 1})
        bench.ask("POST", "/entities", {"id": "urn:r:2", "type": "Room", "n": 1}, "alpha")
        until(lambda: bench.receivers.got[uri])
        assert [e["id"] for e in bench.receivers.data(uri)] == ["urn:r:2"], "its own tenant's alone"
        assert {k: v for k, v in bench.receivers.headers[uri][0].items() if k.lower() == "ngsild-tenant"} == {
            "NGSILD-Tenant": "alpha"
        }
        bench.receivers.acts[uri] = lambda: asyncio.sleep(60)
        bench.ask("POST", "/entities", {"id": "urn:r:3", "type": "Room", "n": 1}, "alpha")
        until(lambda: bench.receivers.attempts[uri] == 2)
    with opened(tmp_path) as bench:
        assert bench.tenants.list_open() == []
        bench.run_tenants()
        until(lambda: [tenant.name for tenant in bench.tenants.list_open()] == ["alpha", "beta"])
        until(lambda: bench.receivers.got[uri])
        assert [e["id"] for e in bench.receivers.data(uri)] == ["urn:r:3"]
        assert bench.tenants.figures()["open"] == 2.0


def test_the_default_tenants_notifications_name_none(tmp_path: Path) -> None:
    with opened(tmp_path) as bench:
        assert bench.hub.tenant_headers() == ()


def test_registrations_are_told_with_their_tenant(tmp_path: Path) -> None:
    body = {**SUBSCRIPTION, "id": "urn:s:2"}
    source = {"id": "urn:c:1", "type": "ContextSourceRegistration", "endpoint": "http://m.example",
              "information": [{"entities": [{"type": "Room"}]}]}  # fmt: skip
    with opened(tmp_path) as bench:
        for tenant in ("alpha", None):
            assert bench.ask("POST", "/csourceSubscriptions", body, tenant).status_code == 201
        bench.ask("POST", "/csourceRegistrations", source, "alpha")
        (asked,) = until(lambda: bench.elsewhere.asked)
        assert asked[2]["ngsild-tenant"] == "alpha"


def test_a_subscription_stops_when_its_makers_token_is_revoked_or_goes_elsewhere(tmp_path: Path) -> None:
    with opened(tmp_path) as bench:
        tokens = bench.hub.tokens
        kim = Creator("token:kim", "officer", None)
        tokens.create(SYSTEM, "kim", "officer", tenant="alpha")
        tokens.create(SYSTEM, "root", "admin")
        acting = acting_caller(tokens, kim, "alpha")
        assert acting is not None and acting.tenant == "alpha"
        tokens.revoke(SYSTEM, "kim")
        assert acting_caller(tokens, kim, "alpha") is None
        tokens.create(SYSTEM, "kim", "admin", tenant="beta")
        assert acting_caller(tokens, kim, "alpha") is None, "another tenant's person of the same name"
        assert acting_caller(tokens, Creator("token:root", "admin", None), "alpha") is not None


def test_many_who_ask_at_once_open_it_once(tmp_path: Path) -> None:
    with opened(tmp_path) as bench:

        async def ask() -> int:
            found = await asyncio.gather(*(bench.tenants.get("alpha", make=True) for _ in range(20)))
            return len({id(tenant) for tenant in found})

        assert bench.call(ask) == 1


def test_a_limit_holds_also_for_many_at_once(tmp_path: Path) -> None:
    with opened(tmp_path, tenants_max=3) as bench:

        async def ask() -> int:
            work = (bench.tenants.get(f"t{number}", make=True) for number in range(10))
            return sum(
                not isinstance(one, BaseException) for one in await asyncio.gather(*work, return_exceptions=True)
            )

        assert bench.call(ask) == 3


def test_a_damaged_tenant_says_so_and_keeps_no_other_from_working(tmp_path: Path) -> None:
    with opened(tmp_path) as bench:
        if not isinstance(bench.stores, SqliteTenants):
            pytest.skip("PostgreSQL keeps no file of a tenant that could be damaged; this is held on SQLite")
        for tenant in ("alpha", "beta"):
            bench.ask("POST", "/entities", {"id": "urn:r:1", "type": "Room", "n": 1}, tenant)
    file = tmp_path / "tenants" / "alpha" / "default.db"
    file.write_bytes(b"no database" * 1_000)
    with opened(tmp_path) as bench:
        bench.run_tenants()
        until(lambda: bench.tenants.list_open())
        answer = bench.ask("GET", "/types", None, "alpha")
        assert answer.status_code == 503 and "is damaged" in answer.json()["detail"]
        assert answer.headers["ngsild-tenant"] == "alpha"
        assert bench.ask("GET", "/entities/urn:r:1", None, "beta").status_code == 200
        assert bench.tenants.figures()["failed_to_open"] == 1.0
        assert bench.tenants.list_failures()[0].startswith("alpha: ") and RETRY_S > 0
        assert file.read_bytes() == b"no database" * 1_000, "it is left as it was"


def test_a_tenants_folder_is_a_data_folder(tmp_path: Path) -> None:
    """So that one is backed up, restored and taken elsewhere as the default one is."""
    with opened(tmp_path) as bench:
        if not isinstance(bench.stores, SqliteTenants):
            pytest.skip("PostgreSQL keeps a tenant in a schema, not in a folder; this is held on SQLite")
        bench.ask("POST", "/entities", {"id": "urn:r:1", "type": "Room", "n": 1}, "alpha")
    store = SqliteStore(tmp_path / "tenants" / "alpha", bench.clock, durable=False)
    with store.read() as read:
        assert read.find_entity("urn:r:1") is not None
    store.close()
    with opened(tmp_path) as bench:
        assert bench.ask("GET", "/entities/urn:r:1", None, "beta").status_code == 404
        (tmp_path / "tenants" / "alpha").rename(tmp_path / "tenants" / "beta")
        time.sleep(0.6)  # The list is believed for half a second.
        assert bench.ask("GET", "/entities/urn:r:1", None, "beta").status_code == 200


def own_threads() -> int:
    """The hubs' and stores': those of the API and of the event loop come and go with the load."""
    names = ("madang-writer", "madang-checkpoint", "madang-follower", "madang-ticker", "madang-notify", "madang-flow")
    return sum(thread.name in names for thread in threading.enumerate())


def test_a_tenant_costs_four_threads_and_gives_them_back(tmp_path: Path) -> None:
    """Writer, checkpoints, ticker, notifications; the API's threads are shared."""
    with opened(tmp_path) as bench:
        bench.ask("POST", "/entities", {"id": "urn:r:1", "type": "Room", "n": 1}, "alpha")
        before = own_threads()
        bench.ask("POST", "/entities", {"id": "urn:r:1", "type": "Room", "n": 1}, "beta")
        assert own_threads() - before == 4
        bench.call(bench.tenants.stop)
        assert own_threads() == before - 4
        answer = bench.ask("GET", "/types", None, "alpha")
        assert answer.status_code == 503 and answer.json()["code"] == "shutting-down"


def test_on_a_database_that_may_not_be_written_to_it_is_said(tmp_path: Path) -> None:
    with opened(tmp_path) as bench:

        def refuse(_: str) -> Any:
            raise StoreError("this user may not make the schema: GRANT CREATE ON DATABASE")

        bench.stores.open = refuse  # type: ignore[method-assign]
        answer = bench.ask("POST", "/entities", {"id": "urn:r:1", "type": "Room", "n": 1}, "alpha")
        assert answer.status_code == 503 and "GRANT CREATE" in answer.json()["detail"]


def test_what_no_detector_reads_does_not_stay_in_a_tenants_log(tmp_path: Path) -> None:
    with opened(tmp_path) as bench:
        bench.ask("POST", "/entities", {"id": "urn:r:1", "type": "Room", "n": 1}, "alpha")
    with opened(tmp_path) as bench:
        assert bench.ask("GET", "/entities/urn:r:1", None, "alpha").status_code == 200
        (tenant,) = bench.tenants.list_open()
        with tenant.store.read() as read:
            assert "flow" not in dict(read.list_cursors())


@pytest.mark.skipif(
    os.environ.get(VARIABLE) != "postgres",
    reason="on SQLite one process holds a data folder, so there is no second one; this is held on PostgreSQL",
)
def test_another_process_takes_up_a_tenant_that_one_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without being asked for it: when the first is gone, the second tells what is subscribed there."""
    monkeypatch.setattr(tenants, "LOOK_EVERY_S", 0.2)
    uri = SUBSCRIPTION["notification"]["endpoint"]["uri"]
    with opened(tmp_path) as two:
        two.run_tenants()
        with opened(tmp_path) as one:
            assert one.ask("POST", "/subscriptions", SUBSCRIPTION, "alpha").status_code == 201
            until(lambda: [tenant.name for tenant in two.tenants.list_open()] == ["alpha"])
        assert two.ask("POST", "/entities", {"id": "urn:r:1", "type": "Room", "n": 1}, "alpha").status_code == 201
        until(lambda: two.receivers.got[uri])
        assert [entity["id"] for entity in two.receivers.data(uri)] == ["urn:r:1"]
