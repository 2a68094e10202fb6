"""Writing entities over the API (ETSI GS CIM 009 clause 5.6). A record's governed attributes change only by actions of its procedure
(DESIGN §1).

Every operation computes its result inside one op of the store, from the entity as it is then, and ends in one `put_entity`: two that
come together cannot lose each other's change. Each gives a future that is done when the result is durable.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future
from typing import Any

from msgspec import Struct

from madang.access.roles import ENTITY_WRITE
from madang.hub.ports import Store, Tx
from madang.hub.registry import Registry
from madang.model.caller import Caller
from madang.model.entity import Attribute, Attributes, Entity, alive_at, expired_keys, instance_key, split_key
from madang.model.time import Instant
from madang.ngsild.parse import Fragment, ParsedEntity
from madang.ngsild.patch import as_known, merge, update_partially, without_nulls
from madang.ngsild.query import Node, Query
from madang.ngsild.types import holds

SCOPE = "scope"
"""Where an attribute's name stands, this one means the entity's scopes."""
PURGE_PAGE = 1_000
"""Entities that a purge reads at once."""
EXPIRED_MAX = 1_000
"""Entities that one look at what has expired takes care of; the next look follows at once."""


class EntityError(Exception):
    """Nothing happened to the entity."""


class EntityForbidden(EntityError):
    """The caller may not write entities."""


class EntityExists(EntityError):
    """There is one with this id already."""


class EntityNotFound(EntityError):
    """There is none with this id, or not of the type that was asked for, or it lacks the attribute."""


class EntityGoverned(EntityError):
    """It is a record: take an action of its procedure instead."""


class EntityWrong(EntityError):
    """The entity as it is does not take this change: the sender's mistake."""


class Written(Struct, frozen=True):
    """What became of a batch: ids in the order given, errors by id in the order given."""

    created: list[str]
    updated: list[str]
    errors: list[tuple[str, Exception]]


class Changed(Struct, frozen=True):
    """What became of the attributes of a fragment (clause 5.2.18)."""

    updated: list[str]
    """Stored names."""
    left: list[tuple[str, str]]
    """(stored name, reason) of what was left alone."""


class Merging(Struct, frozen=True):
    """What a merge takes beside its fragment (clause 5.6.17)."""

    observed_at: str | None = None
    """For attributes that had an observedAt and get none."""
    lang: str | None = None
    """The language of plain texts for a LanguageProperty."""


PLAIN_MERGE = Merging()


