"""Numbers as readers see them."""

import pytest

from tfbind.text import figure, fixed, significant


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "undefined"),
        (0.0, "0.0000"),
        (0.98765, "0.9877"),
        (-0.2, "-0.2000"),
        (0.001, "0.0010"),
        (0.00098765, "0.0009877"),
        (1.23456e-7, "1.235e-7"),
        (-1e-5, "-1e-5"),
        (1434.9512, "1434.9512"),
        (99_999.0, "99999.0000"),
        (123_456.0, "1.235e5"),
        (2.8e65, "2.8e65"),
        (-2.8134e65, "-2.813e65"),
        (1e308, "1e308"),
    ],
)
def test_a_figure_has_never_more_digits_than_anyone_reads(value: float | None, said: str) -> None:
    assert figure(value) == said


def test_decimals_and_sign_are_kept_where_they_fit() -> None:
    assert [fixed(value, 2, "+") for value in (0.004, 7.5, -7.5, 1e30)] == ["+0.00", "+7.50", "-7.50", "+1e30"]


def test_first_digits() -> None:
    assert [significant(value, 5) for value in (0.0123456, 12.0, 1e-12)] == ["0.012346", "12", "1e-12"]
