"""How far chance alone would go between two settings or two runs: tests over seeds, a bootstrap over windows.

The best of many settings was picked because it came out best, so every test over seeds allows for all the pairs there
were to pick from (Games and Howell 1976: the studentised range with Welch's degrees of freedom). With two settings
that is Welch's test itself. A setting is called worse at the level `LEVEL` for the whole family: of a hundred sets of
equal settings, about two would be called different. The distributions come from `scipy.special` alone, since
`scipy.stats` takes over a second to import.

Two seeds may lie close together by luck. Beside a setting with more seeds, Welch's test would then take the little
they differ for all they vary, with the degrees of freedom of the other side, and call ties different too often.

The bootstrap over held-out windows holds for two trained models. Another seed gives another pair. Which settings
matter at all is PED-ANOVA's to say, by Optuna.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from tfbind import runs
from tfbind.compare.runs import Configuration, RankBy, number
from tfbind.data import open_training_data
from tfbind.errors import TfbindError
from tfbind.runs import RunRecord, read_validation

ALMOST_ALL = 1e-14  # what is left out of a distribution at either end
REACH = 9.0  # standard deviations of a normal distribution beyond which there is nothing

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(160)
METRICS = ("val_pearsonr", "val_loss", "val_pearsonr_window")
DRAWS = 2000
SAME_SPLIT = ("dataset_hash", "seed", "validation_split", "split_by", "test_split")

Array = NDArray[np.float64]
CriticalValues = Literal["seeds", "copies", "none", "lost", "data"]

FEWEST = 8  # runs with a figure, below which shares of importance are noise
LEVEL = 0.02
CONFIDENCE = 0.95
STEADY = 3  # seeds from which a standard deviation stands for itself beside one from more
# Least and largest standard deviation over seeds that was measured of the published model on the published data.
PUBLISHED_SPREAD = {"val_pearsonr": (0.002, 0.007)}


def t_p(t: float, freedom: float) -> float:
    """The two-sided p of Student's t."""
    return float(2 * special.stdtr(freedom, -abs(t)))


def t_quantile(share: float, freedom: float) -> float:
    """The value of Student's t below which this share lies."""
    return float(special.stdtrit(freedom, share))


def range_p(q: float, count: int, freedom: float) -> float:
    """The chance that the range of `count` normal draws exceeds `q` times an independent estimate of their standard
    deviation with `freedom` degrees of freedom.

    The integral over that estimate, along its logarithm, of the chance for a known standard deviation (Gauss and
    Legendre's rule in both directions).
    """
    shares = np.array([ALMOST_ALL, 1 - ALMOST_ALL])
    low, high = np.log(np.sqrt(2 * special.gammaincinv(freedom / 2, shares) / freedom))
    logs = (high - low) / 2 * _NODES + (high + low) / 2
    half = freedom / 2
    density = np.exp(
        np.log(2) + half * np.log(half) - special.gammaln(half) + freedom * logs - half * np.exp(2 * logs)
    )
    chance = _beyond(q * np.exp(logs), count)
    return float(np.clip((high - low) / 2 * (_WEIGHTS * density) @ chance, 0, 1))


def _beyond(
    widths: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]", count: int
) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    """The chance that the range of `count` standard normal draws exceeds each of `widths`: the lowest draw at z, all
    others within the width above it."""
    z = REACH * _NODES
    normal = np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    within = special.ndtr(z + widths[:, None]) - special.ndtr(z)
    return 1 - count * REACH * (within ** (count - 1) @ (_WEIGHTS * normal))


def expected_best(count: int) -> float:
    """The expected largest of `count` draws from a standard normal distribution."""
    z = REACH * _NODES
    density = count * np.exp(-z * z / 2) / np.sqrt(2 * np.pi) * special.ndtr(z) ** (count - 1)
    return float(REACH * (_WEIGHTS * z) @ density)


