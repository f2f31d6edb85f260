"""Which setting is best, by how much, and whether that is beyond chance.

The best of the settings that can be judged, those with replicates of which none was lost, is tested against the
others. No call is made about a setting with one run, or one of which only the survivors are known.
"""

import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tfbind.compare.curves import CurveCrossing, Trend, curve_crossing, mean_curve, trend_of
from tfbind.compare.runs import Configuration, RankBy, choose, data_of, group_runs, metric_label
from tfbind.compare.significance import (
    LEVEL,
    METRICS as WINDOW_METRICS,
    BootstrapDifference,
    CriticalValues,
    MeanTest,
    Noise,
    SeedDeviation,
    bootstrap,
    deviation,
    expected_best,
    own_spreads,
    pooled_deviation,
    published_deviation,
    same_windows,
    variances,
    welch,
)
from tfbind.runs import RunRecord

if TYPE_CHECKING:
    import pandas as pd

TESTED = 20  # how many settings next to the best are tested one by one
SPLIT = ("validation_split", "split_by", "test_split")
WINNERS = ("val_pearsonr", "val_loss")  # the metrics of which it is said where they disagree
SEEDS = (*range(2, 11), 12, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200)


@dataclass(frozen=True)
class Comparison:
    """The best setting that can be judged against another one; `best` is the one of the two with the better figure.

    `difference` is the best's mean minus the other's, in units of the metric. `rule`: `seeds`, both have replicates,
    which is where a call is made; `copies`, those of both are equal to the last digit; `none`, one has a single run;
    `lost`, runs of one were lost; `data`, one alone does not say which data it learnt from. `spreads` are what is
    taken for the spread of either side, () without a test. `pair` is about the two trained models alone, where each
    setting has one run and both were measured on the same windows.
    """

    best: Configuration
    other: Configuration
    difference: float
    rule: CriticalValues
    test: MeanTest | None = None
    spreads: tuple[SeedDeviation, ...] = ()
    pair: BootstrapDifference | None = None
    pair_problem: str | None = None
    race: CurveCrossing | None = None

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
        if self.test is None:
            return None
        return self.difference - self.test.margin, self.difference + self.test.margin


@dataclass(frozen=True)
class Ranking:
    """A setting with its figures, one value for each seed; `trend` is None below the `TESTED` next to the best, and
    where no curve is known. `unselected` are further seeds of it that have been run and are not compared."""

    setting: Configuration
    mean: float
    sd: float | None
    seeds: int
    trend: Trend | None = None
    unselected: tuple[RunRecord, ...] = ()

    @property
    def judged(self) -> bool:
        """Whether it can be called better or worse."""
        return self.seeds > 1 and not self.setting.lost


@dataclass(frozen=True)
class Verdict:
    """What can be said of these runs. `standings` are in order, the best figure first; `comparisons` are the best
    that can be judged against `TESTED` others. `optimism`: how much the best of as many equal settings would look too
    good by chance. `noise` helps where one run shows nothing of it. `refused` says why nothing was compared."""

    choice: RankBy
    settings: list[Configuration]
    standings: list[Ranking]
    comparisons: list[Comparison]
    optimism: float | None
    notes: list[str]
    refused: str | None = None
    noise: Noise | None = None

    @property
    def best(self) -> Ranking | None:
        return self.standings[0] if self.standings else None

    @property
    def rankings(self) -> list[Ranking]:
        """The settings with their figures, the best first."""
        return self.standings

    def to_frame(self) -> "pd.DataFrame":
        """The rankings as a table.

        Returns:
            A row for each setting, the best first: `setting`, `seeds`, `mean`, `sd`; `difference`, from the best mean
            to its own; `low`, `high` and `p`, the 95 % interval of the tested difference and whether it is beyond
            chance; `may_be_best`; `runs`, their keys. NaN where something is not known.
        """
        import pandas as pd  # takes half a second, which no command waits for

        tested = {id(comparison.other): comparison for comparison in self.comparisons}
        rows = [self._row(standing, tested.get(id(standing.setting))) for standing in self.standings]
        numbers = ("mean", "sd", "difference", "low", "high", "p")
        columns = ["setting", "seeds", *numbers, "may_be_best", "runs"]
        return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(numbers, "float64"))

    def _row(self, standing: Ranking, comparison: Comparison | None) -> dict[str, Any]:
        low, high = (comparison and comparison.interval) or (None, None)
        return {
            "setting": standing.setting.label,
            "seeds": standing.seeds,
            "mean": standing.mean,
            "sd": standing.sd,
            "difference": self.standings[0].mean - standing.mean,
            "low": low,
            "high": high,
            "p": comparison.test.p if comparison and comparison.test else None,
            "may_be_best": standing in self.contenders,
            "runs": [past.key for past in standing.setting.counted],
        }

    def __str__(self) -> str:
        """All that is said of the runs, a line each."""
        from tfbind.compare import text  # which is built on this module

        return "\n".join([*text.verdict_text(self), *(f"next: {step.text}" for step in text.next_steps(self))])

    def _repr_html_(self) -> str:
        from tfbind.compare import report

        return report.verdict_html(self)

    def _repr_markdown_(self) -> str:
        from tfbind.compare import report

        return report.verdict_markdown(self)

    @property
    def tied(self) -> list[Comparison]:
        """The comparisons in which the best is not told apart from the other."""
        return [comparison for comparison in self.comparisons if not comparison.worse]

    @cached_property
    def contenders(self) -> list[Ranking]:
        """Those that may be the best: no figure among them is lower than one that is called worse."""
        worse = {id(comparison.other) for comparison in self.comparisons if comparison.worse}
        compared = {id(setting) for one in self.comparisons for setting in (one.best, one.other)}
        last = 0
        for place, standing in enumerate(self.standings):
            if id(standing.setting) in worse:
                break
            last = place if id(standing.setting) in compared else last
        return self.standings[: last + 1]

    @property
    def open(self) -> list[Ranking]:
        """Those with a lower figure than one that is called worse, of which that cannot be told."""
        behind = {id(setting) for one in self.tied for setting in (one.best, one.other)}
        return [one for one in self.standings[len(self.contenders) :] if id(one.setting) in behind]


