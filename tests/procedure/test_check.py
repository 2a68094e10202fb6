"""check_procedure finds each kind of mistake in a table."""

from typing import Any

import msgspec
import pytest

from madang.model.entity import AttributeType
from madang.procedure.contract import Argument, Procedure
from madang.procedure.engine import ProcedureError, check_procedure
from tests.procedure.toy import TICKET, action, argument, both


def test_the_toy_passes() -> None:
    check_procedure(TICKET, deadline_actions=("nag",))


def _with(**changes: Any) -> Any:
    procedure_fields = set(Procedure.__struct_fields__)
    procedure = msgspec.structs.replace(TICKET.procedure, **{k: v for k, v in changes.items() if k in procedure_fields})
    rest = {k: v for k, v in changes.items() if k not in procedure_fields}
    return msgspec.structs.replace(TICKET, procedure=procedure, **rest)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"reopening": ()}, "reopen leads out of the final state CLOSED"),
        ({"reopening": ("reopen", "resurrect")}, "reopening 'resurrect' is no action"),
        ({"states": ("OPEN", "TAKEN", "CLOSED", "LOST")}, "state LOST cannot be reached"),
        ({"final_states": ("CLOSED", "GONE")}, "final state GONE is no state"),
        ({"final_states": ()}, "no way leads from OPEN to a final state"),
        ({"indexed": ("colour",)}, "indexed name 'colour' is no declared attribute"),
        ({"title": {"en": "Ticket"}}, "the record type has no title in ko"),
        ({"state_titles": {}}, "state OPEN has no title in en"),
        (
            {"attributes": (*TICKET.attributes, AttributeType("title", title=both("x")))},
            "attribute 'title' is declared twice",
        ),
        (
            {"actions": (*TICKET.procedure.actions, action("take", ("OPEN",), ("TAKEN",)))},
            "action 'take' is declared twice",
        ),
        ({"actions": (*TICKET.procedure.actions, action("y", ("LIMBO",), ("OPEN",)))}, "y comes from LIMBO"),
        ({"actions": (*TICKET.procedure.actions, action("y", ("OPEN",), ("LIMBO",)))}, "y leads to LIMBO"),
        ({"actions": (*TICKET.procedure.actions, action("y", ("OPEN",), ()))}, "y leads nowhere"),
        ({"actions": (*TICKET.procedure.actions, action("y", (), ("=",)))}, "y creates the record and cannot leave"),
        (
            {
                "actions": (
                    *TICKET.procedure.actions,
                    action("y", ("OPEN",), ("=",), arguments=(argument("a", "colour"),)),
                )
            },
            "argument y.a has the unknown kind 'colour'",
        ),
        (
            {
                "actions": (
                    *TICKET.procedure.actions,
                    action("y", ("OPEN",), ("=",), arguments=(Argument("a", "text"),)),
                )
            },
            "argument y.a has no title in ko",
        ),
        (
            {
                "actions": (
                    *TICKET.procedure.actions,
                    action("y", ("OPEN",), ("=",), arguments=(argument("a", "choice"),)),
                )
            },
            "argument y.a is a choice without choices",
        ),
    ],
)
def test_each_mistake_is_named(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ProcedureError) as caught:
        check_procedure(_with(**changes))
    assert complaint in str(caught.value)


def test_a_deadline_must_name_an_action() -> None:
    with pytest.raises(ProcedureError, match="explode"):
        check_procedure(TICKET, deadline_actions=("explode",))
