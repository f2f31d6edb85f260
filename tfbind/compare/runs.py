"""Runs side by side: what they were measured at, which settings they share, and the columns in which they differ.

A setting is a configuration without the seed, the device and the names; its replicates are runs of it with other
seeds. Runs from W&B and offline folders stand beside those of this home; a copy of a run of this home is that run.
Nothing here judges: see `verdict`.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tfbind.config import TrainConfig
from tfbind.runs import ACTIVE, Row, Run, RunRecord, read_run_record, read_run_records
from tfbind.store import format_error
from tfbind.tracking import cache

Goal = Literal["min", "max"]
When = Literal["best", "last", "epoch"]

DEFAULT_METRIC = "val_pearsonr"
FIRST_METRICS = ("val_pearsonr", "val_loss", "val_pearsonr_window", "train_loss")
METRIC_WORDS = {
    "val_pearsonr": "Pearson r",
    "val_loss": "validation loss",
    "val_pearsonr_window": "Pearson r, mean of windows",
    "train_loss": "training loss",
}
LOWER_IS_BETTER = ("loss", "error", "mse", "mae", "undefined", "seconds")
DATA = ("dataset", "dataset_hash")
# What tells runs apart without making them another experiment.
BOOKKEEPING = (
    *("seed", "device", "threads", "ray", "name", "created", "versions", "sweep", "wandb", "windows", "length"),
    *("split_hash", "split_windows"),  # follow from the data, the seed and the settings of the split
    *("run", "run_id", "tags", "note"),
)
NESTED = ("versions.", "split_windows.")  # the same as W&B gives it back


@dataclass(frozen=True)
class RankBy:
    """The figure by which runs are compared: which metric, which way is better, and at which epoch.

    `best` is the epoch with the lowest val_loss, or, for a run without val_loss, with its best value of the metric.
    """

    metric: str = DEFAULT_METRIC
    goal: Goal = "max"
    when: When = "best"
    epoch: int | None = None

    @property
    def better(self) -> str:
        return "higher is better" if self.goal == "max" else "lower is better"

    @property
    def words(self) -> str:
        """Such as `Pearson r (higher is better) at the epoch with the lowest validation loss`."""
        places = {"best": "at the epoch with the lowest validation loss", "last": "at the last epoch"}
        return f"{metric_label(self.metric)} ({self.better}) {places.get(self.when, f'at epoch {self.epoch}')}"


@dataclass(frozen=True)
class Measurement:
    """A run's figure: the value of the metric, and the epoch it was reached at, None where that is not known."""

    epoch: int | None
    value: float


@dataclass(frozen=True)
class Configuration:
    """Runs of one configuration. `points` has the runs that count, by key; `left_out` says why others do not."""

    label: str
    config: dict[str, Any]
    pasts: tuple[RunRecord, ...]
    points: dict[str, Measurement]
    left_out: dict[str, str]

    @property
    def counted(self) -> list[RunRecord]:
        return [past for past in self.pasts if past.key in self.points]

    @property
    def lost(self) -> list[RunRecord]:
        """Runs that ended without a figure, in whose place no run of that seed counts: they failed, were pruned or
        stopped. Those that count are the survivors, and flatter the setting."""
        seeds = {past.config.get("seed") for past in self.counted} - {None}
        return [
            past
            for past in self.pasts
            if past.key in self.left_out
            and past.state not in ACTIVE
            and not (past.last_only and past.state == "finished")
            and past.config.get("seed") not in seeds
        ]

    @property
    def values(self) -> list[float]:
        """One value for each seed: the mean, where a seed was run more than once. Unknown seeds count singly."""
        by_seed: dict[object, list[float]] = {}
        for past in self.counted:
            seed = past.config.get("seed")
            by_seed.setdefault(past.key if seed is None else seed, []).append(self.points[past.key].value)
        return [sum(values) / len(values) for values in by_seed.values()]


