"""Sweep files in the format of W&B: text in, a checked `Spec` out, or one line that lists all that is wrong.

`method`, `metric`, `parameters`, `early_terminate` and `run_cap` mean what they mean there. `replicates: N` is this
project's own: each configuration runs with N random seeds. Keys that only W&B's agent needs are noted and left out.
So are hyperparameters, values and metrics that do not exist here, as long as something is left to run. Names and
words that other code uses are read as this project's, which is noted, too.
"""

import contextlib
from functools import lru_cache
from typing import Any

from tfbind.config import TrainConfig, parse_config
from tfbind.errors import Setting, SettingsError
from tfbind.sweeps.document import quoted, read_document
from tfbind.sweeps.parameters import Findings, check_keys, one_of, read_number, read_parameters
from tfbind.sweeps.search import MAX_RUNS, EarlyStop, Goal, Spec, milestones_before, milestones_from
from tfbind.tracking import known_as, plain_name

METHODS = ("grid", "random", "bayes")
METRICS: dict[str, Goal] = {
    "val_loss": "minimize",
    "train_loss": "minimize",
    "val_pearsonr": "maximize",
    "val_pearsonr_window": "maximize",
}
GOALS = ("minimize", "maximize")
_BETTER = {"minimize": "lower", "maximize": "higher"}
KEYS = ("method", "metric", "parameters", "early_terminate", "run_cap", "replicates", "name")
LEFT_OUT = (
    *("program", "command", "project", "entity", "description", "job", "image_uri"),
    *("apiVersion", "kind", "controller"),
)

MAX_REPLICATES = 100
MAX_ETA = 100


@lru_cache(maxsize=32)  # a sweep's file is looked at several times a second, and seldom changes
def parse_spec(text: str, base: TrainConfig | None = None) -> Spec:
    """Parse a sweep file.

    Args:
        text: YAML, JSON, or Python that assigns a dict.
        base: the settings of which the file says nothing; None for the defaults.

    Returns:
        The checked sweep.

    Raises:
        ValueError: one line that names each key that is wrong, what was given and what is allowed.
    """
    base = base or TrainConfig()
    document, anchored = read_document(text)
    known = (*KEYS, *LEFT_OUT)
    document = {key: value for key, value in document.items() if key in known or str(key) not in anchored}
    findings = Findings([f"{key} is for W&B's agent and is not used here" for key in LEFT_OUT if key in document])
    findings.attempt(check_keys, "", document, known)
    method = findings.attempt(one_of, "method", document.get("method"), METHODS)
    parameters = read_parameters(document.get("parameters"), method, base, findings)
    early_stop = findings.attempt(_early_stop, early := document.get("early_terminate"))
    needed = method == "bayes" or early is not None
    metric = findings.attempt(_metric, document.get("metric"), needed, method, findings)
    replicates = findings.attempt(_whole, "replicates", document.get("replicates", 1), 1, MAX_REPLICATES)
    run_cap = None
    if document.get("run_cap") is not None:
        run_cap = findings.attempt(_whole, "run_cap", document["run_cap"], 1, MAX_RUNS)
    name = findings.attempt(_text, "name", document.get("name", ""))
    if not parameters:
        findings.errors, findings.absent = [*findings.errors, *findings.absent], []
    findings.check()
    assert method
    assert metric
    assert replicates
    constants = {parameter.field: parameter.values[0] for parameter in parameters if len(parameter.values) == 1}
    spec = Spec(
        method,
        *metric,
        parameters,
        parse_config(constants, base),
        replicates=replicates,
        run_cap=run_cap,
        early_stop=early_stop,
        name=name or "",
        notes=(*(f"{error}; left out" for error in findings.absent), *findings.notes, *_early_notes(early)),
        text=text,
        defaults=base,
    )
    findings.attempt(_check_together, spec)
    findings.check()
    return spec


def _metric(entry: Any, needed: bool, method: str | None, findings: Findings) -> tuple[str, Goal]:
    """The metric and its goal. `needed`: the search depends on it, so that no other one can stand for it."""
    if entry is None:
        if method == "bayes":
            raise ValueError("metric: missing; method bayes needs one, such as {name: val_loss, goal: minimize}")
        return "val_loss", "minimize"
    if not isinstance(entry, dict):
        raise ValueError(f"metric: {quoted(entry)}; expected {{name: val_loss, goal: minimize}}")
    check_keys("metric.", entry, ("name", "goal", "target", "impute", "impute_while_running"))
    given = entry.get("name")
    name = _metric_name(given)
    if not name and (needed or not isinstance(given, str)):
        one_of("metric.name", given, METRICS)
    if not name:
        findings.notes.append(f"metric.name: {quoted(given)} is not measured here; runs are judged by val_loss")
        return "val_loss", "minimize"
    if name != given:
        findings.notes.append(f"metric.name: {quoted(given)} is read as {name}")
    direction = one_of("metric.goal", entry.get("goal", METRICS[name]), GOALS)
    goal: Goal = "minimize" if direction == "minimize" else "maximize"
    findings.notes += [f"metric.{key} is not used here" for key in entry if key not in ("name", "goal")]
    if goal != METRICS[name]:
        findings.notes.append(
            f"the goal is to {goal} {name}, although {name} is better when it is {_BETTER[METRICS[name]]}"
        )
    return name, goal


