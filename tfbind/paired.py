"""Two runs on the same held-out windows: by how much one beats the other, with an interval over windows.

What this says holds for the two trained models. Another seed gives another pair.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfbind import runs
from tfbind.best_epoch import read_held_out
from tfbind.datasets import open_learnt
from tfbind.history import Past

METRICS = ("val_pearsonr", "val_loss", "val_pearsonr_window")
DRAWS = 2000
SAME_SPLIT = ("dataset_hash", "seed", "validation_split", "split_by", "test_split")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Paired:
    """The metric of the first run minus that of the second, with a 95 % interval over `windows` windows."""

    difference: float
    low: float
    high: float
    windows: int


@dataclass(frozen=True, eq=False)
class Held:
    """What is known of each held-out window (M,): sums (M, 6) of 1, x, y, xx, yy, xy over its bases, with x the
    predictions and y the true scores, both centred; mean squared error; Pearson r, NaN where undefined."""

    windows: NDArray[np.int64]
    sums: Array
    loss: Array
    pearson: Array


def same_windows(first: Past, second: Past) -> bool:
    """Whether two runs were measured on the same windows: both local, the same data, seed and share held out."""
    known = all(past.validation and past.config.get("dataset_hash") for past in (first, second))
    return known and all(first.config.get(key) == second.config.get(key) for key in SAME_SPLIT)


def bootstrap(first: Past, second: Past, metric: str, draws: int = DRAWS) -> Paired:
    """Draw held-out windows with replacement, the same for both runs, and take the metric of both each time.

    Windows are drawn as if they were independent of each other. The percentiles are those of `draws` drawings from a
    fixed seed.

    Raises:
        ValueError: the runs were not measured on the same windows, the metric is not one of windows, or the data set
            or a file of predictions is missing or has changed.
    """
    if metric not in METRICS:
        raise ValueError(f"metric {metric}: not known for each window; expected {', '.join(METRICS)}")
    held = [read_held(past) for past in (first, second)]
    if not np.array_equal(held[0].windows, held[1].windows):
        raise ValueError(f"runs {first.id} and {second.id}: measured on different windows")
    count = len(held[0].windows)
    rng = np.random.default_rng(0)
    drawn = np.stack([np.bincount(rng.integers(0, count, count), minlength=count) for _ in range(draws)])
    once = np.ones((1, count))
    here, there = (figure(one, metric, drawn) for one in held)
    low, high = np.nanpercentile(here - there, [2.5, 97.5])
    difference = figure(held[0], metric, once)[0] - figure(held[1], metric, once)[0]
    return Paired(float(difference), float(low), float(high), count)


def interval(past: Past, metric: str, groups: NDArray[np.intp], draws: int = DRAWS) -> tuple[float, float]:
    """The 95 % bootstrap interval of a run's metric over its held-out windows: how far it hangs on which they are.

    Args:
        groups: (M,) what each held-out window is drawn with: itself, its block or its chromosome, numbered from 0.

    Raises:
        ValueError: as for `bootstrap`.
    """
    if metric not in METRICS:
        raise ValueError(f"metric {metric}: not known for each window; expected {', '.join(METRICS)}")
    held = read_held(past)
    count = int(groups.max()) + 1
    rng = np.random.default_rng(0)
    drawn = np.stack([np.bincount(rng.integers(0, count, count), minlength=count)[groups] for _ in range(draws)])
    low, high = np.nanpercentile(figure(held, metric, drawn), [2.5, 97.5])
    return float(low), float(high)


def figure(held: Held, metric: str, times: NDArray[Any]) -> Array:
    """The metric over windows of which each counts `times` (B, M) times: (B,), NaN where it is undefined."""
    times = times.astype(float)
    if metric == "val_loss":
        return times @ held.loss / times.sum(axis=1)
    if metric == "val_pearsonr_window":
        defined = np.isfinite(held.pearson)
        return times[:, defined] @ held.pearson[defined] / times[:, defined].sum(axis=1)
    n, x, y, xx, yy, xy = (times @ held.sums).T
    with np.errstate(invalid="ignore", divide="ignore"):
        return (xy - x * y / n) / np.sqrt((xx - x * x / n) * (yy - y * y / n))


def read_held(past: Past) -> Held:
    """The best epoch's predictions of a run as sums for each held-out window.

    Raises:
        ValueError: there are none, or the data set is gone or has changed since.
    """
    if past.validation is None:
        raise ValueError(f"run {past.id}: no predictions on held-out windows are kept of it")
    try:
        data = open_learnt(runs.Run(past.validation.parent).home, past.config)
    except ValueError as error:
        raise ValueError(f"run {past.id}: {error}") from None
    windows, halves, loss, pearson = read_held_out(past.validation, len(data), data.length)
    predictions = halves.astype(np.float64)
    if not np.isfinite(predictions).all():
        raise ValueError(f"run {past.id}: its predictions are not all finite")
    x = predictions - predictions.mean()
    truth = np.asarray(data.scores[windows], np.float64)
    y = truth - truth.mean()
    sums = np.stack(
        [np.full(len(x), float(x.shape[1])), x.sum(1), y.sum(1), (x * x).sum(1), (y * y).sum(1), (x * y).sum(1)],
        axis=1,
    )
    return Held(windows, sums, loss.astype(np.float64), pearson.astype(np.float64))
