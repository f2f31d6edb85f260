"""The search of a sweep: values of each hyperparameter, the configurations to run next, the runs that have lost.

Pure functions of the spec and the runs so far. Optuna's study is rebuilt from the runs every time, so that the run
folders stay the only truth.
"""

import itertools
import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import accumulate
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tfbind.config import TrainConfig, parse_config
from tfbind.runs import ACTIVE, RunRecord, best_row
from tfbind.text import significant

Goal = Literal["minimize", "maximize"]

MAX_RUNS = 10_000
MOST_EPOCHS = 10_000
MILESTONES = 100  # so many follow from min_iter

_SCHEMAS = {
    name: [schema, *schema.get("anyOf", [])] for name, schema in TrainConfig.model_json_schema()["properties"].items()
}
INTEGER_FIELDS = {
    name for name, options in _SCHEMAS.items() if "integer" in [option.get("type") for option in options]
}
LEAST = 1e-300  # what is above 0 and less is the end of a range that leaves 0 out
BOUNDS = {  # the least and the largest number that each hyperparameter may be
    name: (
        max(
            option.get("minimum", math.nextafter(option.get("exclusiveMinimum", -math.inf), math.inf))
            for option in options
        ),
        min(option.get("maximum", math.inf) for option in options),
    )
    for name, options in _SCHEMAS.items()
}
SHAPES = {  # of distributions that are not even: what they are given by, with W&B's defaults
    "normal": {"mu": 0.0, "sigma": 1.0},
    "log_normal": {"mu": 0.0, "sigma": 1.0},
    "beta": {"a": 1.0, "b": 1.0},
}
if TYPE_CHECKING:
    import optuna

MACHINE = ("device", "threads")  # where a configuration runs, not what it is
MISSES = 1_000  # so many draws in a row that were there already mean that nothing is left
SUGGESTIONS = 50
USUAL: dict[str, Goal] = {"val_pearsonr": "maximize", "val_loss": "minimize"}

Point = tuple[Any, ...]


