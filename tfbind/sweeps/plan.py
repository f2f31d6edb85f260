"""How much a sweep is: its runs before it starts, how long they take, and how far it is."""

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import Any

from tfbind.config import TrainConfig, parse_config
from tfbind.runs import ACTIVE, Estimate, RunRecord, Steps, estimate, few_steps, resolve_device
from tfbind.store import cpu_cores, plural
from tfbind.sweeps.controller import room_for, share_of_cores, with_threads
from tfbind.sweeps.search import LEAST, SHAPES, Parameter, Spec, generator, next_configs

SHOWN = 8  # milestones
LISTED = 500  # more runs than that are neither listed nor estimated one by one


@dataclass(frozen=True)
class Plan:
    """What Start will do: the first runs, how many in all, how many `at_once`, how long that takes, None for other
    machines, whose speed is not known; and how many bytes of `disk` all runs keep."""

    configs: list[TrainConfig]
    runs: int
    at_once: int
    time: Estimate | None
    disk: int


def plan_sweep(
    spec: Spec,
    sizes: Mapping[str, tuple[int, int]],
    speeds: Sequence[estimate.SpeedSample],
    parallel: int | None = None,
    local: bool = True,
) -> Plan:
    """Plan a sweep: its runs, time and disk.

    Args:
        spec: the sweep.
        sizes: windows and bases per window of each data set by name; another one counts as the first.
        speeds: finished runs, newest first.
        parallel: how many runs at once, None for as many as fit.
        local: whether this machine trains them.

    Returns:
        The plan.
    """
    total = spec.size() or 0
    configs = _first_configs(spec)
    sample = configs or [spec.base]
    disk = sum(_disk(config, sizes) for config in sample) * total // len(sample)
    if not local:
        return Plan(configs, total, min(parallel or total, total), None, disk)
    at_once = min(parallel or room_for(spec.base), total)
    threads = share_of_cores(cpu_cores(), at_once)
    estimates = [_time(with_threads(config, threads), sizes, speeds) for config in sample]
    seconds = makespan([run.seconds for run in estimates], at_once) * total / len(sample)
    same_basis = len({run.basis for run in estimates}) == 1
    basis = estimates[0].basis if same_basis else "measured for some of the runs only"
    longest = max(run.seconds for run in estimates)
    time = Estimate(max(seconds, longest), basis, all(run.measured for run in estimates))
    return Plan(configs, total, at_once, time, disk)


def describe_plan(spec: Spec, sizes: Mapping[str, tuple[int, int]], label: Callable[[str], str] = str) -> list[str]:
    """What a sweep does that its file does not show at a glance.

    Args:
        spec: the sweep.
        sizes: as for `plan_sweep`; of a data set that is not there, nothing is said of steps.
        label: what a hyperparameter is called.

    Returns:
        A line each: from where to where each range really goes, at which epochs runs are ended, how few steps some
        take, and that there are fewer runs than `run_cap`.
    """
    ranges = [parameter for parameter in spec.parameters if parameter.shares or not parameter.values]
    lines = [f"{label(parameter.field)}: {_describe_range(spec, parameter)}" for parameter in ranges]
    return [*lines, *_describe_early_stop(spec), *_describe_few_steps(spec, sizes), *_describe_run_cap(spec)]


def _describe_range(spec: Spec, parameter: Parameter) -> str:
    if parameter.shares:
        return ", ".join(f"{value} in {share:.3g} of the draws" for value, share in _shares(parameter))
    low, high = parameter.at(0.0), parameter.at(1.0)
    values = parameter.all() if spec.method == "grid" else None
    if values and parameter.q:
        return f"{values[0]:g} to {values[-1]:g} in steps of {parameter.q:g}"
    multiples = f" in multiples of {parameter.q:g}" if parameter.q else ""
    if low == high:
        return f"always {low:g}" + (f", the only value{multiples}" if multiples else "")
    if parameter.step:
        spacing = "every whole number" if parameter.step == 1 else "every odd number"
        return f"{low} to {high}, {spacing}{'' if spec.method == 'grid' else ' equally likely'}"
    if parameter.shape:
        return _describe_shape(parameter, multiples)
    scale = f" on a log scale{_exponents(parameter)}" if parameter.log else ""
    least = "above 0" if 0 < low < LEAST else f"{low:g}"
    return f"{least} to {high:g}{multiples}, drawn evenly{scale}"


def _shares(parameter: Parameter) -> Iterable[tuple[Any, float]]:
    return zip(parameter.values, parameter.shares, strict=True)


def _describe_shape(parameter: Parameter, multiples: str) -> str:
    """Where most draws of a distribution without ends lie, and how much of it a hyperparameter cannot be."""
    name = parameter.shape.replace("_", "-")
    words = " and ".join(
        f"{key} {value:g}" for key, value in zip(SHAPES[parameter.shape], parameter.arguments, strict=True)
    )
    outside = 1 - parameter.inside
    cut = f"; {100 * outside:.3g} % of it lies outside what this may be, and is left out" if outside >= 5e-4 else ""
    ends = f"{parameter.at(0.01):g} to {parameter.at(0.99):g}"
    return f"{name} with {words}: 98 of 100 draws lie from {ends}{multiples}{cut}"


def _exponents(parameter: Parameter) -> str:
    """That the file gives exponents, and what takes plain values where its numbers seem to be such."""
    name = parameter.exponents
    if not name:
        return ""
    inverted = name.startswith("inv_")
    low, high = (-parameter.high, -parameter.low) if inverted else (parameter.low, parameter.high)
    plain = (
        f"; for {low:g} to {high:g} as they stand say {name}_values"
        if _seem_plain(parameter.field, low, high)
        else ""
    )
    return f": {name} takes its {low:g} to {high:g} as {'negative ' if inverted else ''}exponents of e{plain}"


