"""The shape of learning curves: still improving, overfitting, settled, and where one setting overtakes another."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tfbind.compare.runs import Goal, number
from tfbind.compare.significance import LEVEL, SeedVariance, t_quantile, welch
from tfbind.runs import RunRecord

Values = NDArray[np.float64]
Shape = Literal["short", "improving", "overfitting", "worsening", "settled"]

SHORTEST = 4  # epochs below which a curve has no shape
FEWEST = 3  # runs on either side below which nothing is said of who led when
LEAST_GAIN = 0.005  # of all that was gained: less is not called an improvement
LEAST_LOSS = 0.02  # of all that was gained: a rise above the best by less is not called overfitting


@dataclass(frozen=True, eq=False)
class MeanCurve:
    """A metric over the epochs that all runs of a setting have: epochs (E,), the value of each run (runs, E), mean,
    lowest and highest run (E,)."""

    epochs: NDArray[np.int64]
    values: Values
    mean: Values
    low: Values
    high: Values

    @property
    def runs(self) -> int:
        """How many runs it is the mean of."""
        return len(self.values)


@dataclass(frozen=True)
class Trend:
    """How a curve of `metric` ends. `gain`: by how much the best of its last `tail` epochs beats all before them;
    below zero, how far their mean fell behind that."""

    shape: Shape
    gain: float
    tail: int
    metric: str = ""


@dataclass(frozen=True)
class CurveCrossing:
    """How two settings stand to each other along the epochs.

    `kind`: `crossed` (one leads first, the other later, from `epoch` on; with other seeds it would be an epoch from
    `low` to `high`, 5 to 95 %), `faster` (one leads until `epoch`, then neither) or `none`. `leader` is 0 or 1: which
    of the two led first, by `lead` at most, at epoch `peak`.
    """

    kind: Literal["crossed", "faster", "none"]
    leader: int = 0
    epoch: int = 0
    lead: float = 0.0
    peak: int = 0
    low: int = 0
    high: int = 0


def mean_curve(records: Sequence[RunRecord], metric: str) -> MeanCurve:
    """The mean curve of runs of one setting, over the epochs at which all of them have the metric.

    Runs of which not every epoch is here count only where all are such; those without a curve never do.
    """
    with_curves = [record for record in records if not record.last_only]
    curves = [
        {int(row["epoch"]): value for row in record.rows if (value := number(row.get(metric))) is not None}
        for record in [record for record in with_curves if not record.sampled] or with_curves
    ]
    epochs = sorted(set.intersection(*(set(curve) for curve in curves))) if curves else []
    if not epochs:
        none = np.empty(0)
        return MeanCurve(np.empty(0, np.int64), np.empty((len(curves), 0)), none, none, none)
    values = np.array([[curve[epoch] for epoch in epochs] for curve in curves])
    return MeanCurve(np.array(epochs), values, values.mean(0), values.min(0), values.max(0))


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


def trend_of(records: Sequence[RunRecord], metric: str, goal: Goal) -> Trend:
    """The trend of a setting: of its val_loss where that was recorded, else of the metric."""
    curve = mean_curve(records, "val_loss")
    if len(curve.epochs):
        train = mean_curve(records, "train_loss")
        return replace(trend(curve.mean, "min", train.mean), metric="val_loss")
    return replace(trend(mean_curve(records, metric).mean, goal), metric=metric)


def curve_crossing(first: MeanCurve, second: MeanCurve, goal: Goal, level: float = LEVEL) -> CurveCrossing:
    """Where two settings change places, or one loses its lead: down to less than a third of it in the last quarter.

    Nothing is said of fewer than `FEWEST` runs on a side. A lead is one in the mean of the first, or of the last,
    quarter of the epochs that is beyond chance at `level` by Welch's test over seeds.
    """
    epochs, first_places, second_places = np.intersect1d(first.epochs, second.epochs, return_indices=True)
    if len(epochs) < SHORTEST or min(first.runs, second.runs) < FEWEST:
        return CurveCrossing("none")
    sign = -1 if goal == "min" else 1
    sides = [sign * first.values[:, first_places], sign * second.values[:, second_places]]
    quarter = -(-len(epochs) // 4)
    start = _ahead([side[:, :quarter] for side in sides], level)
    end = _ahead([side[:, -quarter:] for side in sides], level)
    lead = start * (sides[0].mean(0) - sides[1].mean(0))
    peak = int(np.argmax(lead))
    crossing = CurveCrossing("none", 0 if start > 0 else 1, lead=float(lead[peak]), peak=int(epochs[peak]))
    if start and end == -start:
        return _crossing(crossing, epochs, lead, _margin(sides, 0.95))
    ahead = np.flatnonzero(lead > _margin(sides, 0.975))
    narrow = 3 * float(np.abs(lead[-quarter:]).mean()) < crossing.lead
    if start and not end and narrow and len(ahead) and ahead[-1] < 0.75 * (len(epochs) - 1):
        return replace(crossing, kind="faster", epoch=int(epochs[ahead[-1]]))
    return CurveCrossing("none")


def _ahead(sides: Sequence[Values], level: float) -> int:
    """1 where the first of two groups of runs has the higher mean, -1 where the second has, 0 within chance."""
    first, second = (side.mean(axis=1) for side in sides)
    difference = float(first.mean() - second.mean())
    spreads = [SeedVariance(float(side.var(ddof=1)), len(side) - 1, len(side)) for side in (first, second)]
    if not any(spread.variance for spread in spreads):
        return 0
    return int(np.sign(difference)) if welch(difference, spreads[0], spreads[1], 2).p < level else 0


def _crossing(crossing: CurveCrossing, epochs: NDArray[np.int64], lead: Values, margin: Values) -> CurveCrossing:
    """`crossing` with the epoch from which the other leads, between the last at which the first is clearly ahead and
    the first from which it is clearly behind; no race where either is missing."""
    turn = int(np.flatnonzero(lead > 0)[-1]) + 1
    before = np.flatnonzero(lead[:turn] > margin[:turn])
    after = np.flatnonzero(lead[turn:] < -margin[turn:]) + turn
    if not len(before) or not len(after):
        return CurveCrossing("none")
    low, high = int(epochs[before[-1] + 1]), int(epochs[after[0]])
    return replace(crossing, kind="crossed", epoch=int(epochs[turn]), low=low, high=high)


def _margin(sides: Sequence[Values], share: float) -> Values:
    """How far seeds alone take two means apart at each epoch, going by the median spread of five epochs around it."""
    error = np.hypot(*(side.std(axis=0, ddof=1) / np.sqrt(len(side)) for side in sides))
    around = np.pad(error, 2, mode="edge")
    steady = np.median(np.lib.stride_tricks.sliding_window_view(around, 5), axis=1)
    return np.asarray(t_quantile(share, sum(len(side) for side in sides) - 2) * steady)


def smooth(values: Sequence[float | None], strength: float) -> list[float | None]:
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


def curve_points(
    record: RunRecord, axis: Literal["epoch", "seconds"], metric: str
) -> tuple[list[float], list[float | None]]:
    """A run's curve: x (epochs, or the seconds spent by the end of each) and the metric, None where undefined.

    Epochs whose duration was not recorded have no place in time, so from there on the curve in seconds ends. A run of
    which only the last values are known has no curve.
    """
    x: list[float] = []
    y: list[float | None] = []
    spent = 0.0
    for row in [] if record.last_only else record.rows:
        took: Any = number(row.get("seconds"))
        if axis == "seconds":
            if took is None or number(spent + took) is None:
                break
            spent += took
        x.append(spent if axis == "seconds" else float(row["epoch"]))
        y.append(number(row.get(metric)))
    return x, y