def judge(pasts: Sequence[RunRecord], choice: RankBy, pool: Sequence[RunRecord] = ()) -> Verdict:
    """Compare the settings of these runs.

    Args:
        pasts: the runs to compare.
        choice: by which figure.
        pool: further runs. Where no replicates are selected, those on the same data and split help to see how far
            chance goes. Those that repeat a setting that is compared are its `unselected`.
    """
    refused = _unlike(pasts)
    if refused:
        return Verdict(choice, group_runs(pasts, choice), [], [], None, [], refused)
    settings = group_runs(pasts, choice)
    standings = sorted(
        (_standing(setting) for setting in settings if setting.values),
        key=lambda standing: standing.mean if choice.goal == "min" else -standing.mean,
    )
    known = _known(pasts, pool, choice)
    whole = {past.key: setting for setting in known for past in setting.pasts}
    standings[: TESTED + 1] = [
        replace(_with_trend(standing, choice), unselected=_unselected(standing.setting, whole))
        for standing in standings[: TESTED + 1]
    ]
    notes = [
        *_notes(settings, standings),
        *_disagreement(pasts, standings, choice),
    ]
    if not standings:
        return Verdict(choice, settings, [], [], None, notes)
    first = next((standing for standing in standings if standing.judged), standings[0])
    noise = _noise(first.setting, settings, known, choice)
    comparisons = _comparisons(first, standings, data_of(pasts), choice)
    return Verdict(choice, settings, standings, comparisons, _optimism(standings, noise), notes, noise=noise)


def _noise(
    first: Configuration, settings: Sequence[Configuration], known: Sequence[Configuration], choice: RankBy
) -> Noise | None:
    """How far seeds scatter: by the selected runs on the data of `first`, else by others on the same known data and
    split, else, where the data are not known, by the published model."""
    mine = first.pasts[0].config
    hash = mine.get("dataset_hash")
    here = [
        setting for setting in settings if setting.pasts[0].config.get("dataset_hash") == hash and not setting.lost
    ]
    alike = [
        setting
        for setting in known
        if hash
        and all(setting.pasts[0].config.get(key) == mine.get(key) for key in ("dataset_hash", *SPLIT))
        and not setting.lost
    ]
    found = pooled_deviation(here, "selected") or pooled_deviation(alike, "others")
    return found or (None if hash or mine.get("dataset") else published_deviation(choice.metric))


def _comparisons(
    first: Ranking, standings: Sequence[Ranking], data: Mapping[str, str | None], choice: RankBy
) -> list[Comparison]:
    """`first` against the `TESTED` others that can be judged best, in the order of their figures."""
    others = [standing for standing in standings if standing is not first]
    near = sorted(others, key=lambda standing: not standing.judged)[:TESTED]
    family = sum(standing.judged for standing in standings)
    found = []
    for standing in standings:
        if any(standing is one for one in near):
            ahead = next(one for one in standings if one is first or one is standing)
            pair = (first, standing) if ahead is first else (standing, first)
            found.append(_compare(*pair, _rule(first, standing, data), (family, len(near)), choice))
    return found


def _rule(first: Ranking, other: Ranking, data: Mapping[str, str | None]) -> CriticalValues:
    known = [data[standing.setting.pasts[0].key] for standing in (first, other)]
    if (known[0] is None) != (known[1] is None):
        return "data"
    if first.judged and other.judged:
        return "seeds"
    return "lost" if first.setting.lost or other.setting.lost else "none"


def _known(pasts: Sequence[RunRecord], pool: Sequence[RunRecord], choice: RankBy) -> list[Configuration]:
    """The settings among all runs that are known."""
    selected = {past.key for past in pasts}
    return group_runs([*pasts, *(past for past in pool if past.key not in selected)], choice)


