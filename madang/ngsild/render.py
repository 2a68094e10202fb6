"""NGSI-LD entities out: normalised, concise, simplified (keyValues), GeoJSON; with system attributes, projection, language filter,
chosen instances and linked entities (clauses 4.5.1, 4.5.4, 4.5.5, 4.5.16, 4.5.23, 4.8, 4.15, 4.21)."""

from collections.abc import Callable, Collection
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from madang.model.entity import Attribute, Entity, needs_care, split_key
from madang.model.time import render_instant
from madang.ngsild.context import CORE, Context
from madang.ngsild.language import choose_text
from madang.ngsild.names import CORE_CONTEXT
from madang.ngsild.patch import content_of
from madang.ngsild.project import Projection
from madang.ngsild.values import VALUE_MEMBERS
from madang.ngsild.versions import Version, as_known

NORMALIZED, CONCISE, SIMPLIFIED = "normalized", "concise", "simplified"
INLINE, FLAT = "inline", "flat"
DEFAULT_DATASET = "@none"
_CONTENTS = frozenset(VALUE_MEMBERS.values())
_WRAPPED = frozenset({"languageMap", "vocab", "json"})
"""Kept under their member name in simplified form, so that their kind stays visible (clause 4.5.4)."""
_WORDS = frozenset({"objectType", "valueType", "entityTypeSealed"})
_PLAIN = frozenset(
    {
        "type",
        "observedAt",
        "expiresAt",
        "unitCode",
        "datasetId",
        "lang",
        "createdAt",
        "modifiedAt",
        "entityIdSealed",
        "instanceId",
    }
    | {"entity", "entityList", *_CONTENTS, *_WORDS}
)
"""Members of an attribute that are no sub-attributes."""

Fetch = Callable[[str], Entity | None]
"""The entity with an id, for links; None when there is none or none for the caller."""


class View(Struct, frozen=True):
    """How an entity is shown. Names in it are stored names."""

    form: str = NORMALIZED
    context: Context = CORE
    sys_attrs: bool = False
    names: Collection[str] | None = None
    """Only these attributes (`attrs`)."""
    hidden: frozenset[str] = frozenset()
    """Attributes that policy hides."""
    pick: Projection | None = None
    omit: Projection | None = None
    datasets: frozenset[str] | None = None
    """Only instances with these datasetIds; `DEFAULT_DATASET` for those without."""
    languages: tuple[str, ...] | None = None
    """Preferred languages, best first: a LanguageProperty is shown as a Property in one of them."""
    join: str | None = None
    join_level: int = 1
    contained_by: frozenset[str] = frozenset()
    """Ids of entities that the reader has already: links to them are not followed."""

    version: Version | None = None
    """The version of the standard that the reader knows; None: the current one."""

    @property
    def is_plain(self) -> bool:
        """Attributes are shown as they are stored, as far as they are shown."""
        return (
            self.form == NORMALIZED
            and self.context.is_core
            and not self.sys_attrs
            and self.datasets is None
            and self.languages is None
            and self.join is None
            and self.version is None
        )

    def shows(self, member: str) -> bool:
        """Is a member of the entity in the answer?"""
        if self.pick is not None and member not in self.pick.names:
            return False
        return not (self.omit is not None and member in self.omit.names and self.omit.names[member] is None)


NORMAL = View()


def render_entity(entity: Entity, view: View = NORMAL, fetch: Fetch | None = None) -> dict[str, Any]:
    """An entity as a JSON document without @context.

    >>> e = Entity("urn:x:1", "T", {"speed": {"type": "Property", "value": 3}}, 0, 0, 0, 1)
    >>> render_entity(e, View("simplified"))
    {'id': 'urn:x:1', 'type': 'T', 'speed': 3}
    """
    document: dict[str, Any] = {}
    shown = view.context.shown_name
    if view.shows("id"):
        document["id"] = entity.id
    if view.shows("type"):
        types = [shown(name) for name in entity.all_types]
        document["type"] = types[0] if len(types) == 1 else types
    if entity.scopes and view.shows("scope"):
        document["scope"] = entity.scopes[0] if len(entity.scopes) == 1 else list(entity.scopes)
    if view.sys_attrs:
        if entity.expires_at is not None:
            document["expiresAt"] = render_instant(entity.expires_at)
        document["createdAt"] = render_instant(entity.created_at)
        document["modifiedAt"] = render_instant(entity.modified_at)
    _render_attributes(entity, view, fetch, document)
    return document


