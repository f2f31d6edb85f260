"""Run folders: create, list and delete them; read and write their files.

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
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING, Any, Literal

from tfbind import __version__
from tfbind.config import TrainConfig, parse_config
from tfbind.errors import Reason
from tfbind.nn import read_tensors
from tfbind.runs import files
from tfbind.runs.files import ACTIVE, FIGURES, Row, State, Status, StopRequest, is_row
from tfbind.store import (
    DAMAGED,
    MOST_BYTES,
    NOBODY,
    Busy,
    DamagedFile,
    Job,
    KeptFile,
    annotate_oserror,
    kept_file,
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

COUNTS = ("torch", "numpy")  # packages whose versions change results
RUN_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
NAME_LENGTH = 80
ENDED_OUTSIDE = "the process ended without a word: killed from outside, out of memory, or the machine went down"
MOVED = "moved or deleted while the run was active; where it is now, `resume` goes on after its last epoch"


CONFIG_FILE: KeptFile[dict[str, Any]] = kept_file(CONFIG, files.Config)
STATE_FILE: KeptFile[Status] = kept_file(STATE, Status)
LABELS_FILE: KeptFile[dict[str, Any]] = kept_file(LABELS, files.Labels)
PROGRESS_FILE: KeptFile[dict[str, Any]] = kept_file(PROGRESS, files.Progress)


@dataclass(frozen=True)
class Run(Job[Status]):
    """A run, by its folder: a job that trains."""

    state_file = STATE_FILE
    output = LOG

    @property
    def state(self) -> State:
        """Its state now: pending, running, finished, failed, crashed or killed."""
        return self.status().state

    def wait(self, timeout: float | None = None) -> State:
        """Wait until the run has ended, whether it succeeded or not.

        Args:
            timeout: seconds; None for as long as it takes.

        Returns:
            The final state: `finished`, `failed`, `crashed` or `killed`.

        Raises:
            TimeoutError: it has not ended within `timeout`.

        >>> run = tf.list_runs()[0]
        >>> run.wait(timeout=120)
        'finished'
        """
        if not self.wait_for_end(math.inf if timeout is None else timeout):
            raise TimeoutError(f"{self.kind} {self.id} is {self.state} after {timeout:g} seconds")
        return self.state

    def rows(self) -> "pd.DataFrame":
        """The finished epochs as a table.

        Returns:
            A row for each epoch: `epoch`, `train_loss`, `val_loss`, `val_pearsonr` (NaN where undefined), `seconds`
            and what else was measured.

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

    def status(self) -> Status:
        """The true status: an active run whose process is gone is `crashed`, or `killed` where a stop was requested;
        one whose state cannot be read is `crashed`, too."""
        try:
            return super().status()
        except ValueError as error:
            return Status(**asdict(NOBODY), state="crashed", error=str(error))

    def state_after_death(self, state: Status) -> Status:
        """What became of a run whose process died."""
        stopped = self.stop_requested()
        return replace(state, state="killed" if stopped else "crashed", error=None if stopped else ENDED_OUTSIDE)

    def set_state(self, state: State, **changes: Any) -> None:
        """Write the state, with this process as its owner. A damaged file is replaced.

        Args:
            state: the new state.
            changes: other fields of its `Status`; start, device and command stay as they are unless given here.
        """
        unchanged: dict[str, Any] = {}
        with contextlib.suppress(ValueError):
            status = self.read_state()
            unchanged = {"started": status.started, "device": status.device, "command": status.command}
        STATE_FILE.put(self.folder / STATE, asdict(owned_status(state)) | unchanged | changes)

    def check_idle(self) -> None:
        """Check that it can be resumed; Busy where it is active, ValueError where nothing is left to do."""
        if (state := self.state) in ACTIVE:
            raise Busy(f"{self.kind} {self.id} is {state} already")
        if state == "finished" and self.kind == "run":
            raise ValueError(
                f"run {self.id} is finished; `python -m tfbind train --from {self.id}` trains on from its weights"
            )

    def write_pending(self) -> None:
        """Write that it waits for a worker."""
        self.set_state("pending", ended=None, error=None)

    def write_unstarted(self, state: Literal["failed", "crashed"], error: str, reason: Reason | None = None) -> None:
        """Write that no worker comes."""
        self.set_state(state, ended=time.time(), error=error, reason=reason)

    def check_active(self) -> None:
        """Check that it can be stopped."""
        if (state := self.state) not in ACTIVE:
            kind = self.kind
            raise ValueError(f"{kind} {self.id} is {state}; only a pending or running {kind} can be stopped")

    def read_stop(self) -> StopRequest | None:
        """Read the request to stop; None where there is none."""
        if not self.stop_requested():
            return None
        return StopRequest.parse(self.stop_file.read_text(errors="replace"))


