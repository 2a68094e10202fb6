"""Runs the official NGSI-LD conformance suite against fresh servers, one on each store, and writes docs/conformance.md.

    python scripts/conformance.py --suite CHECKOUT [--store sqlite|postgres] [TP/NGSI-LD/…]
    make conformance ETSI_SUITE=CHECKOUT [STORE=sqlite|postgres]

CHECKOUT is a checkout of the suite; it is not part of this repository. Its requirements go into an environment of their own below
`var/conformance`, where the server's data and the suite's results are kept too. For PostgreSQL a throw-away cluster is started, as in the
tests. Only a run of the whole suite writes the page: the figures of the store that did not run stay, they are in
`benchmarks/results/ngsild.conformance.json`.

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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from madang import __version__
from madang.app.clocks import SystemClock
from madang.model.time import render_instant

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "var" / "conformance"
PAGE = ROOT / "docs" / "conformance.md"
REASONS = ROOT / "scripts" / "conformance_reasons.json"
RESULTS = ROOT / "benchmarks" / "results" / "ngsild.conformance.json"
STORES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
NOT_EXPLAINED = "not yet explained"
START_S = 20.0
"""Time that a server may take to come up."""

Row = dict[str, Any]
Result = dict[str, Any]
"""Of one store: `day`, `version`, `passed` and `of` by group, `own` and `added` as [passed, of], the `failed` tests."""


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


@contextmanager
def opened(store: str) -> Iterator[list[str]]:
    """The options with which a server uses a fresh store of this kind."""
    if store == "sqlite":
        yield []
        return
    sys.path.insert(0, str(ROOT))
    from tests.stores.cluster import Cluster, find_programs

    programs = find_programs()
    if programs is None:
        raise SystemExit(
            "no PostgreSQL with PostGIS on this machine (Debian: postgresql, postgis); STORE=sqlite needs none"
        )
    cluster = Cluster(programs)
    try:
        yield ["--store", cluster.database_of(Path("conformance"))]
    finally:
        cluster.close()


def start_server(data: Path, log: Path, store: list[str]) -> tuple["subprocess.Popen[bytes]", str]:
    """(process, address) of a fresh server that lets callers without a token in: the suite sends none."""
    command = [
        sys.executable,
        "-m",
        "madang.app.cli",
        "serve",
        "--data",
        str(data),
        "--port",
        "0",
        "--mqtt-port",
        "0",
        *store,
    ]
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


def result_of(rows: list[Row], day: str) -> Result:
    """What is kept of a whole run."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["group"]].append(row)
    failed = [{name: row[name] for name in ("group", "name", "added")} for row in rows if not row["passed"]]
    return {
        "day": day,
        "version": __version__,
        "groups": {group: _count(members) for group, members in sorted(groups.items())},
        "own": _count([row for row in rows if not row["added"]]),
        "added": _count([row for row in rows if row["added"]]),
        "failed": sorted(failed, key=lambda row: (row["group"], row["name"])),
    }


def _count(rows: list[Row]) -> list[int]:
    return [sum(row["passed"] for row in rows), len(rows)]


def render_page(results: dict[str, Result], reasons: dict[str, str]) -> str:
    """The page in Markdown."""
    chosen = {store: results[store] for store in STORES if store in results}
    lines = ["# NGSI-LD conformance", "", "Tests of the official ETSI suite for GS CIM 009 v1.9 that pass:", ""]
    lines += [
        "| Store | Passed | of | ETSI's own | Added by the suite's fork | Madang, day |",
        "|---|---|---|---|---|---|",
    ]
    for store, result in chosen.items():
        (own, owns), (added, addeds) = result["own"], result["added"]
        lines.append(
            f"| {STORES[store]} | **{own + added}** | {owns + addeds} | {own} of {owns} | {added} of {addeds} |"
            f" {result['version']}, {result['day']} |"
        )
    lines += [
        "",
        "Written by `make conformance ETSI_SUITE=path`, which runs a checkout of the suite against a fresh server on each store",
        "(`STORE=sqlite` or `STORE=postgres`: on one). Reasons stand in `scripts/conformance_reasons.json`.",
        "",
        "| Group | " + " | ".join(f"{STORES[store]} | of" for store in chosen) + " |",
        "|---" * (1 + 2 * len(chosen)) + "|",
    ]
    for group in sorted({group for result in chosen.values() for group in result["groups"]}):
        cells = (result["groups"].get(group, ["", ""]) for result in chosen.values())
        lines.append(f"| {group} | " + " | ".join(f"{passed} | {of}" for passed, of in cells) + " |")
    return "\n".join([*lines, "", "## Failed", "", *_failed_lines(chosen, reasons)]) + "\n"


def _failed_lines(results: dict[str, Result], reasons: dict[str, str]) -> list[str]:
    failed: dict[tuple[str, str, bool], list[str]] = defaultdict(list)
    for store, result in results.items():
        for row in result["failed"]:
            failed[row["group"], row["name"], row["added"]].append(STORES[store])
    if not failed:
        return ["None."]
    lines = ["| Test | Added | Only on | Reason |", "|---|---|---|---|"]
    for (_, name, added), stores in sorted(failed.items()):
        only = stores[0] if len(stores) < len(results) else ""
        reason = reason_of(name, reasons).replace("|", "\\|")
        lines.append(f"| {name.replace('|', '')} | {'yes' if added else ''} | {only} | {reason} |")
    return lines


def run_store(store: str, python: Path, suite: Path, paths: list[str]) -> list[Row]:
    """The results of the tests on a fresh store of a kind."""
    data = Path(tempfile.mkdtemp(prefix="data-", dir=WORK))
    try:
        with opened(store) as options:
            process, broker = start_server(data, WORK / "server.log", options)
            try:
                return run_suite(python, suite, broker, paths)
            finally:
                process.terminate()
                process.wait(30)
    finally:
        shutil.rmtree(data, ignore_errors=True)


def main() -> int:
    """See the module's docstring. Ends with 1 when a test fails without a reason."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--suite", type=Path, required=True, help="checkout of the suite")
    cli.add_argument("--store", choices=list(STORES), help="on this store alone; without: on each")
    cli.add_argument("paths", nargs="*", help="folders or files below the suite; without: all of TP")
    args = cli.parse_args()
    suite = args.suite.resolve()
    if not (suite / "TP").is_dir():
        raise SystemExit(f"{suite} is no checkout of the suite: it has no folder TP")
    WORK.mkdir(parents=True, exist_ok=True)
    python = suite_python(suite)
    reasons: dict[str, str] = json.loads(REASONS.read_text(encoding="utf-8"))
    results: dict[str, Result] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    unexplained = 0
    for store in [args.store] if args.store else STORES:
        rows = run_store(store, python, suite, args.paths or ["TP"])
        for row in rows:
            if not row["passed"] and reason_of(row["name"], reasons) == NOT_EXPLAINED:
                unexplained += 1
                print(f"{STORES[store]}: {row['name']}: {row['message']}")
        passed, of = _count(rows)
        print(f"{STORES[store]}: {passed} of {of} pass")
        if not args.paths:
            results[store] = result_of(rows, render_instant(SystemClock().now())[:10])
            RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            PAGE.write_text(render_page(results, reasons), encoding="utf-8")
    print("the page is written by a run of the whole suite only" if args.paths else f"see {PAGE.relative_to(ROOT)}")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
