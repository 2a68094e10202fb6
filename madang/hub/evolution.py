"""Writing the evolution of entities: the temporal API (ETSI GS CIM 009 clauses 5.6.11 to 5.6.16).

An entity and its evolution are one thing here: an instance that is newer than the state becomes the state, and whoever deletes an entity
deletes its evolution. One that only the temporal API has written goes away with its evolution; any other one stays as it is
now (docs/adr/0027). Records stay governed by their procedure.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from madang.access.roles import ENTITY_WRITE
from madang.hub.entities import EntityForbidden, EntityGoverned, EntityNotFound
from madang.hub.ports import InstanceRow, Store, Tx
from madang.hub.registry import Registry
from madang.model.caller import Caller
from madang.model.entity import Attribute, Entity, alive_at, instance_key, split_key
from madang.model.time import render_instant
from madang.ngsild.patch import update_partially
from madang.ngsild.temporal import CREATED_AT, DELETED_AT, Window
from madang.ngsild.temporal_parse import ParsedEvolution
from madang.ngsild.values import VALUE_MEMBERS

INSTANCES_LOOKED_AT = 1_000_000
"""Instances of one attribute among which an instance to change is looked for."""


class Evolutions:
    """Use cases; see the module's docstring. Each raises EntityForbidden at once; other errors come in the future: EntityNotFound,
    EntityGoverned."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry

    def put(self, caller: Caller, parsed: ParsedEvolution) -> "Future[bool]":
        """Create an entity with its evolution, or add to one (clause 5.6.11). True: it was created."""

        def op(tx: Tx) -> bool:
            assert parsed.id is not None
            known = self._find(tx, parsed.id)
            old = () if known is None else known.all_types
            types = tuple(dict.fromkeys((*old, *parsed.types)))
            self._check(types)
            self._put(tx, caller, parsed.id, types, parsed)
            return known is None

        return self._write(caller, op)

    def add(self, caller: Caller, id_: str, parsed: ParsedEvolution) -> "Future[None]":
        """Add instances to an evolution (clause 5.6.12)."""

        def op(tx: Tx) -> None:
            known = self._get(tx, id_)
            types = tuple(dict.fromkeys((*known.all_types, *parsed.types)))
            self._check(types)
            self._put(tx, caller, id_, types, parsed)

        return self._write(caller, op)

    def delete_attribute(
        self, caller: Caller, id_: str, name: str, dataset_id: str | None, *, every: bool
    ) -> "Future[None]":
        """Take an attribute's evolution away: of one instance, or of `every` one (clause 5.6.13)."""

        def op(tx: Tx) -> None:
            self._get(tx, id_)
            key = instance_key(name, dataset_id)
            keys = [k for k in tx.list_evolving(id_) if (split_key(k)[0] == name if every else k == key)]
            if not keys:
                raise EntityNotFound(f"{id_} has no evolution of {name}" + (f" {dataset_id}" if dataset_id else ""))
            tx.cut_evolution(id_, keys)

        return self._write(caller, op)

    def change_instance(self, caller: Caller, id_: str, name: str, token: str, fragment: Attribute) -> "Future[None]":
        """Change members of one instance (clauses 5.6.14, 5.5.8). Errors also: NgsiLdError for content of another type."""

        def op(tx: Tx) -> None:
            entity = self._get(tx, id_)
            row = self._instance(tx, id_, name, token)
            old = whole_instance(row, entity)
            given = {k: v for k, v in fragment.items() if k != "datasetId"}
            if not tx.edit_instance(id_, row.key, token, update_partially(old, given, name), caller.principal):
                raise EntityNotFound(f"{id_} has no such instance of {name}")

        return self._write(caller, op)

    def delete_instance(self, caller: Caller, id_: str, name: str, token: str) -> "Future[None]":
        """Take one instance away (clause 5.6.15)."""

        def op(tx: Tx) -> None:
            self._get(tx, id_)
            row = self._instance(tx, id_, name, token)
            if not tx.edit_instance(id_, row.key, token, None, caller.principal):
                raise EntityNotFound(f"{id_} has no such instance of {name}")

        return self._write(caller, op)

    def delete(self, caller: Caller, id_: str) -> "Future[None]":
        """Take the evolution away (clause 5.6.16), and the entity with it when nothing else ever wrote it."""

        def op(tx: Tx) -> None:
            self._get(tx, id_)
            if tx.is_evolution_only(id_):
                tx.delete_entity(id_, caller.principal)
                return
            if not tx.list_evolving(id_):
                raise EntityNotFound(f"{id_} has no evolution")
            tx.cut_evolution(id_, None)

        return self._write(caller, op)

    # --- shared ---

    def _write(self, caller: Caller, op: Callable[[Tx], Any]) -> "Future[Any]":
        if not caller.may(ENTITY_WRITE):
            raise EntityForbidden(f"writing entities needs the permission {ENTITY_WRITE}")
        return self._store.write(op)

    def _put(self, tx: Tx, caller: Caller, id_: str, types: Sequence[str], parsed: ParsedEvolution) -> None:
        tx.put_instances(
            id_,
            types[0],
            parsed.instances,
            caller.principal,
            reference=self._registry.is_reference(types[0]),
            types=types if len(types) > 1 else None,
            scopes=parsed.scopes,
            expires_at=parsed.expires_at,
        )

    @staticmethod
    def _find(tx: Tx, id_: str) -> Entity | None:
        entity = tx.find_entity(id_)
        return None if entity is None else alive_at(entity, tx.now)

    def _get(self, tx: Tx, id_: str) -> Entity:
        entity = self._find(tx, id_)
        if entity is None:
            raise EntityNotFound(f"there is no {id_}")
        self._check(entity.all_types)
        return entity

    def _check(self, types: Sequence[str]) -> None:
        for type_ in types:
            if self._registry.is_record(type_):
                raise EntityGoverned(f"a {type_} changes only by the actions of its procedure")

    @staticmethod
    def _instance(tx: Tx, id_: str, name: str, token: str) -> InstanceRow:
        keys = [key for key in tx.list_evolving(id_) if split_key(key)[0] == name]
        for property_ in (CREATED_AT, DELETED_AT) if token else ():
            for row in tx.list_instances(id_, keys, Window(property_), INSTANCES_LOOKED_AT, newest=True):
                if row.token == token:
                    return row
        raise EntityNotFound(f"{id_} has no such instance of {name}")


def whole_instance(row: InstanceRow, entity: Entity) -> Attribute:
    """An instance as NGSI-LD has it. Of a device's reading the value and its time were kept; kind and unit are the attribute's as it
    stands now."""
    if row.attribute is not None:
        return row.attribute
    known = entity.attributes.get(row.key, {})
    kind = known.get("type")
    if kind is None:
        is_place = isinstance(row.value, dict) and "coordinates" in row.value
        kind = "GeoProperty" if is_place else "Property"
    attribute: Attribute = {"type": kind, VALUE_MEMBERS.get(kind, "value"): row.value}
    if "unitCode" in known:
        attribute["unitCode"] = known["unitCode"]
    attribute["observedAt"] = render_instant(row.observed_at)
    dataset_id = split_key(row.key)[1]
    return attribute if dataset_id is None else {**attribute, "datasetId": dataset_id}
