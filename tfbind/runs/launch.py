"""Start, stop and resume runs as processes that outlive the page or terminal that asked for them.

What is executed is the command line that is shown: `python -m tfbind train …`, in a session of its own, with the
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
from tfbind.runs.folder import Run, Status
from tfbind.store import Busy, atomic, handle_signals

PROGRAM = (sys.executable, "-m", "tfbind")
GRACE_SECONDS = 15.0
LOOK_SECONDS = 0.1
WATCH_SECONDS = 0.3  # between two drawings of a bar
BAR_WIDTH = 24
KILL_SECONDS = 10.0  # a process that is killed takes a moment to be gone


class Executor(Protocol):
    """What trains runs elsewhere than in a process of this machine, such as a Ray cluster.

    `settle` makes the device and the number of threads of a configuration definite; it raises ValueError where no
    machine has them. `start` begins with a run, or goes on with one after its last finished epoch.
    """

    address: str

    def settle(self, config: TrainConfig) -> TrainConfig: ...

    def start(self, run: Run) -> None: ...


@dataclass(frozen=True)
class RunRequest:
    """What a run is made with beside its hyperparameters.

    `parent` is the run whose weights it starts from, `sweep` the sweep it belongs to, `wandb` whether and how it is
    logged to W&B: off, offline or online; `ray` the address of the Ray cluster that trains it, "" for this machine.
    """

    name: str = ""
    id: str | None = None
    parent: Run | None = None
    sweep: str | None = None
    wandb: str = "off"
    ray: str = ""


def command(config: TrainConfig, order: RunRequest = RunRequest()) -> list[str]:
    """The command line that trains `config`, as `submit` executes it."""
    parent = order.parent
    words = [*PROGRAM, "train", *flags(config, folder.read_config(parent) if parent else None)]
    given = {
        "--from": parent.id if parent else None,
        "--name": order.name,
        "--id": order.id,
        "--sweep": order.sweep,
        "--wandb": "" if order.wandb == "off" else order.wandb,
        "--ray": order.ray,
    }
    return words + [word for flag, value in given.items() if value for word in (flag, value)]


@dataclass(frozen=True)
class PreparedRun:
    """A run that can be made: device and threads of its `config` are definite, its `dataset` is open and split."""

    home: Path
    config: TrainConfig
    order: RunRequest
    dataset: Windows
    split: Split

    def create(self, command: Sequence[str] | None = None) -> Run:
        """Make its folder.

        Args:
            command: the arguments of the command that trains it, None where no command does.

        Raises:
            ValueError: the id or the name cannot be used, the id is taken, or the parent has no weights.
        """
        order, data = self.order, self.dataset
        facts = {
            "sweep": order.sweep,
            "wandb": order.wandb,
            "ray": order.ray,
            "dataset_hash": data.hash,
            **splits.split_facts(self.split),
            "windows": len(data),
            "length": data.length,
        }
        return folder.create(
            self.home,
            self.config,
            id=order.id,
            name=order.name,
            facts=facts,
            parent=order.parent,
            command=command,
        )


def prepare(
    home: Path, config: TrainConfig, order: RunRequest = RunRequest(), cluster: Executor | None = None
) -> PreparedRun:
    """Do what a run needs before it has a folder: settle `config` for this machine, or for `cluster`, open and split
    its data set, and check that something can be learnt from it.

    Raises:
        ValueError: the configuration, the data set or the parent cannot be used, in one line.
    """
    config = cluster.settle(config) if cluster else devices.resolve_device(config)
    if order.parent:
        check_continuation(config, folder.read_config(order.parent))
    data = open_dataset(home, config.dataset)
    parts = splits.split(data, config)
    check_learnable(data, parts.train)
    return PreparedRun(home, config, replace(order, ray=cluster.address if cluster else order.ray), data, parts)


def submit(
    home: Path,
    config: TrainConfig,
    order: RunRequest = RunRequest(),
    secrets: Mapping[str, str] | None = None,
    cluster: Executor | None = None,
) -> Run:
    """Create a run and start its worker: on `cluster` for as long as this process leads it, else as a process of its
    own, which finds `secrets` in its environment and nowhere else.

    Raises:
        ValueError: as for `prepare` and `PreparedRun.create`, or the cluster has no place for it.
    """
    order = replace(order, id=order.id or folder.new_id())
    prepared = prepare(home, config, order, cluster)
    if cluster:
        run = prepared.create()
        cluster.start(run)
        return run
    words = command(prepared.config, order)
    run = prepared.create(words[len(PROGRAM) :])
    start_process(run, words, secrets)
    return run


def find_prepared(home: Path, id: str, command: Sequence[str]) -> Run | None:
    """The run with this id that waits for a worker, if it was made for the command with these arguments."""
    if not folder.is_run(home, id):
        return None
    run = folder.find(home, id)
    status = folder.read_state(run)
    return run if (status.state, status.command) == ("pending", list(command)) else None


def resume(run: Run, secrets: Mapping[str, str] | None = None, cluster: Executor | None = None) -> Run:
    """Start a worker that goes on after the last finished epoch; `secrets` and `cluster` as for `submit`. The run.

    Raises:
        ValueError: the run is active, or finished, or its device is not there.
    """
    check_resumable(run)
    settle = cluster.settle if cluster else devices.resolve_device
    settle(folder.read_config(run))
    if cluster:
        folder.clear_stop(run)
        cluster.start(run)
        return run
    mark_pending(run, lambda: check_resumable(run))
    start_process(run, [*PROGRAM, "resume", run.id], secrets)
    return run


def mark_pending(run: Run, check: Callable[[], None]) -> None:
    """Have a run, or a sweep, wait for a process that this one is about to start, if `check` has no objection.

    Raises:
        ValueError: what `check` raises, or another process has begun to work on it.
    """
    with folder.worker_lock(run):  # else what a worker from elsewhere has just said of itself is lost
        check()
        folder.clear_stop(run)
        folder.set_state(run, "pending", ended=None, error=None)


def check_resumable(run: Run) -> None:
    """Refuse to resume what is active (`Busy`) or finished."""
    state = folder.read_status(run).state
    if state in folder.ACTIVE:
        raise Busy(f"run {run.id} is {state} already")
    if state == "finished":
        raise ValueError(
            f"run {run.id} is finished; `python -m tfbind train --from {run.id}` trains on from its weights"
        )


def start_process(run: Run, words: Sequence[str], secrets: Mapping[str, str] | None = None) -> None:
    """Execute `words` in a session of its own, with `secrets` in its environment; what it complains of goes into the
    log of `run`.

    Raises:
        ValueError: the log is no file.
        OSError: it cannot be written, or no process be started. Either way the run has failed.
    """
    waiting = folder.read_status(run)
    try:
        child = _spawn(run, words, secrets or {})
    except (ValueError, OSError) as error:
        folder.set_state(run, "failed", ended=time.time(), error=atomic.format_error(error), reason=reason_of(error))
        raise
    threading.Thread(target=_reap, args=(run, child, waiting), daemon=True).start()


def _spawn(run: Run, words: Sequence[str], secrets: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    given = {"TFBIND_HOME": str(run.home), "PYTHONPATH": python_path(), "PYTHONFAULTHANDLER": "1"}
    environment = {**os.environ, **given, **secrets}
    with atomic.require_regular_or_new(run.folder / folder.LOG).open("ab") as log:
        nothing = subprocess.DEVNULL  # what the command prints for a terminal, the worker writes into the log
        return subprocess.Popen(
            words, stdin=nothing, stdout=nothing, stderr=log, env=environment, start_new_session=True
        )


def _reap(run: Run, child: "subprocess.Popen[bytes]", waiting: Status) -> None:
    """Wait for a worker to end, so that it leaves no zombie, and no `pending` if it died before it took the run.

    `waiting` is the status this worker was started on: by the time it has ended, the run may wait for another.
    """
    code = child.wait()
    if run.folder.exists() and folder.read_status(run) == waiting:
        folder.set_state(
            run, "crashed", ended=time.time(), error=f"the worker ended with exit code {code} before it began"
        )


@contextlib.contextmanager
def stopped_on_interrupt(run: Run) -> Iterator[None]:
    """Have a run, or a sweep, that this process makes count as stopped where Ctrl-C comes before it listens."""
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
    """Ask a pending or running run to stop: it ends after the batch in hand and keeps every finished epoch.

    Raises:
        ValueError: the run is not active.
    """
    state = folder.read_status(run).state
    if state not in folder.ACTIVE:
        raise ValueError(f"run {run.id} is {state}; only a pending or running run can be stopped")
    folder.request_stop(run)


def kill(run: Run) -> None:
    """End the process of an active run at once; the epoch in flight is lost.

    Raises:
        ValueError: the run is not active, or runs on another host.
    """
    cancel(run)
    end_process(run)


def end_process(run: Run) -> None:
    """End the process of a run at once; nothing is done where the run has ended.

    Raises:
        ValueError: the run goes on on another host.
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
    """Ask a run to stop, wait for it, and kill it when `grace` seconds were not enough."""
    cancel(run)
    if not wait_until(grace, lambda: not folder.read_status(run).active):
        end_process(run)
        wait_until(KILL_SECONDS, lambda: not folder.read_status(run).active)


