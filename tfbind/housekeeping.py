"""What the home takes on the disk, and what of it can go: the trash, and checkpoints that nothing needs any more."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from tfbind import runs
from tfbind.files import TRASH


@dataclass(frozen=True)
class Usage:
    """Bytes on the disk: each folder of the home by name, the part of `runs` that `drop_checkpoints` would free."""

    folders: dict[str, int]
    checkpoints: int

    @property
    def total(self) -> int:
        """Everything in the home."""
        return sum(self.folders.values())


def usage(home: Path) -> Usage:
    """Count what lies in a home. Files that vanish meanwhile count nothing."""
    kept = [path for path in sorted(home.iterdir()) if path.is_dir()] if home.is_dir() else []
    sizes = {path.name: sum(map(_size, path.rglob("*"))) for path in kept}
    return Usage(sizes, sum(map(_size, _spent_checkpoints(home))))


def _size(path: Path) -> int:
    try:
        return 0 if path.is_dir() else path.lstat().st_size
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
    """Delete for good what was thrown away; the bytes that were freed.

    Raises:
        OSError: something in it cannot be deleted.
    """
    trash = home / TRASH
    freed = usage(home).folders.get(TRASH, 0)
    for path in list(trash.iterdir()) if trash.is_dir() else []:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return freed
