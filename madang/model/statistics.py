"""Intervals for figures: what a count can and cannot say. All two-sided, 95 % unless told otherwise.

Proportions: Wilson (1927), recommended by Newcombe (1998, Statistics in Medicine 17:857–872, method 3). Counts: exact Poisson limits
of Garwood (1936, Biometrika 28:437–442). Two rates: the exact conditional test (Przyborowski and Wilenski 1940,
Biometrika 31:313–323) with Clopper–Pearson limits. Incomplete beta and gamma functions: DLMF 8.9 and 8.17.
"""

from collections.abc import Callable, Iterable
from math import exp, lgamma, log, sqrt

Interval = tuple[float, float]
"""(lower, upper)."""

Z_95 = 1.959963984540054
"""Normal quantile of 0.975."""
ALPHA_95 = 0.05
_STEPS_MAX = 10_000
_TINY = 1e-300


def wilson_interval(successes: float, total: float, z: float = Z_95) -> Interval:
    """Wilson's score interval of a proportion. `total` may be an effective, broken number. (0, 1) when total is 0: nothing
    is known. Raises ValueError unless 0 <= successes <= total.

    >>> [round(x, 4) for x in wilson_interval(81, 263)]  # Newcombe 1998, table I
    [0.2553, 0.3662]
    """
    if not 0 <= successes <= total:
        raise ValueError(f"{successes} of {total} is no proportion")
    if total == 0:
        return 0.0, 1.0
    p = successes / total
    centre = p + z * z / (2 * total)
    half = z * sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def poisson_interval(count: int, alpha: float = ALPHA_95) -> Interval:
    """Exact limits of a Poisson mean after `count` events; divide by the exposure for a rate. Raises ValueError for a
    negative count.

    >>> [round(x, 3) for x in poisson_interval(5)]  # Garwood 1936
    [1.623, 11.668]
    """
    if count < 0:
        raise ValueError(f"{count} is no count")
    top = 2.0 * count + 50
    lower = 0.0 if count == 0 else _solve(lambda mean: gamma_p(count, mean) - alpha / 2, 0.0, top)
    upper = _solve(lambda mean: gamma_p(count + 1, mean) - (1 - alpha / 2), 0.0, top)
    return lower, upper


def binomial_interval(successes: int, total: int, alpha: float = ALPHA_95) -> Interval:
    """Clopper–Pearson limits of a proportion: never too narrow, often too wide. Raises ValueError unless
    0 <= successes <= total.

    >>> [round(x, 4) for x in binomial_interval(81, 263)]  # Newcombe 1998, table I
    [0.2527, 0.3676]
    """
    if not 0 <= successes <= total:
        raise ValueError(f"{successes} of {total} is no proportion")
    lower, upper = 0.0, 1.0
    if successes > 0:
        lower = _solve(lambda p: beta_i(successes, total - successes + 1, p) - alpha / 2, 0.0, 1.0)
    if successes < total:
        upper = _solve(lambda p: beta_i(successes + 1, total - successes, p) - (1 - alpha / 2), 0.0, 1.0)
    return lower, upper


def rate_ratio_interval(
    count_a: int, exposure_a: float, count_b: int, exposure_b: float, alpha: float = ALPHA_95
) -> tuple[float | None, float, float | None]:
    """(ratio, lower, upper) of the rate of A to that of B, two Poisson counts over exposures (days, truck-days).

    Exact, conditional on the sum of both counts. The ratio and the upper limit are None (no bound) when B has no event.
    Raises ValueError for negative counts or an exposure that is not positive.
    """
    if min(count_a, count_b) < 0 or min(exposure_a, exposure_b) <= 0:
        raise ValueError("a rate needs a count of at least 0 and an exposure above 0")
    scale = exposure_b / exposure_a
    low, high = binomial_interval(count_a, count_a + count_b, alpha)
    if count_b == 0:
        return None, (low / (1 - low)) * scale if low < 1 else 0.0, None
    return count_a / count_b * scale, low / (1 - low) * scale, high / (1 - high) * scale if high < 1 else None


