"""The process of a sweep: start runs, keep the machine busy, end what has lost, until there is nothing left to do.

It holds nothing in memory that is not in the folders: killed at any moment, its runs go on, and another controller
takes up where it was.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfbind import runs
from tfbind.cluster import Cluster
from tfbind.config import TrainConfig
from tfbind.runs import ACTIVE, Run, RunRecord, RunRequest, State, StopReason, StopRequest, devices
from tfbind.store import (
    GRACE_SECONDS,
    HANDOVER_SECONDS,
    HEARTBEAT_SECONDS,
    Busy,
    cpu_cores,
    format_error,
    handle_signals,
    wait_until,
)
from tfbind.sweeps import sweep_folder
from tfbind.sweeps.search import Spec, configuration_key, generator, next_configs, runs_to_prune
from tfbind.sweeps.sweep_folder import RecordCache, Sweep

POLL_SECONDS = 0.3
STARTING_SECONDS = 10.0  # a worker whose controller has died may take so long before it owns its run
RETRIED = ("failed", "crashed")


class SweepStopped(Exception):
    """Somebody asked the sweep to stop."""


def _ignore(_: Spec, __: Sequence[RunRecord]) -> None:
    pass


@dataclass
class Controller:
    """One attempt at a sweep, on this machine or on `cluster`. `on_step` lets a terminal watch it."""

    sweep: Sweep
    on_step: Callable[[Spec, Sequence[RunRecord]], None] = _ignore
    cluster: Cluster | None = None
    _record_cache: RecordCache = field(default_factory=dict, init=False)
    _signalled: bool = field(default=False, init=False)
    _last_heartbeat: float = field(default=0.0, init=False)

    def work(self) -> State:
        """Run to the end and return the final state: `finished`, `failed` or `killed`.

        Raises:
            ValueError: another process is working on this sweep.
            OSError: the folder of the sweep was moved or deleted.
        """
        with self.sweep.lock(HANDOVER_SECONDS), handle_signals(self._note_signal):
            try:
                return self._end(self._work())
            except (ValueError, OSError) as error:
                self._check_folder()
                message = format_error(error)
                lost = isinstance(error, ConnectionError)
                self._give_up_runs(message if lost else f"its sweep has failed: {message}")
                return self._end("failed", message)

    def _work(self) -> State:
        self.sweep.set_state("running", started=time.time())
        self._mark_interrupted()
        try:
            while self._step():
                self._wait()
        except SweepStopped:
            self._stop_runs()
            return "killed"
        return "finished"

    def _end(self, state: State, error: str | None = None) -> State:
        self.sweep.set_state(state, ended=time.time(), error=error)
        return state

    def _check_folder(self) -> None:
        if not sweep_folder.is_sweep(self.sweep.home, self.sweep.id):
            message = f"{self.sweep.folder}: moved or deleted while the sweep was active"
            raise OSError(f"{message}; where it is now, `sweep --resume` goes on with its runs")

    def _step(self) -> bool:
        """Do what can be done now; whether anything is left to wait for."""
        if self._signalled or self.sweep.stop_requested():
            raise SweepStopped
        self._write_heartbeat()
        spec = sweep_folder.read_spec(self.sweep)
        # Asked once, and first: between two looks one may come to life, or be young no more.
        young = self._young_dead()
        records = sweep_folder.run_records(self.sweep, self._record_cache)
        self.on_step(spec, records)
        for id, detail in runs_to_prune(spec, records).items():
            runs.find(self.sweep.home, id).request_stop(StopRequest(StopReason.PRUNED, detail))
        started = self._fill(spec, records, young)
        return started > 0 or any(run.state in ACTIVE for run in records) or bool(young)

    def _wait(self) -> None:
        if self.cluster:
            self.cluster.step(POLL_SECONDS)
        else:
            time.sleep(POLL_SECONDS)

    def _give_up_runs(self, error: str) -> None:
        """Runs on a cluster end with the process that leads them; the sweep goes on with them when it is resumed."""
        for run in self.cluster.end_all(error) if self.cluster else []:
            run.request_stop(StopReason.WITH_SWEEP)

    def _fill(self, spec: Spec, records: Sequence[RunRecord], young: Collection[str]) -> int:
        """Start as many runs as there is room for, none of the `young` ones; how many that were."""
        active = [run for run in records if run.state in ACTIVE]
        room = self.capacity(spec) - len(active) + self._ahead(active)
        if room <= 0:
            return 0
        interrupted = [run for run in sweep_folder.to_continue(self.sweep) if run.id not in young][:room]
        for run in interrupted:
            with contextlib.suppress(Busy):  # somebody has just resumed it by itself
                runs.resume(run, cluster=self.cluster)
        to_come = max(1, (spec.size() or 0) - len(records))
        threads = share_of_cores(cpu_cores(), self.capacity(spec), to_come, [part_left(run) for run in active])
        configs = next_configs(spec, records, generator(spec, records), room - len(interrupted))
        for config in configs:
            request = RunRequest(run_name(spec, config), sweep=self.sweep.id, wandb=self._settings()["wandb"])
            config = with_data(self.sweep, spec, config)
            config = config if self.cluster else with_threads(config, threads)
            runs.submit(self.sweep.home, config, request, cluster=self.cluster)
        return len(interrupted) + len(configs)

    def _ahead(self, active: Sequence[RunRecord]) -> int:
        """One run more when another is in its last epoch: it gets ready while it waits in line."""
        waiting = any(run.state == "pending" for run in active)
        ending = any(len(run.rows) + 1 >= int(run.config["num_epochs"]) for run in active)
        return int(ending and not waiting and self._settings()["parallel"] is None)

    def capacity(self, spec: Spec) -> int:
        """How many runs at once."""
        room = self.cluster.room if self.cluster else room_for
        return int(self._settings()["parallel"] or room(spec.base))

    def _settings(self) -> dict[str, Any]:
        return sweep_folder.read_settings(self.sweep)

    def _mark_interrupted(self) -> None:
        """Runs that died with an earlier controller, or found no room on the disk, are gone on with."""
        for run in sweep_folder.sweep_runs(self.sweep):
            status = run.status()
            if status.state == "crashed" or status.reason == "disk full":
                run.request_stop(StopReason.WITH_SWEEP)

    def _young_dead(self) -> list[str]:
        """Runs that look dead, but whose worker may only be on its way."""
        dead = [(run.id, run.status()) for run in sweep_folder.to_continue(self.sweep)]
        now = time.time()
        return [id for id, status in dead if status.ended is None and abs(now - status.heartbeat) < STARTING_SECONDS]

    def _write_heartbeat(self) -> None:
        if time.monotonic() - self._last_heartbeat >= HEARTBEAT_SECONDS:
            self._last_heartbeat = time.monotonic()
            self.sweep.set_state("running")

    def _stop_runs(self) -> None:
        stop = self.sweep.read_stop()
        if stop is None or stop.reason is not StopReason.LEAVE_RUNS:
            stop_runs(self.sweep)
            if not self.cluster:
                wait_until(GRACE_SECONDS, lambda: not active_runs(self.sweep))
        while self.cluster and self.cluster.busy:
            self._wait()
            self._write_heartbeat()

    def _note_signal(self) -> None:
        self._signalled = True


def room_for(base: TrainConfig) -> int:
    """How many runs this machine trains at once: one on each GPU, or one on each core (or `threads` of them)."""
    device = devices.resolve_device(base).device
    if device == "cpu":
        return max(1, cpu_cores() // (base.threads or 1))
    return devices.cuda_count() if device == "cuda" else 1


def share_of_cores(cores: int, at_once: int, to_come: int | None = None, parts_left: Sequence[float] = ()) -> int:
    """Threads for the next runs on a CPU.

    Each gets its share of the cores. The last ones of a sweep share all cores among them and wait for those that run
    now, if that is sooner done than training at once on what is free.

    Args:
        cores: those of this machine.
        at_once: so many runs share them.
        to_come: runs that have not started, None for many.
        parts_left: of each run under way, the part that it still has to do.
    """
    narrow = max(1, cores // at_once)
    wide = max(1, cores // min(at_once, to_come or at_once))
    return wide if max(parts_left, default=0.0) + narrow / wide < 1 else narrow


def part_left(run: RunRecord) -> float:
    """The part of its epochs that a run still has to train."""
    return max(0.0, 1 - len(run.rows) / int(run.config["num_epochs"]))


def with_threads(config: TrainConfig, threads: int) -> TrainConfig:
    """`config` on so many threads, if it trains on a CPU and says nothing of threads itself."""
    if config.threads or devices.resolve_device(config).device != "cpu":
        return config
    return config.model_copy(update={"threads": threads})


def with_data(sweep: Sweep, spec: Spec, config: TrainConfig) -> TrainConfig:
    """`config` with its data set by the name that it has now.

    Raises:
        ValueError: the data are not here any more.
    """
    return config.model_copy(update={"dataset": sweep_folder.dataset_now(sweep.home, spec, config.dataset)})


def run_name(spec: Spec, config: TrainConfig) -> str:
    """A run of a sweep is called by what is its own."""
    parts = [f"{name.replace('_', ' ')} {getattr(config, name)}" for name in spec.varied]
    return ", ".join(parts)[: runs.NAME_LENGTH] or runs.default_name(config)


def command(home: Path, id: str, dataset: str, preset: str, **options: object) -> list[str]:
    """The command line that runs the sweep `id` of a home.

    Args:
        home: the home folder.
        id: the id of the sweep.
        dataset: the data set where the file names none.
        preset: the settings to start from.
        options: further flags, left out where empty.

    Returns:
        The words of the command.
    """
    path = home / "sweeps" / id / sweep_folder.SPEC
    words = [sys.executable, "-m", "tfbind", "sweep", str(path), "--id", id, "--dataset", dataset, "--preset", preset]
    return words + [word for name, value in options.items() if value for word in (f"--{name}", str(value))]


def resume(sweep: Sweep, secrets: Mapping[str, str] | None = None) -> None:
    """Start a controller that goes on with a sweep.

    Args:
        sweep: the sweep.
        secrets: variables that the controller and its runs find in their environment.

    Raises:
        ValueError: it is active already.
    """
    sweep.enqueue()
    sweep.spawn([sys.executable, "-m", "tfbind", "sweep", "--resume", sweep.id], secrets)


def cancel(sweep: Sweep, *, leave_runs: bool = False) -> None:
    """Ask a sweep to stop; resume goes on with its runs.

    Args:
        sweep: the sweep.
        leave_runs: whether its active runs go on.
    """
    if sweep.status().active:
        sweep.request_stop(StopReason.LEAVE_RUNS if leave_runs else StopReason.ASKED)
    if not leave_runs:
        stop_runs(sweep)


def stop(sweep: Sweep, grace: float = GRACE_SECONDS) -> None:
    """Stop a sweep and its runs.

    Args:
        sweep: the sweep.
        grace: what does not listen within so many seconds is killed.

    Raises:
        ValueError: neither the sweep nor any of its runs is active.
    """
    status = sweep.status()
    if not status.active and not active_runs(sweep):
        raise ValueError(f"sweep {sweep.id} is {status.state}; only a pending or running sweep can be stopped")
    cancel(sweep)
    wait_until(grace, lambda: not active_runs(sweep))
    for run in active_runs(sweep):
        run.kill()
    if not sweep.wait_for_end(grace):
        sweep.kill()


def active_runs(sweep: Sweep) -> list[Run]:
    """The runs of a sweep that run or wait."""
    return [run for run in sweep_folder.sweep_runs(sweep) if run.status().active]


def stop_runs(sweep: Sweep) -> None:
    """Ask every active run of a sweep to stop."""
    for run in active_runs(sweep):
        if not run.stop_requested():
            run.request_stop(StopReason.WITH_SWEEP)


def add_run(sweep: Sweep, config: TrainConfig, secrets: Mapping[str, str] | None = None) -> Run:
    """Start a run of the user's own choice as part of a sweep; it waits until there is room.

    Args:
        sweep: the sweep.
        config: the configuration of the run.
        secrets: variables that the run finds in its environment.

    Returns:
        The run.

    Raises:
        ValueError: the sweep has that configuration already, or it cannot be used.
    """
    spec = sweep_folder.read_spec(sweep)
    for run in sweep_folder.sweep_runs(sweep):
        if configuration_key(spec, runs.read_config(run)) == configuration_key(spec, config):
            raise ValueError(f"run {run.id} of this sweep has that configuration already")
    settings = sweep_folder.read_settings(sweep)
    request = RunRequest(run_name(spec, config), sweep=sweep.id, wandb=settings["wandb"])
    threads = share_of_cores(cpu_cores(), room_for(config))
    return runs.submit(sweep.home, with_threads(with_data(sweep, spec, config), threads), request, secrets)


def retry(sweep: Sweep, secrets: Mapping[str, str] | None = None) -> None:
    """Run the failed and crashed runs of a sweep again, by the controller at work or by a new one.

    Args:
        sweep: the sweep.
        secrets: variables that a new controller and its runs find in their environment.

    Raises:
        ValueError: there are none.
    """
    mark_failed(sweep)
    if not sweep.status().active:
        resume(sweep, secrets)


def mark_failed(sweep: Sweep) -> int:
    """Mark the failed and crashed runs to be tried again by a controller; how many there are.

    Raises:
        ValueError: there are none.
    """
    failed = [run for run in sweep_folder.sweep_runs(sweep) if run.state in RETRIED]
    if not failed:
        raise ValueError(f"sweep {sweep.id}: no run of it has failed")
    for run in failed:
        run.request_stop(StopReason.WITH_SWEEP)
    return len(failed)
