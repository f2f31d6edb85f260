"""The verdict: hand-worked and SciPy's answers, planted ties and differences, and what it refuses to say.

tests/stress/test_simulations.py draws the planted ones by the hundred.
"""

import numpy as np
import planted
import pytest
from past_runs import curve, logged, past, replicates
from scipy import stats

from tfbind.compare.runs import choose
from tfbind.compare.significance import LEVEL
from tfbind.compare.text import RULE, headline, next_steps, repeat_command, verdict_lines
from tfbind.compare.verdict import Verdict, judge
from tfbind.runs.record import RunRecord

PEARSON = choose("val_pearsonr")
LOSS = choose("val_loss")
GOOD, SAME, BAD = [0.883, 0.887, 0.879], [0.882, 0.884, 0.885], [0.695, 0.690, 0.700]


def three_rates() -> list[RunRecord]:
    return [*replicates(0.01, GOOD), *replicates(0.001, SAME), *replicates(0.0001, BAD)]


def calls(verdict: Verdict) -> dict[str, bool]:
    return {comparison.other.label: comparison.worse for comparison in verdict.comparisons}


def everything(verdict: Verdict) -> str:
    return "\n".join([headline(verdict), *verdict_lines(verdict), *verdict.notes])


# (i) replicates on both sides


def test_two_settings_have_the_welch_interval_and_p_of_scipy() -> None:
    first, second = [0.91, 0.93, 0.90, 0.92], [0.88, 0.80, 0.86]
    (found,) = judge([*replicates(0.01, first), *replicates(0.001, second)], PEARSON).comparisons
    reference = stats.ttest_ind(first, second, equal_var=False)
    bounds = reference.confidence_interval(0.95)
    assert found.rule == "seeds"
    assert found.interval == pytest.approx((bounds.low, bounds.high))
    assert found.test is not None
    assert found.test.p == pytest.approx(reference.pvalue)
    assert found.difference == pytest.approx(np.mean(first) - np.mean(second))


def test_equal_spreads_worked_by_hand() -> None:
    """Means 2 and 5, both variances 1, three seeds: error sqrt(2/3), 4 degrees of freedom, t(0.975, 4) = 2.776."""
    (found,) = judge([*replicates(0.01, [1, 2, 3]), *replicates(0.001, [4, 5, 6])], PEARSON).comparisons
    assert found.best.label == "learning_rate 0.001"
    assert found.difference == pytest.approx(3)
    assert found.interval == pytest.approx((3 - 2.776 * 0.8165, 3 + 2.776 * 0.8165), abs=1e-3)


def test_of_several_settings_p_is_that_of_the_studentised_range() -> None:
    """With the degrees of freedom of one of the two, where the best does not lead them all."""
    figures = [[1.0, 2, 3], [8.0, 9, 10], [9.0, 10, 11]]
    verdict = judge([run for rate, values in enumerate(figures, 1) for run in replicates(rate, values)], PEARSON)
    found = {comparison.other.label: comparison.test.p for comparison in verdict.comparisons if comparison.test}
    t = 8 / np.sqrt(2 / 3)
    assert found["learning_rate 1"] == pytest.approx(stats.studentized_range.sf(t * np.sqrt(2), 3, 2))


def test_the_published_rates_0_0001_is_worse_and_the_others_cannot_be_told() -> None:
    verdict = judge(three_rates(), PEARSON)
    assert calls(verdict) == {"learning_rate 0.01": False, "learning_rate 0.0001": True}
    assert headline(verdict) == (
        "Which is best cannot be told: learning_rate 0.001 and learning_rate 0.01. learning_rate 0.0001 is worse."
    )


def test_what_is_worse_is_named() -> None:
    verdict = judge([*replicates(0.01, GOOD), *replicates(0.0001, BAD)], PEARSON)
    assert "learning_rate 0.0001 is worse, p" in verdict_lines(verdict)[0]


