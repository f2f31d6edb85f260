"""Score a file of DNA and write the predictions: read, score, write, in memory that does not grow with the file.

The codes, then the scores, are kept beside the output as `<out>.parts/` until the output is written, five bytes a
base. A prediction that is killed goes on from there when the same command is given again.
"""

import functools
import itertools
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from filelock import FileLock, Timeout

from tfbind import export
from tfbind.export import About, Track
from tfbind.files import read_json, write_json
from tfbind.letters import Changes, describe, short
from tfbind.records import read_pieces, unique_names
from tfbind.scoring import Model, Scores, score, score_windows
from tfbind.sequences import UNKNOWN, Codes, reverse_complement
from tfbind.tables import counted, label

GROUP = 1 << 20  # bases that are scored, then kept, together
SHORT = 4096  # longer records are scored one by one
FLOAT_BYTES = 4
GZIP = b"\x1f\x8b"
GZIP_BASES = 4  # a byte of gzip holds about four bases

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Options:
    """How sequences are scored: both strands averaged, short ones padded, sites called from `threshold` on."""

    both: bool = False
    pad: bool = False
    threshold: float = export.THRESHOLD


@dataclass(frozen=True)
class Outcome:
    """What was predicted; `notes` says what was changed in reading, for each record that was changed."""

    records: int
    bases: int
    seconds: float
    out: Path
    notes: list[str]


@dataclass(frozen=True)
class _Parts:
    """The folder of the parts. Records lie one after the other in `codes` (uint8) and `scores` (float32)."""

    folder: Path

    @property
    def about(self) -> Path:
        return self.folder / "about.json"

    @property
    def codes(self) -> Path:
        return self.folder / "codes.u8"

    @property
    def scores(self) -> Path:
        return self.folder / "scores.f32"

    @property
    def done(self) -> Path:
        return self.folder / "done.json"


@dataclass(frozen=True)
class Stored:
    """A record among the parts: `start` counts the bases of all records before it."""

    name: str
    start: int
    length: int

    @property
    def end(self) -> int:
        return self.start + self.length


class Piece(NamedTuple):
    """Bases that are scored together: whole records of these `lengths`, one after the other, or, if None, a region of
    one record, of whose scores those from `first` to `last` (exclusive) are wanted."""

    codes: Codes
    lengths: list[int] | None
    first: int
    last: int


ScorePieces = Callable[[Iterable[Piece]], Iterator[Scores]]


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


class _Stretch(NamedTuple):
    """Bases of one record that are scored at a time, 0-based half-open within the record."""

    record: Stored
    start: int
    end: int


def predict(
    model: Model,
    data: Path | BinaryIO,
    out: Path,
    options: Options | None = None,
    on_progress: Progress = lambda _stage, _done, _total: None,
    clock: Callable[[], float] = time.monotonic,
    free_bytes: Callable[[Path], int] = _free_bytes,
    score_pieces: ScorePieces | None = None,
) -> Outcome:
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
    started, options = clock(), options or Options()
    export.writer_of(out)
    if not out.parent.is_dir() or out.is_dir():
        raise ValueError(f"{out}: expected the name of a file in a folder that exists")
    parts = _Parts(out.with_name(f"{out.name}.parts"))
    if isinstance(data, Path) and data.is_file():
        _check_disk(data, parts, free_bytes)
    with _opened(data) as stream, _alone(parts.folder, out):
        try:
            records, notes = _read(parts, stream, _identity(model, data, options), on_progress)
            _check(records, model, out, options)
            here: ScorePieces = functools.partial(map, functools.partial(score_piece, model, options))
            _score_all(parts, records, model, score_pieces or here, on_progress)
            about = About(f"{model.name} {model.hash}", _rule(model, records, options), options.threshold)
            export.write(out, _tracks(parts, records, on_progress), about)
        except ValueError:
            shutil.rmtree(parts.folder)
            raise
        shutil.rmtree(parts.folder)
    return Outcome(len(records), records[-1].end, clock() - started, out, notes)


def _opened(data: Path | BinaryIO) -> AbstractContextManager[BinaryIO]:
    if not isinstance(data, Path):
        return nullcontext(data)
    if data.is_dir():
        raise ValueError(f"{data}: a folder; expected a file of sequences")
    try:
        return data.open("rb")
    except FileNotFoundError:
        raise ValueError(f"{data}: no such file") from None