@dataclass(frozen=True)
class Parameter:
    """What one hyperparameter may be: one of `values`, or a number from `low` to `high` if there are none.

    `shares` are the chances of the values, () where they are equal. `low` and `high` are logarithms where `log`;
    whole numbers go in steps of `step`, and other numbers are rounded to multiples of `q`, where these are given.
    `exponents`: the distribution by which the file gave `low` and `high` as logarithms itself. Numbers are drawn
    evenly, or by a distribution of the `shape` with the two `arguments`, as far as it lies inside `low` and `high`.
    """

    field: str
    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: int | None = None
    q: float | None = None
    exponents: str = ""
    shares: tuple[float, ...] = ()
    shape: str = ""
    arguments: tuple[float, float] = (0.0, 0.0)

    @property
    def varied(self) -> bool:
        """Whether it can be more than one thing."""
        return len(self.values) > 1 or (not self.values and self.low < self.high)

    @property
    def inside(self) -> float:
        """The share of its distribution that lies inside its bounds."""
        return self._below(self.high) - self._below(self.low)

    def at(self, place: float) -> Any:
        """The value at `place` between 0 and 1: equal lengths there are equally likely here."""
        if self.shares:
            return self.values[min(bisect_right(list(accumulate(self.shares)), place), len(self.values) - 1)]
        if self.values:
            return self.values[min(int(place * len(self.values)), len(self.values) - 1)]
        if self.step:
            count = self._count()
            return int(self.low) + self.step * min(int(place * count), count - 1)
        number = self._number(place)
        return self._rounded(math.exp(number) if self.log else number)

    def place(self, value: Any) -> float | None:
        """Where between 0 and 1 `value` lies; None for one that is not among them."""
        if self.values:
            return self._place_of(self.values.index(value)) if value in self.values else None
        if isinstance(value, str) or value is None or (self.log and value <= 0):
            return None
        if self.step:
            return _inside(((value - self.low) / self.step + 0.5) / self._count())
        number = math.log(value) if self.log else value
        if self.shape:
            return _inside((self._below(number) - self._below(self.low)) / self.inside)
        return _inside((number - self.low) / (self.high - self.low)) if self.high > self.low else 0.5

    def all(self) -> tuple[Any, ...] | None:
        """Every value it can have, None where they cannot be counted."""
        if self.values:
            return self.values
        if self.step:
            return tuple(int(self.low) + self.step * place for place in range(min(self._count(), MAX_RUNS + 1)))
        if self.low == self.high:
            return (self.at(0.0),)
        if self.q and not self.log and not self.shape:  # from the least one in steps, the largest left out, as by W&B
            count = math.ceil((self.high - self.low) / self.q - 1e-9)
            numbers = (self.low + self.q * place for place in range(min(count, MAX_RUNS + 1)))
            return tuple(self._spelled(number) for number in numbers)
        return None

    def _place_of(self, index: int) -> float:
        if self.shares:
            return sum(self.shares[:index]) + self.shares[index] / 2
        return (index + 0.5) / len(self.values)

    def _count(self) -> int:
        return int(self.high - self.low) // (self.step or 1) + 1

    def _number(self, place: float) -> float:
        if not self.shape:
            return self.low + place * (self.high - self.low)
        share = self._below(self.low) + place * self.inside
        if not 0 < share < 1:
            return self.low if share <= 0 else self.high
        if self.shape == "beta":
            from scipy import special

            number = float(special.betaincinv(*self.arguments, share))
        else:
            number = NormalDist(*self.arguments).inv_cdf(share)
        return min(max(number, self.low), self.high)

    def _below(self, number: float) -> float:
        """The share of its distribution below a number."""
        if self.shape == "beta":
            from scipy import special

            return float(special.betainc(*self.arguments, number))
        return NormalDist(*self.arguments).cdf(number)

    def _rounded(self, number: float) -> float:
        if self.q:
            number = round(number / self.q) * self.q
        low, high = (math.exp(self.low), math.exp(self.high)) if self.log else (self.low, self.high)
        if self.q and 0 < low < LEAST:
            low = self.q
        return self._spelled(min(max(number, low), high))

    def _spelled(self, number: float) -> float:
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
    `text` is the sweep file that says all this on top of `defaults`.
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
    text: str = field(default="", compare=False)
    defaults: TrainConfig = field(default=TrainConfig(), compare=False)

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
        choices = [parameter.all() or () for parameter in self.parameters]
        for seed in [None] if self.replicates == 1 else self.seeds:
            extra = {} if seed is None else {"seed": seed}
            for values in itertools.product(*choices):
                yield self.base.model_copy(update={**dict(zip(fields, values, strict=True)), **extra})

    def size(self) -> int | None:
        """How many runs it makes: those of the grid, or `run_cap` if that is less; None if nothing bounds it."""
        counts = [len(parameter.all() or ()) for parameter in self.parameters]
        points = math.prod(counts) * self.replicates if all(counts) else None
        bounds = [bound for bound in (points, self.run_cap) if bound is not None]
        return min(bounds, default=None)


def configuration_key(spec: Spec, config: TrainConfig) -> Point:
    """What makes two runs of a sweep the same: all but where they run, unless the sweep varies that, and what their
    data set is called."""
    varied = spec.varied
    settings = {**dict(config), "dataset": spec.contents.get(config.dataset, config.dataset)}
    return tuple(value for field, value in settings.items() if field not in MACHINE or field in varied)