def new_id() -> str:
    """Generate a run id; ids sort by the time they were generated."""
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
    """Create the folder of a `pending` run, which this process owns until a worker takes it over.

    Args:
        home: the home that it is created in.
        config: its configuration, with device and threads resolved.
        id: its id; None for a new one.
        name: its name; "" for the default one.
        facts: what else belongs into `config.json`, such as the hash of the data set.
        parent: the finished run whose best weights this one starts from.
        command: the arguments of the command that trains it, None where there is none.

    Returns:
        The run.

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
    """Check that `id` can name the folder of a run or a sweep, and return it.

    Raises:
        ValueError: it has other characters, or too many.
    """
    if not RUN_ID.fullmatch(id):
        raise ValueError(f"run id {id!r}: expected lower-case letters, digits and '-', at most 64")
    return id


def default_name(config: TrainConfig) -> str:
    """The name of a run that was given none."""
    return f"{Path(config.dataset).name} lr {config.learning_rate:g}"[:NAME_LENGTH]


def checked_name(name: str) -> str:
    """Check the name of a run or a data set, and return it without outer white space.

    Raises:
        ValueError: it is empty, too long, or holds characters that do not print.
    """
    name = name.strip()
    if not 1 <= len(name) <= NAME_LENGTH or not name.isprintable():
        raise ValueError(f"name {name[:20]!r}: expected 1 to {NAME_LENGTH} printable characters")
    return name


def is_run(home: Path, id: str) -> bool:
    """Whether a home has a run with this id.

    Args:
        home: the home.
        id: any text.

    Returns:
        True where `id` is valid and its folder has a record.
    """
    return bool(RUN_ID.fullmatch(id)) and (home / "runs" / id / CONFIG).exists()


def find(home: Path, id: str) -> Run:
    """Find a run by its id.

    Args:
        home: the home.
        id: its id.

    Returns:
        The run.

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
    """The configuration of a run, with the device and threads resolved when it was created."""
    record = read_record(run)
    try:
        known = {field: record[field] for field in TrainConfig.model_fields if field in record}
        return parse_config({"shard_size": None} | known)  # runs from before it have none
    except ValueError as error:
        raise DamagedFile(run.folder / CONFIG, f"{error}; {DAMAGED}") from None


def read_record(run: Run) -> dict[str, Any]:
    """Read `config.json`: the hyperparameters and the provenance of the run."""
    return CONFIG_FILE.read(run.folder / CONFIG)


def training_windows(run: Run) -> int | None:
    """The number of training windows of a run, None where its record does not say."""
    return (read_record(run).get("split_windows") or {}).get("train")


def read_labels(run: Run) -> dict[str, Any]:
    """Read the name, tags and note of a run."""
    return LABELS_FILE.read(run.folder / LABELS)


def rename(run: Run, name: str) -> None:
    """Rename a run; its id stays.

    Args:
        run: the run.
        name: the new name.

    Raises:
        ValueError: the name cannot be used.
    """
    LABELS_FILE.write(run.folder / LABELS, {**read_labels(run), "name": checked_name(name)})


def owned_status(state: State) -> Status:
    """A status with this process as the owner."""
    return Status(state=state, **asdict(this_process()))


def waiting_before(run: Run, device: str) -> list[Run]:
    """The older runs that wait for the same device on this machine."""
    older = [other for other in list_runs(run.home) if other.id < run.id and not read_record(other).get("ray")]
    return [other for other in older if other.state == "pending" and read_config(other).device == device]


def append_row(run: Run, row: Row) -> None:
    """Append a finished epoch to `metrics.jsonl`, and wait until it is on the disk.

    Args:
        run: the run.
        row: the epoch's figures.
    """
    path = run.folder / METRICS
    with annotate_oserror(path), path.open("ab") as file:
        file.write(json.dumps(row, allow_nan=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_rows(run: Run) -> list[Row]:
    """Read the finished epochs of a run, in order, each once; a torn last line is left out.

    Raises:
        ValueError: a complete line is not the row of its epoch.
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
        if not is_row(row, epoch):
            raise DamagedFile(path, f"line {epoch} is not the row of epoch {epoch}; {DAMAGED}")
    return rows


def complete_rows(run: Run, rows: list[Row]) -> None:
    """Rewrite `metrics.jsonl` to the rows of a checkpoint.

    Args:
        run: the run.
        rows: the rows, in order.
    """
    write_chunks(run.folder / METRICS, (json.dumps(row).encode() + b"\n" for row in rows))


def best_row(rows: list[Row]) -> Row | None:
    """The epoch with the lowest val_loss, the first of equals."""
    return min(rows, key=lambda row: row["val_loss"], default=None)


def read_progress(run: Run) -> dict[str, Any]:
    """Read the progress within the current epoch and the use of the machine; {} before the first batch.

    Raises:
        ValueError: the file is damaged.
    """
    path = run.folder / PROGRESS
    return PROGRESS_FILE.read(path) if path.exists() else {}


def delete(run: Run) -> Path:
    """Move a run to the trash of its home.

    Raises:
        ValueError: the run is active.
    """
    if run.status().active:
        raise ValueError(f"run {run.id} is {run.state}; stop it first")
    return run.trash()


def active_on(home: Path, name: str, content_hash: str) -> list[str]:
    """Find the active runs that train on a data set.

    Args:
        home: the home of the runs.
        name: the data set's name, by which runs without a recorded hash are found.
        content_hash: the hash of its content.

    Returns:
        The ids of the runs, oldest first.
    """
    active = [run for run in list_runs(home) if run.status().active]
    return [run.id for run in active if _trains_on(read_record(run), name, content_hash)]


def _trains_on(record: dict[str, Any], name: str, content_hash: str) -> bool:
    recorded = record.get("dataset_hash")
    return recorded == content_hash if recorded else record["dataset"] == name