class Entities:
    """Use cases; see the module's docstring. Each raises EntityForbidden at once; other errors come in the future."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry

    # --- whole entities ---

    def create(self, caller: Caller, entity: ParsedEntity) -> "Future[None]":
        """Errors: EntityExists, EntityGoverned."""
        return self._write(caller, lambda tx: self._create_in(tx, caller, entity), (entity.id,))

    def _create_in(self, tx: Tx, caller: Caller, entity: ParsedEntity) -> None:
        self._check_types((entity.type, *entity.types))
        # One that has expired and was not yet cleared away is replaced whole.
        if self._find(tx, entity.id) is not None:
            raise EntityExists(f"{entity.id} exists already; change it, or choose another id")
        self._put_whole(tx, caller, entity)

    def replace(self, caller: Caller, entity: ParsedEntity, types: Node | None) -> "Future[None]":
        """Put the entity in the place of the one that is there. Errors: EntityNotFound, EntityGoverned."""

        def op(tx: Tx) -> None:
            self._get(tx, entity.id, types)
            self._check_types((entity.type, *entity.types))
            self._put_whole(tx, caller, entity)

        return self._write(caller, op, (entity.id,))

    def delete(self, caller: Caller, id_: str, types: Node | None = None) -> "Future[None]":
        """Errors: EntityNotFound, EntityGoverned."""
        return self._write(caller, lambda tx: self._delete_in(tx, caller, id_, types), (id_,), bulk=False)

    def _delete_in(self, tx: Tx, caller: Caller, id_: str, types: Node | None) -> None:
        self._get(tx, id_, types)
        tx.delete_entity(id_, caller.principal)

    def merge(
        self, caller: Caller, id_: str, fragment: Fragment, types: Node | None, how: Merging = PLAIN_MERGE
    ) -> "Future[None]":
        """Clause 5.5.12. Errors: EntityNotFound, EntityGoverned, EntityWrong."""
        return self._write(caller, lambda tx: self._merge_in(tx, caller, id_, fragment, types, how), (id_,))

    def _merge_in(self, tx: Tx, caller: Caller, id_: str, fragment: Fragment, types: Node | None, how: Merging) -> None:
        entity = self._get(tx, id_, types)
        changed: Attributes = {}
        for key, given in fragment.attributes.items():
            old = entity.attributes.get(key)
            if old is None:
                if "type" not in given:
                    raise EntityWrong(f"{id_} has no attribute {_said(key)}, and the fragment does not say what it is")
                changed[key] = without_nulls(given)
                continue
            new = as_known(old, given, how.lang)
            if how.observed_at is not None and "observedAt" in old and "observedAt" not in new:
                new = {**new, "observedAt": how.observed_at}
            changed[key] = merge(old, new)
        self._put(tx, caller, entity, changed, fragment, remove=fragment.removed, scopes=fragment.scopes)

    def purge(
        self, caller: Caller, query: Query, *, keep: Collection[str] | None, drop: Collection[str] | None
    ) -> "Future[int]":
        """Delete the entities that a query finds, or, of these, the attributes in `drop`, or those that are not in `keep` (clause
        5.6.21); records are passed over. Gives how many entities changed."""

        def op(tx: Tx) -> int:
            count = 0
            after: str | None = None
            while True:
                page = tx.query(_page_after(query, after, tx.now))
                for entity in page.entities:
                    count += self._purge_in(tx, caller, entity, keep, drop)
                after = page.next_after
                if after is None:
                    return count

        return self._write(caller, op, (), bulk=False)

    def _purge_in(
        self, tx: Tx, caller: Caller, entity: Entity, keep: Collection[str] | None, drop: Collection[str] | None
    ) -> bool:
        if any(self._registry.is_record(type_) for type_ in entity.all_types):
            return False
        if keep is None and drop is None:
            tx.delete_entity(entity.id, caller.principal)
            return True
        names = {key: split_key(key)[0] for key in entity.attributes}
        gone = [
            k
            for k, name in names.items()
            if (drop is not None and name in drop) or (keep is not None and name not in keep)
        ]
        scopes = () if drop is not None and SCOPE in drop else None
        if not gone and scopes is None:
            return False
        self._put(tx, caller, entity, {}, Fragment({}), remove=gone, scopes=scopes)
        return True

    # --- batches ---

    def create_many(self, caller: Caller, entities: Sequence[ParsedEntity]) -> "Future[Written]":
        """Create each; one that fails does not stop the others (clause 5.6.7)."""

        def one(tx: Tx, entity: ParsedEntity) -> bool:
            self._create_in(tx, caller, entity)
            return True

        return self._many(caller, entities, lambda e: e.id, one)

    def upsert(self, caller: Caller, entities: Sequence[ParsedEntity], *, update: bool) -> "Future[Written]":
        """Create or change each; `update` keeps attributes that are not given. One that fails does not stop the others."""

        def one(tx: Tx, entity: ParsedEntity) -> bool:
            known = self._find(tx, entity.id)
            self._check_types((entity.type, *entity.types, *(() if known is None else known.all_types)))
            if known is not None and update:
                self._put(tx, caller, known, entity.attributes, _fragment_of(entity), scopes=entity.scopes or None)
            else:
                self._put_whole(tx, caller, entity)
            return known is None

        return self._many(caller, entities, lambda e: e.id, one)

    def update_many(
        self, caller: Caller, fragments: Sequence[tuple[str, Fragment]], *, overwrite: bool
    ) -> "Future[Written]":
        """Append the attributes of each to the entity with its id (clause 5.6.9)."""

        def one(tx: Tx, item: tuple[str, Fragment]) -> bool:
            id_, fragment = item
            changed = self._append_in(tx, caller, id_, fragment, None, overwrite=overwrite)
            if changed.left:
                names = ", ".join(name for name, _ in changed.left)
                raise EntityWrong(f"{id_} has {names} already, and noOverwrite was asked for; the rest was written")
            return False

        return self._many(caller, fragments, lambda item: item[0], one)

    def merge_many(
        self, caller: Caller, fragments: Sequence[tuple[str, Fragment]], how: Merging = PLAIN_MERGE
    ) -> "Future[Written]":
        """Merge each into the entity with its id (clause 5.6.20)."""

        def one(tx: Tx, item: tuple[str, Fragment]) -> bool:
            id_, fragment = item
            self._merge_in(tx, caller, id_, fragment, None, how)
            return False

        return self._many(caller, fragments, lambda item: item[0], one)

    def delete_many(self, caller: Caller, ids: Sequence[str]) -> "Future[Written]":
        """Delete each (clause 5.6.10)."""

        def one(tx: Tx, id_: str) -> bool:
            self._delete_in(tx, caller, id_, None)
            return False

        return self._many(caller, ids, lambda id_: id_, one, bulk=False)

    def _many(
        self,
        caller: Caller,
        items: Sequence[Any],
        id_of: Callable[[Any], str],
        one: Callable[[Tx, Any], bool],
        *,
        bulk: bool = True,
    ) -> "Future[Written]":
        """`one` on each, in order; True from it: created. It checks before it writes, so an error leaves nothing half done."""

        def op(tx: Tx) -> Written:
            written = Written([], [], [])
            for item in items:
                id_ = id_of(item)
                try:
                    (written.created if one(tx, item) else written.updated).append(id_)
                except (EntityError, ValueError) as error:
                    written.errors.append((id_, error))
            return written

        return self._write(caller, op, [id_of(item) for item in items], bulk=bulk)

    # --- attributes ---

    def append(
        self, caller: Caller, id_: str, fragment: Fragment, types: Node | None = None, *, overwrite: bool
    ) -> "Future[Changed]":
        """Add attributes; those there already are replaced, or left alone without `overwrite` (clause 5.6.3).
        Errors: EntityNotFound, EntityGoverned."""
        return self._write(
            caller, lambda tx: self._append_in(tx, caller, id_, fragment, types, overwrite=overwrite), (id_,)
        )

    def _append_in(
        self, tx: Tx, caller: Caller, id_: str, fragment: Fragment, types: Node | None, *, overwrite: bool
    ) -> Changed:
        entity = self._get(tx, id_, types)
        left: list[tuple[str, str]] = []
        chosen: Attributes = {}
        for key, attribute in fragment.attributes.items():
            if not overwrite and key in entity.attributes:
                left.append((split_key(key)[0], "is there already, and noOverwrite was asked for"))
            else:
                chosen[key] = without_nulls(attribute)
        scopes = fragment.scopes
        if scopes and not overwrite:
            scopes = tuple(dict.fromkeys((*entity.scopes, *scopes)))
        updated = _names(chosen, fragment, removed=fragment.removed, scope=scopes is not None)
        if chosen or scopes is not None or fragment.types or fragment.removed or fragment.expires_at is not None:
            self._put(tx, caller, entity, chosen, fragment, remove=fragment.removed, scopes=scopes)
        return Changed(updated, left)

    def update(self, caller: Caller, id_: str, fragment: Fragment, types: Node | None = None) -> "Future[Changed]":
        """Replace attributes, add those that are not there, take away those that are Null (clauses 5.6.2, 5.5.8). A scope is changed
        only where there is one. Errors as `append`."""

        def op(tx: Tx) -> Changed:
            entity = self._get(tx, id_, types)
            left = [
                (split_key(key)[0], "is not there, so that it cannot be taken away")
                for key in fragment.removed
                if key not in entity.attributes
            ]
            scopes = fragment.scopes
            if scopes is not None and not entity.scopes:
                left.append((SCOPE, "the entity has no scope"))
                scopes = None
            chosen = {key: without_nulls(attribute) for key, attribute in fragment.attributes.items()}
            removed = [key for key in fragment.removed if key in entity.attributes]
            if chosen or removed or scopes is not None or fragment.types or fragment.expires_at is not None:
                self._put(tx, caller, entity, chosen, fragment, remove=removed, scopes=scopes)
            return Changed(_names(chosen, fragment, removed=removed, scope=scopes is not None), left)

        return self._write(caller, op, (id_,))

    def update_attribute(
        self, caller: Caller, id_: str, key: str, fragment: Attribute | None, types: Node | None = None
    ) -> "Future[None]":
        """Change members of one instance; `fragment` None takes it away (clause 5.6.4). Errors: EntityNotFound, EntityGoverned;
        NgsiLdError for content of another type."""

        def op(tx: Tx) -> None:
            entity = self._get(tx, id_, types)
            old = entity.attributes.get(key)
            if old is None:
                raise EntityNotFound(f"{id_} has no attribute {_said(key)}")
            if fragment is None:
                self._put(tx, caller, entity, {}, Fragment({}), remove=(key,))
                return
            name = split_key(key)[0]
            self._put(tx, caller, entity, {key: update_partially(old, as_known(old, fragment), name)}, Fragment({}))

        return self._write(caller, op, (id_,))

    def replace_attribute(
        self, caller: Caller, id_: str, instances: Attributes, types: Node | None = None
    ) -> "Future[None]":
        """Put instances in the place of those with the same keys (clause 5.6.19). Errors: EntityNotFound, EntityGoverned."""

        def op(tx: Tx) -> None:
            entity = self._get(tx, id_, types)
            for key in instances:
                if key not in entity.attributes:
                    raise EntityNotFound(f"{id_} has no attribute {_said(key)}")
            self._put(tx, caller, entity, instances, Fragment({}))

        return self._write(caller, op, (id_,))

    def delete_attribute(
        self,
        caller: Caller,
        id_: str,
        name: str,
        dataset_id: str | None = None,
        types: Node | None = None,
        *,
        every: bool = False,
    ) -> "Future[None]":
        """Take one instance away, or `every` one of the attribute; `SCOPE` takes the scopes away (clause 5.6.5). Errors:
        EntityNotFound, EntityGoverned."""

        def op(tx: Tx) -> None:
            entity = self._get(tx, id_, types)
            if name == SCOPE:
                if not entity.scopes:
                    raise EntityNotFound(f"{id_} has no scope")
                self._put(tx, caller, entity, {}, Fragment({}), scopes=())
                return
            key = instance_key(name, dataset_id)
            keys = [k for k in entity.attributes if (split_key(k)[0] == name if every else k == key)]
            if not keys:
                raise EntityNotFound(f"{id_} has no attribute {_said(key)}")
            self._put(tx, caller, entity, {}, Fragment({}), remove=keys)

        return self._write(caller, op, (id_,))

    # --- shared ---

    def _write(
        self, caller: Caller, op: Callable[[Tx], Any], ids: Sequence[str], *, bulk: bool = True
    ) -> "Future[Any]":
        """`ids`: the entities that the op looks at, as far as they are known. `bulk`: it does nothing but find and put entities, so that
        the store writes many of them together."""
        if not caller.may(ENTITY_WRITE):
            raise EntityForbidden(f"writing entities needs the permission {ENTITY_WRITE}")
        return self._store.write(op, bulk=bulk, ids=ids)

    @staticmethod
    def _find(tx: Tx, id_: str) -> Entity | None:
        entity = tx.find_entity(id_)
        return None if entity is None else alive_at(entity, tx.now)

    def _get(self, tx: Tx, id_: str, types: Node | None) -> Entity:
        entity = self._find(tx, id_)
        if entity is None or not holds(types, entity.all_types):
            raise EntityNotFound(f"there is no {id_}" + ("" if entity is None else " of that type"))
        self._check_types(entity.all_types)
        return entity

    def _check_types(self, types: Iterable[str]) -> None:
        for type_ in types:
            if self._registry.is_record(type_):
                raise EntityGoverned(
                    f"a {type_} changes only by the actions of its procedure:"
                    " POST /api/records/{id}/actions/{action}"
                )

    def _put_whole(self, tx: Tx, caller: Caller, entity: ParsedEntity) -> None:
        tx.put_entity(
            entity.id,
            entity.type,
            entity.attributes,
            caller.principal,
            reference=self._registry.is_reference(entity.type),
            replace=True,
            types=entity.types,
            scopes=entity.scopes,
            expires_at=entity.expires_at,
        )

    def _put(
        self,
        tx: Tx,
        caller: Caller,
        entity: Entity,
        attributes: Attributes,
        fragment: Fragment,
        *,
        remove: Sequence[str] = (),
        scopes: Sequence[str] | None = None,
    ) -> None:
        """Write a change of an entity that is there. Types that the fragment names come to those that it has (clause 4.16)."""
        known = entity.all_types
        types = tuple(dict.fromkeys((*known, *fragment.types)))
        self._check_types(types)
        tx.put_entity(
            entity.id,
            entity.type,
            attributes,
            caller.principal,
            reference=self._registry.is_reference(entity.type),
            replace=False,
            remove=remove,
            types=types if len(types) > len(known) else None,
            scopes=scopes,
            expires_at=fragment.expires_at,
        )


def expire_in(tx: Tx, registry: Registry) -> int:
    """Take away what has expired (clause 4.22): whole entities with a DELETION, attributes with a change that names them. Gives how
    many entities changed; `EXPIRED_MAX` means that there may be more."""
    ids = tx.list_expired(tx.now, EXPIRED_MAX)
    for id_ in ids:
        entity = tx.find_entity(id_)
        if entity is None:
            continue
        if entity.expires_at is not None and entity.expires_at <= tx.now:
            tx.delete_entity(id_, "system")
            continue
        gone = expired_keys(entity.attributes, tx.now)
        reference = registry.is_reference(entity.type)
        tx.put_entity(id_, entity.type, {}, "system", reference=reference, replace=False, remove=gone)
    return len(ids)


def _page_after(query: Query, after: str | None, now: Instant) -> Query:
    return Query(
        query.types,
        query.ids,
        query.id_pattern,
        query.attributes,
        query.where,
        query.place,
        (),
        PURGE_PAGE,
        after,
        alive_at=now,
    )


def _fragment_of(entity: ParsedEntity) -> Fragment:
    return Fragment(entity.attributes, types=entity.types or (entity.type,), expires_at=entity.expires_at)


def _names(chosen: Attributes, fragment: Fragment, *, removed: Sequence[str], scope: bool) -> list[str]:
    """Stored names of what a fragment changed, each once."""
    names = [split_key(key)[0] for key in (*chosen, *removed)]
    if scope:
        names.append(SCOPE)
    if fragment.types:
        names.append("type")
    return list(dict.fromkeys(names))


def _said(key: str) -> str:
    name, dataset_id = split_key(key)
    return name if dataset_id is None else f"{name} with datasetId {dataset_id}"
