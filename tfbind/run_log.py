"""The log of a run: its last lines, and its bound."""

import os

from tfbind import runs
from tfbind.runs import Run

MOST_BYTES = 1 << 20


def tail(run: Run, lines: int = 20) -> str:
    """The last lines of the worker's log."""
    path = run.folder / runs.LOG
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 400 * lines))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])


def trim(run: Run) -> None:
    """Cut the middle out of a log that has grown too long; what is appended to it at the same time is kept."""
    path = run.folder / runs.LOG
    if not path.exists() or path.stat().st_size <= MOST_BYTES:
        return
    part = MOST_BYTES // 4
    with path.open("r+b") as file:
        head = file.read(part).rpartition(b"\n")[0]
        file.seek(-part, os.SEEK_END)
        tail = file.read().partition(b"\n")[2]
        file.seek(0)
        file.write(head + b"\n[lines were left out here]\n" + tail)
        file.truncate()
