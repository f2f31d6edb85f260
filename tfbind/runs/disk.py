"""Disk usage of a home, and freeing it: emptying the trash, dropping checkpoints."""

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from tfbind.runs import folder as runs
from tfbind.store import TRASH, is_draft, remove_drafts

FILES = "files directly in it"
DRAFTS = "drafts"
DROPPING = (
    "Dropping checkpoints of finished runs: their best weights, curves and predictions stay, so they open, score, "
    "export and take More epochs as before; lost are weights and optimizer after the last epoch, from which another "
    "program could go on exactly. Runs that wait, run, were stopped, failed or crashed keep theirs."
)


@dataclass(frozen=True)
class Usage:
    """Bytes in a home by kind: each of its folders by name, `FILES`, and `DRAFTS`, half-written files of any folder.

    `checkpoints` is the part of `runs` that `drop_checkpoints` would free.
    """

    kinds: dict[str, int]
    checkpoints: int

    @property
    def total(self) -> int:
        """Bytes of all kinds together."""
        return sum(self.kinds.values())


def usage(home: Path) -> Usage:
    """Count the bytes of all files in a home, by kind; links are not followed, vanished files count nothing."""
    kinds: dict[str, int] = {}
    for folder, folders, files in os.walk(home):
        parts = Path(folder).relative_to(home).parts
        for name in files + [name for name in folders if Path(folder, name).is_symlink()]:
            kind = _kind((*parts, name))
            kinds[kind] = kinds.get(kind, 0) + _size(Path(folder, name))
    return Usage(dict(sorted(kinds.items())), sum(map(_size, _spent_checkpoints(home))))


def _kind(parts: tuple[str, ...]) -> str:
    if parts[0] != TRASH and any(map(is_draft, parts)):
        return DRAFTS
    return parts[0] if len(parts) > 1 else FILES


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def _spent_checkpoints(home: Path) -> list[Path]:
    """Checkpoints of finished runs: only a run that has not finished is resumed from one."""
    finished = [run for run in runs.list_runs(home) if run.state == "finished"]
    return [path for run in finished if (path := run.folder / runs.CHECKPOINT).exists()]


def drop_checkpoints(home: Path) -> int:
    """Delete the checkpoints of finished runs, not their weights, rows and figures; return the bytes freed."""
    freed = 0
    for path in _spent_checkpoints(home):
        freed += _size(path)
        path.unlink(missing_ok=True)
    return freed


def empty_trash(home: Path) -> int:
    """Delete the trash and the half-written files of killed processes; return the bytes freed.

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


def size(count: int) -> str:
    """Format a number of bytes: `1.2 GB`, `300.0 MB`."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