def next_configs(
    spec: Spec, records: Sequence[RunRecord], rng: np.random.Generator, count: int = 1
) -> list[TrainConfig]:
    """The next configurations to run, at most `count`; none when the sweep has made all its runs.

    Args:
        records: every run of the sweep, whatever its state.
        rng: decides all that is drawn; an equal one gives equal answers.
    """
    known = {configuration_key(spec, _config(run)) for run in records}
    room = count if spec.run_cap is None else min(count, spec.run_cap - len(records))
    configs: list[TrainConfig] = []
    misses = 0
    candidates = _candidates(spec, records, rng)
    while len(configs) < room and misses < MISSES + len(records):
        config = next(candidates, None)
        if config is None:
            break
        if configuration_key(spec, config) in known:
            misses += spec.method != "grid"
        else:
            known.add(configuration_key(spec, config))
            configs.append(config)
            misses = 0
    return configs


def generator(spec: Spec, records: Sequence[RunRecord] = ()) -> np.random.Generator:
    """What decides the draws of a sweep: a random search goes on in one sequence, of which it skips what is there."""
    return np.random.default_rng([spec.base.seed, len(records) if spec.method == "bayes" else 0])


def metric_value(spec: Spec, run: RunRecord) -> float | None:
    """The metric of a run: that of its best epoch, which is the one of the lowest val_loss."""
    return (best_row(run.rows) or {}).get(spec.metric)


def best_run(spec: Spec, records: Sequence[RunRecord]) -> RunRecord | None:
    """The run with the best metric so far, the first of equals."""
    measured = [(value, run) for run in records if (value := metric_value(spec, run)) is not None]
    sign = 1 if spec.goal == "minimize" else -1
    return min(measured, key=lambda pair: sign * pair[0])[1] if measured else None


def disagreement(spec: Spec, records: Sequence[RunRecord]) -> tuple[str, RunRecord] | None:
    """A usual metric by which another run than `best` is better, with the run that is best by it; None if there is
    none."""
    best = best_run(spec, records)
    for metric, goal in USUAL.items():
        other = replace(spec, metric=metric, goal=goal)
        other_best = best_run(other, records) if metric != spec.metric else None
        if best and other_best and metric_value(other, best) != metric_value(other, other_best):
            return metric, other_best
    return None


def runs_to_prune(spec: Spec, records: Sequence[RunRecord]) -> dict[str, str]:
    """The running runs that early termination ends, by id, each with what it lost by.

    A run is judged at the last milestone it has passed, against all runs that have passed it. Unless the rule is
    `strict`, what it reached since counts as well: the best run so far goes on.
    """
    if spec.early_stop is None:
        return {}
    lost = {}
    for run in records:
        passed = [epoch for epoch in spec.early_stop.milestones if epoch <= len(run.rows)]
        judged = run.state == "running" and passed and passed[-1] < _config(run).num_epochs
        if judged and (reason := _why_prune(spec, run, records, passed[-1])):
            lost[run.id] = reason
    return lost


def _why_prune(spec: Spec, run: RunRecord, records: Sequence[RunRecord], epoch: int) -> str:
    """Why a run is not among the best at a milestone that it has passed; "" for one that is."""
    assert spec.early_stop is not None
    sign = 1 if spec.goal == "minimize" else -1
    values = [value for other in records if (value := _value_at(spec, other, epoch)) is not None]
    so_far = [value for place in range(len(run.rows)) if (value := _value_at(spec, run, place + 1)) is not None]
    best = min(so_far, key=lambda value: sign * value, default=None)
    own = _value_at(spec, run, epoch) if spec.early_stop.strict else best
    if own is None:
        return f"{spec.metric} is undefined at epoch {epoch}"
    cutoff = sorted(values, key=lambda value: sign * value)[: max(1, int(len(values) / spec.early_stop.eta))][-1:]
    if not cutoff or sign * own <= sign * cutoff[0]:
        return ""
    by = "" if spec.early_stop.strict else f" by epoch {len(run.rows)}"
    return f"{spec.metric} {significant(own, 4)}{by} is not among the best at epoch {epoch}"


def _value_at(spec: Spec, run: RunRecord, epoch: int) -> float | None:
    return run.rows[epoch - 1].get(spec.metric) if epoch <= len(run.rows) else None


