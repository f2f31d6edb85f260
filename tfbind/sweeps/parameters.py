"""The parameters of a sweep file, as in W&B's schema: a `Parameter` of each, or what is wrong with it."""

import difflib
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tfbind.config import TrainConfig, choices, parse_config
from tfbind.errors import Setting, SettingsError
from tfbind.sweeps.search import BOUNDS, INTEGER_FIELDS, LEAST, MAX_RUNS, SHAPES, Parameter
from tfbind.text import visible
from tfbind.tracking import known_as, plain_name

PARAMETER_KEYS = ("value", "values", "probabilities", "min", "max", "mu", "sigma", "a", "b", "q", "distribution")
EXPONENTS = ("log_uniform", "q_log_uniform", "inv_log_uniform")  # of e, negative ones where inverted
LOG_VALUES = ("log_uniform_values", "q_log_uniform_values", "inv_log_uniform_values")
RANGES = ("uniform", "int_uniform", "q_uniform", *EXPONENTS, *LOG_VALUES)
SHAPED = ("normal", "q_normal", "log_normal", "q_log_normal", "beta", "q_beta")
LISTS = ("categorical", "categorical_w_probabilities")
DISTRIBUTIONS = ("constant", *LISTS, *RANGES, *SHAPED)
PARTS_OF_NAMES = ("name", "type", "kind", "value")
WORDS = {  # of other code, for values that are words here
    "bn": "batch", "batchnorm": "batch", "batchnorm1d": "batch", "ln": "layer", "layernorm": "layer",
    "onecyclelr": "one_cycle", "none": "constant", "fixed": "constant", "gpu": "cuda",
    "window": "windows", "random": "windows", "block": "blocks", "chromosome": "chromosomes",
}  # fmt: skip
INSTEAD = {
    "momentum": "SGD has momentum 0.9 here",
    **dict.fromkeys(("batchnorm", "usebatchnorm", "usebn"), "say norm: {values: [batch, layer]}"),
    **dict.fromkeys(("activation", "activationfunction", "nonlinearity"), "networks here have ReLU"),
}

ALIKE = 0.75
LISTED = 12  # problems
SHOWN = 60

T = TypeVar("T")


@dataclass
class Findings:
    """What a file holds beside its sweep: errors, what does not exist here, and what is worth saying."""

    notes: list[str] = field(default_factory=list)
    errors: list[ValueError] = field(default_factory=list)
    absent: list[ValueError] = field(default_factory=list)

    def attempt(self, read: Callable[..., T], *arguments: Any) -> T | None:
        try:
            return read(*arguments)
        except ValueError as error:
            self.errors.append(error)
            return None

    def check(self) -> None:
        """Raise all that is wrong at once."""
        if self.errors:
            parts = [part for error in (*self.errors, *self.absent)[:LISTED] for part in ("; ", *_parts(error))]
            more = len(self.errors) + len(self.absent) - LISTED
            raise SettingsError(*parts[1:], *([f"; and {more} more"] if more > 0 else []))


def _parts(error: ValueError) -> tuple[str | Setting, ...]:
    return error.parts if isinstance(error, SettingsError) else (str(error),)


def read_parameters(mapping: Any, method: str | None, base: TrainConfig, findings: Findings) -> tuple[Parameter, ...]:
    if not isinstance(mapping, dict) or not mapping:
        findings.errors.append(
            ValueError("parameters: expected a mapping such as learning_rate: {values: [0.01, 0.001]}")
        )
        return ()
    parameters: list[Parameter] = []
    names: dict[str, str] = {}  # in the file, by hyperparameter
    unknown: list[str] = []
    for name, entry in _flat(mapping):
        field = _field(name)
        if not field:
            unknown.append(name)
            continue
        setting = Setting(field, f"parameters.{name}")
        if field in names:
            findings.errors.append(SettingsError(setting, f": {field} is there already, as {names[field]}"))
            continue
        names[field] = name
        if field != name:
            findings.notes.append(f"parameters.{name} is read as {field}")
        parameters += findings.attempt(_parameter, setting, entry, method, base, findings) or []
    findings.absent += _no_such(unknown)
    return tuple(parameters)


