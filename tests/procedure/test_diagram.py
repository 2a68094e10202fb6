"""The diagram is the table, exactly."""

from madang.procedure.engine import draw_diagram, draw_page
from tests.procedure.toy import TICKET

EXPECTED = """\
stateDiagram-v2
    OPEN: Open
    TAKEN: Taken
    CLOSED: Closed
    [*] --> OPEN: Open
    OPEN --> TAKEN: Take
    TAKEN --> CLOSED: Close
    CLOSED --> OPEN: Reopen
    CLOSED --> [*]
"""


def test_the_diagram_of_the_toy() -> None:
    assert draw_diagram(TICKET) == EXPECTED


def test_the_page_has_the_diagram_and_every_action() -> None:
    page = draw_page([TICKET])
    assert EXPECTED in page
    assert "| `nag` Nag | OPEN | (unchanged) | `record.system` | It nags. |" in page
    assert all(f"| `{action.name}`" in page for action in TICKET.procedure.actions)
