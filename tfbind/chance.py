"""How far chance alone would go between two settings: the spread over seeds, and a difference tested against it.

The best of many settings was picked because it came out best, so every test allows for all the pairs there were to
pick from (Games and Howell 1976: the studentised range with Welch's degrees of freedom). With two settings that is
Welch's test itself. A setting is called worse at the level `LEVEL` for the whole family: of a hundred sets of equal
settings, about two would be called different.

Two seeds may lie close together by luck. Beside a setting with more seeds, Welch's test would then take the little
they differ for all they vary, with the degrees of freedom of the other side, and call ties different too often.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from tfbind.compare import Setting, data_of, settings_of
from tfbind.history import Past
from tfbind.ranges import range_p, t_p, t_quantile

Rule = Literal["seeds", "spread", "none", "copies"]

LEVEL = 0.02
CONFIDENCE = 0.95
STEADY = 3  # seeds from which a standard deviation stands for itself beside one from more


@dataclass(frozen=True)
class Spread:
    """A standard deviation over the seeds of one setting, from `seeds` values of the runs with the keys `runs`;
    `differs` are the settings in which that one is not the one it is used for."""

    sd: float
    seeds: int
    label: str
    runs: frozenset[str]
    differs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Test:
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


def welch(difference: float, parts: Sequence[tuple[float, float]], settings: int) -> Test:
    """The test of a difference whose variance is the sum of `parts`: estimates with their degrees of freedom."""
    total = sum(part for part, _ in parts)
    freedom = total**2 / sum(part**2 / own for part, own in parts)
    return Test(difference, float(np.sqrt(total)), freedom, settings)


def known_spreads(best: Setting, other: Setting, replicated: Sequence[Setting]) -> tuple[Rule, tuple[Spread, ...]]:
    """By which rule two settings are compared, and what is taken for the spread of either, () where nothing is known.

    Args:
        replicated: settings whose seeds may stand for those of one that has a single run.
    """
    if len(best.values) > 1 and len(other.values) > 1:
        own = _spread(best), _spread(other)
        return ("seeds", _steadied(*own)) if any(spread.sd for spread in own) else ("copies", ())
    found = [_spread_of(setting, replicated) for setting in (best, other)]
    first, second = found[0] or found[1], found[1] or found[0]
    return ("spread", _steadied(first, second)) if first and second else ("none", ())


def _steadied(first: Spread, second: Spread) -> tuple[Spread, ...]:
    """Both spreads, a doubtful one replaced by the other where that is larger."""
    larger = max(first, second, key=lambda spread: spread.sd)
    return tuple(
        larger if mine.differs or mine.seeds < min(STEADY, theirs.seeds) else mine
        for mine, theirs in ((first, second), (second, first))
    )


def variances(spreads: Sequence[Spread], seeds: tuple[int, int]) -> list[tuple[float, float]]:
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


def _spread(setting: Setting, differs: tuple[str, ...] = ()) -> Spread:
    values = setting.values
    return Spread(deviation(values), len(values), setting.label, frozenset(setting.points), differs)


def _spread_of(setting: Setting, replicated: Sequence[Setting]) -> Spread | None:
    """The spread over seeds of a setting, else of the nearest one that has replicates and may share its data."""
    if len(set(setting.values)) > 1:
        return _spread(setting)
    mine = setting.pasts[0]
    near = [(*_distance(mine, other), other) for other in replicated if _may_share_data(mine, other.pasts[0])]
    if not near:
        return None
    differs, _, nearest = min(near, key=lambda found: (len(found[0]), found[1], -len(found[2].values)))
    return _spread(nearest, differs)


def _may_share_data(first: Past, second: Past) -> bool:
    data = data_of([first, second])
    return None in data.values() or len(set(data.values())) == 1


def _distance(mine: Past, setting: Setting) -> tuple[tuple[str, ...], float]:
    """Which settings that both recorded differ, and how far the numbers among them are apart, in powers of ten."""
    here, there = settings_of(mine), setting.config
    differs = tuple(sorted(key for key in here.keys() & there.keys() if here[key] != there[key]))
    far = 0.0
    for key in differs:
        numbers = [value for value in (here[key], there[key]) if isinstance(value, int | float) and value > 0]
        far += abs(float(np.log10(numbers[0] / numbers[1]))) if len(numbers) == 2 else 1.0
    return differs, far
