"""The process that is connected to Ray, and the only module that imports it: a child of the one that asked for it.

It hands tasks to the cluster and passes on what they say, until its standard input ends.
"""

import contextlib
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import ray
from ray import ObjectRef, ObjectRefGenerator
from ray.exceptions import (
    LocalRayletDiedError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayError,
    RayTaskError,
    RuntimeEnvSetupError,
    TaskCancelledError,
    TaskUnschedulableError,
    WorkerCrashedError,
)
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tfbind import runs
from tfbind.cluster import task as ray_task
from tfbind.cluster.protocol import LOST, Message, check_reachable, read_message, write_message
from tfbind.config import PACKAGE
from tfbind.data import open_training_data
from tfbind.runs import Run
from tfbind.scoring import THREADS, Batch, ScoringOptions
from tfbind.store import format_error

POLL_SECONDS = 0.2
NODES_SECONDS = 2.0
ANSWER_SECONDS = 20.0  # a head answers in milliseconds, even on a busy machine
END_SECONDS = 5.0
BUSY_SECONDS = 3.0  # what has just ended is still told as busy
LOSSES = {  # of a worker, in words: Ray's own go on about its log files
    OutOfMemoryError: "its node had no memory left",
    WorkerCrashedError: "its process was killed or crashed",
    NodeDiedError: "its node is gone",
    LocalRayletDiedError: "Ray has ended on its node",
    ObjectLostError: "its data were on a node that is gone",
}
Task: TypeAlias = ObjectRefGenerator | ObjectRef
RESUME_FILES = (runs.INITIAL, runs.BEST, runs.VALIDATION, runs.CHECKPOINT)  # what a run goes on from


@ray.remote
def _train(*job: Any) -> Iterator[ray_task.Event]:
    yield from ray_task.train(ray.get_runtime_context().get_node_id(), *job)


@ray.remote(num_cpus=1)
def _score(*job: Any) -> bytes:
    return ray_task.score(*job).tobytes()


@ray.remote(num_cpus=0)
def _end(process: dict[str, Any]) -> None:
    ray_task.end(process)


