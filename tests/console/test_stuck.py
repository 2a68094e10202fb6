"""What needs an operator, in the browser: seen, tried again by keyboard, gone. The city is a small one of the test's own, because
a message is dead only after hours of attempts: the test puts it where the outbox would leave it."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, expect

from tests.api.test_stuck import kill_a_message, park_a_deadline
from tests.api.tiny_city import CARRIER_A, TinyCity, build_city, close_city

from .conftest import ROOT, Server, log_in, new_context

pytestmark = pytest.mark.browser


@pytest.fixture
def city(tmp_path: Path) -> Iterator[tuple[TinyCity, Server]]:
    """A tiny city with one dead message and one parked deadline, served on a free port."""
    tiny = build_city(tmp_path / "city", console=ROOT / "madang/console_dist")
    kill_a_message(tiny)
    park_a_deadline(tiny)
    serving = uvicorn.Server(uvicorn.Config(tiny.app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=serving.run, daemon=True)
    thread.start()
    end = time.monotonic() + 20
    while not serving.started and time.monotonic() < end:
        time.sleep(0.02)
    assert serving.started
    port = serving.servers[0].sockets[0].getsockname()[1]
    yield tiny, Server(f"http://127.0.0.1:{port}", tiny.tokens["admin"])
    serving.should_exit = True
    thread.join(20)
    close_city(tiny)


def test_try_again_by_keyboard(browser: Browser, city: tuple[TinyCity, Server]) -> None:
    tiny, server = city
    context = new_context(browser)
    console = log_in(context, server)
    console.open("/sources")
    section = console.page.get_by_role("region", name="Needs an operator")
    expect(section.locator("article")).to_have_count(2)
    expect(section).to_contain_text("unknown number")
    expect(section).to_contain_text("ZeroDivisionError: a faulty guard")
    console.tab_to("Try again: ").press("Enter")
    expect(section.locator("article")).to_have_count(1)
    expect(section.get_by_role("status")).to_contain_text("It is tried again now")
    expect(section.get_by_role("heading")).to_be_focused()
    console.tab_to("Try again: ").press("Enter")
    expect(section).to_contain_text("Every message was delivered and every deadline carried out.")
    with tiny.hub.store.read() as read:
        record = tiny.manifests[CARRIER_A]
        assert [row.state for row in read.list_outbox_of(record) if row.idempotency_key == "key-dead"] == ["due"]
        assert "bad" in [one.name for one in read.list_deadlines(record)]
    assert console.errors == []
    context.close()


@pytest.mark.parametrize("korean", [False, True])
@pytest.mark.parametrize("phone", [False, True])
def test_it_fits_and_is_accessible(
    browser: Browser, city: tuple[TinyCity, Server], tmp_path: Path, phone: bool, korean: bool
) -> None:
    context = new_context(browser, phone=phone, korean=korean)
    console = log_in(context, city[1])
    console.open("/sources")
    name = "조치가 필요한 전송·기한" if korean else "Needs an operator"
    region = console.page.get_by_role("region", name=name)
    expect(region.locator("article")).to_have_count(2)
    region.get_by_role("button").last.scroll_into_view_if_needed()
    folder = Path(os.environ.get("MADANG_PICTURES") or tmp_path)
    picture = f"stuck-{'phone' if phone else 'desk'}-{'ko' if korean else 'en'}.png"
    console.page.screenshot(path=folder / picture)
    assert console.page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    cut = console.page.evaluate(
        "() => [...document.querySelectorAll('main .screen *')].filter((e) => e.tagName !== 'PRE' &&"
        " e.getBoundingClientRect().right > window.innerWidth + 0.5).map((e) => e.outerHTML.slice(0, 80))"
    )
    assert cut == []
    assert console.axe() == []
    context.close()