def _check_disk(data: Path, parts: _Parts, free_bytes: Callable[[Path], int]) -> None:
    """Refuse a file whose parts do not fit on the disk, as far as its size tells; those of before are counted in."""
    with data.open("rb") as file:
        bases = data.stat().st_size * (GZIP_BASES if file.read(len(GZIP)) == GZIP else 1)
    there = sum(path.stat().st_size for path in (parts.codes, parts.scores) if path.exists())
    needed, free = bases * (1 + FLOAT_BYTES) - there, free_bytes(parts.folder.parent)
    if needed > free:
        raise OSError(
            f"{parts.folder}: scoring {label(data)} needs about {needed / 1e6:,.0f} MB of disk, and the output more; "
            f"{free / 1e6:,.0f} MB are free there"
        )


@contextmanager
def _alone(folder: Path, out: Path) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    try:
        with FileLock(folder / "lock", timeout=0):
            yield
    except Timeout:
        raise ValueError(f"{out}: another process is writing this file; expected one at a time") from None


def _identity(model: Model, data: Path | BinaryIO, options: Options) -> dict[str, Any]:
    """What has to be the same for parts to be taken up again. A stream is never the same."""
    source: Any = secrets.token_hex(8)
    if isinstance(data, Path):
        facts = data.stat()
        source = [str(data.resolve()), facts.st_size, facts.st_mtime_ns]
    return {"source": source, "model": model.hash, "both": options.both, "pad": options.pad}


# Reading


def _read(
    parts: _Parts, stream: BinaryIO, identity: dict[str, Any], on_progress: Progress
) -> tuple[list[Stored], list[str]]:
    """The records in the parts, read now unless they were read before, and what was changed in them."""
    if not (parts.about.exists() and read_json(parts.about)["identity"] == identity):
        parts.about.unlink(missing_ok=True)
        parts.done.unlink(missing_ok=True)
        try:
            read = _copy_codes(parts.codes, stream, on_progress)
        except ValueError as error:
            raise ValueError(f"{_source(stream)}: {error}") from None
        write_json(parts.about, {"identity": identity, "records": read})
    headers, lengths, changes = zip(*read_json(parts.about)["records"], strict=True)
    named = unique_names(list(headers))
    starts = itertools.accumulate(lengths, initial=0)
    records = [Stored(name, start, length) for (name, _), start, length in zip(named, starts, lengths, strict=False)]
    notes = [
        f"{short(name)}: {', '.join(words)}"
        for (name, renamed), changed in zip(named, changes, strict=True)
        if (words := renamed + describe(Changes({(how, what): times for how, what, times in changed})))
    ]
    return records, notes


def _source(stream: BinaryIO) -> str:
    name = getattr(stream, "name", "<stdin>")
    return "standard input" if name == "<stdin>" else label(Path(name))


def _copy_codes(path: Path, stream: BinaryIO, on_progress: Progress) -> list[tuple[str, int, list[Any]]]:
    """Header, length and changes of each record, whose codes go to `path`."""
    read, total = [], 0
    with path.open("wb") as file:
        for _, pieces in itertools.groupby(read_pieces(stream), key=lambda piece: piece.number):
            changes, before, header = Changes(), total, ""
            for piece in pieces:
                file.write(piece.codes.tobytes())
                changes.update(piece.changes)
                header, total = piece.header, total + len(piece.codes)
            on_progress("reading", total, 0)
            read.append((header, total - before, [(how, what, times) for (how, what), times in changes.items()]))
    return read


def _check(records: Sequence[Stored], model: Model, out: Path, options: Options) -> None:
    """Refuse before the scoring what would fail after it."""
    if out.suffix.lower() == ".csv":
        export.check_columns((record.name, record.length) for record in records)
    if model.length is None:
        return
    for record in records:
        if record.length < model.length and not options.pad:
            raise ValueError(
                f"record {short(record.name)}: {counted(record.length, 'base')}; this model needs {model.length}, "
                "or --pad to fill up with N"
            )


# Scoring