class Tasks:
    """The tasks under way, by the key that the parent gave them."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._active: dict[Task, str] = {}
        self._model: tuple[ObjectRef, ...] = ()
        self._data: dict[str, list[ObjectRef]] = {}  # arrays of each data set by hash, put there once
        self._processes: dict[str, tuple[str, dict[str, Any]]] = {}  # node and process of each task that trains
        self._cancelled: set[str] = set()
        self._restarts: dict[str, Callable[[], Task]] = {}  # what starts those anew that are on no known node
        self._ending: list[ObjectRef] = []
        self._blocked: dict[str, tuple[float, float, float]] = {}  # since when others leave no room, CPUs, GPUs

    def __len__(self) -> int:
        return len(self._active)

    def train(self, message: Message) -> None:
        """Have a run trained, from where its folder stands."""
        job = message.facts
        run = Run(Path(job["folder"]))
        try:
            record = runs.read_record(run)
            files = {name: (run.folder / name).read_bytes() for name in RESUME_FILES if (run.folder / name).exists()}
            arrays = self._arrays(run.home, record)
        except (ValueError, OSError, RayError) as error:
            self._send(job["key"], {"event": "failed", "error": _one_line(error)})
            return
        task = _train.options(
            num_cpus=job["cpus"],
            num_gpus=job["gpus"],
            num_returns="streaming",
            max_retries=0,
            scheduling_strategy="SPREAD",
            name=f"tfbind {run.id}",
        )
        self._note_if_full(job["key"], job["cpus"], job["gpus"])
        self._start(job["key"], partial(task.remote, run.id, record, files, *arrays))

    def _note_if_full(self, key: str, cpus: float = 1, gpus: float = 0) -> None:
        if _full(cpus, gpus):
            self._blocked[key] = time.monotonic(), cpus, gpus

    def _start(self, key: str, start: Callable[[], Task]) -> None:
        self._restarts[key] = start
        self._active[start()] = key

    def _arrays(self, home: Path, record: dict[str, Any]) -> list[ObjectRef]:
        hash = record.get("dataset_hash")
        if hash not in self._data:
            data = open_training_data(home, record)
            hash = data.hash
            self._data[hash] = [ray.put(array[:]) for array in (data.names, data.codes, data.scores)]
        return self._data[hash]

    def model(self, message: Message) -> None:
        """Have batches scored by this model from now on."""
        options = ScoringOptions(**message.facts["options"])
        self._model = tuple(map(ray.put, (message.facts["name"], list(message.files.values()), options)))

    def score(self, message: Message) -> None:
        """Have a batch scored; on another node if one is lost."""
        job, codes = message.facts, np.frombuffer(message.files["codes"], np.uint8)
        if not self._active:  # else it is its own batches that have the CPUs
            self._note_if_full(job["key"])
        name, members, options = self._model
        batch = Batch(codes, job["lengths"], job["first"], job["last"])
        self._start(job["key"], partial(_score.remote, name, members, batch, options))

    def cancel(self, message: Message) -> None:
        """End a task: after the batch in hand, or at once where that is not listened to."""
        job = message.facts
        self._cancelled.add(job["key"])
        for task, key in self._active.items():
            if key == job["key"]:
                ray.cancel(task, force=job["force"])
        if job["force"] and job["key"] in self._processes:
            # A process that is stopped does not hear Ray, and would keep its CPU for as long as the cluster lives.
            node, process = self._processes[job["key"]]
            node_affinity = NodeAffinitySchedulingStrategy(node, soft=False)
            self._ending.append(_end.options(scheduling_strategy=node_affinity).remote(process))

    def finish(self) -> None:
        """Wait a little for the processes that are being killed."""
        if self._ending:
            ray.wait(self._ending, num_returns=len(self._ending), timeout=END_SECONDS / 2)

    def poll(self) -> None:
        """Pass on what the next task has to say, if one has within the time."""
        for task in self._ready(1, POLL_SECONDS):
            key = self._active[task]
            self._blocked.pop(key, None)
            try:
                if isinstance(task, ObjectRef):
                    self._send(key, {"event": "scores"}, {"scores": ray.get(task)})
                    self._forget(task)
                    continue
                facts, files = ray.get(next(task))
                if "process" in facts:
                    self._processes[key] = facts["node"], facts.pop("process")
                    self._restarts.pop(key, None)
                self._send(key, _with_address(facts), files)
                if facts["event"] != "end":
                    continue
            except StopIteration:
                self._send(key, {"event": "lost", "error": "it ended without a word"})
            except RayError as error:
                self._send(key, _ending_event(error))
            self._forget(task)

    def report_blocked(self) -> None:
        """Say once of each task that others left no room for, when that has kept it from its work for seconds."""
        for key, (since, cpus, gpus) in list(self._blocked.items()):
            if time.monotonic() - since >= BUSY_SECONDS:
                del self._blocked[key]
                if _full(cpus, gpus):
                    self._send(key, {"event": "waits"})

    def _ready(self, number: int, seconds: float) -> list[Task]:
        """So many tasks that have something to say, or all that have after so long."""
        # The stream of a cancelled task is over before the task is; asked for more, it waits for that without limit.
        awaited = {
            task.completed() if isinstance(task, ObjectRefGenerator) and key in self._cancelled else task: task
            for task, key in self._active.items()
        }
        ready, _ = ray.wait(list(awaited), num_returns=number, timeout=seconds)
        return [awaited[task] for task in ready]

    def _forget(self, task: Task) -> None:
        self._restarts.pop(self._active.pop(task), None)

    def leave(self, living: Collection[str], *, fewer: bool) -> None:
        """Wait no longer for nodes that are not among the `living`; `fewer`: one has just gone.

        Of a node that stands still, or lost its power, Ray knows after a minute that it is gone, and waits on for
        its tasks all the same. What is not known to be elsewhere may be there, and is started anew.
        """
        ready = self._ready(len(self), 0.0)
        for task, key in list(self._active.items()):
            node, _ = self._processes.get(key, ("", None))
            if task in ready or node in living:
                continue
            if node or key in self._cancelled:
                self._send(key, {"event": "lost", "error": LOSSES[NodeDiedError]})
                self._forget(task)
            elif fewer:
                ray.cancel(task)
                del self._active[task]
                self._start(key, self._restarts[key])

    def _send(self, key: str, facts: Mapping[str, Any], files: Mapping[str, bytes] | None = None) -> None:
        write_message(self._out, {"key": key, **facts}, files)


def _full(cpus: float, gpus: float) -> bool:
    """Whether fewer of them are free in the cluster."""
    free = ray.available_resources()
    return bool(free.get("CPU", 0.0) < cpus or free.get("GPU", 0.0) < gpus)


def _with_address(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts whose `node` is an address instead of an id."""
    if "node" not in facts:
        return facts
    addresses = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes()}
    return {**facts, "node": addresses.get(facts["node"], facts["node"])}


