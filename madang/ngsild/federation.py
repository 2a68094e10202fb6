"""Distributed operations (clauses 4.3.6, 5.12): which part of a request goes to which context source, and how what comes back
is merged. Pure; `madang.hub.federation` does the asking.

Attributes covered by an exclusive or a redirect registration are held elsewhere: a change of them is not made here. What an
inclusive registration covers is changed here and there. An auxiliary one is only read, and only for what nobody else has.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from madang.model.entity import Attribute, Attributes, Entity
from madang.model.time import Instant, parse_instant
from madang.ngsild.context import Context
from madang.ngsild.core_context import is_core_context
from madang.ngsild.registration import (
    AUXILIARY,
    EXCLUSIVE,
    REDIRECT,
    EntityInfo,
    Information,
    Registration,
    Selection,
    concerns,
    matching,
)
from madang.ngsild.values import VALUE_MEMBERS

_CONTENTS = frozenset(VALUE_MEMBERS.values())
_METADATA = frozenset(
    {"type", "observedAt", "expiresAt", "unitCode", "datasetId", "lang", "createdAt", "modifiedAt", "instanceId"}
)
_ENTITY_MEMBERS = frozenset({"id", "type", "@id", "@type", "@context", "scope", "createdAt", "modifiedAt", "expiresAt"})


class Part(Struct, frozen=True):
    """What of a request one context source is asked for."""

    registration: Registration
    entities: tuple[EntityInfo, ...]
    """As the registration describes them; empty: any."""
    names: tuple[str, ...] = ()
    """Attributes, in the order of the registration; empty: all."""

    @property
    def takes_over(self) -> bool:
        """What it covers is not held here."""
        return self.registration.mode in (EXCLUSIVE, REDIRECT)

    def offers(self, operations: Iterable[str]) -> str | None:
        """The first of these operations that the source offers; None: none of them."""
        return next((name for name in operations if name in self.registration.operations), None)


def parts_of(registrations: Iterable[Registration], asked: Selection) -> list[Part]:
    """The part of every registration that matches, in order."""
    return [
        _part(registration, items, asked) for registration in registrations if (items := matching(registration, asked))
    ]


def _part(registration: Registration, items: Sequence[Information], asked: Selection) -> Part:
    entities: list[EntityInfo] = []
    anything = any(not item.entities for item in items)
    for item in items:
        entities += [entity for entity in item.entities if concerns(entity, asked)]
    names: list[str] = list(asked.names)
    if all(item.names for item in items):
        covered = list(dict.fromkeys(name for item in items for name in item.names))
        names = [name for name in covered if not asked.names or name in asked.names]
    return Part(registration, () if anything else tuple(dict.fromkeys(entities)), tuple(names))


def covers(part: Part, entity: Entity) -> bool:
    """Is the entity one that the registration describes? A source does not speak for others."""
    if not part.entities:
        return True
    types = set(entity.all_types)
    return any(types & set(known.types) and known.may_be(entity.id) for known in part.entities)


class Split(Struct, frozen=True):
    """Who does what of a change."""

    forwards: tuple[tuple[Part, str], ...]
    """With the operation that the source offers for it."""
    refused: tuple[Part, ...]
    """Sources that hold what the change is about and do not offer it (Conflict)."""
    held: frozenset[str]
    """Attributes that are not changed here."""
    is_local: bool
    """Something of it is done here."""


def split_change(parts: Iterable[Part], operations: Sequence[str], names: Collection[str] | None) -> Split:
    """Who changes what. `names`: the attributes that the change is about; None: the whole entity. Clauses 5.6.1.4 to 5.6.21.4."""
    forwards: list[tuple[Part, str]] = []
    refused: list[Part] = []
    held: set[str] = set()
    whole = False
    for part in parts:
        operation = part.offers(operations)
        if part.registration.mode == AUXILIARY:
            continue
        if operation is not None:
            forwards.append((part, operation))
        elif part.takes_over:
            refused.append(part)
        if part.takes_over:
            held.update(part.names)
            whole = whole or not part.names or (part.registration.mode == REDIRECT and names is None)
    rest = None if names is None else set(names) - held
    nothing_left = whole or (rest is not None and bool(names) and not rest)
    return Split(
        tuple(forwards), tuple(refused), frozenset(names or ()) if whole else frozenset(held), not nothing_left
    )


def keep_members(document: Mapping[str, Any], context: Context, names: Collection[str] | None) -> dict[str, Any]:
    """The document with only these attributes (stored names; None: all of them)."""
    if names is None:
        return dict(document)
    return {
        key: value for key, value in document.items() if key in _ENTITY_MEMBERS or context.stored_name(key) in names
    }


# ── names for another reader ────────────────────────────────────────────────


def rename(document: Mapping[str, Any], old: Context, new: Context) -> dict[str, Any]:
    """An entity document of one @context in the names of another (clause 4.3.6.6). Without @context."""
    if old is new:
        return {key: value for key, value in document.items() if key != "@context"}
    renamed: dict[str, Any] = {}
    for key, value in document.items():
        if key in ("type", "@type"):
            types = value if isinstance(value, list) else [value]
            shown = [new.shown_name(old.stored_name(t)) for t in types]
            renamed[key] = shown if isinstance(value, list) else shown[0]
        elif key in _ENTITY_MEMBERS:
            if key != "@context":
                renamed[key] = value
        else:
            instances = value if isinstance(value, list) else [value]
            done = [rename_attribute(item, old, new) for item in instances]
            renamed[new.shown_name(old.stored_name(key))] = done if isinstance(value, list) else done[0]
    return renamed


def rename_attribute(attribute: Any, old: Context, new: Context) -> Any:
    """An attribute, or a part of one, in the names of another @context."""
    if old is new or not isinstance(attribute, dict) or not attribute.keys() & (_METADATA | _CONTENTS):
        return attribute
    renamed: dict[str, Any] = {}
    for key, value in attribute.items():
        if key == "@context":
            continue
        if key in ("vocab", "objectType", "valueType"):
            words = value if isinstance(value, list) else [value]
            done = [new.shown_word(old.stored_word(w)) if isinstance(w, str) else w for w in words]
            renamed[key] = done if isinstance(value, list) else done[0]
        elif key in _CONTENTS or key in _METADATA:
            renamed[key] = value
        else:
            renamed[new.shown_name(old.stored_name(key))] = rename_attribute(value, old, new)
    return renamed


def link_of(context: Context) -> str | None:
    """The one address that names this @context; None for the core, and for one that only a body can carry."""
    members = context.value if isinstance(context.value, list) else [context.value]
    others = [member for member in members if not is_core_context(member)]
    return others[0] if len(others) == 1 and isinstance(others[0], str) else None


# ── what comes back ─────────────────────────────────────────────────────────


class Fragment(Struct, frozen=True):
    """An entity as one context source knows it."""

    entity: Entity
    auxiliary: bool = False
    source: str = ""
    """The registration of the context source."""


def merge_fragments(local: Entity | None, fragments: Iterable[Fragment]) -> Entity | None:
    """One entity of its fragments (clause 4.5.5, 5.12): of two instances the one observed last, else the one modified last, else
    ours, else the first. An auxiliary source fills only what nobody else has.

    >>> here = Entity("urn:x:1", "T", {"a": {"type": "Property", "value": 1}}, 0, 0, 0, 1)
    >>> there = Entity("urn:x:1", "U", {"b": {"type": "Property", "value": 2}}, 0, 0, 0, 0)
    >>> merged = merge_fragments(here, [Fragment(there)])
    >>> sorted(merged.attributes), merged.all_types
    (['a', 'b'], ('T', 'U'))
    """
    ordered = sorted(fragments, key=lambda fragment: fragment.auxiliary)
    if local is None:
        if not ordered:
            return None
        local, ordered = ordered[0].entity, ordered[1:]
    if not ordered:
        return local
    attributes: Attributes = dict(local.attributes)
    stamps = dict(local.stamps)
    types, scopes = list(local.all_types), list(local.scopes)
    for fragment in ordered:
        for key, attribute in fragment.entity.attributes.items():
            known = attributes.get(key)
            age = _age(attribute, fragment.entity.stamps.get(key))
            if known is None or (not fragment.auxiliary and age > _age(known, stamps.get(key))):
                attributes[key] = attribute
                if key in fragment.entity.stamps:
                    stamps[key] = fragment.entity.stamps[key]
        types += [name for name in fragment.entity.all_types if name not in types]
        scopes += [scope for scope in fragment.entity.scopes if scope not in scopes]
    return replace(
        local,
        attributes=attributes,
        stamps=stamps,
        types=tuple(types) if len(types) > 1 else (),
        scopes=tuple(scopes),
    )


def _age(attribute: Attribute, stamps: tuple[Instant, Instant] | None) -> tuple[Instant, Instant]:
    return _instant(attribute.get("observedAt")), stamps[1] if stamps is not None else 0


def _instant(text: Any) -> Instant:
    try:
        return parse_instant(text) if isinstance(text, str) else 0
    except (ValueError, OverflowError):
        return 0


def merge_all(local: Iterable[Entity], fragments: Iterable[Fragment]) -> list[Entity]:
    """The entities of a distributed query, each once, by id."""
    here = {entity.id: entity for entity in local}
    there: dict[str, list[Fragment]] = {}
    for fragment in fragments:
        there.setdefault(fragment.entity.id, []).append(fragment)
    found = []
    for id_ in sorted(here.keys() | there.keys()):
        merged = merge_fragments(here.get(id_), there.get(id_, ()))
        if merged is not None:
            found.append(merged)
    return found
