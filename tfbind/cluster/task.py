"""What a node of a cluster does: train a run, score DNA; and the caller's side of scoring. Nothing here imports Ray.

A run is trained by the code that trains it locally, in a home of its own that is gone afterwards. What that code
writes is handed over as it is written: the caller has all of an epoch, or nothing. For scoring, batches go out as
tasks, and their scores come back in order.
"""

import os
import queue
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from tfbind import runs
from tfbind.cluster.protocol import Driver
from tfbind.dna import Codes
from tfbind.runs import Row, Run, Worker
from tfbind.scoring import Batch, Model, ScoreBatches, Scores, ScoringOptions, make_model, read_members, score_batch
from tfbind.store import ProcessIdentity, mtime_ns, set_private_umask, this_process

AHEAD = 2  # batches under way for each CPU: one that is scored, one on its way
WAIT_SECONDS = 1.0
LOOK_SECONDS = 0.5  # a request to stop is seen so late at most
PREFIX = "tfbind-ray-"
PROGRESS_SECONDS = 2.0  # between two reports: hundreds of runs may report to one process

Files = dict[str, bytes]
Event = tuple[dict[str, Any], Files]


@contextmanager
def scorer(
    address: str, home: Path, names: str, options: ScoringOptions, on_waiting: Callable[[str], None]
) -> Iterator[ScoreBatches]:
    """A function that scores batches on a Ray cluster.

    Args:
        address: of the head of the cluster.
        home: where runs and models are kept.
        names: the members of the model, with commas between them.
        options: how batches are scored.
        on_waiting: gets one line when other work has taken all CPUs of the cluster.

    Raises:
        ValueError: Ray is not installed, or the address or the model is none.
        OSError: there is no cluster, or it is lost while it scores.
    """
    members = {str(number): save(dict(weights)) for number, weights in enumerate(read_members(home, names))}
    driver = Driver(address)
    try:
        driver.send({"do": "model", "name": names, "options": asdict(options)}, members)
        yield lambda batches: _scores(driver, batches, on_waiting)
    finally:
        driver.close()


def _scores(driver: Driver, batches: Iterable[Batch], on_waiting: Callable[[str], None]) -> Iterator[Scores]:
    finished: dict[int, Scores] = {}
    sent = taken = 0
    for batch in batches:
        job = {"do": "score", "key": str(sent), "lengths": batch.lengths, "first": batch.first, "last": batch.last}
        driver.send(job, {"codes": batch.codes.tobytes()})
        sent += 1
        while sent - taken >= AHEAD * max(1, _cpus(driver)):
            yield _next(driver, finished, taken, on_waiting)
            taken += 1
    while taken < sent:
        yield _next(driver, finished, taken, on_waiting)
        taken += 1


def _cpus(driver: Driver) -> int:
    return sum(int(cpus) for cpus, _ in driver.nodes)


def _next(driver: Driver, finished: dict[int, Scores], number: int, on_waiting: Callable[[str], None]) -> Scores:
    while number not in finished:
        if not _cpus(driver):
            raise OSError(
                f"no node of the Ray cluster at {driver.address} has a CPU; with one, the same command goes on"
            )
        message = driver.receive(WAIT_SECONDS)
        if message is None or "key" not in message.facts:
            continue
        if message.facts["event"] == "waits":
            cluster = f"the Ray cluster at {driver.address}"
            on_waiting(f"waits for a free CPU of {cluster}, which has {_cpus(driver)}; goes on by itself")
            continue
        if message.facts["event"] != "scores":
            reason = message.facts.get("error", message.facts["event"])
            raise OSError(f"the Ray cluster at {driver.address} did not score a piece: {reason}")
        finished[int(message.facts["key"])] = np.frombuffer(message.files["scores"], np.float32)
    return finished.pop(number)


@dataclass(frozen=True)
class Arrays:
    """A data set as it comes from elsewhere: names (N,), codes (N, L), scores (N, L)."""

    names: NDArray[np.bytes_]
    codes: Codes
    scores: NDArray[np.float32]


