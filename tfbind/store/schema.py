"""The JSON files of a home, each registered with its model by the package that owns it.

They are replaced as a whole, and read by their model: a file that was damaged, or written by another program, says so
where it is read, and not somewhere in a page.
"""

import json
import math
from dataclasses import asdict, dataclass, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from tfbind.errors import FULL, TfbindError
from tfbind.store.atomic import annotate_oserror, atomic_write, read_text

LONGEST_INTEGER = len(str(-(2**63)))  # characters
DAMAGED = "the file was damaged"

Content = TypeVar("Content")


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file as a whole: a reader sees the old or the new one."""
    with atomic_write(path) as draft:
        draft.write_text(json.dumps(value, allow_nan=False, indent=1))


class DamagedFile(TfbindError):
    """A file of a home that is missing, or not as it was written."""

    def __init__(self, path: Path, problem: str, *, expected: str = "") -> None:
        super().__init__(problem, place=str(path), expected=expected)


def read_json(path: Path) -> dict[str, Any]:
    """Read the object in a JSON file; numbers are finite and fit in 64 bits, as tables and charts need them.

    Raises:
        DamagedFile: it is missing or damaged, or holds something else.
    """
    try:
        text = read_text(path)
    except TfbindError as error:
        raise DamagedFile(path, error.problem, expected=error.expected) from None
    try:
        value = json.loads(text, parse_int=_integer, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError):
        raise DamagedFile(path, f"not JSON; {DAMAGED}") from None
    if not isinstance(value, dict):
        raise DamagedFile(path, "expected a JSON object")
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


class Facts(BaseModel):
    """The model of a JSON file that is read as a dict: keys beyond its fields are allowed."""

    model_config = ConfigDict(extra="allow", strict=True)


@dataclass(frozen=True)
class KeptFile(Generic[Content]):
    """A JSON file of a home: reads and writes it as its model.

    Args:
        name: its file name; `*` where each such file has a name of its own.
        model: what it holds: a dataclass, or a subclass of `Facts`, as which it is checked and read as a dict.
    """

    name: str
    model: type

    def read(self, path: Path) -> Content:
        """Read and check the file at `path`.

        Raises:
            DamagedFile: it is missing or damaged, or a value in it is missing, of another kind, or unknown to a
                dataclass.
        """
        value = read_json(path)
        as_dict = issubclass(self.model, Facts)
        try:
            parsed = _adapter(self.model).validate_python(value, extra=None if as_dict else "forbid")
        except ValidationError as error:
            raise DamagedFile(path, _problem(error)) from None
        return cast(Content, value if as_dict else parsed)

    def write(self, path: Path, value: Any) -> None:
        """Replace the file at `path` as a whole: a reader sees the old one or the new one."""
        write_json(path, _plain(value))

    def put(self, path: Path, value: Any) -> None:
        """Replace the file; on a full disk overwrite it in place, in the blocks that it already has.

        Raises:
            OSError: it cannot be written, and is as it was.
        """
        try:
            self.write(path, value)
        except OSError as error:
            status, content = path.stat(), json.dumps(_plain(value), allow_nan=False).encode()
            if error.errno not in FULL or len(content) > status.st_blocks * 512:
                raise
            with annotate_oserror(path), path.open("r+b", buffering=0) as file:
                file.write(content.ljust(status.st_size))


KEPT_FILES: dict[str, KeptFile[Any]] = {}


def kept_file(name: str, model: type) -> KeptFile[Any]:
    """Register a JSON file of a home.

    Args:
        name: its file name; `*` where each such file has a name of its own.
        model: a dataclass, or a subclass of `Facts`.

    Returns:
        What reads and writes files of this name.
    """
    assert name not in KEPT_FILES, f"{name} is registered already"
    return KEPT_FILES.setdefault(name, KeptFile(name, model))


@cache
def _adapter(model: type) -> TypeAdapter[Any]:
    return TypeAdapter(model)


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _problem(error: ValidationError) -> str:
    """The message of the model's own validator, or the names of the values that are wrong."""
    problems = error.errors()
    if not problems[0]["loc"]:
        return str(problems[0]["ctx"]["error"])
    names = dict.fromkeys(str(problem["loc"][0]) for problem in problems)
    return f"{', '.join(names):.200} missing or of another kind; {DAMAGED}"
