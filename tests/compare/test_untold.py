"""What the verdict does not say: of one run, of survivors, of unknown data; and that the best are monotone."""

from dataclasses import replace

import numpy as np
import planted
import pytest
from hypothesis import given, settings, strategies as st
from past_runs import curve, logged, past, replicates

from tfbind.compare.report import facts
from tfbind.compare.runs import RankBy, choose
from tfbind.compare.text import headline, next_steps, verdict_lines
from tfbind.compare.verdict import Verdict, judge
from tfbind.runs.record import RunRecord

PEARSON = choose("val_pearsonr")
GOOD, BAD = [0.883, 0.887, 0.879], [0.695, 0.690, 0.700]


def everything(verdict: Verdict) -> str:
    return "\n".join([headline(verdict), *verdict_lines(verdict), *verdict.notes])


# One run on a side


def test_a_single_run_is_never_called() -> None:
    """Of a setting that scatters more than the one with replicates; it may also be the better one by its figure."""
    assert planted.calls_of_a_single_run(10, 5.0, 10) == 0
    single = past("one", 0.8, learning_rate=0.3, seed=0)
    verdict = judge([*replicates(0.01, GOOD), single], PEARSON)
    assert "is worse" not in everything(verdict)
    assert "One run of learning_rate 0.3: cannot be told. As a help, not a call" in everything(verdict)
    assert "learning_rate 0.3 (one run)" in headline(verdict)


def test_a_single_run_changes_no_call_about_the_others() -> None:
    """Above, between and below two settings with replicates, of which one is worse."""
    both = [*replicates(0.01, GOOD), *replicates(0.0001, BAD)]
    for figure in (0.95, 0.8, 0.1):
        verdict = judge([*both, past("one", figure, learning_rate=0.3, seed=0)], PEARSON)
        worse = [comparison.other.label for comparison in verdict.comparisons if comparison.worse]
        assert worse == ["learning_rate 0.0001"]
        assert "learning_rate 0.0001 is worse." in headline(verdict)
        assert "wins" not in headline(verdict)
    assert headline(verdict) == (
        "learning_rate 0.01 is the best that can be told: Pearson r 0.8830 (3 seeds, standard deviation 0.0040). "
        "learning_rate 0.0001 is worse. Whether worse cannot be told: learning_rate 0.3 (one run)."
    )


def test_the_help_is_one_spread_for_the_verdict() -> None:
    singles = [past(f"s{rate}", 0.5 + rate, learning_rate=rate, seed=0) for rate in (0.1, 0.2, 0.3)]
    pool = [*replicates(0.02, [0.8, 0.81, 0.82]), *replicates(0.5, [0.7, 0.71, 0.72, 0.73])]
    pool += replicates(0.7, [0.1, 0.5, 0.9], validation_split=0.5)  # another split
    pool += replicates(0.8, [0.1, 0.5, 0.9], dataset_hash="other")
    verdict = judge(singles, PEARSON, pool)
    sd = np.sqrt((2 * 0.01**2 + 3 * np.var([0.7, 0.71, 0.72, 0.73], ddof=1)) / 5)
    assert verdict.noise is not None
    assert verdict.noise.sd == pytest.approx(sd)
    assert {comparison.rule for comparison in verdict.comparisons} == {"none"}
    said = everything(verdict)
    assert said.count("0.0118, the standard deviation over seeds (of 7 runs of 2 settings, not selected, on the same")
    assert "the gap is 8.5 times 0.0118" in said
    assert "the gap is 17 times 0.0118" in said
    alone = judge(singles, PEARSON)
    assert alone.noise is None
    assert "One run each: cannot be told, since nothing here shows how far chance goes." in everything(alone)


def test_replicates_that_are_selected_help_before_others() -> None:
    runs = [*replicates(0.01, GOOD), past("b", 0.86, learning_rate=0.001, seed=0)]
    verdict = judge(runs, PEARSON, replicates(0.5, [0.1, 0.9]))
    assert verdict.noise is not None
    assert verdict.noise.sd == pytest.approx(np.std(GOOD, ddof=1))


# Data that are not known


def homes() -> dict[str, list[RunRecord]]:
    builtin = [run for rate in (0.02, 0.002) for run in replicates(rate, [0.98, 0.9801, 0.9802], dataset="builtin")]
    toy = replicates(0.01, [0.1, 0.9, 0.2, 0.8, 0.3], dataset="toy", dataset_hash="cd")
    return {"empty": [], "builtin": builtin, "toy": toy, "both": [*builtin, *toy]}


def published(**config: object) -> list[RunRecord]:
    figures = ((0.01, 0.8809), (0.001, 0.8686), (0.0001, 0.6542))
    runs = [logged(f"w{rate:g}", rate, figure) for rate, figure in figures]
    return [replace(run, config={**run.config, **config}) for run in runs]


