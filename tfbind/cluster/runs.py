"""Runs on a Ray cluster, as the machine that the app runs on sees them.

The process that calls this owns the runs: it holds their locks, and writes into their folders what the nodes hand
over, in the order in which a worker writes it. A run whose worker or node is lost goes on elsewhere from its last
checkpoint. When the cluster is lost, or this process, the runs can be resumed like any other.
"""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tfbind import runs
from tfbind.cluster.protocol import Driver, Gone, Message
from tfbind.config import TrainConfig
from tfbind.errors import Reason, reason_of
from tfbind.evaluation import baselines
from tfbind.runs import Row, Run, State, log
from tfbind.store import HEARTBEAT_SECONDS, format_error, handle_signals, plural, write_bytes

WAIT_SECONDS = 0.3
STOP_SECONDS = 8.0  # a node that does not stop a run by then is not waited for
LOSSES = 3  # in a row, without an epoch between them
RECEIVED = 64  # messages at a time, so that whoever calls is not kept waiting


def _ignore(_: Any) -> None:
    pass


@dataclass
class _OwnedRun:
    """A run that this process owns. `attempt` counts its workers, `losses` those lost since the last epoch."""

    run: Run
    config: TrainConfig
    lock: contextlib.ExitStack
    state: State = "pending"
    waits: str | None = None  # for what, as far as the cluster has said so
    without_node: bool = False  # waits for a node that is not there
    attempt: int = 0
    losses: int = 0
    last_heartbeat: float = 0.0
    stop_requested_at: float | None = None  # when its worker was asked to stop

    @property
    def key(self) -> str:
        return f"{self.run.id}/{self.attempt}"