def _unselected(setting: Configuration, whole: Mapping[str, Configuration]) -> tuple[RunRecord, ...]:
    seeds = {past.config.get("seed") for past in setting.counted} - {None}
    keys = {past.key for past in setting.pasts}
    others = (past for past in whole[setting.pasts[0].key].counted if past.key not in keys)
    return tuple(past for past in others if past.config.get("seed") not in seeds)


def _unlike(pasts: Sequence[RunRecord]) -> str | None:
    data = data_of(pasts)
    kinds: dict[str, list[RunRecord]] = {}
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


def _standing(setting: Configuration) -> Ranking:
    values = setting.values
    sd = deviation(values) if len(values) > 1 else None
    return Ranking(setting, float(np.mean(values)), sd, len(values))


def _with_trend(standing: Ranking, choice: RankBy) -> Ranking:
    if all(past.last_only for past in standing.setting.counted):
        return standing
    return replace(standing, trend=trend_of(standing.setting.counted, choice.metric, choice.goal))


def _compare(
    best: Ranking, other: Ranking, rule: CriticalValues, counts: tuple[int, int], choice: RankBy
) -> Comparison:
    """`counts`: how many settings can be judged, and how many comparisons there are."""
    difference = best.mean - other.mean
    spreads = own_spreads(best.setting, other.setting) if rule == "seeds" else ()
    if rule == "seeds" and not spreads:
        rule = "copies"
    test = welch(difference, variances(spreads, (best.seeds, other.seeds)), counts[0]) if spreads else None
    return Comparison(
        best.setting,
        other.setting,
        difference,
        rule,
        test,
        spreads,
        *_pair(best, other, choice),
        _race(best, other, choice, LEVEL / counts[1]) if test else None,
    )


def _race(best: Ranking, other: Ranking, choice: RankBy, level: float) -> CurveCrossing:
    first, second = (mean_curve(_one_of_each(standing.setting), choice.metric) for standing in (best, other))
    return curve_crossing(first, second, choice.goal, level)


def _one_of_each(setting: Configuration) -> list[RunRecord]:
    """A run of each seed: further ones of it show nothing of chance."""
    return list({past.config.get("seed", past.key): past for past in setting.counted}.values())


def _pair(best: Ranking, other: Ranking, choice: RankBy) -> tuple[BootstrapDifference | None, str | None]:
    first, second = best.setting.counted, other.setting.counted
    if choice.when != "best" or choice.metric not in WINDOW_METRICS or (len(first), len(second)) != (1, 1):
        return None, None
    if not same_windows(first[0], second[0]):
        return None, None
    try:
        return bootstrap(first[0], second[0], choice.metric), None
    except (ValueError, OSError) as error:
        return None, str(error)


def _optimism(standings: Sequence[Ranking], noise: Noise | None) -> float | None:
    if len(standings) < 2:
        return None
    sds = [standing.sd for standing in standings if standing.sd]
    sds = sds or [noise.sd for noise in [noise] if noise and noise.origin != "published"]
    if not sds:
        return None
    spread = float(np.sqrt(np.mean(np.square(sds))))
    return expected_best(len(standings)) * spread / float(np.sqrt(standings[0].seeds))


def _disagreement(pasts: Sequence[RunRecord], standings: Sequence[Ranking], choice: RankBy) -> Iterator[str]:
    """That another metric has another winner."""
    for metric in WINNERS:
        other = choose(metric, choice.when, choice.epoch)
        found = [_standing(setting) for setting in group_runs(pasts, other) if setting.values]
        if metric == choice.metric or len(standings) < 2 or len(found) < 2:
            continue
        best = (min if other.goal == "min" else max)(found, key=lambda standing: standing.mean)
        key = standings[0].setting.pasts[0].key
        mine = next((one for one in found if one.setting.pasts[0].key == key), None)
        if mine and mine.mean != best.mean:
            yield (
                f"The metrics disagree: by {metric_label(metric)} the best figure is that of {best.setting.label}, "
                f"{best.mean:.4g} against {mine.mean:.4g}."
            )


def _notes(settings: Sequence[Configuration], standings: Sequence[Ranking]) -> list[str]:
    """What a reader has to know before believing the figures."""
    counted = [past for standing in standings for past in standing.setting.counted]
    return [*_not_counted(settings), *_not_known(counted)]


def _not_counted(settings: Sequence[Configuration]) -> Iterator[str]:
    left_out = [
        f"{past.name}: {setting.left_out[past.key]}"
        for setting in settings
        for past in setting.pasts
        if past.key in setting.left_out
    ]
    partly = [setting.label for setting in settings if setting.points and setting.lost]
    if left_out:
        more = f" and {len(left_out) - 5} more" if len(left_out) > 5 else ""
        yield f"Not counted: {'; '.join(left_out[:5])}{more}."
    if partly:
        yield (
            f"Of {', '.join(partly[:3])} only the runs that ended well are counted, which flatters it: a setting "
            "whose runs fail, are pruned or are stopped is worse than its survivors. No call is made about it."
        )


def _not_known(counted: Sequence[RunRecord]) -> Iterator[str]:
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