@dataclass(frozen=True)
class BootstrapDifference:
    """The metric of the first run minus that of the second, with a 95 % interval over `windows` windows."""

    difference: float
    low: float
    high: float
    windows: int


@dataclass(frozen=True, eq=False)
class WindowSums:
    """What is known of each held-out window (M,): sums (M, 6) of 1, x, y, xx, yy, xy over its bases, with x the
    predictions and y the true scores, both centred; mean squared error; Pearson r, NaN where undefined."""

    windows: NDArray[np.int64]
    sums: Array
    loss: Array
    pearson: Array


def same_windows(first: RunRecord, second: RunRecord) -> bool:
    """Whether two runs were measured on the same windows: both local, the same data, seed and share held out."""
    known = all(record.validation and record.config.get("dataset_hash") for record in (first, second))
    return known and all(first.config.get(key) == second.config.get(key) for key in SAME_SPLIT)


def bootstrap(first: RunRecord, second: RunRecord, metric: str, draws: int = DRAWS) -> BootstrapDifference:
    """Draw held-out windows with replacement, the same for both runs, and take the metric of both each time.

    Windows are drawn as if they were independent of each other. The percentiles are those of `draws` drawings from a
    fixed seed.

    Raises:
        ValueError: the runs were not measured on the same windows, the metric is not one of windows, or the data set
            or a file of predictions is missing or has changed.
    """
    if metric not in METRICS:
        raise ValueError(f"metric {metric}: not known for each window; expected {', '.join(METRICS)}")
    window_sums = [read_window_sums(record) for record in (first, second)]
    if not np.array_equal(window_sums[0].windows, window_sums[1].windows):
        raise ValueError(f"runs {first.id} and {second.id}: measured on different windows")
    count = len(window_sums[0].windows)
    rng = np.random.default_rng(0)
    counts = np.stack([np.bincount(rng.integers(0, count, count), minlength=count) for _ in range(draws)])
    ones = np.ones((1, count))
    first_values, second_values = (weighted_metric(sums, metric, counts) for sums in window_sums)
    low, high = np.nanpercentile(first_values - second_values, [2.5, 97.5])
    difference = weighted_metric(window_sums[0], metric, ones)[0] - weighted_metric(window_sums[1], metric, ones)[0]
    return BootstrapDifference(float(difference), float(low), float(high), count)


def interval(record: RunRecord, metric: str, groups: NDArray[np.intp], draws: int = DRAWS) -> tuple[float, float]:
    """The 95 % bootstrap interval of a run's metric over its held-out windows.

    Args:
        record: a run of this home.
        metric: one of `METRICS`.
        groups: (M,) what each held-out window is drawn with: itself, its block or its chromosome, numbered from 0.
        draws: how many resamples.

    Returns:
        The 2.5th and the 97.5th percentile, in units of the metric.

    Raises:
        ValueError: as for `bootstrap`.
    """
    if metric not in METRICS:
        raise ValueError(f"metric {metric}: not known for each window; expected {', '.join(METRICS)}")
    sums = read_window_sums(record)
    if len(groups) != len(sums.windows):
        expected = f"the {len(groups)} of this split: the data set or the program has changed since"
        raise TfbindError(f"{len(sums.windows)} held-out windows", place=f"run {record.id}", expected=expected)
    count = int(groups.max()) + 1
    rng = np.random.default_rng(0)
    counts = np.stack([np.bincount(rng.integers(0, count, count), minlength=count)[groups] for _ in range(draws)])
    low, high = np.nanpercentile(weighted_metric(sums, metric, counts), [2.5, 97.5])
    return float(low), float(high)


def weighted_metric(sums: WindowSums, metric: str, counts: NDArray[Any]) -> Array:
    """The metric over windows of which each counts `counts` (B, M) times: (B,), NaN where it is undefined."""
    counts = counts.astype(float)
    if metric == "val_loss":
        return counts @ sums.loss / counts.sum(axis=1)
    if metric == "val_pearsonr_window":
        defined = np.isfinite(sums.pearson)
        return counts[:, defined] @ sums.pearson[defined] / counts[:, defined].sum(axis=1)
    n, x, y, xx, yy, xy = (counts @ sums.sums).T
    with np.errstate(invalid="ignore", divide="ignore"):
        return (xy - x * y / n) / np.sqrt((xx - x * x / n) * (yy - y * y / n))


