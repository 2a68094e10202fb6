"""docs/integrate.md does what it says: its blocks run in order against a new server and print what stands under them."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.harness import ROOT, ServerProcess
from tests.faults.serve import TOKEN_FILE

PAGE = ROOT / "docs" / "integrate.md"
BLOCK = re.compile(r"^```(sh|json|text)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SETUP = "MADANG=http://127.0.0.1:8080\nTOKEN=$(cat var/data/first-token)\n"
MARK = "--- end of a block ---"


def steps() -> list[tuple[str, str, str]]:
    """(commands, kind of what they print, what they print) of each block of commands."""
    found: list[tuple[str, str, str]] = []
    for kind, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if kind == "sh":
            found.append((text, "", ""))
        else:
            found[-1] = (found[-1][0], kind, text)
    return found


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server of its own, with nothing in it."""
    process = ServerProcess(tmp_path / "data", "allow-private")
    process.start()
    yield process
    process.close()


@pytest.mark.skipif(not shutil.which("curl") and not os.environ.get("CI"), reason="no curl on this machine")
def test_the_page_is_true(server: ServerProcess) -> None:
    found = steps()
    assert len(found) >= 9 and found[0][0].startswith(SETUP)
    ours = f"MADANG=http://127.0.0.1:{server.http_port}\nTOKEN=$(cat {server.data / TOKEN_FILE})\n"
    script = f"\necho '{MARK}'\n".join([ours + found[0][0].removeprefix(SETUP), *(text for text, _, _ in found[1:])])
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    printed = [part.strip() for part in done.stdout.split(MARK)]
    assert len(printed) == len(found)
    for (text, kind, expected), got in zip(found, printed, strict=True):
        if kind == "json":
            wanted, given = json.loads(expected), json.loads(got)
            if isinstance(wanted, dict):  # the members that the page shows
                given = {name: given[name] for name in wanted}
            assert given == wanted, text
        else:
            assert got == expected.strip(), text
