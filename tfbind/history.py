"""What a comparison knows of a run, wherever it was made: here, on W&B, or in a folder of offline W&B runs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tfbind import files, runs
from tfbind.json_files import write_json
from tfbind.runs import Row, Run

Source = Literal["local", "wandb", "offline"]
Stamp = tuple[int, ...]

FILES = (runs.CONFIG, runs.LABELS, runs.STATE, runs.METRICS, runs.VALIDATION)  # what `local` looks at
TAG_LENGTH, NOTE_LENGTH = 40, 500


@dataclass(frozen=True)
class Past:
    """One run with its rows, one for each epoch, in order.

    `key` is unique among all runs that are compared. `group` is the sweep or project it belongs to, "" if none, and
    `server` the address of the W&B server that it was pulled from: others may have runs and sweeps of the same ids.
    `config` has this project's names. `sampled`: the curve was thinned by the server, and the rows are not all there
    are. `last_only`: no curve is known, and `rows` is one row of the last values, whose epoch says nothing.
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


def local(run: Run) -> Past:
    """A run of this home.

    Raises:
        ValueError: its folder is damaged.
    """
    record, labels, status = runs.read_record(run), runs.read_labels(run), runs.read_status(run)
    windows = run.folder / runs.VALIDATION
    return Past(
        key=run.id,
        id=run.id,
        name=labels["name"],
        state=status.state,
        source="local",
        group=record.get("sweep") or "",
        config=record,
        rows=runs.read_rows(run),
        created=record["created"],
        tags=labels["tags"],
        note=labels["note"],
        error=status.error,
        validation=windows if windows.exists() else None,
    )


def stamp(run: Run) -> Stamp:
    """When the files of a run were written: as long as that stays the same, so does what `local` reads, but for a
    process that has died."""
    return tuple(files.written(run.folder / name) for name in FILES)


def local_runs(home: Path, read: Callable[[Run], Past] = local) -> tuple[list[Past], list[str]]:
    """The runs of a home as `read` has them, newest first, and a line for each that cannot be read."""
    found, problems = [], []
    for run in reversed(runs.list_runs(home)):
        try:
            found.append(read(run))
        except (ValueError, OSError) as error:  # a disk or a network may fail, too
            problems.append(files.words(error))
    return found, problems


def annotate(run: Run, tags: str, note: str) -> None:
    """Replace the tags, given with commas between them, and the note of a run.

    Raises:
        ValueError: a tag or the note is too long, or holds characters that do not print.
    """
    words = list(dict.fromkeys(word for tag in tags.split(",") if (word := tag.strip())))
    for word in words:
        if len(word) > TAG_LENGTH or not word.isprintable():
            raise ValueError(f"tag {word[:20]!r}: expected at most {TAG_LENGTH} printable characters")
    text = " ".join(note.split())
    if len(text) > NOTE_LENGTH or not text.isprintable():
        raise ValueError(f"note {text[:20]!r}: expected at most {NOTE_LENGTH} printable characters")
    write_json(run.folder / runs.LABELS, {**runs.read_labels(run), "tags": words, "note": text})