def _score_all(
    parts: _Parts, records: Sequence[Stored], model: Model, score_pieces: ScorePieces, on_progress: Progress
) -> None:
    """Bring the scores up to the last record, from the last group that was finished."""
    done = int(read_json(parts.done)["bases"]) if parts.done.exists() else 0
    total = records[-1].end
    parts.scores.touch()
    os.truncate(parts.scores, done * FLOAT_BYTES)
    with parts.scores.open("ab") as file:
        on_progress("scoring", done, total)
        left = [group for group in _groups(records) if group[-1].record.start + group[-1].end > done]
        for scores in score_pieces(_piece(model, parts.codes, group) for group in left):
            file.write(scores.tobytes())
            file.flush()
            os.fsync(file.fileno())
            done += len(scores)
            write_json(parts.done, {"bases": done})
            on_progress("scoring", done, total)


def _groups(records: Sequence[Stored]) -> Iterator[list[_Stretch]]:
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


def _piece(model: Model, codes: Path, group: Sequence[_Stretch]) -> Piece:
    if group[0].record.length > GROUP:
        return _region(model, codes, *group[0])
    first, last = group[0].record, group[-1].record
    bases = np.fromfile(codes, np.uint8, last.end - first.start, offset=first.start)
    return Piece(bases, [stretch.end for stretch in group], 0, len(bases))


def score_piece(model: Model, options: Options, piece: Piece) -> Scores:
    """The scores that are wanted of a piece."""
    if piece.lengths is None:
        return score(model, piece.codes, both=options.both).scores[piece.first : piece.last]
    scores = np.empty(len(piece.codes), np.float32)
    by_length: dict[int, list[int]] = {}
    for start, length in zip(itertools.accumulate(piece.lengths, initial=0), piece.lengths, strict=False):
        by_length.setdefault(length, []).append(start)
    for length, starts in by_length.items():
        places = np.array(starts)[:, None] + np.arange(length)
        scores[places] = _score_equal(model, piece.codes[places], options)
    return scores


def _score_equal(model: Model, codes: Codes, options: Options) -> Scores:
    """The scores (N, L) of records (N, L) of one length."""
    length = codes.shape[1]
    if length > SHORT or model.length not in (None, length):
        return np.stack([score(model, row, both=options.both, pad=options.pad).scores for row in codes])
    forward = score_windows(model, codes)
    if not options.both:
        return forward
    return (forward + score_windows(model, reverse_complement(codes))[:, ::-1]) / np.float32(2)


def score_region(model: Model, codes: Path, record: Stored, start: int, end: int, both: bool) -> Scores:
    """The scores of a long record from start to end (exclusive), the same as if all of it were scored at once."""
    return score_piece(model, Options(both), _region(model, codes, record, start, end))


def _region(model: Model, codes: Path, record: Stored, start: int, end: int) -> Piece:
    """The piece that gives the scores of a long record from start to end (exclusive).

    They are computed with the bases around that they depend on, read from the file `codes`. A model of fixed length
    scores tiles that are counted from the start of the record, and on the other strand from its end; so what is read
    begins and ends where such tiles do.
    """
    margin = model.reach if model.length is None else model.length
    step = 1 if model.length is None else max(1, model.length // 2)
    first = max(0, start - margin) // step * step
    last = record.length - max(0, record.length - end - margin) // step * step
    bases = np.fromfile(codes, np.uint8, last - first, offset=record.start + first)
    return Piece(bases, None, start - first, end - first)


def _rule(model: Model, records: Sequence[Stored], options: Options) -> str:
    """How the longest record was scored, in words."""
    longest = min(max(record.length for record in records), 2 * (model.length or 1))
    return score(model, np.full(longest, UNKNOWN, np.uint8), both=options.both, pad=options.pad).rule


# Writing


def _tracks(parts: _Parts, records: Sequence[Stored], on_progress: Progress) -> list[Track]:
    return [_track(parts, record, records[-1].end, on_progress) for record in records]


def _track(parts: _Parts, record: Stored, total: int, on_progress: Progress) -> Track:
    def read(start: int, end: int) -> tuple[Codes, Scores]:
        on_progress("writing", record.start + end, total)
        first, count = record.start + start, end - start
        codes = np.fromfile(parts.codes, np.uint8, count, offset=first)
        return codes, np.fromfile(parts.scores, np.float32, count, offset=first * FLOAT_BYTES)

    return Track(record.name, record.length, read)
