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
from tfbind.store import format_error, handle_signals, plural, write_bytes

HEARTBEAT_SECONDS = 10.0
WAIT_SECONDS = 0.3
STOP_SECONDS = 8.0  # a node that does not stop a run by then is not waited for
LOSSES = 3  # in a row, without an epoch between them
RECEIVED = 64  # messages at a time, so that whoever calls is not kept waiting


def _ignore(_: Any) -> None:
    pass


@dataclass
class _Held:
    """A run that this process owns. `attempt` counts its workers, `losses` those lost since the last epoch."""

    run: Run
    config: TrainConfig
    lock: contextlib.ExitStack
    state: State = "pending"
    waits: str | None = None  # for what, as far as the cluster has said so
    homeless: bool = False  # waits for a node that is not there
    attempt: int = 0
    losses: int = 0
    beaten: float = 0.0
    asked: float | None = None  # when its worker was asked to stop

    @property
    def key(self) -> str:
        return f"{self.run.id}/{self.attempt}"


@dataclass
class Cluster:
    """A Ray cluster at work. `on_progress` and `on_row` let a terminal watch; `tell` gets a line when a run waits.

    Raises:
        ValueError: Ray is not installed, or the address is none.
        Gone: there is no cluster at the address.
    """

    address: str
    on_progress: Callable[[dict[str, Any]], None] = _ignore
    on_row: Callable[[Row], None] = _ignore
    tell: Callable[[str], None] = _ignore
    clock: Callable[[], float] = time.monotonic
    _driver: Driver = field(init=False)
    _held: dict[str, _Held] = field(default_factory=dict, init=False)

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
        return bool(self._held)

    def resolve_device(self, config: TrainConfig) -> TrainConfig:
        """`config` with its device and its number of threads made definite for this cluster.

        Raises:
            ValueError: no node has that.
        """
        settled = self._settled(config)
        if not self._places(settled):
            raise ValueError(self._nowhere(settled))
        return settled

    def _nowhere(self, config: TrainConfig) -> str:
        most = max((cpus for cpus, _ in self._driver.nodes), default=0)
        return (
            f"--device {config.device}, --threads {config.threads}: no node of the Ray cluster at "
            f"{self.address} has that; the largest of {len(self._driver.nodes)} has {most:g} CPUs, "
            f"{'some have GPUs' if self._gpus else 'none has a GPU'}"
        )

    def room(self, config: TrainConfig) -> int:
        """How many runs like this the cluster trains at once; 1 if it has lost the nodes for it."""
        return max(1, self._places(self._settled(config)))

    @property
    def _gpus(self) -> bool:
        return any(gpus >= 1 for _, gpus in self._driver.nodes)

    def _settled(self, config: TrainConfig) -> TrainConfig:
        device = ("cuda" if self._gpus else "cpu") if config.device == "auto" else config.device
        return config.model_copy(update={"device": device, "threads": config.threads or 1})

    def _places(self, config: TrainConfig) -> int:
        if config.device == "cuda":
            return sum(min(int(cpus // (config.threads or 1)), int(gpus)) for cpus, gpus in self._driver.nodes)
        fit = config.device == "cpu"
        return sum(int(cpus // (config.threads or 1)) for cpus, _ in self._driver.nodes) if fit else 0

    def start(self, run: Run) -> None:
        """Have a pending run trained, from where it stands.

        Raises:
            ValueError: another process is working on it.
        """
        lock = contextlib.ExitStack()
        lock.enter_context(runs.worker_lock(run))
        held = self._held[run.id] = _Held(run, runs.read_config(run), lock)
        log.trim(run)
        runs.set_state(run, "pending", ended=None, error=None)
        self._order(held)

    def _order(self, held: _Held) -> None:
        needs = {"cpus": held.config.threads, "gpus": int(held.config.device == "cuda")}
        self._driver.send({"do": "train", "key": held.key, "folder": str(held.run.folder), **needs})

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
        for held in list(self._held.values()):
            self._heed_stop(held)
            self._heed_room(held)
            self._beat(held)

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
        for held in self._held.values():
            runs.request_stop(held.run)

    def end_all(self, error: str) -> list[Run]:
        """Have every run failed that is still under way; which those are, without those that were to stop."""
        held = list(self._held.values())
        for each in held:
            self._fail(each, error)
        return [each.run for each in held if not runs.stop_requested(each.run)]

    def _handle(self, message: Message) -> None:
        id, _, attempt = str(message.facts.get("key", "")).partition("/")
        held = self._held.get(id)
        if held is None or attempt != str(held.attempt):
            return
        try:
            getattr(self, f"_on_{message.facts['event']}")(held, message)
        except (OSError, ValueError) as error:  # such as a full disk, or a damaged file in this run
            self._driver.send({"do": "cancel", "key": held.key, "force": True})
            self._fail(held, format_error(error), reason_of(error))

    def _on_running(self, held: _Held, message: Message) -> None:
        node, ours = message.facts["node"], runs.read_record(held.run)["versions"].get("torch")
        self._note(held, f"runs on {node}, a node of the Ray cluster at {self.address}", node=node)
        if message.facts["torch"] != ours:
            said = f"torch {message.facts['torch']} there, {ours} here: results may differ"
            self._note(held, said, "WARNING")
        held.state, held.waits = "running", None
        runs.set_state(held.run, "running", started=time.time(), device=held.config.device)
        if held.attempt == 0:
            baselines.start_sidecars(held.run)

    def _on_waits(self, held: _Held, _: Message) -> None:
        needs = plural(held.config.threads or 1, "free CPU") + " and a GPU" * (held.config.device == "cuda")
        said = self._hold(held, f"waits for {needs} of the Ray cluster at {self.address}; goes on by itself")
        # A sweep has one more run in line than there is room for, and a lost worker's CPU may be told as taken.
        if held.attempt == 0 and all(each.state == "pending" for each in self._held.values()):
            self.tell(f"run {held.run.id} {said}")

    def _on_progress(self, held: _Held, message: Message) -> None:
        self._log(held, message)
        if "rows" in message.facts:
            runs.complete_rows(held.run, message.facts["rows"])
        runs.PROGRESS_FILE.write(held.run.folder / runs.PROGRESS, message.facts["progress"])
        self.on_progress(message.facts["progress"])

    def _on_row(self, held: _Held, message: Message) -> None:
        for name in (runs.BEST, runs.VALIDATION, runs.CHECKPOINT):
            if name in message.files:
                write_bytes(held.run.folder / name, message.files[name])
        runs.append_row(held.run, message.facts["row"])
        self._log(held, message)
        held.losses = 0
        self.on_row(message.facts["row"])

    def _on_end(self, held: _Held, message: Message) -> None:
        if runs.GRAPH in message.files:
            write_bytes(held.run.folder / runs.GRAPH, message.files[runs.GRAPH])
        self._log(held, message)
        self._end(held, message.facts["state"], message.facts["error"], message.facts["reason"], say=False)

    def _on_stopped(self, held: _Held, _: Message) -> None:
        self._end(held, "killed")

    def _on_failed(self, held: _Held, message: Message) -> None:
        self._fail(held, message.facts["error"])

    def _on_lost(self, held: _Held, message: Message) -> None:
        if held.asked is not None:
            self._end(held, "killed")
            return
        held.losses += 1
        error = message.facts["error"]
        if held.losses == LOSSES:
            said = f"its worker was lost {LOSSES} times in a row without finishing an epoch; the last time: {error}"
            self._fail(held, said)
            return
        said = f"its worker was lost ({error}); goes on from the last checkpoint"
        self._note(held, said, "WARNING", error=error, losses=held.losses)
        held.attempt += 1
        held.state, held.waits = "pending", None
        runs.set_state(held.run, "pending")
        self._order(held)

    def _heed_stop(self, held: _Held) -> None:
        if not _is_there(held.run):
            self._driver.send({"do": "cancel", "key": held.key, "force": True})
            self._end(held, "crashed")  # so it is found wherever it lies now
        elif held.asked is None and runs.stop_requested(held.run):
            held.asked = self.clock()
            self._driver.send({"do": "cancel", "key": held.key, "force": False})
        elif held.asked is not None and self.clock() - held.asked > STOP_SECONDS:
            self._driver.send({"do": "cancel", "key": held.key, "force": True})
            self._end(held, "killed")

    def _heed_room(self, held: _Held) -> None:
        waits = held.state == "pending" and not self._places(held.config)
        if waits and not held.homeless:
            self.tell(f"run {held.run.id} {self._hold(held, f'waits: {self._nowhere(held.config)}')}")
        held.homeless = waits

    def _hold(self, held: _Held, waits: str) -> str:
        """Say in the log of a run for what it waits, and with the beat that follows in its state."""
        self._note(held, waits, "WARNING")
        held.waits, held.beaten = waits, -HEARTBEAT_SECONDS
        return waits

    def _beat(self, held: _Held) -> None:
        if held.run.id in self._held and self.clock() - held.beaten >= HEARTBEAT_SECONDS:
            held.beaten = self.clock()
            runs.set_state(held.run, held.state, waits=held.waits)
            with contextlib.suppress(OSError):  # as in _note
                log.trim(held.run)

    def _fail(self, held: _Held, error: str, reason: Reason | None = None) -> None:
        if runs.stop_requested(held.run):
            self._end(held, "killed")
        else:
            self._end(held, "failed", error, reason)

    def _end(
        self, held: _Held, state: State, error: str | None = None, reason: Reason | None = None, *, say: bool = True
    ) -> None:
        del self._held[held.run.id]
        with held.lock:
            if not _is_there(held.run):
                return
            if say:
                said = state if error is None else f"{state}: {error}"
                self._note(held, said, state=state, error=error)
            runs.set_state(held.run, state, ended=time.time(), error=error, reason=reason)

    def _note(self, held: _Held, said: str, level: str = "INFO", **facts: Any) -> None:
        with contextlib.suppress(OSError, ValueError):  # a log that takes no line, as on a full disk, ends no run
            log.note(held.run, said, level, **facts)

    def _log(self, held: _Held, message: Message) -> None:
        with contextlib.suppress(OSError, ValueError):  # as in _note
            log.append(held.run, message.files.get(runs.LOG, b""))


def _is_there(run: Run) -> bool:
    """Whether its folder was neither moved nor deleted: nothing is written at the old place then."""
    return runs.is_run(run.home, run.id)
