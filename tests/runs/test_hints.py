"""Each rule on curves worked by hand, on both sides of its threshold."""

import itertools
import re
from typing import get_args

import pytest

from tfbind.config import TrainConfig
from tfbind.runs.hints import Kind, Steps, fall_per_epoch, few_steps, hint


def rows(val_losses: list[float], train_losses: list[float] | None = None) -> list[dict[str, float]]:
    """Rows with these losses; without training losses those fall by a thousandth an epoch."""
    train = train_losses or [1 - 0.001 * epoch for epoch in range(len(val_losses))]
    return [
        {"epoch": epoch, "train_loss": t, "val_loss": v, "val_pearsonr": 0.5, "learning_rate": 0.01}
        for epoch, (t, v) in enumerate(zip(train, val_losses, strict=True), start=1)
    ]


def kind(*args: list[float] | None) -> str | None:
    found = hint(rows(*args))
    return found.kind if found else None


def test_nothing_to_say_before_two_epochs() -> None:
    assert hint([]) is None
    assert hint(rows([1.0])) is None


@pytest.mark.parametrize(
    ("val", "train", "expected"),
    [
        ([1.0, 0.5, 1.1, 1.2, 1.01], None, "diverged"),  # three epochs above twice the minimum
        ([1.0, 0.5, 1.1, 1.2, 1.0], None, "overfitting"),  # exactly twice is not above it
        ([1.0, 0.5, 1.1, 1.2], None, "overfitting"),  # two epochs are not three
        ([0.5, 2.0, 2.0, 2.0, 0.499], None, "rate too low"),  # a spike that came back
        ([1.5, 1.0, 1.031], [1.0, 0.8, 0.6], "overfitting"),  # it begins three percent above the minimum
        ([1.5, 1.0, 1.029], [1.0, 0.8, 0.6], "settled"),
        ([1.5, 1.0, 1.2], [1.0, 0.8, 0.9], "settled"),  # the training loss rises, too
        ([1.0, 0.5, 1.5, 1.5, 1.5], [5.0, 4.0, 3.0, 2.0, 1.0], "diverged"),  # goes before overfitting
        ([0.979**epoch for epoch in range(6)], None, "rate too low"),  # still falls by over two percent
        ([0.981**epoch for epoch in range(6)], None, "still improving"),
        ([10.0, 5.0, 1.0, 0.999, 0.998], None, "still improving"),  # only the last three epochs count for the rate
        ([1.0, 0.5], None, "still improving"),  # two epochs are too few to blame it
        ([1.0, 0.9, 0.91], None, "settled"),  # the best epoch is not the last
        ([1.0, 0.9, 0.9], None, "settled"),  # nor is an equal one an improvement
    ],
)
def test_a_curve_is_told_for_what_it_is(val: list[float], train: list[float] | None, expected: str) -> None:
    assert kind(val, train) == expected


def test_diverged_says_numbers_and_a_way_out() -> None:
    found = hint(rows([0.5, 1.1, 1.2, 1.5]))
    assert found is not None
    assert "1.5" in found.text
    assert "3.0 times" in found.text
    assert "lower" in found.text


def test_overfitting_names_the_best_epoch() -> None:
    found = hint(rows([1.5, 1.0, 1.1], [1.0, 0.8, 0.6]))
    assert found is not None
    assert "epoch 2" in found.text
    assert "10%" in found.text


def test_fall_is_the_mean_of_the_steps() -> None:
    assert fall_per_epoch([1.0, 0.9, 0.81]) == pytest.approx(0.1)


def test_a_rate_that_the_schedule_took_to_zero_is_not_too_low() -> None:
    annealed = rows([1.0, 0.5, 0.25, 0.125])
    annealed[-1]["learning_rate"] = 0.0001
    found = hint(annealed)
    assert found is not None
    assert found.kind == "still improving"


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


def blind(val_losses: list[float], train_losses: list[float], rate: float) -> list[dict[str, float]]:
    """Rows of a run whose predictions do not follow the true scores."""
    return [row | {"val_pearsonr": -0.001, "learning_rate": rate} for row in rows(val_losses, train_losses)]


@pytest.mark.parametrize("losses", [[90.0, 30.0, 10.0, 5.0], [90.0, 30.0, 5.0, 10.0]])
def test_a_rate_at_which_nothing_was_learnt_is_not_called_too_low(losses: list[float]) -> None:
    found = hint(blind(losses, [1e4, 100.0, 50.0, 20.0], 10))
    assert found is not None
    assert found.kind == "nothing learnt"
    assert "lower" in found.text
    assert "higher" not in found.text


