"""Settings and curves whose difference is known, drawn again and again: how often the comparison tells them apart."""

import numpy as np
from past_runs import past, replicates

from tfbind.compare.curves import CurveCrossing, MeanCurve, curve_crossing
from tfbind.compare.runs import choose
from tfbind.compare.verdict import judge
from tfbind.runs.record import RunRecord

PEARSON = choose("val_pearsonr")
SPREAD = 0.005  # standard deviation over seeds of every setting
CURVES = {"first": (0.8, 1.0), "second": (0.9, 6.0)}  # final value, and epochs until about two thirds of it


def settings(counts: tuple[int, ...], rng: np.random.Generator, gap: float = 0.0) -> list[RunRecord]:
    """Settings with so many seeds each, of which the first is better by `gap`."""
    figures = [rng.normal(0.85 + gap * (place == 0), SPREAD, count).tolist() for place, count in enumerate(counts)]
    return [run for rate, values in enumerate(figures, 1) for run in replicates(rate, values, epochs=1)]


def false_calls(counts: tuple[int, ...], draws: int, pool: int = 0) -> int:
    """In how many draws of equal settings one is called worse, beside `pool` runs of one that is not selected."""
    rng = np.random.default_rng(sum(counts) * 10 + len(counts))
    drawn = ((settings(counts, rng), replicates(99, rng.normal(0.85, SPREAD, pool).tolist())) for _ in range(draws))
    return sum(any(call.worse for call in judge(runs, PEARSON, beside).comparisons) for runs, beside in drawn)


def true_calls(counts: tuple[int, ...], gap: float, draws: int) -> int:
    """In how many draws the setting that is better by `gap` is the best and all others are called worse."""
    rng = np.random.default_rng(sum(counts) * 10 + len(counts))
    verdicts = [judge(settings(counts, rng, gap), PEARSON) for _ in range(draws)]
    return sum(
        verdict.rankings[0].setting.label == "learning_rate 1" and all(call.worse for call in verdict.comparisons)
        for verdict in verdicts
    )


def calls_of_a_single_run(seeds: int, scatter: float, draws: int) -> int:
    """In how many draws one run of a setting is called worse, or that with `seeds` which it scatters more than."""
    rng = np.random.default_rng(seeds)
    drawn = (
        [
            past("one", float(rng.normal(0.88, SPREAD * scatter)), learning_rate=0.3, seed=0),
            *replicates(0.01, rng.normal(0.88, SPREAD, seeds).tolist()),
        ]
        for _ in range(draws)
    )
    return sum(any(call.worse for call in judge(runs, PEARSON).comparisons) for runs in drawn)


def mean_of(runs: "np.ndarray[tuple[int, int], np.dtype[np.float64]]") -> MeanCurve:
    """The mean of curves (seeds, epochs)."""
    return MeanCurve(np.arange(1, runs.shape[1] + 1), runs, runs.mean(0), runs.min(0), runs.max(0))


def races_of_equals(epochs: int, seeds: int, draws: int) -> list[str]:
    """What is said of two settings whose curves differ by chance alone, at each epoch and along them."""
    rng = np.random.default_rng(epochs * 10 + seeds)
    kinds = []
    for _ in range(draws):
        steps = rng.normal(0, 0.005, (2, seeds, epochs)).cumsum(axis=2) + rng.normal(0, 0.01, (2, seeds, epochs))
        first, second = 0.9 * (1 - np.exp(-np.arange(1, epochs + 1) / 3)) + steps
        kinds.append(curve_crossing(mean_of(first), mean_of(second), "max").kind)
    return kinds


def crossings(draws: int) -> tuple[int, list[CurveCrossing]]:
    """The epoch at which two true curves cross, and those races of noisy ones that are said to cross."""
    rng, epochs = np.random.default_rng(4), np.arange(1, 41)
    first, second = (final * (1 - np.exp(-epochs / pace)) for final, pace in CURVES.values())
    races = []
    for _ in range(draws):
        drawn = [
            mean_of(curve + rng.normal(0, 0.01, (3, 1)) + rng.normal(0, 0.01, (3, len(epochs))))
            for curve in (first, second)
        ]
        races.append(curve_crossing(drawn[0], drawn[1], "max"))
    return int(np.argmax(second > first)) + 1, [each for each in races if each.kind == "crossed"]
