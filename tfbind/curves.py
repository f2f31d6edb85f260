"""The shape of learning curves: still improving, overfitting, settled, and where one setting overtakes another."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tfbind.compare import Goal, number
from tfbind.history import Past
from tfbind.ranges import t_quantile

Values = NDArray[np.float64]
Shape = Literal["short", "improving", "overfitting", "worsening", "settled"]

SHORTEST = 4  # epochs below which a curve has no shape
LEAST_GAIN = 0.005  # of all that was gained: less is not called an improvement
LEAST_LOSS = 0.02  # of all that was gained: a rise above the best by less is not called overfitting


@dataclass(frozen=True, eq=False)
class MeanCurve:
    """A metric over the epochs that all runs of a setting have: epochs (E,), mean, lowest and highest run, and the
    standard error of the mean over runs (E,), NaN for one run."""

    epochs: NDArray[np.int64]
    mean: Values
    low: Values
    high: Values
    error: Values
    runs: int


@dataclass(frozen=True)
class Trend:
    """How a curve of `metric` ends. `gain`: by how much the best of its last `tail` epochs beats all before them;
    below zero, how far their mean fell behind that."""

    shape: Shape
    gain: float
    tail: int
    metric: str = ""


@dataclass(frozen=True)
class Race:
    """How two settings stand to each other along the epochs.

    `kind`: `crossed` (one leads first, the other later, from `epoch` on), `faster` (one leads until `epoch`, then
    neither) or `none`. `leader` is 0 or 1: which of the two led first, by `lead` at most, at epoch `peak`.
    """

    kind: Literal["crossed", "faster", "none"]
    leader: int = 0
    epoch: int = 0
    lead: float = 0.0
    peak: int = 0


def mean_curve(pasts: Sequence[Past], metric: str) -> MeanCurve:
    """The mean curve of runs of one setting, over the epochs at which all of them have the metric.

    Runs of which not every epoch is here count only where all are such; those without a curve never do.
    """
    known = [past for past in pasts if not past.last_only]
    curves = [
        {int(row["epoch"]): value for row in past.rows if (value := number(row.get(metric))) is not None}
        for past in [past for past in known if not past.sampled] or known
    ]
    epochs = sorted(set.intersection(*(set(curve) for curve in curves))) if curves else []
    if not epochs:
        none = np.empty(0)
        return MeanCurve(np.empty(0, np.int64), none, none, none, none, len(curves))
    values = np.array([[curve[epoch] for epoch in epochs] for curve in curves])
    count = len(values)
    error = values.std(0, ddof=1) / np.sqrt(count) if count > 1 else np.full(len(epochs), np.nan)
    return MeanCurve(np.array(epochs), values.mean(0), values.min(0), values.max(0), error, count)


def jitter(values: Values) -> float:
    """How much a curve moves from epoch to epoch apart from its trend: root mean square of what the median of three
    neighbours leaves, over its later half; 0 for fewer than five values."""
    if len(values) < 5:
        return 0.0
    later = values[-max(5, len(values) // 2) :]
    smooth = np.median(np.stack([later[:-2], later[1:-1], later[2:]]), axis=0)
    return float(np.sqrt(np.mean((later[1:-1] - smooth) ** 2)))


def trend(values: Values, goal: Goal, train: Values | None = None) -> Trend:
    """How a curve ends: its last quarter (at least two epochs) against what came before.

    improving: the best of the tail beats the best before by more than the jitter and 0.5 % of all that was gained.
    overfitting: the tail's mean is worse than the best before by more than twice the jitter and 2 % of all that was
    gained, while `train`, the loss on the training windows, went on falling; `worsening`: the same without `train`.
    """
    tail = max(2, -(-len(values) // 4))
    if len(values) < SHORTEST:
        return Trend("short", 0.0, tail)
    loss = values if goal == "min" else -values
    before, after, noise = loss[:-tail], loss[-tail:], jitter(loss)
    gained = max(float(loss[0] - loss.min()), 0.0)
    gain = float(before.min() - after.min())
    if gain > max(noise, LEAST_GAIN * gained):
        return Trend("improving", gain, tail)
    fallen = float(after.mean() - before.min())
    if fallen > max(2 * noise, LEAST_LOSS * gained):
        learning = train is not None and len(train) == len(values) and train[-tail:].mean() < train[:-tail].min()
        return Trend("overfitting" if learning else "worsening", -fallen, tail)
    return Trend("settled", gain, tail)


def trend_of(pasts: Sequence[Past], metric: str, goal: Goal) -> Trend:
    """The trend of a setting: of its val_loss where that was recorded, else of the metric."""
    curve = mean_curve(pasts, "val_loss")
    if len(curve.epochs):
        train = mean_curve(pasts, "train_loss")
        return replace(trend(curve.mean, "min", train.mean), metric="val_loss")
    return replace(trend(mean_curve(pasts, metric).mean, goal), metric=metric)


def race(first: MeanCurve, second: MeanCurve, goal: Goal, noise: float) -> Race:
    """Where two settings change places, or one loses its lead: down to less than a third of it in the last quarter.

    Only leads beyond chance count: at each epoch above the 95 % margin over seeds, or above `noise` where a setting
    has one run; and above twice the jitter of the lead.
    """
    epochs, here, there = np.intersect1d(first.epochs, second.epochs, return_indices=True)
    if len(epochs) < SHORTEST:
        return Race("none")
    lead = first.mean[here] - second.mean[there]
    lead = -lead if goal == "min" else lead
    margin = np.maximum(_margin(first, here, second, there, noise), 2 * jitter(lead))
    ahead = np.where(np.abs(lead) > margin, np.sign(lead), 0)
    clear = np.flatnonzero(ahead)
    if not len(clear):
        return Race("none")
    start = ahead[clear[0]]
    peak = int(np.argmax(np.where(ahead == start, np.abs(lead), 0)))
    leader, biggest, top = 0 if start > 0 else 1, float(abs(lead[peak])), int(epochs[peak])
    if ahead[clear[-1]] == -start:
        turn = int(np.flatnonzero(np.sign(lead) != -start)[-1]) + 1
        return Race("crossed", leader, int(epochs[turn]), biggest, top) if turn < len(epochs) else Race("none")
    left = float(np.abs(lead[-max(1, len(lead) // 4) :]).mean())
    if clear[-1] < 0.75 * (len(epochs) - 1) and 3 * left < biggest:
        return Race("faster", leader, int(epochs[clear[-1]]), biggest, top)
    return Race("none")


def _margin(
    first: MeanCurve, here: NDArray[np.intp], second: MeanCurve, there: NDArray[np.intp], noise: float
) -> Values:
    """How far seeds alone take two means apart at each epoch, going by the median spread of five epochs around it."""
    if min(first.runs, second.runs) < 2:
        return np.full(len(here), noise)
    error = np.hypot(first.error[here], second.error[there])
    around = np.pad(error, 2, mode="edge")
    steady = np.median(np.lib.stride_tricks.sliding_window_view(around, 5), axis=1)
    return np.asarray(t_quantile(0.975, first.runs + second.runs - 2) * steady)


def smoothed(values: Sequence[float | None], strength: float) -> list[float | None]:
    """An exponential moving average that is fair to the first values: `strength` 0 leaves the curve alone, 0.99 all
    but flattens it. A gap stays a gap."""
    total, weight = 0.0, 0.0
    result: list[float | None] = []
    for value in values:
        if value is None:
            result.append(None)
            continue
        total, weight = strength * total + (1 - strength) * value, strength * weight + (1 - strength)
        result.append(total / weight)
    return result


def along(past: Past, axis: Literal["epoch", "seconds"], metric: str) -> tuple[list[float], list[float | None]]:
    """A run's curve: x (epochs, or the seconds spent by the end of each) and the metric, None where undefined.

    Epochs whose duration was not recorded have no place in time, so from there on the curve in seconds ends. A run of
    which only the last values are known has no curve.
    """
    x: list[float] = []
    y: list[float | None] = []
    spent = 0.0
    for row in [] if past.last_only else past.rows:
        took: Any = number(row.get("seconds"))
        if axis == "seconds":
            if took is None or number(spent + took) is None:
                break
            spent += took
        x.append(spent if axis == "seconds" else float(row["epoch"]))
        y.append(number(row.get(metric)))
    return x, y
