"""How often the comparison is right where the truth is known, over hundreds of draws; tests/compare has ten each."""

import planted
import pytest


@pytest.mark.parametrize("counts", [*planted.COUNTS, (2, 8), (3, 5), (2,) * 5, (5,) * 3])
@pytest.mark.parametrize("condition", planted.CONDITIONS)
def test_equal_settings_differ_in_at_most_3_of_100_sets(counts: tuple[int, ...], condition: str) -> None:
    assert planted.false_calls(counts, 300, condition=condition) <= 15  # 9, and what chance adds to them
    assert planted.false_calls(counts, 300, condition=condition, shared=False) <= 15


def test_of_fifty_equal_settings_none_is_called_different() -> None:
    assert planted.false_calls(planted.MANY, 100) <= 7


@pytest.mark.parametrize("shared", [True, False])
def test_the_winner_of_ten_settings_with_three_seeds_is_named(shared: bool) -> None:
    assert planted.true_calls((3,) * 10, 5 * planted.SPREAD, 200, shared) >= 140


@pytest.mark.parametrize(("gap", "seeds"), [(1, 22), (2, 7), (3, 5)])
def test_the_seeds_that_would_settle_it_do_in_four_of_five_draws(gap: int, seeds: int) -> None:
    assert planted.true_calls((seeds, seeds), gap * planted.SPREAD, 500) >= 380


def test_planted_ties_of_single_runs_beside_replicates_are_called_ties() -> None:
    assert planted.false_calls((1, 1, 1), 100, pool=4) <= 5


@pytest.mark.parametrize(
    ("counts", "gap", "least"),
    [
        ((3, 3), 0.05, 90),
        ((5, 5), 0.025, 90),
        ((3, 3, 3), 0.06, 90),
        ((5, 5, 5, 5, 5), 0.03, 90),
        ((2, 8), 0.05, 60),
        ((2, 15), 0.05, 55),
        ((3, 8), 0.03, 90),
    ],
)
def test_planted_differences_are_found(counts: tuple[int, ...], gap: float, least: int) -> None:
    assert planted.true_calls(counts, gap, 100) >= least


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("scatter", [2.4, 5.0])
def test_a_single_run_is_never_called(seeds: int, scatter: float) -> None:
    assert planted.calls_of_a_single_run(seeds, scatter, 30) == 0


@pytest.mark.parametrize("epochs", [4, 5, 10, 40])
@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_equal_settings_are_not_said_to_race(epochs: int, seeds: int) -> None:
    kinds = planted.races_of_equals(epochs, seeds, 100)
    assert kinds.count("crossed") <= (1 if seeds > 2 else 0)
    assert kinds.count("faster") <= (3 if seeds > 2 else 0)


def test_the_interval_holds_the_epoch_at_which_the_true_curves_cross() -> None:
    true, crossed = planted.crossings(60)
    assert len(crossed) >= 55
    assert sum(each.low <= true <= each.high for each in crossed) >= 0.9 * len(crossed)
