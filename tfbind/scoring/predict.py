"""Score a file of DNA and write the predictions: read, score, write, in memory that does not grow with the file.

The codes, then the scores, are kept beside the output as `<out>.parts/` until the output is written, five bytes a
base; nine with a model that scores tiles, whose changes between tiles are kept too. A prediction that is killed goes
on from there when the same command is given again.
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
    """What was predicted; `notes` says what was changed in reading, for each record that was changed.

    `about` is what there is to say of the file, as `formats.facts` has it; `unplaced` which records the file could
    not put where others lie, "" if that is none.
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
    """A record among the parts: `start` counts the bases of all records before it."""

    name: str
    start: int
    length: int

    @property
    def end(self) -> int:
        return self.start + self.length


ScorePieces = Callable[[Iterable[Batch]], Iterator[Scores]]


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
    score_pieces: ScorePieces | None = None,
) -> PredictionReport:
    """Score the records of `data` and write `out` in the format that its suffix names, in place of what was there.

    Args:
        data: a file, or a stream such as standard input.
        on_progress: told the stage (`reading`, `scoring`, `writing`), the bases done and all bases (0: unknown).
        free_bytes: what is free on the disk of a folder.
        score_pieces: turns pieces into their scores, in order; None: here, one after the other.

    Raises:
        ValueError: one line with the file and the record: letters that cannot be used, sequences too short for the
            model, predictions that the format cannot hold.
        OSError: a file cannot be read or written, or the disk is too full for the parts.
    """
    started, options = clock(), options or ScoringOptions()
    formats.writer_of(out)
    if not out.parent.is_dir() or out.is_dir():
        raise ValueError(f"{out}: expected the name of a file in a folder that exists")
    if isinstance(data, Path):
        refuse_overwriting_input(out, data)
    parts = PredictionCheckpoint.beside(out)
    check_disk = functools.partial(_check_disk, parts, model, _kept_bytes(parts) + free_bytes(out.parent), data)
    if isinstance(data, Path) and data.is_file():
        check_disk(_likely_bases(data))
    with _opened(data) as stream, _alone(parts.folder, out):
        try:
            records, notes = _read(parts, stream, _identity(model, data, options), check_disk, on_progress)
            _check(records, model, out, options)
            here: ScorePieces = functools.partial(map, functools.partial(score_batch, model, options))
            _score_all(parts, records, model, score_pieces or here, on_progress)
            how = rule(model, [record.length for record in records], options.both)
            threshold = model.target.threshold if options.threshold is None else options.threshold
            about = About(f"{model.name} {model.hash}", how, threshold, target=model.target)
            tracks = _tracks(parts, model, records, on_progress)
            formats.write(out, tracks, about)
            suffix = out.suffix.lower()
            said = formats.facts(suffix, tracks, about), formats.unplaced(suffix, formats.named(tracks))
        except ValueError:
            shutil.rmtree(parts.folder)
            raise
        shutil.rmtree(parts.folder)
    return PredictionReport(len(records), records[-1].end, clock() - started, out, notes, *said)


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
    """As many bases as a file holds at the most, as far as its size tells."""
    with data.open("rb") as file:
        return data.stat().st_size * (GZIP_BASES if file.read(len(GZIP)) == GZIP else 1)


def _kept_bytes(parts: PredictionCheckpoint) -> int:
    """What parts of before take of the disk."""
    return sum(path.stat().st_size for path in (parts.codes, parts.scores, parts.changes) if path.exists())