@pytest.mark.parametrize("metric", ["val_pearsonr", "val_loss"])
@pytest.mark.parametrize("home", list(homes()))
def test_runs_on_unknown_data_have_one_verdict_whatever_lies_in_the_home(home: str, metric: str) -> None:
    verdict = judge(published(), choose(metric), homes()[home])
    assert facts(verdict) == facts(judge(published(), choose(metric)))
    assert headline(verdict).startswith("One run each: cannot be told.")
    assert not any(comparison.worse for comparison in verdict.comparisons)


def test_the_published_models_spread_is_a_help_for_unknown_data_alone() -> None:
    said = everything(judge(published(), PEARSON))
    assert (
        "One run each: cannot be told. As a help, not a call: the gap is 32 times 0.007 (standard deviation over "
        "seeds: 0.002 to 0.007 of the published model on the published data; these data are not known)." in said
    )
    assert "the gap is 1.8 times 0.007" in said
    assert "0.007" not in everything(judge(published(), choose("val_loss")))
    assert "0.007" not in everything(judge(published(dataset_hash="ab"), PEARSON))


def test_known_and_unknown_data_are_not_called() -> None:
    strange = [replace(run, config={**run.config, "seed": seed, "x": 1}) for seed, run in enumerate(unknown(BAD))]
    verdict = judge([*replicates(0.01, GOOD), *strange], PEARSON)
    assert [comparison.rule for comparison in verdict.comparisons] == ["data"]
    assert "Cannot be told: only one of the two says which data it learnt from." in everything(verdict)
    assert all("seeds of each" not in step.text for step in next_steps(verdict))


def unknown(figures: list[float]) -> list[RunRecord]:
    return [logged(f"w{place}", 0.3, figure) for place, figure in enumerate(figures)]


# Survivors


