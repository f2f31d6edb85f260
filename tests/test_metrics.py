"""Metrics against SciPy, against answers worked out by hand, and where they are undefined."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from tfbind.metrics import (
    AT_ONCE,
    StreamingPearson,
    average_precision,
    bands_from_json,
    calibrate,
    figures,
    pearson,
    site_agreement,
    window_loss,
    window_pearson,
)


def related(seed: int, shape: tuple[int, ...], offset: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    x = random.normal(size=shape)
    return (x + offset).astype(np.float32), (x + random.normal(size=shape) + offset).astype(np.float32)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_pearson_equals_scipy_however_the_values_come_in(offset):
    x, y = related(1, (1000, 30), offset)
    expected = scipy.stats.pearsonr(x.ravel().astype(np.float64), y.ravel().astype(np.float64)).statistic
    stream = StreamingPearson()
    for start in (0, 1, 7, 500):
        stop = {0: 1, 1: 7, 7: 500, 500: 1000}[start]
        stream.update(x[start:stop], y[start:stop])
    assert stream.result() == pytest.approx(expected, abs=1e-9)
    assert pearson(x, y) == pytest.approx(expected, abs=1e-9)


@given(arrays(np.float32, 40, elements=st.floats(-1e3, 1e3, width=32)), st.integers(0, 40), st.integers(0, 2**31))
def test_pearson_does_not_depend_on_where_the_stream_is_cut(values, cut, seed):
    others = np.random.default_rng(seed).normal(size=40)
    stream = StreamingPearson()
    stream.update(values[:cut], others[:cut])
    stream.update(values[cut:], others[cut:])
    whole = pearson(values, others)
    assert stream.count == 40
    assert (stream.result() is None) == (whole is None)
    if whole is not None and np.ptp(values) > 1e-3:
        assert stream.result() == pytest.approx(whole, abs=1e-9)


def test_pearson_of_more_values_than_are_taken_at_once_is_that_of_scipy_and_of_a_constant_undefined():
    x, y = related(2, (AT_ONCE // 100 + 1, 250), 1e3)
    expected = scipy.stats.pearsonr(x.ravel().astype(np.float64), y.ravel().astype(np.float64)).statistic
    assert pearson(x, y) == pytest.approx(expected, abs=1e-9)
    assert pearson(np.full_like(x, 0.1), y) is None
    with pytest.raises(ValueError, match="same shape"):
        pearson(x, y[:-1])


def test_pearson_by_hand():
    # Centred: (-1, 0, 1) and (-1, 1, 0); products sum to 1, squares to 2 and 2.
    assert pearson(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])) == pytest.approx(0.5, abs=1e-15)


@pytest.mark.parametrize("values", [[], [1.0], [0.3, 0.3, 0.3]])
def test_pearson_of_nothing_one_value_or_a_constant_is_undefined(values):
    assert pearson(np.array(values), np.arange(len(values), dtype=float)) is None


def test_window_pearson_equals_scipy_and_is_nan_where_a_window_is_constant():
    x, y = related(2, (6, 50))
    x[2], y[4] = 0.1, 7.0
    values = window_pearson(x, y)
    for window in (0, 1, 3, 5):
        expected = scipy.stats.pearsonr(x[window].astype(float), y[window].astype(float)).statistic
        assert values[window] == pytest.approx(expected, abs=1e-12)
    assert np.isnan(values[[2, 4]]).all()


def test_window_loss_by_hand():
    assert window_loss(np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([[0.0, 4.0], [0.0, 0.0]])).tolist() == [2.5, 0.0]


def test_average_precision_by_hand() -> None:
    # In order of prediction: hit, miss, hit, (hit and miss, equal), miss.
    predictions = np.array([0.9, 0.8, 0.7, 0.5, 0.5, 0.1])
    labels = np.array([True, False, True, True, False, False])
    assert average_precision(predictions, labels) == pytest.approx(1 / 3 * (1 / 1 + 2 / 3 + 3 / 5))
    assert average_precision(predictions, labels[::-1]) == pytest.approx(1 / 3 * (1 / 3 + 2 / 5 + 3 / 6))


def test_average_precision_of_the_perfect_order_is_one_and_of_none_the_share_of_hits() -> None:
    labels = np.array([True, True, False, False, False])
    assert average_precision(np.arange(5)[::-1].astype(float), labels) == 1
    assert average_precision(np.zeros(5), labels) == pytest.approx(0.4)
    with pytest.raises(ValueError, match="no label"):
        average_precision(np.zeros(2), np.zeros(2, bool))


def test_sites_by_hand() -> None:
    targets = np.zeros((2, 12))
    targets[0, 2:6] = 4.0  # called over 2 of 4 bases: found
    targets[0, 8:12] = 8.0  # not called
    targets[1, 0:4] = 4.0  # called, and the call goes on beyond
    predictions = np.zeros((2, 12))
    predictions[0, 4:7] = 2.0  # 2 of 3 bases inside: right
    predictions[0, 8:9] = 1.9  # below half of 4
    predictions[1, 0:9] = 5.0  # 4 of 9 bases inside: wrong
    found = site_agreement(predictions, targets)
    assert (found.sites, found.calls, found.threshold) == (3, 2, 2.0)
    assert (found.recall, found.precision) == (2 / 3, 1 / 2)


def test_sites_at_the_edges_of_two_windows_are_two() -> None:
    targets = np.zeros((2, 6))
    targets[0, 4:] = targets[1, :2] = 3.0
    found = site_agreement(targets, targets)
    assert (found.sites, found.calls, found.precision, found.recall, found.auprc) == (2, 2, 1, 1, 1)


def test_data_without_sites_or_with_nothing_else_have_no_agreement() -> None:
    assert site_agreement(np.ones((2, 4)), np.zeros((2, 4))) is None
    assert site_agreement(np.ones((2, 4)), np.ones((2, 4))) is None


def test_without_a_call_precision_is_undefined_not_zero() -> None:
    targets = np.zeros((1, 6))
    targets[0, 1] = 2.0
    found = site_agreement(np.zeros((1, 6)), targets)
    assert (found.precision, found.recall) == (None, 0)


def test_all_figures_of_a_model_in_one_go() -> None:
    targets = np.zeros((2, 6))
    targets[0, 1:3] = 2.0
    predictions = targets.copy()
    predictions[0, 4] = 3.0  # a call beside the site, above it
    found = figures(predictions, targets)
    assert found["loss"] == pytest.approx(9 / 12)
    assert found["pearsonr"] == pytest.approx(pearson(predictions, targets))
    assert found["pearsonr_window"] == pytest.approx(pearson(predictions[0], targets[0]))
    assert (found["windows_undefined"], found["recall"], found["precision"]) == (1, 1.0, 0.5)
    assert found["auprc"] == pytest.approx(2 / 3)  # of the two in sites, both are recalled at a precision of 2/3
    assert figures(predictions, np.ones((2, 6)))["auprc"] is None


def noisy_sites(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and true scores that differ more at high scores, and most at the ends."""
    rng = np.random.default_rng(seed)
    predictions = np.where(
        rng.random((3_000, 60)) < 0.1, rng.uniform(2, 9, (3_000, 60)), rng.normal(0, 0.1, (3_000, 60))
    )
    place = np.arange(60)
    noise = np.where(np.minimum(place, place[::-1]) < 9, 3.0, 1.0) * (0.1 + 0.1 * np.abs(predictions))
    return predictions.astype(np.float32), predictions + rng.gamma(2.0, noise) - noise


@pytest.mark.parametrize("threshold", [2.0, None])
def test_bands_hold_nine_true_scores_in_ten_wherever_one_looks(threshold):
    bands = bands_from_json(calibrate(*noisy_sites(1), threshold).as_json())
    predictions, truth = noisy_sites(2)
    low, high = np.stack([np.stack(bands.around(row, 0, 60)) for row in predictions], axis=1)
    inside, called = (truth >= low) & (truth <= high), predictions >= 2
    ends = np.zeros(truth.shape, bool)
    ends[:, -9:] = True
    for part in (ends | True, ends, *([called, ends & called] if threshold else [])):
        assert 0.88 <= inside[part].mean() <= 0.92
    middle = bands.around(predictions[0, 20:30], 20, 60)
    assert np.array_equal(middle, (low[0, 20:30], high[0, 20:30]))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"scores":[1],"low":[[1]],"high":[[1]]}', '{"scores":["a"]}'])
def test_what_holds_no_bands_is_refused(text):
    with pytest.raises(ValueError, match="no bands around scores"):
        bands_from_json(text)
