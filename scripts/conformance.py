"""Runs the official NGSI-LD conformance suite against a fresh server and writes docs/conformance.md.

    python scripts/conformance.py --suite CHECKOUT [TP/NGSI-LD/…]      (make conformance ETSI_SUITE=CHECKOUT)

CHECKOUT is a checkout of the suite; it is not part of this repository. Its requirements go into an environment of their own below
`var/conformance`, where the server's data and the suite's results are kept too. Only a run of the whole suite writes the page.

Why a test fails stands in `scripts/conformance_reasons.json`: by the test's number, or by the beginning of it; the longest that fits
counts. A failed test without one is shown as not yet explained.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from madang import __version__
from madang.app.clocks import SystemClock
from madang.model.time import render_instant

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "var" / "conformance"
PAGE = ROOT / "docs" / "conformance.md"
REASONS = ROOT / "scripts" / "conformance_reasons.json"
NOT_EXPLAINED = "not yet explained"
START_S = 20.0
"""Time that a server may take to come up."""

Row = dict[str, Any]


def suite_python(suite: Path) -> Path:
    """The Python with the suite's requirements; made at the first run. `ETSI_PYTHON` names another one."""
    given = os.environ.get("ETSI_PYTHON")
    if given:
        return Path(given)
    python = WORK / "venv" / "bin" / "python"
    if not (WORK / "venv" / "bin" / "robot").exists():
        subprocess.run([sys.executable, "-m", "venv", str(WORK / "venv")], check=True)
        subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", "-r", "requirements.txt"], cwd=suite, check=True
        )
    return python


def start_server(data: Path, log: Path) -> tuple["subprocess.Popen[bytes]", str]:
    """(process, address) of a fresh server that lets callers without a token in: the suite sends none."""
    command = [sys.executable, "-m", "madang.app.cli", "serve", "--data", str(data), "--port", "0", "--mqtt-port", "0"]
    command += ["--anonymous-role", "admin", "--allow-private-addresses", "--log-format", "json"]
    # The suite expects a temporal answer to be paged at between 20 and 40 instances (020_13, 020_14, 021_15, 021_16).
    command += ["--temporal-page", "30"]
    process = subprocess.Popen(command, stdout=log.open("wb"), stderr=subprocess.STDOUT)
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        found = re.search(r'"url": ?"(http://[^"]+?)/?"', log.read_text(encoding="utf-8"))
        if found:
            return process, found[1]
        time.sleep(0.1)
    process.kill()
    raise SystemExit(f"the server did not start:\n{log.read_text(encoding='utf-8')[-2000:]}")


def run_suite(python: Path, suite: Path, broker: str, paths: list[str]) -> list[Row]:
    """The results of the tests, in order."""
    command = [str(python), str(ROOT / "scripts" / "etsi_suite.py"), "--suite", str(suite), "--broker", broker]
    done = subprocess.run([*command, "--out", str(WORK / "suite"), *paths], check=True, stdout=subprocess.PIPE)
    return [json.loads(line) for line in done.stdout.decode().splitlines() if line.startswith("{")]


def reason_of(name: str, reasons: dict[str, str]) -> str:
    """Why a test fails, by the longest key that its name begins with.

    >>> reason_of("408_01_02 An offset", {"408": "a", "408_01_02": "b"})
    'b'
    """
    fitting = [key for key in reasons if name.startswith(key)]
    return reasons[max(fitting, key=len)] if fitting else NOT_EXPLAINED


def render_page(rows: list[Row], reasons: dict[str, str], when: str, store: str) -> str:
    """The page in Markdown."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["group"]].append(row)
    failed = [row for row in rows if not row["passed"]]
    base, added = ([row for row in rows if row["added"] is flag] for flag in (False, True))
    lines = [
        "# NGSI-LD conformance",
        "",
        f"Madang {__version__}, store {store}, {when}: **{_share(rows)}** tests of the official ETSI suite for GS CIM 009 v1.9 pass;",
        f"of ETSI's own {_share(base)}, of those that the suite's fork added {_share(added)}.",
        "",
        "Written by `make conformance ETSI_SUITE=path`, which runs a checkout of the suite against a fresh server. Reasons stand in",
        "`scripts/conformance_reasons.json`.",
        "",
        "| Group | Passed | of |",
        "|---|---|---|",
    ]
    for group, members in sorted(groups.items()):
        lines.append(f"| {group} | {sum(row['passed'] for row in members)} | {len(members)} |")
    lines += ["", "## Failed", ""]
    if not failed:
        lines.append("None.")
    else:
        lines += ["| Test | Added | Reason |", "|---|---|---|"]
        for row in sorted(failed, key=lambda row: (row["group"], row["name"])):
            reason = reason_of(row["name"], reasons).replace("|", "\\|")
            lines.append(f"| {row['name'].replace('|', '')} | {'yes' if row['added'] else ''} | {reason} |")
    return "\n".join(lines) + "\n"


def _share(rows: list[Row]) -> str:
    return f"{sum(row['passed'] for row in rows)} of {len(rows)}"


def main() -> int:
    """See the module's docstring. Ends with 1 when a test fails without a reason."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--suite", type=Path, required=True, help="checkout of the suite")
    cli.add_argument("paths", nargs="*", help="folders or files below the suite; without: all of TP")
    args = cli.parse_args()
    suite = args.suite.resolve()
    if not (suite / "TP").is_dir():
        raise SystemExit(f"{suite} is no checkout of the suite: it has no folder TP")
    WORK.mkdir(parents=True, exist_ok=True)
    python = suite_python(suite)
    data = Path(tempfile.mkdtemp(prefix="data-", dir=WORK))
    process, broker = start_server(data, WORK / "server.log")
    try:
        rows = run_suite(python, suite, broker, args.paths or ["TP"])
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(data, ignore_errors=True)
    reasons: dict[str, str] = json.loads(REASONS.read_text(encoding="utf-8"))
    unexplained = [row for row in rows if not row["passed"] and reason_of(row["name"], reasons) == NOT_EXPLAINED]
    for row in unexplained:
        print(f"{row['name']}: {row['message']}")
    if args.paths:
        print(f"{_share(rows)} pass; the page is written by a run of the whole suite only")
    else:
        day = render_instant(SystemClock().now())[:10]
        PAGE.write_text(render_page(rows, reasons, day, "SQLite"), encoding="utf-8")
        print(f"{_share(rows)} pass; see {PAGE.relative_to(ROOT)}")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
