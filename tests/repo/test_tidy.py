"""Repository rules as tests. Every exception is named here with its reason; when it ends, it leaves the list."""

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from madang.services.check import compare_words
from tests.repo.tree import PACKAGE, ROOT, dotted, list_files, list_modules, name_of, parse


def test_no_bare_except() -> None:
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in list_files(".py")
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert found == []


def test_a_broad_except_says_why_or_raises_again() -> None:
    """`except Exception` belongs to an edge, with the reason on the line (``# …``), or ends in a raise."""
    found = []
    for path in list_modules():
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in ast.walk(parse(path)):
            if not isinstance(node, ast.ExceptHandler) or node.type is None:
                continue
            caught = {dotted(t) for t in (node.type.elts if isinstance(node.type, ast.Tuple) else [node.type])}
            raises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
            words = re.sub(r"#\s*noqa[:\w\s]*", "#", lines[node.lineno - 1]).partition("#")[2].strip(" -–:#")
            above = lines[node.lineno - 2].strip().startswith("#") or lines[node.lineno].strip().startswith("#")
            if caught & {"Exception", "BaseException"} and not raises and len(words) < 10 and not above:
                found.append(f"{name_of(path)}:{node.lineno}")
    assert found == []


def is_public(name: str) -> bool:
    """Named for others to use."""
    return not name.startswith("_")


def undocumented(path: Path) -> Iterator[str]:
    """The module and its public functions and classes, where a docstring is missing. Methods are not asked: many
    implement a contract that says it already."""
    module = parse(path)
    if not ast.get_docstring(module):
        yield name_of(path)
    for node in module.body:
        named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and is_public(node.name)
        if named and not ast.get_docstring(node) and not is_tiny(node):
            yield f"{name_of(path)}:{node.lineno} {node.name}"


def is_tiny(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """A class of at most two fields, whose name and types say all (`class And: items`)."""
    return (
        isinstance(node, ast.ClassDef) and len(node.body) <= 2 and all(isinstance(x, ast.AnnAssign) for x in node.body)
    )


def test_public_names_have_docstrings() -> None:
    assert [missing for path in list_modules() for missing in undocumented(path)] == []


def test_test_modules_say_what_they_hold() -> None:
    missing = [
        name_of(p)
        for p in list_files(".py")
        if p.is_relative_to(ROOT / "tests") and p.name.startswith("test_") and not ast.get_docstring(parse(p))
    ]
    assert missing == []


def test_every_package_folder_says_what_it_is_for() -> None:
    folders = {p.parent for p in list_modules()}
    silent = []
    for folder in sorted(folders):
        init = folder / "__init__.py"
        if not init.is_file():
            silent.append(f"{name_of(folder)}: no __init__.py")
        elif not (folder / "README.md").is_file() and not ast.get_docstring(parse(init)):
            silent.append(f"{name_of(folder)}: neither README.md nor a docstring in __init__.py")
    assert silent == []


LINES_MAX = 600
"""A file is one room. Longer needs a reason here, or a wall."""
LONG_FILES: dict[str, str] = {
    "madang/services/manure/truck.py": "one state machine of a truck's story; splitting it is the next change to it",
    "madang/stores/sqlite/tx.py": "one class, one transaction: buffers, undo and writes share their state",
}
"""Files that may be longer, with the reason."""


def test_files_are_one_room() -> None:
    sizes = {
        name_of(path): len(path.read_text(encoding="utf-8").splitlines())
        for path in list_files(".py", ".ts", ".svelte", ".css", ".sh")
    }
    assert {name: n for name, n in sizes.items() if n > LINES_MAX and name not in LONG_FILES} == {}
    assert [name for name in LONG_FILES if sizes.get(name, 0) <= LINES_MAX] == [], (
        "no longer long: take it off the list"
    )


TEXT = (
    ".py",
    ".md",
    ".toml",
    ".txt",
    ".sh",
    ".ts",
    ".svelte",
    ".js",
    ".mjs",
    ".css",
    ".html",
    ".json",
    ".yml",
    ".yaml",
    ".service",
    "",
)
MACHINE_PATH = re.compile(r"(?<![\w.$}])/(?:work|home|root|Users)/[\w.-]+|/tmp/[a-z]\w*/")
"""A folder of somebody's machine. `/srv` and `/var/lib` are examples that operators recognise."""
REGISTRY = re.compile(
    r"(?:registry\.npm"
    + r"js\.org|py"
    + r"pi\.org|files\.python"
    + r"hosted\.org|crates\."
    + r"io|proxy\.golang"
    + r"\.org|--(?:extra-)?index"
    + r"-url)"
)


def text_lines() -> Iterator[tuple[str, int, str]]:
    """(file, line number, text) of every line of every text file."""
    for path in list_files(*TEXT):
        if path.name == "uv.lock" or path.stat().st_size > 2_000_000:
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            yield name_of(path), number, line


def test_no_path_of_a_machine_no_registry_no_conflict_mark() -> None:
    found = [
        f"{name}:{number} {line.strip()[:100]}"
        for name, number, line in text_lines()
        if MACHINE_PATH.search(line) or REGISTRY.search(line) or line.startswith(("<<<<<<< ", ">>>>>>> "))
    ]
    assert found == []


def test_a_todo_carries_its_issue() -> None:
    pattern = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b(?!\s*\(#\d+\))")
    found = [
        f"{name}:{number}" for name, number, line in text_lines() if pattern.search(line) and name not in SPEAKS_OF_TODO
    ]
    assert found == []


SPEAKS_OF_TODO = frozenset({"CONTRIBUTING.md"})
"""Pages that explain the rule."""


def headings(path: Path) -> list[str]:
    """Titles (`# …`) of a page, outside code blocks."""
    titles, in_code = [], False
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            in_code = not in_code
        elif not in_code and line.startswith("# "):
            titles.append(line)
    return titles


@pytest.mark.parametrize("path", list_files(".md"), ids=name_of)
def test_one_title_a_page(path: Path) -> None:
    assert len(headings(path)) == 1, headings(path)


LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("path", list_files(".md"), ids=name_of)
def test_links_between_pages_lead_somewhere(path: Path) -> None:
    targets = [
        t for t in LINK.findall(path.read_text(encoding="utf-8")) if "://" not in t and not t.startswith("mailto:")
    ]
    broken = [t for t in targets if not (path.parent / t).exists()]
    assert broken == []


def test_decision_records_are_numbered_without_gap_or_repeat() -> None:
    numbers = Counter(p.name[:4] for p in (ROOT / "docs" / "adr").glob("[0-9]*.md"))
    last = max(int(number) for number in numbers)
    missing = {n for n in range(1, last + 1) if f"{n:04d}" not in numbers}
    assert missing == set()
    assert [n for n, count in numbers.items() if count > 1] == []


def test_no_dictionary_of_words_is_forgotten() -> None:
    """Every folder of words has both languages."""
    folders = {p.parent for p in PACKAGE.rglob("locale/*.json")}
    assert [name_of(f) for f in sorted(folders) if {p.name for p in f.glob("*.json")} != {"ko.json", "en.json"}] == []


@pytest.mark.parametrize("folder", sorted({p.parent for p in PACKAGE.rglob("locale/*.json")}), ids=name_of)
def test_languages_say_the_same(folder: Path) -> None:
    korean, english = (
        json.loads((folder / f"{language}.json").read_text(encoding="utf-8")) for language in ("ko", "en")
    )
    assert compare_words(korean, english, "ko", "en") == []
