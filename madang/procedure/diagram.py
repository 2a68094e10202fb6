"""The diagram of a life cycle, drawn from its table, so that the documentation cannot disagree with what runs."""

from collections.abc import Sequence

from madang.procedure.check import ways_of
from madang.procedure.contract import RecordType


def draw_diagram(record_type: RecordType, lang: str = "en") -> str:
    """The table as a Mermaid state diagram; ways between the same two states share one arrow. Actions that leave the
    state as it is are listed in the page's table, not drawn: a loop on every state hides the road.

    Deterministic: the same table gives the same text.
    """
    procedure = record_type.procedure
    arrows: dict[tuple[str, str], list[str]] = {}
    for source, target, action in ways_of(record_type):
        if source == target:
            continue
        title = action.title.get(lang, action.name)
        titles = arrows.setdefault((source or "[*]", target), [])
        if title not in titles:
            titles.append(title)
    lines = ["stateDiagram-v2"]
    for state in procedure.states:
        title = record_type.state_titles.get(state, {}).get(lang, state)
        lines.append(f"    {state}: {title}")
    lines += [f"    {source} --> {target}: {', '.join(titles)}" for (source, target), titles in arrows.items()]
    lines += [f"    {state} --> [*]" for state in procedure.final_states]
    return "\n".join(lines) + "\n"


def draw_page(record_types: Sequence[RecordType], lang: str = "en") -> str:
    """The page ``docs/generated/procedures.md``: per record type its diagram and its table of actions."""
    parts = ["# Procedures\n\nGenerated from the tables of the record types by `make docs`. Do not edit.\n"]
    for record_type in record_types:
        parts.append(f"## {record_type.title.get(lang, record_type.name)} (`{record_type.name}`)\n")
        parts.append(f"```mermaid\n{draw_diagram(record_type, lang)}```\n")
        rows = ["| Action | From | To | Permission | What happens |", "|---|---|---|---|---|"]
        for action in record_type.procedure.actions:
            source = ", ".join(action.from_states) or "(new)"
            target = ", ".join("(unchanged)" if s == "=" else s for s in action.to_states)
            rows.append(
                f"| `{action.name}` {action.title.get(lang, '')} | {source} | {target} | `{action.permission}` |"
                f" {action.consequence.get(lang, '')} |"
            )
        parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)