def wait_until(seconds: float, condition: Callable[[], bool]) -> bool:
    """Wait until a condition holds, or for so long; whether it does."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    return condition()


def watch(run: Run, drawn: bool | None = None) -> None:
    """Wait until a run has ended, with a bar on standard error if `drawn`; None: on a terminal or in a notebook."""
    drawn = sys.stderr.isatty() or "ipykernel" in sys.modules if drawn is None else drawn
    while not wait_until(WATCH_SECONDS, lambda: not folder.read_status(run).active):
        if drawn:
            _draw(_how_far(run))
    if drawn:
        _draw(f"run {run.id}: {run.state}\n")


def _draw(line: str) -> None:
    print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)


def _how_far(run: Run) -> str:
    """Such as `epoch 2/5 ████····  12 s left`."""
    progress = folder.read_progress(run)
    if not progress:
        return f"run {run.id}: {run.state}"
    done = round(BAR_WIDTH * min(1.0, progress["batches"] / progress["batches_per_epoch"]))
    left = "" if progress["seconds_left"] is None else f"  {progress['seconds_left']:.0f} s left"
    return f"epoch {progress['epoch']}/{progress['num_epochs']} {'█' * done:·<{BAR_WIDTH}}{left}"


def queue_position(run: Run) -> int:
    """How many runs a pending one waits for: the running ones on its device, and those pending longer."""
    device = folder.read_config(run).device
    running = [
        other
        for other in folder.list_runs(run.home)
        if folder.read_status(other).state == "running" and folder.read_config(other).device == device
    ]
    return len(running) + len(folder.waiting_before(run, device))


def free_disk(home: Path) -> int:
    """Bytes free where the runs are kept."""
    return shutil.disk_usage(atomic.nearest_existing(home)).free
