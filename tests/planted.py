"""Settings and curves whose difference is known, drawn again and again: how often the comparison tells them apart.

`python tests/planted.py DRAWS` prints the table of docs/statistics.md.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1])]

from past_runs import past, replicates

from tfbind.compare.curves import CurveCrossing, MeanCurve, curve_crossing
from tfbind.compare.runs import choose
from tfbind.compare.verdict import Verdict, judge
from tfbind.runs.record import RunRecord

PEARSON = choose("val_pearsonr")
SPREAD = 0.005  # standard deviation over seeds of every setting
WIDE = 5.0  # how many times that some settings scatter
CURVES = {"first": (0.8, 1.0), "second": (0.9, 6.0)}  # final value, and epochs until about two thirds of it
SHAPES: dict[str, Callable[[np.random.Generator, int], "np.ndarray[tuple[int], np.dtype[np.float64]]"]] = {
    "normal": lambda rng, count: rng.normal(0, 1, count),
    "left-skewed": lambda rng, count: (np.exp(0.125) - rng.lognormal(0, 0.5, count)) / 0.604,
    "heavy-tailed": lambda rng, count: rng.standard_t(3, count) / 3**0.5,
}
# How many settings, from the first on, scatter `WIDE` times as much as the rest.
WIDER: dict[str, Callable[[int], int]] = {
    "one wide": lambda _: 1,
    "half wide": lambda n: n // 2,
    "one calm": lambda n: n - 1,
}
CONDITIONS = (*SHAPES, *WIDER)
COUNTS = ((3,) * 2, (5,) * 2, (2, 15), (3, 15), (1, 1, 3, 3), (3,) * 3, (2, 8, 8), (3, 15, 15), (3,) * 10, (5,) * 10)
MANY = (3,) * 50


def settings(
    counts: Sequence[int], rng: np.random.Generator, gap: float = 0.0, condition: str = "normal", shared: bool = True
) -> list[RunRecord]:
    """Settings with so many seeds each, of which the first is better by `gap`; with `shared`, seeds of the same
    numbers."""
    draw = SHAPES.get(condition, SHAPES["normal"])
    wide = range(len(counts))[: WIDER[condition](len(counts))] if condition in WIDER else ()
    runs = []
    for place, count in enumerate(counts):
        spread = SPREAD * (WIDE if place in wide else 1)
        figures = 0.85 + gap * (place == 0) + spread * draw(rng, count)
        first = 0 if shared else 100 * place
        runs += [
            past(f"{place}-{seed}", float(figure), epochs=1, learning_rate=place + 1, seed=first + seed)
            for seed, figure in enumerate(figures)
        ]
    return runs


def false_calls(
    counts: Sequence[int], draws: int, pool: int = 0, condition: str = "normal", shared: bool = True
) -> int:
    """In how many draws of equal settings one is called worse, beside `pool` runs of one that is not selected."""
    rng = np.random.default_rng([*counts, draws])
    drawn = (
        (
            settings(counts, rng, condition=condition, shared=shared),
            replicates(99, rng.normal(0.85, SPREAD, pool).tolist()),
        )
        for _ in range(draws)
    )
    return sum(any(call.worse for call in judge(runs, PEARSON, beside).comparisons) for runs, beside in drawn)


def true_calls(counts: Sequence[int], gap: float, draws: int, shared: bool = True) -> int:
    """In how many draws the setting that is better by `gap` is the best and all others are called worse."""
    rng = np.random.default_rng([*counts, draws])
    return sum(_is_won(judge(settings(counts, rng, gap, shared=shared), PEARSON)) for _ in range(draws))


def _is_won(verdict: Verdict) -> bool:
    return verdict.rankings[0].setting.label == "learning_rate 1" and not verdict.tied


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


def table(draws: int, rows: Sequence[Sequence[int]] = (*COUNTS, MANY)) -> None:
    """Print in how many of 100 sets equal settings are called different, and a best by 5 standard deviations wins."""
    header = ["seeds of each setting", *CONDITIONS, "winner named"]
    print("|", " | ".join(header), "|\n|" + "---|" * len(header))
    for counts in rows:
        count = draws * {2: 10, 50: 1}.get(len(counts), 3)
        name = f"{len(counts)} × {counts[0]}" if len(set(counts)) == 1 else ", ".join(map(str, counts))
        conditions = CONDITIONS if len(counts) > 2 else CONDITIONS[:4]  # of two, half and all but one are one
        calls = [false_calls(counts, count, condition=condition, shared=False) for condition in conditions]
        cells = [f"{100 * each / count:.1f}" for each in calls] + [""] * (len(CONDITIONS) - len(calls))
        won = true_calls(counts, 5 * SPREAD, count, shared=False)
        print("|", " | ".join([name, *cells, f"{100 * won / count:.0f}"]), "|", flush=True)


if __name__ == "__main__":
    table(int(sys.argv[1]))
