"""Score a file of DNA and write the predictions, in memory that does not grow with the file.

The checkpoint, `<out>.parts/` beside the output until that is written, holds the codes, then the scores: five bytes a
base, nine with a model that scores tiles, whose changes between tiles are in it, too. The same command resumes a
prediction that was killed.
"""

import functools
import itertools
import os
import secrets
import shutil
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from filelock import FileLock, Timeout

from tfbind.dna import Changes, Codes, describe, read_chunks, shorten, unique_names
from tfbind.errors import TfbindError
from tfbind.runs import size
from tfbind.scoring import formats
from tfbind.scoring.checkpoint import FLOAT_BYTES, Batch, PredictionCheckpoint, ScoringOptions, rows_of, score_batch
from tfbind.scoring.formats import About, Track
from tfbind.scoring.model import Model, Scores, rule
from tfbind.store import annotate_oserror, file_label, plural, refuse_overwriting_input

GROUP = 1 << 20  # bases that are scored, then kept, together
GZIP = b"\x1f\x8b"
GZIP_BASES = 4  # a byte of gzip holds about four bases; of some much more
MOST_RECORDS = 2_000_000

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class PredictionReport:
    """A finished prediction; `notes` has a line for each record whose letters were changed in reading.

    `about` is the description of the file by `formats.facts`; `unplaced` names the records without a place in the
    genome where others have one, "" if there are none.
    """

    records: int
    bases: int
    seconds: float
    out: Path
    notes: list[str]
    about: dict[str, Any]
    unplaced: str


@dataclass(frozen=True)
class StoredRecord:
    """A record in the checkpoint: `start` counts the bases of all records before it."""

    name: str
    start: int
    length: int

    @property
    def end(self) -> int:
        return self.start + self.length


ScoreBatches = Callable[[Iterable[Batch]], Iterator[Scores]]


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


class _Stretch(NamedTuple):
    """Bases of one record that are scored at a time, 0-based half-open within the record."""

    record: StoredRecord
    start: int
    end: int


def predict_file(
    model: Model,
    data: Path | BinaryIO,
    out: Path,
    options: ScoringOptions | None = None,
    on_progress: Progress = lambda _stage, _done, _total: None,
    clock: Callable[[], float] = time.monotonic,
    free_bytes: Callable[[Path], int] = _free_bytes,
    score_batches: ScoreBatches | None = None,
) -> PredictionReport:
    """Score the records of `data` and write `out` in the format of its suffix; an old file is replaced.

    Args:
        model: the model.
        data: a file, or a stream such as standard input.
        out: the output.
        options: how to score.
        on_progress: is called with the stage (`reading`, `scoring`, `writing`), the bases done and all bases (0:
            unknown).
        clock: seconds.
        free_bytes: the free bytes on the disk of a folder.
        score_batches: turns batches into their scores, in order; None: in this process, one after the other.

    Returns:
        A report on the prediction.

    Raises:
        ValueError: one line with the file and the record: letters that cannot be used, sequences too short for the
            model, predictions that the format cannot hold.
        OSError: a file cannot be read or written, or the disk is too full for the checkpoint.
    """
    started, options = clock(), options or ScoringOptions()
    formats.writer_of(out)
    if not out.parent.is_dir() or out.is_dir():
        raise ValueError(f"{out}: expected the name of a file in a folder that exists")
    if isinstance(data, Path):
        refuse_overwriting_input(out, data)
    checkpoint = PredictionCheckpoint.beside(out)
    room = _kept_bytes(checkpoint) + free_bytes(out.parent)
    check_disk = functools.partial(_check_disk, checkpoint, model, room, data)
    if isinstance(data, Path) and data.is_file():
        check_disk(_likely_bases(data))
    with _opened(data) as stream, _alone(checkpoint.folder, out):
        try:
            records, notes = _read(checkpoint, stream, _identity(model, data, options), check_disk, on_progress)
            _check_records(records, model, out, options)
            score_here: ScoreBatches = functools.partial(map, functools.partial(score_batch, model, options))
            _score_all(checkpoint, records, model, score_batches or score_here, on_progress)
            rule_text = rule(model, [record.length for record in records], options.both)
            threshold = model.target.threshold if options.threshold is None else options.threshold
            bands = None if options.both else model.target.bands
            about = About(f"{model.name} {model.hash}", rule_text, threshold, target=model.target, bands=bands)
            tracks = _tracks(checkpoint, model, records, on_progress)
            formats.write(out, tracks, about)
            suffix = out.suffix.lower()
            description = formats.facts(suffix, tracks, about)
            unplaced = formats.unplaced(suffix, formats.names_and_lengths(tracks))
        except ValueError:
            shutil.rmtree(checkpoint.folder)
            raise
        shutil.rmtree(checkpoint.folder)
    return PredictionReport(len(records), records[-1].end, clock() - started, out, notes, description, unplaced)


