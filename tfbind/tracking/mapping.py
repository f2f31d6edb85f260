"""What other people's code logged, under this project's names: settings without nesting, one row for each epoch."""

import difflib
import json
import math
import re
from collections.abc import Iterable
from typing import Any

from tfbind.config import TrainConfig
from tfbind.runs import Row

METRICS = ("epoch", "train_loss", "val_loss", "val_pearsonr", "val_pearsonr_window", "seconds")
OURS = (*TrainConfig.model_fields, *METRICS)
ALIASES = {
    "lr": "learning_rate",
    "wd": "weight_decay",
    "bs": "batch_size",
    "epochs": "num_epochs",
    "maxepochs": "num_epochs",
    "optimizer": "optimizer_type",
    "optim": "optimizer_type",
    "dropout": "dropout_rate",
    "channels": "num_channels",
    "filters": "num_channels",
    "blocks": "num_res_blocks",
    "patience": "early_stopping_patience",
    "valsplit": "validation_split",
    "randomseed": "seed",
    "loss": "train_loss",
    "trainingloss": "train_loss",
    "validloss": "val_loss",
    "validationloss": "val_loss",
    "testloss": "val_loss",
    "r": "val_pearsonr",
    "valr": "val_pearsonr",
    "valcorr": "val_pearsonr",
    "valpearson": "val_pearsonr",
    "validationpearson": "val_pearsonr",
    "pearson": "val_pearsonr",
    "pearsonr": "val_pearsonr",
}
ALIKE = 0.82
ODD_NUMBERS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
NUMERIC = {name for name, about in TrainConfig.model_fields.items() if isinstance(about.default, int | float)}
LAST_EPOCH = 2**53  # beyond, a float skips some

Columns = dict[str, list[Any]]


def suggest(names: Iterable[str]) -> dict[str, str]:
    """For each name that is not this project's, the name that it probably means, if there is one.

    No two names are given the same meaning, and none one that is there already.
    """
    logged = list(names)
    taken = set(logged) & set(OURS)
    suggestions: dict[str, str] = {}
    plain = {_plain(ours): ours for ours in OURS}
    for name in logged:
        if name in OURS:
            continue
        word = _plain(name)
        matches = difflib.get_close_matches(word, plain, 1, ALIKE)
        ours = plain.get(word) or ALIASES.get(word) or (plain[matches[0]] if matches else "")
        if ours and ours not in taken:
            suggestions[name] = ours
            taken.add(ours)
    return suggestions


def unknown(names: Iterable[str]) -> list[str]:
    """Those names that are not this project's, each once: many a setting is logged with every row, too."""
    return [name for name in dict.fromkeys(names) if name not in OURS]


def check_names(names: dict[str, str]) -> dict[str, str]:
    """A mapping that can be used, without the names that stay as they are.

    Raises:
        ValueError: two names become one, or a name becomes one that is not this project's.
    """
    changed = {theirs: ours for theirs, ours in names.items() if ours and ours != theirs}
    for theirs, ours in changed.items():
        if ours not in OURS:
            raise ValueError(f"{theirs} cannot become {ours!r}; expected one of {', '.join(OURS)}")
        double = [other for other, also in changed.items() if also == ours and other != theirs]
        if double:
            raise ValueError(f"{theirs} and {double[0]} cannot both become {ours}")
    return changed


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def is_number(value: Any) -> bool:
    """Whether a value that W&B gave is a number; those that JSON does not have come as words."""
    return (isinstance(value, int | float) and not isinstance(value, bool)) or value in tuple(ODD_NUMBERS)


def kept_number(value: Any) -> Any:
    """A number that W&B gave as a file of JSON can keep it: the word for one beyond floats; None for what is none."""
    if not is_number(value):
        return None
    try:
        number = float(value)
    except OverflowError:
        number = math.inf if value > 0 else -math.inf
    return value if math.isfinite(number) else json.dumps(number)


def settings(config: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """The settings of a run under the names that `names` gives them."""
    return {names.get(name, name): _as_number(names.get(name, name), value) for name, value in flat(config).items()}


def flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings within settings, joined by dots."""
    flattened: dict[str, Any] = {}
    for name, value in config.items():
        flattened |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flattened


def _as_number(name: str, value: Any) -> Any:
    """A number that YAML took for text, such as 1e-5."""
    if name not in NUMERIC or not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def merge(columns: Columns, names: dict[str, str]) -> list[Row]:
    """One row for each epoch, from columns of equal length in which an epoch may have several rows.

    Of several values in an epoch the last counts. Epochs that count from 0 are counted from 1. Where no epochs were
    logged, or fractions of them, the rows are numbered. `seconds` come from W&B's clock when nobody logged them.
    """
    named = {names.get(name, name): values for name, values in columns.items()}
    length = max(map(len, named.values()), default=0)
    epochs = _epochs(named.pop("epoch", None), length)
    clock = named.get("_runtime")
    metrics = {name: values for name, values in named.items() if not name.startswith("_")}
    merged: dict[int, Row] = {epoch: {"epoch": epoch} for epoch in sorted({e for e in epochs if e is not None})}
    for name, values in metrics.items():
        for epoch, value in zip(epochs, values, strict=True):
            if epoch is not None and value is not None:
                merged[epoch][name] = ODD_NUMBERS[value] if isinstance(value, str) else value
    rows = [row for row in merged.values() if len(row) > 1]
    if clock and "seconds" not in metrics:
        _add_seconds(rows, epochs, clock)
    return rows


def _epochs(values: list[Any] | None, length: int) -> list[int | None]:
    numbers = [value for value in values or [] if isinstance(value, int | float)]
    if not numbers or any(abs(value) > LAST_EPOCH or value != int(value) for value in numbers):
        return list(range(1, length + 1))
    shift = 1 if min(numbers) == 0 else 0
    return [int(value) + shift if isinstance(value, int | float) else None for value in values or []]


def _add_seconds(rows: list[Row], epochs: list[int | None], clock: list[Any]) -> None:
    ends = {epoch: time for epoch, time in zip(epochs, clock, strict=True) if isinstance(time, int | float)}
    before = 0.0
    for row in rows:
        if row["epoch"] in ends:
            row["seconds"] = max(0.0, ends[row["epoch"]] - before)
            before = ends[row["epoch"]]
