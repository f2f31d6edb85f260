"""Which setting is best, by how much, and whether that is beyond chance.

The best setting by its mean is tested against the others.
"""

import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tfbind.chance import Rule, Spread, Test, deviation, known_spreads, variances, welch
from tfbind.compare import Choice, Setting, data_of, group
from tfbind.curves import Race, Trend, mean_curve, race, trend_of
from tfbind.elsewhere import assumed, join
from tfbind.history import Past
from tfbind.paired import METRICS as WINDOW_METRICS
from tfbind.paired import Paired, bootstrap, same_windows
from tfbind.ranges import expected_best

TESTED = 20  # how many settings next to the best are tested one by one
FAILED = ("failed", "crashed")
SEEDS = (*range(2, 11), 12, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200)


@dataclass(frozen=True)
class Comparison:
    """The best setting against another one.

    `difference` is the best's mean minus the other's, in units of the metric. `rule`: `seeds`, both have replicates;
    `spread`, a single run is held against the seeds of another setting; `none`, nothing is known of chance; `copies`,
    the replicates of both are equal to the last digit. `spreads` are what is taken for the spread of either side, ()
    where nothing is. `pair` is about the two trained models alone, where each setting has one run and both were
    measured on the same windows.
    """

    best: Setting
    other: Setting
    difference: float
    rule: Rule
    test: Test | None = None
    spreads: tuple[Spread, ...] = ()
    pair: Paired | None = None
    pair_problem: str | None = None
    race: Race | None = None

    @property
    def worse(self) -> bool:
        """Whether the other setting is called worse."""
        return self.test is not None and self.test.beyond_chance

    @cached_property
    def seeds_needed(self) -> int | None:
        """How many seeds of each setting would tell the difference apart, if it and the spreads stay what they are.

        The least of `SEEDS` that would; None if none would, or if it is told apart already.
        """
        if self.test is None or self.worse:
            return None
        settings = self.test.settings

        def told(seeds: int) -> bool:
            parts = [(spread.sd**2 / seeds, seeds - 1) for spread in self.spreads]
            return welch(self.difference, parts, settings).beyond_chance

        place = bisect.bisect_left(SEEDS, True, key=told)
        return SEEDS[place] if place < len(SEEDS) else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the difference over seeds, of this pair alone."""
        if self.test is None or self.rule != "seeds":
            return None
        return self.difference - self.test.margin, self.difference + self.test.margin


@dataclass(frozen=True)
class Standing:
    """A setting with its figures, one value for each seed; `trend` is None below the `TESTED` next to the best, and
    where no curve is known. `unselected` are further seeds of it that have been run and are not compared."""

    setting: Setting
    mean: float
    sd: float | None
    seeds: int
    trend: Trend | None = None
    unselected: tuple[Past, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What can be said of these runs. `standings` are in order, the best first; `comparisons` are the best against
    the `TESTED` next. `optimism`: how much the best of as many equal settings would look too good by chance.
    `refused` says why nothing was compared."""

    choice: Choice
    settings: list[Setting]
    standings: list[Standing]
    comparisons: list[Comparison]
    optimism: float | None
    notes: list[str]
    refused: str | None = None

    @property
    def best(self) -> Standing | None:
        return self.standings[0] if self.standings else None

    @property
    def tied(self) -> list[Comparison]:
        """The comparisons in which the best is not told apart from the other."""
        return [comparison for comparison in self.comparisons if not comparison.worse]


def judge(pasts: Sequence[Past], choice: Choice, pool: Sequence[Past] = ()) -> Verdict:
    """Compare the settings of these runs.

    Args:
        pasts: the runs to compare.
        choice: by which figure.
        pool: further runs. Those of this home count where a run from elsewhere repeats their setting (see
            `elsewhere.join`), and the replicates among all of them may say how far chance goes. Those that repeat a
            setting that is compared are its `unselected`.
    """
    refused = _unlike(pasts)
    if refused:
        return Verdict(choice, group(pasts, choice), [], [], None, [], refused)
    joined = join(pasts, pool, choice)
    settings = group(joined.pasts, choice)
    standings = sorted(
        (_standing(setting) for setting in settings if setting.values),
        key=lambda standing: standing.mean if choice.goal == "min" else -standing.mean,
    )
    known = _known(joined.pasts, pool, choice)
    whole = {past.key: setting for setting in known for past in setting.pasts}
    standings[: TESTED + 1] = [
        replace(_with_trend(standing, choice), unselected=_unselected(standing.setting, whole))
        for standing in standings[: TESTED + 1]
    ]
    best, others = standings[:1], standings[1 : TESTED + 1]
    replicated = [setting for setting in known if len(set(setting.values)) > 1]
    comparisons = [_compare(best[0], other, len(standings), replicated, choice) for other in others]
    notes = [*assumed(joined, settings), *_notes(settings, standings)]
    return Verdict(choice, settings, standings, comparisons, _optimism(standings, comparisons), notes)


def _known(pasts: Sequence[Past], pool: Sequence[Past], choice: Choice) -> list[Setting]:
    """The settings among all runs that are known."""
    selected = {past.key for past in pasts}
    return group([*pasts, *(past for past in pool if past.key not in selected)], choice)


