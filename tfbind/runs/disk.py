"""Disk usage of a home, and freeing it: the trash, checkpoints, what was pasted."""

import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from tfbind.runs import folder as runs
from tfbind.store import TRASH, is_draft, mtime_ns, remove_drafts, rename_exclusive

FILES = "files directly in it"
PASTED = "queries"  # the folder of texts and small files that pages keep for a refresh
DRAFTS = "drafts"
# What something in the trash is, by the first word of its name there, and where it came from; the rest are runs.
PLACES = {
    "data": ("data set", "data"),
    "model": ("model", "models"),
    "job": ("file scored in the background", "jobs"),
    "wandb": ("project of W&B", "wandb/projects"),
}
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


def drop_pasted(home: Path, most: int = 0, days: float = 0.0) -> int:
    """Delete what was pasted into pages or opened there, and kept for a refresh; return the bytes freed.

    Args:
        home: the project's home folder.
        most: how many of the newest files stay,
        days: unless they are older than that.
    """
    folder, freed = home / PASTED, 0
    paths = sorted(folder.iterdir(), key=mtime_ns, reverse=True) if folder.is_dir() else []
    oldest = time.time_ns() - days * 86_400e9
    for number, path in enumerate(paths):
        if number >= most or mtime_ns(path) < oldest:
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


@dataclass(frozen=True)
class TrashedItem:
    """Something that was thrown away: its name in the trash, what it is in words, and where it goes back to."""

    name: str
    words: str
    target: Path


def list_trash(home: Path) -> list[TrashedItem]:
    """What can be restored from the trash of a home, what was thrown away last first."""
    folders = (home / TRASH).iterdir() if (home / TRASH).is_dir() else ()
    newest = sorted(folders, key=lambda folder: folder.lstat().st_ctime_ns, reverse=True)
    return [item for folder in newest if (item := _trashed(home, folder))]


def _trashed(home: Path, folder: Path) -> TrashedItem | None:
    if (folder / runs.CONFIG).is_file():
        try:
            label = str(runs.read_labels(runs.Run(folder))["name"])
        except ValueError:
            label = "damaged"
        return TrashedItem(folder.name, f"run {folder.name}: {label}", home / "runs" / folder.name)
    kind, _, name = folder.name.partition("-")
    if kind not in PLACES or not name or not folder.is_dir():
        return None
    words, place = PLACES[kind]
    return TrashedItem(folder.name, f"{words} {name}", home / place / name)


def restore(home: Path, name: str) -> TrashedItem:
    """Move something from the trash of a home back to where it was.

    Args:
        home: the project's home folder.
        name: its name in the trash.

    Returns:
        What was restored.

    Raises:
        ValueError: there is no such thing in the trash, or another has taken its place.
    """
    item = next((item for item in list_trash(home) if item.name == name), None)
    if item is None:
        raise ValueError(f"{name[:80]!r} is not in the trash; `python -m tfbind disk` lists what is")
    item.target.parent.mkdir(parents=True, exist_ok=True)
    if item.target.exists() or not rename_exclusive(home / TRASH / name, item.target):
        raise ValueError(f"{item.target}: there is another by now; rename or delete it first")
    return item


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def size(count: int) -> str:
    """Format a number of bytes: `1.2 GB`, `300.0 MB`, `1.5 kB`."""
    if 0 < count < 1e5:
        return f"{count / 1e3:,.1f} kB"
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
