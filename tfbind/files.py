"""Files that are replaced as a whole: a reader sees the old content or the new, however the writer ends.

And folders that are thrown away: they move to the trash of their home.
"""

import errno
import json
import math
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, cast

import psutil
from pydantic import TypeAdapter, ValidationError

TRASH = "trash"
FULL = (errno.ENOSPC, errno.EDQUOT)
IS_FULL = "the disk is full"
LONG_INTEGER = 19  # characters: shorter ones have a place in 64 bits
NOTHING: Mapping[str, Any] = MappingProxyType({})

Kept = TypeVar("Kept")

_DRAFT = re.compile(r"\..+\.(\d{1,9})-[0-9a-f]{4}(?:\.\w+)?")


def draft_of(path: Path) -> Path:
    """A free name beside `path`, with its suffix, under which this process makes what will take its place."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(2)}{path.suffix.lower()}")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have an error of the system that names no file, as one of writing to an open file, name this one."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from None


@contextmanager
def drafted(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to, which takes its place when all went well and is gone otherwise.

    Raises:
        OSError: it cannot be written; `filename` is the path.
    """
    draft = draft_of(path)
    try:
        yield draft
        draft.replace(path)
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(draft)):
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from None
        raise
    finally:
        with suppress(OSError):  # what stopped the writing may stop this, too, and is the one to be told
            draft.unlink(missing_ok=True)


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


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file as a whole, and have it on the disk before this returns."""
    write_chunks(path, [content])


def write_chunks(path: Path, content: Iterable[bytes]) -> None:
    """The same for content that comes in chunks."""
    with drafted(path) as draft, draft.open("wb") as file:
        file.writelines(content)
        file.flush()
        os.fsync(file.fileno())


def is_draft(name: str) -> bool:
    """Whether a file or folder of this name is half written: what `draft_of` named."""
    return _DRAFT.fullmatch(name) is not None


def remove_drafts(folder: Path) -> None:
    """Delete what processes that were killed left half written in a folder: what `draft_of` named."""
    for draft in folder.glob(".*"):
        match = _DRAFT.fullmatch(draft.name)
        if match is None or psutil.pid_exists(int(match[1])):
            continue
        if draft.is_dir():
            shutil.rmtree(draft)
        else:
            draft.unlink(missing_ok=True)


def to_trash(home: Path, folder: Path, name: str) -> Path:
    """Move a folder to the trash of its home, under a name like `name` that is free there; where it lies now."""
    trash = home / TRASH
    trash.mkdir(exist_ok=True)
    target = trash / name
    while target.exists():
        target = trash / f"{name}-{secrets.token_hex(2)}"
    return folder.rename(target)


def unwritable(folder: Path) -> str:
    """Why nothing can be written in a folder, there or still to be made, in one line; "" if something can."""
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    if not existing.is_dir():
        return f"{existing}: a file; expected a folder"
    if os.access(existing, os.W_OK | os.X_OK):
        return ""
    read_only = os.statvfs(existing).f_flag & os.ST_RDONLY
    return f"{folder}: cannot be written ({'read-only file system' if read_only else 'permission denied'})"


def words(error: Exception) -> str:
    """What an error says, for a reader: of the system's, which file and why, without a number."""
    if not isinstance(error, OSError) or error.strerror is None:
        return " ".join(str(error).split())
    reason = IS_FULL if error.errno in FULL else error.strerror[:1].lower() + error.strerror[1:]
    return f"{error.filename}: {reason}" if error.filename else reason


def read_text(path: Path) -> str:
    """The text in a file.

    Raises:
        ValueError: the file is missing, cannot be read, or is not text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ValueError(f"{path}: the file is missing") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not text in UTF-8; the file was damaged") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, its numbers finite and in 64 bits, as tables and charts hold them.

    Raises:
        ValueError: the file is missing, damaged, or holds something else.
    """
    text = read_text(path)
    try:
        value = json.loads(text, parse_int=_number, parse_float=_number, parse_constant=_number)
    except (ValueError, RecursionError):
        raise ValueError(f"{path}: not JSON; the file was damaged") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path}: expected a JSON object")
    return value


def _number(text: str) -> int | float:
    if len(text) < LONG_INTEGER and text.lstrip("-").isdecimal():
        return int(text)
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