def test_a_rate_at_which_the_loss_only_crawls_is_not_called_too_high() -> None:
    found = hint(blind([2.4, 2.3, 2.2, 2.1], [2.5, 2.4, 2.3, 2.2], 1e-6))
    assert found is not None
    assert found.kind == "nothing learnt"
    assert "higher" in found.text
    assert "lower" not in found.text


def test_training_windows_learnt_by_heart_are_overfitting_whatever_the_correlation() -> None:
    found = hint(blind([2.4, 2.3, 2.5, 2.9], [2.5, 2.0, 1.0, 0.2], 0.01))
    assert found is not None
    assert found.kind == "overfitting"


def test_a_rate_above_the_usual_is_not_called_too_low() -> None:
    found = hint([row | {"learning_rate": 3.0} for row in rows([1.0, 0.8, 0.6])])
    assert found is not None
    assert found.kind == "still improving"


def test_few_steps_are_blamed_before_the_rate() -> None:
    for val, pearson in itertools.product(([90.0, 30.0, 10.0], [1.0, 0.9, 0.91]), (-0.001, None)):
        found = hint([row | {"val_pearsonr": pearson} for row in rows(val)], steps=Steps(9_600, 50_000))
        assert found is not None
        assert found.kind == "few steps"
        assert "one step an epoch, 3 in all (a batch of 50,000 holds all 9,600 training windows)" in found.text
    assert kind([1.0, 0.5, 0.25]) == "rate too low"
    assert hint(rows([1.0, 0.5, 0.25]), steps=Steps(9_600, 64)).kind == "rate too low"
    assert hint(rows([1.0, 0.9, 0.91]), steps=Steps(9_600, 50_000)).kind == "settled"
    assert hint(rows([1.0, 0.5, 0.25]), to_the_end=False, steps=Steps(9_600, 50_000)) is None


@pytest.mark.parametrize(
    ("batch", "epochs", "said"),
    [
        (50_000, 5, "one step an epoch, 5 in all (a batch of 50,000 holds all 9,600 training windows): few to learn"),
        (9_600, 500, "one step an epoch, 500 in all (a batch of 9,600 holds all 9,600 training windows); a smaller"),
        (
            2_000,
            4,
            "5 steps an epoch, 20 in all (batches of 2,000 from 9,600 training windows): few to learn from; a",
        ),
        (64, 1, None),
        (960, 10, None),
    ],
)
def test_few_steps_are_told_before_the_start(batch: int, epochs: int, said: str | None) -> None:
    found = few_steps(9_600, TrainConfig(batch_size=batch, num_epochs=epochs))
    assert (found is None) == (said is None)
    assert said is None or (found or "").startswith(said)


def test_a_run_as_good_as_the_rule_is_not_told_to_train_on() -> None:
    for val in ([1.0, 0.5, 0.25], [1.0, 0.9, 0.89], [1.5, 1.0, 1.1]):
        assert hint(rows(val, [1.0, 0.8, 0.6]), rule=0.49).kind == "as good as the rule"
        assert hint(rows(val, [1.0, 0.8, 0.6]), rule=0.51).kind != "as good as the rule"


MORE = re.compile("more epochs|more data|rate 3")
ENOUGH = re.compile("little to add|fewer epochs|would not change|Nothing was learnt")
CURVES = [list(losses) for count in (1, 2, 3, 4) for losses in itertools.product((0.2, 1.0, 1.02, 3.0), repeat=count)]
BLIND = (None, -0.001)  # Pearson's r of predictions that do not follow the true scores


def test_no_history_is_given_two_contrary_pieces_of_advice() -> None:
    kinds = set()
    every = itertools.product(
        CURVES, (0.5, 1.5), (*BLIND, 0.5, 0.99), (1e-6, 0.01, 10.0), (None, 1, 150), (None, 0.9)
    )
    for val, falling, pearson, rate, few, rule in itertools.islice(every, 0, None, 7):  # each value with each other
        train = [falling**place for place in range(len(val))]
        history = [row | {"val_pearsonr": pearson, "learning_rate": rate} for row in rows(val, train)]
        steps = Steps(64 * few, 64) if few else None
        found = hint(history, steps=steps, rule=rule)
        kinds.add(found.kind if found else None)
        if found is None or found.kind == "diverged":
            continue
        assert not ("rate 3 to 10 times lower" in found.text and "higher" in found.text)
        assert not (rate == 10 and "higher" in found.text)
        assert not (pearson in BLIND and found.kind in ("rate too low", "still improving", "settled"))
        assert not (rule and pearson == 0.99 and MORE.search(found.text))
        assert not (few == 1 and found.kind in ("rate too low", "still improving", "nothing learnt"))
        if found.kind in ("few steps", "rate too low", "still improving"):
            assert not ENOUGH.search(found.text)
    assert kinds == {None, *get_args(Kind)}
