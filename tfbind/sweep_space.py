"""What a sweep tries: the values of each hyperparameter, the configurations made of them, and how they are judged."""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tfbind.config import TrainConfig

Goal = Literal["minimize", "maximize"]

MAX_RUNS = 10_000
MOST_EPOCHS = 10_000
MILESTONES = 100  # so many follow from min_iter

INTEGER_FIELDS = {
    name
    for name, schema in TrainConfig.model_json_schema()["properties"].items()
    if "integer" in [schema.get("type"), *(option.get("type") for option in schema.get("anyOf", []))]
}


@dataclass(frozen=True)
class Parameter:
    """What one hyperparameter may be: one of `values`, or a number from `low` to `high` if there are none.

    `low` and `high` are logarithms where `log`; whole numbers go in steps of `step`, and other numbers are rounded to
    multiples of `q`, where these are given. `exponents`: the file gave `low` and `high` as logarithms itself.
    """

    field: str
    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: int | None = None
    q: float | None = None
    exponents: bool = False

    @property
    def varied(self) -> bool:
        """Whether it can be more than one thing."""
        return len(self.values) > 1 or (not self.values and self.low < self.high)

    def at(self, place: float) -> Any:
        """The value at `place` between 0 and 1: equal lengths there are equally likely here."""
        if self.values:
            return self.values[min(int(place * len(self.values)), len(self.values) - 1)]
        if self.step:
            count = self._count()
            return int(self.low) + self.step * min(int(place * count), count - 1)
        number = self.low + place * (self.high - self.low)
        return self._rounded(math.exp(number) if self.log else number)

    def place(self, value: Any) -> float | None:
        """Where between 0 and 1 `value` lies; None for one that is not among them."""
        if self.values:
            return (self.values.index(value) + 0.5) / len(self.values) if value in self.values else None
        if isinstance(value, str) or value is None or (self.log and value <= 0):
            return None
        if self.step:
            return _inside(((value - self.low) / self.step + 0.5) / self._count())
        number = math.log(value) if self.log else value
        return _inside((number - self.low) / (self.high - self.low)) if self.high > self.low else 0.5

    def all(self) -> tuple[Any, ...] | None:
        """Every value it can have, None where they cannot be counted."""
        if self.values:
            return self.values
        if self.step:
            return tuple(int(self.low) + self.step * place for place in range(min(self._count(), MAX_RUNS + 1)))
        return (self.at(0.0),) if self.low == self.high else None

    def _count(self) -> int:
        return int(self.high - self.low) // (self.step or 1) + 1

    def _rounded(self, number: float) -> float:
        if self.q:
            number = round(number / self.q) * self.q
        low, high = (math.exp(self.low), math.exp(self.high)) if self.log else (self.low, self.high)
        number = min(max(number, low), high)
        return round(number) if self.field in INTEGER_FIELDS else float(f"{number:.6g}")


def _inside(place: float) -> float | None:
    return min(max(place, 0.0), 1.0) if -1e-6 <= place <= 1 + 1e-6 else None


@dataclass(frozen=True)
class EarlyStop:
    """Hyperband: at each of the epochs `milestones`, in rising order, only the best 1/`eta` of the runs so far go on.

    A run is judged by its best value so far; where `strict`, by that of the milestone.
    """

    milestones: tuple[int, ...]
    eta: float
    strict: bool = False

    @property
    def first(self) -> int:
        """The first epoch at which a run may be ended."""
        return self.milestones[0]


def milestones_from(min_iter: int, eta: float) -> tuple[int, ...]:
    """The milestones of W&B's Hyperband with `min_iter`: that epoch, and each time `eta` times as late."""
    epochs = [float(min_iter)]
    while len(epochs) < MILESTONES and epochs[-1] * eta <= MOST_EPOCHS:
        epochs.append(epochs[-1] * eta)
    return tuple(dict.fromkeys(int(epoch) for epoch in epochs))


def milestones_before(max_iter: int, s: int, eta: float) -> tuple[int, ...]:
    """Those with `max_iter`: a part 1/`eta` of it, as small a part of that, and so on, `s` if there are as many."""
    epochs: list[float] = []
    epoch = max_iter / eta
    while len(epochs) < s and epoch >= 1:
        epochs.append(epoch)
        epoch /= eta
    return tuple(sorted({int(epoch) for epoch in epochs}))


@dataclass(frozen=True)
class Spec:
    """A sweep: which configurations, on top of `base`, and how they are judged.

    `contents` are the hashes of data sets by name, as far as they are known: two names may stand for the same data.
    """

    method: str
    metric: str
    goal: Goal
    parameters: tuple[Parameter, ...]
    base: TrainConfig
    replicates: int = 1
    run_cap: int | None = None
    early_stop: EarlyStop | None = None
    name: str = ""
    notes: tuple[str, ...] = ()
    contents: Mapping[str, str] = field(default_factory=dict)

    @property
    def varied(self) -> list[str]:
        """The hyperparameters in which its runs differ."""
        seeds = ["seed"] if self.replicates > 1 else []
        return [parameter.field for parameter in self.parameters if parameter.varied] + seeds

    @property
    def seeds(self) -> list[int]:
        """The random seed of each replicate."""
        return [self.base.seed + number for number in range(self.replicates)]

    def grid(self) -> Iterator[TrainConfig]:
        """All configurations of a grid: each with the first seed, then each with the next."""
        fields = [parameter.field for parameter in self.parameters]
        every = [parameter.all() or () for parameter in self.parameters]
        for seed in [None] if self.replicates == 1 else self.seeds:
            extra = {} if seed is None else {"seed": seed}
            for values in itertools.product(*every):
                yield self.base.model_copy(update={**dict(zip(fields, values, strict=True)), **extra})

    def size(self) -> int | None:
        """How many runs it makes: those of the grid, or `run_cap` if that is less; None if nothing bounds it."""
        counts = [len(parameter.all() or ()) for parameter in self.parameters]
        points = math.prod(counts) * self.replicates if all(counts) else None
        bounds = [bound for bound in (points, self.run_cap) if bound is not None]
        return min(bounds, default=None)
