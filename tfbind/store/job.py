"""Jobs: a folder of the home, the state file in it, and the worker, a process that outlives whoever started it.

As in a supervisor: `enqueue` has the job wait for a worker, `spawn` starts and reaps that one, `lock` is held by
the worker for its life, the file `stop` asks it to end, `kill` ends it where that is not enough, and `trash` takes
the folder away. A state names the process that owns it and is as true as that process is alive: `status` says what
became of a job whose owner died at work. The operating system frees the lock of a process that dies, however it dies.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, Protocol, Self, TypeVar

import psutil
from filelock import FileLock, Timeout

from tfbind.config import python_path
from tfbind.errors import Reason, reason_of
from tfbind.store.atomic import format_error, move_to_trash, require_regular_or_new, write_bytes
from tfbind.store.process import Busy, ProcessIdentity, handle_signals, identify_process
from tfbind.store.schema import KeptFile

LOCK_SECONDS = 0.5  # who only looks whether a lock is held has it for a moment
HANDOVER_SECONDS = 5.0  # on a busy machine a starter may be slow to let go of the lock
LOOK_SECONDS = 0.1  # between two looks at what is waited for
GRACE_SECONDS = 15.0  # from the request to stop until the worker is killed
KILL_SECONDS = 10.0  # a process that is killed takes a moment to be gone
HEARTBEAT_SECONDS = 10.0
TAIL_BYTES = 1 << 16
NOBODY = ProcessIdentity(pid=0, process_started=0.0, host="", heartbeat=0.0)  # is never alive


class OwnedState(Protocol):
    """What a state file holds: which process owns the job, and whether that is at work or about to be."""

    @property
    def owner(self) -> ProcessIdentity: ...

    @property
    def active(self) -> bool: ...

    def owned_by(self, owner: ProcessIdentity) -> Self: ...


S = TypeVar("S", bound=OwnedState)


@dataclass(frozen=True)
class Job(Generic[S]):
    """A job by its folder. Nothing is cached: every method reads the file it needs.

    A kind of jobs names its `state_file`, the file `output` that the `streams` of its workers go to, and their
    `niceness`; and says what `write_pending`, `write_unstarted` and `state_after_death` mean for its state.
    """

    folder: Path

    state_file: ClassVar[KeptFile[Any]]
    output: ClassVar[str] = os.devnull
    streams: ClassVar[tuple[str, ...]] = ("stderr",)
    stop_name: ClassVar[str] = "stop"
    niceness: ClassVar[int] = 0

    @property
    def id(self) -> str:
        """The name of its folder."""
        return self.folder.name

    @property
    def home(self) -> Path:
        """The home that it belongs to."""
        return self.folder.parent.parent

    @property
    def kind(self) -> str:
        """What it is called in messages and locks: `run` for a folder in `runs`."""
        return self.folder.parent.name.removesuffix("s")

    def check_idle(self) -> None:
        """Check that the job may be started; ValueError where not."""
        raise NotImplementedError

    def write_pending(self) -> None:
        """Write that the job waits for a worker, and that this process owns it until that has come."""
        raise NotImplementedError

    def write_unstarted(self, state: Literal["failed", "crashed"], error: str, reason: Reason | None = None) -> None:
        """Write that no worker comes: it could not be started, or ended before it owned the job."""
        raise NotImplementedError

    def state_after_death(self, state: S) -> S:
        """What became of a job whose owner died in this state."""
        raise NotImplementedError

    def read_state(self) -> S:
        """The state as it was last written; ValueError where the file is missing or damaged."""
        state: S = self.state_file.read(self.folder / self.state_file.name)
        return state

    def write_state(self, state: S) -> None:
        """Replace the state file."""
        self.state_file.put(self.folder / self.state_file.name, state)

    def status(self) -> S:
        """The true state: one that is active has an owner that is alive."""
        state = self.read_state()
        return state if not state.active or state.owner.alive else self.state_after_death(state)

    @contextlib.contextmanager
    def lock(self, seconds: float = LOCK_SECONDS) -> Iterator[None]:
        """Lock the job, or raise Busy after so many `seconds` (-1: never); a worker holds the lock for its life."""
        path = self.home / "locks" / f"{self.kind}-{self.id}.lock"
        path.parent.mkdir(exist_ok=True)
        try:
            with FileLock(path, timeout=seconds):
                yield
        except Timeout:
            raise Busy(f"{self.kind} {self.id}: another process is working on it") from None

    def enqueue(self) -> None:
        """Have an idle job wait for the worker that is started next, and withdraw a request to stop.

        Raises:
            ValueError: it must not be started, or another process works on it.
        """
        self.check_idle()  # first without the lock, which a worker holds for long
        with self.lock():  # else the state that a worker from elsewhere has just written is lost
            self.check_idle()
            self.clear_stop()
            self.write_pending()

    def spawn(
        self,
        command: Sequence[str],
        variables: Mapping[str, str] | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> "subprocess.Popen[bytes]":
        """Start the worker of the job; where it cannot be started, or ends before it begins, the state says so.

        Args:
            command: its command line.
            variables: environment variables beside `environment`.
            environment: those of this process, if not others.

        Raises:
            ValueError: its output is to go into what is no file.
            OSError: the output cannot be written, or the process cannot be started.
        """
        own = {"TFBIND_HOME": str(self.home), "PYTHONPATH": python_path(), "PYTHONFAULTHANDLER": "1"}
        output = self.folder / self.output
        state = self.read_state() if (self.folder / self.state_file.name).exists() else None
        waiting = state if state and state.active and state.owner.pid == os.getpid() else None
        with contextlib.ExitStack() as lock:
            if waiting:
                lock.enter_context(self.lock())  # which the worker takes next: its own words come after these
            try:
                file = output if self.output == os.devnull else require_regular_or_new(output)
                with file.open("ab") as stream:
                    streams = dict.fromkeys(self.streams, stream)
                    child = spawn(command, self.niceness, env={**environment, **own, **(variables or {})}, **streams)
            except (ValueError, OSError) as error:
                if waiting:
                    self.write_unstarted("failed", format_error(error), reason_of(error))
                raise
            if waiting:
                waiting = waiting.owned_by(identify_process(psutil.Process(child.pid)))
                self.write_state(waiting)
        threading.Thread(target=self._reap, args=(child, waiting), daemon=True).start()
        return child

    def _reap(self, child: "subprocess.Popen[bytes]", waiting: S | None) -> None:
        """Fetch the exit code of a worker; by then the job may wait for another one."""
        code = child.wait()
        with contextlib.suppress(ValueError):  # the job is gone
            if waiting and self.read_state() == waiting:
                self.write_unstarted("crashed", f"the worker ended with exit code {code} before it began")

    @property
    def stop_file(self) -> Path:
        """The file that is there when somebody asked it to stop; its text says why."""
        return self.folder / self.stop_name

    def request_stop(self, why: object = "") -> None:
        """Request that the worker stops; `why` is what the file will say."""
        write_bytes(self.stop_file, str(why).encode())

    def clear_stop(self) -> None:
        """Withdraw a request to stop."""
        self.stop_file.unlink(missing_ok=True)

    def stop_requested(self) -> bool:
        """Whether a stop of the job is requested."""
        return self.stop_file.exists()

    def check_active(self) -> None:
        """Check that there is something to stop; ValueError where not."""
        if not self.status().active:
            raise ValueError(f"{self.kind} {self.id} does not run")

    def cancel(self) -> None:
        """Request that an active job stops; ValueError where it is not active."""
        self.check_active()
        self.request_stop()

    def kill(self) -> None:
        """Kill the owner of an active job; ValueError where that works on another host."""
        state = self.status()
        if not state.active:
            return
        if not state.owner.here:
            raise ValueError(f"{self.kind} {self.id} runs on host {state.owner.host}; stop it there")
        if state.owner.pid != os.getpid():
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(state.owner.pid, signal.SIGKILL)

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        """Request that the job stops, wait for `grace` seconds, and kill its owner where that was not enough.

        Raises:
            ValueError: the job is not active, or has to be killed on another host.
        """
        self.cancel()
        if not self.wait_for_end(grace):
            self.kill()
            self.wait_for_end(KILL_SECONDS)

    def wait_for_end(self, seconds: float) -> bool:
        """Wait until nobody works on the job, at most so many seconds; return whether that is so."""
        return wait_until(seconds, lambda: not self.status().active)

    @contextlib.contextmanager
    def stopped_on_interrupt(self) -> Iterator[None]:
        """Request the stop of the job where Ctrl-C comes before its worker, this process, handles signals."""
        try:
            yield
        except KeyboardInterrupt:
            # A second one changes nothing; and the job may not be made yet.
            with handle_signals(lambda: None), contextlib.suppress(ValueError):
                state = self.read_state()
                if state.active and state.owner.pid == os.getpid():
                    self.request_stop()
            raise

    def tail(self, start: int = 0) -> list[str]:
        """The last lines that its workers have written, none from before the byte `start`."""
        path = self.folder / self.output
        if not path.is_file():
            return []
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, min(start, size), size - TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()

    def trash(self, prefix: str = "") -> Path:
        """Move the folder to the trash of its home, where its name begins with `prefix`; return the new path."""
        return move_to_trash(self.home, self.folder, prefix + self.id)


def spawn(command: Sequence[str], niceness: int = 0, **options: Any) -> "subprocess.Popen[Any]":
    """Start a process of this project: in a session of its own, without input, what it prints is for nobody.

    Args:
        command: its command line.
        niceness: added to that of this process.
        options: those of `subprocess.Popen` that differ from this.

    Returns:
        The process.

    Raises:
        OSError: it cannot be started.
    """
    quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    child = subprocess.Popen(command, **{"start_new_session": True, **quiet, **options})
    if niceness:
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended
            psutil.Process(child.pid).nice(niceness)
    return child


def wait_until(seconds: float, condition: Callable[[], bool]) -> bool:
    """Wait until a condition holds.

    Args:
        seconds: the longest wait.
        condition: is asked every 0.1 s.

    Returns:
        Whether it holds at the end.
    """
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    return condition()