def _flat(mapping: dict[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Parameters within parameters, their names joined by dots; a constant that is a dict is such, too."""
    for key, entry in mapping.items():
        name = visible(f"{prefix}{key}", keep="")
        inner = entry.get("parameters") if isinstance(entry, dict) and len(entry) == 1 else None
        constant = entry.get("value") if isinstance(entry, dict) and len(entry) == 1 else None
        if isinstance(inner, dict):
            yield from _flat(inner, f"{name}.")
        elif isinstance(constant, dict):
            yield from _flat({part: {"value": value} for part, value in constant.items()}, f"{name}.")
        else:
            yield name, entry


def _field(name: str) -> str:
    """The hyperparameter that a name of a file stands for, by all of it or its last part; "" for none."""
    *parents, last = name.split(".")
    spellings = [name, last, *(parents[-1:] if last in PARTS_OF_NAMES else [])]
    meanings = [spelling if spelling in TrainConfig.model_fields else known_as(spelling) for spelling in spellings]
    return next((meaning for meaning in meanings if meaning in TrainConfig.model_fields), "")


def _no_such(names: list[str]) -> list[ValueError]:
    """What to say of names that are no hyperparameters: those with a hint one by one, the others together."""
    errors, others = [], []
    for name in names:
        instead = INSTEAD.get(plain_name(name.split(".")[-1]))
        if instead or difflib.get_close_matches(name, TrainConfig.model_fields, 1, ALIKE):
            hint = instead and f"{name[:SHOWN]}: no such hyperparameter; {instead}"
            errors.append(
                ValueError(f"parameters.{hint or _unknown(name, TrainConfig.model_fields, 'hyperparameter')}")
            )
        else:
            others.append(f"parameters.{name[:SHOWN]}")
    if others:
        more = f" and {len(others) - LISTED} more" if len(others) > LISTED else ""
        known = ", ".join(TrainConfig.model_fields)
        errors.append(ValueError(f"{', '.join(others[:LISTED])}{more}: no such hyperparameter; known: {known}"))
    return errors


def _parameter(setting: Setting, entry: Any, method: str, base: TrainConfig, findings: Findings) -> list[Parameter]:
    """The parameter that an entry describes; none where no value of it exists here."""
    if not isinstance(entry, dict):
        raise SettingsError(
            setting, f": {quoted(entry)}; expected {{value: …}}, {{values: […]}} or {{min: …, max: …}}"
        )
    distribution = entry.get("distribution")
    if distribution is not None:  # first, since one that is not known brings keys that are not
        one_of(setting.at("distribution"), distribution, DISTRIBUTIONS)
    check_keys(f"{setting}.", entry, PARAMETER_KEYS)
    shape = (distribution or "").removeprefix("q_")
    ways = [key for key in ("value", "values") if key in entry]
    if "min" in entry or "max" in entry:
        ways.append("range")
    if shape in SHAPES:
        ways.append("shape")
    if len(ways) != 1:
        raise SettingsError(
            setting, f": expected one of value, values, or min with max; given: {', '.join(map(str, entry)) or '-'}"
        )
    allowed = {"value": ("constant",), "values": LISTS, "range": RANGES, "shape": SHAPED}[ways[0]]
    if distribution is not None:
        one_of(setting.at("distribution"), distribution, allowed, f" with {', '.join(entry)}")
    fitting = {
        "value": ("value",),
        "values": ("values", "probabilities"),
        "range": ("min", "max", "q"),
        "shape": (*SHAPES.get(shape, {}), "q"),
    }
    check_keys(f"{setting}.", entry, ("distribution", *fitting[ways[0]]))
    if ways[0] in ("value", "values"):
        return _listed(setting, entry, method, base, findings)
    if ways[0] == "range":
        return [_range(setting, entry, distribution, base, findings)]
    return [_shaped(setting, entry, str(distribution), base)]


def _listed(
    setting: Setting, entry: dict[str, Any], method: str, base: TrainConfig, findings: Findings
) -> list[Parameter]:
    """Values by name. One that is there twice is drawn twice as often, as by W&B, unless each runs once."""
    values = [entry["value"]] if "value" in entry else entry["values"]
    if not isinstance(values, list) or not values:
        raise SettingsError(setting.at("values"), f": {quoted(values)}; expected a list, such as [0.01, 0.001]")
    if len(values) > MAX_RUNS:
        raise SettingsError(setting.at("values"), f": {len(values):,} values; at most {MAX_RUNS:,}")
    totals: dict[Any, float] = {}
    for value, share in zip(values, _probabilities(setting, entry, len(values)), strict=True):
        try:
            checked = _checked(setting, _word(setting, value, findings), base)
        except SettingsError as error:
            (findings.absent if _may_be_meant(setting, value) else findings.errors).append(error)
        else:
            totals[checked] = totals.get(checked, 0) + share
    totals = {value: share for value, share in totals.items() if share}
    if not totals:
        findings.notes.append(f"{setting}: no value of it is left; {getattr(base, setting.field)} is taken")
        return []
    shares = tuple(share / sum(totals.values()) for share in totals.values())
    if max(shares) - min(shares) < 1e-9:
        shares = ()
    elif method != "random":
        once = (
            "a grid runs each value once"
            if method == "grid"
            else "a guided search takes all values as equally likely"
        )
        findings.notes.append(f"{setting}: {once}")
        shares = ()
    return [Parameter(setting.field, tuple(totals), shares=shares)]


def _probabilities(setting: Setting, entry: dict[str, Any], count: int) -> list[float]:
    probabilities = entry.get("probabilities")
    if probabilities is None:
        return [1.0] * count
    where = setting.at("probabilities")
    if not isinstance(probabilities, list) or len(probabilities) != count:
        raise SettingsError(where, f": {quoted(probabilities)}; expected one for each of the {count} values")
    shares = [read_number(where, share) for share in probabilities]
    if min(shares) < 0 or not math.isclose(sum(shares), 1, rel_tol=1e-5):
        raise SettingsError(where, f": {quoted(probabilities)}; expected shares from 0 on that add up to 1")
    return shares


def _word(setting: Setting, value: Any, findings: Findings) -> Any:
    """A word of other code as the choice that it stands for here, such as `adam`."""
    words = choices(setting.field)
    if not isinstance(value, str) or value in words:
        return value
    meaning = WORDS.get(plain_name(value), value)
    match = next((word for word in words if plain_name(word) == plain_name(meaning)), None)
    if match is None:
        return value
    findings.notes.append(f"{setting}: {quoted(value)} is read as {match}")
    return match


def _may_be_meant(setting: Setting, value: Any) -> bool:
    """Whether a value that does not exist here may exist elsewhere: not a word for what is a number there too."""
    named_here = str(setting) == f"parameters.{setting.field}"
    return not isinstance(value, str) or bool(choices(setting.field)) or not named_here or _is_number(value)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _range(
    setting: Setting, entry: dict[str, Any], distribution: str | None, base: TrainConfig, findings: Findings
) -> Parameter:
    if "min" not in entry or "max" not in entry:
        raise SettingsError(setting, f": min and max belong together; given: {', '.join(entry)}")
    low, high = (read_number(setting.at(key), entry[key]) for key in ("min", "max"))
    whole = setting.field in INTEGER_FIELDS
    both_whole = low.is_integer() and high.is_integer()
    distribution = distribution or ("int_uniform" if whole and both_whole else "uniform")
    if low > high:
        raise SettingsError(setting, f": min {low:g} is above max {high:g}")
    q = _quantum(setting, entry, distribution)
    if distribution in EXPONENTS:
        return _exponents(setting, low, high, q, distribution, base)
    if distribution in LOG_VALUES and low <= 0:
        raise SettingsError(setting.at("min"), f": {low:g}; a range on a log scale must begin above 0")
    if distribution == "int_uniform":
        return _whole_range(setting, low, high, base, findings)
    if whole and q is None:
        raise SettingsError(
            setting, f": {distribution} gives fractions, and {setting.field} is a whole number; say int_uniform"
        )
    low, high = _cut(setting, low, high, findings)
    log = distribution in LOG_VALUES
    if log:
        low, high = math.log(low), math.log(high)
    return _check_ends(setting, Parameter(setting.field, low=low, high=high, log=log, q=q), base)


def _exponents(
    setting: Setting, low: float, high: float, q: float | None, distribution: str, base: TrainConfig
) -> Parameter:
    """A range whose ends are exponents of e. It is not cut: one that reaches too far was meant as plain values."""
    if distribution == "inv_log_uniform":
        low, high = -high, -low
    if high > 700:
        raise SettingsError(
            setting.at("max"), f": e to the {high:g} is too large; for plain values say {distribution}_values"
        )
    if setting.field in INTEGER_FIELDS and q is None:
        raise SettingsError(setting, f": {distribution} gives fractions; {setting.field} is a whole number")
    parameter = Parameter(setting.field, low=low, high=high, log=True, q=q, exponents=distribution)
    try:
        return _check_ends(setting, parameter, base)
    except SettingsError as error:
        plain = f"; {distribution} takes min and max as exponents of e, for plain values say {distribution}_values"
        raise SettingsError(*error.parts, plain) from None


def _shaped(setting: Setting, entry: dict[str, Any], distribution: str, base: TrainConfig) -> Parameter:
    """A normal, log-normal or beta distribution, of which the part is drawn that may be here."""
    shape = distribution.removeprefix("q_")
    first, second = (read_number(setting.at(key), entry.get(key, default)) for key, default in SHAPES[shape].items())
    q = _quantum(setting, entry, distribution)
    if setting.field in INTEGER_FIELDS and q is None:
        raise SettingsError(
            setting, f": {distribution} gives fractions, and {setting.field} is a whole number; say q_{distribution}"
        )
    if second < 0 or (shape == "beta" and min(first, second) <= 0):
        raise SettingsError(setting, f": {distribution} of {first:g} and {second:g}; expected numbers above 0")
    low, high = BOUNDS[setting.field]
    log = shape == "log_normal"
    if log:
        low, high = math.log(low) if low > 0 else -math.inf, math.log(high)
    if shape == "beta":
        low, high = max(low, 0.0), min(high, 1.0)
    shaped = Parameter(setting.field, low=low, high=high, log=log, q=q, shape=shape, arguments=(first, second))
    if second == 0:
        point = math.exp(first) if log else first
        return Parameter(setting.field, (_checked(setting, point, base),))
    if not shaped.inside:
        allowed = _allowed(setting.field)
        raise SettingsError(setting, f": {distribution} of {first:g} and {second:g} draws nothing from {allowed}")
    return _check_ends(setting, shaped, base)


def _check_ends(setting: Setting, parameter: Parameter, base: TrainConfig) -> Parameter:
    for place in (0.0, 1.0):
        _checked(setting, parameter.at(place), base)
    return parameter


def _cut(setting: Setting, low: float, high: float, findings: Findings) -> tuple[float, float]:
    """The part of a range that the hyperparameter may have; all of it where there is none, to be refused."""
    least, most = BOUNDS[setting.field]
    inside = max(low, least), min(high, most)
    if inside == (low, high) or inside[0] > inside[1]:
        return low, high
    if (low, high) != (0, inside[1]) or least >= LEAST:  # to leave out 0 alone changes no draw
        findings.notes.append(
            f"{setting}: {low:g} to {high:g} is cut to what it may be here, {_allowed(setting.field)}"
        )
    return inside


def _allowed(field: str) -> str:
    least, most = BOUNDS[field]
    return f"{'above 0' if 0 < least < LEAST else f'{least:g}'} to {most:g}"


def _quantum(setting: Setting, entry: dict[str, Any], distribution: str) -> float | None:
    if not distribution.startswith("q_"):
        if "q" in entry:
            raise SettingsError(
                setting.at("q"), f": only for the distributions that begin with q_, not for {distribution}"
            )
        return None
    if "kernel" in setting.field:
        raise SettingsError(setting, f": {distribution} gives even numbers, too; say int_uniform, or list odd values")
    whole = setting.field in INTEGER_FIELDS
    q = read_number(setting.at("q"), entry.get("q", 1))
    if q <= 0 or (whole and not q.is_integer()):
        raise SettingsError(setting.at("q"), f": {q:g}; expected a {'whole ' if whole else ''}number above 0")
    return q


def _whole_range(setting: Setting, low: float, high: float, base: TrainConfig, findings: Findings) -> Parameter:
    """From the first allowed number to the last; every second one where the even ones are not allowed."""
    if setting.field not in INTEGER_FIELDS:
        raise SettingsError(setting, ": int_uniform is for whole numbers; say uniform or log_uniform_values")
    if not (low.is_integer() and high.is_integer()):
        raise SettingsError(setting, f": int_uniform needs whole numbers; given: {low:g} to {high:g}")
    step = 2 if "kernel" in setting.field else 1
    first, last = map(int, _cut(setting, low, high, findings))
    if step == 2:
        first = first if first % 2 else first + 1
        last = last if last % 2 else last - 1
        if first > last:
            raise SettingsError(setting, f": no odd number from {low:g} to {high:g}")
    return _check_ends(setting, Parameter(setting.field, low=first, high=last, step=step), base)


def _checked(setting: Setting, value: Any, base: TrainConfig) -> Any:
    """A value as TrainConfig takes it: `1e-5`, which YAML reads as text, is a number for a field of numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | None):
        raise SettingsError(setting, f": {quoted(value)}; expected a number or a word")
    if len(quoted(value)) >= SHOWN:
        raise SettingsError(setting, f": {quoted(value)} is too long")
    try:
        return getattr(parse_config({setting.field: value}, base), setting.field)
    except SettingsError as error:
        raise SettingsError(setting, *error.parts[1:]) from None


def check_keys(prefix: str, mapping: dict[Any, Any], allowed: Iterable[str]) -> None:
    for key in mapping:
        if key not in allowed:
            raise ValueError(f"{prefix}{_unknown(key, allowed, 'key')}")


def _unknown(name: Any, known: Iterable[str], kind: str) -> str:
    matches = difflib.get_close_matches(str(name).lower().replace("-", "_"), list(known), n=1)
    hint = f"did you mean {matches[0]}?" if matches else f"known: {', '.join(known)}"
    return f"{visible(str(name)[:SHOWN], keep='')}: no such {kind}; {hint}"


def one_of(where: str | Setting, value: Any, allowed: Iterable[str], context: str = "") -> str:
    if isinstance(value, str) and value in allowed:
        return value
    problem = "missing" if value is None else quoted(value)
    raise SettingsError(where, f": {problem}{context}; allowed: {', '.join(allowed)}")


def read_number(where: str | Setting, value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise SettingsError(where, f": {quoted(value)}; expected a number")
    return number


def quoted(value: Any) -> str:
    """A value as a message shows it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
