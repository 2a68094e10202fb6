"""Imports point down only (docs/architecture.md): the contract in pyproject.toml, and what that contract cannot say."""

import ast
import subprocess
import sys
from pathlib import Path

from tests.repo.tree import PACKAGE, ROOT, list_modules, name_of, parse

SHARED_BY_SERVICES = frozenset({"contract", "check"})
"""Modules of madang.services that are no sector."""


def test_layers() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--config", "pyproject.toml"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def imported(path: Path) -> list[tuple[int, str]]:
    """(line, dotted module) of everything that a module imports by absolute name."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


def test_imports_are_absolute() -> None:
    relative = [
        f"{name_of(path)}:{node.lineno}"
        for path in list_modules()
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_a_service_is_known_to_itself_and_to_app_alone() -> None:
    wrong = []
    for path in list_modules():
        parts = path.relative_to(PACKAGE).parts
        if parts[0] == "app":
            continue
        own = parts[1] if parts[0] == "services" and len(parts) > 2 else None
        for line, module in imported(path):
            names = module.split(".")
            if names[:2] != ["madang", "services"] or len(names) < 3:
                continue
            sector = names[2]
            if parts[0] == "simulate" and len(names) > 3 and names[3].startswith("sample"):
                continue  # the sample city runs the sectors' samples (DESIGN §3), and nothing else of them
            if sector not in SHARED_BY_SERVICES and sector != own and (PACKAGE / "services" / sector).is_dir():
                wrong.append(f"{name_of(path)}:{line} imports {module}")
    assert wrong == []


def test_a_sample_does_not_look_into_the_detectors() -> None:
    """The sample is modelled on the field's facts; a sample that knew the rules would prove nothing about them."""
    wrong = [
        f"{name_of(path)}:{line} imports {module}"
        for path in [*list_modules("services"), *list_modules("simulate")]
        if path.name.startswith("sample") or "simulate" in path.parts
        for line, module in imported(path)
        if any(part.startswith("detect") for part in module.split("."))
    ]
    assert wrong == []


def test_only_the_store_speaks_sql() -> None:
    wrong = [
        f"{name_of(path)}:{line} imports {module}"
        for path in list_modules()
        if path.relative_to(PACKAGE).parts[0] not in {"stores", "app"}
        for line, module in imported(path)
        if module.split(".")[0] in {"apsw", "sqlite3", "psycopg", "asyncpg"}
    ]
    assert wrong == []