def choose(metric: str, when: When = "best", epoch: int | None = None, goal: Goal | None = None) -> RankBy:
    """A `Choice`, with the direction that the metric's name suggests unless it is given.

    Raises:
        ValueError: `when` is `epoch` and there is no epoch from 1 on.
    """
    if when == "epoch" and (epoch is None or epoch < 1):
        raise ValueError(f"epoch {epoch}: expected a whole number from 1 on")
    return RankBy(metric, goal or goal_of(metric), when, epoch if when == "epoch" else None)


def choose_at(metric: str, at: str | int, goal: Goal | None = None) -> RankBy:
    """A `Choice` at `best`, `last` or the epoch of this number.

    Raises:
        ValueError: `at` is none of these.
    """
    if at == "best":
        return choose(metric, "best", None, goal)
    if at == "last":
        return choose(metric, "last", None, goal)
    if isinstance(at, str):
        raise ValueError(f"at {at!r}: expected best, last, or the number of an epoch")
    return choose(metric, "epoch", at, goal)


def metric_label(metric: str) -> str:
    """What a metric is called where people read it; one of other people's code has its own name only."""
    return METRIC_WORDS.get(metric, metric)


def goal_of(metric: str) -> Goal:
    """Which way is better, by the name: losses, errors and seconds want to be low, anything else high."""
    return "min" if any(word in metric.lower() for word in LOWER_IS_BETTER) else "max"


def number(value: object) -> float | None:
    """`value` as a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def metrics(pasts: Iterable[RunRecord]) -> list[str]:
    """The numeric keys of the rows, the most asked for first."""
    known: set[str] = set()
    for past in pasts:
        for row in past.rows:
            known.update(key for key in row.keys() - known if number(row[key]) is not None)
    known = {key for key in known if key != "epoch" and not key.startswith("_")}
    return [key for key in FIRST_METRICS if key in known] + sorted(known.difference(FIRST_METRICS))


def best_epoch(rows: Sequence[Row], choice: RankBy) -> Row | None:
    """The row with the lowest val_loss; of rows without one, that with the best value of the metric."""
    key, sign = ("val_loss", 1) if _has(rows, "val_loss") else (choice.metric, 1 if choice.goal == "min" else -1)
    best, lowest = None, math.inf
    for row in rows:  # a thousand runs pass through here: NaN compares as false, and needs no test of its own
        value = row.get(key)
        if isinstance(value, int | float) and -math.inf < sign * value < lowest:
            best, lowest = row, sign * value
    return best


def _has(rows: Sequence[Row], key: str) -> bool:
    return any(number(row.get(key)) is not None for row in rows)


def measure(past: RunRecord, choice: RankBy) -> Measurement | None:
    """The figure of a run, None where it has none. Of one without a curve the last value stands for that of its best
    epoch."""
    if past.last_only:
        last = number(past.rows[-1].get(choice.metric)) if past.rows and choice.when != "epoch" else None
        return None if last is None else Measurement(None, last)
    if choice.when == "best":
        row = best_epoch(past.rows, choice)
    elif choice.when == "last":
        row = past.rows[-1] if past.rows else None
    else:
        row = next((row for row in past.rows if row["epoch"] == choice.epoch), None)
    value = number(row.get(choice.metric)) if row else None
    return None if row is None or value is None else Measurement(int(row["epoch"]), value)


def why_left_out(past: RunRecord, choice: RankBy) -> str | None:
    """Why a run does not count, None if it does. One that did not finish counts at an epoch that it has reached."""
    reached = past.state
    if not past.last_only:
        reached += f" after {len(past.rows)} epoch{'' if len(past.rows) == 1 else 's'}"
    if choice.when != "epoch" and past.state != "finished":
        return reached
    if measure(past, choice) is not None:
        return None
    if choice.when == "epoch" and past.last_only:
        return "only its last values are known"
    if choice.when == "epoch" and all(row["epoch"] != choice.epoch for row in past.rows):
        return f"{reached}, without epoch {choice.epoch}"
    return f"{metric_label(choice.metric)} undefined there"


def settings_of(past: RunRecord) -> dict[str, Any]:
    """The configuration without bookkeeping, data and unset values, each value in one spelling."""
    kept = {key: canonical(value) for key, value in past.config.items() if key not in (*BOOKKEEPING, *DATA)}
    return {key: value for key, value in kept.items() if value is not None and not key.startswith(("_", *NESTED))}


def canonical(value: Any) -> Any:
    """A configuration value such that equal ones compare equal: text that is a number as that number, a list or an
    object as JSON."""
    if isinstance(value, str):
        try:
            return float(value) if math.isfinite(float(value)) else value
        except ValueError:
            return value
    return json.dumps(value, sort_keys=True, default=str) if isinstance(value, list | dict | tuple) else value


def data_of(pasts: Iterable[RunRecord]) -> dict[str, str | None]:
    """What identifies the data set of each run, by key: its hash, else its name; None where neither was recorded.

    A run that recorded only the name is taken to have learnt from the one data set of that name, if there is one.
    """
    recorded = {past.key: (past.config.get("dataset_hash"), past.config.get("dataset")) for past in pasts}
    hashes: dict[str, set[str]] = {}
    for hash, name in recorded.values():
        if hash and name:
            hashes.setdefault(name, set()).add(hash)
    found = {}
    for key, (hash, name) in recorded.items():
        same = hashes.get(name, set()) if name else set()
        found[key] = hash or (next(iter(same)) if len(same) == 1 else name) or None
    return found


def differing(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys whose values are not the same everywhere: those of TrainConfig in its order, then others by name."""
    keys = {key for config in configs for key in config}
    known = [key for key in TrainConfig.model_fields if key in keys]
    ordered = known + sorted(keys.difference(known))
    missing = object()
    return [key for key in ordered if len({config.get(key, missing) for config in configs}) > 1]


