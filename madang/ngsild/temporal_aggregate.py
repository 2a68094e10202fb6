"""Aggregation methods over instances of any kind (clause 4.5.19, table 4.5.19.1-1). Pure.

Truth values count as 0 and 1, texts and instants have an order but no sum, arrays are counted by their size, objects are only counted.
What a method has no meaning for gives None, and is left out.
"""

from collections.abc import Sequence
from math import fsum
from typing import Any

from madang.ngsild.temporal import AVG, DISTINCT_COUNT, MAX, MIN, STDDEV, SUM, SUMSQ, TOTAL_COUNT


def aggregate_values(method: str, values: Sequence[Any]) -> Any:
    """One figure of the values of one period; None: it has none.

    >>> aggregate_values("stddev", [2, 4, 4, 4, 5, 5, 7, 9]), aggregate_values("max", ["a", "b"])
    (2.0, 'b')
    """
    if method == TOTAL_COUNT:
        return len(values)
    if method == DISTINCT_COUNT:
        return len({repr(value) for value in values})
    if method in (MIN, MAX) and values and all(isinstance(value, str) for value in values):
        return min(values) if method == MIN else max(values)
    numbers = [number for number in map(_number, values) if number is not None]
    if not numbers or len(numbers) < len(values):
        return None
    total = fsum(numbers)
    mean = total / len(numbers)
    match method:
        case "sum":
            return total
        case "avg":
            return mean
        case "min":
            return min(numbers)
        case "max":
            return max(numbers)
        case "sumsq":
            return fsum(number * number for number in numbers)
        case "stddev":
            return (fsum((number - mean) ** 2 for number in numbers) / len(numbers)) ** 0.5
    raise ValueError(f"unknown method {method!r}; known: {SUM}, {AVG}, {SUMSQ}, {STDDEV}, …")


def _number(value: Any) -> float | None:
    if isinstance(value, int | float):
        return float(value)
    return float(len(value)) if isinstance(value, list) else None