def _opened(data: Path | BinaryIO) -> AbstractContextManager[BinaryIO]:
    if not isinstance(data, Path):
        return nullcontext(data)
    if data.is_dir():
        raise ValueError(f"{data}: a folder; expected a file of sequences")
    try:
        return data.open("rb")
    except FileNotFoundError:
        raise ValueError(f"{data}: no such file") from None


def _likely_bases(data: Path) -> int:
    """The most bases that a file may hold, judged by its size."""
    with data.open("rb") as file:
        return data.stat().st_size * (GZIP_BASES if file.read(len(GZIP)) == GZIP else 1)


def _kept_bytes(checkpoint: PredictionCheckpoint) -> int:
    """Bytes of a checkpoint on the disk."""
    paths = (checkpoint.codes, checkpoint.scores, checkpoint.changes)
    return sum(path.stat().st_size for path in paths if path.exists())


def _check_disk(checkpoint: PredictionCheckpoint, model: Model, room: int, data: Path | BinaryIO, bases: int) -> None:
    """Check that the checkpoint of so many bases fits into `room` bytes.

    Raises:
        OSError: it does not.
    """
    needed = bases * (1 + FLOAT_BYTES * rows_of(model))
    if needed > room:
        source = file_label(data) if isinstance(data, Path) else _source(data)
        raise OSError(
            f"{checkpoint.folder}: scoring {source} needs about {size(needed)} of disk, and the output more; "
            f"{size(room)} are free there"
        )


@contextmanager
def _alone(folder: Path, out: Path) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    try:
        with FileLock(folder / "lock", timeout=0):
            yield
    except Timeout:
        raise ValueError(f"{out}: another process is writing this file; expected one at a time") from None


def _identity(model: Model, data: Path | BinaryIO, options: ScoringOptions) -> dict[str, Any]:
    """What has to be equal for a checkpoint to be resumed. A stream never is."""
    source: Any = secrets.token_hex(8)
    if isinstance(data, Path):
        stat = data.stat()
        source = [str(data.resolve()), stat.st_size, stat.st_mtime_ns]
    settings = {"both": options.both, "pad": options.pad, "rows": rows_of(model), "group": GROUP}
    return {"source": source, "model": model.hash, **settings}


# Reading


def _read(
    checkpoint: PredictionCheckpoint,
    stream: BinaryIO,
    identity: dict[str, Any],
    check_disk: Callable[[int], None],
    on_progress: Progress,
) -> tuple[list[StoredRecord], list[str]]:
    """The records in the checkpoint, read now unless they were before, and a note on each that was changed."""
    entries = _read_before(checkpoint, identity)
    if entries is None:
        checkpoint.about.unlink(missing_ok=True)
        checkpoint.done.unlink(missing_ok=True)
        try:
            entries = _copy_codes(checkpoint.codes, stream, check_disk, on_progress)
        except ValueError as error:
            raise TfbindError(str(error), place=_source(stream)) from None
        except OSError:
            checkpoint.codes.unlink(missing_ok=True)  # of no use until all is read
            raise
        checkpoint.write_about(identity, entries)
    headers, lengths, changes = zip(*entries, strict=True)
    names = unique_names(list(headers))
    starts = itertools.accumulate(lengths, initial=0)
    records = [
        StoredRecord(name, start, length) for (name, _), start, length in zip(names, starts, lengths, strict=False)
    ]
    notes = [
        f"{shorten(name)}: {', '.join(words)}"
        for (name, renamed), changed in zip(names, changes, strict=True)
        if (words := renamed + describe(Changes({(change, letter, 0): count for change, letter, count in changed})))
    ]
    return records, notes


def _read_before(checkpoint: PredictionCheckpoint, identity: dict[str, Any]) -> list[Any] | None:
    """The records that were read before for the same prediction; None where there is no such checkpoint."""
    try:
        stored, entries = checkpoint.read_about()
    except ValueError:  # missing, or damaged
        return None
    return entries if stored == identity else None


def _source(stream: BinaryIO) -> str:
    name = getattr(stream, "name", "<stdin>")
    return "standard input" if name == "<stdin>" else file_label(Path(name))


def _copy_codes(
    path: Path, stream: BinaryIO, check_disk: Callable[[int], None], on_progress: Progress
) -> list[tuple[str, int, list[Any]]]:
    """Header, length and changes of each record, whose codes go to `path`."""
    entries, total = list[tuple[str, int, list[Any]]](), 0
    with annotate_oserror(path), path.open("wb") as file:
        for _, chunks in itertools.groupby(read_chunks(stream), key=lambda chunk: chunk.number):
            changes, start, header = Changes(), total, ""
            for chunk in chunks:
                file.write(chunk.codes.tobytes())
                changes.update(chunk.changes)
                header, total = chunk.header, total + len(chunk.codes)
                check_disk(total)
            on_progress("reading", total, 0)
            if len(entries) == MOST_RECORDS:
                raise ValueError(f"over {MOST_RECORDS:,} records; expected fewer, or several files")
            counts = [(change, letter, count) for (change, letter, _), count in changes.items()]
            entries.append((header, total - start, counts))
    return entries