def _metric_name(given: Any) -> str:
    """The metric that a name stands for: by the list of such names, else by what it says it is; "" for none."""
    if not isinstance(given, str):
        return ""
    meaning = given if given in METRICS else known_as(given)
    if meaning in METRICS:
        return meaning
    word = plain_name(given)
    if "pearson" in word:
        return "val_pearsonr"
    if "loss" not in word:
        return ""
    return "train_loss" if "train" in word else "val_loss"


def _early_stop(entry: Any) -> EarlyStop | None:
    if entry is None:
        return None
    if not isinstance(entry, dict):
        raise ValueError(f"early_terminate: {quoted(entry)}; expected {{type: hyperband, min_iter: 3}}")
    prefix = "early_terminate."
    check_keys(prefix, entry, ("type", "min_iter", "max_iter", "s", "eta", "strict"))
    one_of(f"{prefix}type", entry.get("type"), ("hyperband",))
    eta = read_number(f"{prefix}eta", entry.get("eta", 3))
    if not 1 < eta <= MAX_ETA:
        raise ValueError(f"{prefix}eta: {eta:g}; expected a number above 1 and at most {MAX_ETA}")
    strict = entry.get("strict", False)
    if not isinstance(strict, bool):
        raise ValueError(f"{prefix}strict: {quoted(strict)}; expected true or false")
    return EarlyStop(_milestones(entry, eta), eta, strict)


def _early_notes(entry: dict[str, Any] | None) -> list[str]:
    keys = set(entry or {})
    notes = []
    if "max_iter" in keys and "s" not in keys:
        notes.append("early_terminate.s is missing, without which W&B refuses max_iter; 1 is taken")
    if {"min_iter", "max_iter"} <= keys:
        notes.append("early_terminate.min_iter is not used beside max_iter")
    if "s" in keys and "max_iter" not in keys:
        notes.append("early_terminate.s is not used without max_iter")
    return notes


def _milestones(entry: dict[str, Any], eta: float) -> tuple[int, ...]:
    """At which epochs runs are judged; of `max_iter` and `min_iter`, W&B too takes the former."""
    if "max_iter" in entry:
        last = _whole("early_terminate.max_iter", entry["max_iter"], 1, MAX_RUNS)
        epochs = milestones_before(last, _whole("early_terminate.s", entry.get("s", 1), 1, MAX_RUNS), eta)
        if not epochs:
            raise ValueError(
                f"early_terminate.max_iter: {last}; no epoch to judge at is before it; expected at least eta, {eta:g}"
            )
        return epochs
    if "min_iter" in entry:
        return milestones_from(_whole("early_terminate.min_iter", entry["min_iter"], 1, MAX_RUNS), eta)
    raise ValueError("early_terminate: expected min_iter (the first epoch that is judged), or max_iter with s")


def _check_together(spec: Spec) -> None:
    """What no key shows alone."""
    if spec.replicates > 1 and any(parameter.field == "seed" and parameter.varied for parameter in spec.parameters):
        raise ValueError("replicates: the seed is among the parameters already; use the one or the other")
    for parameter in spec.parameters:
        unset = {"device": "auto", "threads": None}.get(parameter.field, parameter)
        if parameter.varied and unset in parameter.values:
            raise SettingsError(
                Setting(parameter.field, f"parameters.{parameter.field}"),
                f": {unset} stands for one of the others; leave it out",
            )
    if spec.seeds[-1] >= 2**31:
        raise ValueError(f"replicates: the last seed would be {spec.seeds[-1]}; at most {2**31 - 1}")
    for parameter in spec.parameters:
        if spec.method == "grid" and parameter.all() is None:
            raise SettingsError(
                Setting(parameter.field, f"parameters.{parameter.field}"),
                ": a grid needs value or values, or whole numbers",
            )
    size = spec.size()
    if size is None:
        raise ValueError(f"run_cap: missing; a {spec.method} search ends nowhere by itself, so say how many runs")
    if size > MAX_RUNS:
        raise ValueError(f"parameters: more than {MAX_RUNS:,} runs; give fewer values, or a run_cap")


def _whole(where: str, value: Any, low: int, high: int) -> int:
    with contextlib.suppress(ValueError):
        number = read_number(where, value)
        if number.is_integer() and low <= number <= high:
            return int(number)
    raise SettingsError(where, f": {quoted(value)}; expected a whole number from {low} to {high:,}")


def _text(where: str, value: Any) -> str:
    if not isinstance(value, str):
        raise SettingsError(where, f": {quoted(value)}; expected text")
    return value
