"""How far chance alone would go between two settings: the spread over seeds, and a difference tested against it.

The best of many settings was picked because it came out best, so every test allows for all the pairs there were to
pick from (Games and Howell 1976: the studentised range with Welch's degrees of freedom). With two settings that is
Welch's test itself. A setting is called worse at the level `LEVEL` for the whole family: of a hundred sets of equal
settings, about two would be called different.

Two seeds may lie close together by luck. Beside a setting with more seeds, Welch's test would then take the little
they differ for all they vary, with the degrees of freedom of the other side, and call ties different too often.

One run shows nothing of how far its setting scatters, and other settings may scatter less: it is never called better
or worse. The spread of others is a help to the eye, and no test.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from tfbind.compare import Setting
from tfbind.ranges import range_p, t_p, t_quantile

Rule = Literal["seeds", "copies", "none", "lost", "data"]

LEVEL = 0.02
CONFIDENCE = 0.95
STEADY = 3  # seeds from which a standard deviation stands for itself beside one from more
# Least and largest standard deviation over seeds that was measured of the published model on the published data.
PUBLISHED_SPREAD = {"val_pearsonr": (0.002, 0.007)}


@dataclass(frozen=True)
class Spread:
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


def own_spreads(best: Setting, other: Setting) -> tuple[Spread, ...]:
    """What is taken for the spread of two settings with replicates, () where the replicates of both are copies."""
    own = _spread(best), _spread(other)
    return _steadied(*own) if any(spread.sd for spread in own) else ()


def pooled(settings: Sequence[Setting], origin: Literal["selected", "others"]) -> Noise | None:
    """One standard deviation over the seeds of all these settings, None where none has replicates that differ."""
    known = [_spread(setting) for setting in settings if len(set(setting.values)) > 1]
    if not known:
        return None
    squares = sum((spread.seeds - 1) * spread.sd**2 for spread in known)
    freedom = sum(spread.seeds - 1 for spread in known)
    return Noise(float(np.sqrt(squares / freedom)), origin, sum(spread.seeds for spread in known), len(known))


def published(metric: str) -> Noise | None:
    """The spread over seeds of the published model, None for a metric of which it was not measured."""
    if metric not in PUBLISHED_SPREAD:
        return None
    least, most = PUBLISHED_SPREAD[metric]
    return Noise(most, "published", least=least)


def _steadied(first: Spread, second: Spread) -> tuple[Spread, ...]:
    """Both spreads, a doubtful one replaced by the other where that is larger."""
    larger = max(first, second, key=lambda spread: spread.sd)
    return tuple(
        larger if mine.seeds < min(STEADY, theirs.seeds) else mine
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


def _spread(setting: Setting) -> Spread:
    values = setting.values
    return Spread(deviation(values), len(values), setting.label, frozenset(setting.points))