def group_runs(pasts: Sequence[RunRecord], choice: RankBy) -> list[Configuration]:
    """The settings among these runs, in the order in which they appear."""
    members: dict[tuple[Any, ...], list[RunRecord]] = {}
    data = data_of(pasts)
    for past in pasts:
        key = (data[past.key], *sorted(settings_of(past).items()))
        members.setdefault(key, []).append(past)
    configs = [settings_of(runs[0]) for runs in members.values()]
    labels = _labels(configs, [runs[0].name for runs in members.values()])
    return [
        _setting(label, config, runs, choice)
        for label, config, runs in zip(labels, configs, members.values(), strict=True)
    ]


def _setting(label: str, config: dict[str, Any], pasts: list[RunRecord], choice: RankBy) -> Configuration:
    reasons = {past.key: why_left_out(past, choice) for past in pasts}
    points = {past.key: measure(past, choice) for past in pasts if reasons[past.key] is None}
    return Configuration(
        label,
        config,
        tuple(pasts),
        {key: point for key, point in points.items() if point is not None},
        {key: reason for key, reason in reasons.items() if reason is not None},
    )


def _labels(configs: list[dict[str, Any]], names: list[str]) -> list[str]:
    """A name for each configuration: the fewest differing values that tell all of them apart.

    Values that all of them have come first: where one program records more than another, what only one of them
    recorded says little.
    """
    columns = differing(configs)
    columns.sort(key=lambda key: sum(key in config for config in configs) < len(configs))
    used: list[str] = []
    kinds = 1
    for key in columns:
        told = len({tuple(config.get(column) for column in (*used, key)) for config in configs})
        if told > kinds:
            used, kinds = [*used, key], told
    if not used:
        return names if len(names) == 1 else [f"{name} ({place})" for place, name in enumerate(names, start=1)]
    labels = [", ".join(f"{key} {shown(config.get(key))}" for key in used) for config in configs]
    again = {label for label in labels if labels.count(label) > 1}
    return [f"{label} ({name})" if label in again else label for label, name in zip(labels, names, strict=True)]


