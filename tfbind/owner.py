"""Which process owns a job, and whether it still lives: if not, the job does not run."""

import socket
import time
from dataclasses import dataclass

import psutil

FRESH_SECONDS = 60  # on another host a process counts as alive for so long after its last heartbeat


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A process: `pid` and `process_started` (seconds since 1970) name it on `host`; `heartbeat` is its last sign."""

    pid: int
    process_started: float
    host: str
    heartbeat: float

    @property
    def here(self) -> bool:
        """Whether it is, or was, on this host."""
        return self.host == socket.gethostname()

    @property
    def alive(self) -> bool:
        """Whether the process still runs; a zombie does not."""
        if not self.here:
            return time.time() - self.heartbeat < FRESH_SECONDS
        try:
            process = psutil.Process(self.pid)
            # The boot time, from which start times are reckoned, moves by a second when the clock is set.
            same = abs(process.create_time() - self.process_started) < 2
            return same and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.NoSuchProcess, ValueError, OverflowError):  # no process ever had such a number
            return False


def this_process() -> Owner:
    """The process that calls this, alive now."""
    me = psutil.Process()
    return Owner(pid=me.pid, process_started=me.create_time(), host=socket.gethostname(), heartbeat=time.time())
