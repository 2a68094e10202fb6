"""`make new-service` writes a folder whose tests pass, that the common check accepts, and that is formatted."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repo.tree import ROOT

BIN = Path(sys.executable).parent


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A repository with nothing in it but what a new service touches."""
    ignore = shutil.ignore_patterns("console_dist", "__pycache__")
    shutil.copytree(ROOT / "madang", tmp_path / "madang", ignore=ignore)
    (tmp_path / "tests" / "services").mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "services" / "test_every_service.py", tmp_path / "tests" / "services")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def run(copy: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """A command in the copy; the copy's madang comes before the installed one."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [str(c) for c in command], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )


def test_the_new_folder_passes_its_tests(copy: Path) -> None:
    made = run(copy, sys.executable, ROOT / "scripts" / "new_service.py", "street_lamps", "--root", copy)
    assert made.returncode == 0, made.stderr
    selection = ["tests/services", "-k", "street_lamps or every_folder"]
    tested = run(copy, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *selection)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "5 passed" in tested.stdout
    for command in (["format", "--check"], ["check"]):
        result = run(copy, BIN / "ruff", *command, "--no-cache", "madang/services/street_lamps", "tests/services")
        assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", ["Bins", "9lives", "contract", "a b", "../x", ""])
def test_a_bad_name_is_refused_in_words(copy: Path, name: str) -> None:
    made = run(copy, sys.executable, ROOT / "scripts" / "new_service.py", name, "--root", copy)
    assert made.returncode == 2
    assert "lower-case letters, digits and underscores" in made.stderr


def test_a_taken_name_is_refused(copy: Path) -> None:
    made = run(copy, sys.executable, ROOT / "scripts" / "new_service.py", "manure", "--root", copy)
    assert (made.returncode, made.stderr) == (2, "new-service: madang/services/manure is there already\n")
