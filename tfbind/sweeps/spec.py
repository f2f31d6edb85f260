"""Sweep files in the format of W&B: text in, a checked `Spec` out, or one line that says what is wrong.

`method`, `metric`, `parameters`, `early_terminate` and `run_cap` mean what they mean there. `replicates: N` is this
project's own: each configuration runs with N random seeds. Keys that only W&B's agent needs are noted and left out.
"""

import contextlib
import difflib
import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import yaml

from tfbind.config import TrainConfig, parse_config
from tfbind.errors import Setting, SettingsError
from tfbind.sweeps.search import (
    INTEGER_FIELDS,
    MAX_RUNS,
    EarlyStop,
    Goal,
    Parameter,
    Spec,
    milestones_before,
    milestones_from,
)

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
LEFT_OUT = ("program", "command", "project", "entity", "description", "job", "image_uri")
PARAMETER_KEYS = ("value", "values", "min", "max", "q", "distribution")
RANGES = (
    "uniform",
    "int_uniform",
    "q_uniform",
    "log_uniform",
    "q_log_uniform",
    "log_uniform_values",
    "q_log_uniform_values",
)
DISTRIBUTIONS = ("constant", "categorical", *RANGES)
LOG_EXPONENTS = ("log_uniform", "q_log_uniform")
LOG_RANGES = (*LOG_EXPONENTS, "log_uniform_values", "q_log_uniform_values")

MAX_TEXT = 65_536
MAX_DEPTH = 10
LONGEST_INTEGER = 63  # bits
MAX_REPLICATES = 100
MAX_ETA = 100
SHOWN = 60


@lru_cache(maxsize=32)  # a sweep's file is looked at several times a second, and seldom changes
def parse_spec(text: str, base: TrainConfig | None = None) -> Spec:
    """Parse a sweep file.

    Args:
        text: YAML or JSON.
        base: the settings of which the file says nothing; None for the defaults.

    Returns:
        The checked sweep.

    Raises:
        ValueError: one line that names the key, what was given and what is allowed.
    """
    base = base or TrainConfig()
    document = _read(text)
    notes = [f"{key} is for W&B's agent and is not used here" for key in LEFT_OUT if key in document]
    _check_keys("", document, (*KEYS, *LEFT_OUT))
    method = _choice("method", document.get("method"), METHODS)
    parameters = _parameters(document.get("parameters"), base)
    constants = {parameter.field: parameter.values[0] for parameter in parameters if len(parameter.values) == 1}
    base_config = parse_config(constants, base)
    metric, goal, metric_notes = _metric(document.get("metric"), method)
    spec = Spec(
        method,
        metric,
        goal,
        parameters,
        base_config,
        replicates=_whole("replicates", document.get("replicates", 1), 1, MAX_REPLICATES),
        run_cap=None if document.get("run_cap") is None else _whole("run_cap", document["run_cap"], 1, MAX_RUNS),
        early_stop=_early_stop(early := document.get("early_terminate")),
        name=_text("name", document.get("name", "")),
        notes=(*notes, *metric_notes, *_early_notes(early)),
        text=text,
        defaults=base,
    )
    _check_together(spec)
    return spec


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML would keep the last, and says where it finds no value."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """As YAML has it; refused are a date such as 2020-99-99, and numbers that no table holds."""
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, int) and value.bit_length() > LONGEST_INTEGER:
                raise ValueError
        except (ValueError, OverflowError):
            if not isinstance(node, yaml.ScalarNode):
                raise  # which says where already
            message = f"line {node.start_mark.line + 1}: {_quoted(node.value)}; expected a number or a word"
            raise ValueError(message) from None
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise ValueError(f"line {node.start_mark.line + 1}: {_quoted(key)} is there twice")
        return super().construct_mapping(node, deep)


def _read(text: str) -> dict[str, Any]:
    if len(text) > MAX_TEXT:
        raise ValueError(f"the sweep file has {len(text):,} characters; at most {MAX_TEXT:,}")
    try:
        _check_events(text)
        document = yaml.load(text, _Loader)  # a SafeLoader, which makes plain values only  # nosec B506
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"not YAML: {place}{' '.join(str(error.problem).split())}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(document, dict):
        raise ValueError("a sweep file is a mapping with the keys method, metric and parameters")
    return document


def _check_events(text: str) -> None:
    """Refuse, before anything is built, aliases (a few lines of them make gigabytes) and deep nesting."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"line {line}: the alias *{event.anchor} is not read; write out what it stands for")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError(f"line {line}: nested more than {MAX_DEPTH} deep")


def _parameters(mapping: Any, base: TrainConfig) -> tuple[Parameter, ...]:
    if not isinstance(mapping, dict) or not mapping:
        raise ValueError("parameters: expected a mapping such as learning_rate: {values: [0.01, 0.001]}")
    for field in mapping:
        if field not in TrainConfig.model_fields:
            raise ValueError(f"parameters.{_unknown(field, TrainConfig.model_fields, 'hyperparameter')}")
    return tuple(_parameter(field, entry, base) for field, entry in mapping.items())


