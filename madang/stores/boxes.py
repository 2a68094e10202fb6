"""Bounding boxes in degrees that never leave out a candidate."""

from madang.model.geometry import Box

_DEGREES_PER_M = 1 / 110_000
"""Generous: turns metres into degrees of latitude that are never too few."""


def box_around(bounds: Box, radius_m: float) -> Box | None:
    """A box that holds everything within `radius_m` metres of `bounds`; None near the poles, where none helps.

    >>> box_around((0.0, 0.0, 0.0, 0.0), 1_100)
    (-0.01, -0.01, 0.01, 0.01)
    """
    west, south, east, north = bounds
    margin = radius_m * _DEGREES_PER_M
    widest = max(abs(south), abs(north)) + margin
    if widest > 80:
        return None
    # One degree of longitude at 80 degrees is 1/5.8 of one at the equator.
    factor = 1.0 if widest < 30 else (2.0 if widest < 60 else 5.8)
    return west - margin * factor, south - margin, east + margin * factor, north + margin