def test_a_low_metric_wins_where_low_is_better() -> None:
    runs = [
        past(f"{rate}{seed}", 0, learning_rate=rate, seed=seed, rows=curve([2.0, loss + 0.001 * seed]))
        for rate, loss in ((0.1, 0.5), (0.2, 1.0))
        for seed in range(3)
    ]
    verdict = judge(runs, LOSS)
    assert verdict.best is not None
    assert verdict.best.setting.label == "learning_rate 0.1"
    assert headline(verdict).startswith("learning_rate 0.1 wins: validation loss 0.5010 (3 seeds")
    assert "better by 0.5000" in headline(verdict)


@pytest.mark.parametrize("counts", [(3, 3), (3, 3, 3), (2, 8)])
def test_planted_ties_are_called_ties(counts: tuple[int, ...]) -> None:
    assert planted.false_calls(counts, 10) == 0


def test_planted_ties_of_single_runs_beside_replicates_are_called_ties() -> None:
    assert planted.false_calls((1, 1, 1), 10, pool=4) == 0


@pytest.mark.parametrize(("counts", "gap"), [((3, 3), 0.05), ((5, 5, 5), 0.03), ((3, 8), 0.03)])
def test_planted_differences_are_found(counts: tuple[int, ...], gap: float) -> None:
    assert planted.true_calls(counts, gap, 10) >= 9


def test_beside_more_seeds_a_test_has_little_more_freedom_than_that_of_the_fewer() -> None:
    few, many = [0.95, 0.9501], [0.88, 0.89, 0.90, 0.91, 0.92]
    (found,) = judge([*replicates(0.01, few), *replicates(0.001, many)], PEARSON).comparisons
    assert found.test is not None
    assert found.test.error == pytest.approx(np.hypot(np.std(few, ddof=1) / 2**0.5, np.std(many, ddof=1) / 5**0.5))
    assert found.test.freedom == 1.5
    assert not found.worse


def test_a_winner_among_many_settings_is_named_by_variances_that_they_share() -> None:
    rng = np.random.default_rng(2)
    runs = [run for rate in range(1, 10) for run in replicates(rate, rng.normal(0.85, 0.005, 3).tolist())]
    runs += replicates(0.5, rng.normal(0.88, 0.005, 3).tolist())
    assert headline(judge(runs, PEARSON)).startswith("learning_rate 0.5 wins")
    wild = replicates(0.6, [0.92, 0.80, 0.88])  # it scatters far more, and may be as good
    assert "wins" not in headline(judge([*runs, *wild], PEARSON))


def test_what_a_seed_adds_to_all_settings_is_taken_off() -> None:
    shift = [0.0, 0.03, -0.03]
    figures = [[0.85 + place / 1e5 * seed + each for seed, each in enumerate(shift)] for place in range(5)]
    runs = [run for rate, values in enumerate(figures, 1) for run in replicates(rate, values)]
    best = [0.855 + each for each in shift]
    assert headline(judge([*runs, *replicates(0.5, best)], PEARSON)).startswith("learning_rate 0.5 wins")
    other_seeds = [past(f"o{seed}", figure, learning_rate=0.5, seed=seed + 10) for seed, figure in enumerate(best)]
    assert "wins" not in headline(judge([*runs, *other_seeds], PEARSON))


def test_copies_of_a_run_show_nothing_of_chance() -> None:
    verdict = judge([*replicates(0.01, [0.9, 0.9, 0.9]), *replicates(0.001, [0.8, 0.8, 0.8])], PEARSON)
    assert verdict.comparisons[0].rule == "copies"
    assert not verdict.comparisons[0].worse
    assert "equal to the last digit" in everything(verdict)


# (ii) and (iii): one run each


def test_single_runs_alone_cannot_be_told() -> None:
    runs = [past("a", 0.883, learning_rate=0.01, seed=0), past("b", 0.695, learning_rate=0.0001, seed=0)]
    verdict = judge(runs, PEARSON)
    assert verdict.comparisons[0].rule == "none"
    assert verdict.comparisons[0].interval is None
    assert headline(verdict) == "One run each: cannot be told. learning_rate 0.01 has the best figure, 0.8830."


