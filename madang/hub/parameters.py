"""Parameters: limits that the city may set. A value is a reference entity, so every version is kept and a detector reads the
one in force at its
place in the log."""

from collections.abc import Iterable
from typing import Any

from madang.flow.runner import PARAMETER_TYPE
from madang.hub.ports import Read, Tx
from madang.model.caller import Caller
from madang.model.entity import prop
from madang.services.contract import Parameter

PREFIX = f"urn:ngsi-ld:{PARAMETER_TYPE}:"


class UnknownParameter(LookupError):
    """No service declares it."""


class ParameterOutOfRange(ValueError):
    """The value does not fit the declaration; the text says which range does."""


class Parameters:
    """Declared parameters with their defaults."""

    def __init__(self, declared: Iterable[Parameter]) -> None:
        self._declared = {parameter.name: parameter for parameter in declared}

    def list(self) -> list[Parameter]:
        """All declarations, by name."""
        return [self._declared[name] for name in sorted(self._declared)]

    def defaults(self) -> dict[str, Any]:
        """Name -> default."""
        return {name: parameter.default for name, parameter in self._declared.items()}

    def value(self, read: Read, name: str) -> Any:
        """The value in force. Raises UnknownParameter."""
        if name not in self._declared:
            raise UnknownParameter(f"no parameter {name!r}; known: {', '.join(sorted(self._declared))}")
        entity = read.find_entity(PREFIX + name)
        return self._declared[name].default if entity is None else entity.attributes["value"]["value"]

    def set_in(self, tx: Tx, caller: Caller, name: str, value: Any) -> None:
        """Put another value in force from this place of the log on. Raises UnknownParameter, ParameterOutOfRange."""
        declared = self._declared.get(name)
        if declared is None:
            raise UnknownParameter(f"no parameter {name!r}")
        if isinstance(declared.default, int | float) and not isinstance(declared.default, bool):
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ParameterOutOfRange(f"{name} is a number, not {value!r}")
            low, high = declared.minimum, declared.maximum
            if (low is not None and value < low) or (high is not None and value > high):
                raise ParameterOutOfRange(f"{name} must lie between {low} and {high}, not {value}")
        attributes = {"value": prop(value), "setBy": prop(caller.principal)}
        tx.put_entity(PREFIX + name, PARAMETER_TYPE, attributes, caller.principal, reference=True, replace=True)
