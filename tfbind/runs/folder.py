"""The run folder: create it, append a row, read it, set its state, list all of them.

A run is `<home>/runs/<id>/`; every file name in it is spelled here and nowhere else. A reader needs no lock: what is
replaced is replaced atomically, rows are appended by one writer, and a torn last row is left out.
"""

import contextlib
import json
import math
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING, Any, Literal

from filelock import FileLock, Timeout

from tfbind import __version__
from tfbind.config import TrainConfig, parse_config
from tfbind.errors import Reason
from tfbind.nn import read_tensors
from tfbind.runs import models
from tfbind.runs.models import StopReason, StopRequest
from tfbind.store import (
    DAMAGED,
    MOST_BYTES,
    Busy,
    DamagedFile,
    KeptFile,
    ProcessIdentity,
    annotate_oserror,
    kept_file,
    move_to_trash,
    rename_exclusive,
    require_regular_file,
    scratch,
    this_process,
    write_chunks,
)

if TYPE_CHECKING:
    import pandas as pd

CONFIG = "config.json"  # TrainConfig and where the run came from; never rewritten
STATE = "state.json"  # Status; replaced as a whole
LABELS = "labels.json"  # name, tags, note: the only file that a page rewrites
METRICS = "metrics.jsonl"  # one row per finished epoch, appended by the worker alone
PROGRESS = "progress.json"  # within the epoch: batches done, running loss, speed, seconds left
INITIAL = "initial.safetensors"  # the weights to start from, of a run that continues another
BEST = "best.safetensors"  # the weights of the epoch with the lowest val_loss
VALIDATION = "validation.npz"  # that epoch's predictions on the validation windows
GRAPH = "model.onnx"  # the same weights as a graph that needs no torch, once the run has finished
CHECKPOINT = "last.ckpt"  # everything needed to go on after the last finished epoch
TEST = "test.json"  # what its best weights reached on the sealed test windows, once that was opened
FILTERS = "filters.json"  # what the filters of the first layer look for, once that was asked
LOG = "log.txt"  # what the worker said
WANDB = "wandb.json"  # what became of logging it to W&B
STOP = "stop"  # there when somebody asked the run to stop; a StopRequest

FIGURES = ("train_loss", "val_loss", "learning_rate", "seconds", "windows_per_second")  # numbers in every row
COUNTS = ("torch", "numpy")  # packages whose versions change results
State = Literal["pending", "running", "finished", "failed", "crashed", "killed"]
ACTIVE: tuple[State, ...] = ("pending", "running")
RUN_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
NAME_LENGTH = 80
LONGEST_EPOCH = 1e12  # seconds
LOOK_SECONDS = 0.1  # between two looks at a run that is waited for
LOCK_SECONDS = 0.5  # who only looks whether a lock is held has it for a moment
ENDED_OUTSIDE = "the process ended without a word: killed from outside, out of memory, or the machine went down"
MOVED = "moved or deleted while the run was active; where it is now, `resume` goes on after its last epoch"

Row = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One run folder. Nothing is cached: every function below reads the file it needs."""

    folder: Path

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def home(self) -> Path:
        return self.folder.parent.parent

    @property
    def kind(self) -> str:
        """`run`, or `sweep`, whose folder is kept by the same functions."""
        return self.folder.parent.name.removesuffix("s")

    @property
    def state(self) -> State:
        """Where it stands now: pending, running, finished, failed, crashed or killed."""
        return read_status(self).state

    def wait(self, timeout: float | None = None) -> State:
        """Wait until it has ended, well or not.

        Args:
            timeout: seconds; None for as long as it takes.

        Returns:
            How it has ended: `finished`, `failed`, `crashed` or `killed`.

        Raises:
            TimeoutError: it has not ended within `timeout`.

        >>> run = tf.list_runs()[0]
        >>> run.wait(timeout=120)
        'finished'
        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while read_status(self).active:
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{self.kind} {self.id} is {self.state} after {timeout:g} seconds")
            time.sleep(LOOK_SECONDS)
        return self.state

    def rows(self) -> "pd.DataFrame":
        """Its finished epochs.

        Returns:
            A row for each, in order: `epoch`, `train_loss`, `val_loss`, `val_pearsonr` (NaN where it is undefined),
            `seconds` and what else was measured.

        Raises:
            ValueError: the file is damaged.

        >>> run = tf.list_runs()[0]
        >>> run.rows()["epoch"].tolist()[0]
        1
        """
        import pandas as pd  # takes half a second, which no command waits for

        rows = read_rows(self)
        columns = list(rows[0]) if rows else ["epoch", *FIGURES, "val_pearsonr"]
        kinds = {name: "int64" if name == "epoch" else "float64" for name in columns}
        return pd.DataFrame(rows, columns=columns).astype(kinds)