def _render_attributes(entity: Entity, view: View, fetch: Fetch | None, document: dict[str, Any]) -> None:
    plain, shown = view.is_plain, view.context.shown_name
    found: dict[str, list[tuple[str, Any]]] = {}
    for key, attribute in entity.attributes.items():
        name, dataset_id = split_key(key) if " " in key else (key, None)
        if (view.names is not None and name not in view.names) or name in view.hidden or not view.shows(name):
            continue
        dataset = dataset_id or DEFAULT_DATASET
        if view.datasets is not None and dataset not in view.datasets:
            continue
        if plain and not _needs_care(attribute):
            rendered: Any = attribute
        else:
            rendered = _render_instance(entity, key, attribute, view, fetch)
        found.setdefault(shown(name), []).append((dataset, rendered))
    for name, instances in found.items():
        if view.form == SIMPLIFIED and (len(instances) > 1 or instances[0][0] != DEFAULT_DATASET):
            document[name] = {"dataset": dict(instances)}
        else:
            document[name] = instances[0][1] if len(instances) == 1 else [rendered for _, rendered in instances]


def _needs_care(attribute: Attribute) -> bool:
    """Is it not answered as it is stored?"""
    return "expiresAt" in attribute or needs_care({"": attribute})


def _render_instance(entity: Entity, key: str, attribute: Attribute, view: View, fetch: Fetch | None) -> Any:
    if view.languages is not None and attribute.get("type") == "LanguageProperty":
        attribute = in_language(attribute, view.languages)
    shown = show_attribute(attribute, view)
    if view.version is not None:
        shown = as_known(shown, view.version)
    if view.sys_attrs and view.form != SIMPLIFIED:
        created, modified = entity.stamps.get(key, (entity.created_at, entity.modified_at))
        shown["createdAt"], shown["modifiedAt"] = render_instant(created), render_instant(modified)
    if view.join == INLINE and fetch is not None and view.join_level > 0:
        name = split_key(key)[0]
        linked = _inline(entity, name, attribute, view, fetch)
        if linked is not None:
            if view.form == SIMPLIFIED:
                return linked
            shown["entityList" if isinstance(linked, list) else "entity"] = linked
    if view.form == SIMPLIFIED:
        return simplify(shown)
    return make_concise(shown) if view.form == CONCISE else shown


def in_language(attribute: Attribute, languages: Collection[str]) -> Attribute:
    """A LanguageProperty as a Property in the best of the languages (clause 4.15)."""
    tag, text = choose_text(attribute.get("languageMap", {}), tuple(languages))
    rest = {name: member for name, member in attribute.items() if name not in ("type", "languageMap", "valueType")}
    return {"type": "Property", "value": text, "lang": tag, **rest}


def show_attribute(attribute: Attribute, view: View) -> Attribute:
    """An instance with its names and words as the reader's @context has them."""
    shown: Attribute = {}
    context = view.context
    for name, member in attribute.items():
        if name == "vocab":
            words = [context.compact_iri(w) for w in (member if isinstance(member, list) else [member])]
            shown[name] = words if isinstance(member, list) else words[0]
        elif name in _WORDS:
            words = [context.shown_word(w) for w in (member if isinstance(member, list) else [member])]
            shown[name] = words if isinstance(member, list) else words[0]
        elif name == "expiresAt":
            if view.sys_attrs:  # clause 6.3.11: told with the other instants of the system
                shown[name] = member
        elif name in _PLAIN:
            shown[name] = member
        else:
            sub = member
            if isinstance(member, dict):
                if view.languages is not None and member.get("type") == "LanguageProperty":
                    sub = in_language(member, view.languages)
                sub = show_attribute(sub, view)
            place = context.shown_name(split_key(name)[0])
            if place in shown:
                known = shown[place]
                shown[place] = [*(known if isinstance(known, list) else [known]), sub]
            else:
                shown[place] = sub
    return shown


def simplify(attribute: Attribute) -> Any:
    """The plain value of an attribute (clause 4.5.4)."""
    for member in VALUE_MEMBERS.values():
        if member in attribute:
            content = attribute[member]
            if member == "objectList":
                return [item["object"] if isinstance(item, dict) else item for item in content]
            return {member: content} if member in _WRAPPED else content
    return None