def _unselected(setting: Setting, whole: Mapping[str, Setting]) -> tuple[Past, ...]:
    seeds = {past.config.get("seed") for past in setting.counted} - {None}
    keys = {past.key for past in setting.pasts}
    others = (past for past in whole[setting.pasts[0].key].counted if past.key not in keys)
    return tuple(past for past in others if past.config.get("seed") not in seeds)


def _unlike(pasts: Sequence[Past]) -> str | None:
    data = data_of(pasts)
    kinds: dict[str, list[Past]] = {}
    for past in pasts:
        if identity := data[past.key]:
            kinds.setdefault(identity, []).append(past)
    if len(kinds) < 2:
        return None
    names = [f"{runs[0].config.get('dataset', identity)} ({len(runs)})" for identity, runs in kinds.items()]
    return (
        f"These runs learnt from {len(kinds)} different data sets, which their figures cannot be compared across: "
        f"{', '.join(names)}. Choose runs of one data set."
    )


def _standing(setting: Setting) -> Standing:
    values = setting.values
    sd = deviation(values) if len(values) > 1 else None
    return Standing(setting, float(np.mean(values)), sd, len(values))


def _with_trend(standing: Standing, choice: Choice) -> Standing:
    if all(past.last_only for past in standing.setting.counted):
        return standing
    return replace(standing, trend=trend_of(standing.setting.counted, choice.metric, choice.goal))


def _compare(
    best: Standing, other: Standing, settings: int, replicated: Sequence[Setting], choice: Choice
) -> Comparison:
    difference = best.mean - other.mean
    rule, spreads = known_spreads(best.setting, other.setting, replicated)
    test = welch(difference, variances(spreads, (best.seeds, other.seeds)), settings) if spreads else None
    pair, problem = _pair(best, other, choice)
    return Comparison(
        best.setting,
        other.setting,
        difference,
        rule,
        test,
        spreads,
        pair,
        problem,
        _race(best, other, choice, test.margin) if test else None,  # nothing says which lead is more than chance
    )


def _race(best: Standing, other: Standing, choice: Choice, noise: float) -> Race:
    first, second = (mean_curve(standing.setting.counted, choice.metric) for standing in (best, other))
    return race(first, second, choice.goal, noise)


def _pair(best: Standing, other: Standing, choice: Choice) -> tuple[Paired | None, str | None]:
    first, second = best.setting.counted, other.setting.counted
    if choice.when != "best" or choice.metric not in WINDOW_METRICS or (len(first), len(second)) != (1, 1):
        return None, None
    if not same_windows(first[0], second[0]):
        return None, None
    try:
        return bootstrap(first[0], second[0], choice.metric), None
    except (ValueError, OSError) as error:
        return None, str(error)


def _optimism(standings: Sequence[Standing], comparisons: Sequence[Comparison]) -> float | None:
    if len(standings) < 2:
        return None
    sds = [standing.sd for standing in standings if standing.sd]
    sds = sds or [spread.sd for comparison in comparisons for spread in comparison.spreads]
    if not sds:
        return None
    spread = float(np.sqrt(np.mean(np.square(sds))))
    return expected_best(len(standings)) * spread / float(np.sqrt(standings[0].seeds))


def _notes(settings: Sequence[Setting], standings: Sequence[Standing]) -> list[str]:
    """What a reader has to know before believing the figures."""
    counted = [past for standing in standings for past in standing.setting.counted]
    return [*_not_counted(settings), *_not_known(counted)]


def _not_counted(settings: Sequence[Setting]) -> Iterator[str]:
    left_out = [
        f"{past.name}: {setting.left_out[past.key]}"
        for setting in settings
        for past in setting.pasts
        if past.key in setting.left_out
    ]
    partly = [
        setting.label
        for setting in settings
        if setting.points and any(past.key in setting.left_out and past.state in FAILED for past in setting.pasts)
    ]
    if left_out:
        more = f" and {len(left_out) - 5} more" if len(left_out) > 5 else ""
        yield f"Not counted: {'; '.join(left_out[:5])}{more}."
    if partly:
        yield (
            f"Of {', '.join(partly[:3])} only the runs that ended well are counted, which flatters it: a setting "
            "that often fails is worse than its survivors."
        )


def _not_known(counted: Sequence[Past]) -> Iterator[str]:
    """What is not known of runs that are counted."""
    data = data_of(counted)
    unknown = sum(data[past.key] is None for past in counted)
    seedless = sum(past.config.get("seed") is None for past in counted)
    ended = sum(past.last_only for past in counted)
    sampled = sum(past.sampled and not past.last_only for past in counted)
    lossless = sum(not any("val_loss" in row for row in past.rows) for past in counted)
    every = len(counted)
    if 0 < unknown < every:
        yield f"{unknown} of {every} runs do not say which data they learnt from."
    if seedless:
        yield f"{seedless} of {every} runs record no seed; each is taken as a repetition of its own."
    if ended:
        yield f"Of {ended} of {every} runs only the last values are known, and stand for the best."
    if sampled:
        yield f"{sampled} of {every} curves were thinned by the server: best epochs may be missed."
    if lossless:
        yield f"{lossless} of {every} runs have no validation loss: their best epoch is that of the metric itself."
