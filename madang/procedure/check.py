"""The common check of every procedure: what must hold of a table before a record may live by it."""

from collections.abc import Iterable

from madang.procedure.arguments import ARGUMENT_KINDS
from madang.procedure.contract import Action, RecordType

LANGUAGES = ("ko", "en")
"""Every title stands in these."""
_SAME = "="


class ProcedureError(AssertionError):
    """The table is wrong; the text lists everything found, one a line."""


def check_procedure(record_type: RecordType, deadline_actions: Iterable[str] = ()) -> None:
    """Hold a record type to the rules of tables.

    Names are unique; all states are declared, titled in Korean and English and reachable from a creating action; a
    final state is left only by actions that the table declares as `reopening`; every other state can reach a final
    one; every action exists that a deadline may name (`deadline_actions`, those that the author's effects set);
    argument kinds are known.

    Raises ProcedureError with everything that is wrong. The author of the record type is the one to mend it.
    """
    wrong = [
        *_check_names(record_type),
        *_check_titles(record_type),
        *_check_states(record_type),
        *_check_ways(record_type),
        *_check_arguments(record_type),
        *(
            f"a deadline names the action {name!r}, which the table does not have"
            for name in deadline_actions
            if record_type.procedure.find_action(name) is None
        ),
    ]
    if wrong:
        raise ProcedureError(f"{record_type.name}:\n" + "\n".join(f"  {line}" for line in wrong))


def ways_of(record_type: RecordType) -> list[tuple[str | None, str, Action]]:
    """Every (from, to, action) of the table; from is None where the action creates, ``=`` is put as the state
    itself."""
    ways: list[tuple[str | None, str, Action]] = []
    for action in record_type.procedure.actions:
        for source in action.from_states or (None,):
            for target in action.to_states:
                way = (source, source if target == _SAME and source is not None else target, action)
                if way not in ways:
                    ways.append(way)
    return ways


def _check_names(record_type: RecordType) -> list[str]:
    wrong: list[str] = []
    for what, names in (
        ("action", [a.name for a in record_type.procedure.actions]),
        ("state", list(record_type.procedure.states)),
        ("attribute", [a.name for a in record_type.attributes]),
    ):
        wrong.extend(f"{what} {name!r} is declared twice" for name in sorted({n for n in names if names.count(n) > 1}))
    declared = {a.name for a in record_type.attributes}
    wrong.extend(
        f"indexed name {name!r} is no declared attribute" for name in record_type.indexed if name not in declared
    )
    return wrong


def _check_titles(record_type: RecordType) -> list[str]:
    titled: list[tuple[str, dict[str, str]]] = [("the record type", record_type.title)]
    titled += [(f"state {s}", record_type.state_titles.get(s, {})) for s in record_type.procedure.states]
    titled += [(f"attribute {a.name}", a.title) for a in record_type.attributes]
    for action in record_type.procedure.actions:
        titled.append((f"action {action.name}", action.title))
        titled.append((f"consequence of {action.name}", action.consequence))
        titled += [(f"argument {action.name}.{argument.name}", argument.title) for argument in action.arguments]
    return [f"{what} has no title in {lang}" for what, title in titled for lang in LANGUAGES if not title.get(lang)]


def _check_states(record_type: RecordType) -> list[str]:
    procedure = record_type.procedure
    states = set(procedure.states)
    wrong = [f"final state {s} is no state" for s in procedure.final_states if s not in states]
    wrong += [f"title for {s}, which is no state" for s in record_type.state_titles if s not in states]
    for action in procedure.actions:
        wrong += [f"{action.name} comes from {s}, which is no state" for s in action.from_states if s not in states]
        wrong += [
            f"{action.name} leads to {s}, which is no state" for s in action.to_states if s not in (*states, _SAME)
        ]
        if not action.to_states:
            wrong.append(f"{action.name} leads nowhere")
        if not action.from_states and _SAME in action.to_states:
            wrong.append(f"{action.name} creates the record and cannot leave its state as it is")
    return wrong


def _check_ways(record_type: RecordType) -> list[str]:
    procedure = record_type.procedure
    ways = ways_of(record_type)
    wrong: list[str] = []
    reached = _closure({target for source, target, _ in ways if source is None}, ways)
    wrong += [f"state {s} cannot be reached" for s in procedure.states if s not in reached]
    for source, target, action in ways:
        if source in procedure.final_states and target != source and action.name not in procedure.reopening:
            wrong.append(
                f"{action.name} leads out of the final state {source}; declare it in `reopening` or take it out"
            )
    wrong += [f"reopening {n!r} is no action" for n in procedure.reopening if procedure.find_action(n) is None]
    backwards = [(target, source, action) for source, target, action in ways if source is not None]
    ending = _closure(set(procedure.final_states), [(a, b, c) for a, b, c in backwards])
    wrong += [f"no way leads from {s} to a final state" for s in procedure.states if s not in ending]
    return wrong


def _closure(start: set[str], ways: Iterable[tuple[str | None, str, Action]]) -> set[str]:
    steps = list(ways)
    reached = set(start)
    while True:
        more = {target for source, target, _ in steps if source in reached} - reached
        if not more:
            return reached
        reached |= more


def _check_arguments(record_type: RecordType) -> list[str]:
    wrong: list[str] = []
    for action in record_type.procedure.actions:
        names = [argument.name for argument in action.arguments]
        wrong += [
            f"argument {action.name}.{n} is declared twice" for n in sorted({n for n in names if names.count(n) > 1})
        ]
        for argument in action.arguments:
            if argument.kind not in ARGUMENT_KINDS:
                wrong.append(f"argument {action.name}.{argument.name} has the unknown kind {argument.kind!r}")
            if argument.kind == "choice" and not argument.choices:
                wrong.append(f"argument {action.name}.{argument.name} is a choice without choices")
    return wrong
