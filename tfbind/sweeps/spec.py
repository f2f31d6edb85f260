"""Sweep files in the format of W&B: text in, a checked `Spec` out, or one line that lists all that is wrong.

The text is YAML, JSON, or Python that assigns a dict, as W&B's guide does; of a script nothing is executed.

`method`, `metric`, `parameters`, `early_terminate` and `run_cap` mean what they mean there. `replicates: N` is this
project's own: each configuration runs with N random seeds. Keys that only W&B's agent needs are noted and left out.
So are hyperparameters, values and metrics that do not exist here, as long as something is left to vary. Names and
words that other code uses are read as this project's, which is noted, too.
"""

import ast
import contextlib
import math
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from textwrap import dedent
from typing import Any

import yaml

from tfbind.config import TrainConfig, parse_config
from tfbind.errors import Setting, SettingsError
from tfbind.sweeps.parameters import SHOWN, Findings, check_keys, one_of, quoted, read_number, read_parameters
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
MAX_TEXT = 65_536
MAX_DEPTH = 10
MAX_VALUES = 65_536  # with each alias written out
LONGEST_INTEGER = 63  # bits

MERGE = "tag:yaml.org,2002:merge"
_DICT = re.compile(r"^\s*(?:[A-Za-z_]\w*\s*(?::[^=\n]+)?=\s*)?(?:\{|dict\()", re.MULTILINE)
_MAGIC = re.compile(r"^[ \t]*[!%].*$", re.MULTILINE)  # lines of a notebook that are no Python


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
    document, anchored = _read(text)
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
    if replicates == 1 and not any(parameter.varied for parameter in parameters):  # nothing is left of the search
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


def _read(text: str) -> tuple[dict[Any, Any], set[str]]:
    """Read a sweep file.

    Args:
        text: YAML, JSON, or Python that assigns a dict.

    Returns:
        The file's mapping, and those of its keys that hold an anchor, which may be there for its sake alone.

    Raises:
        ValueError: one line that says what cannot be read, and where.
    """
    if len(text) > MAX_TEXT:
        raise ValueError(f"the sweep file has {len(text):,} characters; at most {MAX_TEXT:,}")
    text = text.removeprefix("\ufeff")
    script, not_python = None, ""
    if _DICT.search(text):
        try:
            script = ast.parse(dedent(_MAGIC.sub("", text)))
        except SyntaxError as error:
            not_python = f"; not Python: line {error.lineno}: {error.msg}"
        except (ValueError, RecursionError, MemoryError):
            not_python = "; not Python"
    if script:
        made, failed = _read_script(script)
        if made is not None:
            return made, set()
        not_python = f"; read as Python: {failed}" if failed else ""
    try:
        anchored = _check_events(text)
        document = yaml.load(text, _Loader)  # a SafeLoader, which makes plain values only  # nosec B506
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"not YAML: {place}{' '.join(str(error.problem).split())}{not_python}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {' '.join(str(error).split())[:200]}{not_python}") from None
    if not isinstance(document, dict):
        raise ValueError(f"a sweep file is a mapping with the keys method, metric and parameters{not_python}")
    return document, anchored


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
            message = f"line {node.start_mark.line + 1}: {quoted(node.value)}; expected a number or a word"
            raise ValueError(message) from None
        return value

    def compose_mapping_node(self, anchor: Any) -> Any:
        """As YAML has it, before merge keys are resolved: what those bring may be said again."""
        node = super().compose_mapping_node(anchor)
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != MERGE]
        _check_unique([(key.tag, key.value) for key in keys], [key.start_mark.line + 1 for key in keys])
        return node


def _check_unique(keys: list[Any], lines: list[int]) -> None:
    seen = set()
    for key, line in zip(keys, lines, strict=True):
        if key in seen:
            raise ValueError(f"line {line}: {quoted(key[-1])} is there twice")
        seen.add(key)


