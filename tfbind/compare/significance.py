"""How far chance alone would go between two settings or two runs: tests over seeds, a bootstrap over windows.

Two settings: Welch's test. The best of more was picked because it came out best, so there a test allows for all the
pairs to pick from: the studentised range (Games and Howell 1976), with the degrees of freedom of the side with fewer
seeds, which bound its level from above whatever the spreads (Mickey and Brown 1966). That is strict, so the best is
also called the winner where it leads every other one, with variances shrunk towards their mean (Smyth 2004) and freed
of what a shared seed adds to all. A lead over all others allows for the choice by itself (Gutmann and Maymin 1987).

The constants hold false calls below 3 in 100 sets of equal settings in simulations: docs/statistics.md. The
distributions come from `scipy.special` alone, since `scipy.stats` takes over a second to import.

The bootstrap over held-out windows holds for two trained models. Another seed gives another pair. Which settings
matter at all is PED-ANOVA's to say, by Optuna.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
UNEQUAL = 1.5  # times the freedom of the side with fewer seeds: the most that a test of unequal counts has
FEWEST_SHARED = (
    3  # seeds from which a variance is shrunk, and settings from which there is anything to shrink towards
)
SHARED_FREEDOM = 3.0  # degrees of freedom that the mean variance counts for beside a setting's own
OUTLIER = 0.002  # p below which a variance is too large to share
LEAD_FACTOR = 4  # the p of a lead over all others counts this many times: variances may be less alike than they look
PAIRED_FREEDOM = 8  # what has to be left once the seeds' common part is taken off
POWER = 0.8
# Least and largest standard deviation over seeds that was measured of the published model on the published data.
PUBLISHED_SPREAD = {"val_pearsonr": (0.002, 0.007)}


DEALS = 100  # of figures at random, for the reference of importance
TINY = 1e-12


@dataclass(frozen=True)
class Importance:
    """The share of a setting in the importance of all, and what chance reaches, in the same unit."""

    share: float
    chance: float


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
class SeedVariance:
    """The variance over the seeds of one setting, with its degrees of freedom, from `seeds` values."""

    variance: float
    freedom: float
    seeds: int

    @property
    def of_mean(self) -> float:
        """The variance of the setting's mean."""
        return self.variance / self.seeds


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
    """A difference of means against chance: its standard error and degrees of freedom, among `settings` settings.

    `fewer`: the degrees of freedom of the side that has fewer. `lead`: the largest p of the best against any other,
    where it leads them all.
    """

    difference: float
    error: float
    freedom: float
    settings: int
    fewer: float
    lead: float | None = None

    @property
    def single(self) -> float:
        """The p of this pair alone."""
        return t_p(self.difference / self.error, self.freedom)

    @cached_property
    def p(self) -> float:
        """The p that allows for the choice of the best: never less than `single`."""
        if self.lead is not None:
            return min(LEAD_FACTOR * self.lead, 1.0)
        if self.settings == 2:
            return self.single
        return range_p(abs(self.difference) / self.error * np.sqrt(2), self.settings, self.fewer)

    @property
    def beyond_chance(self) -> bool:
        return self.p < LEVEL

    @property
    def margin(self) -> float:
        """Half the width of the 95 % interval of this pair alone."""
        return t_quantile((1 + CONFIDENCE) / 2, self.freedom) * self.error


def welch(difference: float, first: SeedVariance, second: SeedVariance, settings: int) -> MeanTest:
    """The test of a difference of means by the variances of both sides.

    Args:
        difference: of the means.
        first: of one side.
        second: of the other; not both variances are 0.
        settings: how many there were to pick the two from.

    Returns:
        The test. Where counts differ, it has fewer degrees of freedom than Welch's.
    """
    total = first.of_mean + second.of_mean
    freedom = total**2 / (first.of_mean**2 / first.freedom + second.of_mean**2 / second.freedom)
    fewer = min(first.freedom, second.freedom)
    if first.seeds != second.seeds:
        freedom = min(freedom, UNEQUAL * fewer)
    return MeanTest(difference, float(np.sqrt(total)), freedom, settings, fewer)


