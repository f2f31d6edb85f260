"""Which setting is best, by how much, and whether that is beyond chance.

The best of the settings that can be judged, those with replicates of which none was lost, is tested against the
others. No call is made about a setting with one run, or one of which only the survivors are known.
"""

import bisect
from collections import Counter
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
    bootstrap,
    deviation,
    expected_best,
    has_power,
    lead_tests,
    own_variance,
    pooled_deviation,
    published_deviation,
    same_windows,
    welch,
)
from tfbind.runs import RunRecord

if TYPE_CHECKING:
    import pandas as pd

ASSUMED = 5  # notes
TESTED = 20  # how many settings next to the best are tested one by one
SPLIT = ("validation_split", "split_by", "test_split")
WINNERS = ("val_pearsonr", "val_loss")  # the metrics of which it is said where they disagree
SEEDS = (*range(2, 31), 40, 50, 75, 100, 150, 200)


@dataclass(frozen=True)
class Comparison:
    """The best setting that can be judged against another one; `best` is the one of the two with the better figure.

    `difference` is the best's mean minus the other's, in units of the metric. `rule`: `seeds`, both have replicates,
    which is where a call is made; `copies`, those of both are equal to the last digit; `none`, one has a single run;
    `lost`, runs of one were lost; `data`, one alone does not say which data it learnt from. `pair` is about the two
    trained models alone, where each setting has one run and both were measured on the same windows.
    """

    best: Configuration
    other: Configuration
    difference: float
    rule: CriticalValues
    test: MeanTest | None = None
    pair: BootstrapDifference | None = None
    pair_problem: str | None = None
    race: CurveCrossing | None = None

    @property
    def worse(self) -> bool:
        """Whether the other setting is called worse."""
        return self.test is not None and self.test.beyond_chance

    @cached_property
    def seeds_needed(self) -> int | None:
        """How many seeds of each setting would tell the difference apart in 8 of 10 cases, if it and the spreads stay
        what they are.

        The least of `SEEDS` that would; None if none would, or if it is told apart already.
        """
        if self.test is None or self.worse:
            return None
        settings = self.test.settings
        spreads = [own_variance(setting) for setting in (self.best, self.other)]

        def enough(seeds: int) -> bool:
            best, other = (replace(spread, freedom=seeds - 1, seeds=seeds) for spread in spreads)
            return has_power(self.difference, best, other, settings)

        place = bisect.bisect_left(SEEDS, True, key=enough)
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
    """The settings ranked, and what their comparison says.

    `rankings` are in order, the best figure first; `comparisons` are the best that can be judged against `TESTED`
    others. `selection_bias`: how much the best of as many equal settings would look too good by chance. `noise` helps
    where one run shows nothing of it. `refused` says why nothing was compared.
    """

    rank_by: RankBy
    settings: list[Configuration]
    rankings: list[Ranking]
    comparisons: list[Comparison]
    selection_bias: float | None
    notes: list[str]
    refused: str | None = None
    noise: Noise | None = None

    @property
    def best(self) -> Ranking | None:
        return self.rankings[0] if self.rankings else None

    def to_frame(self) -> "pd.DataFrame":
        """The rankings as a table.

        Returns:
            A row for each setting, the best first: `setting`, `seeds`, `mean`, `sd`; `difference`, from the best mean
            to its own; `low`, `high` and `p`, the 95 % interval of the tested difference and whether it is beyond
            chance; `may_be_best`; `runs`, their keys. NaN where something is not known.
        """
        import pandas as pd  # takes half a second, which no command waits for

        tested = {id(comparison.other): comparison for comparison in self.comparisons}
        rows = [self._row(ranking, tested.get(id(ranking.setting))) for ranking in self.rankings]
        numbers = ("mean", "sd", "difference", "low", "high", "p")
        columns = ["setting", "seeds", *numbers, "may_be_best", "runs"]
        return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(numbers, "float64"))

    def _row(self, ranking: Ranking, comparison: Comparison | None) -> dict[str, Any]:
        low, high = (comparison and comparison.interval) or (None, None)
        return {
            "setting": ranking.setting.label,
            "seeds": ranking.seeds,
            "mean": ranking.mean,
            "sd": ranking.sd,
            "difference": self.rankings[0].mean - ranking.mean,
            "low": low,
            "high": high,
            "p": comparison.test.p if comparison and comparison.test else None,
            "may_be_best": ranking in self.contenders,
            "runs": [record.key for record in ranking.setting.counted],
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
        compared = {id(setting) for comparison in self.comparisons for setting in (comparison.best, comparison.other)}
        last = 0
        for place, ranking in enumerate(self.rankings):
            if id(ranking.setting) in worse:
                break
            last = place if id(ranking.setting) in compared else last
        return self.rankings[: last + 1]

    @property
    def open(self) -> list[Ranking]:
        """Those with a lower figure than one that is called worse, of which that cannot be told."""
        undecided = {id(setting) for comparison in self.tied for setting in (comparison.best, comparison.other)}
        return [ranking for ranking in self.rankings[len(self.contenders) :] if id(ranking.setting) in undecided]


def judge(records: Sequence[RunRecord], rank_by: RankBy, pool: Sequence[RunRecord] = ()) -> Verdict:
    """Rank the settings of runs and test the best of them against the others.

    Args:
        records: the runs to compare.
        rank_by: by which figure.
        pool: further runs. Where no replicates are selected, those on the same data and split help to see how far
            chance goes. Those that repeat a setting that is compared are its `unselected`.

    Returns:
        The verdict; of runs on different data sets one that says why they were `refused`.
    """
    refused = _why_incomparable(records)
    if refused:
        return Verdict(rank_by, group_runs(records, rank_by), [], [], None, [], refused)
    settings = group_runs(records, rank_by)
    rankings = sorted(
        (_ranking(setting) for setting in settings if setting.values),
        key=lambda ranking: ranking.mean if rank_by.goal == "min" else -ranking.mean,
    )
    all_settings = _all_settings(records, pool, rank_by)
    by_key = {record.key: setting for setting in all_settings for record in setting.records}
    rankings[: TESTED + 1] = [
        replace(_with_trend(ranking, rank_by), unselected=_unselected(ranking.setting, by_key))
        for ranking in rankings[: TESTED + 1]
    ]
    notes = [*_notes(settings, rankings), *_disagreement(records, rankings, rank_by)]
    if not rankings:
        return Verdict(rank_by, settings, [], [], None, notes)
    first = next((ranking for ranking in rankings if ranking.judged), rankings[0])
    noise = _noise(first.setting, settings, all_settings, rank_by)
    comparisons = _comparisons(first, rankings, data_of(records), rank_by)
    return Verdict(rank_by, settings, rankings, comparisons, _selection_bias(rankings, noise), notes, noise=noise)


def _noise(
    first: Configuration, settings: Sequence[Configuration], all_settings: Sequence[Configuration], rank_by: RankBy
) -> Noise | None:
    """How far seeds scatter: by the selected runs on the data of `first`, else by others on the same known data and
    split, else, where the data are not known, by the published model."""
    config = first.records[0].config
    hash = config.get("dataset_hash")
    selected = [
        setting for setting in settings if setting.records[0].config.get("dataset_hash") == hash and not setting.lost
    ]
    similar = [
        setting
        for setting in all_settings
        if hash
        and all(setting.records[0].config.get(key) == config.get(key) for key in ("dataset_hash", *SPLIT))
        and not setting.lost
    ]
    noise = pooled_deviation(selected, "selected") or pooled_deviation(similar, "others")
    return noise or (None if hash or config.get("dataset") else published_deviation(rank_by.metric))


def _comparisons(
    first: Ranking, rankings: Sequence[Ranking], data: Mapping[str, str | None], rank_by: RankBy
) -> list[Comparison]:
    """`first` against the `TESTED` others that can be judged best, in the order of their figures."""
    others = [ranking for ranking in rankings if ranking is not first]
    near = sorted(others, key=lambda ranking: not ranking.judged)[:TESTED]
    family = sum(ranking.judged for ranking in rankings)
    leads = _leads(first, rankings, data)
    comparisons = []
    for ranking in rankings:
        if any(ranking is other for other in near):
            better = next(other for other in rankings if other is first or other is ranking)
            pair = (first, ranking) if better is first else (ranking, first)
            comparison = _compare(*pair, _rule(first, ranking, data), (family, len(near)), rank_by)
            comparisons.append(replace(comparison, test=leads.get(id(ranking), comparison.test)))
    return comparisons


def _leads(first: Ranking, rankings: Sequence[Ranking], data: Mapping[str, str | None]) -> dict[int, MeanTest]:
    """The tests by which `first` leads every other one that can be judged, by the other's identity; {} if it does
    not."""
    rivals = [ranking for ranking in rankings if ranking.judged and ranking is not first]
    if any(_rule(first, rival, data) != "seeds" for rival in rivals):
        return {}
    tests = lead_tests(first.setting, [rival.setting for rival in rivals])
    return {id(rival): test for rival, test in zip(rivals, tests, strict=True)} if tests else {}


def _rule(first: Ranking, other: Ranking, data: Mapping[str, str | None]) -> CriticalValues:
    known = [data[ranking.setting.records[0].key] for ranking in (first, other)]
    if (known[0] is None) != (known[1] is None):
        return "data"
    if first.judged and other.judged:
        return "seeds"
    return "lost" if first.setting.lost or other.setting.lost else "none"


def _all_settings(records: Sequence[RunRecord], pool: Sequence[RunRecord], rank_by: RankBy) -> list[Configuration]:
    """The settings among all runs that are known."""
    selected = {record.key for record in records}
    return group_runs([*records, *(record for record in pool if record.key not in selected)], rank_by)


def _unselected(setting: Configuration, by_key: Mapping[str, Configuration]) -> tuple[RunRecord, ...]:
    seeds = {record.config.get("seed") for record in setting.counted} - {None}
    keys = {record.key for record in setting.records}
    others = (record for record in by_key[setting.records[0].key].counted if record.key not in keys)
    return tuple(record for record in others if record.config.get("seed") not in seeds)


def _why_incomparable(records: Sequence[RunRecord]) -> str | None:
    data = data_of(records)
    kinds: dict[str, list[RunRecord]] = {}
    for record in records:
        if identity := data[record.key]:
            kinds.setdefault(identity, []).append(record)
    if len(kinds) < 2:
        return None
    names = [f"{runs[0].config.get('dataset', identity)} ({len(runs)})" for identity, runs in kinds.items()]
    return (
        f"These runs learnt from {len(kinds)} different data sets, which their figures cannot be compared across: "
        f"{', '.join(names)}. Choose runs of one data set."
    )


def _ranking(setting: Configuration) -> Ranking:
    values = setting.values
    sd = deviation(values) if len(values) > 1 else None
    return Ranking(setting, float(np.mean(values)), sd, len(values))


def _with_trend(ranking: Ranking, rank_by: RankBy) -> Ranking:
    if all(record.last_only for record in ranking.setting.counted):
        return ranking
    return replace(ranking, trend=trend_of(ranking.setting.counted, rank_by.metric, rank_by.goal))


def _compare(
    best: Ranking, other: Ranking, rule: CriticalValues, counts: tuple[int, int], rank_by: RankBy
) -> Comparison:
    """`counts`: how many settings can be judged, and how many comparisons there are."""
    difference = best.mean - other.mean
    if rule == "seeds" and not (best.sd or other.sd):
        rule = "copies"
    spreads = own_variance(best.setting), own_variance(other.setting)
    test = welch(difference, *spreads, counts[0]) if rule == "seeds" else None
    return Comparison(
        best.setting,
        other.setting,
        difference,
        rule,
        test,
        *_pair(best, other, rank_by),
        _race(best, other, rank_by, LEVEL / counts[1]) if test else None,
    )


def _race(best: Ranking, other: Ranking, rank_by: RankBy, level: float) -> CurveCrossing:
    first, second = (mean_curve(_one_of_each(ranking.setting), rank_by.metric) for ranking in (best, other))
    return curve_crossing(first, second, rank_by.goal, level)


def _one_of_each(setting: Configuration) -> list[RunRecord]:
    """A run of each seed: further ones of it show nothing of chance."""
    return list({record.config.get("seed", record.key): record for record in setting.counted}.values())


def _pair(best: Ranking, other: Ranking, rank_by: RankBy) -> tuple[BootstrapDifference | None, str | None]:
    first, second = best.setting.counted, other.setting.counted
    if rank_by.when != "best" or rank_by.metric not in WINDOW_METRICS or (len(first), len(second)) != (1, 1):
        return None, None
    if not same_windows(first[0], second[0]):
        return None, None
    try:
        return bootstrap(first[0], second[0], rank_by.metric), None
    except (ValueError, OSError) as error:
        return None, str(error)


def _selection_bias(rankings: Sequence[Ranking], noise: Noise | None) -> float | None:
    if len(rankings) < 2:
        return None
    sds = [ranking.sd for ranking in rankings if ranking.sd]
    if len(sds) < 3 and rankings[0].sd:
        sds = [rankings[0].sd]
    if not sds and noise and noise.origin != "published":
        sds = [noise.sd]
    if not sds:
        return None
    return expected_best(len(rankings)) * float(np.median(sds) / np.sqrt(rankings[0].seeds))


def _disagreement(records: Sequence[RunRecord], rankings: Sequence[Ranking], rank_by: RankBy) -> Iterator[str]:
    """That another metric has another winner."""
    for metric in WINNERS:
        other = choose(metric, rank_by.when, rank_by.epoch)
        other_rankings = [_ranking(setting) for setting in group_runs(records, other) if setting.values]
        if metric == rank_by.metric or len(rankings) < 2 or len(other_rankings) < 2:
            continue
        best = max(other_rankings, key=lambda ranking: -ranking.mean if other.goal == "min" else ranking.mean)
        key = rankings[0].setting.records[0].key
        own = next((ranking for ranking in other_rankings if ranking.setting.records[0].key == key), None)
        if own and own.mean != best.mean:
            yield (
                f"The metrics disagree: by {metric_label(metric)} the best figure is that of {best.setting.label}, "
                f"{best.mean:.4g} against {own.mean:.4g}."
            )


def _notes(settings: Sequence[Configuration], rankings: Sequence[Ranking]) -> list[str]:
    """What a reader has to know before believing the figures."""
    counted = [record for ranking in rankings for record in ranking.setting.counted]
    return [*_not_counted(settings), *_not_known(counted), *_assumed(counted)]


def _not_counted(settings: Sequence[Configuration]) -> Iterator[str]:
    left_out = [
        f"{record.name}: {setting.left_out[record.key]}"
        for setting in settings
        for record in setting.records
        if record.key in setting.left_out
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


def _assumed(counted: Sequence[RunRecord]) -> Iterator[str]:
    """What was taken for granted of the rows of runs from elsewhere."""
    for assumption, count in Counter(line for record in counted for line in record.assumed).most_common(ASSUMED):
        yield f"Of {count} of {len(counted)} runs: {assumption}."


def _not_known(counted: Sequence[RunRecord]) -> Iterator[str]:
    """What is not known of runs that are counted."""
    data = data_of(counted)
    unknown = sum(data[record.key] is None for record in counted)
    seedless = sum(record.config.get("seed") is None for record in counted)
    ended = sum(record.last_only for record in counted)
    sampled = sum(record.sampled and not record.last_only for record in counted)
    lossless = sum(not any("val_loss" in row for row in record.rows) for record in counted)
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
