"""Dotted paths into a parsed payload, and how a raw value is shown to a person."""

from collections.abc import Callable
from typing import Any, Final


class Missing:
    """The path leads nowhere. Not None: JSON's null is a device's way to say *not known*."""

    __slots__ = ()


MISSING: Final = Missing()
SHOWN_MAX = 60
"""Characters of a raw value in a message: enough to recognise it, too few to flood a log."""

Find = Callable[[dict[str, Any]], Any]


def compile_path(path: str) -> Find:
    """A function that finds the value at `path` or gives `MISSING`; a number in the path also indexes an array.

    >>> compile_path("sensors.1.v")({"sensors": [{"v": 1}, {"v": 2}]})
    2
    """
    steps = path.split(".")
    if len(steps) == 1:
        return lambda item: item.get(path, MISSING)

    def find(item: dict[str, Any]) -> Any:
        here: Any = item
        for step in steps:
            if isinstance(here, dict):
                here = here.get(step, MISSING)
            elif isinstance(here, list) and step.isdecimal() and len(step) < 7 and int(step) < len(here):
                here = here[int(step)]
            else:
                return None if here is None else MISSING
        return here

    return find


def show(value: Any) -> str:
    """A raw value for a message.

    >>> show("x" * 100)[-5:], show(True), show([1, 2])
    ('xxxx…', 'true', 'a list')
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 1] + "…"