def _check_records(records: Sequence[StoredRecord], model: Model, out: Path, options: ScoringOptions) -> None:
    """Check, before scoring, that the model takes the records and the format holds them."""
    if out.suffix.lower() == ".csv":
        formats.check_columns((record.name, record.length) for record in records)
    if model.length is None:
        return
    for record in records:
        if record.length < model.length and not options.pad:
            raise ValueError(
                f"record {shorten(record.name)}: {plural(record.length, 'base')}; this model needs {model.length}, "
                "or --pad to fill up with N"
            )


# Scoring


def _score_all(
    checkpoint: PredictionCheckpoint,
    records: Sequence[StoredRecord],
    model: Model,
    score_batches: ScoreBatches,
    on_progress: Progress,
) -> None:
    """Score all records, from the last finished group on."""
    total = records[-1].end
    paths = (checkpoint.scores, checkpoint.changes)[: rows_of(model)]
    done, checksums = checkpoint.read_done(paths)
    with annotate_oserror(checkpoint.folder), ExitStack() as stack:
        files = [stack.enter_context(_open_truncated(path, done * FLOAT_BYTES)) for path in paths]
        on_progress("scoring", done, total)
        remaining = [group for group in _groups(records) if _end(group) > done]
        for scores in score_batches(_batch(model, checkpoint.codes, group) for group in remaining):
            rows = scores.reshape(len(files), -1)
            for path, file, row in zip(paths, files, rows, strict=True):
                content = row.tobytes()
                checksums[path.name] = zlib.crc32(content, checksums.get(path.name, 0))
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            done += rows.shape[1]
            checkpoint.write_done(done, checksums)
            on_progress("scoring", done, total)


def _end(group: list[_Stretch]) -> int:
    """The number of bases up to the end of a group."""
    return group[-1].record.start + group[-1].end


def _open_truncated(path: Path, size: int) -> BinaryIO:
    """Truncate a file to `size` bytes and open it for appending."""
    path.touch()
    os.truncate(path, size)
    return path.open("ab")


def _groups(records: Sequence[StoredRecord]) -> Iterator[list[_Stretch]]:
    """All bases in groups of bounded size: whole short records together, or one region of a long one."""
    group: list[_Stretch] = []
    bases = 0
    for record in records:
        if group and bases + record.length > GROUP:
            yield group
            group, bases = [], 0
        if record.length > GROUP:
            for start in range(0, record.length, GROUP):
                yield [_Stretch(record, start, min(start + GROUP, record.length))]
        else:
            group.append(_Stretch(record, 0, record.length))
            bases += record.length
    if group:
        yield group


def _batch(model: Model, codes: Path, group: Sequence[_Stretch]) -> Batch:
    if group[0].record.length > GROUP:
        return region(model, codes, *group[0])
    first, last = group[0].record, group[-1].record
    bases = np.fromfile(codes, np.uint8, last.end - first.start, offset=first.start)
    return Batch(bases, [stretch.end for stretch in group], 0, len(bases))


def region(model: Model, codes: Path, record: StoredRecord, start: int, end: int) -> Batch:
    """The batch for the scores of a long record from start to end (exclusive), equal to those of the whole record.

    They are computed with the bases around that they depend on, read from the file `codes`. A model of fixed length
    scores tiles that are counted from the start of the record, and on the other strand from its end; so what is read
    begins and ends where such tiles do.
    """
    margin = model.reach if model.length is None else model.length
    step = 1 if model.length is None else max(1, model.length // 2)
    first = max(0, start - margin) // step * step
    last = record.length - max(0, record.length - end - margin) // step * step
    bases = np.fromfile(codes, np.uint8, last - first, offset=record.start + first)
    return Batch(bases, None, start - first, end - first)


# Writing


def _tracks(
    checkpoint: PredictionCheckpoint, model: Model, records: Sequence[StoredRecord], on_progress: Progress
) -> list[Track]:
    return [_track(checkpoint, model, record, records[-1].end, on_progress) for record in records]


def _track(
    checkpoint: PredictionCheckpoint, model: Model, record: StoredRecord, total: int, on_progress: Progress
) -> Track:
    def read_floats(path: Path, start: int, end: int) -> Scores:
        return np.fromfile(path, np.float32, end - start, offset=(record.start + start) * FLOAT_BYTES)

    def read(start: int, end: int) -> tuple[Codes, Scores]:
        on_progress("writing", record.start + end, total)
        codes = np.fromfile(checkpoint.codes, np.uint8, end - start, offset=record.start + start)
        return codes, read_floats(checkpoint.scores, start, end)

    tiled = model.length is not None and record.length > model.length
    change = functools.partial(read_floats, checkpoint.changes) if tiled else None
    return Track(record.name, record.length, read, change)
