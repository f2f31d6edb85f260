"""The studentised range and Student's t against SciPy's own, and the tabled luck of the best of N."""

import pytest
from scipy import stats

from tfbind.compare.significance import expected_best, range_p, t_p, t_quantile


@pytest.mark.parametrize("count", [2, 3, 10, 100])
@pytest.mark.parametrize("freedom", [1.0, 2.7, 4.0, 30.0, 1000.0])
@pytest.mark.parametrize("q", [0.5, 3.0, 5.5, 12.0])
def test_the_range_is_that_of_scipy(q: float, count: int, freedom: float) -> None:
    expected = stats.studentized_range.sf(q, count, freedom)
    assert range_p(q, count, freedom) == pytest.approx(expected, abs=2e-7, rel=1e-4)


def test_of_two_it_is_the_t_test() -> None:
    for t in (0.0, 0.3, 2.0, 9.0):
        assert range_p(t * 2**0.5, 2, 3.3) == pytest.approx(t_p(t, 3.3), rel=1e-6)


def test_the_range_of_a_table() -> None:
    """Tukey's table: the 5 % point for 3 groups and 10 degrees of freedom is 3.877, for 5 and 4 it is 6.287."""
    assert range_p(3.877, 3, 10) == pytest.approx(0.05, abs=1e-4)
    assert range_p(6.287, 5, 4) == pytest.approx(0.05, abs=1e-4)


@pytest.mark.parametrize(("t", "freedom"), [(0.0, 3), (2.5, 1.2), (-4.0, 8), (60.0, 2)])
def test_t_is_that_of_scipy(t: float, freedom: float) -> None:
    assert t_p(t, freedom) == pytest.approx(2 * stats.t.sf(abs(t), freedom))
    assert t_quantile(0.975, freedom) == pytest.approx(stats.t.ppf(0.975, freedom))


@pytest.mark.parametrize(("count", "expected"), [(2, 0.5642), (3, 0.8463), (10, 1.5388), (100, 2.5076)])
def test_the_luck_of_the_best_of_n_has_the_tabled_values(count: int, expected: float) -> None:
    assert expected_best(count) == pytest.approx(expected, abs=1e-4)