def has_power(difference: float, first: SeedVariance, second: SeedVariance, settings: int) -> bool:
    """Whether a true difference of this size would be called with a chance of `POWER` at least.

    Its degrees of freedom are estimated, and fewer on average than those of equal variances.
    """
    test = welch(difference, first, second, settings)
    test = replace(test, freedom=test.freedom * (1 - 1 / first.seeds))
    size = abs(difference) / test.error
    reached = float(special.nctdtrit(test.freedom, size, 1 - POWER)) * test.error
    return reached > 0 and replace(test, difference=reached).beyond_chance


def own_variance(setting: Configuration) -> SeedVariance:
    """The variance over the seeds of a setting by its own values."""
    values = setting.values
    return SeedVariance(deviation(values) ** 2, len(values) - 1, len(values))


def lead_tests(best: Configuration, others: Sequence[Configuration]) -> list[MeanTest]:
    """The tests of the best of three settings or more against each other one, where it leads them all beyond chance.

    Args:
        best: the one with the best mean, with replicates.
        others: further ones with replicates.

    Returns:
        One test for each of `others`; [] where the lead is within chance.
    """
    settings = [best, *others]
    if len(settings) < FEWEST_SHARED:
        return []
    first, *rest = _shared(_without_seeds(settings))
    if not all(first.variance + other.variance for other in rest):
        return []
    mean = float(np.mean(best.values))
    tests = [
        replace(welch(mean - float(np.mean(setting.values)), first, other, 2), settings=len(settings))
        for setting, other in zip(others, rest, strict=True)
    ]
    lead = max(test.single for test in tests)
    tests = [replace(test, lead=lead) for test in tests]
    return tests if tests[0].beyond_chance else []


def _without_seeds(settings: Sequence[Configuration]) -> list[SeedVariance]:
    """The variance of each setting, without what a seed adds to all where all have the same seeds: the test of pairs,
    for any number of settings."""
    seeds = settings[0].by_seed.keys()
    count, each = len(settings), len(seeds) - 1
    shared = all(setting.by_seed.keys() == seeds for setting in settings)
    if not shared or (count - 1) * each < PAIRED_FREEDOM:
        return [own_variance(setting) for setting in settings]
    values = np.array([[setting.by_seed[seed] for seed in seeds] for setting in settings])
    squares = np.var(values - values.mean(axis=0), axis=1, ddof=1) * count / (count - 1)
    return [SeedVariance(float(square), each * (count - 1) / count, len(seeds)) for square in squares]


def _shared(variances: Sequence[SeedVariance]) -> list[SeedVariance]:
    """The variances, each shrunk towards the mean of all (Smyth 2004). Those that are outliers, or from two seeds,
    stay as they are; all do where their logarithms scatter more than the weight of the mean allows."""
    places = [place for place, own in enumerate(variances) if own.seeds >= FEWEST_SHARED and own.variance]
    if len(places) < FEWEST_SHARED:
        return list(variances)
    squares, freedoms = np.array([(variances[place].variance, variances[place].freedom) for place in places]).T
    logs = np.log(squares) - special.digamma(freedoms / 2) + np.log(freedoms / 2)
    scatter = np.var(logs, ddof=1) - special.polygamma(1, freedoms / 2).mean()
    if scatter >= special.polygamma(1, SHARED_FREEDOM / 2):
        return list(variances)
    total, freedom = freedoms @ squares, freedoms.sum()
    ratios = squares / ((total - freedoms * squares) / (freedom - freedoms))
    alike = special.fdtrc(freedoms, freedom - freedoms, ratios) >= OUTLIER
    sums = SHARED_FREEDOM * total / freedom + freedoms * squares
    shared = list(variances)
    for index in np.flatnonzero(alike):
        weight = SHARED_FREEDOM + float(freedoms[index])
        shared[places[index]] = replace(
            variances[places[index]], variance=float(sums[index]) / weight, freedom=weight
        )
    return shared


