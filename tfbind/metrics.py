"""Metrics of predictions against observed scores: arrays in, floats out, accumulated in float64.

Predictions and targets are (N, L): one score per base of each window. A correlation with something constant is
undefined and comes back as None or NaN, never as 0.
"""

import json
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


COVERAGE = 0.9
ENDS = (3, 6, 9, 15)  # bases to the nearer end of a sequence at which another band begins
FEWEST_IN_BAND = 60  # bases, for quantiles that hold
BAND_WINDOWS = 12_000


@dataclass(frozen=True)
class Bands:
    """Bands around predictions that hold 90 % of the true scores: split conformal ones, by score and distance.

    The row of a prediction is the number of `scores` that it reaches, its column that of `ENDS` that its distance
    from the nearer end does. Its band is from `low` to `high` above it, or below where that is negative.
    """

    scores: list[float]
    low: list[list[float]]
    high: list[list[float]]

    def as_json(self) -> str:
        """The bands as `bands_from_json` reads them."""
        return json.dumps(vars(self), separators=(",", ":"))

    def around(self, predictions: Array, start: int, length: int) -> tuple[Array, Array]:
        """The band around predictions.

        Args:
            predictions: (L,) float32, of consecutive bases.
            start: the first of them.
            length: of the sequence.

        Returns:
            Its lower and its upper edge (L,).
        """
        place = np.arange(start, start + len(predictions))
        row = np.searchsorted(self.scores, predictions, side="right")
        column = np.searchsorted(ENDS, np.minimum(place, length - 1 - place), side="right")
        edges = (predictions + np.asarray(offsets, np.float32)[row, column] for offsets in (self.low, self.high))
        low, high = edges
        return low, high


def bands_from_json(text: str) -> Bands:
    """Read bands.

    Raises:
        ValueError: the text holds none.
    """
    try:
        bands = Bands(**{name: np.asarray(values, np.float64).tolist() for name, values in json.loads(text).items()})
        shape = len(bands.scores) + 1, len(ENDS) + 1
        if not np.shape(bands.low) == np.shape(bands.high) == shape:
            raise ValueError("other numbers of rows and columns")
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"no bands around scores: {error}") from None
    return bands


def calibrate(predictions: Array, targets: Array, threshold: float | None) -> Bands:
    """Calibrate bands on held-out windows.

    Args:
        predictions, targets: (N, L).
        threshold: from which sites are called; None where there are none.

    Returns:
        The bands. A cell with few bases has the band of its row; a row with few, that of all.
    """
    some = np.unique(np.linspace(0, len(predictions) - 1, min(len(predictions), BAND_WINDOWS)).astype(int))
    x, residual = predictions[some].astype(np.float32), (targets[some] - predictions[some]).astype(np.float32)
    if threshold is None:
        edges = np.quantile(x, [0.05, 0.2, 0.4, 0.6, 0.8, 0.95])
    else:
        called = x[x >= threshold]
        thirds = np.quantile(called, [1 / 3, 2 / 3]).tolist() if len(called) >= 3 * FEWEST_IN_BAND else []
        edges = np.array([threshold / 8, threshold / 4, threshold / 2, threshold, *thirds])
    place = np.arange(x.shape[1])
    columns = np.broadcast_to(np.searchsorted(ENDS, np.minimum(place, place[::-1]), side="right"), x.shape)
    rows = np.searchsorted(edges, x, side="right")
    whole = _conformal(residual.ravel())
    low, high = (np.zeros((len(edges) + 1, len(ENDS) + 1)) for _ in range(2))
    for row in range(len(edges) + 1):
        here, its_columns = residual[rows == row], columns[rows == row]
        of_row = _conformal(here) if len(here) >= FEWEST_IN_BAND else whole
        for column in range(len(ENDS) + 1):
            cell = here[its_columns == column]
            low[row, column], high[row, column] = _conformal(cell) if len(cell) >= FEWEST_IN_BAND else of_row
    return Bands(_four_digits(edges), [_four_digits(row) for row in low], [_four_digits(row) for row in high])


def _conformal(residual: Array) -> tuple[float, float]:
    """The 5 % and the 95 % quantile, with one more residual on either side for that of the base to come."""
    tail = (1 - COVERAGE) / 2
    ordered = np.sort(residual)
    rank = int(np.ceil((len(ordered) + 1) * (1 - tail))) - 1
    last = len(ordered) - 1
    return float(ordered[max(last - rank, 0)]), float(ordered[min(rank, last)])


def _four_digits(values: Array) -> list[float]:
    return [float(f"{value:.4g}") for value in values]
