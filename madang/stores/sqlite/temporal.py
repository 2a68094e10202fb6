"""The evolution of entities in the embedded store: what is not common to all stores (`madang.stores.temporal`)."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from madang.hub.ports import AggregateRow
from madang.model.time import Instant
from madang.ngsild.temporal import AVG, DISTINCT_COUNT, MAX, MIN, STDDEV, SUM, SUMSQ
from madang.stores.temporal import Slice, TemporalReads


class SqliteEvolution(TemporalReads):
    """Values are marked with ``?`` as in the common part. Figures are summed up one period after the other: the key is in the order
    of time, and SQLite would sort the rows to group them."""

    if TYPE_CHECKING:

        def _all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]: ...

        def _one(self, sql: str, values: Sequence[Any] = ()) -> Any: ...

    def _ask(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        return self._all(sql, values)

    def _ask_one(self, sql: str, values: Sequence[Any] = ()) -> Any:
        return self._one(sql, values)

    def _sum_up(self, part: Slice) -> list[AggregateRow] | None:
        rows = []
        for number, start, end in _spans(part):
            days = [day for day, first, last in part.days if first < end and last >= start]
            if not days:
                continue
            row = self._figures_of(number, part, days, part.values(start, end))
            if row is None:
                return None
            if row.count:
                rows.append(row)
        return rows

    def _figures_of(self, number: int, part: Slice, days: Sequence[Any], values: list[Any]) -> AggregateRow | None:
        """Figures of one period; None when some instances are no numbers."""
        wanted = part.methods
        source = " UNION ALL ".join(f"SELECT number FROM history_{day} WHERE {part.where}" for day in days)
        values = values * len(days)
        # Deviations are summed around a value of the attribute itself, so that large values keep their small differences.
        around = (
            self._one(f"SELECT number FROM ({source}) WHERE number IS NOT NULL LIMIT 1", values)
            if STDDEV in wanted
            else None
        )
        shift = [] if around is None else [around[0]] * 3
        figures = ", ".join(
            (
                "count(*), count(number)",
                "count(DISTINCT number)" if DISTINCT_COUNT in wanted else "NULL",
                "sum(number)" if wanted & {SUM, AVG} else "NULL",
                "min(number)" if MIN in wanted else "NULL",
                "max(number)" if MAX in wanted else "NULL",
                "sum(number * number)" if SUMSQ in wanted else "NULL",
                "sum(number - ?), sum((number - ?) * (number - ?))" if shift else "NULL, NULL",
            )
        )
        row = self._one(f"SELECT {figures} FROM ({source})", [*shift, *values])
        count, numbers, distinct, total, least, most, squares, *deviations = row
        if count != numbers:
            return None
        deviation = _deviation(count, *deviations)
        return AggregateRow(part.key, number, count, distinct, total, least, most, squares, deviation)


def _spans(part: Slice) -> Iterator[tuple[int, Instant, Instant]]:
    """(number, start, end) of the periods that may hold something, within the window."""
    window, origin, length = part.window, part.origin, part.length
    if origin is None or not length:
        yield 0, window.start, window.end
        return
    first, last = min(row[1] for row in part.days), max(row[2] for row in part.days)
    for number in range((first - origin) // length, (last - origin) // length + 1):
        start = origin + number * length
        yield number, max(start, window.start), min(start + length, window.end)


def _deviation(count: int, total: float | None, squares: float | None) -> float | None:
    if total is None or squares is None:
        return None
    return float(max(0.0, squares / count - (total / count) ** 2) ** 0.5)
