"""How much a sweep is: its runs before it starts, how long they take, and how far it is."""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median

from tfbind import estimate
from tfbind.config import TrainConfig
from tfbind.devices import cpu_cores, settle
from tfbind.estimate import Estimate
from tfbind.history import Past
from tfbind.runs import ACTIVE
from tfbind.sweep_control import room_for, share_of_cores, with_threads
from tfbind.sweep_space import Spec
from tfbind.sweeps import generator, next_configs

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


def plan(
    spec: Spec,
    sizes: Mapping[str, tuple[int, int]],
    speeds: Sequence[estimate.Past],
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


def _first_configs(spec: Spec) -> list[TrainConfig]:
    if spec.method == "grid":
        return list(islice(spec.grid(), min(LISTED, spec.size() or 0)))
    if spec.method == "random":
        return next_configs(spec, [], generator(spec), min(LISTED, spec.size() or 0))
    return []


def _time(config: TrainConfig, sizes: Mapping[str, tuple[int, int]], speeds: Sequence[estimate.Past]) -> Estimate:
    return estimate.estimate(settle(config), *_size(config, sizes), speeds)


def _disk(config: TrainConfig, sizes: Mapping[str, tuple[int, int]]) -> int:
    windows, length = _size(config, sizes)
    return estimate.disk(config, int(windows * config.validation_split), length)


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


def progress(spec: Spec, past: Sequence[Past], at_once: int) -> Progress:
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
