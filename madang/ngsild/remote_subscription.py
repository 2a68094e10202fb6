"""The copy of a subscription that another broker gets (ETSI GS CIM 009 clause 5.8.1.4): as much of it as that broker's registration
covers, told to this broker instead of the subscriber. Pure.

With `splitEntities` an entity's parts may lie at several brokers, so a condition holds for none of them alone: the copy has none, and
what comes in is merged and judged here (clause 5.8.6).
"""

from collections.abc import Mapping
from typing import Any

from madang.ngsild.context import Context
from madang.ngsild.federation import Part, parts_of
from madang.ngsild.registration import AUXILIARY, Registration, Selection, concerns
from madang.ngsild.subscription import TYPE, TYPE_NAME

CREATE, DELETE = "createSubscription", "deleteSubscription"
_AS_THEY_ARE = (
    "notificationTrigger",
    "timeInterval",
    "throttling",
    "expiresAt",
    "isActive",
    "splitEntities",
    "datasetId",
)
_CONDITIONS = ("q", "scopeQ")


def selections_of(stored: Mapping[str, Any]) -> list[Selection]:
    """Which entities a subscription (stored form) is about, one for each of its selectors."""
    found = []
    for entity in stored.get("entities", ({},)):
        types = tuple(name for name in TYPE_NAME.findall(entity.get("type", "*")) if name != "*")
        ids = entity.get("id", ())
        found.append(Selection(types, (ids,) if isinstance(ids, str) else tuple(ids), entity.get("idPattern")))
    return found


def part_for(stored: Mapping[str, Any], registration: Registration) -> Part | None:
    """What of the subscription the registration's broker can tell; None: nothing, or it takes no subscriptions. An auxiliary one is only
    read (clause 4.3.6.2)."""
    if registration.mode == AUXILIARY or CREATE not in registration.operations:
        return None
    parts = [part for asked in selections_of(stored) for part in parts_of([registration], asked)]
    if not parts:
        return None
    every = any(not part.entities for part in parts)
    entities = () if every else tuple(dict.fromkeys(e for part in parts for e in part.entities))
    names = () if any(not p.names for p in parts) else tuple(dict.fromkeys(n for p in parts for n in p.names))
    part = Part(registration, entities, names)
    return None if "watchedAttributes" in stored and not _watched(stored, part) else part


def _watched(stored: Mapping[str, Any], part: Part) -> list[str]:
    return [name for name in stored.get("watchedAttributes", ()) if not part.names or name in part.names]


def reduced_copy(
    stored: Mapping[str, Any], part: Part, id_: str, uri: str, context: Context, *, whole: bool
) -> dict[str, Any]:
    """The document for the registration's broker, in the names of `context`. `uri`: where this broker hears of it; `whole`: with the
    conditions, which are written in the names of `context`, too."""
    copy: dict[str, Any] = {"id": id_, "type": TYPE}
    if "entities" in stored or part.entities:
        copy["entities"] = _entities(stored, part, context)
    if "watchedAttributes" in stored:
        copy["watchedAttributes"] = [context.shown_name(name) for name in _watched(stored, part)]
    for name in _AS_THEY_ARE:
        if name in stored:
            copy[name] = stored[name]
    if whole:
        for name in _CONDITIONS:
            if name in stored:
                copy[name] = stored[name]
        if "geoQ" in stored:
            copy["geoQ"] = {k: context.shown_name(v) if k == "geoproperty" else v for k, v in stored["geoQ"].items()}
        if "expandValues" in stored:
            copy["expandValues"] = [context.shown_name(name) for name in stored["expandValues"]]
    copy["notification"] = {"endpoint": {"uri": uri, "accept": "application/json"}}
    if part.names:
        copy["notification"]["attributes"] = [context.shown_name(name) for name in part.names]
    return copy


def _entities(stored: Mapping[str, Any], part: Part, context: Context) -> list[dict[str, Any]]:
    """Selectors that both the subscription and the registration have."""
    found: list[dict[str, Any]] = []
    for asked, given in zip(selections_of(stored), stored.get("entities", ({},)), strict=True):
        if not part.entities:
            shown = {k: v for k, v in given.items() if k != "type"}
            types = TYPE_NAME.sub(lambda m: context.shown_name(m.group()), given.get("type", "*"))
            found.append({**shown, "type": given["type"] if given.get("type") == "*" else types})
            continue
        for info in part.entities:
            if not concerns(info, asked):
                continue
            ids = [info.id] if info.id is not None else [id_ for id_ in asked.ids if info.may_be(id_)]
            pattern = info.id_pattern or asked.id_pattern
            for type_ in (name for name in info.types if not asked.types or name in asked.types):
                selector: dict[str, Any] = {"type": context.shown_name(type_)}
                if ids:
                    found += [{**selector, "id": id_} for id_ in ids]
                else:
                    found.append({**selector, "idPattern": pattern} if pattern is not None else selector)
    return [selector for place, selector in enumerate(found) if selector not in found[:place]]
