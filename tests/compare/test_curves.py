"""How curves end and where they cross, on curves whose shape is known."""

from dataclasses import replace

import numpy as np
import planted
import pytest
from past_runs import curve, past
from scipy import stats

from tfbind.compare.curves import MeanCurve, curve_crossing, curve_points, jitter, mean_curve, smooth, trend

EPOCHS = np.arange(1, 41)
NOISE = np.random.default_rng(0)


def mean(values: "np.ndarray[tuple[int], np.dtype[np.float64]]", noise: float = 0.005) -> MeanCurve:
    """Three seeds whose mean is `values`: one on it, one above and one below."""
    return planted.mean_of(np.stack([values - noise, values, values + noise]))


def test_the_mean_runs_over_the_epochs_that_all_have() -> None:
    runs = [past("a", 0, rows=curve([4, 2, 1])), past("b", 0, rows=curve([2, 0]))]
    found = mean_curve(runs, "val_loss")
    assert found.epochs.tolist() == [1, 2]
    assert (found.mean.tolist(), found.low.tolist(), found.high.tolist()) == ([3, 1], [2, 0], [4, 2])
    assert len(mean_curve(runs, "missing").epochs) == 0
    thin = replace(past("z", 0, rows=[runs[0].rows[-1]]), sampled=True)
    assert mean_curve([*runs, thin], "val_loss").epochs.tolist() == found.epochs.tolist()
    assert mean_curve([thin], "val_loss").epochs.tolist() == [runs[0].rows[-1]["epoch"]]
    assert len(mean_curve([], "val_loss").epochs) == 0


def test_a_straight_line_has_no_jitter() -> None:
    assert jitter(np.linspace(5, 1, 30)) == pytest.approx(0, abs=1e-12)
    assert jitter(np.array([1.0, 9.0])) == 0
    assert 0.3 < jitter(NOISE.normal(0, 1, 2000)) < 1


@pytest.mark.parametrize(
    ("loss", "shape"),
    [
        (1 / EPOCHS, "improving"),
        (np.exp(-EPOCHS / 3.0), "settled"),
        (np.exp(-EPOCHS / 3.0) + 0.02 * np.maximum(0, EPOCHS - 15), "worsening"),
        (np.array([3.0, 2.0, 1.0]), "short"),
        (np.array([1.2, 0.8, 0.65, 0.58, 0.55]), "improving"),
        (np.ones(20), "settled"),
    ],
)
def test_a_curve_is_called_what_it_is(loss: "np.ndarray[tuple[int], np.dtype[np.float64]]", shape: str) -> None:
    assert trend(loss, "min").shape == shape
    assert trend(-loss, "max").shape == shape


def test_overfitting_needs_a_training_loss_that_goes_on_falling() -> None:
    loss = np.exp(-EPOCHS / 3.0) + 0.02 * np.maximum(0, EPOCHS - 15)
    assert trend(loss, "min", 1 / EPOCHS).shape == "overfitting"
    assert trend(loss, "min", loss).shape == "worsening"


def test_noise_around_a_level_is_rarely_called_an_improvement() -> None:
    rng = np.random.default_rng(1)
    shapes = [trend(np.exp(-EPOCHS / 2.0) + rng.normal(0, 0.003, 40), "min").shape for _ in range(100)]
    assert shapes.count("settled") >= 85


def test_the_gain_is_that_of_the_last_quarter() -> None:
    found = trend(np.array([8.0, 7, 6, 5, 4, 3, 2, 1]), "min")
    assert (found.shape, found.gain, found.tail) == ("improving", 2.0, 2)


def test_curves_that_cross_say_where() -> None:
    first, second = 0.8 * (1 - np.exp(-EPOCHS / 1.0)), 0.9 * (1 - np.exp(-EPOCHS / 6.0))
    found = curve_crossing(mean(second), mean(first), "max")
    ahead = int(np.argmax(second > first)) + 1
    assert (found.kind, found.leader, found.epoch) == ("crossed", 1, ahead)
    assert found.low <= ahead <= found.high <= ahead + 2
    assert curve_crossing(mean(-second), mean(-first), "min") == found
    assert curve_crossing(mean(second, 0.03), mean(first, 0.03), "max").high > found.high


