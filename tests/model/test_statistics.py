"""Intervals against published tables and against sums worked out another way."""

from math import comb, exp, factorial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.model.statistics import (
    beta_i,
    binomial_interval,
    gamma_p,
    poisson_interval,
    rate_ratio_interval,
    ratio_of_ratios_interval,
    weighted_share_interval,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("successes", "total", "wilson", "exact"),
    [  # Newcombe 1998, Statistics in Medicine 17:857-872, table I, methods 3 and 5
        (81, 263, (0.2553, 0.3662), (0.2527, 0.3676)),
        (15, 148, (0.0624, 0.1605), (0.0578, 0.1617)),
        (0, 20, (0.0000, 0.1611), (0.0000, 0.1684)),
        (1, 29, (0.0061, 0.1718), (0.0009, 0.1776)),
    ],
)
def test_proportions_of_the_published_table(
    successes: int, total: int, wilson: tuple[float, float], exact: tuple[float, float]
) -> None:
    assert wilson_interval(successes, total) == pytest.approx(wilson, abs=6e-5)
    assert binomial_interval(successes, total) == pytest.approx(exact, abs=6e-5)


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [  # Garwood 1936; the table in every textbook of epidemiology
        (0, 0.0, 3.689),
        (1, 0.0253, 5.572),
        (5, 1.623, 11.668),
        (10, 4.795, 18.390),
        (20, 12.217, 30.888),
        (100, 81.364, 121.627),
    ],
)
def test_counts_of_the_published_table(count: int, low: float, high: float) -> None:
    assert poisson_interval(count) == pytest.approx((low, high), abs=6e-4)


def test_a_rate_ratio_is_the_odds_of_the_exact_binomial() -> None:
    # 10 of 15: Clopper-Pearson 0.3838 to 0.8818, so odds 0.3838/0.6162 = 0.6228 and 0.8818/0.1182 = 7.457
    ratio, low, high = rate_ratio_interval(10, 1, 5, 1)
    assert (ratio, low, high) == (2.0, pytest.approx(0.6228, abs=1e-3), pytest.approx(7.457, abs=1e-2))
    # twice the exposure halves everything
    assert rate_ratio_interval(10, 2, 5, 1) == (1.0, pytest.approx(0.3114, abs=1e-3), pytest.approx(3.729, abs=1e-2))


def test_a_rate_ratio_at_its_ends() -> None:
    ratio, low, high = rate_ratio_interval(0, 10, 4, 10)
    assert (ratio, low) == (0.0, 0.0)
    # 0 of 4: upper limit 1 - 0.025^(1/4) = 0.6024, odds 1.515
    assert high == pytest.approx(1.515, abs=1e-3)
    ratio, low, high = rate_ratio_interval(4, 10, 0, 10)
    assert (ratio, high) == (None, None)
    assert low == pytest.approx(1 / 1.515, abs=1e-3)
    assert rate_ratio_interval(0, 1, 0, 1) == (None, 0.0, None)


def test_an_effect_with_its_comparison() -> None:
    # (50/100) / (90/100) = 0.5556; se of log = sqrt(.01 + .02 + .01 + 1/90) = 0.22608; times 1.96 = 0.44311
    found = ratio_of_ratios_interval(100, 50, 100, 90)
    assert found == pytest.approx((0.5556, 0.3567, 0.8653), abs=2e-4)
    assert ratio_of_ratios_interval(100, 0, 100, 90) is None


def test_equal_weights_and_whole_parts_are_the_usual_proportion() -> None:
    # 6 of 10 units: between-unit variance 10/9 * 2.4 / 100, so n = .24 / .026667 = 9, one less than 10
    found = weighted_share_interval([(1, 1)] * 6 + [(0, 1)] * 4)
    assert found is not None
    assert found[0] == 0.6
    assert found[1] == pytest.approx(wilson_interval(0.6 * 9, 9))


def test_one_large_truck_counts_as_little_more_than_one() -> None:
    found = weighted_share_interval([(1000, 1000)] + [(1, 1)] * 5)
    assert found is not None
    share, (low, high) = found
    assert share == 1.0
    assert low == pytest.approx(wilson_interval(1, 1)[0], abs=0.01)
    assert high == 1.0


def test_nothing_is_no_share() -> None:
    assert weighted_share_interval([]) is None
    assert weighted_share_interval([(0, 0)]) is None


@pytest.mark.parametrize(("successes", "total"), [(-1, 3), (4, 3)])
def test_what_is_no_proportion(successes: int, total: int) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        wilson_interval(successes, total)
    with pytest.raises(ValueError, match="no proportion"):
        binomial_interval(successes, total)


def test_what_is_no_rate() -> None:
    with pytest.raises(ValueError, match="no count"):
        poisson_interval(-1)
    with pytest.raises(ValueError, match="exposure"):
        rate_ratio_interval(1, 0, 1, 1)


@given(st.integers(0, 60), st.integers(1, 60), st.floats(0.001, 0.999))
def test_beta_is_a_sum_of_binomial_terms(k: int, extra: int, p: float) -> None:
    total = k + extra
    above = sum(comb(total, i) * p**i * (1 - p) ** (total - i) for i in range(k + 1, total + 1))
    assert beta_i(k + 1, total - k, p) == pytest.approx(above, abs=1e-10)


@given(st.integers(1, 60), st.floats(0.001, 150))
def test_gamma_is_a_sum_of_poisson_terms(k: int, mean: float) -> None:
    below = sum(exp(-mean) * mean**i / factorial(i) for i in range(k))
    assert gamma_p(k, mean) == pytest.approx(1 - below, abs=1e-10)


@given(st.integers(0, 2000), st.integers(1, 2000))
def test_intervals_contain_the_estimate(successes: int, extra: int) -> None:
    total = successes + extra
    for low, high in (wilson_interval(successes, total), binomial_interval(successes, total)):
        assert 0 <= low <= successes / total + 1e-12
        assert successes / total - 1e-12 <= high <= 1
    low, high = poisson_interval(successes)
    assert low <= successes <= high


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.001, 1e6)), min_size=1, max_size=40))
def test_a_weighted_share_lies_in_its_interval(units: list[tuple[float, float]]) -> None:
    found = weighted_share_interval([(share * whole, whole) for share, whole in units])
    assert found is not None
    share, (low, high) = found
    assert 0 <= low <= share + 1e-9
    assert share - 1e-9 <= high <= 1
