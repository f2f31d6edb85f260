"""Which process owns a job, and whether it still lives: if not, the job does not run."""

import socket
import time
from dataclasses import dataclass

import psutil

FRESH_SECONDS = 60  # on another host a process counts as alive for so long after its last heartbeat
AHEAD_SECONDS = 300  # and so far its clock may be ahead, as Kerberos lets those of hosts that work together


class Busy(ValueError):
    """Another process works on the job, or is about to."""


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A process: `pid` and `process_started` (seconds since 1970) name it on `host`; `heartbeat` is its last sign.

    `booted` is when the host started, as its clock said then: what older versions wrote has none.
    """

    pid: int
    process_started: float
    host: str
    heartbeat: float
    booted: float | None = None

    @property
    def here(self) -> bool:
        """Whether it is, or was, on this host."""
        return self.host == socket.gethostname()

    @property
    def alive(self) -> bool:
        """Whether the process still runs; a zombie does not."""
        if not self.here:
            return -AHEAD_SECONDS < time.time() - self.heartbeat < FRESH_SECONDS
        try:
            process = psutil.Process(self.pid)
            # Linux reckons both times from now: they move together when the clock is set, also by parts of a second.
            set_by = 0.0 if self.booted is None else psutil.boot_time() - self.booted
            since = process.create_time() - self.process_started
            same = min(abs(since), abs(since - set_by)) < 2
            return same and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.NoSuchProcess, ValueError, OverflowError):  # no process ever had such a number
            return False


def this_process() -> Owner:
    """The process that calls this, alive now."""
    return of_process(psutil.Process())


def of_process(process: psutil.Process) -> Owner:
    """A process of this host, alive now."""
    started, booted = process.create_time(), psutil.boot_time()
    return Owner(
        pid=process.pid, process_started=started, host=socket.gethostname(), heartbeat=time.time(), booted=booted
    )