def read_window_sums(record: RunRecord) -> WindowSums:
    """The best epoch's predictions of a run as sums for each held-out window.

    Raises:
        ValueError: there are none, or the data set is gone or has changed since.
    """
    if record.validation is None:
        raise ValueError(f"run {record.id}: no predictions on held-out windows are kept of it")
    try:
        data = open_training_data(runs.Run(record.validation.parent).home, record.config)
    except ValueError as error:
        raise ValueError(f"run {record.id}: {error}") from None
    windows, halves, loss, pearson = read_validation(record.validation, len(data), data.length)
    predictions = halves.astype(np.float64)
    if not np.isfinite(predictions).all():
        raise ValueError(f"run {record.id}: its predictions are not all finite")
    x = predictions - predictions.mean()
    truth = np.asarray(data.scores[windows], np.float64)
    y = truth - truth.mean()
    sums = np.stack(
        [np.full(len(x), float(x.shape[1])), x.sum(1), y.sum(1), (x * x).sum(1), (y * y).sum(1), (x * y).sum(1)],
        axis=1,
    )
    return WindowSums(windows, sums, loss.astype(np.float64), pearson.astype(np.float64))


@dataclass(frozen=True)
class SeedDeviation:
    """A standard deviation over the seeds of one setting, from `seeds` values of the runs with the keys `runs`."""

    sd: float
    seeds: int
    label: str
    runs: frozenset[str]


@dataclass(frozen=True)
class Noise:
    """How far seeds scatter, where a single run does not show it: a help, on which no call is made.

    One standard deviation pooled over `settings` settings with `seeds` values together. `origin`: `selected`, they
    are compared; `others`, runs on the same data and split that are not; `published`, the published model, whose
    least is `least`.
    """

    sd: float
    origin: Literal["selected", "others", "published"]
    seeds: int = 0
    settings: int = 0
    least: float | None = None


@dataclass(frozen=True)
class MeanTest:
    """A difference of means against chance: its standard error and degrees of freedom, among `settings` settings."""

    difference: float
    error: float
    freedom: float
    settings: int

    @property
    def single(self) -> float:
        """The p of this pair alone."""
        return t_p(self.difference / self.error, self.freedom)

    @cached_property
    def p(self) -> float:
        """The p for the whole family of pairs: never less than `single`."""
        if self.settings == 2:
            return self.single
        return range_p(abs(self.difference) / self.error * np.sqrt(2), self.settings, self.freedom)

    @property
    def beyond_chance(self) -> bool:
        return self.single < LEVEL and self.p < LEVEL

    @property
    def margin(self) -> float:
        """Half the width of the 95 % interval of this pair alone."""
        return t_quantile((1 + CONFIDENCE) / 2, self.freedom) * self.error


def welch(difference: float, parts: Sequence[tuple[float, float]], settings: int) -> MeanTest:
    """The test of a difference whose variance is the sum of `parts`: estimates with their degrees of freedom."""
    total = sum(part for part, _ in parts)
    freedom = total**2 / sum(part**2 / own for part, own in parts)
    return MeanTest(difference, float(np.sqrt(total)), freedom, settings)


def own_spreads(best: Configuration, other: Configuration) -> tuple[SeedDeviation, ...]:
    """What is taken for the spread of two settings with replicates, () where the replicates of both are copies."""
    own = _spread(best), _spread(other)
    return _steadied(*own) if any(spread.sd for spread in own) else ()


