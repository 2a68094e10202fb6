"""Policy: what of a type a caller may see, as a query predicate and a mask (DESIGN §4).

City staff (no party) see every entity whose permission they hold. A caller who acts for a farm, carrier or plant sees
of a type that declares `parties` only what names its own party, or a thing that its party owns; of reference data (the
map, the registers) everything; of any other type nothing. The same predicate goes before lists, maps, streams, exports
and counts.
"""

from collections.abc import Collection, Mapping
from typing import Any

from msgspec import Struct

from madang.access.roles import ENTITY_READ
from madang.model.caller import Caller
from madang.model.entity import Attributes, value_of
from madang.ngsild.query import Compare, Or

OWN_IDS_MAX = 10_000
"""Ids that a party owns and a predicate lists; a carrier with more vehicles than that needs another predicate."""


class Subject(Struct, frozen=True):
    """What policy must know of a type."""

    type: str
    kind: str
    """``thing``, ``reference``, ``derived`` or ``record``."""
    data_class: str = "internal"
    parties: tuple[str, ...] = ()
    """Attributes that name the parties whom an entity of the type concerns."""
    read_permission: str = ENTITY_READ


class Everything(Struct, frozen=True):
    """No restriction."""


class Nothing(Struct, frozen=True):
    """Not one entity of the type."""


Scope = Everything | Nothing | Or
"""What of a type is visible; an Or is the predicate to add to the query's `where`."""


def scope(caller: Caller, subject: Subject, own_ids: Collection[str] = ()) -> Scope:
    """What of `subject` the caller sees. `own_ids`: ids of things its party owns (vehicles); the party itself is added.

    >>> officer = Caller("token:kim", "officer", frozenset({"entity.read"}))
    >>> scope(officer, Subject("Vehicle", "thing", parties=("owner",)))
    Everything()
    """
    if not caller.may(subject.read_permission):
        return Nothing()
    if caller.party is None:
        return Everything()
    if subject.parties:
        own = [caller.party, *sorted(set(own_ids) - {caller.party})][:OWN_IDS_MAX]
        return Or(tuple(Compare(name, "==", own) for name in subject.parties))
    if subject.kind == "reference" and subject.data_class in ("public", "internal"):
        return Everything()
    return Nothing()


def sees(
    caller: Caller,
    subject: Subject,
    values: Mapping[str, Any],
    own_ids: Collection[str] = (),
    entity_id: str = "",
) -> bool:
    """The same rule for one entity at hand: `values` are its plain values by attribute name. A list names each of its
    items. The party's own entity and the things it owns are always its own to see."""
    visible = scope(caller, subject, own_ids)
    if isinstance(visible, Everything):
        return True
    if isinstance(visible, Nothing):
        return False
    own = {caller.party, *own_ids}
    if entity_id and entity_id in own:
        return True
    for name in subject.parties:
        value = values.get(name)
        named = value if isinstance(value, list | tuple) else (value,)
        if any(isinstance(item, str) and item in own for item in named):
            return True
    return False


def plain_values(attributes: Attributes) -> dict[str, Any]:
    """Attributes as plain values by name, for `sees`."""
    return {name: value_of(attribute) for name, attribute in attributes.items() if isinstance(attribute, dict)}


class Mask(Struct, frozen=True):
    """Names whose values are hidden from a caller. Empty: nothing hidden."""

    names: frozenset[str] = frozenset()

    def apply(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values without the hidden ones."""
        return {name: value for name, value in values.items() if name not in self.names}


PERSONAL_NAMES = frozenset({"driver", "signatures", "person", "typedBy"})
"""Data names that hold a person's name until the vault holds them (ours): shown to those who act on the record."""


def mask_of(caller: Caller, subject: Subject) -> Mask:
    """What to hide of a visible entity: people's names from those who only look (no permission but reading)."""
    acts = any(not permission.endswith(".read") for permission in caller.permissions)
    return Mask() if acts else Mask(PERSONAL_NAMES)
