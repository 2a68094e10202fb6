"""Finding a thing, a record or an incident by what people call it."""

from madang.hub.queries.answers import Named
from madang.hub.queries.look import Look
from madang.hub.words import LABEL_ATTRIBUTES, find_label, last_part
from madang.ngsild.query import Contains, Query

TEXT_LENGTH_MAX = 200


def find(look: Look, text: str, limit: int) -> list[Named]:
    """Entities whose id, plate, name or number holds the text, by id; none for an empty text."""
    needle = text.strip()[:TEXT_LENGTH_MAX]
    if not needle:
        return []
    page = look.query(Query(where=Contains(needle, LABEL_ATTRIBUTES), limit=limit))
    return [Named(e.id, e.type, find_label(e) or last_part(e.id), look.type_title(e.type)) for e in page.entities]
