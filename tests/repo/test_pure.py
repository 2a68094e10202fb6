"""No clock, no randomness, no I/O in the pure layers; above them, one place alone asks the wall clock."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.repo.tree import dotted, list_modules, name_of, parse

PURE_LAYERS = ("model", "ngsild", "ogc", "wire", "flow", "procedure", "services")
"""Time and data are handed to them."""

# fmt: off
IMPURE_MODULES = frozenset({
    "asyncio", "concurrent", "http", "logging", "multiprocessing", "os", "queue", "random", "requests", "secrets",
    "select", "selectors", "shutil", "signal", "socket", "sqlite3", "ssl", "structlog", "subprocess", "sys",
    "tempfile", "threading", "time", "urllib", "uuid", "apsw", "anyio", "gmqtt", "httpx2", "starlette", "uvicorn",
    "uvloop",
})
# fmt: on
IMPURE_CALLS = re.compile(
    r"(^|\.)(now|utcnow|today)$|^(open|input|print|exec|eval)$"
    r"|\.(read_text|read_bytes|write_text|write_bytes|unlink|mkdir|touch|iterdir|glob|rglob|exists|is_file|is_dir|stat)$"
)
ALLOWED_NOW = re.compile(r"(^|\.)(ctx|context|tx|self|clock)\.now$")
"""`ctx.now` is a value that was handed in; `datetime.now` is not."""

PURE_EXCEPTIONS: dict[str, str] = {
    "madang/services/check.py": "the common check of a service: runs in tests, reads the service's words and source",
}
"""Whole files of pure layers that may do what others may not, with the reason."""

WALL_CLOCK: dict[str, str] = {}
"""Files outside app/ that may ask the wall clock, with the reason."""
WALL_CLOCK_CALLS = frozenset(
    {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.datetime.now", "date.today"}
)


def is_sample(name: str) -> bool:
    """A sector's part of the sample city: it may draw from a generator seeded by its caller, nothing else."""
    return "/services/" in f"/{name}" and any(part.startswith("sample") for part in name.split("/"))


def impurities(tree: ast.Module, name: str) -> Iterator[str]:
    """Uses of a clock, randomness or I/O in the module called `name`."""
    for node in ast.walk(tree):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module]
        for module in modules:
            root = module.split(".")[0]
            if root in IMPURE_MODULES and not (root == "random" and is_sample(name)):
                yield f"{name}:{node.lineno} imports {module}"
        if isinstance(node, ast.Call):
            called = dotted(node.func)
            if called.startswith("random.") and called != "random.Random":
                yield f"{name}:{node.lineno} calls {called}: randomness without the caller's seed"
            elif called in {"random.Random", "Random"} and not (node.args or node.keywords):
                yield f"{name}:{node.lineno} calls {called} without a seed"
            elif called and IMPURE_CALLS.search(called) and not ALLOWED_NOW.search(called):
                yield f"{name}:{node.lineno} calls {called}"


def test_pure_layers_are_pure() -> None:
    found = [
        problem
        for path in list_modules(*PURE_LAYERS)
        if name_of(path) not in PURE_EXCEPTIONS
        for problem in impurities(parse(path), name_of(path))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("import time", "madang/flow/x.py"),
        ("from random import Random", "madang/flow/x.py"),
        ("import socket, json", "madang/wire/x.py"),
        ("x = open('f')", "madang/model/x.py"),
        ("y = datetime.now(UTC)", "madang/procedure/x.py"),
        ("z = path.read_text()", "madang/ngsild/x.py"),
        ("r = random.Random()", "madang/services/y/sample.py"),
        ("r = random.random()", "madang/services/y/sample.py"),
    ],
)
def test_the_purity_test_sees(line: str, where: str) -> None:
    """A test that finds nothing anywhere looks like success; this one shows that it finds."""
    assert len(list(impurities(ast.parse(line), where))) == 1


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("now = ctx.now", "madang/procedure/x.py"),
        ("import random", "madang/services/y/sample_roads.py"),
        ("r = random.Random(seed)", "madang/services/y/sample/roads.py"),
        ("from datetime import UTC, datetime", "madang/model/x.py"),
    ],
)
def test_the_purity_test_lets_pass(line: str, where: str) -> None:
    assert list(impurities(ast.parse(line), where)) == []


def test_nothing_asks_the_wall_clock_but_the_clock() -> None:
    """Above the pure layers too: instants come from the injected Clock, which app/ hands out. `time.monotonic` and
    `time.perf_counter` measure durations; they do not tell the time, and may."""
    found = [
        f"{name_of(path)}:{node.lineno} calls {dotted(node.func)}"
        for path in list_modules()
        if not name_of(path).startswith("madang/app/") and name_of(path) not in WALL_CLOCK
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call) and dotted(node.func) in WALL_CLOCK_CALLS
    ]
    assert found == []
