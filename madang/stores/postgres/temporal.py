"""The evolution of entities in PostgreSQL: what is not common to all stores (`madang.stores.temporal`).

Rows are asked of a day's partition by its name: the plan then knows one table, and not every day that there is.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import psycopg

from madang.hub.ports import AggregateRow
from madang.ngsild.temporal import AVG, DISTINCT_COUNT, MAX, MIN, STDDEV, SUM, SUMSQ
from madang.stores.postgres.connect import Connection
from madang.stores.temporal import Slice, TemporalReads


class PostgresEvolution(TemporalReads):
    """Figures are summed up and put into their periods by one statement."""

    if TYPE_CHECKING:
        _db: Connection

        def _all(self, text: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]: ...

        def _one(self, text: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> Any: ...

    def _ask(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        return self._all(sql.replace("?", "%s"), values)

    def _ask_one(self, sql: str, values: Sequence[Any] = ()) -> Any:
        return self._one(sql.replace("?", "%s"), values)

    def _sum_up(self, part: Slice) -> list[AggregateRow] | None:
        wanted, window = part.methods, part.window
        number, values = "0", []
        if part.origin is not None and part.length:
            # Counted from the first period with rows: PostgreSQL divides towards zero.
            first = (min(day[1] for day in part.days) - part.origin) // part.length
            number = f"?::bigint + ({part.column} - ?) / ?"
            values = [first, part.origin + first * part.length, part.length]
        figures = ", ".join(
            (
                "count(*), count(number)",
                "count(DISTINCT number)" if DISTINCT_COUNT in wanted else "NULL",
                "sum(number)" if wanted & {SUM, AVG} else "NULL",
                "min(number)" if MIN in wanted else "NULL",
                "max(number)" if MAX in wanted else "NULL",
                "sum(number * number)" if SUMSQ in wanted else "NULL",
                "stddev_pop(number)" if STDDEV in wanted else "NULL",
            )
        )
        try:
            with self._db.transaction():  # a savepoint: figures that are too large must not end the snapshot
                # From the partitioned table, not from one day's: of it no statistics are kept, so the plan reckons with 200 periods
                # and adds up in parallel. Of a day's table it reckons with as many as there are instants, and sorts them all.
                rows = self._ask(
                    f"SELECT {number} AS period, {figures} FROM history WHERE day = ANY(?) AND {part.where}"
                    " GROUP BY period ORDER BY period",
                    [*values, [day for day, _, _ in part.days], *part.values(window.start, window.end)],
                )
        except psycopg.errors.NumericValueOutOfRange:
            return None
        if any(row[1] != row[2] for row in rows):
            return None
        return [AggregateRow(part.key, row[0], row[1], *row[3:]) for row in rows]