def test_a_difference_beyond_its_own_margin_that_is_not_called_says_why() -> None:
    figures = [[0.880, 0.884, 0.888], [0.879, 0.883, 0.887], [0.871, 0.875, 0.874]]
    verdict = judge([run for rate, values in enumerate(figures, 1) for run in replicates(rate, values)], PEARSON)
    near, far = verdict.comparisons
    assert near.test is not None
    assert far.test is not None
    assert near.difference < near.test.margin
    assert far.difference > far.test.margin
    assert not far.worse
    said = everything(verdict)
    assert "this pair alone is beyond 95 of 100, but the best was picked, and p below 0.02 is asked for" in said
    assert said.count("beyond 95 of 100") == 1


# What is not compared


def test_other_data_are_refused() -> None:
    verdict = judge([past("a", 0.9), past("b", 0.8, dataset="builtin", dataset_hash="cd")], PEARSON)
    assert verdict.comparisons == []
    assert headline(verdict).startswith("These runs learnt from 2 different data sets")
    assert "chr22 (1), builtin (1)" in headline(verdict)
    assert next_steps(verdict) == []


def test_nothing_and_one_run_have_an_answer_too() -> None:
    assert "No run counts here" in headline(judge([], PEARSON))
    assert "No run counts here" in headline(judge([past("a", None)], PEARSON))
    assert headline(judge([past("a", 0.5)], PEARSON)).startswith("One setting only, Pearson r 0.5000 (one run)")


def test_failed_runs_are_left_out_and_their_survivors_doubted() -> None:
    runs = [*replicates(0.01, GOOD), *replicates(0.001, SAME), past("x", 0.1, learning_rate=0.01, state="failed")]
    verdict = judge(runs, PEARSON)
    assert verdict.rankings[1].seeds == 3
    assert "x: failed after 5 epochs" in everything(verdict)
    assert "worse than its survivors" in everything(verdict)
    going = judge([*runs[:-1], past("x", 0.1, learning_rate=0.01, state="running")], PEARSON)
    assert "x: running after 5 epochs" in everything(going)
    assert "survivors" not in everything(going)


def test_undefined_figures_are_left_out() -> None:
    verdict = judge([*replicates(0.01, GOOD), past("x", None, learning_rate=0.01, seed=9)], PEARSON)
    assert verdict.rankings[0].seeds == 3
    assert "x: Pearson r undefined there" in everything(verdict)


def test_running_runs_count_at_an_epoch_they_have_reached() -> None:
    runs = [
        past(f"{rate}{seed}", figure, state="running", learning_rate=rate, seed=seed)
        for rate, figures in ((0.01, GOOD), (0.0001, BAD))
        for seed, figure in enumerate(figures)
    ]
    assert judge(runs, PEARSON).rankings == []
    assert calls(judge(runs, choose("val_pearsonr", "epoch", 5))) == {"learning_rate 0.0001": True}


# Luck, and what to run next


def test_the_luck_is_in_units_of_the_metric() -> None:
    verdict = judge([*replicates(0.01, [1, 2, 3]), *replicates(0.001, [1.1, 2.1, 3.1])], PEARSON)
    assert verdict.selection_bias == pytest.approx(0.5642 / np.sqrt(3), abs=1e-4)
    assert "Best of 2" in everything(verdict)


@pytest.mark.parametrize(("gap", "seeds"), [(1.0, 22), (2.0, 7), (3.0, 5)])
def test_the_seeds_that_four_of_five_planned_comparisons_need(gap: float, seeds: int) -> None:
    values = [0.0, 0.01, 0.02]
    runs = [*replicates(0.1, values), *replicates(0.2, [value + 0.01 * gap for value in values])]
    (found,) = judge(runs, PEARSON).comparisons
    assert found.seeds_needed == seeds


def test_one_wild_run_does_not_set_the_luck_of_the_best() -> None:
    calm = [*replicates(0.1, [0.9000, 0.9003, 0.9006])]
    assert (judge([*calm, *replicates(0.2, [0.85, 0.86, 0.2])], PEARSON).selection_bias or 1) < 0.001
    third = replicates(0.3, [0.85, 0.8503, 0.8506])
    assert (judge([*calm, *third, *replicates(0.2, [0.85, 0.86, 0.2])], PEARSON).selection_bias or 1) < 0.001


