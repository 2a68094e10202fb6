"""The real console in headless Chromium against a real server with the sample city.

`MADANG_CONSOLE_URL` and `MADANG_CONSOLE_TOKEN` name a server that runs already; otherwise `madang demo` is started on free
ports with a folder of its own. Skipped where Chromium or the built console is missing. Playwright's loop lives only as
long as this folder's tests, because it may not stand beside another one.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = os.environ.get("MADANG_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome") or ""
AXE = ROOT / "console/node_modules/axe-core/axe.min.js"
READY_WITHIN_S = 120.0
"""The sample city's past is filled in before the server listens; then its first incident opens within 60 s."""


class Server:
    """Address and token of the server under test, and its API by the shortest way."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self.token = token

    def ask(self, path: str, body: Any = None, method: str | None = None) -> Any:
        request = urllib.request.Request(
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
            method=method or ("GET" if body is None else "POST"),
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    def incidents(self, state: str = "") -> list[dict[str, Any]]:
        found = self.ask("/api/incidents?limit=500")["items"]
        return [one for one in found if not state or one["state"] == state]

    def act(self, record: dict[str, Any], action: str, **arguments: Any) -> Any:
        path = f"/api/records/{record['id']}/actions/{action}"
        return self.ask(path, {"version": record["version"], "arguments": arguments, "on_behalf_of": None})


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait(what: str, check: Any, process: subprocess.Popen[bytes] | None, log: Path | None) -> None:
    end = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < end:
        if process is not None and process.poll() is not None:
            break
        try:
            if check():
                return
        except (OSError, urllib.error.URLError):
            pass
        time.sleep(0.3)
    pytest.fail(f"{what} not within {READY_WITHIN_S:.0f} s\n{log.read_text()[-3000:] if log else ''}")


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine (MADANG_CHROMIUM names one)")
    running = os.environ.get("MADANG_CONSOLE_URL")
    if running:
        yield Server(running, os.environ["MADANG_CONSOLE_TOKEN"])
        return
    if not (ROOT / "madang/console_dist/index.html").exists():
        pytest.skip("the console is not built (make setup)")
    folder = tmp_path_factory.mktemp("city")
    log_path = folder / "log.txt"
    port = _free_port()
    command = [sys.executable, "-m", "madang.app.cli", "demo", "--data", str(folder / "data"), "--port", str(port)]
    executable = Path(sys.executable).with_name("madang")
    if executable.exists():
        command = [str(executable), *command[3:]]
    command += ["--mqtt-port", str(_free_port()), "--speed", "10"]
    with log_path.open("wb") as log, subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log) as process:
        try:
            found = Server(f"http://127.0.0.1:{port}", "")

            def is_up() -> bool:
                with urllib.request.urlopen(found.url + "/health", timeout=2) as answer:
                    return bool(answer.status == 200)

            _wait("a server", is_up, process, log_path)
            made = subprocess.run(
                [*command[: command.index("demo")], "token", "console-tests", "--role", "admin", "--data", str(folder / "data")],
                cwd=ROOT, capture_output=True, text=True, check=True, timeout=30,
            )  # fmt: skip
            token = re.search(r"mdg_\S+", made.stdout)
            assert token, made.stdout
            found.token = token[0]
            _wait(
                "an incident that nobody has acknowledged", lambda: len(found.incidents("OPEN")) >= 3, process, log_path
            )
            yield found
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="package")
def browser(server: Server) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield launched
        launched.close()


class Console:
    """Drives one page: given, when, get, then."""

    def __init__(self, page: Page, server: Server) -> None:
        self.page = page
        self.server = server
        self.errors: list[str] = []
        self.foreign: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on(
            "console",
            lambda m: self.errors.append(m.text) if m.type == "error" and "Failed to load" not in m.text else None,
        )
        own = (server.url, "data:", "blob:")
        page.on("request", lambda request: None if request.url.startswith(own) else self.foreign.append(request.url))

    def open(self, path: str = "/") -> "Console":
        self.page.goto(self.server.url + path)
        return self

    def press(self, *keys: str) -> "Console":
        for key in keys:
            self.page.keyboard.press(key)
            self.page.wait_for_timeout(60)
        return self

    def tab_to(self, name: str, most: int = 80) -> "Console":
        """Move the focus with Tab until something with this accessible name or text has it."""
        for _ in range(most):
            self.page.keyboard.press("Tab")
            seen = self.page.evaluate(
                "() => { const e = document.activeElement; return e ? (e.getAttribute('aria-label') || e.innerText || '') : '' }"
            )
            if name.lower() in seen.lower():
                return self
        raise AssertionError(f"Tab never reached {name!r}")

    def axe(self) -> list[str]:
        """What axe-core finds that is serious or critical, as one line each."""
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate(
            "async (tags) => (await axe.run(document, {runOnly: tags})).violations",
            ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
        )
        return [
            f"{one['id']} ({one['impact']}): {one['help']} at {[node['target'] for node in one['nodes'][:3]]}"
            for one in found
            if one["impact"] in ("serious", "critical")
        ]


def new_context(browser: Browser, *, phone: bool = False, dark: bool = False, korean: bool = False) -> BrowserContext:
    return browser.new_context(
        viewport={"width": 390, "height": 844} if phone else {"width": 1440, "height": 900},
        color_scheme="dark" if dark else "light",
        locale="ko-KR" if korean else "en-GB",
        has_touch=phone,
        reduced_motion="reduce",
    )


def log_in(context: BrowserContext, server: Server) -> Console:
    console = Console(context.new_page(), server)
    console.open(f"/#token={server.token}")
    console.page.wait_for_selector("main#main")
    return console


@pytest.fixture
def console(browser: Browser, server: Server) -> Iterator[Console]:
    context = new_context(browser)
    driven = log_in(context, server)
    yield driven
    assert driven.errors == []
    assert driven.foreign == [], "the console asks nobody but its own server"
    context.close()