def _ending_event(error: RayError) -> dict[str, str]:
    """How a task has ended that did not end by itself: `stopped`, `failed` by its own fault, or `lost`."""
    if isinstance(error, TaskCancelledError):
        return {"event": "stopped"}
    if isinstance(error, RayTaskError):
        return {"event": "failed", "error": f"{type(error.cause).__name__}: {_one_line(error.cause)}"}
    if isinstance(error, RuntimeEnvSetupError | TaskUnschedulableError):
        return {"event": "failed", "error": _one_line(error)}
    reasons = (words for kind, words in LOSSES.items() if isinstance(error, kind))
    return {"event": "lost", "error": next(reasons, type(error).__name__)}


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:300]


def connect(address: str) -> str:
    """Join the cluster, whose nodes get the code of this project, and return the id of the node that is joined here.

    Raises:
        OSError: nothing listens there, or Ray refuses.
    """
    try:
        check_reachable(address)
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level="ERROR",
            runtime_env={"py_modules": [str(PACKAGE)], "env_vars": {THREADS: "1"}},
        )
    except (RayError, RuntimeError, ValueError) as error:
        raise ConnectionError(_one_line(error)) from error
    return str(ray.get_runtime_context().get_node_id())


def nodes() -> dict[str, tuple[float, float]]:
    """CPUs and GPUs of each node that lives, by its id."""
    living = {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}
    return {id: (resources.get("CPU", 0.0), resources.get("GPU", 0.0)) for id, resources in living.items()}


def watch(node: str, every: float = NODES_SECONDS, patience: float = ANSWER_SECONDS) -> None:
    """End this process when the head does not answer any more, or knows that Ray on this node is gone: Ray itself
    takes a minute to, or waits without limit."""
    while True:
        time.sleep(every)
        alarm = threading.Timer(patience, os._exit, (LOST,))
        alarm.daemon = True
        alarm.start()
        if node not in nodes():
            os._exit(LOST)
        alarm.cancel()


def serve(inbox: "queue.SimpleQueue[Message | None]", out: BinaryIO) -> None:
    """Do what the parent says, until it has no more to say."""
    tasks, alive = Tasks(out), nodes()
    write_message(out, {"nodes": list(alive.values())})
    actions = {"train": tasks.train, "model": tasks.model, "score": tasks.score, "cancel": tasks.cancel}
    last_look = time.monotonic()
    while True:
        with contextlib.suppress(queue.Empty):
            while message := inbox.get(timeout=0 if len(tasks) else POLL_SECONDS):
                actions[message.facts["do"]](message)
            tasks.finish()
            return
        if len(tasks):
            tasks.poll()
        if time.monotonic() - last_look >= NODES_SECONDS:
            last_look, before, alive = time.monotonic(), alive, nodes()
            tasks.report_blocked()
            if alive != before:
                write_message(out, {"nodes": list(alive.values())})
            if len(tasks):
                tasks.leave(alive, fewer=bool(before.keys() - alive.keys()))


def main() -> int:
    """Serve the parent; what Ray prints goes to standard error."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as out:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        inbox: queue.SimpleQueue[Message | None] = queue.SimpleQueue()

        def listen() -> None:
            while message := read_message(sys.stdin.buffer):
                inbox.put(message)
            inbox.put(None)
            time.sleep(END_SECONDS)
            os._exit(1)  # Ray waits long for a head that is gone, or is none

        threading.Thread(target=listen, daemon=True).start()
        try:
            node = connect(sys.argv[1])
        except OSError as error:
            write_message(out, {"refused": format_error(error)})
            return 1
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Ray's own way ends as when it has lost its cluster
        threading.Thread(target=watch, args=(node,), daemon=True).start()
        serve(inbox, out)
        ray.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
