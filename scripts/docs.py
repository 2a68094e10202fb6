"""Write the pages under docs/generated from the code, so that they cannot disagree with what runs: ``make docs``.

`tests/repo/test_docs.py` renders every page again, and rewrites and fails where one is stale.
"""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from madang.api.matrix import render_matrix
from madang.api.route import LOGGED_IN, Route
from madang.api.routes import ROUTES
from madang.app.cli import main as main_command
from madang.app.services import load_services
from madang.model.entity import AttributeType
from madang.procedure.diagram import draw_page
from madang.procedure.incident import INCIDENT
from madang.services.contract import Service

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "generated"
NOTE = "Generated from the code by `make docs`. Do not edit."


def services() -> Sequence[Service]:
    """The services of this repository; what other packages publish here is not ours to document."""
    return [s for s in load_services() if (ROOT / "madang" / "services" / s.name).is_dir()]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; bars and line breaks inside a cell are escaped."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        cells = (str(cell).replace("|", "\\|").replace("\n", " ") for cell in row)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def page(title: str, *parts: str) -> str:
    """A page with its one title."""
    return "\n".join([f"# {title}\n", f"{NOTE}\n", *parts])


def code(value: object) -> str:
    """Inline code; empty for nothing."""
    return f"`{value}`" if value not in ("", None) else ""


def range_of(attribute: AttributeType) -> str:
    """The believable range, as people write it."""
    low, high = attribute.minimum, attribute.maximum
    if low is None and high is None:
        return ""
    if high is None:
        return f"from {low:g}"
    return f"up to {high:g}" if low is None else f"{low:g} to {high:g}"


def render_entity_types() -> str:
    """Every entity type of every service with its attributes."""
    parts = []
    for service in services():
        parts.append(f"## {service.title['en']} ({code(service.name)})\n")
        for type_ in service.entity_types:
            parts.append(f"### {type_.name}\n")
            parts.append(
                f"{type_.title['en']} · {type_.title['ko']}. {type_.kind}, {type_.data_class}. {type_.source}.\n"
            )
            head = ("Attribute", "Meaning", "Kind", "Unit", "Range", "Source")
            parts.append(
                table(
                    head,
                    (
                        (
                            code(a.name),
                            f"{a.title['en']} · {a.title['ko']}",
                            a.kind,
                            code(a.unit),
                            range_of(a),
                            a.source,
                        )
                        for a in type_.attributes
                    ),
                )
            )
    return page("Entity types", *parts)


def render_rules() -> str:
    """Every rule, and the detectors that run."""
    parts = []
    for service in services():
        parts.append(f"## {service.title['en']}\n")
        rows = [(code(rule), title["en"], title["ko"]) for rule, title in service.rules.items()]
        parts.append(table(("Rule", "English", "Korean"), rows))
        parts.append("Detectors (what each rests on):\n")
        parts.append(
            table(
                ("Detector", "Version", "Reads changes of", "Looks up"),
                (
                    (
                        code(d.id),
                        d.version,
                        ", ".join(sorted(d.inputs)),
                        ", ".join(sorted({lookup.type for lookup in d.lookups})),
                    )
                    for d in service.detectors
                ),
            )
        )
    return page("Rules", *parts)


def render_parameters() -> str:
    """Every limit that the city may set."""
    rows = [
        (code(p.name), p.title["en"], p.title["ko"], code(p.default), _limits(p.minimum, p.maximum), p.source)
        for service in services()
        for p in service.parameters
    ]
    return page(
        "Parameters",
        "Limits that the city may set. Every version is kept; a rule reads the one in force at its place in the log.\n",
        table(("Parameter", "English", "Korean", "Default", "Range", "Where the default comes from"), rows),
    )


def _limits(low: float | None, high: float | None) -> str:
    return range_of(AttributeType("", minimum=low, maximum=high))


def render_indicators() -> str:
    """Every figure with its method."""
    rows = [
        (code(i.id), i.title["en"], i.title["ko"], code(i.unit), i.method["en"])
        for service in services()
        for i in service.indicators
    ]
    return page("Indicators", table(("Indicator", "English", "Korean", "Unit", "Method"), rows))


