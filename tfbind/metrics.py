"""Metrics of predictions against observed scores: arrays in, floats out, accumulated in float64.

Predictions and targets are (N, L): one score per base of each window. A correlation with something constant is
undefined and comes back as None or NaN, never as 0.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

AT_ONCE = 500_000  # values that are in memory in float64


class StreamingPearson:
    """Pearson correlation over all values seen so far, in one pass over any number of batches.

    Batches are combined by the pairwise update of means and co-moments (Chan, Golub & LeVeque 1983, "Algorithms for
    computing the sample variance"), which stays exact where sums of squares would cancel.
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean = np.zeros(2)
        self._lowest, self._highest = np.full(2, np.inf), np.full(2, -np.inf)
        self._moments = np.zeros((2, 2))

    def update(self, predictions: Array, targets: Array) -> None:
        """Add a batch of any shape; both arrays hold the same number of values."""
        values = np.stack([np.ravel(predictions), np.ravel(targets)]).astype(np.float64)
        added = values.shape[1]
        if added == 0:
            return
        self._lowest = np.minimum(self._lowest, values.min(axis=1))
        self._highest = np.maximum(self._highest, values.max(axis=1))
        mean = values.mean(axis=1)
        centred = values - mean[:, None]
        shift = mean - self._mean
        total = self.count + added
        self._moments += centred @ centred.T + np.outer(shift, shift) * (self.count * added / total)
        self._mean += shift * (added / total)
        self.count = total

    def result(self) -> float | None:
        """The correlation, or None when fewer than two values were seen or one side is constant."""
        if (self._lowest == self._highest).any():  # rounded means would let a constant seem to vary
            return None
        return _correlation(self._moments[0, 0], self._moments[1, 1], self._moments[0, 1])


def _correlation(xx: float, yy: float, xy: float) -> float | None:
    scale = np.sqrt(xx) * np.sqrt(yy)
    return float(np.clip(xy / scale, -1, 1)) if np.isfinite(scale) and scale > 0 else None


def pearson(predictions: Array, targets: Array) -> float | None:
    """Pearson correlation over all values of two arrays of one shape, None where it is undefined."""
    stream = StreamingPearson()
    x, y = np.ravel(predictions), np.ravel(targets)
    for start in range(0, max(x.size, y.size), AT_ONCE):
        stream.update(x[start : start + AT_ONCE], y[start : start + AT_ONCE])
    return stream.result()


def window_pearson(predictions: Array, targets: Array) -> NDArray[np.float64]:
    """Pearson correlation within each window.

    Args:
        predictions, targets: (N, L).

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
    """Mean squared error (N,) of each window (N, L), in squared units of the score."""
    difference = np.asarray(predictions, dtype=np.float64) - targets
    return (difference * difference).mean(axis=1)


SITES_AT_MOST = 0.5  # where more of the bases than that have a score, the data are a signal, not sites
COVERED = 0.5
ROWS = 10_000  # windows that are looked at together


@dataclass(frozen=True)
class SiteAgreement:
    """How well called sites agree with those in the data.

    A site in the data is a stretch of bases with a score above 0; a called one is a stretch predicted at `threshold`
    or above, which is half of the lowest score that a site in the data has. A site in the data is found when calls
    cover at least half of it (`recall`), a call is right when sites cover at least half of it (`precision`; None
    without a call). `auprc` is the average precision over single bases: how surely bases in sites come before others
    when all are put in order of prediction.
    """

    sites: int
    calls: int
    threshold: float
    precision: float | None
    recall: float
    auprc: float


def site_agreement(predictions: Array, targets: Array) -> SiteAgreement | None:
    """Compare called sites (N, L) with those in the data; None where the data have none, or nothing else."""
    lowest = lowest_label(targets)
    if lowest is None:
        return None
    inside, threshold = targets > 0, lowest / 2
    called = predictions >= threshold
    found_sites, sites = _covered(inside, called)
    right_calls, calls = _covered(called, inside)
    return SiteAgreement(
        sites,
        calls,
        threshold,
        right_calls / calls if calls else None,
        found_sites / sites,
        average_precision(predictions, inside),
    )


def lowest_label(targets: Array) -> float | None:
    """The lowest score above 0, that of the weakest site; None where there is none, or where the data (N, L) are a
    signal."""
    lowest, inside = math.inf, 0
    for start in range(0, len(targets), ROWS):
        part = np.asarray(targets[start : start + ROWS])
        scored = part[part > 0]
        inside += len(scored)
        lowest = min(lowest, float(scored.min(initial=math.inf)))
    return None if not inside or inside > SITES_AT_MOST * targets.size else lowest


def stretches(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and ends (exclusive) of the runs of True in a mask (L,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.view(np.int8), [0]])))
    return edges[::2], edges[1::2]


def _covered(called: NDArray[np.bool_], cover: NDArray[np.bool_]) -> tuple[int, int]:
    """How many stretches of `called` (N, L) `cover` overlaps by half or more, and how many there are."""
    fenced = np.pad(called, ((0, 0), (0, 1))).ravel()  # no stretch goes on in the next window
    starts, ends = stretches(fenced)
    covered = np.concatenate([[0], np.pad(cover, ((0, 0), (0, 1))).ravel().cumsum()])
    share = (covered[ends] - covered[starts]) / (ends - starts)
    return int(np.count_nonzero(share >= COVERED)), len(starts)


def average_precision(predictions: Array, labels: NDArray[np.bool_]) -> float:
    """Average precision: the sum over thresholds of precision times the recall gained there.

    Equal predictions are one threshold. Both arrays are (N, L).

    Raises:
        ValueError: no label is set.
    """
    if not labels.any():
        raise ValueError("no label is set: there is nothing to recall")
    order = np.argsort(-np.ravel(predictions), kind="stable")
    values, hits = np.ravel(predictions)[order], np.ravel(labels)[order].cumsum()
    last = np.append(np.flatnonzero(np.diff(values)), len(values) - 1)
    recall = hits[last] / hits[-1]
    precision = hits[last] / (last + 1)
    return float((np.diff(recall, prepend=0) * precision).sum())


def figures(predictions: Array, targets: Array) -> dict[str, float | None]:
    """All metrics of predictions on held-out windows.

    Args:
        predictions, targets: (N, L).

    Returns:
        loss, pearsonr, pearsonr_window (the mean over windows), windows_undefined, and of `SiteAgreement` precision,
        recall and auprc; None where one is undefined.
    """
    return {
        "loss": float(window_loss(predictions, targets).mean()),
        "pearsonr": pearson(predictions, targets),
        **window_figures(window_pearson(predictions, targets)),
        **site_figures(site_agreement(predictions, targets)),
    }


def window_figures(pearson: NDArray[np.float64]) -> dict[str, float | None]:
    """The metrics per window of `figures`, from the correlation (N,) within each window."""
    defined = pearson[np.isfinite(pearson)]
    return {
        "pearsonr_window": float(defined.mean()) if len(defined) else None,
        "windows_undefined": len(pearson) - len(defined),
    }


def site_figures(agreement: SiteAgreement | None) -> dict[str, float | None]:
    """The site metrics of `figures`, each None where the data have no sites."""
    return {name: getattr(agreement, name, None) for name in ("precision", "recall", "auprc")}


def of_part(part: str, metrics: Mapping[str, float | None]) -> dict[str, Any]:
    """Prefix metrics by the part of the data: `val_loss`, `test_loss`."""
    return {f"{part}_{name}": value for name, value in metrics.items()}
