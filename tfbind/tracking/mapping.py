"""What other people's code logged, under this project's names: settings without nesting, one row for each epoch."""

import difflib
import json
import math
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

from tfbind.config import TrainConfig
from tfbind.runs import Row

METRICS = ("epoch", "train_loss", "val_loss", "val_pearsonr", "val_pearsonr_window", "seconds")
OURS = (*TrainConfig.model_fields, *METRICS)
_SPELLINGS = {  # of other code, without case and punctuation
    "learning_rate": "lr initlr initiallr baselr maxlr peaklr lr0 learningrateinit initiallearningrate",
    "weight_decay": "wd l2 l2reg l2penalty",
    "batch_size": "bs batch minibatch minibatchsize trainbatchsize perdevicetrainbatchsize",
    "num_epochs": "epochs maxepochs nepochs nepoch numtrainepochs nbepochs",
    "optimizer_type": "optimizer optim opt optimizername optimname",
    "dropout_rate": "dropout dropoutprob dropoutp dropoutprobability droprate pdrop pdropout",
    "num_channels": "channels filters nchannels nfilters numfilters numchannel hiddenchannels convchannels",
    "num_res_blocks": "blocks resblocks nblocks numblocks nresblocks numresidualblocks residualblocks numresblock",
    "kernel_size": "kernel kernelwidth filtersize filterwidth filterlength ksize convkernelsize kernellength",
    "first_kernel_size": "firstkernel stemkernelsize motifwidth motiflength firstfiltersize",
    "lr_schedule": "scheduler lrscheduler schedulertype lrschedulertype",
    "norm": "normalization normalisation normtype normlayer",
    "early_stopping_patience": "patience earlystoppatience espatience",
    "validation_split": "valsplit valfraction valfrac valratio valsize validationfraction validationsize valpct",
    "test_split": "testsplit testfraction testfrac testratio testsize",
    "seed": "randomseed randomstate rngseed manualseed",
    "threads": "numthreads nthreads",
    "train_loss": "loss trainingloss trainlossepoch",
    "val_loss": "validloss validationloss testloss evalloss devloss vallossepoch",
    "val_pearsonr": "r valr valcorr valpearson validationpearson evalpearson evalpearsonr pearson pearsonr "
    "validationpearsonr valpearsoncorr valcorrelation testpearsonr testpearson testavgpearsonr bestpearsonr",
    "epoch": "trainepoch trainerepoch currentepoch epochnum epochnumber epochidx epochindex",
}
ALIASES = {spelling: ours for ours, spellings in _SPELLINGS.items() for spelling in spellings.split()}
ALIKE = 0.82
ODD_NUMBERS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
NUMERIC = {name for name, about in TrainConfig.model_fields.items() if isinstance(about.default, int | float)}
SINGLE = (*TrainConfig.model_fields, "dataset_hash", "split_hash", "windows", "length", "versions", "run", "created")
LAST_EPOCH = 2**53  # beyond, a float skips some
NAMED = 5  # figures
ROUNDING = 1e-6  # of an epoch
STEPS = re.compile(r"(?:^|[/_. ])(?:steps?|iter|iters|iterations?|batch(?:_idx)?)$")  # counters, no figures

Columns = dict[str, list[Any]]


def known_as(name: str) -> str:
    """This project's name for what other code calls `name`, "" if it is not a common one."""
    word = plain_name(name)
    return {plain_name(ours): ours for ours in OURS}.get(word) or ALIASES.get(word, "")


def suggest(names: Iterable[str]) -> dict[str, str]:
    """For each name that is not this project's, the name that it probably means, if there is one.

    No two names are given the same meaning, and none one that is there already.
    """
    logged = list(names)
    taken = set(logged) & set(OURS)
    suggestions: dict[str, str] = {}
    plain = {plain_name(ours): ours for ours in OURS}
    for name in logged:
        if name in OURS:
            continue
        matches = difflib.get_close_matches(plain_name(name), plain, 1, ALIKE)
        ours = known_as(name) or (plain[matches[0]] if matches else "")
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


