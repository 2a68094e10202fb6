"""Every screen in four variants: axe finds nothing serious, nothing runs over the edge, and a picture is kept for a person to look at.

`MADANG_PICTURES` names a folder that keeps them; otherwise they go to the test's own.
"""

import os
import urllib.parse
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from .conftest import AXE, Server, log_in, new_context

pytestmark = pytest.mark.browser

VARIANTS = {
    "desk-light-en": {},
    "desk-dark-ko": {"dark": True, "korean": True},
    "phone-light-ko": {"phone": True, "korean": True},
    "phone-dark-en": {"phone": True, "dark": True},
}


def screens(server: Server) -> dict[str, str]:
    incident = next(one for one in server.incidents() if ":Vehicle:" in (one["subject"] or ""))
    manifest = server.ask("/api/tables/ManureManifest?limit=1")["rows"][0]
    quoted = {key: urllib.parse.quote(value, safe="") for key, value in
              {"incident": incident["id"], "vehicle": incident["subject"], "manifest": manifest["id"]}.items()}  # fmt: skip
    return {
        "situation": "/",
        "map": f"/?tab=map&incident={quoted['incident']}",
        "incident": f"/incidents/{quoted['incident']}",
        "truck": f"/things/{quoted['vehicle']}",
        "tables": "/tables/ManureManifest",
        "manifest": f"/records/{quoted['manifest']}",
        "indicators": "/indicators",
        "sources": "/sources",
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_screens(browser: Browser, server: Server, tmp_path: Path, variant: str) -> None:
    folder = Path(os.environ.get("MADANG_PICTURES") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    context = new_context(browser, **VARIANTS[variant])
    console = log_in(context, server)
    wrong: list[str] = []
    for name, path in screens(server).items():
        console.open(path)
        console.page.wait_for_selector("main h1", state="attached")
        console.page.wait_for_timeout(600)
        console.page.screenshot(path=folder / f"{name}-{variant}.png")
        over = console.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        if over > 0:
            wrong.append(f"{name}: {over} px over the edge")
        if AXE.exists():
            wrong += [f"{name}: {found}" for found in console.axe()]
    context.close()
    assert not wrong, "\n".join(wrong)
    assert console.errors == []
