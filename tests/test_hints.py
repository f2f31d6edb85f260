"""Each rule on curves worked by hand, on both sides of its threshold."""

import pytest

from tfbind.hints import fall_per_epoch, hint, lost_its_loss


def rows(val_losses: list[float], train_losses: list[float] | None = None) -> list[dict[str, float]]:
    """Rows with these losses; without training losses those fall by a thousandth an epoch."""
    train = train_losses or [1 - 0.001 * epoch for epoch in range(len(val_losses))]
    return [
        {"epoch": epoch, "train_loss": t, "val_loss": v, "val_pearsonr": 0.5, "learning_rate": 0.01}
        for epoch, (t, v) in enumerate(zip(train, val_losses, strict=True), start=1)
    ]


def kind(*args: list[float]) -> str | None:
    found = hint(rows(*args))
    return found.kind if found else None


def test_nothing_to_say_before_two_epochs() -> None:
    assert hint([]) is None
    assert hint(rows([1.0])) is None


def test_three_epochs_above_twice_the_minimum_diverged() -> None:
    assert kind([1.0, 0.5, 1.1, 1.2, 1.01]) == "diverged"


def test_exactly_twice_the_minimum_is_not_above_it() -> None:
    assert kind([1.0, 0.5, 1.1, 1.2, 1.0]) != "diverged"


def test_two_epochs_above_are_not_three() -> None:
    assert kind([1.0, 0.5, 1.1, 1.2]) != "diverged"


def test_a_spike_that_came_back_did_not_diverge() -> None:
    assert kind([0.5, 2.0, 2.0, 2.0, 0.499]) != "diverged"


def test_diverged_says_numbers_and_a_way_out() -> None:
    found = hint(rows([0.5, 1.1, 1.2, 1.5]))
    assert found is not None
    assert "1.5" in found.text
    assert "3.0 times" in found.text
    assert "lower" in found.text


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_loss_that_is_no_number_is_told_from_other_errors(value: str) -> None:
    assert lost_its_loss(f"train_loss became {value} in epoch 1, batch 64")


def test_another_error_is_no_divergence() -> None:
    assert not lost_its_loss("information: no space left on device, nanoseconds before the end")
    assert not lost_its_loss(None)


@pytest.mark.parametrize(("last", "expected"), [(1.031, "overfitting"), (1.029, "settled")])
def test_overfitting_begins_three_percent_above_the_minimum(last: float, expected: str) -> None:
    assert kind([1.5, 1.0, last], [1.0, 0.8, 0.6]) == expected


def test_a_training_loss_that_rises_too_is_not_overfitting() -> None:
    assert kind([1.5, 1.0, 1.2], [1.0, 0.8, 0.9]) == "settled"


def test_overfitting_names_the_best_epoch() -> None:
    found = hint(rows([1.5, 1.0, 1.1], [1.0, 0.8, 0.6]))
    assert found is not None
    assert "epoch 2" in found.text
    assert "10%" in found.text


def test_diverged_goes_before_overfitting() -> None:
    assert kind([1.0, 0.5, 1.5, 1.5, 1.5], [5.0, 4.0, 3.0, 2.0, 1.0]) == "diverged"


def test_fall_is_the_mean_of_the_steps() -> None:
    assert fall_per_epoch([1.0, 0.9, 0.81]) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.021, "rate too low"), (0.019, "still improving"), (0.5, "rate too low")]
)
def test_rate_is_too_low_where_the_loss_still_falls_by_over_two_percent(share: float, expected: str) -> None:
    assert kind([(1 - share) ** epoch for epoch in range(6)]) == expected


def test_a_rate_that_the_schedule_took_to_zero_is_not_too_low() -> None:
    annealed = rows([1.0, 0.5, 0.25, 0.125])
    annealed[-1]["learning_rate"] = 0.0001
    found = hint(annealed)
    assert found is not None
    assert found.kind == "still improving"


def test_only_the_last_three_epochs_count_for_the_rate() -> None:
    assert kind([10.0, 5.0, 1.0, 0.999, 0.998]) == "still improving"


def test_two_epochs_are_too_few_to_blame_the_rate() -> None:
    assert kind([1.0, 0.5]) == "still improving"


@pytest.mark.parametrize("losses", [[1.0, 0.5, 0.25], [1.0, 0.5], [1.0, 0.9, 0.91]])
def test_the_end_of_a_run_that_was_stopped_says_nothing(losses: list[float]) -> None:
    assert hint(rows(losses), to_the_end=False) is None


def test_a_run_that_diverged_before_it_was_stopped_is_told_so() -> None:
    found = hint(rows([0.5, 1.1, 1.2, 1.5]), to_the_end=False)
    assert found is not None
    assert found.kind == "diverged"


@pytest.mark.parametrize(
    ("pearson", "expected"), [(None, "nothing learnt"), (0.09, "nothing learnt"), (0.1, "settled")]
)
def test_a_run_without_correlation_has_learnt_nothing(pearson: float | None, expected: str) -> None:
    found = hint([row | {"val_pearsonr": pearson} for row in rows([1.0, 0.9, 0.91])])
    assert found is not None
    assert found.kind == expected


def test_settled_where_the_best_epoch_is_not_the_last() -> None:
    assert kind([1.0, 0.9, 0.91]) == "settled"


def test_equal_last_epochs_are_no_improvement() -> None:
    assert kind([1.0, 0.9, 0.9]) == "settled"


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([26.3, 8.4e27], "diverged"),
        ([0.5, 500.1], "diverged"),
        ([0.5, 499.0], "overfitting"),
        ([0.5, 8e27, 0.49], None),
    ],
)
def test_one_epoch_of_an_exploded_loss_is_enough(losses: list[float], expected: str | None) -> None:
    found = hint(rows(losses), to_the_end=False)
    assert (found.kind if found else None) == expected


def test_a_loss_that_exploded_in_the_first_epoch_is_told_by_the_training_loss() -> None:
    found = hint(rows([2.8e65], [3.1e60]))
    assert found is not None
    assert found.text.startswith("The validation loss rose to 2.8e65 in epoch 1, more than 1,000 times what it was")
    assert kind([0.9, 0.5], [0.8, 0.0001]) == "still improving"  # a training loss that falls later says nothing