def _seem_plain(field: str, low: float, high: float) -> bool:
    """Whether the exponents themselves are values that the hyperparameter may have, the lower one perhaps a 0."""
    for end in (low or high, high):
        try:
            parse_config({field: int(end) if end.is_integer() else end})
        except ValueError:
            return False
    return True


def _describe_early_stop(spec: Spec) -> list[str]:
    rule = spec.early_stop
    if rule is None:
        return []
    last = max(_values(spec, "num_epochs"))
    epochs = [epoch for epoch in rule.milestones if epoch < last]
    if not epochs:
        return [f"Hyperband ends no run: its first milestone, epoch {rule.first}, is not before the last one, {last}"]
    first = ", ".join(map(str, epochs[:SHOWN])) + (f" … {epochs[-1]}" if len(epochs) > SHOWN else "")
    value = "its value at that epoch" if rule.strict else "its best value so far"
    return [
        f"Hyperband: at epoch {first} a run goes on if {value} is among the best 1/{rule.eta:g} of the values there"
    ]


def _describe_few_steps(spec: Spec, sizes: Mapping[str, tuple[int, int]]) -> list[str]:
    extreme = {"num_epochs": min(_values(spec, "num_epochs")), "batch_size": max(_values(spec, "batch_size"))}
    first = _first_configs(spec)
    configs = [config for config in first or [spec.base.model_copy(update=extreme)] if config.dataset in sizes]
    training_windows = {config: _training_windows(config, sizes[config.dataset][0]) for config in configs}
    short = [config for config, windows in training_windows.items() if few_steps(windows, config)]
    if not short:
        return []
    totals = {
        config: Steps(training_windows[config], config.batch_size).per_epoch * config.num_epochs for config in short
    }
    least = min(short, key=totals.__getitem__)
    steps = few_steps(training_windows[least], least)
    if not first:
        return [f"a run may take only {steps}"]
    if len(first) == 1:
        return [f"it takes {steps}"]
    return [f"{len(short)} of {len(first)} runs take few steps, such as {steps}"]


def _training_windows(config: TrainConfig, windows: int) -> int:
    return windows - int(windows * config.validation_split) - int(windows * config.test_split)


def _describe_run_cap(spec: Spec) -> list[str]:
    size = spec.size() or 0
    if spec.method == "grid" or spec.run_cap is None or size >= spec.run_cap:
        return []
    return [f"run_cap is {spec.run_cap:,}; these values make only {plural(size, 'different run')}"]


def _values(spec: Spec, field: str) -> list[Any]:
    """The values of a hyperparameter, of a range its ends."""
    for parameter in spec.parameters:
        if parameter.field == field:
            return list(parameter.values or (parameter.at(0.0), parameter.at(1.0)))
    return [getattr(spec.base, field)]


def _first_configs(spec: Spec) -> list[TrainConfig]:
    if spec.method == "grid":
        return list(islice(spec.grid(), min(LISTED, spec.size() or 0)))
    if spec.method == "random":
        return next_configs(spec, [], generator(spec), min(LISTED, spec.size() or 0))
    return []


def _time(
    config: TrainConfig, sizes: Mapping[str, tuple[int, int]], speeds: Sequence[estimate.SpeedSample]
) -> Estimate:
    return estimate.estimate_run(resolve_device(config), *_size(config, sizes), speeds)


def _disk(config: TrainConfig, sizes: Mapping[str, tuple[int, int]]) -> int:
    windows, length = _size(config, sizes)
    return estimate.disk_needed(config, int(windows * config.validation_split), length)


def _size(config: TrainConfig, sizes: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    return sizes.get(config.dataset) or next(iter(sizes.values()))


def makespan(seconds: Iterable[float], at_once: int) -> float:
    """How long jobs of these lengths take when each goes to the first free of `at_once` places."""
    ends = [0.0] * at_once
    for duration in seconds:
        heapq.heapreplace(ends, ends[0] + duration)
    return max(ends)


@dataclass(frozen=True)
class Progress:
    """How far a sweep is: runs that have ended of all, the share of its epochs, seconds left if that can be told."""

    ended: int
    total: int
    share: float
    seconds_left: float | None


def progress(spec: Spec, records: Sequence[RunRecord], at_once: int) -> Progress:
    """How far a sweep is, its time left reckoned from the epochs that it has trained itself.

    Args:
        spec: the sweep.
        records: its runs.
        at_once: how many of them are trained at once.

    Returns:
        Its progress.
    """
    total = max(len(records), spec.size() or 0)
    active = [run for run in records if run.state in ACTIVE]
    planned = [int(run.config["num_epochs"]) for run in records] or [spec.base.num_epochs]
    left = sum(max(0, int(run.config["num_epochs"]) - len(run.rows)) for run in active)
    left += round((total - len(records)) * sum(planned) / len(planned))
    trained = sum(len(run.rows) for run in records)
    waiting = total - len(records) + sum(not run.rows for run in active)
    epoch_seconds = [row["seconds"] for run in records for row in run.rows[1:]]  # first ones compile, too
    epoch_seconds = epoch_seconds or [row["seconds"] for run in records for row in run.rows]
    seconds = None
    if epoch_seconds:
        work = left * median(epoch_seconds) + waiting * estimate.START_SECONDS
        seconds = work / max(1, min(at_once, total))
    return Progress(len(records) - len(active), total, trained / (trained + left) if trained + left else 1.0, seconds)
