"""What a home takes on the disk, the limit its user set, and what can go: trash, checkpoints no longer needed.

The limit warns; nothing is deleted and no run is refused.
"""

import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from tfbind.runs import folder as runs
from tfbind.store import TRASH, Facts, KeptFile, is_draft, kept_file, remove_drafts

FILES = "files directly in it"
DRAFTS = "drafts"
DROPPING = (
    "Dropping checkpoints of finished runs: their best weights, curves and predictions stay, so they open, score, "
    "export and take More epochs as before; lost are weights and optimizer after the last epoch, from which another "
    "program could go on exactly. Runs that wait, run, were stopped, failed or crashed keep theirs."
)
FILE = "budget.json"
UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12}
LARGEST = 10**18  # bytes; no disk is larger
NONE = "none"
REMEDY = "make room with `python -m tfbind disk` or under Disk on the Data page, or raise it"

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(MB|GB|TB)", re.IGNORECASE)


@dataclass(frozen=True)
class Usage:
    """Bytes in a home by kind: each of its folders by name, `FILES`, and `DRAFTS`, half-written files of any folder.

    `checkpoints` is the part of `runs` that `drop_checkpoints` would free.
    """

    kinds: dict[str, int]
    checkpoints: int

    @property
    def total(self) -> int:
        """Everything in the home."""
        return sum(self.kinds.values())


def usage(home: Path) -> Usage:
    """Count the bytes of all files in a home; links are not followed. Files that vanish meanwhile count nothing."""
    kinds: dict[str, int] = {}
    for folder, folders, files in os.walk(home):
        place = Path(folder).relative_to(home).parts
        for name in files + [name for name in folders if Path(folder, name).is_symlink()]:
            kind = _kind((*place, name))
            kinds[kind] = kinds.get(kind, 0) + _size(Path(folder, name))
    return Usage(dict(sorted(kinds.items())), sum(map(_size, _spent_checkpoints(home))))


def _kind(parts: tuple[str, ...]) -> str:
    """The kind of a file by its place in the home."""
    if parts[0] != TRASH and any(map(is_draft, parts)):
        return DRAFTS
    return parts[0] if len(parts) > 1 else FILES


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def _spent_checkpoints(home: Path) -> list[Path]:
    """Checkpoints of finished runs: only a run that has not finished goes on from one."""
    finished = [run for run in runs.list_runs(home) if runs.read_status(run).state == "finished"]
    return [path for run in finished if (path := run.folder / runs.CHECKPOINT).exists()]


def drop_checkpoints(home: Path) -> int:
    """Delete the checkpoints of finished runs; the bytes that were freed. Weights, rows and figures stay."""
    freed = 0
    for path in _spent_checkpoints(home):
        freed += _size(path)
        path.unlink(missing_ok=True)
    return freed


def empty_trash(home: Path) -> int:
    """Delete for good what was thrown away, and what killed processes left half written; the bytes that were freed.

    Raises:
        OSError: something in it cannot be deleted.
    """
    before = usage(home).kinds
    for folder, _, _ in os.walk(home):
        with suppress(FileNotFoundError):  # it is gone meanwhile, as that of a run that is just made
            remove_drafts(Path(folder))
    if (home / TRASH).is_dir():
        (home / "locks").mkdir(exist_ok=True)
        with FileLock(home / "locks" / "trash.lock"):  # of two that delete a folder at once, both may fail
            _empty(home / TRASH)
    after = usage(home).kinds
    return sum(before.get(kind, 0) - after.get(kind, 0) for kind in (TRASH, DRAFTS))


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def parse(text: str) -> int | None:
    """Bytes of a size as people write it, such as `20GB` or `1.5 TB`; None for `none`.

    Raises:
        ValueError: it is no such size.
    """
    text = text.strip()
    if text.lower() == NONE:
        return None
    match = _SIZE.fullmatch(text)
    size = float(match[1]) * UNITS[match[2].upper()] if match else 0.0
    if not 1 <= size <= LARGEST:
        raise ValueError(f"budget {text[:20]!r}: expected a size such as 20GB, 500 MB or 1.5 TB, or {NONE}")
    return round(size)


class _Budget(Facts):
    bytes: int


BUDGET_FILE: KeptFile[dict[str, int]] = kept_file(FILE, _Budget)


def set_budget(home: Path, limit: int | None) -> None:
    """Keep the limit in the home, in bytes; None takes it away.

    Raises:
        OSError: the home cannot be written.
    """
    home.mkdir(parents=True, exist_ok=True)
    if limit is None:
        (home / FILE).unlink(missing_ok=True)
    else:
        BUDGET_FILE.write(home / FILE, {"bytes": limit})


def budget_of(home: Path) -> int | None:
    """The limit of a home in bytes, None where nobody set one.

    Raises:
        ValueError: its file is damaged.
    """
    if not (home / FILE).exists():
        return None
    limit: int = BUDGET_FILE.read(home / FILE)["bytes"]
    if limit <= 0:
        raise ValueError(f"{home / FILE}: {limit} bytes; set the budget again")
    return limit


def warning(home: Path, used: Callable[[], int], planned: int = 0) -> str:
    """What a user is to know before `planned` bytes more come into a home, in one line; "" if nothing.

    `used` adds up the bytes of the home, and is asked only where a budget is set.
    """
    try:
        limit = budget_of(home)
        return objection(limit, used(), planned) if limit else ""
    except ValueError as error:
        return str(error)


def objection(limit: int | None, used: int, planned: int = 0) -> str:
    """What speaks against a home of `used` bytes, or against `planned` more, in one line; "" if nothing does."""
    if limit is None or used + planned <= limit:
        return ""
    if used > limit:
        return f"This home takes {size(used)}, more than its budget of {size(limit)}: {REMEDY}."
    left = f"{size(limit - used)} of {size(limit)} are left of this home's budget"
    return f"What is planned takes about {size(planned)}, {left}: {REMEDY}."


def size(count: int) -> str:
    """Bytes in words: `1.2 GB`, `300.0 MB`."""
    return f"{count / 1e9:,.1f} GB" if count >= UNITS["GB"] else f"{count / 1e6:,.1f} MB"