def pooled_deviation(settings: Sequence[Configuration], origin: Literal["selected", "others"]) -> Noise | None:
    """One standard deviation over the seeds of all these settings, None where none has replicates that differ."""
    spreads = [_spread(setting) for setting in settings if len(set(setting.values)) > 1]
    if not spreads:
        return None
    squares = sum((spread.seeds - 1) * spread.sd**2 for spread in spreads)
    freedom = sum(spread.seeds - 1 for spread in spreads)
    return Noise(float(np.sqrt(squares / freedom)), origin, sum(spread.seeds for spread in spreads), len(spreads))


def published_deviation(metric: str) -> Noise | None:
    """The spread over seeds of the published model, None for a metric of which it was not measured."""
    if metric not in PUBLISHED_SPREAD:
        return None
    least, most = PUBLISHED_SPREAD[metric]
    return Noise(most, "published", least=least)


def _steadied(first: SeedDeviation, second: SeedDeviation) -> tuple[SeedDeviation, ...]:
    """Both spreads, a doubtful one replaced by the other where that is larger."""
    larger = max(first, second, key=lambda spread: spread.sd)
    return tuple(
        larger if mine.seeds < min(STEADY, theirs.seeds) else mine
        for mine, theirs in ((first, second), (second, first))
    )


def variances(spreads: Sequence[SeedDeviation], seeds: tuple[int, int]) -> list[tuple[float, float]]:
    """The variance that each standard deviation brings into a difference of means over so many seeds, and its degrees
    of freedom. One that stands for both sides is one estimate."""
    parts: dict[frozenset[str], tuple[float, float]] = {}
    for spread, count in zip(spreads, seeds, strict=True):
        before, _ = parts.get(spread.runs, (0.0, 0.0))
        parts[spread.runs] = (before + spread.sd**2 / count, spread.seeds - 1)
    return list(parts.values())


def deviation(values: Sequence[float]) -> float:
    """The standard deviation of a sample: 0 exactly where all values are equal."""
    return float(np.std(values, ddof=1)) if len(set(values)) > 1 else 0.0


def _spread(setting: Configuration) -> SeedDeviation:
    values = setting.values
    return SeedDeviation(deviation(values), len(values), setting.label, frozenset(setting.points))


def setting_importance(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], rank_by: RankBy
) -> dict[str, float]:
    """The importance of each setting for the figure.

    PED-ANOVA (Watanabe and others 2023) asks where the best tenth of the runs lie along each setting, compared with
    all of them. The shares add up to 1; they say nothing about settings that depend on each other.

    Args:
        rows: as from `compare.table`.
        columns: the settings to weigh up.
        rank_by: the figure that they are to explain.

    Returns:
        The share of each setting, the largest first; {} for too few runs or nothing that varies.
    """
    measured = [row for row in rows if row[rank_by.metric] is not None]
    if len(measured) < FEWEST:
        return {}
    columns = [column for column in columns if len({row[column] for row in measured}) > 1]
    if not columns:
        return {}
    if len(columns) == 1:
        return {columns[0]: 1.0}
    import optuna  # half a second, which no page pays before it needs this

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    distributions = {column: _distribution([row[column] for row in measured]) for column in columns}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(direction="maximize" if rank_by.goal == "max" else "minimize")
        for row in measured:
            study.add_trial(
                optuna.trial.create_trial(
                    params={column: _plain(row[column]) for column in columns},
                    distributions=distributions,
                    value=row[rank_by.metric],
                )
            )
        shares = optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
        )
    return dict(sorted(shares.items(), key=lambda share: -share[1]))


def _distribution(values: Sequence[Any]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    numbers = [number(value) for value in values]
    known = [value for value in numbers if value is not None]
    if len(known) < len(values) or len(set(known)) < 5:
        return CategoricalDistribution(sorted({_plain(value) for value in values}, key=str))
    return FloatDistribution(min(known), max(known), log=min(known) > 0 and max(known) >= 20 * min(known))


def _plain(value: Any) -> Any:
    return float(value) if number(value) is not None else str(value)
