"""What is kept as JSON: replaced as a whole, and read by the kinds that it was written in.

A file that was damaged, or written by another program, says so where it is read, and not somewhere in a page.
"""

import json
import math
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from tfbind.store.atomic import FULL, drafted, naming, read_text

LONGEST_INTEGER = len(str(-(2**63)))  # characters
NOTHING: Mapping[str, Any] = MappingProxyType({})

Kept = TypeVar("Kept")


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file as a whole: a reader sees the old or the new one."""
    with drafted(path) as draft:
        draft.write_text(json.dumps(value, allow_nan=False, indent=1))


def put_json(path: Path, value: Any) -> None:
    """Replace a JSON file; on a full disk write over it, in one piece, on the room that it has already.

    Raises:
        OSError: it cannot be written, and is as it was.
    """
    try:
        write_json(path, value)
    except OSError as error:
        there, content = path.stat(), json.dumps(value, allow_nan=False).encode()
        if error.errno not in FULL or len(content) > there.st_blocks * 512:
            raise
        with naming(path), path.open("r+b", buffering=0) as file:
            file.write(content.ljust(there.st_size))


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, its numbers finite and in 64 bits, as tables and charts hold them.

    Raises:
        ValueError: the file is missing, damaged, or holds something else.
    """
    text = read_text(path)
    try:
        value = json.loads(text, parse_int=_integer, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError):
        raise ValueError(f"{path}: not JSON; the file was damaged") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path}: expected a JSON object")
    return value


def _integer(text: str) -> int | float:
    if len(text) <= LONGEST_INTEGER and -(2**63) <= (number := int(text)) < 2**63:
        return number
    return _finite(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"not a finite number: {text:.40}")
    return number


def read_fields(path: Path, expected: Mapping[str, Any], optional: Mapping[str, Any] = NOTHING) -> dict[str, Any]:
    """The object in a JSON file, which has a value of the `expected` kind under each of these keys, and one of the
    `optional` kind, or null, or nothing under each of those.

    Raises:
        ValueError: as `read_json`, or a value is missing or of another kind.
    """
    value = read_json(path)
    wrong = unlike(value, {**expected, **{key: kind | None for key, kind in optional.items() if key in value}})
    if wrong:
        raise _damaged(path, wrong)
    return value


def unlike(value: Mapping[str, Any], kinds: Mapping[str, Any]) -> list[str]:
    """The keys under which an object that was read from JSON has no value, or one of another kind."""
    return [key for key, kind in kinds.items() if key not in value or not _is(value[key], kind)]


def _is(value: Any, kind: Any) -> bool:
    try:
        _adapter(kind).validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


def read_as(path: Path, kind: type[Kept]) -> Kept:
    """The object in a JSON file as a dataclass, whose annotations say of what kind each value is.

    Raises:
        ValueError: as `read_json`, or a value is missing, unknown or of another kind.
    """
    value = read_json(path)
    try:
        made: Kept = _adapter(cast(Any, kind)).validate_python(value, extra="forbid")
    except ValidationError as error:
        raise _damaged(path, dict.fromkeys(str(one["loc"][0]) for one in error.errors())) from None
    return made


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _damaged(path: Path, names: Iterable[str]) -> ValueError:
    return ValueError(f"{path}: {', '.join(names):.200} missing or of another kind; the file was damaged")
