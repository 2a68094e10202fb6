"""Arguments of an action against its table: what may be given, in which form, within which limits.

Everything that people and systems send passes here before a guard sees it, so guards and effects may rely on the
declared kinds. Bad input never raises: it comes back as one error per argument, written for the person who typed it.
"""

from collections.abc import Callable
from math import isfinite
from typing import Any

from msgspec import Struct

from madang.model.entity import ID_LENGTH_MAX
from madang.model.finding import Reason
from madang.model.geometry import is_lon_lat
from madang.model.time import parse_instant, render_instant
from madang.procedure.contract import Action, Argument

LIST_ITEMS_MAX = 1_000
"""Items in one list argument: a tour of a truck has ten places; more is a mistake."""
DEPTH_MAX = 12
"""Nesting of a list or object argument; a finding document has five levels."""
NODES_MAX = 20_000
"""Values inside one list or object argument."""


class ArgumentError(Struct, frozen=True):
    """One argument that cannot be used, and why."""

    name: str
    reason: Reason


class CheckedArguments(Struct, frozen=True):
    """Arguments in normal form (instants in UTC, absent ones left out), or the errors."""

    values: dict[str, Any]
    errors: tuple[ArgumentError, ...]


def check_arguments(action: Action, arguments: dict[str, Any]) -> CheckedArguments:
    """Hold `arguments` to the action's table. None counts as absent. Unknown names are errors, never ignored: a
    misspelt amount must not vanish.

    >>> from madang.procedure.contract import Action, Argument, Effect
    >>> a = Action("note", {}, ("OPEN",), ("=",), "p", lambda r, a, c: [], lambda r, a, c: Effect({}),
    ...            arguments=(Argument("kg", "number", required=True, minimum=0),))
    >>> check_arguments(a, {"kg": 12}).values
    {'kg': 12}
    >>> [(e.name, e.reason.code) for e in check_arguments(a, {"kg": -1, "gk": 2}).errors]
    [('gk', 'argument.unknown'), ('kg', 'argument.too-small')]
    """
    declared = {argument.name: argument for argument in action.arguments}
    errors = [ArgumentError(name, Reason("argument.unknown")) for name in sorted(set(arguments) - set(declared))]
    values: dict[str, Any] = {}
    for name, argument in declared.items():
        value = arguments.get(name)
        if value is None:
            if argument.required:
                errors.append(ArgumentError(name, Reason("argument.required")))
            continue
        normal, reason = _check_value(argument, value)
        if reason is None:
            values[name] = normal
        else:
            errors.append(ArgumentError(name, reason))
    return CheckedArguments(values, tuple(errors))


_Checked = tuple[Any, Reason | None]


def _wrong(code: str, **params: Any) -> _Checked:
    return None, Reason(f"argument.{code}", params)


def _check_value(argument: Argument, value: Any) -> _Checked:
    check = _CHECKS.get(argument.kind)
    if check is None:  # a table that check_procedure was never run on
        raise ValueError(f"argument {argument.name!r}: unknown kind {argument.kind!r}")
    return check(argument, value)


def _text(argument: Argument, value: Any) -> _Checked:
    if not isinstance(value, str):
        return _wrong("not-text")
    text = value.strip()
    if not text and argument.required:
        return _wrong("required")
    if len(text) > argument.length_max:
        return _wrong("too-long", length=len(text), length_max=argument.length_max)
    if any(ord(c) < 32 and c not in "\n\t\r" for c in text):
        return _wrong("not-text")
    return text, None


def _number(argument: Argument, value: Any) -> _Checked:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return _wrong("not-number")
    if argument.minimum is not None and value < argument.minimum:
        return _wrong("too-small", value=value, minimum=argument.minimum)
    if argument.maximum is not None and value > argument.maximum:
        return _wrong("too-large", value=value, maximum=argument.maximum)
    return value, None


def _integer(argument: Argument, value: Any) -> _Checked:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value != int(value):
        return _wrong("not-integer")
    return _number(argument, int(value))


def _boolean(_: Argument, value: Any) -> _Checked:
    return (value, None) if isinstance(value, bool) else _wrong("not-boolean")


def _instant(_: Argument, value: Any) -> _Checked:
    if not isinstance(value, str):
        return _wrong("not-instant")
    try:
        return render_instant(parse_instant(value)), None
    except ValueError:
        return _wrong("not-instant")


def _choice(argument: Argument, value: Any) -> _Checked:
    return (value, None) if value in argument.choices else _wrong("not-choice", choices=", ".join(argument.choices))


def _entity(argument: Argument, value: Any) -> _Checked:
    if (
        not isinstance(value, str)
        or not 3 <= len(value) <= ID_LENGTH_MAX
        or ":" not in value
        or not value.isprintable()
    ):
        return _wrong("not-entity")
    parts = value.split(":", 3)
    named_type = parts[2] if len(parts) == 4 and parts[:2] == ["urn", "ngsi-ld"] else None
    if argument.entity_types and named_type is not None and named_type not in argument.entity_types:
        return _wrong("wrong-type", types=", ".join(argument.entity_types))
    return value, None


def _list(argument: Argument, value: Any) -> _Checked:
    if not isinstance(value, list | tuple):
        return _wrong("not-list")
    if argument.required and not value:
        return _wrong("required")
    if len(value) > LIST_ITEMS_MAX:
        return _wrong("too-long", length=len(value), length_max=LIST_ITEMS_MAX)
    if argument.entity_types:
        for item in value:
            _, reason = _entity(argument, item)
            if reason is not None:
                return None, reason
    return (list(value), None) if _is_json(value) else _wrong("not-list")


def _object(_: Argument, value: Any) -> _Checked:
    return (value, None) if isinstance(value, dict) and _is_json(value) else _wrong("not-object")


def _place(argument: Argument, value: Any) -> _Checked:
    """An entity id, or [lon, lat]; a GeoJSON Point becomes [lon, lat]."""
    if isinstance(value, str):
        return _entity(argument, value)
    if isinstance(value, dict) and value.get("type") == "Point":
        value = value.get("coordinates")
    if isinstance(value, list | tuple) and len(value) == 2 and is_lon_lat(value[0], value[1]):
        return [value[0], value[1]], None
    return _wrong("not-place")


_CHECKS: dict[str, Callable[[Argument, Any], _Checked]] = {
    "text": _text,
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "instant": _instant,
    "choice": _choice,
    "entity": _entity,
    "list": _list,
    "object": _object,
    "place": _place,
}

ARGUMENT_KINDS = frozenset(_CHECKS)
"""The kinds that a table may name."""


def _is_json(value: Any) -> bool:
    """True for finite JSON of bounded depth and size, so that what is stored can always be read again."""
    left = NODES_MAX
    stack: list[tuple[Any, int]] = [(value, 0)]
    while stack:
        item, depth = stack.pop()
        left -= 1
        if left < 0 or depth > DEPTH_MAX:
            return False
        if isinstance(item, dict):
            if not all(isinstance(key, str) for key in item):
                return False
            stack.extend((v, depth + 1) for v in item.values())
        elif isinstance(item, list | tuple):
            stack.extend((v, depth + 1) for v in item)
        elif isinstance(item, float):
            if not isfinite(item):
                return False
        elif item is not None and not isinstance(item, str | int | bool):
            return False
    return True