def render_procedures() -> str:
    """Every life cycle: diagram and table."""
    return draw_page(record_types())


def record_types() -> list[Any]:
    """Record types of the services and of the hub itself."""
    return [INCIDENT, *(record_type for service in services() for record_type in service.record_types)]


def render_routes() -> str:
    """Every HTTP route; who may call it is the authorisation matrix."""
    parts = [
        "Who may call what: [authorisation](authorisation.md). The same as a machine reads it: `GET /openapi.json`.\n"
    ]
    tags: dict[str, list[Route]] = {}
    for route in ROUTES:
        tags.setdefault(route.tag or "other", []).append(route)
    for tag, routes in tags.items():
        rows = [
            (
                r.method,
                code(r.path),
                r.summary,
                ", ".join(f"`{p.name}`" for p in r.parameters),
                " or ".join(code(name) for name in r.permission.split() if name != LOGGED_IN) or _openness(r),
            )
            for r in routes
        ]
        parts.append(f"## {tag.capitalize() if tag.islower() else tag}\n")
        parts.append(table(("Method", "Path", "What it does", "Query parameters", "Permission"), rows))
    return page("HTTP routes", *parts)


def _openness(route: Route) -> str:
    if route.source_login:
        return "(a source's own log-in)"
    return "(any log-in)" if route.permission == LOGGED_IN else "(none)"


def render_authorisation() -> str:
    """Which role may ask what."""
    return render_matrix(ROUTES)


def render_commands() -> str:
    """The help of every command, as `madang COMMAND --help` prints it."""
    os.environ.update(COLUMNS="100", LINES="40")
    parts = ["Every option is also an environment variable: `madang serve --port` is `MADANG_SERVE_PORT`.\n"]
    # The names of the help option as the program has them: a command remembers those of whoever asked it first.
    names = main_command.context_settings["help_option_names"]
    root = click.Context(
        main_command, info_name="madang", max_content_width=100, terminal_width=100, help_option_names=names
    )
    parts.append(f"```text\n{main_command.get_help(root).rstrip()}\n```\n")
    for name in main_command.list_commands(root):
        command = main_command.get_command(root, name)
        if command is None:
            continue
        context = click.Context(command, info_name=name, parent=root, max_content_width=100, terminal_width=100)
        parts.append(f"## madang {name}\n\n```text\n{command.get_help(context).rstrip()}\n```\n")
    return page("Commands", *parts)


def render_settings() -> str:
    """Every setting of a server, its option and its environment variable."""
    rows = []
    for option in main_command.commands["serve"].params:
        if not isinstance(option, click.Option) or option.name == "help":
            continue
        variable = f"MADANG_SERVE_{str(option.name).upper()}"
        rows.append((code(option.opts[0]), code(variable), code(option.default), option.help or ""))
    return page("Settings", table(("Option", "Environment variable", "Default", "What it sets"), rows))


PAGES: dict[str, Callable[[], str]] = {
    "entity-types.md": render_entity_types,
    "rules.md": render_rules,
    "parameters.md": render_parameters,
    "indicators.md": render_indicators,
    "procedures.md": render_procedures,
    "http-routes.md": render_routes,
    "authorisation.md": render_authorisation,
    "commands.md": render_commands,
    "settings.md": render_settings,
}


def render_index() -> str:
    """The list of pages."""
    titles = {name: render().splitlines()[0].removeprefix("# ") for name, render in PAGES.items()}
    return page("Generated pages", *(f"- [{title}]({name})" for name, title in titles.items()), "")


def write_page(name: str, text: str) -> bool:
    """Write a page where it differs; True when it did."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    target = FOLDER / name
    if target.is_file() and target.read_text(encoding="utf-8") == text:
        return False
    target.write_text(text, encoding="utf-8")
    return True


EVERY_PAGE = {**PAGES, "README.md": render_index}


def main() -> int:
    """Write every page; says which changed."""
    for name, render in EVERY_PAGE.items():
        if write_page(name, render()):
            print(f"docs/generated/{name} rewritten")
    return 0


if __name__ == "__main__":
    sys.exit(main())