def _setting(field: str) -> Setting:
    return Setting(field, f"parameters.{field}")


def _parameter(field: str, entry: Any, base: TrainConfig) -> Parameter:
    setting = _setting(field)
    if not isinstance(entry, dict):
        raise SettingsError(
            setting, f": {_quoted(entry)}; expected {{value: …}}, {{values: […]}} or {{min: …, max: …}}"
        )
    if "parameters" in entry:
        raise SettingsError(setting.at("parameters"), ": hyperparameters have no parts here; name each one by itself")
    distribution = entry.get("distribution")
    if distribution is not None:  # first, since one that is not known brings keys that are not
        _choice(setting.at("distribution"), distribution, DISTRIBUTIONS)
    _check_keys(f"{setting}.", entry, PARAMETER_KEYS)
    ways = [key for key in ("value", "values") if key in entry]
    if "min" in entry or "max" in entry:
        ways.append("range")
    if len(ways) != 1:
        raise SettingsError(
            setting, f": expected one of value, values, or min with max; given: {', '.join(entry) or '-'}"
        )
    allowed = {"value": ("constant",), "values": ("categorical",), "range": RANGES}[ways[0]]
    if distribution is not None:
        _choice(setting.at("distribution"), distribution, allowed, f" with {', '.join(entry)}")
    if ways == ["range"]:
        return _range(field, entry, base)
    if ways == ["value"]:
        return Parameter(field, (_checked(field, entry["value"], base),))
    values = entry["values"]
    if not isinstance(values, list) or not values:
        raise SettingsError(setting.at("values"), f": {_quoted(values)}; expected a list, such as [0.01, 0.001]")
    if len(values) > MAX_RUNS:
        raise SettingsError(setting.at("values"), f": {len(values):,} values; at most {MAX_RUNS:,}")
    return Parameter(field, tuple(dict.fromkeys(_checked(field, value, base) for value in values)))


def _range(field: str, entry: dict[str, Any], base: TrainConfig) -> Parameter:
    setting = _setting(field)
    if "min" not in entry or "max" not in entry:
        raise SettingsError(setting, f": min and max belong together; given: {', '.join(entry)}")
    low, high = (_number(setting.at(key), entry[key]) for key in ("min", "max"))
    whole = field in INTEGER_FIELDS
    both_whole = low.is_integer() and high.is_integer()
    distribution = entry.get("distribution") or ("int_uniform" if whole and both_whole else "uniform")
    if low > high:
        raise SettingsError(setting, f": min {low:g} is above max {high:g}")
    q = _quantum(setting, entry, distribution, whole)
    if distribution in LOG_EXPONENTS and high > 700:
        raise SettingsError(
            setting.at("max"), f": e to the {high:g} is too large; for plain values say log_uniform_values"
        )
    log = distribution in LOG_RANGES
    if log and distribution not in LOG_EXPONENTS:
        if low <= 0:
            raise SettingsError(setting.at("min"), f": {low:g}; a range on a log scale must begin above 0")
        low, high = math.log(low), math.log(high)
    if distribution == "int_uniform":
        return _whole_range(field, low, high, base)
    if whole and q is None:
        raise SettingsError(
            setting, f": {distribution} gives fractions, and {field} is a whole number; say int_uniform"
        )
    parameter = Parameter(field, low=low, high=high, log=log, q=q, exponents=distribution in LOG_EXPONENTS)
    try:
        for place in (0.0, 1.0):
            _checked(field, parameter.at(place), base)
    except SettingsError as error:
        raise SettingsError(*error.parts, _plain_instead(distribution)) from None
    return parameter


def _plain_instead(distribution: str) -> str:
    """What to say of a range that is outside its bounds as W&B reads it, and may be inside as it stands."""
    if distribution not in LOG_EXPONENTS:
        return ""
    return f"; {distribution} takes min and max as exponents of e, for plain values say {distribution}_values"


def _quantum(setting: Setting, entry: dict[str, Any], distribution: str, whole: bool) -> float | None:
    if not distribution.startswith("q_"):
        if "q" in entry:
            raise SettingsError(
                setting.at("q"), f": only for the distributions that begin with q_, not for {distribution}"
            )
        return None
    q = _number(setting.at("q"), entry.get("q", 1))
    if q <= 0 or (whole and not q.is_integer()):
        raise SettingsError(setting.at("q"), f": {q:g}; expected a {'whole ' if whole else ''}number above 0")
    return q


def _whole_range(field: str, low: float, high: float, base: TrainConfig) -> Parameter:
    """From the first allowed number to the last; every second one where the even ones are not allowed."""
    setting = _setting(field)
    if field not in INTEGER_FIELDS:
        raise SettingsError(setting, ": int_uniform is for whole numbers; say uniform or log_uniform_values")
    if not (low.is_integer() and high.is_integer()):
        raise SettingsError(setting, f": int_uniform needs whole numbers; given: {low:g} to {high:g}")
    step = 2 if "kernel" in field else 1
    first, last = int(low), int(high)
    if step == 2:
        first = first if first % 2 else first + 1
        last = last if last % 2 else last - 1
        if first > last:
            raise SettingsError(setting, f": no odd number from {low:g} to {high:g}")
    for end in (first, last):
        _checked(field, end, base)
    return Parameter(field, low=first, high=last, step=step)


