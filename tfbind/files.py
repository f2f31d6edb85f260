"""Files that are replaced as a whole: a reader sees the old content or the new, however the writer ends.

And folders that are thrown away: they move to the trash of their home.
"""

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

TRASH = "trash"

_DRAFT = re.compile(r"\..+\.(\d{1,9})(?:\.[0-9a-f]{4}|\.new)?")


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file as a whole: a reader sees the old or the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(2)}")
    draft.write_text(json.dumps(value, allow_nan=False, indent=1))
    draft.replace(path)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file as a whole, and have it on the disk before this returns."""
    write_chunks(path, [content])


def write_chunks(path: Path, content: Iterable[bytes]) -> None:
    """The same for content that comes in chunks."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        file.writelines(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def remove_drafts(folder: Path) -> None:
    """Delete what processes that were killed left half written in a folder: `.NAME.PID` and the like."""
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


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        ValueError: the file is missing, damaged, or holds something else.
    """
    try:
        value = json.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(f"{path}: the file is missing") from None
    except ValueError:
        raise ValueError(f"{path}: not JSON; the file was damaged") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path}: expected a JSON object")
    return value