def _config(run: RunRecord) -> TrainConfig:
    return parse_config({field: run.config[field] for field in TrainConfig.model_fields if field in run.config})


def _candidates(spec: Spec, records: Sequence[RunRecord], rng: np.random.Generator) -> Iterator[TrainConfig]:
    if spec.method == "grid":
        yield from spec.grid()
        return
    for run in records:
        yield from _replicates(spec, _config(run).model_copy(update=_machine(spec)))
    if spec.method == "bayes":
        yield from _suggested(spec, records, rng)
    while True:
        values = {parameter.field: parameter.at(rng.random()) for parameter in spec.parameters}
        yield from _replicates(spec, spec.base.model_copy(update=values))


def _machine(spec: Spec) -> dict[str, Any]:
    return {field: getattr(spec.base, field) for field in MACHINE if field not in spec.varied}


def _replicates(spec: Spec, config: TrainConfig) -> Iterator[TrainConfig]:
    if spec.replicates == 1:
        yield config
    for seed in spec.seeds if spec.replicates > 1 else ():
        yield config.model_copy(update={"seed": seed})


def _suggested(spec: Spec, records: Sequence[RunRecord], rng: np.random.Generator) -> Iterator[TrainConfig]:
    """What Optuna's TPE makes of the runs so far; what it has suggested counts as running for the next."""
    study = _study(spec, records, int(rng.integers(2**31)))
    varied = [parameter for parameter in spec.parameters if parameter.varied]
    for _ in range(SUGGESTIONS):
        trial = study.ask({parameter.field: _distribution(parameter) for parameter in varied})
        values = {parameter.field: _from_optuna(parameter, trial.params[parameter.field]) for parameter in varied}
        yield from _replicates(spec, spec.base.model_copy(update=values))


def _study(spec: Spec, records: Sequence[RunRecord], seed: int) -> "optuna.Study":
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    study = optuna.create_study(direction=spec.goal, sampler=sampler)
    study.add_trials([_trial(spec, run) for run in records])
    return study


def _trial(spec: Spec, run: RunRecord) -> "optuna.trial.FrozenTrial":
    """A run as Optuna knows it."""
    import optuna

    states = optuna.trial.TrialState
    value = metric_value(spec, run)
    if run.state in ACTIVE:
        state = states.RUNNING
    elif value is None:
        state = states.FAIL
    else:
        state = states.COMPLETE if run.state == "finished" else states.PRUNED
    steps = {row["epoch"]: row[spec.metric] for row in run.rows if row.get(spec.metric) is not None}
    varied = [parameter for parameter in spec.parameters if parameter.varied]
    places = {parameter.field: _to_optuna(parameter, run.config.get(parameter.field)) for parameter in varied}
    params = {field: place for field, place in places.items() if place is not None}
    now = datetime.now()
    return optuna.trial.FrozenTrial(
        number=-1,
        trial_id=-1,
        state=state,
        value=value if state is states.COMPLETE else None,
        datetime_start=now,
        datetime_complete=None if state is states.RUNNING else now,
        params=params,
        distributions={
            parameter.field: _distribution(parameter) for parameter in varied if parameter.field in params
        },
        user_attrs={},
        system_attrs={},
        intermediate_values=steps,
    )


def _distribution(parameter: Parameter) -> "optuna.distributions.BaseDistribution":
    """Values are choices; a range is searched as the place between 0 and 1, on which its distribution is even."""
    import optuna

    if parameter.values:
        return optuna.distributions.CategoricalDistribution(range(len(parameter.values)))
    return optuna.distributions.FloatDistribution(0.0, 1.0)


def _to_optuna(parameter: Parameter, value: Any) -> float | int | None:
    if parameter.values:
        return parameter.values.index(value) if value in parameter.values else None
    return parameter.place(value)


def _from_optuna(parameter: Parameter, value: Any) -> Any:
    return parameter.values[value] if parameter.values else parameter.at(value)
