"""What context sources tell of how entities evolved (ETSI GS CIM 009 clauses 5.7.3.4, 5.7.4.4): those that offer retrieveTemporal or
queryTemporal are asked what the reader asked, in the reader's names."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct

from madang.api.handlers.ngsild.distribute import parts_to_read, query_pairs, warnings_of
from madang.api.route import Call
from madang.hub.federation import Found, Trigger
from madang.hub.queries.look import Look
from madang.model.entity import Entity
from madang.ngsild.context import Context
from madang.ngsild.errors import NgsiLdError
from madang.ngsild.federation import Part, covers
from madang.ngsild.registration import Selection
from madang.ngsild.render import View
from madang.ngsild.temporal_merge import MEMBERS

FAR_MAX = 1_000
"""Entities of one source for one page."""
_OURS = frozenset({"pick", "omit", "limit", "offset", "count", "entityMap", "entityMapLifetime", "csf"})
"""Parameters that are not passed on as they are: what is shown of an entity is decided when all is together."""


Check = Callable[[dict[str, Any]], Any]


class Far(Struct):
    """What the sources tell."""

    found: Found
    told: list[tuple[Part, list[dict[str, Any]]]]

    @property
    def warnings(self) -> list[tuple[str, str]]:
        return warnings_of(self.found)

    def by_id(
        self, look: Look, context: Context, view: View, check: Check, id_: str | None = None
    ) -> dict[str, list[dict[str, Any]]]:
        """Documents by entity, of each source only what it registered and the caller may see. `check` raises NgsiLdError for one that
        cannot be merged."""
        documents: dict[str, list[dict[str, Any]]] = {}
        for part, entities in self.told:
            for document in entities:
                try:
                    kept = _covered(part, document, look, context, view)
                    if kept is not None:
                        check(kept)
                except NgsiLdError as error:
                    self.found.warn(111, part, f"its answer is not used: {error}")
                    break
                if kept is not None and id_ in (None, kept["id"]):
                    documents.setdefault(kept["id"], []).append(kept)
        return documents


async def evolutions_there(
    call: Call, asked: Selection, context: Context, *, id_: str | None = None, upto: int = 0
) -> Far | None:
    """Ask the sources that match: for one entity, or for the first `upto` of a query. None: nobody is to be asked."""
    operation = "queryTemporal" if id_ is None else "retrieveTemporal"
    parts = [
        p for p in parts_to_read(call, asked, context, call.query.get("csf")) if p.offers((operation,)) is not None
    ]
    if not parts:
        return None
    pairs = [(name, value) for name, value in query_pairs(call) if name not in _OURS]
    if id_ is None:
        pairs += [("limit", str(min(upto, FAR_MAX))), ("count", "true")]
    found, told = await call.hub.federation.evolutions(parts, id_, pairs, Trigger(call.headers, context))
    return Far(found, told)


def _covered(part: Part, document: dict[str, Any], look: Look, context: Context, view: View) -> dict[str, Any] | None:
    """The part of a document that the source speaks for; None when it is not its to tell, or not the caller's to see."""
    id_, own = document.get("id"), document.get("type")
    names = own if isinstance(own, list) else [own]
    if not isinstance(id_, str) or not names or not all(isinstance(name, str) for name in names):
        raise NgsiLdError("has an entity without id or type")
    types = [context.stored_name(name, "type") for name in names]
    entity = Entity(id_, types[0], {}, 0, 0, 0, 0, types=tuple(types) if len(types) > 1 else ())
    if not covers(part, entity) or not all(look.may_see_type(name) for name in types):
        return None
    hidden = look.mask(types[0]).names
    kept = {}
    for name, value in document.items():
        if name in MEMBERS:
            kept[name] = value
            continue
        stored = context.stored_name(name)
        if stored not in hidden and view.shows(stored) and (not part.names or stored in part.names):
            kept[name] = value
    return None if not kept.keys() - MEMBERS else kept


def trimmed(document: dict[str, Any], view: View) -> dict[str, Any]:
    """The document without members that the reader left out."""
    return {name: value for name, value in document.items() if name not in ("id", "type", "scope") or view.shows(name)}


def merged_order(here: Sequence[str], there: Iterable[str], *, descending: bool) -> list[str]:
    """The ids of both, each once, in order."""
    return sorted({*here, *there}, reverse=descending)
