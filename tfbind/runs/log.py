"""The log of a run: one JSON object a line; shown to a reader, and trimmed where it grows too long.

The output of a run's process goes into the same file: lines that are no JSON, shown as they are.
"""

import json
import logging
import os
import re
import socket
from datetime import UTC, datetime
from typing import Any

from tfbind.runs import folder
from tfbind.runs.folder import Run
from tfbind.store import annotate_oserror, require_regular_or_new

MOST_BYTES = 1 << 20
# What Python prints of an error before its name: the calls that led to it, and the errors it came of.
TRACEBACK = re.compile(
    r"Traceback \(most recent call last\):\n(?:[ \t]+.*\n)*"
    r"|\n(?:During handling of|The above exception was) .*:\n\n"
)


class Lines(logging.Formatter):
    """Formats logging records as JSON lines; `extra={"facts": {...}}` of a call become fields of its line."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record, without a line break."""
        facts = dict(getattr(record, "facts", {}))
        if record.exc_info:
            facts["exception"] = self.formatException(record.exc_info)
        return _line(self.run, record.created, record.levelname, record.getMessage(), facts)


def _line(run: Run, timestamp: float, level: str, message: str, facts: dict[str, Any]) -> str:
    time = datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    process = {"run": run.id, "host": socket.gethostname(), "pid": os.getpid()}
    return json.dumps({"time": time, "level": level, "message": message, **process, **facts})


def note(run: Run, message: str, level: str = "INFO", **facts: Any) -> None:
    """Append a line to the log of a run from a process that is not its worker.

    Raises:
        ValueError: the log is no file.
        OSError: it cannot be written.
    """
    append(run, f"{_line(run, datetime.now(UTC).timestamp(), level, message, facts)}\n".encode())


def append(run: Run, lines: bytes) -> None:
    """Append lines, or none, after ending a last line that a kill has torn.

    Raises:
        ValueError: the log is no file.
        OSError: it cannot be written.
    """
    path = run.folder / folder.LOG
    with annotate_oserror(path), require_regular_or_new(path).open("ab+") as file:
        file.seek(max(0, file.tell() - 1))
        torn = file.read() not in (b"", b"\n")
        file.write(b"\n" + lines if torn else lines)


def tail(run: Run, lines: int = 20) -> str:
    """The last lines of the log for a reader, with local times; a line that is no JSON is shown as it is.

    Of a traceback, which the log has in full, the error remains.
    """
    text = TRACEBACK.sub("", "\n".join(map(_format_line, run.tail())))
    return "\n".join(text.splitlines()[-lines:])


def _format_line(line: str) -> str:
    try:
        entry = json.loads(line)
        time = datetime.fromisoformat(entry["time"]).astimezone()
        text = f"{time:%Y-%m-%d %H:%M:%S} {entry['level']} {entry['message']}"
        return "\n".join([text, entry["exception"]] if "exception" in entry else [text])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return line


def trim(run: Run) -> None:
    """Cut the middle out of a log that has grown too long; lines appended at the same time are kept."""
    path = run.folder / folder.LOG
    if not path.exists() or path.stat().st_size <= MOST_BYTES:
        return
    size = MOST_BYTES // 4
    with path.open("r+b") as file:
        start = file.read(size).rpartition(b"\n")[0]
        file.seek(-size, os.SEEK_END)
        end = file.read().partition(b"\n")[2]
        file.seek(0)
        file.write(start + b"\n[lines were left out here]\n" + end)
        file.truncate()