def test_a_lead_that_is_lost_was_only_faster() -> None:
    fast, slow = 0.9 * (1 - np.exp(-EPOCHS / 1.0)), 0.9 * (1 - np.exp(-EPOCHS / 4.0))
    found = curve_crossing(mean(fast), mean(slow), "max")
    gone = int(np.flatnonzero(fast - slow > stats.t.ppf(0.975, 4) * 0.005 * np.sqrt(2 / 3))[-1]) + 1
    assert (found.kind, found.leader, found.epoch) == ("faster", 0, gone)
    assert found.lead == pytest.approx((fast - slow).max())


def test_a_lead_within_the_spread_of_the_seeds_is_no_lead() -> None:
    rng = np.random.default_rng(2)
    runs = [
        [past(f"{side}{seed}", 0, rows=curve((np.log(EPOCHS) + rng.normal(0, 0.5)).tolist())) for seed in range(3)]
        for side in (0, 1)
    ]
    first, second = (mean_curve(side, "val_loss") for side in runs)
    assert abs(first.mean[0] - second.mean[0]) > 0.01
    assert curve_crossing(first, second, "min").kind == "none"


@pytest.mark.parametrize(("epochs", "seeds"), [(10, 1), (10, 3), (40, 5)])
def test_equal_settings_are_not_said_to_race(epochs: int, seeds: int) -> None:
    assert set(planted.races_of_equals(epochs, seeds, 100)) == {"none"}


def test_the_interval_holds_the_epoch_at_which_the_true_curves_cross() -> None:
    true, crossed = planted.crossings(10)
    assert len(crossed) >= 9
    assert sum(each.low <= true <= each.high for each in crossed) >= 9


def test_a_lead_that_stays_though_it_narrows_is_not_lost() -> None:
    fast = 0.9 * (1 - np.exp(-EPOCHS / 3.0))
    lead = np.where(EPOCHS <= 20, 0.02, 0.009)
    assert curve_crossing(mean(fast, 0.001), mean(fast - lead, 0.001), "max").kind == "none"
    assert (
        curve_crossing(mean(fast, 5e-6), mean(fast - lead**2, 5e-6), "max").kind == "none"
    )  # less, and clearly there
    assert curve_crossing(mean(fast, 1e-4), mean(fast - lead**2, 1e-4), "max").kind == "faster"


def test_no_race_where_one_stays_ahead_or_nobody_leads() -> None:
    flat = np.linspace(0, 1, 20)
    assert curve_crossing(mean(flat + 0.1), mean(flat), "max").kind == "none"
    assert curve_crossing(mean(flat), mean(flat), "max").kind == "none"
    assert curve_crossing(mean(flat, 0), mean(flat + 1, 0), "max").kind == "none"
    assert curve_crossing(mean(flat[:3]), mean(flat), "max").kind == "none"


def test_smoothing_is_fair_to_the_first_value_and_keeps_gaps() -> None:
    assert smooth([3.0, None, 3.0], 0.9) == pytest.approx([3.0, None, 3.0])
    assert smooth([0.0, 1.0], 0.5) == pytest.approx([0.0, 2 / 3])
    assert smooth([4.0, 2.0], 0.0) == [4.0, 2.0]


def test_seconds_add_up_along_a_run_and_end_where_they_are_unknown() -> None:
    run = past("a", 0.5, epochs=3)
    assert curve_points(run, "seconds", "val_pearsonr")[0] == [2.0, 4.0, 6.0]
    assert curve_points(run, "epoch", "val_pearsonr")[0] == [1.0, 2.0, 3.0]
    torn = past("b", 0, rows=[{"epoch": 1, "seconds": 2.0, "val_loss": 1.0}, {"epoch": 2, "val_loss": 0.5}])
    assert curve_points(torn, "seconds", "val_loss") == ([2.0], [1.0])
    endless = past("c", 0, rows=[{"epoch": epoch, "seconds": 1.7e308, "val_loss": 1.0} for epoch in (1, 2)])
    assert curve_points(endless, "seconds", "val_loss") == ([1.7e308], [1.0])
