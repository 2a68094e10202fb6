"""The temporal representation of an entity in (clauses 4.5.6, 5.2.20): every attribute with its instances over time. Pure."""

from typing import Any

from msgspec import Struct

from madang.model.entity import Attribute, instance_key
from madang.model.time import Instant
from madang.ngsild.context import CORE, Context
from madang.ngsild.errors import INVALID_REQUEST, NgsiLdError
from madang.ngsild.names import check_id
from madang.ngsild.parse import Nulls, is_null_attribute, parse_attribute, parse_fragment
from madang.ngsild.scope import parse_scopes

INSTANCES_MAX = 10_000
"""Instances in one document."""
_MEMBERS = frozenset({"id", "@id", "type", "@type", "scope", "expiresAt", "createdAt", "modifiedAt", "deletedAt"})


class ParsedEvolution(Struct, frozen=True):
    """What a document says of an entity's evolution."""

    id: str | None
    types: tuple[str, ...]
    instances: list[tuple[str, Attribute]]
    """(attribute key, instance) in the order given. An instance that says that the attribute was deleted has the NGSI-LD Null as
    its content (clause 4.5.7)."""
    scopes: tuple[str, ...] | None = None
    expires_at: Instant | None = None


def parse_evolution(document: Any, context: Context = CORE, *, whole: bool = True) -> ParsedEvolution:
    """`whole`: id and type are required. Raises NgsiLdError.

    >>> parse_evolution({"speed": [{"type": "Property", "value": 1}, {"type": "Property", "value": 2}]}, whole=False).instances
    [('speed', {'type': 'Property', 'value': 1}), ('speed', {'type': 'Property', 'value': 2})]
    """
    if not isinstance(document, dict):
        raise NgsiLdError("must be a JSON object", "", INVALID_REQUEST)
    scope = document.get("scope")
    timed = isinstance(scope, dict) or (isinstance(scope, list) and any(isinstance(item, dict) for item in scope))
    members = {k: v for k, v in document.items() if k in _MEMBERS and not (k == "scope" and timed)}
    fragment = parse_fragment(members, "", context)
    if whole and (fragment.id is None or not fragment.types):
        raise NgsiLdError("is missing", "id" if fragment.id is None else "type")
    instances: list[tuple[str, Attribute]] = []
    for name, value in document.items():
        if name in _MEMBERS or name == "@context":
            continue
        where = str(name)[:80]
        stored = context.stored_name(name, where)
        items = value if isinstance(value, list) and value and all(isinstance(i, dict) for i in value) else [value]
        for item in items:
            nulls = Nulls.MERGE if is_null_attribute(item) else Nulls.NONE
            attribute = parse_attribute(stored, item, where, context, nulls)
            instances.append((instance_key(stored, attribute.get("datasetId")), attribute))
        if len(instances) > INSTANCES_MAX:
            raise NgsiLdError(f"has more than {INSTANCES_MAX} instances", where)
    scopes = fragment.scopes
    if scopes and not timed:
        # Since when is not said, so it comes without an observedAt.
        instances.append(("scope", {"type": "Property", "value": _plain(scopes)}))
    if timed:
        scopes = _timed_scopes(scope if isinstance(scope, list) else [scope], context, instances)
    return ParsedEvolution(fragment.id, fragment.types, instances, scopes, fragment.expires_at)


def _timed_scopes(items: list[Any], context: Context, into: list[tuple[str, Attribute]]) -> tuple[str, ...]:
    """Scopes over time (clause 4.18): instances under ``scope``; the newest are the entity's."""
    found: list[tuple[str, tuple[str, ...]]] = []
    for item in items:
        attribute = parse_attribute("scope", item, "scope", context)
        scopes = parse_scopes(attribute.get("value"), "scope")
        into.append(("scope", {**attribute, "value": _plain(scopes)}))
        found.append((attribute.get("observedAt", ""), scopes))
    return max(found)[1]


def _plain(scopes: tuple[str, ...]) -> Any:
    return scopes[0] if len(scopes) == 1 else list(scopes)


INSTANCE_PREFIX = "urn:ngsi-ld:instance:"


def render_instance_id(token: str) -> str:
    """The instanceId of an instance that the store knows by `token`."""
    return INSTANCE_PREFIX + token


def parse_instance_id(text: str) -> str:
    """The store's token of an instanceId; empty for a URI that is none of ours. Raises NgsiLdError for what is no URI."""
    check_id(text, "instanceId")
    return text.removeprefix(INSTANCE_PREFIX) if text.startswith(INSTANCE_PREFIX) else ""
