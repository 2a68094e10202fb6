"""Writing entities over the API. A record's governed attributes change only by actions of its procedure (DESIGN §1)."""

from concurrent.futures import Future

from msgspec import Struct

from madang.access.roles import ENTITY_WRITE
from madang.hub.ports import Store, Tx
from madang.hub.registry import Registry
from madang.model.caller import Caller
from madang.model.entity import Attributes
from madang.ngsild.parse import ParsedEntity


class EntityError(Exception):
    """Nothing happened to the entity."""


class EntityForbidden(EntityError):
    """The caller may not write entities."""


class EntityExists(EntityError):
    """There is one with this id already."""


class EntityNotFound(EntityError):
    """There is none with this id."""


class EntityGoverned(EntityError):
    """It is a record: take an action of its procedure instead."""


class TypeDiffers(EntityError):
    """The entity has another type, and a type does not change."""


class Written(Struct, frozen=True):
    """What became of a batch: ids in the order given, errors by id."""

    created: list[str]
    updated: list[str]
    errors: dict[str, EntityError]


class Entities:
    """Use cases; each gives a future that is done when the result is durable."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry

    def create(self, caller: Caller, entity: ParsedEntity) -> "Future[None]":
        """Errors: EntityForbidden (at once); EntityExists, EntityGoverned (in the future)."""
        _require(caller)

        def op(tx: Tx) -> None:
            self._check_type(entity.type)
            if tx.find_entity(entity.id) is not None:
                raise EntityExists(f"{entity.id} exists already; change it, or choose another id")
            self._put(tx, caller, entity, replace=True)

        return self._store.write(op)

    def upsert(self, caller: Caller, entities: list[ParsedEntity], *, update: bool) -> "Future[Written]":
        """Create or change each; `update` keeps attributes that are not given. One faulty entity does not stop the others."""
        _require(caller)

        def op(tx: Tx) -> Written:
            written = Written([], [], {})
            for entity in entities:
                try:
                    known = tx.find_entity(entity.id)
                    self._check_type(entity.type if known is None else known.type)
                    if known is not None and known.type != entity.type:
                        raise TypeDiffers(f"{entity.id} is a {known.type}, not a {entity.type}")
                except EntityError as error:
                    written.errors[entity.id] = error
                    continue
                self._put(tx, caller, entity, replace=not update)
                (written.created if known is None else written.updated).append(entity.id)
            return written

        return self._store.write(op)

    def append(self, caller: Caller, id_: str, attributes: Attributes, *, overwrite: bool) -> "Future[list[str]]":
        """Add attributes; those there already are replaced, or left alone without `overwrite`: their names are given back.
        Errors in the future: EntityNotFound, EntityGoverned."""
        return self._change(caller, id_, attributes, only_new=not overwrite, only_known=False)

    def update(self, caller: Caller, id_: str, attributes: Attributes) -> "Future[list[str]]":
        """Change attributes that are there; the names of those that are not are given back. Errors as `append`."""
        return self._change(caller, id_, attributes, only_new=False, only_known=True)

    def delete(self, caller: Caller, id_: str) -> "Future[None]":
        """Errors in the future: EntityNotFound, EntityGoverned."""
        _require(caller)

        def op(tx: Tx) -> None:
            self._get(tx, id_)
            tx.delete_entity(id_, caller.principal)

        return self._store.write(op)

    def _change(
        self, caller: Caller, id_: str, attributes: Attributes, *, only_new: bool, only_known: bool
    ) -> "Future[list[str]]":
        _require(caller)

        def op(tx: Tx) -> list[str]:
            type_, known = self._get(tx, id_)
            left = [name for name in attributes if (only_new and name in known) or (only_known and name not in known)]
            chosen = {name: attribute for name, attribute in attributes.items() if name not in left}
            if chosen:
                self._put(tx, caller, ParsedEntity(id_, type_, chosen), replace=False)
            return left

        return self._store.write(op)

    def _get(self, tx: Tx, id_: str) -> tuple[str, Attributes]:
        entity = tx.find_entity(id_)
        if entity is None:
            raise EntityNotFound(f"there is no {id_}")
        self._check_type(entity.type)
        return entity.type, entity.attributes

    def _check_type(self, type_: str) -> None:
        if self._registry.is_record(type_):
            raise EntityGoverned(
                f"a {type_} changes only by the actions of its procedure: POST /api/records/{{id}}/actions/{{action}}"
            )

    def _put(self, tx: Tx, caller: Caller, entity: ParsedEntity, *, replace: bool) -> None:
        reference = self._registry.is_reference(entity.type)
        tx.put_entity(entity.id, entity.type, entity.attributes, caller.principal, reference=reference, replace=replace)


def _require(caller: Caller) -> None:
    if not caller.may(ENTITY_WRITE):
        raise EntityForbidden(f"writing entities needs the permission {ENTITY_WRITE}")