def test_the_seeds_needed_would_settle_it() -> None:
    first, second = [0.90, 0.91, 0.92], [0.89, 0.90, 0.905]
    (found,) = judge([*replicates(0.01, first), *replicates(0.001, second)], PEARSON).comparisons
    sds = [float(np.std(values, ddof=1)) for values in (first, second)]
    needed = found.seeds_needed
    assert needed is not None

    def power(seeds: int) -> float:
        error = np.sqrt((sds[0] ** 2 + sds[1] ** 2) / seeds)
        freedom = (1 - 1 / seeds) * (seeds - 1) * (sds[0] ** 2 + sds[1] ** 2) ** 2 / (sds[0] ** 4 + sds[1] ** 4)
        return float(stats.nct.sf(stats.t.isf(LEVEL / 2, freedom), freedom, found.difference / error))

    assert power(needed) >= 0.8 > power(needed - 1)
    (step, *_) = next_steps(judge([*replicates(0.01, first), *replicates(0.001, second)], PEARSON))
    assert f"{needed} seeds of each ({needed - 3} more of learning_rate 0.01" in step.text
    assert "would settle it in 8 of 10 cases" in step.text
    assert "python -m tfbind train --dataset chr22 --seed 3" in step.commands
    assert len(step.commands) == 2 * (needed - 3)


def test_seeds_that_were_run_and_not_selected_come_before_new_ones() -> None:
    here, there = replicates(0.01, GOOD), replicates(0.001, SAME)
    (step,) = next_steps(judge([here[1], *there], PEARSON, [*here, *there]))
    assert "already: 2 of learning_rate 0.01." in step.text
    assert step.commands[0].split()[4:] == ["lr0.01-1", *(run.key for run in there), "lr0.01-0", "lr0.01-2"]


def test_a_difference_too_small_to_tell_is_called_equal_for_most_purposes() -> None:
    runs = [*replicates(0.01, [0.90, 0.91, 0.92]), *replicates(0.001, [0.9001, 0.9101, 0.9201])]
    (step, *_) = next_steps(judge(runs, PEARSON))
    assert "more than 200 seeds of each" in step.text
    assert step.commands == ()


def test_a_curve_that_still_improves_asks_for_more_epochs() -> None:
    steps = next_steps(judge(replicates(0.01, GOOD), PEARSON))
    assert steps[-1].text == "lr0.01-0: 5 more epochs (10 in all), since the curve was still improving at the end."
    assert steps[-1].commands == ("python -m tfbind train --dataset chr22 --num-epochs 10",)


def test_a_run_of_another_program_has_no_command() -> None:
    assert repeat_command(logged("w", 0.01, 0.9)) is None
    assert repeat_command(past("a", 0.9, learning_rate=-1, seed=0)) is None


def test_a_lead_that_was_lost_is_told() -> None:
    epochs = np.arange(1, 41)
    runs = []
    for rate, speed in ((0.01, 1.0), (0.001, 4.0)):
        for seed in range(3):
            r = 0.9 * (1 - np.exp(-epochs / speed)) + 0.001 * seed
            rows = curve((1 - r).tolist(), val_pearsonr=r.tolist())
            runs.append(past(f"{rate}{seed}", 0, rows=rows, learning_rate=rate, seed=seed))
    said = everything(judge(runs, PEARSON))
    assert "learning_rate 0.01 was only faster at first" in said
    assert "Cannot be told from chance" in said


def test_the_rule_is_stated() -> None:
    assert "2 %" in " ".join(RULE)
    assert "this pair of runs, not for the settings" in " ".join(RULE)


def test_many_settings_are_summed_up() -> None:
    runs = [past(str(rate), 0.5 + rate / 1000, learning_rate=rate / 100, seed=0) for rate in range(1, 41)]
    verdict = judge(runs, PEARSON, replicates(0.5, [0.90, 0.905, 0.91]))
    assert len(verdict.comparisons) == 20
    assert "19 further settings" in everything(verdict)
