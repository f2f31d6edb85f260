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
from tfbind.runs import ACTIVE, Row, Run, RunRecord, read_run_record, read_run_records, state_word
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
COLUMNS = (  # of the table, beside `seconds`, settings and the figure
    *("key", "id", "name", "state", "source", "server", "group", "tags", "note", "created", "epochs", "best_epoch"),
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
    records: tuple[RunRecord, ...]
    points: dict[str, Measurement]
    left_out: dict[str, str]

    @property
    def counted(self) -> list[RunRecord]:
        return [record for record in self.records if record.key in self.points]

    @property
    def lost(self) -> list[RunRecord]:
        """Runs that ended without a figure, in whose place no run of that seed counts: they failed, were pruned or
        stopped. Those that count are the survivors, and flatter the setting."""
        seeds = {record.config.get("seed") for record in self.counted} - {None}
        return [
            record
            for record in self.records
            if record.key in self.left_out
            and record.state not in ACTIVE
            and not (record.last_only and record.state == "finished")
            and record.config.get("seed") not in seeds
        ]

    @property
    def by_seed(self) -> dict[object, float]:
        """The value of each seed: the mean, where it was run more than once. A run of unknown seed stands for one, by
        its key."""
        values: dict[object, list[float]] = {}
        for record in self.counted:
            seed = record.config.get("seed")
            values.setdefault(record.key if seed is None else seed, []).append(self.points[record.key].value)
        return {seed: sum(each) / len(each) for seed, each in values.items()}

    @property
    def values(self) -> list[float]:
        """One value for each seed."""
        return list(self.by_seed.values())


def choose(metric: str, when: When = "best", epoch: int | None = None, goal: Goal | None = None) -> RankBy:
    """A `RankBy`, with the direction that the metric's name suggests unless it is given.

    Args:
        metric: a key of the rows.
        when: `best`, `last` or `epoch`.
        epoch: which one, from 1, where `when` is `epoch`.
        goal: `min` or `max`, None for what the metric's name suggests.

    Returns:
        The figure to rank by.

    Raises:
        ValueError: `when` is `epoch` and there is no epoch from 1 on.
    """
    if when == "epoch" and (epoch is None or epoch < 1):
        raise ValueError(f"epoch {epoch}: expected a whole number from 1 on")
    return RankBy(metric, goal or goal_of(metric), when, epoch if when == "epoch" else None)


def choose_at(metric: str, at: str | int, goal: Goal | None = None) -> RankBy:
    """A `RankBy` at `best`, `last` or the epoch of this number.

    Args:
        metric: a key of the rows.
        at: `best`, `last` or the number of an epoch, from 1.
        goal: `min` or `max`, None for what the metric's name suggests.

    Returns:
        The figure to rank by.

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


def metrics(records: Iterable[RunRecord]) -> list[str]:
    """The numeric keys of the rows and figures, the most asked for first."""
    known: set[str] = set()
    for record in records:
        known.update(key for key, value in record.figures.items() if number(value) is not None)
        for row in record.rows:
            known.update(key for key in row.keys() - known if number(row[key]) is not None)
    known = {key for key in known - {"epoch", *COLUMNS} if not key.startswith("_")}
    return [key for key in FIRST_METRICS if key in known] + sorted(known.difference(FIRST_METRICS))


def best_epoch(rows: Sequence[Row], rank_by: RankBy) -> Row | None:
    """The row with the lowest val_loss; of rows without one, that with the best value of the metric."""
    key, sign = ("val_loss", 1) if _has(rows, "val_loss") else (rank_by.metric, 1 if rank_by.goal == "min" else -1)
    best, lowest = None, math.inf
    for row in rows:  # a thousand runs pass through here: NaN compares as false, and needs no test of its own
        value = row.get(key)
        if isinstance(value, int | float) and -math.inf < sign * value < lowest:
            best, lowest = row, sign * value
    return best


def _has(rows: Sequence[Row], key: str) -> bool:
    return any(number(row.get(key)) is not None for row in rows)


def measure(record: RunRecord, rank_by: RankBy) -> Measurement | None:
    """The figure of a run, None where it has none. Of one without a curve the last value stands for that of its best
    epoch; a figure of the run as a whole is the same at any."""
    if rank_by.metric in record.figures:
        whole = number(record.figures[rank_by.metric])
        return None if whole is None else Measurement(None, whole)
    if record.last_only:
        last = number(record.rows[-1].get(rank_by.metric)) if record.rows and rank_by.when != "epoch" else None
        return None if last is None else Measurement(None, last)
    if rank_by.when == "best":
        row = best_epoch(record.rows, rank_by)
    elif rank_by.when == "last":
        row = record.rows[-1] if record.rows else None
    else:
        row = next((row for row in record.rows if row["epoch"] == rank_by.epoch), None)
    value = number(row.get(rank_by.metric)) if row else None
    return None if row is None or value is None else Measurement(int(row["epoch"]), value)


def why_left_out(record: RunRecord, rank_by: RankBy) -> str | None:
    """Why a run does not count, None if it does. One that did not finish counts at an epoch that it has reached."""
    reached = state_word(record.state)
    if not record.last_only:
        reached += f" after {len(record.rows)} epoch{'' if len(record.rows) == 1 else 's'}"
    if rank_by.when != "epoch" and record.state != "finished":
        return reached
    if measure(record, rank_by) is not None:
        return None
    if rank_by.when == "epoch" and record.last_only:
        return "only its last values are known"
    if rank_by.when == "epoch" and all(row["epoch"] != rank_by.epoch for row in record.rows):
        return f"{reached}, without epoch {rank_by.epoch}"
    return f"{metric_label(rank_by.metric)} undefined there"


def settings_of(record: RunRecord) -> dict[str, Any]:
    """The configuration without bookkeeping, data and unset values, each value in one spelling."""
    values = {key: canonical(value) for key, value in record.config.items() if key not in (*BOOKKEEPING, *DATA)}
    return {key: value for key, value in values.items() if value is not None and not key.startswith(("_", *NESTED))}


def canonical(value: Any) -> Any:
    """A configuration value such that equal ones compare equal: text that is a number as that number, a list or an
    object as JSON."""
    if isinstance(value, str):
        try:
            return float(value) if math.isfinite(float(value)) else value
        except ValueError:
            return value
    return json.dumps(value, sort_keys=True, default=str) if isinstance(value, list | dict | tuple) else value


def data_of(records: Iterable[RunRecord]) -> dict[str, str | None]:
    """What identifies the data set of each run, by key: its hash, else its name; None where neither was recorded.

    A run that recorded only the name is taken to have learnt from the one data set of that name, if there is one.
    """
    recorded = {record.key: (record.config.get("dataset_hash"), record.config.get("dataset")) for record in records}
    hashes: dict[str, set[str]] = {}
    for hash, name in recorded.values():
        if hash and name:
            hashes.setdefault(name, set()).add(hash)
    identities = {}
    for key, (hash, name) in recorded.items():
        same = hashes.get(name, set()) if name else set()
        identities[key] = hash or (next(iter(same)) if len(same) == 1 else name) or None
    return identities


def differing(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys whose values are not the same everywhere: those of TrainConfig in its order, then others by name."""
    keys = {key for config in configs for key in config}
    known = [key for key in TrainConfig.model_fields if key in keys]
    ordered = known + sorted(keys.difference(known))
    missing = object()
    return [key for key in ordered if len({config.get(key, missing) for config in configs}) > 1]


def group_runs(records: Sequence[RunRecord], rank_by: RankBy) -> list[Configuration]:
    """Group runs by configuration: settings and data set, without the seed.

    Args:
        records: the runs.
        rank_by: the figure at which each is measured.

    Returns:
        The configurations in the order in which they appear.
    """
    members: dict[tuple[Any, ...], list[RunRecord]] = {}
    data = data_of(records)
    for record in records:
        key = (data[record.key], *sorted(settings_of(record).items()))
        members.setdefault(key, []).append(record)
    configs = [settings_of(runs[0]) for runs in members.values()]
    labels = _labels(configs, [runs[0].name for runs in members.values()])
    return [
        _setting(label, config, runs, rank_by)
        for label, config, runs in zip(labels, configs, members.values(), strict=True)
    ]


def _setting(label: str, config: dict[str, Any], records: list[RunRecord], rank_by: RankBy) -> Configuration:
    reasons = {record.key: why_left_out(record, rank_by) for record in records}
    points = {record.key: measure(record, rank_by) for record in records if reasons[record.key] is None}
    return Configuration(
        label,
        config,
        tuple(records),
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
        distinct = len({tuple(config.get(column) for column in (*used, key)) for config in configs})
        if distinct > kinds:
            used, kinds = [*used, key], distinct
    if not used:
        return names if len(names) == 1 else [f"{name} ({place})" for place, name in enumerate(names, start=1)]
    labels = [", ".join(f"{key} {format_value(config.get(key))}" for key in used) for config in configs]
    again = {label for label in labels if labels.count(label) > 1}
    return [f"{label} ({name})" if label in again else label for label, name in zip(labels, names, strict=True)]


def select_runs(records: Sequence[RunRecord], names: Iterable[str]) -> list[RunRecord]:
    """The runs that go by one of these names: those with such a key, else those with such an id.

    Args:
        records: the runs to select from.
        names: keys or ids.

    Returns:
        The matching runs, in the order of `records`.
    """
    keys = set(names)
    ids = keys - {record.key for record in records}
    return [record for record in records if record.key in keys or record.id in ids]


def select_run(records: Sequence[RunRecord], name: str) -> RunRecord:
    """The one run that goes by this name.

    Args:
        records: the runs to select from.
        name: a key or an id.

    Returns:
        The matching run.

    Raises:
        ValueError: there is none, or several.
    """
    matches = select_runs(records, [name])
    if len(matches) != 1:
        raise ValueError(f"run {name!r}: {len(matches)} such runs" if matches else f"run {name!r}: no such run")
    return matches[0]


def join_words(words: Sequence[str], most: int = 6) -> str:
    """`a, b and c`; of many, the first ones and how many more there are.

    Args:
        words: what to list.
        most: the number of words above which the rest is only counted.

    Returns:
        The list as text.
    """
    if len(words) > most:
        return f"{'; '.join(words[:most])} and {len(words) - most} more"
    joint = "; " if any("," in word for word in words) else ", "
    return f"{joint.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def format_value(value: Any) -> str:
    """A configuration value as a reader wants it; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:g}" if isinstance(value, float) else str(value)


def table(records: Sequence[RunRecord], rank_by: RankBy) -> list[dict[str, Any]]:
    """The table of runs: one row for each, with its figure and the settings in which these runs differ.

    Args:
        records: the runs.
        rank_by: the figure.

    Returns:
        Rows with the keys key, id, name, state, source, server, group, tags, note, created, epochs, seconds,
        best_epoch (None, as epochs are, for a run without a curve), then the metric (None where the run has no such
        figure), then settings, prefixed with `config.` where a name is taken.
    """
    configs = [columns_of(record) for record in records]
    columns = column_names(differing(configs), rank_by)
    rows = []
    for record, config in zip(records, configs, strict=True):
        point = measure(record, rank_by)
        best = None if record.last_only else best_epoch(record.rows, rank_by)
        row = {
            **{key: getattr(record, key) for key in ("key", "id", "name", "state", "source", "server", "group")},
            "tags": ", ".join(record.tags),
            "note": record.note,
            "created": record.created,
            "epochs": None if record.last_only else len(record.rows),
            "seconds": seconds(record),
            "best_epoch": best["epoch"] if best else None,
            rank_by.metric: point.value if point else None,
        }
        row |= {column: config.get(key) for key, column in columns.items()}
        rows.append(row)
    return rows


def column_names(keys: Iterable[str], rank_by: RankBy) -> dict[str, str]:
    """The column of each setting in the table: its name, prefixed with `config.` where that is another column's.

    Args:
        keys: the settings.
        rank_by: the figure, which has a column of its name.

    Returns:
        The columns by setting.
    """
    names: dict[str, str] = {}
    for key in keys:
        column = key
        while column in {*COLUMNS, "seconds", rank_by.metric, *names.values()}:
            column = f"config.{column}"
        names[key] = column
    return names


def columns_of(record: RunRecord) -> dict[str, Any]:
    """What may differ between runs and is worth a column: the settings, the data set, the seed."""
    extra = {key: canonical(record.config.get(key)) for key in ("dataset", "seed")}
    return settings_of(record) | {key: value for key, value in extra.items() if value is not None}


def seconds(record: RunRecord) -> float | None:
    """How long the epochs took together, None where that was not recorded for all of them, or is beyond numbers."""
    spent = [number(row.get("seconds")) for row in record.rows]
    return None if not spent or None in spent else number(sum(value for value in spent if value is not None))


def known_runs(home: Path, read: Callable[[Run], RunRecord] = read_run_record) -> tuple[list[RunRecord], list[str]]:
    """All runs that can be compared: those of this home and those kept from W&B, each once.

    Args:
        home: the home folder.
        read: reads a run of this home.

    Returns:
        The runs, those of this home first and newest first, and a line for each that cannot be read.
    """
    records, problems = read_run_records(home, read)
    try:
        return originals([*records, *cache.stored_runs(home)], records), problems
    except (ValueError, OSError) as error:
        return records, [*problems, format_error(error)]


def originals(records: Iterable[RunRecord], known: Iterable[RunRecord]) -> list[RunRecord]:
    """Replace what W&B has of a run of this home by that run, and drop repetitions.

    Args:
        records: the runs.
        known: runs among which those of this home are looked up.

    Returns:
        The runs, none twice.
    """
    local = {record.key: record for record in known if record.source == "local"}
    records = [_original(record, local) for record in records]
    return list({record.key: record for record in records}.values())


def _original(record: RunRecord, local: dict[str, RunRecord]) -> RunRecord:
    own = local.get(str(record.config.get("run")))
    return own if own and own.created == record.config.get("created") else record