@dataclass(frozen=True, kw_only=True)
class Status(ProcessIdentity):
    """Where a run stands, and which process owns it. Times are seconds since 1970.

    command: arguments of the command that the run was made by, or for: the same command takes it up.
    error: for a reader; what can be done is decided by `reason`.
    """

    state: State
    started: float | None = None
    ended: float | None = None
    device: str | None = None
    error: str | None = None
    command: list[str] | None = None
    reason: Reason | None = None
    waits: str | None = None  # for what a pending run on a cluster waits

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    @property
    def diverged(self) -> bool:
        """Whether it failed because a loss became NaN or infinite, which would only happen again."""
        return self.reason == "diverged"


CONFIG_FILE: KeptFile[dict[str, Any]] = kept_file(CONFIG, models.Config)
STATE_FILE: KeptFile[Status] = kept_file(STATE, Status)
LABELS_FILE: KeptFile[dict[str, Any]] = kept_file(LABELS, models.Labels)
PROGRESS_FILE: KeptFile[dict[str, Any]] = kept_file(PROGRESS, models.Progress)


def new_id() -> str:
    """A fresh run id; ids sort by the time they were made."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%d-%H%M%S}-{now.microsecond // 1000:03d}{secrets.token_hex(1)}"


def create(
    home: Path,
    config: TrainConfig,
    *,
    id: str | None = None,
    name: str = "",
    facts: Mapping[str, Any] | None = None,
    parent: Run | None = None,
    command: Sequence[str] | None = None,
) -> Run:
    """A new `pending` run that this process owns until a worker takes it over.

    Args:
        facts: what else belongs into `config.json`, such as the hash of the data set.
        parent: the finished run whose best weights this one starts from.
        command: the arguments of the command that takes it up, None where there is none.

    Raises:
        ValueError: the id or the name cannot be used, the id is taken, or the parent has no weights, or damaged ones.
    """
    run = Run(home / "runs" / checked_id(id or new_id()))
    libraries = {name: version(name) for name in COUNTS}
    record = {
        **config.model_dump(),
        "from": parent.id if parent else None,
        "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "versions": {"tfbind": __version__, "python": python_version(), **libraries},
        **(facts or {}),
    }
    with scratch(run.folder.parent, run.id) as draft:
        CONFIG_FILE.write(draft / CONFIG, record)
        labels = {"name": checked_name(name or default_name(config)), "tags": [], "note": ""}
        LABELS_FILE.write(draft / LABELS, labels)
        STATE_FILE.write(draft / STATE, replace(owned_status("pending"), command=list(command) if command else None))
        if parent:
            _copy_weights(parent, draft / INITIAL)
        if not rename_exclusive(draft, run.folder):
            raise ValueError(f"--id {run.id}: that run exists already")
    return run


def _copy_weights(parent: Run, target: Path) -> None:
    if not (parent.folder / BEST).exists():
        raise ValueError(f"--from {parent.id}: that run has no weights yet")
    read_tensors(parent.folder / BEST)  # damaged ones are refused here, not by the worker
    shutil.copyfile(parent.folder / BEST, target)


def checked_id(id: str) -> str:
    """`id`, if it can name the folder of a run or a sweep.

    Raises:
        ValueError: it has other characters, or too many.
    """
    if not RUN_ID.fullmatch(id):
        raise ValueError(f"run id {id!r}: expected lower-case letters, digits and '-', at most 64")
    return id


def default_name(config: TrainConfig) -> str:
    """What a run is called when nobody named it."""
    return f"{Path(config.dataset).name} lr {config.learning_rate:g}"[:NAME_LENGTH]


def checked_name(name: str) -> str:
    """`name` without outer white space, if it can name a run or a data set in a table.

    Raises:
        ValueError: it is empty, too long, or holds characters that do not print.
    """
    name = name.strip()
    if not 1 <= len(name) <= NAME_LENGTH or not name.isprintable():
        raise ValueError(f"name {name[:20]!r}: expected 1 to {NAME_LENGTH} printable characters")
    return name


def is_run(home: Path, id: str) -> bool:
    """Whether a home has a run with this id."""
    return bool(RUN_ID.fullmatch(id)) and (home / "runs" / id / CONFIG).exists()


def find(home: Path, id: str) -> Run:
    """The run with this id.

    Raises:
        ValueError: there is none.
    """
    if not is_run(home, id):
        raise ValueError(f"no run {id!r} in {home}; `python -m tfbind runs` lists them")
    return Run(home / "runs" / id)


def list_runs(home: Path) -> list[Run]:
    """All runs of a home, oldest first."""
    folders = sorted((home / "runs").iterdir()) if (home / "runs").is_dir() else []
    return [Run(folder) for folder in folders if is_run(home, folder.name)]


def read_config(run: Run) -> TrainConfig:
    """The configuration of a run, device and threads as they were settled when it was created."""
    record = read_record(run)
    try:
        return parse_config({field: record[field] for field in TrainConfig.model_fields if field in record})
    except ValueError as error:
        raise DamagedFile(run.folder / CONFIG, f"{error}; {DAMAGED}") from None


def read_record(run: Run) -> dict[str, Any]:
    """All of `config.json`: the hyperparameters and where the run came from."""
    return CONFIG_FILE.read(run.folder / CONFIG)


def training_windows(run: Run) -> int | None:
    """Return how many windows a run trains on, None where its record does not say."""
    return (read_record(run).get("split_windows") or {}).get("train")


def read_labels(run: Run) -> dict[str, Any]:
    """Name, tags and note of a run."""
    return LABELS_FILE.read(run.folder / LABELS)


def rename(run: Run, name: str) -> None:
    """Give a run another name; its id stays."""
    LABELS_FILE.write(run.folder / LABELS, {**read_labels(run), "name": checked_name(name)})


def read_status(run: Run) -> Status:
    """Where a run really stands: one that should be active and whose process is gone is `crashed`, or `killed`
    when somebody had asked it to stop. One whose state cannot be read is `crashed` too."""
    try:
        status = read_state(run)
    except ValueError as problem:
        return Status(pid=0, process_started=0.0, host="", heartbeat=0.0, state="crashed", error=str(problem))
    if not status.active or status.alive:
        return status
    stopped = stop_requested(run)
    error = None if stopped else ENDED_OUTSIDE
    return replace(status, state="killed" if stopped else "crashed", error=error)


def read_state(run: Run) -> Status:
    """The state of a run as it was last written; a ValueError says that the file is missing or damaged."""
    return STATE_FILE.read(run.folder / STATE)


def set_state(run: Run, state: State, **changes: Any) -> None:
    """Set the state of a run, with this process as its owner.

    One that is damaged was told as such, and is made good: what the run has learnt lies elsewhere.
    """
    kept: dict[str, Any] = {}
    with contextlib.suppress(ValueError):
        before = read_state(run)
        kept = {"started": before.started, "device": before.device, "command": before.command}
    STATE_FILE.put(run.folder / STATE, asdict(owned_status(state)) | kept | changes)


def owned_status(state: State) -> Status:
    """A status whose owner is this process."""
    return Status(state=state, **asdict(this_process()))


def waiting_before(run: Run, device: str) -> list[Run]:
    """The older runs that wait for the same device of this machine."""
    older = [other for other in list_runs(run.home) if other.id < run.id and not read_record(other).get("ray")]
    return [other for other in older if read_status(other).state == "pending" and read_config(other).device == device]


def request_stop(run: Run, reason: StopReason = StopReason.ASKED, detail: str = "") -> None:
    """Ask the worker to stop; it keeps the best weights and all finished epochs."""
    write_chunks(run.folder / STOP, [str(StopRequest(reason, detail)).encode()])


def clear_stop(run: Run) -> None:
    """Forget an earlier request to stop."""
    (run.folder / STOP).unlink(missing_ok=True)


def stop_requested(run: Run) -> bool:
    """Whether somebody asked the run to stop."""
    return (run.folder / STOP).exists()


def read_stop(run: Run) -> StopRequest | None:
    """The request to stop; None when nobody asked."""
    if not stop_requested(run):
        return None
    text = (run.folder / STOP).read_text(errors="replace")
    reason, _, detail = text.partition(": ")
    try:
        return StopRequest(StopReason(reason), detail)
    except ValueError:  # what another program wrote
        return StopRequest(detail=text)


@contextlib.contextmanager
def worker_lock(run: Run) -> Iterator[None]:
    """Hold the right to write into a run, which one process has at a time.

    Raises:
        Busy: another process has it.
    """
    path = run.home / "locks" / f"{run.kind}-{run.id}.lock"
    path.parent.mkdir(exist_ok=True)
    try:
        with FileLock(path, timeout=LOCK_SECONDS):
            yield
    except Timeout:
        raise Busy(f"{run.kind} {run.id}: another process is working on it") from None


def append_row(run: Run, row: Row) -> None:
    """Add one finished epoch. The line reaches the disk before this returns."""
    path = run.folder / METRICS
    with annotate_oserror(path), path.open("ab") as file:
        file.write(json.dumps(row, allow_nan=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_rows(run: Run) -> list[Row]:
    """The finished epochs of a run, in order, each there once.

    Raises:
        ValueError: a complete line is not the row that has to be there.
    """
    path = run.folder / METRICS
    try:
        text = require_regular_file(path, MOST_BYTES).read_bytes() if path.exists() else b""
    except OSError as error:
        raise DamagedFile(path, f"cannot be read ({error.strerror})") from None
    try:
        lines = text.split(b"\n")[:-1]
        rows = json.loads(b"[" + b",".join(lines) + b"]", parse_constant=float)  # one call: half the time of many
    except (ValueError, RecursionError):
        raise DamagedFile(path, f"a line is not JSON; {DAMAGED}") from None
    for epoch, row in enumerate(rows, start=1):
        if not _is_row(row, epoch):
            raise DamagedFile(path, f"line {epoch} is not the row of epoch {epoch}; {DAMAGED}")
    return rows


def _is_row(row: Any, epoch: int) -> bool:
    if not isinstance(row, dict) or row.get("epoch") != epoch or "val_pearsonr" not in row:
        return False
    values = row.values()
    if not {int, float, type(None)}.issuperset(map(type, values)) or None in map(row.get, FIGURES):
        return False
    small = all(abs(value) < 2**63 for value in values if isinstance(value, int))
    if not small or row["seconds"] > LONGEST_EPOCH or not math.isfinite(sum(filter(None, values))):
        return False
    return min(row[name] for name in FIGURES) >= 0


def complete_rows(run: Run, rows: list[Row]) -> None:
    """Bring `metrics.jsonl` level with `rows`, those of the checkpoint, whatever has become of it since."""
    write_chunks(run.folder / METRICS, (json.dumps(row).encode() + b"\n" for row in rows))


def best_row(rows: list[Row]) -> Row | None:
    """The epoch with the lowest val_loss, the first of equals."""
    return min(rows, key=lambda row: row["val_loss"], default=None)


def read_progress(run: Run) -> dict[str, Any]:
    """How far the current epoch is, and what the run takes of its machine; {} before the first batch.

    Raises:
        ValueError: the file is damaged.
    """
    path = run.folder / PROGRESS
    return PROGRESS_FILE.read(path) if path.exists() else {}


def summary(run: Run) -> dict[str, Any]:
    """What a table shows of a run. Figures of the best epoch are None before the first one ends."""
    status, rows = read_status(run), read_rows(run)
    best = best_row(rows) or {}
    return {
        "id": run.id,
        "name": read_labels(run)["name"],
        "state": status.state,
        "error": status.error,
        "config": read_record(run),
        "epochs": len(rows),
        "best_epoch": best.get("epoch"),
        "val_loss": best.get("val_loss"),
        "val_pearsonr": best.get("val_pearsonr"),
        "seconds": sum(row["seconds"] for row in rows),
    }


def delete(run: Run) -> Path:
    """Move a run to the trash of its home.

    Raises:
        ValueError: the run is active.
    """
    if read_status(run).active:
        raise ValueError(f"run {run.id} is {read_status(run).state}; stop it first")
    return move_to_trash(run.home, run.folder, run.id)


def active_on(home: Path, name: str, content_hash: str) -> list[str]:
    """Return the ids of the active runs that learn from the data set `name`, or from one with the same content."""
    active = [run for run in list_runs(home) if read_status(run).active]
    return [run.id for run in active if _learns_from(read_record(run), name, content_hash)]


def _learns_from(record: dict[str, Any], name: str, content_hash: str) -> bool:
    known = record.get("dataset_hash")
    return known == content_hash if known else record["dataset"] == name