def _check_events(text: str) -> set[str]:
    """Refuse, before anything is built, deep nesting and aliases that multiply (a few lines of them make gigabytes).

    Returns the keys of the file below which an anchor is set.
    """
    sizes: dict[str, tuple[int, int]] = {}  # of what each anchor stands for: how many values, how deep
    stack: list[tuple[str | None, list[tuple[int, int]]]] = [(None, [])]
    anchored: set[str] = set()
    key = ""
    for event in yaml.parse(text, yaml.SafeLoader):
        if not isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
            continue
        line = event.start_mark.line + 1 if event.start_mark else 0
        anchor = getattr(event, "anchor", None)
        if len(stack) == 2 and len(stack[1][1]) % 2 == 0:
            key = str(getattr(event, "value", key))
        if anchor and not isinstance(event, yaml.AliasEvent):
            anchored.add(key)
        if isinstance(event, yaml.CollectionStartEvent):
            stack.append((anchor, []))
            size, height = 0, 0
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, parts = stack.pop()
            size, height = 1 + sum(part[0] for part in parts), 1 + max((part[1] for part in parts), default=0)
            stack[-1][1].append((size, height))
        else:
            if isinstance(event, yaml.AliasEvent) and anchor in [opened for opened, _ in stack]:
                raise ValueError(f"line {line}: the alias *{anchor} stands for something that it is part of")
            size, height = sizes.get(anchor or "", (1, 0)) if isinstance(event, yaml.AliasEvent) else (1, 0)
            stack[-1][1].append((size, height))
        if anchor and not isinstance(event, yaml.CollectionStartEvent):
            sizes[anchor] = (size, height)
        if len(stack) - 1 + height > MAX_DEPTH:
            raise ValueError(f"line {line}: nested more than {MAX_DEPTH} deep")
        if size > MAX_VALUES:
            raise ValueError(f"line {line}: with its aliases written out, this is more than {MAX_VALUES:,} values")
    return anchored


