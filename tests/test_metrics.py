"""Metrics against SciPy, against answers worked out by hand, and where they are undefined."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tfbind.metrics import StreamingPearson, pearson, window_loss, window_pearson


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
