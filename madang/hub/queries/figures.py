"""Indicators: figures over a window, computed from what the snapshot holds."""

from collections.abc import Sequence

import structlog

from madang.hub.queries.answers import IndicatorInfo, IndicatorValue, ParameterInfo
from madang.hub.queries.errors import BadQuestion, Refused
from madang.hub.queries.look import Look
from madang.model.entity import Entity
from madang.model.record import Record
from madang.model.time import DAY, Instant
from madang.ngsild.query import Query
from madang.services.contract import Indicator, IndicatorRow

logger = structlog.get_logger(__name__)

ENTITIES_MAX = 500_000
"""Entities of one type that one indicator reads."""
WINDOW_DAYS_MAX = 3_660


class _Data:
    """`madang.services.contract.IndicatorData` over a snapshot; each type is read once."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._entities: dict[str, Sequence[Entity]] = {}
        self._records: dict[str, Sequence[Record]] = {}

    def list_entities(self, type_: str) -> Sequence[Entity]:
        if type_ not in self._entities:
            self._entities[type_] = self._look.read.query(Query(types=(type_,), limit=ENTITIES_MAX)).entities
        return self._entities[type_]

    def list_records(self, type_: str) -> Sequence[Record]:
        if type_ not in self._records:
            self._records[type_] = self._look.read.list_records(type_)
        return self._records[type_]


def list_indicators(look: Look, from_at: Instant | None, to_at: Instant | None) -> list[IndicatorInfo]:
    """All indicators over [from, to); without times the last 30 days. Figures of the whole city are for its staff:
    raises Refused for a caller who acts for a party."""
    if look.caller.party is not None:
        raise Refused("Indicators of the whole city are for its staff.")
    end = look.now if to_at is None else to_at
    start = end - 30 * DAY if from_at is None else from_at
    if not 0 < end - start <= WINDOW_DAYS_MAX * DAY:
        raise BadQuestion("from", f"must lie before `to`, by at most {WINDOW_DAYS_MAX} days")
    parameters = {p.name: look.hub.parameters.value(look.read, p.name) for p in look.hub.parameters.list()}
    data = _Data(look)
    found = []
    for indicator in look.hub.registry.indicators.values():
        rows: list[IndicatorRow] = []
        error = None
        try:
            rows = indicator.compute(data, (start, end), parameters)
        except Exception as problem:
            # One faulty figure must not hide the others: it is logged, and shown where its value would stand.
            logger.exception("indicator failed", indicator=indicator.id)
            error = f"{type(problem).__name__}: this figure could not be computed; the log says why."
        found.append(_info(look, indicator, rows, error))
    return found


def _info(look: Look, indicator: Indicator, rows: Sequence[IndicatorRow], error: str | None) -> IndicatorInfo:
    words = look.hub.words
    return IndicatorInfo(
        id=indicator.id,
        title=look.title(indicator.title, indicator.id),
        unit=words.unit(indicator.unit, look.lang),
        method=look.title(indicator.method),
        rows=[
            IndicatorValue(
                label=look.say(row.label),
                value=row.value,
                text=words.value(row.value, row.unit, look.lang) if row.value is not None else "",
                unit=words.unit(row.unit, look.lang),
                interval=row.interval,
                sample_size=row.sample_size,
                refused=look.say(row.reason) if row.value is None else None,
            )
            for row in rows
        ],
        error=error,
    )


def list_parameters(look: Look) -> list[ParameterInfo]:
    """Limits that the city may set, with the values in force."""
    return [
        ParameterInfo(
            name=declared.name,
            title=look.title(declared.title, declared.name),
            value=look.hub.parameters.value(look.read, declared.name),
            default=declared.default,
            source=declared.source,
            minimum=declared.minimum,
            maximum=declared.maximum,
        )
        for declared in look.hub.parameters.list()
    ]