def ratio_of_ratios_interval(
    treated_before: int, treated_after: int, control_before: int, control_after: int, z: float = Z_95
) -> tuple[float, float, float] | None:
    """(ratio, lower, upper) of (after / before) where something was changed to (after / before) where nothing was: an effect with
    its comparison. Both places have the same two exposures, which cancel out. On the log scale the variance is the sum of
    the counts' reciprocals (delta method). None when a count is 0: then no ratio can be given."""
    counts = (treated_before, treated_after, control_before, control_after)
    if min(counts) <= 0:
        return None
    middle = log(treated_after / treated_before) - log(control_after / control_before)
    half = z * sqrt(sum(1 / c for c in counts))
    return exp(middle), exp(middle - half), exp(middle + half)


def weighted_share_interval(clusters: Iterable[tuple[float, float]], z: float = Z_95) -> tuple[float, Interval] | None:
    """(share, interval) of a sum of parts in a sum of wholes, e.g. tonnes under a manifest in all tonnes.

    `clusters`: (part, whole) of independent units (trucks: one driver's habits repeat in all of his loads), 0 <= part <= whole.
    The share is the ratio of sums. The interval is Wilson's with an effective sample size (Korn and Graubard 1998,
    Survey Methodology 24:193–201): p(1−p) over the linearised variance of the ratio between clusters, at most Kish's
    (sum w)² / sum w². None when the wholes sum to nothing.
    """
    units = [(part, whole) for part, whole in clusters if whole > 0]
    total = sum(whole for _, whole in units)
    if total <= 0:
        return None
    share = min(1.0, max(0.0, sum(part for part, _ in units) / total))
    effective = total * total / sum(whole * whole for _, whole in units)
    count = len(units)
    if count > 1:
        spread = sum((part - share * whole) ** 2 for part, whole in units)
        variance = count / (count - 1) * spread / (total * total)
        if variance > 0:
            effective = min(effective, share * (1 - share) / variance)
    effective = max(effective, 1.0)
    return share, wilson_interval(share * effective, effective, z)


# --- special functions -----------------------------------------------------------------------------------------------


def gamma_p(a: float, x: float) -> float:
    """Regularised lower incomplete gamma function P(a, x), a > 0: by its series (DLMF 8.11.4) below a + 1, else by the
    continued fraction of Q (DLMF 8.9.2)."""
    if x <= 0:
        return 0.0
    front = exp(a * log(x) - x - lgamma(a))
    if x < a + 1:
        term = total = 1.0 / a
        for n in range(1, _STEPS_MAX):
            term *= x / (a + n)
            total += term
            if term < total * 1e-16:
                break
        return min(1.0, front * total)

    def step(n: int) -> tuple[float, float]:
        return -n * (n - a), x + 2 * n + 1 - a

    return max(0.0, 1.0 - front / _fraction(x + 1 - a, step))


def beta_i(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function I_x(a, b), a, b > 0: by its continued fraction (DLMF 8.17.22)."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - beta_i(b, a, 1 - x)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(1 - x)) / a

    def step(n: int) -> tuple[float, float]:
        m = n // 2
        if n % 2 == 0:
            return m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)), 1.0
        return -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)), 1.0

    return min(1.0, front / _fraction(1.0, step))


def _fraction(first: float, step: Callable[[int], tuple[float, float]]) -> float:
    """The continued fraction first + n1/(d1 + n2/(d2 + …)), step(k) = (nk, dk), by Lentz's method (DLMF 3.10)."""
    value = first or _TINY
    c, d = value, 0.0
    for k in range(1, _STEPS_MAX):
        numerator, denominator = step(k)
        d = 1.0 / ((denominator + numerator * d) or _TINY)
        c = (denominator + numerator / c) or _TINY
        value *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return value


def _solve(rising: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function passes zero in [low, high], by halving."""
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if rising(middle) < 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
