"""Names of the operations that a context source offers, and their groups (clause 4.20)."""

from collections.abc import Iterable

from madang.ngsild.errors import NgsiLdError

_TYPES = ("retrieveEntityTypes", "retrieveEntityTypeDetails", "retrieveEntityTypeInfo")
_ATTRS = ("retrieveAttrTypes", "retrieveAttrTypeDetails", "retrieveAttrTypeInfo")
_WRITES = ("createEntity", "updateEntity", "appendAttrs", "updateAttrs", "deleteAttrs", "deleteEntity", "mergeEntity",
           "replaceEntity", "replaceAttrs", "purgeEntity")  # fmt: skip
_SUBSCRIPTIONS = ("createSubscription", "updateSubscription", "retrieveSubscription", "querySubscription",
                  "deleteSubscription")  # fmt: skip
_MAPS = ("createEntityMap", "updateEntityMap", "deleteEntityMap", "retrieveEntityMap")

GROUPS: dict[str, frozenset[str]] = {
    "federationOps": frozenset(
        ("retrieveEntity", "queryEntity", "queryBatch", *_TYPES, *_ATTRS, *_SUBSCRIPTIONS, *_MAPS)
    ),
    "updateOps": frozenset(("updateEntity", "updateAttrs", "replaceEntity", "replaceAttrs")),
    "retrieveOps": frozenset(("retrieveEntity", "queryEntity")),
    "redirectionOps": frozenset((*_WRITES, "retrieveEntity", "queryEntity", *_TYPES, *_ATTRS)),
}
OPERATIONS = frozenset(
    (*_WRITES, *_TYPES, *_ATTRS, *_SUBSCRIPTIONS, *_MAPS, "createBatch", "upsertBatch", "updateBatch", "deleteBatch",
     "mergeBatch", "retrieveEntity", "queryEntity", "queryBatch", "retrieveTemporal", "queryTemporal", "upsertTemporal",
     "appendAttrsTemporal", "deleteAttrsTemporal", "updateAttrsTemporal", "deleteAttrInstanceTemporal",
     "deleteTemporal")
)  # fmt: skip
DEFAULT_OPERATIONS = ("federationOps",)


def expand_operations(names: Iterable[str], where: str = "operations") -> frozenset[str]:
    """The operations that these names and groups stand for. Raises NgsiLdError for an unknown one.

    >>> sorted(expand_operations(["retrieveOps", "createBatch"]))
    ['createBatch', 'queryEntity', 'retrieveEntity']
    """
    found: set[str] = set()
    for name in names:
        if name in GROUPS:
            found |= GROUPS[name]
        elif name in OPERATIONS:
            found.add(name)
        else:
            raise NgsiLdError(f"{str(name)[:80]!r} is neither an operation nor a group of clause 4.20", where)
    return frozenset(found)