def make_concise(attribute: Attribute) -> Any:
    """The attribute without what can be told from the rest: its type, and the wrapping of a value that stands alone."""
    kind = attribute.get("type")
    rest: dict[str, Any] = {}
    for name, member in attribute.items():
        if name == "type":
            continue
        if name in _PLAIN or not isinstance(member, dict | list):
            rest[name] = member
        elif isinstance(member, dict):
            rest[name] = make_concise(member)
        else:
            rest[name] = [make_concise(item) for item in member]
    if kind in ("Property", "GeoProperty") and set(rest) == {"value"}:
        value = rest["value"]
        # An object that could be taken for an attribute stays wrapped.
        if kind == "GeoProperty" or not isinstance(value, dict):
            return value
    return rest


# ── linked entities (clause 4.5.23) ─────────────────────────────────────────


def targets_of(attribute: Attribute) -> list[str]:
    """Ids of the entities that a Relationship or ListRelationship leads to; empty for anything else."""
    kind = attribute.get("type")
    if kind not in ("Relationship", "ListRelationship"):
        return []
    content = content_of(attribute)
    items = content if isinstance(content, list) else [content]
    found = [item.get("object") if isinstance(item, dict) else item for item in items]
    return [item for item in found if isinstance(item, str)]


def _inner_view(view: View, name: str, holder: str) -> View:
    """The view of an entity that an attribute leads to."""
    return replace(
        view,
        names=None,
        datasets=None,
        pick=view.pick.inner(name) if view.pick is not None else None,
        omit=view.omit.inner(name) if view.omit is not None else None,
        join_level=view.join_level - 1,
        contained_by=view.contained_by | {holder},
    )


def _inline(entity: Entity, name: str, attribute: Attribute, view: View, fetch: Fetch) -> Any:
    """The linked entity, or the list of them; None when there is nothing to put in."""
    targets = targets_of(attribute)
    if not targets:
        return None
    inner = _inner_view(view, name, entity.id)
    found = []
    for target in targets:
        if target in inner.contained_by:
            continue
        linked = fetch(target)
        if linked is not None:
            found.append(render_entity(linked, inner, fetch))
    if not found:
        return None
    several = isinstance(content_of(attribute), list)
    return found if several else found[0]


def linked_entities(entity: Entity, view: View, fetch: Fetch, seen: set[str]) -> list[dict[str, Any]]:
    """The entities that links lead to, as documents of their own (`join=flat`), each once: `seen` holds the ids that are there."""
    found: list[dict[str, Any]] = []
    if view.join_level <= 0:
        return found
    for key, attribute in entity.attributes.items():
        name = split_key(key)[0]
        if (view.names is not None and name not in view.names) or name in view.hidden or not view.shows(name):
            continue
        inner = _inner_view(view, name, entity.id)
        for target in targets_of(attribute):
            if target in seen or target in inner.contained_by:
                continue
            linked = fetch(target)
            if linked is None:
                continue
            seen.add(target)
            found.append(render_entity(linked, inner, fetch))
            found += linked_entities(linked, inner, fetch, seen)
    return found


# ── GeoJSON (clause 4.5.16) ─────────────────────────────────────────────────


def render_feature(
    entity: Entity, view: View, geometry_property: str = "location", fetch: Fetch | None = None
) -> dict[str, Any]:
    """An entity as a GeoJSON Feature without @context. `geometry_property`: stored name; its default instance gives the geometry,
    null when it has none."""
    properties = render_entity(entity, view, fetch)
    properties.pop("id", None)
    attribute = entity.attributes.get(geometry_property)
    if geometry_property in view.hidden:
        attribute = None
    is_geometry = attribute is not None and attribute.get("type") == "GeoProperty"
    geometry = attribute["value"] if is_geometry and attribute is not None else None
    return {"id": entity.id, "type": "Feature", "geometry": geometry, "properties": properties}


def with_context(document: dict[str, Any], context: Context) -> dict[str, Any]:
    """The document as application/ld+json has it: with the @context that the reader gave, else the core one."""
    return {**document, "@context": CORE_CONTEXT if context.value is None else context.value}