def _checked(field: str, value: Any, base: TrainConfig) -> Any:
    """A value as TrainConfig takes it: `1e-5`, which YAML reads as text, is a number for a field of numbers."""
    setting = _setting(field)
    if isinstance(value, bool) or not isinstance(value, int | float | str | None):
        raise SettingsError(setting, f": {_quoted(value)}; expected a number or a word")
    if len(str(value)) > 200:
        raise SettingsError(setting, f": {_quoted(value)} is too long")
    try:
        return getattr(parse_config({field: value}, base), field)
    except SettingsError as error:
        raise SettingsError(setting, *error.parts[1:]) from None


def _metric(entry: Any, method: str) -> tuple[str, Goal, list[str]]:
    if entry is None:
        if method == "bayes":
            raise ValueError("metric: missing; method bayes needs one, such as {name: val_loss, goal: minimize}")
        return "val_loss", "minimize", []
    if not isinstance(entry, dict):
        raise ValueError(f"metric: {_quoted(entry)}; expected {{name: val_loss, goal: minimize}}")
    _check_keys("metric.", entry, ("name", "goal", "target", "impute", "impute_while_running"))
    name = _choice("metric.name", entry.get("name"), METRICS)
    direction = _choice("metric.goal", entry.get("goal", METRICS[name]), GOALS)
    goal: Goal = "minimize" if direction == "minimize" else "maximize"
    notes = [f"metric.{key} is not used here" for key in entry if key not in ("name", "goal")]
    if goal != METRICS[name]:
        notes.append(f"the goal is to {goal} {name}, although {name} is better when it is {_BETTER[METRICS[name]]}")
    return name, goal, notes


def _early_stop(entry: Any) -> EarlyStop | None:
    if entry is None:
        return None
    if not isinstance(entry, dict):
        raise ValueError(f"early_terminate: {_quoted(entry)}; expected {{type: hyperband, min_iter: 3}}")
    prefix = "early_terminate."
    _check_keys(prefix, entry, ("type", "min_iter", "max_iter", "s", "eta", "strict"))
    _choice(f"{prefix}type", entry.get("type"), ("hyperband",))
    eta = _number(f"{prefix}eta", entry.get("eta", 3))
    if not 1 < eta <= MAX_ETA:
        raise ValueError(f"{prefix}eta: {eta:g}; expected a number above 1 and at most {MAX_ETA}")
    strict = entry.get("strict", False)
    if not isinstance(strict, bool):
        raise ValueError(f"{prefix}strict: {_quoted(strict)}; expected true or false")
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
            raise SettingsError(_setting(parameter.field), f": {unset} stands for one of the others; leave it out")
    if spec.seeds[-1] >= 2**31:
        raise ValueError(f"replicates: the last seed would be {spec.seeds[-1]}; at most {2**31 - 1}")
    for parameter in spec.parameters:
        if spec.method == "grid" and parameter.all() is None:
            raise SettingsError(_setting(parameter.field), ": a grid needs value or values, or whole numbers")
    size = spec.size()
    if size is None:
        raise ValueError(f"run_cap: missing; a {spec.method} search ends nowhere by itself, so say how many runs")
    if size > MAX_RUNS:
        raise ValueError(f"parameters: more than {MAX_RUNS:,} runs; give fewer values, or a run_cap")


def _check_keys(prefix: str, mapping: dict[Any, Any], allowed: Iterable[str]) -> None:
    for key in mapping:
        if key not in allowed:
            raise ValueError(f"{prefix}{_unknown(key, allowed, 'key')}")


def _unknown(name: Any, known: Iterable[str], kind: str) -> str:
    matches = difflib.get_close_matches(str(name).lower().replace("-", "_"), list(known), n=1)
    hint = f"did you mean {matches[0]}?" if matches else f"known: {', '.join(known)}"
    return f"{str(name)[:SHOWN]}: no such {kind}; {hint}"


def _choice(where: str | Setting, value: Any, allowed: Iterable[str], context: str = "") -> str:
    if isinstance(value, str) and value in allowed:
        return value
    problem = "missing" if value is None else _quoted(value)
    raise SettingsError(where, f": {problem}{context}; allowed: {', '.join(allowed)}")


def _number(where: str | Setting, value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise SettingsError(where, f": {_quoted(value)}; expected a number")
    return number


def _whole(where: str, value: Any, low: int, high: int) -> int:
    with contextlib.suppress(ValueError):
        number = _number(where, value)
        if number.is_integer() and low <= number <= high:
            return int(number)
    raise SettingsError(where, f": {_quoted(value)}; expected a whole number from {low} to {high:,}")


def _text(where: str, value: Any) -> str:
    if not isinstance(value, str):
        raise SettingsError(where, f": {_quoted(value)}; expected text")
    return value


def _quoted(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