def _read_script(script: ast.Module) -> tuple[dict[Any, Any] | None, ValueError | None]:
    """The sweep that a script makes of literals, None where it makes none, and why. Nothing of it is executed."""
    names: dict[str, Any] = {}
    count = None
    for statement in _statements(script.body):
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                names[name] = _attempt(value, names)
            case ast.Assign(targets=[ast.Subscript(value=target, slice=ast.Constant(value=key))], value=value):
                _update(target, {key: _attempt(value, names)}, names)
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=target, attr="update"), args=[value])):
                _update(target, _attempt(value, names), names)
            case ast.Expr(value=ast.Dict() as value):
                names[""] = _attempt(value, names)
            case ast.Expr(value=ast.Call(func=ast.Attribute(attr="agent"), keywords=keywords)):
                count = next((_attempt(each.value, names) for each in keywords if each.arg == "count"), None)
    sweeps = [
        value for value in names.values() if isinstance(value, dict) and {"method", "parameters"} & value.keys()
    ]
    if not sweeps or (set(names) == {""} and _has_errors(sweeps[-1])):  # JSON and YAML look like Python, too
        failed = [value for name, value in names.items() if name and isinstance(value, ValueError)]
        return None, next(iter(failed), None)
    most = {"run_cap": count} if isinstance(count, int) else {}  # as many as W&B's agent would run
    return most | _without_errors(sweeps[-1], 0), None


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a script in their order, also those in functions and branches."""
    for statement in body:
        yield statement
        for part in ("body", "orelse"):
            yield from _statements(getattr(statement, part, []))


def _attempt(node: ast.expr, names: dict[str, Any]) -> Any:
    """The value of an expression, or the error that is raised where it becomes part of a sweep."""
    try:
        return _value(node, names)
    except ValueError as error:
        return error


def _update(target: ast.expr, values: Any, names: dict[str, Any]) -> None:
    mapping = _attempt(target, names)
    if isinstance(mapping, dict) and isinstance(values, dict):
        mapping.update(values)


def _value(node: ast.expr, names: dict[str, Any]) -> Any:
    match node:
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.Dict(keys=keys, values=values):
            literal = [key for key in keys if isinstance(key, ast.Constant)]
            _check_unique([(type(key.value), key.value) for key in literal], [key.lineno for key in literal])
            merged: dict[Any, Any] = {}
            for key, value in zip(keys, values, strict=True):
                entry = _attempt(value, names)
                merged |= (
                    {ast.literal_eval(key): entry} if key else entry if isinstance(entry, dict) else {"**": entry}
                )
            return merged
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=keywords):
            return {keyword.arg: _attempt(keyword.value, names) for keyword in keywords if keyword.arg}
        case ast.List(elts=values) | ast.Tuple(elts=values):
            return [_attempt(value, names) for value in values]
        case ast.Call(func=ast.Name(id="list"), args=[ast.Call() as value]):
            return _value(value, names)
        case ast.Call(func=ast.Name(id="range"), args=values, keywords=[]) if len(values) in (1, 2, 3):
            ends = [_value(value, names) for value in values]
            if all(isinstance(end, int) for end in ends) and 0 not in ends[2:]:
                return list(range(*ends)[:MAX_TEXT])
        case ast.Subscript(value=mapping, slice=ast.Constant(value=key)):
            container = _value(mapping, names)
            if isinstance(container, dict) and key in container:
                return container[key]
        case ast.Call(func=ast.Attribute(attr="log"), args=[number]):
            try:
                return math.log(_value(number, names))  # how W&B's exponents are written
            except (TypeError, ValueError):
                pass
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise ValueError(
            f"line {node.lineno}: {_source(node)}; expected a number, a word, a list or a dict"
        ) from None


def _source(node: ast.expr) -> str:
    try:
        return ast.unparse(node)[:SHOWN]
    except RecursionError:
        return "a formula"


def _has_errors(value: Any) -> bool:
    try:
        _without_errors(value, 0)
    except ValueError:
        return True
    return False


def _without_errors(value: Any, depth: int) -> Any:
    if isinstance(value, ValueError):
        raise value
    if depth > MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    if isinstance(value, dict):
        return {key: _without_errors(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_errors(inner, depth + 1) for inner in value]
    if isinstance(value, int) and value.bit_length() > LONGEST_INTEGER:
        raise ValueError(f"{quoted(value)}; expected a number or a word")
    return value


def _metric(entry: Any, needed: bool, method: str | None, findings: Findings) -> tuple[str, Goal]:
    """The metric and its goal. `needed`: the search depends on it, so that no other one can stand for it."""
    if entry is None:
        if method == "bayes":
            raise ValueError("metric: missing; method bayes needs one, such as {name: val_loss, goal: minimize}")
        return "val_loss", "minimize"
    if not isinstance(entry, dict):
        raise ValueError(f"metric: {quoted(entry)}; expected {{name: val_loss, goal: minimize}}")
    check_keys("metric.", entry, ("name", "goal", "target", "impute", "impute_while_running"))
    metric = entry.get("name")
    name = _metric_name(metric)
    if not name and (needed or not isinstance(metric, str)):
        one_of("metric.name", metric, METRICS)
    if not name:
        findings.notes.append(f"metric.name: {quoted(metric)} is not measured here; runs are judged by val_loss")
        return "val_loss", "minimize"
    if name != metric:
        findings.notes.append(f"metric.name: {quoted(metric)} is read as {name}")
    direction = one_of("metric.goal", entry.get("goal", METRICS[name]), GOALS)
    goal: Goal = "minimize" if direction == "minimize" else "maximize"
    findings.notes += [f"metric.{key} is not used here" for key in entry if key not in ("name", "goal")]
    if goal == "maximize" and "goal" not in entry:
        findings.notes.append(f"metric.goal is missing, for which W&B would minimize; here {name} is maximized")
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