def train(
    node: str,
    id: str,
    record: Mapping[str, Any],
    files: Mapping[str, bytes],
    names: NDArray[np.bytes_],
    codes: Codes,
    scores: NDArray[np.float32],
) -> Iterator[Event]:
    """Train a run to its end and hand over what happens: `running`, `progress`, `row`, at last `end`.

    Args:
        node: what the run is to call this node.
        record: its `config.json`.
        files: the files of its folder to go on from, by name.
    """
    set_private_umask()  # Ray starts its processes itself
    _remove_abandoned()
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        run = Run(Path(folder) / "runs" / id)
        run.folder.mkdir(parents=True)
        runs.STATE_FILE.write(run.folder / runs.STATE, runs.owned_status("pending"))
        runs.CONFIG_FILE.write(run.folder / runs.CONFIG, record)
        for name, content in files.items():
            (run.folder / name).write_bytes(content)
        reporter = _Reporter(run)
        worker = Worker(run, reporter.progress, reporter.row, data=Arrays(names, codes, scores))
        thread = threading.Thread(target=lambda: reporter.end(worker.work()))
        thread.start()
        try:
            process = asdict(this_process())
            yield {"event": "running", "node": node, "process": process, "torch": version("torch")}, {}
            yield from reporter.events(thread)
        finally:  # also when the caller wants no more
            run.request_stop()
            thread.join()


def _remove_abandoned() -> None:
    """Delete what tasks of this node that were killed left behind."""
    for config in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/runs/*/{runs.CONFIG}"):
        run = Run(config.parent)
        if not run.status().alive:
            shutil.rmtree(run.home, ignore_errors=True)


def end(process: Mapping[str, Any]) -> None:
    """Kill a process of this node that trains, as `running` named it."""
    owner = ProcessIdentity(**process)
    if owner.alive:
        os.kill(owner.pid, signal.SIGKILL)


def score(name: str, members: Sequence[bytes], batch: Batch, options: ScoringOptions) -> Scores:
    """The scores of a batch, by the model with these members, each a file of weights."""
    return score_batch(_model(name, tuple(members)), options, batch)


@lru_cache(maxsize=1)
def _model(name: str, members: tuple[bytes, ...]) -> Model:
    return make_model(name, [load(weights) for weights in members])


@dataclass
class _Reporter:
    """Turns what a worker tells into events; called in the worker's thread, between two of its writes."""

    run: Run
    _events: "queue.SimpleQueue[Event]" = field(default_factory=queue.SimpleQueue)
    _seen: dict[str, int] = field(default_factory=dict)
    _reported: float = 0.0

    def __post_init__(self) -> None:
        self._changed(runs.BEST, runs.VALIDATION)

    def progress(self, progress: dict[str, Any]) -> None:
        now = time.monotonic()
        if self._reported and now - self._reported < PROGRESS_SECONDS:
            return
        first_rows = {} if self._reported else {"rows": runs.read_rows(self.run)}
        self._reported = now
        self._events.put(({"event": "progress", "progress": progress, **first_rows}, self._log()))

    def row(self, row: Row) -> None:
        files = self._changed(runs.BEST, runs.VALIDATION, runs.CHECKPOINT)
        self._events.put(({"event": "row", "row": row}, files | self._log()))

    def end(self, state: str) -> None:
        status = self.run.status()
        facts = {"event": "end", "state": state, "error": status.error, "reason": status.reason}
        self._events.put((facts, self._changed(runs.GRAPH) | self._log()))

    def events(self, thread: threading.Thread) -> Iterator[Event]:
        """All events up to the end.

        Raises:
            RuntimeError: the thread has ended without one.
        """
        last = False
        while not last:
            try:
                event = self._events.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                if not thread.is_alive() and self._events.empty():
                    raise RuntimeError("the worker ended without a word") from None
                continue
            yield event
            last = event[0]["event"] == "end"

    def _changed(self, *names: str) -> Files:
        """Those of the files that were written since they were asked for last."""
        changed = {}
        for name in names:
            path = self.run.folder / name
            stamp = mtime_ns(path)
            if stamp != self._seen.get(name, 0):
                changed[name] = path.read_bytes()
                self._seen[name] = stamp
        return changed

    def _log(self) -> Files:
        """What was added to the log."""
        with (self.run.folder / runs.LOG).open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(min(self._seen.get(runs.LOG, 0), end))  # it is shorter than before when its middle was cut out
            added = file.read()
            self._seen[runs.LOG] = file.tell()
        return {runs.LOG: added} if added else {}
