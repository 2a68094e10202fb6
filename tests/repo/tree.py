"""The repository as the tidy tests see it: its files, and each module's syntax tree read once."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "madang"

SKIPPED_FOLDERS = frozenset(
    {".git", ".venv", "node_modules", "console_dist", "dist", "build", "var", "data", "__pycache__"}
)
"""What git ignores: made by builds and runs."""


@cache
def list_files(*suffixes: str) -> tuple[Path, ...]:
    """Files of the working tree with one of these endings, without what git ignores."""
    found: list[Path] = []
    folders = [ROOT]
    while folders:
        for path in folders.pop().iterdir():
            if path.is_dir():
                if path.name not in SKIPPED_FOLDERS and not path.name.endswith(("_cache", ".egg-info", ".hypothesis")):
                    folders.append(path)
            elif path.suffix in suffixes and path.name != ".git":  # a file in a second work tree
                found.append(path)
    return tuple(sorted(found))


def list_modules(*layers: str) -> list[Path]:
    """Python files of the package; of these layers only, when any is named."""
    files = [p for p in list_files(".py") if p.is_relative_to(PACKAGE)]
    return [p for p in files if not layers or p.relative_to(PACKAGE).parts[0] in layers]


@cache
def parse(path: Path) -> ast.Module:
    """The module's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def name_of(path: Path) -> str:
    """The path as people write it: relative to the repository, with slashes."""
    return path.relative_to(ROOT).as_posix()


def dotted(node: ast.expr) -> str:
    """`a.b.c` of an attribute chain; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr}" if base else ""
    return ""
