"""The text of a sweep file as plain values: YAML, JSON, or Python that assigns a dict, as W&B's guide does."""

import ast
import math
import re
from collections.abc import Iterable, Iterator
from textwrap import dedent
from typing import Any

import yaml

MAX_TEXT = 65_536
MAX_DEPTH = 10
MAX_VALUES = 65_536  # with each alias written out
LONGEST_INTEGER = 63  # bits
SHOWN = 60

MERGE = "tag:yaml.org,2002:merge"
_DICT = re.compile(r"^\s*(?:[A-Za-z_]\w*\s*(?::[^=\n]+)?=\s*)?(?:\{|dict\()", re.MULTILINE)
_MAGIC = re.compile(r"^[ \t]*[!%].*$", re.MULTILINE)  # lines of a notebook that are no Python


def read_document(text: str) -> tuple[dict[Any, Any], set[str]]:
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


def quoted(value: Any) -> str:
    """A value as a message shows it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
