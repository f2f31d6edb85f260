"""Start, stop and resume runs as processes that outlive the page or terminal that starts them.

The command that is executed is the one that is shown: `python -m tfbind train …`, in a session of its own, with the
run's log as its only output.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from tfbind.config import TrainConfig, check_continuation, flags, python_path
from tfbind.data import Split, Windows, check_learnable, open_dataset, splits
from tfbind.errors import reason_of
from tfbind.runs import devices, folder
from tfbind.runs.files import ACTIVE, Status
from tfbind.runs.folder import Run
from tfbind.store import Busy, atomic, handle_signals

PROGRAM = (sys.executable, "-m", "tfbind")
GRACE_SECONDS = 15.0
LOOK_SECONDS = 0.1
WATCH_SECONDS = 0.3  # between two drawings of a bar
BAR_WIDTH = 24
KILL_SECONDS = 10.0  # a process that is killed takes a moment to be gone


class Executor(Protocol):
    """An executor of runs other than this machine, such as a Ray cluster.

    `resolve_device` makes the device and the number of threads of a configuration definite, or raises ValueError
    where no machine has them. `start` starts a run, or resumes one after its last finished epoch.
    """

    address: str

    def resolve_device(self, config: TrainConfig) -> TrainConfig: ...

    def start(self, run: Run) -> None: ...


@dataclass(frozen=True)
class RunRequest:
    """The settings of a run that are no hyperparameters.

    `parent` is the run whose weights it starts from, `sweep` the sweep it belongs to, `wandb` whether and how it is
    logged to W&B: off, offline or online; `ray` the address of the Ray cluster that trains it, "" for this machine.
    """

    name: str = ""
    id: str | None = None
    parent: Run | None = None
    sweep: str | None = None
    wandb: str = "off"
    ray: str = ""


def command(config: TrainConfig, request: RunRequest = RunRequest()) -> list[str]:
    """The command line that trains a run, as `submit` executes it.

    Args:
        config: its configuration.
        request: its other settings.

    Returns:
        The program and its arguments.
    """
    parent = request.parent
    arguments = [*PROGRAM, "train", *flags(config, folder.read_config(parent) if parent else None)]
    values = {
        "--from": parent.id if parent else None,
        "--name": request.name,
        "--id": request.id,
        "--sweep": request.sweep,
        "--wandb": "" if request.wandb == "off" else request.wandb,
        "--ray": request.ray,
    }
    return arguments + [word for flag, value in values.items() if value for word in (flag, value)]


@dataclass(frozen=True)
class PreparedRun:
    """A run without a folder yet: device and threads of its `config` are resolved, its data open and split."""

    home: Path
    config: TrainConfig
    request: RunRequest
    dataset: Windows
    split: Split

    def create(self, command: Sequence[str] | None = None) -> Run:
        """Create its folder.

        Args:
            command: the arguments of the command that trains it, None where no command does.

        Raises:
            ValueError: the id or the name cannot be used, the id is taken, or the parent has no weights.
        """
        request, dataset = self.request, self.dataset
        facts = {
            "sweep": request.sweep,
            "wandb": request.wandb,
            "ray": request.ray,
            "dataset_hash": dataset.hash,
            **splits.split_facts(self.split),
            "windows": len(dataset),
            "length": dataset.length,
        }
        return folder.create(
            self.home,
            self.config,
            id=request.id,
            name=request.name,
            facts=facts,
            parent=request.parent,
            command=command,
        )


def prepare(
    home: Path, config: TrainConfig, request: RunRequest = RunRequest(), cluster: Executor | None = None
) -> PreparedRun:
    """Prepare a run: resolve its device, open, split and check its data set.

    Args:
        home: the home of the run.
        config: its configuration.
        request: its other settings.
        cluster: what trains it; None for this machine.

    Returns:
        The run, which `create` gives a folder.

    Raises:
        ValueError: the configuration, the data set or the parent cannot be used, in one line.
    """
    config = cluster.resolve_device(config) if cluster else devices.resolve_device(config)
    if request.parent:
        check_continuation(config, folder.read_config(request.parent))
    dataset = open_dataset(home, config.dataset)
    data_split = splits.split(dataset, config)
    check_learnable(dataset, data_split.train)
    request = replace(request, ray=cluster.address if cluster else request.ray)
    return PreparedRun(home, config, request, dataset, data_split)


def submit(
    home: Path,
    config: TrainConfig,
    request: RunRequest = RunRequest(),
    secrets: Mapping[str, str] | None = None,
    cluster: Executor | None = None,
) -> Run:
    """Create a run and start its worker.

    Args:
        home: the home of the run.
        config: its configuration.
        request: its other settings.
        secrets: environment variables of the worker, which are written nowhere.
        cluster: what trains it, for as long as this process leads it; None for a process of its own on this machine.

    Returns:
        The run.

    Raises:
        ValueError: as for `prepare` and `PreparedRun.create`, or the cluster has no place for it.
    """
    request = replace(request, id=request.id or folder.new_id())
    prepared = prepare(home, config, request, cluster)
    if cluster:
        run = prepared.create()
        cluster.start(run)
        return run
    arguments = command(prepared.config, request)
    run = prepared.create(arguments[len(PROGRAM) :])
    start_process(run, arguments, secrets)
    return run


def find_prepared(home: Path, id: str, command: Sequence[str]) -> Run | None:
    """Find the pending run that was created for a command.

    Args:
        home: the home of the run.
        id: its id.
        command: the arguments of the command.

    Returns:
        The run; None where there is none, or it is not pending, or was created for another command.
    """
    if not folder.is_run(home, id):
        return None
    run = folder.find(home, id)
    status = folder.read_state(run)
    return run if (status.state, status.command) == ("pending", list(command)) else None


def resume(run: Run, secrets: Mapping[str, str] | None = None, cluster: Executor | None = None) -> Run:
    """Resume a run after its last finished epoch.

    Args:
        run: the run.
        secrets: as for `submit`.
        cluster: as for `submit`.

    Returns:
        The run.

    Raises:
        ValueError: the run is active, or finished, or its device is not there.
    """
    check_resumable(run)
    config = folder.read_config(run)
    if cluster:
        cluster.resolve_device(config)
        folder.clear_stop(run)
        cluster.start(run)
        return run
    devices.resolve_device(config)
    mark_pending(run, lambda: check_resumable(run))
    start_process(run, [*PROGRAM, "resume", run.id], secrets)
    return run


def mark_pending(run: Run, check: Callable[[], None]) -> None:
    """Set a run, or a sweep, to `pending` before the process that works on it is started.

    Args:
        run: the run, or the sweep.
        check: raises ValueError where it must not be started.

    Raises:
        ValueError: what `check` raises, or another process has begun to work on it.
    """
    with folder.worker_lock(run):  # else the state that a worker from elsewhere has just written is lost
        check()
        folder.clear_stop(run)
        folder.set_state(run, "pending", ended=None, error=None)


def check_resumable(run: Run) -> None:
    """Check that a run can be resumed.

    Raises:
        Busy: it is active.
        ValueError: it is finished.
    """
    state = folder.read_status(run).state
    if state in ACTIVE:
        raise Busy(f"run {run.id} is {state} already")
    if state == "finished":
        raise ValueError(
            f"run {run.id} is finished; `python -m tfbind train --from {run.id}` trains on from its weights"
        )


def start_process(run: Run, arguments: Sequence[str], secrets: Mapping[str, str] | None = None) -> None:
    """Start the process of a run in a session of its own, with the run's log as its standard error.

    Args:
        run: the run, or the sweep, which fails where the process cannot be started.
        arguments: the command line.
        secrets: environment variables of the process.

    Raises:
        ValueError: the log is no file.
        OSError: the log cannot be written, or the process cannot be started.
    """
    status = folder.read_status(run)
    try:
        child = _spawn(run, arguments, secrets or {})
    except (ValueError, OSError) as error:
        folder.set_state(run, "failed", ended=time.time(), error=atomic.format_error(error), reason=reason_of(error))
        raise
    threading.Thread(target=_reap, args=(run, child, status), daemon=True).start()


def _spawn(run: Run, arguments: Sequence[str], secrets: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    variables = {"TFBIND_HOME": str(run.home), "PYTHONPATH": python_path(), "PYTHONFAULTHANDLER": "1"}
    environment = {**os.environ, **variables, **secrets}
    with atomic.require_regular_or_new(run.folder / folder.LOG).open("ab") as log:
        null = subprocess.DEVNULL  # what the command prints for a terminal, the worker writes into the log
        return subprocess.Popen(
            arguments, stdin=null, stdout=null, stderr=log, env=environment, start_new_session=True
        )


def _reap(run: Run, child: "subprocess.Popen[bytes]", initial: Status) -> None:
    """Wait for a worker to end, so that it leaves no zombie, and no `pending` if it died before it took the run.

    `initial` is the status at its start: by the time it has ended, the run may wait for another worker.
    """
    code = child.wait()
    if run.folder.exists() and folder.read_status(run) == initial:
        folder.set_state(
            run, "crashed", ended=time.time(), error=f"the worker ended with exit code {code} before it began"
        )


@contextlib.contextmanager
def stopped_on_interrupt(run: Run) -> Iterator[None]:
    """Request the stop of a run, or a sweep, where Ctrl-C comes before its worker, this process, handles signals."""
    try:
        yield
    except KeyboardInterrupt:
        with (
            handle_signals(lambda: None),
            contextlib.suppress(ValueError),
        ):  # a second one changes nothing; it is not made yet
            status = folder.read_state(run)
            if status.active and status.pid == os.getpid():
                folder.request_stop(run)
        raise


def cancel(run: Run) -> None:
    """Request that an active run stops: it ends after the current batch and keeps every finished epoch.

    Raises:
        ValueError: the run is not active.
    """
    state = folder.read_status(run).state
    if state not in ACTIVE:
        raise ValueError(f"run {run.id} is {state}; only a pending or running run can be stopped")
    folder.request_stop(run)


def kill(run: Run) -> None:
    """Kill the process of an active run; the unfinished epoch is lost.

    Raises:
        ValueError: the run is not active, or runs on another host.
    """
    cancel(run)
    end_process(run)


def end_process(run: Run) -> None:
    """Kill the process of a run; nothing is done where the run has ended.

    Raises:
        ValueError: the run is active on another host.
    """
    status = folder.read_status(run)
    if not status.active:
        return
    if not status.here:
        raise ValueError(f"{run.kind} {run.id} runs on host {status.host}; stop it there")
    if status.pid != os.getpid():
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(status.pid, signal.SIGKILL)


def stop(run: Run, grace: float = GRACE_SECONDS) -> None:
    """Stop a run: request it, wait, and kill the process where that is not enough.

    Args:
        run: the run.
        grace: seconds to wait.

    Raises:
        ValueError: the run is not active, or has to be killed on another host.
    """
    cancel(run)
    if not wait_until(grace, lambda: not folder.read_status(run).active):
        end_process(run)
        wait_until(KILL_SECONDS, lambda: not folder.read_status(run).active)


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


def watch(run: Run, show_bar: bool | None = None) -> None:
    """Wait until a run has ended.

    Args:
        run: the run.
        show_bar: draw a progress bar on standard error; None: on a terminal or in a notebook.
    """
    show_bar = sys.stderr.isatty() or "ipykernel" in sys.modules if show_bar is None else show_bar
    while not wait_until(WATCH_SECONDS, lambda: not folder.read_status(run).active):
        if show_bar:
            _draw(_progress_line(run))
    if show_bar:
        _draw(f"run {run.id}: {run.state}\n")


def _draw(line: str) -> None:
    print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)


def _progress_line(run: Run) -> str:
    """Such as `epoch 2/5 ████····  12 s left`."""
    progress = folder.read_progress(run)
    if not progress:
        return f"run {run.id}: {run.state}"
    filled = round(BAR_WIDTH * min(1.0, progress["batches"] / progress["batches_per_epoch"]))
    remaining = "" if progress["seconds_left"] is None else f"  {progress['seconds_left']:.0f} s left"
    return f"epoch {progress['epoch']}/{progress['num_epochs']} {'█' * filled:·<{BAR_WIDTH}}{remaining}"


def queue_position(run: Run) -> int:
    """The number of runs before a pending one: those running on its device, and older pending ones."""
    device = folder.read_config(run).device
    running = [
        other
        for other in folder.list_runs(run.home)
        if folder.read_status(other).state == "running" and folder.read_config(other).device == device
    ]
    return len(running) + len(folder.waiting_before(run, device))


def free_disk(home: Path) -> int:
    """Free bytes on the disk of a home."""
    return shutil.disk_usage(atomic.nearest_existing(home)).free
