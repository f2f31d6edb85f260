"""The log of a run: a JSON object a line for programs, its last lines for a reader, and its bound.

What the process of a run prints goes into the same file: lines of no such object, shown as they are.
"""

import json
import logging
import os
import socket
from datetime import UTC, datetime
from typing import Any

from tfbind.runs import folder
from tfbind.runs.folder import Run
from tfbind.store import annotate_oserror, require_regular_or_new

MOST_BYTES = 1 << 20
TAIL_BYTES = 1 << 16


class Lines(logging.Formatter):
    """Turns records of logging into lines. `extra={"facts": {...}}` of a call become fields of its line."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record, without its end."""
        facts = dict(getattr(record, "facts", {}))
        if record.exc_info:
            facts["exception"] = self.formatException(record.exc_info)
        return _line(self.run, record.created, record.levelname, record.getMessage(), facts)


def _line(run: Run, at: float, level: str, message: str, facts: dict[str, Any]) -> str:
    time = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    process = {"run": run.id, "host": socket.gethostname(), "pid": os.getpid()}
    return json.dumps({"time": time, "level": level, "message": message, **process, **facts})


def note(run: Run, message: str, level: str = "INFO", **facts: Any) -> None:
    """Write a line from a process that is not the worker of the run.

    Raises:
        ValueError: the log is no file.
        OSError: it cannot be written.
    """
    append(run, f"{_line(run, datetime.now(UTC).timestamp(), level, message, facts)}\n".encode())


def append(run: Run, lines: bytes) -> None:
    """Write lines that are made already, or none; a line that a kill has torn is ended before.

    Raises:
        ValueError: the log is no file.
        OSError: it cannot be written.
    """
    path = run.folder / folder.LOG
    with annotate_oserror(path), require_regular_or_new(path).open("ab+") as file:
        file.seek(max(0, file.tell() - 1))
        torn = file.read() not in (b"", b"\n")
        file.write(b"\n" * torn + lines)


def tail(run: Run, lines: int = 20) -> str:
    """The last lines of the log as a reader sees them, with local times; a line that cannot be read is as it is."""
    path = run.folder / folder.LOG
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        written = file.read().decode(errors="replace").splitlines()
    shown = "\n".join(map(_shown, written[-lines:]))
    return "\n".join(shown.splitlines()[-lines:])


def _shown(line: str) -> str:
    try:
        entry = json.loads(line)
        time = datetime.fromisoformat(entry["time"]).astimezone()
        said = f"{time:%Y-%m-%d %H:%M:%S} {entry['level']} {entry['message']}"
        return "\n".join([said, entry["exception"]] if "exception" in entry else [said])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return line


def trim(run: Run) -> None:
    """Cut the middle out of a log that has grown too long; what is appended to it at the same time is kept."""
    path = run.folder / folder.LOG
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
