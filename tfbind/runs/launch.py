"""Start and resume runs as processes that outlive the page or terminal that starts them.

The command that is executed is the one that is shown: `python -m tfbind train …`, in a session of its own, with the
run's log as its only output.
"""

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from tfbind.config import TrainConfig, check_continuation, flags
from tfbind.data import Split, Windows, check_learnable, open_dataset, splits
from tfbind.runs import devices, folder
from tfbind.runs.folder import Run
from tfbind.store import nearest_existing

PROGRAM = (sys.executable, "-m", "tfbind")
WATCH_SECONDS = 0.3  # between two drawings of a bar
BAR_WIDTH = 24


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
    run.spawn(arguments, secrets)
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
    status = run.read_state()
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
    run.check_idle()
    (cluster or devices).resolve_device(folder.read_config(run))
    run.enqueue()
    if cluster:
        cluster.start(run)
    else:
        run.spawn([*PROGRAM, "resume", run.id], secrets)
    return run


def watch(run: Run, show_bar: bool | None = None) -> None:
    """Wait until a run has ended.

    Args:
        run: the run.
        show_bar: draw a progress bar on standard error; None: on a terminal or in a notebook.
    """
    show_bar = sys.stderr.isatty() or "ipykernel" in sys.modules if show_bar is None else show_bar
    while not run.wait_for_end(WATCH_SECONDS):
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
        if other.state == "running" and folder.read_config(other).device == device
    ]
    return len(running) + len(folder.waiting_before(run, device))


def free_disk(home: Path) -> int:
    """Free bytes on the disk of a home."""
    return shutil.disk_usage(nearest_existing(home)).free
