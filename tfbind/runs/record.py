"""Records of runs, local or from W&B: settings, rows, and the predictions of the best epoch."""

import io
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tokenize import TokenError
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfbind.runs import folder
from tfbind.runs.files import Row
from tfbind.runs.folder import Run
from tfbind.store import atomic, require_regular_file

Source = Literal["local", "wandb", "offline"]
Stamp = tuple[int, ...]

FILES = (folder.CONFIG, folder.LABELS, folder.STATE, folder.METRICS, folder.VALIDATION)  # what a record is read from
TAG_LENGTH, NOTE_LENGTH = 40, 500
UNREADABLE = (  # what NumPy and zipfile raise on bytes that are no such file
    AttributeError,
    EOFError,
    KeyError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TokenError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class RunRecord:
    """A run with its rows, one for each epoch, in order.

    `key` is unique among all runs that are compared. `group` is the sweep or project it belongs to, "" if none, and
    `server` the address of the W&B server that it was pulled from: others may have runs and sweeps of the same ids.
    `config` has this project's names. `sampled`: the curve was thinned by the server, and the rows are not all there
    are. `last_only`: no curve is known, and `rows` is one row of the last values, whose epoch says nothing.
    `figures` are values of the run as a whole, which belong to no epoch; `assumed` says what was taken for granted
    when the rows were made from what another program logged.
    `validation` is the file with predictions on the validation windows of the best epoch, None where there is none.
    """

    key: str
    id: str
    name: str
    state: str
    source: Source
    group: str
    config: dict[str, Any]
    rows: list[Row]
    created: str = ""
    sampled: bool = False
    last_only: bool = False
    server: str = ""
    tags: list[str] = field(default_factory=list)
    note: str = ""
    error: str | None = None
    validation: Path | None = None
    figures: dict[str, float] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()


def read_run_record(run: Run) -> RunRecord:
    """Read the record of a local run.

    Raises:
        ValueError: its folder is damaged.
    """
    record, labels, status = folder.read_record(run), folder.read_labels(run), run.status()
    windows = run.folder / folder.VALIDATION
    return RunRecord(
        key=run.id,
        id=run.id,
        name=labels["name"],
        state=status.state,
        source="local",
        group=record.get("sweep") or "",
        config=record,
        rows=folder.read_rows(run),
        created=record["created"],
        tags=labels["tags"],
        note=labels["note"],
        error=status.error,
        validation=windows if windows.exists() else None,
    )


def stamp(run: Run) -> Stamp:
    """The times at which the files of a run were written: while they stay the same, so does its record, but for a
    process that has died."""
    return tuple(atomic.mtime_ns(run.folder / name) for name in FILES)


def read_run_records(
    home: Path, read: Callable[[Run], RunRecord] = read_run_record
) -> tuple[list[RunRecord], list[str]]:
    """Read the records of the runs of a home.

    Args:
        home: the home.
        read: reads the record of a run.

    Returns:
        The records, newest first, and a line for each run that cannot be read.
    """
    records, problems = [], []
    for run in reversed(folder.list_runs(home)):
        try:
            records.append(read(run))
        except (ValueError, OSError) as error:  # a disk or a network may fail, too
            problems.append(atomic.format_error(error))
    return records, problems


def summary(run: Run) -> dict[str, Any]:
    """The columns of a run in a table; those of its best epoch are None before the first one ends."""
    status, rows = run.status(), folder.read_rows(run)
    best = folder.best_row(rows) or {}
    return {
        "id": run.id,
        "name": folder.read_labels(run)["name"],
        "state": status.state,
        "error": status.error,
        "config": folder.read_record(run),
        "epochs": len(rows),
        "best_epoch": best.get("epoch"),
        "val_loss": best.get("val_loss"),
        "val_pearsonr": best.get("val_pearsonr"),
        "seconds": sum(row["seconds"] for row in rows),
    }


def annotate(run: Run, tags: str, note: str) -> None:
    """Replace the tags (comma-separated) and the note of a run.

    Raises:
        ValueError: a tag or the note is too long, or holds characters that do not print.
    """
    names = list(dict.fromkeys(name for tag in tags.split(",") if (name := tag.strip())))
    for name in names:
        if len(name) > TAG_LENGTH or not name.isprintable():
            raise ValueError(f"tag {name[:20]!r}: expected at most {TAG_LENGTH} printable characters")
    text = " ".join(note.split())
    if len(text) > NOTE_LENGTH or not text.isprintable():
        raise ValueError(f"note {text[:20]!r}: expected at most {NOTE_LENGTH} printable characters")
    folder.LABELS_FILE.write(run.folder / folder.LABELS, {**folder.read_labels(run), "tags": names, "note": text})


class ValidationPredictions(NamedTuple):
    """The validation `windows`, (M,) indices into the data; their `predictions` (M, L), `loss` and `pearson` (M,)."""

    windows: NDArray[np.int64]
    predictions: NDArray[np.float16]
    loss: NDArray[np.float32]
    pearson: NDArray[np.float32]


KINDS = (np.int64, np.float16, np.float32, np.float32)
MEMBERS = [f"{name}.npy" for name in ValidationPredictions._fields]


def pack_validation(
    windows: NDArray[Any], predictions: NDArray[Any], loss: NDArray[Any], pearson: NDArray[Any]
) -> bytes:
    """The bytes of a file of validation predictions."""
    with np.errstate(over="ignore"):  # beyond 65,504 a prediction is kept as infinite: such a model is beyond use
        halves = predictions.astype(np.float16)
    arrays = ValidationPredictions(
        windows.astype(np.int64), halves, loss.astype(np.float32), pearson.astype(np.float32)
    )
    buffer = io.BytesIO()
    np.savez(buffer, **arrays._asdict())
    return buffer.getvalue()


def read_validation(path: Path, windows: int, length: int) -> ValidationPredictions:
    """Read the validation predictions in a file.

    Args:
        path: the file.
        windows: windows of the data set.
        length: bases of a window.

    Returns:
        The validation windows with their predictions.

    Raises:
        ValueError: the file is missing, damaged, or that of other data.
    """
    try:
        with require_regular_file(path).open("rb") as file, np.load(file, allow_pickle=False) as saved:
            members = saved.zip.infolist()
            names = [member.filename for member in members if member.compress_type == zipfile.ZIP_STORED]
            if names != MEMBERS or len(members) > len(names):  # else a small file may hold gigabytes
                raise _damaged(path)
            if saved.zip.testzip():  # first: NumPy may read what has changed as anything
                raise _damaged(path)
            held = ValidationPredictions(
                *(np.asarray(saved[name]) for name in ValidationPredictions._fields)
            )  # bytes, where none was packed
    except UNREADABLE:
        raise _damaged(path) from None
    count = held.windows.size
    shapes = ((count,), (count, length), (count,), (count,))
    valid = [(array.shape, array.dtype) for array in held] == list(zip(shapes, KINDS, strict=True))
    if not valid or held.windows.min(initial=0) < 0 or held.windows.max(initial=0) >= windows:
        raise _damaged(path)
    return held


def _damaged(path: Path) -> ValueError:
    state = "damaged" if path.exists() else "missing"
    return ValueError(f"{path}: {state}; expected the predictions of its best epoch")
