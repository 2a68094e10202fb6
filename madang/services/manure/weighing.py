"""Statistics of an on-board scale: robust levels, and how sure a change between two of them is.

The model of one weight sample, in kg, W being the true gross weight:

    parked:   W + slope(place) + noise          slope: one unknown offset for a place, spread `SLOPE_SHARE` of W
    driving:  W + swings + noise                 swings: braking, curves, hills; larger and without memory of a place

so two levels at the *same* place compare without the slope, but for what it adds to the change itself (`gain_var`); a level at a
place against one from driving carries it once.
Noise is measured for each truck; the registered noise is where it begins.
"""

from collections.abc import Sequence
from math import sqrt

SLOPE_SHARE = 0.015
"""Spread (1 sigma) of the offset that a slope puts on a parked truck's weight, as share of gross. Ours: suspensions carry 1 to 3 %
of the load unevenly on the slopes that a truck parks on."""
MOVING_SLOPE_SHARE = 0.010
"""The same while moving slowly: it averages over the ground passed."""
FLOOR_SHARE = 0.003
"""What no averaging takes away between two driving levels minutes apart (road, temperature, drift), as share of gross. Ours."""
NOISE_SHARE = 0.015
"""Where a truck without a registered noise begins: the middle of the sector's 1 to 2 %."""
DRIVING_NOISE_FACTOR = 1.8
"""Driving noise over parked noise, to begin with. Ours."""
DRIFT_KG_PER_H = 150.0
DRIFT_KG_MAX = 250.0
"""Rain on the tarpaulin, temperature and sensor drift over a silence, 1 sigma. Ours; rain brings 100 to 300 kg."""

_MEAN_ABS_TO_SIGMA = 1.2533
"""sqrt(pi / 2): sigma of a normal distribution over its mean absolute deviation."""


def robust_mean(values: Sequence[float]) -> float:
    """A mean that one broken sample cannot move far: the median of up to 5 values, else the mean without the least and the
    greatest. `values` is not empty.

    >>> robust_mean([10.0, 11.0, 900.0]), robust_mean([0.0, 9.0, 10.0, 10.0, 11.0, 90.0])
    (11.0, 10.0)
    """
    n = len(values)
    if n > 5:
        return (sum(values) - min(values) - max(values)) / (n - 2)
    ordered = sorted(values)
    middle = n // 2
    return float(ordered[middle]) if n % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def robust_share(n: int) -> float:
    """Variance of `robust_mean` of `n` normal values, in units of one value's variance."""
    if n <= 2:
        return 1.0 / n
    return (1.35 if n <= 5 else 1.06) / n


def drift_var(seconds: float) -> float:
    """Variance (kg²) that a silence of so many seconds adds to a level."""
    kg = min(DRIFT_KG_MAX, DRIFT_KG_PER_H * seconds / 3600.0)
    return kg * kg


def gain_var(change: float) -> float:
    """Variance (kg²) of a change of weight weighed at one place: its slope cancels between before and after only for what
    was on the truck at both times; what came or went was weighed with it.

    >>> round(gain_var(-10_000.0) ** 0.5)
    150
    """
    kg = SLOPE_SHARE * change
    return kg * kg


def combine(mean_a: float, var_a: float, mean_b: float, var_b: float) -> tuple[float, float]:
    """Two independent estimates of one value, weighted by how sure each is: (mean, variance)."""
    weight = var_b / (var_a + var_b)
    return mean_a * weight + mean_b * (1.0 - weight), var_a * weight


def next_noise(share: float, residual_share: float, registered: float) -> float:
    """Move a truck's measured noise (1 sigma, share of gross) by one more residual.

    One residual counts at most three sigma, so that a real change of weight or a spike does not pass as noise. The result stays between
    half the registered noise and 8 %.
    """
    size = min(abs(residual_share), 3.0 * share)
    moved = share + 0.03 * (_MEAN_ABS_TO_SIGMA * size - share)
    return min(0.08, max(0.5 * registered, moved))


def sigmas(difference: float, variance: float) -> float:
    """How many standard errors a difference is away from none."""
    return abs(difference) / sqrt(variance)