def select_runs(pasts: Sequence[RunRecord], names: Iterable[str]) -> list[RunRecord]:
    """The runs that go by one of these names: those with such a key, else those with such an id."""
    asked = set(names)
    ids = asked - {past.key for past in pasts}
    return [past for past in pasts if past.key in asked or past.id in ids]


def select_run(pasts: Sequence[RunRecord], name: str) -> RunRecord:
    """The one run that goes by this name.

    Raises:
        ValueError: there is none, or several.
    """
    found = select_runs(pasts, [name])
    if len(found) != 1:
        raise ValueError(f"run {name!r}: {len(found) or 'no'} such run{'s' * (len(found) > 1)}")
    return found[0]


def listed(words: Sequence[str], most: int = 6) -> str:
    """`a, b and c`; of many, the first ones and how many more there are."""
    if len(words) > most:
        return f"{'; '.join(words[:most])} and {len(words) - most} more"
    joint = "; " if any("," in word for word in words) else ", "
    return f"{joint.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def shown(value: Any) -> str:
    """A configuration value as a reader wants it; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:g}" if isinstance(value, float) else str(value)


def table(pasts: Sequence[RunRecord], choice: RankBy) -> list[dict[str, Any]]:
    """One record for each run: what it is, its figure, and the settings in which these runs differ.

    Keys: key, id, name, state, source, server, group, tags, note, created, epochs, seconds, best_epoch (None, as
    epochs are, for a run without a curve), then the metric (None where the run has no such figure), then settings,
    prefixed with `config.` where a name is taken.
    """
    configs = [columns_of(past) for past in pasts]
    columns = differing(configs)
    records = []
    for past, config in zip(pasts, configs, strict=True):
        point = measure(past, choice)
        best = None if past.last_only else best_epoch(past.rows, choice)
        record = {
            **{key: getattr(past, key) for key in ("key", "id", "name", "state", "source", "server", "group")},
            "tags": ", ".join(past.tags),
            "note": past.note,
            "created": past.created,
            "epochs": None if past.last_only else len(past.rows),
            "seconds": seconds(past),
            "best_epoch": best["epoch"] if best else None,
            choice.metric: point.value if point else None,
        }
        taken = set(record)
        record |= {f"config.{key}" if key in taken else key: config.get(key) for key in columns}
        records.append(record)
    return records


def columns_of(past: RunRecord) -> dict[str, Any]:
    """What may differ between runs and is worth a column: the settings, the data set, the seed."""
    extra = {key: canonical(past.config.get(key)) for key in ("dataset", "seed")}
    return settings_of(past) | {key: value for key, value in extra.items() if value is not None}


def seconds(past: RunRecord) -> float | None:
    """How long the epochs took together, None where that was not recorded for all of them, or is beyond numbers."""
    spent = [number(row.get("seconds")) for row in past.rows]
    return None if not spent or None in spent else number(sum(value for value in spent if value is not None))


def known_runs(home: Path, read: Callable[[Run], RunRecord] = read_run_record) -> tuple[list[RunRecord], list[str]]:
    """Every run that a comparison may use, those of this home as `read` has them, newest first, and a line for each
    that cannot be read.

    What W&B has of a run of this home is that run.
    """
    found, problems = read_run_records(home, read)
    try:
        return originals([*found, *cache.stored_runs(home)], found), problems
    except (ValueError, OSError) as error:
        return found, [*problems, format_error(error)]


def originals(pasts: Iterable[RunRecord], known: Iterable[RunRecord]) -> list[RunRecord]:
    """These runs, none twice, with the run of this home among `known` in place of what it logged to W&B."""
    here = {past.key: past for past in known if past.source == "local"}
    found = [_original(past, here) for past in pasts]
    return list({past.key: past for past in found}.values())


def _original(past: RunRecord, here: dict[str, RunRecord]) -> RunRecord:
    mine = here.get(str(past.config.get("run")))
    return mine if mine and mine.created == past.config.get("created") else past