def hyperband(rng: np.random.Generator, spread: float, truth: float) -> list[RunRecord]:
    """A steady setting and a truly worse one that scatters more, ten seeds of each; after one of three epochs the
    worse two thirds are pruned."""
    drawn = [("steady", rng.normal(0.88, 0.002, 10)), ("wild", rng.normal(truth, spread, 10))]
    every = [
        past(f"{name}{seed}", float(figure), epochs=3, norm=name, seed=seed)
        for name, figures in drawn
        for seed, figure in enumerate(figures)
    ]
    ranked = sorted(every, key=lambda run: -run.rows[0]["val_pearsonr"])
    lost = [replace(run, rows=run.rows[:1], state="killed") for run in ranked[len(every) // 3 :]]
    return [*ranked[: len(every) // 3], *lost]


def test_survivors_of_pruning_win_nothing_and_the_epoch_that_all_reached_tells_the_truth() -> None:
    rng = np.random.default_rng(1)
    flattered = right = 0
    for _ in range(10):
        records = hyperband(rng, 0.02, 0.86)
        verdict = judge(records, PEARSON)
        flattered += verdict.rankings[0].setting.config["norm"] == "wild"
        assert not any(comparison.worse for comparison in verdict.comparisons)
        assert "wins" not in headline(verdict)
        at_rung = judge(records, choose("val_pearsonr", "epoch", 1))
        assert [standing.seeds for standing in at_rung.rankings] == [10, 10]
        right += at_rung.rankings[0].setting.config["norm"] == "steady"
    assert flattered >= 5  # by the survivors alone the wild one looks best
    assert right == 10


def test_what_was_pruned_is_said_and_the_epoch_to_compare_at() -> None:
    records = hyperband(np.random.default_rng(3), 0.02, 0.87)
    verdict = judge(records, PEARSON)
    said = everything(verdict)
    assert "runs ended early, and those that are left flatter it." in said
    assert "whose runs fail, are pruned or are stopped is worse than its survivors. No call is made about it." in said
    (step, *_) = next_steps(verdict)
    assert step.text == "Compare at epoch 1: all seeds have reached it, those that ended early, too."
    assert step.commands[0].endswith(" --metric val_pearsonr --goal max --at 1")
    assert all(run.key in step.commands[0] for run in records)


@pytest.mark.parametrize("state", ["killed", "crashed", "failed", "pruned"])
def test_however_a_run_was_lost_its_setting_is_not_called(state: str) -> None:
    lost = past("x", 0.1, learning_rate=0.0001, seed=7, state=state, epochs=2)
    verdict = judge([*replicates(0.01, GOOD), *replicates(0.0001, BAD), lost], PEARSON)
    assert [(comparison.rule, comparison.worse) for comparison in verdict.comparisons] == [("lost", False)]
    assert "worse than its survivors" in everything(verdict)
    assert "learning_rate 0.0001 (1 of 4 runs ended early)" in headline(verdict)
    again = past("y", 0.69, learning_rate=0.0001, seed=7)
    assert judge([*replicates(0.01, GOOD), *replicates(0.0001, BAD), lost, again], PEARSON).comparisons[0].worse


def test_a_seed_that_diverged_is_lost_too() -> None:
    runs = [
        *replicates(0.01, GOOD),
        *replicates(0.3, [0.95, 0.951, 0.952]),
        past("x", None, learning_rate=0.3, seed=9),
    ]
    verdict = judge(runs, PEARSON)
    assert not any(comparison.worse for comparison in verdict.comparisons)
    assert "1 of 4 runs ended early" in headline(verdict)


def test_a_setting_of_which_nothing_survived_is_compared_at_the_epoch_that_it_reached() -> None:
    lost = [replace(run, state="killed", rows=run.rows[:2]) for run in replicates(0.3, BAD)]
    verdict = judge([*replicates(0.01, GOOD), *lost], PEARSON)
    assert headline(verdict).startswith("One setting only")
    assert next_steps(verdict)[0].text.startswith("Compare at epoch 2: all seeds have reached it")


def test_where_a_lost_run_has_no_epoch_it_is_to_be_run_again() -> None:
    lost = past("x", None, learning_rate=0.3, seed=9, state="failed", rows=[])
    verdict = judge([*replicates(0.01, GOOD), *replicates(0.3, BAD), lost], PEARSON)
    (step, *_) = next_steps(verdict)
    assert step.text == "Resume or repeat the 1 runs that ended early: only survivors are known."
    assert "--learning-rate 0.3 --seed 9" in step.commands[0]


# The best are monotone


FIGURE = st.floats(0.1, 0.9).map(lambda value: round(value, 2))
SETTING = st.tuples(
    st.lists(st.floats(-0.05, 0.05).map(lambda value: round(value, 3)), min_size=1, max_size=4), FIGURE
)


@settings(max_examples=100, deadline=None)
@given(st.lists(SETTING, min_size=2, max_size=5), st.sampled_from(["min", "max"]), st.integers(0, 4))
def test_no_figure_among_the_best_is_worse_than_one_that_is_called_worse(drawn, goal, lost: int) -> None:
    runs = []
    for place, (around, middle) in enumerate(drawn):
        for seed, off in enumerate(around):
            state = "failed" if place == lost and seed == 0 else "finished"
            rows = curve([0.5], figure=[middle + off])
            runs.append(past(f"{place}-{seed}", 0, rows=rows, state=state, learning_rate=place + 1, seed=seed))
    verdict = judge(runs, RankBy("figure", goal))
    sign = -1 if goal == "min" else 1
    best = {standing.setting.label: sign * standing.mean for standing in verdict.contenders}
    others = {standing.setting.label: sign * standing.mean for standing in verdict.rankings} | {}
    rest = [mean for label, mean in others.items() if label not in best]
    worse = {comparison.other.label for comparison in verdict.comparisons if comparison.worse}
    assert not best or min(best.values()) >= max(rest, default=-1)
    assert not worse & set(best)
    assert {one["label"] for one in facts(verdict)["settings"] if one["may_be_best"]} == set(best)


def test_a_setting_that_scatters_is_not_among_the_best_below_one_that_is_worse() -> None:
    runs = [*replicates(0.1, [0.90, 0.901, 0.902]), *replicates(0.2, [0.87, 0.871, 0.872])]
    runs += replicates(0.3, [0.80, 0.86, 0.92])
    verdict = judge(runs, PEARSON)
    assert [standing.setting.label for standing in verdict.contenders] == ["learning_rate 0.1"]
    assert [standing.setting.label for standing in verdict.open] == ["learning_rate 0.3"]
    assert headline(verdict).startswith("learning_rate 0.1 is the best that can be told")
    assert headline(verdict).endswith("learning_rate 0.2 is worse. Whether worse cannot be told: learning_rate 0.3.")


# The metrics disagree


def test_another_winner_by_the_other_metric_is_one_line() -> None:
    runs = [
        past(f"{rate}", 0, rows=curve([loss], val_pearsonr=[r]), learning_rate=rate, seed=0)
        for rate, loss, r in ((0.01, 0.6, 0.9), (0.001, 0.5, 0.8))
    ]
    line = "The metrics disagree: by validation loss the best figure is that of learning_rate 0.001, 0.5 against 0.6."
    assert line in judge(runs, PEARSON).notes
    assert "by Pearson r the best figure is that of learning_rate 0.01, 0.9" in everything(
        judge(runs, choose("val_loss"))
    )
    assert "disagree" not in everything(judge([*replicates(0.01, GOOD), *replicates(0.0001, BAD)], PEARSON))