@dataclass
class Cluster:
    """A Ray cluster that trains runs. `on_progress` and `on_row` let a terminal watch; `on_waiting` gets a line when
    a run waits.

    Raises:
        ValueError: Ray is not installed, or the address is none.
        Gone: there is no cluster at the address.
    """

    address: str
    on_progress: Callable[[dict[str, Any]], None] = _ignore
    on_row: Callable[[Row], None] = _ignore
    on_waiting: Callable[[str], None] = _ignore
    clock: Callable[[], float] = time.monotonic
    _driver: Driver = field(init=False)
    _runs: dict[str, _OwnedRun] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._driver = Driver(self.address)

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is KeyboardInterrupt:  # as it comes before `lead`
            self._stop_all()
        self.end_all("the process that led its Ray task has ended")
        self._driver.close()

    @property
    def busy(self) -> bool:
        """Whether any run is under way or waits."""
        return bool(self._runs)

    def resolve_device(self, config: TrainConfig) -> TrainConfig:
        """`config` with its device and its number of threads made definite for this cluster.

        Raises:
            ValueError: no node has that.
        """
        resolved = self._resolve(config)
        if not self._capacity(resolved):
            raise ValueError(self._no_node_message(resolved))
        return resolved

    def _no_node_message(self, config: TrainConfig) -> str:
        most = max((cpus for cpus, _ in self._driver.nodes), default=0)
        return (
            f"--device {config.device}, --threads {config.threads}: no node of the Ray cluster at "
            f"{self.address} has that; the largest of {len(self._driver.nodes)} has {most:g} CPUs, "
            f"{'some have GPUs' if self._gpus else 'none has a GPU'}"
        )

    def room(self, config: TrainConfig) -> int:
        """How many runs like this the cluster trains at once; 1 if it has lost the nodes for it."""
        return max(1, self._capacity(self._resolve(config)))

    @property
    def _gpus(self) -> bool:
        return any(gpus >= 1 for _, gpus in self._driver.nodes)

    def _resolve(self, config: TrainConfig) -> TrainConfig:
        device = config.device
        if device == "auto":
            device = "cuda" if self._gpus else "cpu"
        return config.model_copy(update={"device": device, "threads": config.threads or 1})

    def _capacity(self, config: TrainConfig) -> int:
        if config.device == "cuda":
            return sum(min(int(cpus // (config.threads or 1)), int(gpus)) for cpus, gpus in self._driver.nodes)
        if config.device != "cpu":
            return 0
        return sum(int(cpus // (config.threads or 1)) for cpus, _ in self._driver.nodes)

    def start(self, run: Run) -> None:
        """Have a pending run trained, from where it stands.

        Raises:
            ValueError: another process is working on it.
        """
        lock = contextlib.ExitStack()
        lock.enter_context(run.lock())
        owned = self._runs[run.id] = _OwnedRun(run, runs.read_config(run), lock)
        log.trim(run)
        run.set_state("pending", ended=None, error=None)
        self._send_job(owned)

    def _send_job(self, owned: _OwnedRun) -> None:
        needs = {"cpus": owned.config.threads, "gpus": int(owned.config.device == "cuda")}
        self._driver.send({"do": "train", "key": owned.key, "folder": str(owned.run.folder), **needs})

    def step(self, seconds: float = 0.0) -> None:
        """Write what the nodes have handed over, pass on requests to stop, and show that the runs are alive.

        Args:
            seconds: wait so long for the first message.

        Raises:
            Gone: the cluster is lost.
        """
        for number in range(RECEIVED):
            message = self._driver.receive(0.0 if number else seconds)
            if message is None:
                break
            self._handle(message)
        for owned in list(self._runs.values()):
            self._check_stop(owned)
            self._check_nodes(owned)
            self._write_heartbeat(owned)

    def lead(self) -> None:
        """Work until no run is left. SIGTERM and SIGINT are requests to stop; with the cluster the runs fail, and one
        whose folder is moved or deleted is let go."""
        with handle_signals(self._stop_all):
            while self.busy:
                try:
                    self.step(WAIT_SECONDS)
                except Gone as error:
                    self.end_all(str(error))

    def _stop_all(self) -> None:
        for owned in self._runs.values():
            owned.run.request_stop()

    def end_all(self, error: str) -> list[Run]:
        """Have every run failed that is still under way; which those are, without those that were to stop."""
        ended = list(self._runs.values())
        for owned in ended:
            self._fail(owned, error)
        return [owned.run for owned in ended if not owned.run.stop_requested()]

    def _handle(self, message: Message) -> None:
        id, _, attempt = str(message.facts.get("key", "")).partition("/")
        owned = self._runs.get(id)
        if owned is None or attempt != str(owned.attempt):
            return
        handlers = {
            "running": self._on_running,
            "waits": self._on_waits,
            "progress": self._on_progress,
            "row": self._on_row,
            "end": self._on_end,
            "stopped": self._on_stopped,
            "failed": self._on_failed,
            "lost": self._on_lost,
        }
        try:
            handlers[message.facts["event"]](owned, message)
        except (OSError, ValueError) as error:  # such as a full disk, or a damaged file in this run
            self._driver.send({"do": "cancel", "key": owned.key, "force": True})
            self._fail(owned, format_error(error), reason_of(error))

    def _on_running(self, owned: _OwnedRun, message: Message) -> None:
        node, local_torch = message.facts["node"], runs.read_record(owned.run)["versions"].get("torch")
        self._note(owned, f"runs on {node}, a node of the Ray cluster at {self.address}", node=node)
        if message.facts["torch"] != local_torch:
            warning = f"torch {message.facts['torch']} there, {local_torch} here: results may differ"
            self._note(owned, warning, "WARNING")
        owned.state, owned.waits = "running", None
        owned.run.set_state("running", started=time.time(), device=owned.config.device)
        if owned.attempt == 0:
            baselines.start_sidecars(owned.run)

    def _on_waits(self, owned: _OwnedRun, _: Message) -> None:
        needs = plural(owned.config.threads or 1, "free CPU")
        if owned.config.device == "cuda":
            needs += " and a GPU"
        waits = f"waits for {needs} of the Ray cluster at {self.address}; goes on by itself"
        self._note_waiting(owned, waits)
        # A sweep has one more run in line than there is room for, and a lost worker's CPU may be told as taken.
        if owned.attempt == 0 and all(other.state == "pending" for other in self._runs.values()):
            self.on_waiting(f"run {owned.run.id} {waits}")

    def _on_progress(self, owned: _OwnedRun, message: Message) -> None:
        self._log(owned, message)
        if "rows" in message.facts:
            runs.complete_rows(owned.run, message.facts["rows"])
        runs.PROGRESS_FILE.write(owned.run.folder / runs.PROGRESS, message.facts["progress"])
        self.on_progress(message.facts["progress"])

    def _on_row(self, owned: _OwnedRun, message: Message) -> None:
        for name in (runs.BEST, runs.VALIDATION, runs.CHECKPOINT):
            if name in message.files:
                write_bytes(owned.run.folder / name, message.files[name])
        runs.append_row(owned.run, message.facts["row"])
        self._log(owned, message)
        owned.losses = 0
        self.on_row(message.facts["row"])

    def _on_end(self, owned: _OwnedRun, message: Message) -> None:
        if runs.GRAPH in message.files:
            write_bytes(owned.run.folder / runs.GRAPH, message.files[runs.GRAPH])
        self._log(owned, message)
        self._end(owned, message.facts["state"], message.facts["error"], message.facts["reason"], say=False)

    def _on_stopped(self, owned: _OwnedRun, _: Message) -> None:
        self._end(owned, "killed")

    def _on_failed(self, owned: _OwnedRun, message: Message) -> None:
        self._fail(owned, message.facts["error"])

    def _on_lost(self, owned: _OwnedRun, message: Message) -> None:
        if owned.stop_requested_at is not None:
            self._end(owned, "killed")
            return
        owned.losses += 1
        error = message.facts["error"]
        if owned.losses == LOSSES:
            reason = f"its worker was lost {LOSSES} times in a row without finishing an epoch; the last time: {error}"
            self._fail(owned, reason)
            return
        reason = f"its worker was lost ({error}); goes on from the last checkpoint"
        self._note(owned, reason, "WARNING", error=error, losses=owned.losses)
        owned.attempt += 1
        owned.state, owned.waits = "pending", None
        owned.run.set_state("pending")
        self._send_job(owned)

    def _check_stop(self, owned: _OwnedRun) -> None:
        if not _in_place(owned.run):
            self._driver.send({"do": "cancel", "key": owned.key, "force": True})
            self._end(owned, "crashed")  # nothing is written: its folder is gone
        elif owned.stop_requested_at is None and owned.run.stop_requested():
            owned.stop_requested_at = self.clock()
            self._driver.send({"do": "cancel", "key": owned.key, "force": False})
        elif owned.stop_requested_at is not None and self.clock() - owned.stop_requested_at > STOP_SECONDS:
            self._driver.send({"do": "cancel", "key": owned.key, "force": True})
            self._end(owned, "killed")

    def _check_nodes(self, owned: _OwnedRun) -> None:
        without_node = owned.state == "pending" and not self._capacity(owned.config)
        if without_node and not owned.without_node:
            waits = f"waits: {self._no_node_message(owned.config)}"
            self._note_waiting(owned, waits)
            self.on_waiting(f"run {owned.run.id} {waits}")
        owned.without_node = without_node

    def _note_waiting(self, owned: _OwnedRun, waits: str) -> None:
        """Say in the log of a run for what it waits, and with the beat that follows in its state."""
        self._note(owned, waits, "WARNING")
        owned.waits, owned.last_heartbeat = waits, -HEARTBEAT_SECONDS

    def _write_heartbeat(self, owned: _OwnedRun) -> None:
        if owned.run.id in self._runs and self.clock() - owned.last_heartbeat >= HEARTBEAT_SECONDS:
            owned.last_heartbeat = self.clock()
            owned.run.set_state(owned.state, waits=owned.waits)
            with contextlib.suppress(OSError):  # as in _note
                log.trim(owned.run)

    def _fail(self, owned: _OwnedRun, error: str, reason: Reason | None = None) -> None:
        if owned.run.stop_requested():
            self._end(owned, "killed")
        else:
            self._end(owned, "failed", error, reason)

    def _end(
        self,
        owned: _OwnedRun,
        state: State,
        error: str | None = None,
        reason: Reason | None = None,
        *,
        say: bool = True,
    ) -> None:
        del self._runs[owned.run.id]
        with owned.lock:
            if not _in_place(owned.run):
                return
            if say:
                line = state if error is None else f"{state}: {error}"
                self._note(owned, line, state=state, error=error)
            owned.run.set_state(state, ended=time.time(), error=error, reason=reason)

    def _note(self, owned: _OwnedRun, line: str, level: str = "INFO", **facts: Any) -> None:
        with contextlib.suppress(OSError, ValueError):  # a log that takes no line, as on a full disk, ends no run
            log.note(owned.run, line, level, **facts)

    def _log(self, owned: _OwnedRun, message: Message) -> None:
        with contextlib.suppress(OSError, ValueError):  # as in _note
            log.append(owned.run, message.files.get(runs.LOG, b""))


def _in_place(run: Run) -> bool:
    """Whether its folder was neither moved nor deleted: nothing is written at the old place then."""
    return runs.is_run(run.home, run.id)