def pooled_deviation(settings: Sequence[Configuration], origin: Literal["selected", "others"]) -> Noise | None:
    """One standard deviation over the seeds of all these settings, None where none has replicates that differ."""
    spreads = [own_variance(setting) for setting in settings if len(set(setting.values)) > 1]
    if not spreads:
        return None
    squares = sum(spread.freedom * spread.variance for spread in spreads)
    freedom = sum(spread.freedom for spread in spreads)
    return Noise(float(np.sqrt(squares / freedom)), origin, sum(spread.seeds for spread in spreads), len(spreads))


def published_deviation(metric: str) -> Noise | None:
    """The spread over seeds of the published model, None for a metric of which it was not measured."""
    if metric not in PUBLISHED_SPREAD:
        return None
    least, most = PUBLISHED_SPREAD[metric]
    return Noise(most, "published", least=least)


def deviation(values: Sequence[float]) -> float:
    """The standard deviation of a sample: 0 exactly where all values are equal."""
    return float(np.std(values, ddof=1)) if len(set(values)) > 1 else 0.0


def setting_importance(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], rank_by: RankBy
) -> dict[str, Importance]:
    """The importance of each setting for the figure, where it is beyond chance.

    PED-ANOVA (Watanabe and others 2023) asks where the best tenth of the runs lie along each setting, compared with
    all of them. It says nothing about settings that depend on each other. The reference comes from figures dealt out
    to the runs at random: in 5 of 100 deals, the importance of any setting is above its own reference.

    Args:
        rows: as from `compare.table`.
        columns: the settings to weigh up.
        rank_by: the figure that they are to explain.

    Returns:
        The settings beyond chance, the most important first; {} for too few runs or nothing that varies.
    """
    measured = [row for row in rows if row[rank_by.metric] is not None]
    columns = [column for column in columns if len({row[column] for row in measured}) > 1]
    if len(measured) < FEWEST or not columns:
        return {}
    figures = np.array([row[rank_by.metric] for row in measured], float)
    rng = np.random.default_rng(0)
    own, *deals = _importances(
        measured, columns, rank_by, [figures, *(rng.permutation(figures) for _ in range(DEALS))]
    )
    centre, scale = np.mean(deals, axis=0), np.std(deals, axis=0) + TINY
    highest = np.quantile(((deals - centre) / scale).max(axis=1), CONFIDENCE)
    total = np.exp(own).sum()
    shares, chances = np.exp(own) / total, np.exp(centre + highest * scale) / total
    order = [place for place in np.argsort(-shares) if shares[place] > chances[place]]
    return {columns[place]: Importance(float(shares[place]), float(chances[place])) for place in order}


def _importances(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], rank_by: RankBy, deals: Sequence[Array]
) -> Array:
    """The logarithm of PED-ANOVA's importance of each setting, for each of several figures of the runs."""
    import optuna  # half a second, which no page pays before it needs this

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {column: _distribution([row[column] for row in rows]) for column in columns}
    settings = [{column: _plain(row[column]) for column in columns} for row in rows]
    importances = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        for figures in deals:
            study = optuna.create_study(direction="maximize" if rank_by.goal == "max" else "minimize")
            study.add_trials(
                [
                    optuna.trial.create_trial(params=params, distributions=distributions, value=float(figure))
                    for params, figure in zip(settings, figures, strict=True)
                ]
            )
            known = optuna.importance.get_param_importances(study, evaluator=evaluator, normalize=False)
            importances.append([known[column] for column in columns])
    return np.log(np.array(importances) + TINY)


def _distribution(values: Sequence[Any]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    numbers = [number(value) for value in values]
    known = [value for value in numbers if value is not None]
    if len(known) < len(values) or len(set(known)) < 5:
        return CategoricalDistribution(sorted({_plain(value) for value in values}, key=str))
    return FloatDistribution(min(known), max(known), log=min(known) > 0 and max(known) >= 20 * min(known))


def _plain(value: Any) -> Any:
    return float(value) if number(value) is not None else str(value)
