"""Questions to the hub: lists, pages, tables, layers, figures. Each is asked through a `Look`, which holds the policy."""

from madang.hub.queries.errors import BadQuestion, NotFound, Refused
from madang.hub.queries.look import Look, Past, looking

__all__ = ["BadQuestion", "Look", "NotFound", "Past", "Refused", "looking"]