def plain_name(name: str) -> str:
    """A name without case and punctuation."""
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
    flattened = flat(config)
    renamed = {_renamed(name, names, flattened): value for name, value in flattened.items()}
    return {name: _plain_value(name, value) for name, value in renamed.items()}


def flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings or figures within others, their names joined by dots; not what W&B says of a picture or a table."""
    flattened: dict[str, Any] = {}
    for name, value in config.items():
        nested = isinstance(value, dict) and "_type" not in value
        flattened |= flat(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": value}
    return flattened


def _renamed(name: str, names: dict[str, str], others: Iterable[str]) -> str:
    """What a name is called here: as it is where something else of the run has that name already."""
    ours = names.get(name, name)
    return name if ours in others else ours


def _plain_value(name: str, value: Any) -> Any:
    """A number that YAML took for text, such as 1e-5, as one; a list where this project has none as JSON."""
    if name in SINGLE and isinstance(value, list | dict):
        return json.dumps(value, default=str)
    if name not in NUMERIC or not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value


class Merged(NamedTuple):
    """The history of a run: a row for each epoch, figures of the run as a whole, and what was assumed."""

    rows: list[Row]
    figures: dict[str, float]
    assumed: tuple[str, ...]


def merge(columns: Columns, names: dict[str, str], last: dict[str, Any] | None = None) -> Merged:
    """One row for each epoch, from columns of equal length in which an epoch may have several rows.

    An epoch that was logged holds until the next one; fractions belong to the next whole one, and epochs that count
    from 0 are counted from 1. Where none was logged, rows are joined until a figure comes again. Of several values in
    an epoch the last counts. What was logged once, before or after the epochs, is a figure of the run as a whole.
    `seconds` come from W&B's clock when nobody logged them.

    Args:
        columns: values by name, as the run's own code calls them.
        names: what those names are here.
        last: the last values of the run; those without a column are figures of the run as a whole.

    Returns:
        The rows and figures, under this project's names.
    """
    named = {_renamed(name, names, columns): values for name, values in columns.items()}
    axis = "epoch" if "epoch" in named else next((name for name in named if known_as(name) == "epoch"), "epoch")
    length = max(map(len, named.values()), default=0)
    logged = [_epoch(value) for value in named.pop(axis, [None] * length)]
    clock = named.get("_runtime", [None] * length)
    metrics = {
        name: {place: _number(value) for place, value in enumerate(values) if value is not None}
        for name, values in named.items()
        if not name.startswith("_") and any(value is not None for value in values)
    }
    figures = _figures_of_the_run(metrics, logged)
    metrics = {name: values for name, values in metrics.items() if name not in figures}
    for name, value in (last or {}).items():
        if name not in columns and not name.startswith("_") and known_as(name) != "epoch":
            figures[_renamed(name, names, columns)] = _number(value)
    counted = {name for name in metrics if not STEPS.search(name)} or set(metrics)
    rows_with_figures = sorted({place for name in counted for place in metrics[name]})
    epochs, assumed = _epochs(logged, metrics, rows_with_figures)
    merged: dict[int, Row] = {epoch: {"epoch": epoch} for epoch in sorted(set(epochs.values()))}
    for name, values in metrics.items():
        for place, value in values.items():
            if place in epochs:
                merged[epochs[place]][name] = value
    if "seconds" not in metrics:
        _add_seconds(merged, {epochs[place]: clock[place] for place in rows_with_figures})
    unmapped = [name for name in columns if names.get(name, name) != name and _renamed(name, names, columns) == name]
    if unmapped:
        assumed.append(f"{', '.join(unmapped[:NAMED])} kept, since {names[unmapped[0]]} is there already")
    if axis != "epoch":
        assumed.append(f"epochs are those of {axis}")
    if figures:
        assumed.append(f"one value for the whole run: {', '.join(sorted(figures)[:NAMED])}")
    return Merged(list(merged.values()), figures, tuple(assumed))


def _epoch(value: Any) -> float | None:
    number = value if is_number(value) and not isinstance(value, str) else None
    return float(number) if number is not None and abs(number) <= LAST_EPOCH else None


def _number(value: Any) -> Any:
    return ODD_NUMBERS[value] if isinstance(value, str) else value


def _figures_of_the_run(metrics: dict[str, dict[int, Any]], logged: list[float | None]) -> dict[str, float]:
    """The figures of a run as a whole, which were logged before or after its epochs.

    Either once, or, where all other rows have an epoch, without one and seldom: a run that was resumed logs its end
    again.
    """
    with_epoch = {name for name, values in metrics.items() if any(logged[place] is not None for place in values)}
    epochs = len(set(logged) - {None})
    seldom = {
        name
        for name, values in metrics.items()
        if len(values) == 1 or (with_epoch and name not in with_epoch and 3 * len(values) <= epochs)
    }
    seldom = {name for name in seldom if not STEPS.search(name)}
    often = [
        place for name, values in metrics.items() if name not in seldom and not STEPS.search(name) for place in values
    ]
    if not often:
        return {}
    first, last = min(often), max(often)
    return {
        name: values[max(values)]
        for name, values in metrics.items()
        if name in seldom and (max(values) >= last or max(values) < first)
    }


def _epochs(
    logged: list[float | None], metrics: dict[str, dict[int, Any]], places: list[int]
) -> tuple[dict[int, int], list[str]]:
    """The epoch of each row with figures, from 1, and what was assumed."""
    numbers = [number for number in logged if number is not None]
    if not numbers:
        return _joined(metrics, places)
    assumed = []
    last = max(place for place, number in enumerate(logged) if number is not None)
    after = places and places[0] < logged.index(numbers[0]) and places[-1] < last  # rows first, then their epoch
    held: dict[int, float] = {}
    current = numbers[-1] if after else numbers[0]
    for place in sorted(range(len(logged)), reverse=bool(after)):
        number = logged[place]
        current = current if number is None else number
        held[place] = current
    if any(logged[place] is None for place in places):
        assumed.append(f"rows without an epoch belong to the {'next' if after else 'last'} one that was logged")
    if any(not number.is_integer() for number in numbers):
        assumed.append("fractions of epochs count to the next whole one")
        held = {place: max(1, math.ceil(number - ROUNDING)) for place, number in held.items()}
    elif (first := min(numbers)) < 1:
        assumed.append(f"epochs count from {first:g}, here from 1")
        held = {place: number + 1 - first for place, number in held.items()}
    used = [held[place] for place in places]
    if any(later < earlier for earlier, later in pairwise(used)):
        assumed.append("epochs go back, as of a resumed run: of an epoch that is there twice the later values count")
    return {place: int(held[place]) for place in places}, assumed


def _joined(metrics: dict[str, dict[int, Any]], places: list[int]) -> tuple[dict[int, int], list[str]]:
    """Rows that have no epoch: a new one begins where a figure comes again, or one that elsewhere is beside it."""
    in_row = {place: {name for name, values in metrics.items() if place in values} for place in places}
    in_row = {place: {name for name in names if not STEPS.search(name)} or names for place, names in in_row.items()}
    beside: dict[str, set[str]] = {}
    for names in set(map(frozenset, in_row.values())):
        for name in names:
            beside.setdefault(name, set()).update(names)
    blocked = {names: set().union(*(beside[name] for name in names)) for names in map(frozenset, in_row.values())}
    epochs: dict[int, int] = {}
    epoch, closed = 1, set[str]()
    for place in places:
        if closed & in_row[place]:
            epoch, closed = epoch + 1, set()
        closed |= blocked[frozenset(in_row[place])]
        epochs[place] = epoch
    if not epochs:
        return epochs, []
    how = "rows are joined until a figure comes again" if epoch < len(places) else "each row counts as one"
    return epochs, [f"no epoch was logged: {how}"]


def _add_seconds(merged: dict[int, Row], ends: dict[int, Any]) -> None:
    """The time from the end of one epoch to that of the next, where the clock did not start again between them."""
    before = 0.0
    for epoch, row in merged.items():
        end = ends[epoch]
        if isinstance(end, int | float):
            if end >= before:
                row["seconds"] = end - before
            before = end
