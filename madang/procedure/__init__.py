"""Life cycles as tables: actions, guards, effects, deadlines. Pure."""

from madang.procedure.contract import (
    Action,
    Argument,
    Context,
    Deadline,
    Effect,
    Opening,
    OutboxMessage,
    Procedure,
    RecordType,
    Refs,
)

__all__ = [
    "Action",
    "Argument",
    "Context",
    "Deadline",
    "Effect",
    "Opening",
    "OutboxMessage",
    "Procedure",
    "RecordType",
    "Refs",
]