def _check_disk(parts: PredictionCheckpoint, model: Model, room: int, data: Path | BinaryIO, bases: int) -> None:
    """Refuse input whose parts do not fit on the disk, which has `room` for them.

    Raises:
        OSError: so many bases do not.
    """
    needed = bases * (1 + FLOAT_BYTES * rows_of(model))
    if needed > room:
        what = file_label(data) if isinstance(data, Path) else _source(data)
        raise OSError(
            f"{parts.folder}: scoring {what} needs about {needed / 1e6:,.0f} MB of disk, and the output more; "
            f"{room / 1e6:,.0f} MB are free there"
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
    """What has to be the same for parts to be taken up again. A stream is never the same."""
    source: Any = secrets.token_hex(8)
    if isinstance(data, Path):
        facts = data.stat()
        source = [str(data.resolve()), facts.st_size, facts.st_mtime_ns]
    how = {"both": options.both, "pad": options.pad, "rows": rows_of(model), "group": GROUP}
    return {"source": source, "model": model.hash, **how}


# Reading


def _read(
    parts: PredictionCheckpoint,
    stream: BinaryIO,
    identity: dict[str, Any],
    check_disk: Callable[[int], None],
    on_progress: Progress,
) -> tuple[list[StoredRecord], list[str]]:
    """The records in the parts, read now unless they were read before, and what was changed in them."""
    read = _read_before(parts, identity)
    if read is None:
        parts.about.unlink(missing_ok=True)
        parts.done.unlink(missing_ok=True)
        try:
            read = _copy_codes(parts.codes, stream, check_disk, on_progress)
        except ValueError as error:
            raise TfbindError(str(error), place=_source(stream)) from None
        except OSError:
            parts.codes.unlink(missing_ok=True)  # of no use until all is read
            raise
        parts.keep_about(identity, read)
    headers, lengths, changes = zip(*read, strict=True)
    named = unique_names(list(headers))
    starts = itertools.accumulate(lengths, initial=0)
    records = [
        StoredRecord(name, start, length) for (name, _), start, length in zip(named, starts, lengths, strict=False)
    ]
    notes = [
        f"{shorten(name)}: {', '.join(words)}"
        for (name, renamed), changed in zip(named, changes, strict=True)
        if (words := renamed + describe(Changes({(how, what, 0): times for how, what, times in changed})))
    ]
    return records, notes


def _read_before(parts: PredictionCheckpoint, identity: dict[str, Any]) -> list[Any] | None:
    """What was read of the records for this very prediction, None if its parts have to be made anew."""
    try:
        known, read = parts.read_about()
    except ValueError:  # missing, or damaged
        return None
    return read if known == identity else None


def _source(stream: BinaryIO) -> str:
    name = getattr(stream, "name", "<stdin>")
    return "standard input" if name == "<stdin>" else file_label(Path(name))


def _copy_codes(
    path: Path, stream: BinaryIO, check_disk: Callable[[int], None], on_progress: Progress
) -> list[tuple[str, int, list[Any]]]:
    """Header, length and changes of each record, whose codes go to `path`."""
    read, total = list[tuple[str, int, list[Any]]](), 0
    with annotate_oserror(path), path.open("wb") as file:
        for _, pieces in itertools.groupby(read_chunks(stream), key=lambda piece: piece.number):
            changes, before, header = Changes(), total, ""
            for piece in pieces:
                file.write(piece.codes.tobytes())
                changes.update(piece.changes)
                header, total = piece.header, total + len(piece.codes)
                check_disk(total)
            on_progress("reading", total, 0)
            if len(read) == MOST_RECORDS:
                raise ValueError(f"over {MOST_RECORDS:,} records; expected fewer, or several files")
            read.append((header, total - before, [(how, what, times) for (how, what, _), times in changes.items()]))
    return read


def _check(records: Sequence[StoredRecord], model: Model, out: Path, options: ScoringOptions) -> None:
    """Refuse before the scoring what would fail after it."""
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
    parts: PredictionCheckpoint,
    records: Sequence[StoredRecord],
    model: Model,
    score_pieces: ScorePieces,
    on_progress: Progress,
) -> None:
    """Bring the scores up to the last record, from the last group that was finished."""
    total = records[-1].end
    paths = (parts.scores, parts.changes)[: rows_of(model)]
    done, checksums = parts.read_done(paths)
    with annotate_oserror(parts.folder), ExitStack() as stack:
        files = [stack.enter_context(_cut(path, done * FLOAT_BYTES)) for path in paths]
        on_progress("scoring", done, total)
        left = [group for group in _groups(records) if _end(group) > done]
        for scores in score_pieces(_piece(model, parts.codes, group) for group in left):
            rows = scores.reshape(len(files), -1)
            for path, file, row in zip(paths, files, rows, strict=True):
                content = row.tobytes()
                checksums[path.name] = zlib.crc32(content, checksums.get(path.name, 0))
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            done += rows.shape[1]
            parts.keep_done(done, checksums)
            on_progress("scoring", done, total)


def _end(group: list[_Stretch]) -> int:
    """Bases up to the end of a group."""
    return group[-1].record.start + group[-1].end


def _cut(path: Path, size: int) -> BinaryIO:
    """A file to append to, of which so many bytes are kept."""
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


def _piece(model: Model, codes: Path, group: Sequence[_Stretch]) -> Batch:
    if group[0].record.length > GROUP:
        return region(model, codes, *group[0])
    first, last = group[0].record, group[-1].record
    bases = np.fromfile(codes, np.uint8, last.end - first.start, offset=first.start)
    return Batch(bases, [stretch.end for stretch in group], 0, len(bases))


def region(model: Model, codes: Path, record: StoredRecord, start: int, end: int) -> Batch:
    """The piece that gives the scores of a long record from start to end (exclusive), the same as if all of it were
    scored at once.

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
    parts: PredictionCheckpoint, model: Model, records: Sequence[StoredRecord], on_progress: Progress
) -> list[Track]:
    return [_track(parts, model, record, records[-1].end, on_progress) for record in records]


def _track(
    parts: PredictionCheckpoint, model: Model, record: StoredRecord, total: int, on_progress: Progress
) -> Track:
    def kept(path: Path, start: int, end: int) -> Scores:
        return np.fromfile(path, np.float32, end - start, offset=(record.start + start) * FLOAT_BYTES)

    def read(start: int, end: int) -> tuple[Codes, Scores]:
        on_progress("writing", record.start + end, total)
        codes = np.fromfile(parts.codes, np.uint8, end - start, offset=record.start + start)
        return codes, kept(parts.scores, start, end)

    tiled = model.length is not None and record.length > model.length
    return Track(record.name, record.length, read, functools.partial(kept, parts.changes) if tiled else None)
