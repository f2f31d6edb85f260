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
from tfbind.sweeps.search import Parameter, Spec, generator, next_configs

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
    here: bool = True,
) -> Plan:
    """The plan of a sweep.

    Args:
        sizes: windows and bases per window of each data set by name; another one counts as the first.
        speeds: finished runs, newest first.
        parallel: how many runs at once, None for as many as fit.
        here: whether this machine trains them.
    """
    total = spec.size() or 0
    configs = _first_configs(spec)
    timed = configs or [spec.base]
    disk = sum(_disk(config, sizes) for config in timed) * total // len(timed)
    if not here:
        return Plan(configs, total, min(parallel or total, total), None, disk)
    at_once = min(parallel or room_for(spec.base), total)
    each = [_time(with_threads(config, share_of_cores(cpu_cores(), at_once)), sizes, speeds) for config in timed]
    seconds = makespan([time.seconds for time in each], at_once) * total / len(timed)
    basis = each[0].basis if len({time.basis for time in each}) == 1 else "measured for some of the runs only"
    time = Estimate(max(seconds, max(time.seconds for time in each)), basis, all(time.measured for time in each))
    return Plan(configs, total, at_once, time, disk)


def describe_plan(spec: Spec, sizes: Mapping[str, tuple[int, int]], label: Callable[[str], str] = str) -> list[str]:
    """What a sweep does that its file does not show at a glance, a line each: from where to where each range really
    goes, at which epochs runs are ended, how few steps some take, and that there are fewer runs than were asked for.

    Args:
        sizes: as for `plan`; of a data set that is not there, nothing is said of steps.
        label: what a hyperparameter is called.
    """
    said = [f"{label(each.field)}: {_range(spec, each)}" for each in spec.parameters if not each.values]
    return [*said, *_early(spec), *_few_steps(spec, sizes), *_fewer(spec)]


def _range(spec: Spec, parameter: Parameter) -> str:
    low, high = parameter.at(0.0), parameter.at(1.0)
    multiples = f" in multiples of {parameter.q:g}" if parameter.q else ""
    if low == high:
        return f"always {low:g}{f', the only value{multiples}' if multiples else ''}"
    if parameter.step:
        how = "every whole number" if parameter.step == 1 else "every odd number"
        return f"{low} to {high}, {how}{'' if spec.method == 'grid' else ' equally likely'}"
    scale = f" on a log scale{_exponents(parameter)}" if parameter.log else ""
    return f"{low:g} to {high:g}{multiples}, drawn evenly{scale}"


def _exponents(parameter: Parameter) -> str:
    """That the file gives exponents, and what takes plain values where its numbers seem to be such."""
    if not parameter.exponents:
        return ""
    ends, name = f"{parameter.low:g} to {parameter.high:g}", f"{'q_' * bool(parameter.q)}log_uniform"
    plain = f"; for {ends} as they stand say {name}_values" if _seem_plain(parameter) else ""
    return f": {name} takes its {ends} as exponents of e{plain}"


def _seem_plain(parameter: Parameter) -> bool:
    """Whether the exponents themselves are values that the hyperparameter may have, the lower one perhaps a 0."""
    for end in (parameter.low or parameter.high, parameter.high):
        try:
            parse_config({parameter.field: int(end) if end.is_integer() else end})
        except ValueError:
            return False
    return True


def _early(spec: Spec) -> list[str]:
    rule = spec.early_stop
    if rule is None:
        return []
    last = max(_values(spec, "num_epochs"))
    epochs = [epoch for epoch in rule.milestones if epoch < last]
    if not epochs:
        return [f"Hyperband ends no run: its first milestone, epoch {rule.first}, is not before the last one, {last}"]
    first = ", ".join(map(str, epochs[:SHOWN])) + (f" … {epochs[-1]}" if len(epochs) > SHOWN else "")
    by = "its value at that epoch" if rule.strict else "its best value so far"
    return [f"Hyperband: at epoch {first} a run goes on if {by} is among the best 1/{rule.eta:g} of the values there"]


def _few_steps(spec: Spec, sizes: Mapping[str, tuple[int, int]]) -> list[str]:
    extreme = {"num_epochs": min(_values(spec, "num_epochs")), "batch_size": max(_values(spec, "batch_size"))}
    drawn = _first_configs(spec)
    configs = [config for config in drawn or [spec.base.model_copy(update=extreme)] if config.dataset in sizes]
    found = {config: _training(config, sizes[config.dataset][0]) for config in configs}
    few = [config for config, windows in found.items() if few_steps(windows, config)]
    if not few:
        return []
    least = min(few, key=lambda config: Steps(found[config], config.batch_size).per_epoch * config.num_epochs)
    how = few_steps(found[least], least)
    if not drawn:
        return [f"a run may take only {how}"]
    return [f"{len(few)} of {len(drawn)} runs take few steps, such as {how}" if len(drawn) > 1 else f"it takes {how}"]


def _training(config: TrainConfig, windows: int) -> int:
    return windows - int(windows * config.validation_split) - int(windows * config.test_split)


def _fewer(spec: Spec) -> list[str]:
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
    for each in seconds:
        heapq.heapreplace(ends, ends[0] + each)
    return max(ends)


@dataclass(frozen=True)
class Progress:
    """How far a sweep is: runs that have ended of all, the share of its epochs, seconds left if that can be told."""

    ended: int
    total: int
    share: float
    seconds_left: float | None


def progress(spec: Spec, past: Sequence[RunRecord], at_once: int) -> Progress:
    """How far a sweep is, its time left reckoned from the epochs that it has trained itself."""
    total = max(len(past), spec.size() or 0)
    active = [run for run in past if run.state in ACTIVE]
    planned = [int(run.config["num_epochs"]) for run in past] or [spec.base.num_epochs]
    left = sum(max(0, int(run.config["num_epochs"]) - len(run.rows)) for run in active)
    left += round((total - len(past)) * sum(planned) / len(planned))
    trained = sum(len(run.rows) for run in past)
    paces = [row["seconds"] for run in past for row in run.rows]
    seconds = left * median(paces) / max(1, min(at_once, total)) if paces else None
    return Progress(len(past) - len(active), total, trained / (trained + left) if trained + left else 1.0, seconds)
