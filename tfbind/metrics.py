"""How well predictions agree with observed scores: arrays in, floats out, accumulated in float64.

Predictions and targets are (N, L): one score per base of each window. A correlation with something constant is
undefined and comes back as None or NaN, never as 0.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


class StreamingPearson:
    """Pearson correlation over all values seen so far, in one pass over any number of batches.

    Batches are combined by the pairwise update of means and co-moments (Chan, Golub & LeVeque 1983, "Algorithms for
    computing the sample variance"), which stays exact where sums of squares would cancel.
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean = np.zeros(2)
        self._moments = np.zeros((2, 2))

    def update(self, predictions: Array, targets: Array) -> None:
        """Add a batch of any shape; both arrays hold the same number of values."""
        values = np.stack([np.ravel(predictions), np.ravel(targets)]).astype(np.float64)
        added = values.shape[1]
        if added == 0:
            return
        mean = values.mean(axis=1)
        centred = values - mean[:, None]
        shift = mean - self._mean
        total = self.count + added
        self._moments += centred @ centred.T + np.outer(shift, shift) * (self.count * added / total)
        self._mean += shift * (added / total)
        self.count = total

    def result(self) -> float | None:
        """The correlation, or None when fewer than two values were seen or one side is constant."""
        return _correlation(self._moments[0, 0], self._moments[1, 1], self._moments[0, 1])


def _correlation(xx: float, yy: float, xy: float) -> float | None:
    scale = np.sqrt(xx) * np.sqrt(yy)
    return float(np.clip(xy / scale, -1, 1)) if np.isfinite(scale) and scale > 0 else None


def pearson(predictions: Array, targets: Array) -> float | None:
    """Pearson correlation of two arrays taken as flat lists of values, or None where it is undefined."""
    stream = StreamingPearson()
    stream.update(predictions, targets)
    return stream.result()


def window_pearson(predictions: Array, targets: Array) -> NDArray[np.float64]:
    """Pearson correlation within each window.

    Returns:
        (N,) values; NaN for a window whose predictions or targets are constant.
    """
    x = _centred(predictions)
    y = _centred(targets)
    scale = np.sqrt((x * x).sum(axis=1)) * np.sqrt((y * y).sum(axis=1))
    flat = (np.ptp(predictions, axis=1) == 0) | (np.ptp(targets, axis=1) == 0) | (scale == 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(flat, np.nan, np.clip((x * y).sum(axis=1) / scale, -1, 1))


def _centred(values: Array) -> NDArray[np.float64]:
    wide = np.asarray(values, dtype=np.float64)
    return wide - wide.mean(axis=1, keepdims=True)


def window_loss(predictions: Array, targets: Array) -> NDArray[np.float64]:
    """Mean squared error of each window, (N,), in squared units of the score."""
    difference = np.asarray(predictions, dtype=np.float64) - targets
    return (difference * difference).mean(axis=1)
