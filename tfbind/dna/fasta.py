"""Genomes in FASTA files: streamed from end to end, or intervals of contigs read by an index.

Streaming makes no index: one pass over a genome takes less time than indexing it, and works within a gzip file too.
Positions are 0-based, ends exclusive.
"""

import hashlib
import itertools
import os
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pyfaidx import Faidx, FastaIndexingError, UnsupportedCompressionFormat

from tfbind.dna.codes import Codes, read_codes, shorten
from tfbind.dna.parser import SequenceChunk, first_word, read_chunks
from tfbind.store import (
    LONGEST_HEADER as LONGEST_BGZIP_HEADER,
    MAGIC,
    MOST_BYTES,
    UNREADABLE,
    check_bgzip_end,
    decompress,
    draft_of,
    file_label,
    is_bgzip,
    plural,
    quote,
    read_text_chunks,
    remove_drafts,
    require_regular_file,
    write_chunks,
)

BLOCK = 1 << 20
LONGEST_NAME = 150  # leaves room for a window's places

Progress = Callable[[float], None]
Pieces = Iterator[Codes]
CACHE_BLOCK = 1 << 16  # bases that are read at a time
BLOCKS = 64  # and how many of these are kept

LONGEST_LINE = 1 << 29  # of which an index is made in memory; twice the longest human chromosome
LARGEST = 4 << 30  # bytes of a FASTA that is kept
MAX_FILES = 3  # of uploaded genomes that are cached
CHUNK = 1 << 20

_DAMAGED = (EOFError, RuntimeError, struct.error, zlib.error)  # what reading a bgzip file that is not whole ends in


@dataclass(frozen=True, eq=False)
class GenomeChunk:
    """The whole windows between bases `first` and `last` (exclusive) of a contig: `codes` (L,) begin at `start` and
    include a margin on each side."""

    contig: str
    start: int
    first: int
    last: int
    codes: Codes


def contigs(path: Path, progress: Progress = lambda _: None) -> Iterator[tuple[str, Pieces]]:
    """Stream the contigs of a FASTA file in order: the first word of each header, and the codes in pieces.

    Args:
        path: FASTA, plain or gzip.
        progress: called with the share of the file that is read.

    Raises:
        ValueError: one line: no FASTA, a name that is empty, overlong or there twice, a letter that is none.
        OSError: the file cannot be read.
    """
    seen: set[str] = set()
    size = max(require_regular_file(path).stat().st_size, 1)
    with path.open("rb") as stream:
        chunks = _report(read_chunks(stream), lambda: progress(stream.tell() / size), path)
        for number, group in itertools.groupby(chunks, key=lambda piece: piece.number):
            first = next(group)
            name = first_word(first.header)
            if not 0 < len(name) <= LONGEST_NAME or name in seen:
                why = "there twice" if name in seen else f"a name of {len(name)} characters"
                raise ValueError(
                    f"{file_label(path)}: sequence {number}, {quote(name)}: {why}; expected FASTA with headers such "
                    f"as >chr22, each once, of at most {LONGEST_NAME} characters"
                )
            seen.add(name)
            yield name, (piece.codes for piece in itertools.chain([first], group))


def _report(chunks: Iterator[SequenceChunk], report: Callable[[], None], path: Path) -> Iterator[SequenceChunk]:
    """The same chunks, calling `report` before each; errors name the file."""
    try:
        for chunk in chunks:
            report()
            yield chunk
    except ValueError as error:
        raise ValueError(f"{file_label(path)}: {error}") from None


def genome_chunks(contig: str, pieces: Pieces, length: int, margin: int) -> Iterator[GenomeChunk]:
    """Cut a contig into chunks of whole windows, about a million bases each.

    Bases after the last whole window are in no window, but in the margin.

    Args:
        contig: its name.
        pieces: its codes, in order.
        length: bases of a window; windows lie on a grid of their length.
        margin: bases to add on each side of a chunk.
    """
    step = length * max(1, BLOCK // length)
    buffer, start, first = np.empty(0, np.uint8), 0, 0
    for codes in pieces:
        buffer = np.concatenate([buffer, codes])
        while start + len(buffer) - first >= step + margin:
            yield GenomeChunk(contig, start, first, first + step, buffer[: first + step + margin - start])
            first += step
            buffer, start = buffer[max(0, first - margin) - start :], max(0, first - margin)
    last = first + (start + len(buffer) - first) // length * length
    if last > first:
        yield GenomeChunk(contig, start, first, last, buffer)


def cut_windows(pieces: Iterable[Codes], starts: list[int], length: int) -> Iterator[tuple[int, Codes]]:
    """Cut windows out of a contig: start and codes (length,) of each.

    Args:
        pieces: the contig's codes, in order.
        starts: in rising order; windows that reach past the end are left out.
        length: bases of a window.
    """
    buffer, offset, index = np.empty(0, np.uint8), 0, 0
    for codes in pieces:
        needed = starts[index] if index < len(starts) else offset + len(buffer)
        dropped = min(needed - offset, len(buffer))
        buffer, offset = np.concatenate([buffer[dropped:], codes]), offset + dropped
        while index < len(starts) and starts[index] + length <= offset + len(buffer):
            yield starts[index], buffer[starts[index] - offset :][:length]
            index += 1


def keep_fasta(content: BinaryIO, folder: Path) -> Path:
    """Cache an uploaded FASTA file, gzip or not, unpacked and under the hash of its content.

    The `MAX_FILES` used last stay there.

    Args:
        content: the stream.
        folder: the cache.

    Returns:
        The path of the file.

    Raises:
        ValueError: damaged gzip, or more than `LARGEST` bytes.
        OSError: the file cannot be written.
    """
    content.seek(0)
    digest = hashlib.sha256()
    while chunk := content.read(CHUNK):
        digest.update(chunk)
    content.seek(0)
    fasta = folder / f"{digest.hexdigest()[:32]}.fa"
    if not fasta.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_chunks(fasta, _unpacked(content))
    fasta.touch()  # its age says when it was used
    for old in sorted(folder.glob("*.fa"), key=lambda path: path.stat().st_mtime_ns)[:-MAX_FILES]:
        old.unlink(missing_ok=True)
    return fasta


def _unpacked(content: BinaryIO) -> Iterator[bytes]:
    size = 0
    for chunk in read_text_chunks(content):
        size += len(chunk)
        if size > LARGEST:
            raise ValueError(f"over {LARGEST >> 20:,} MB when unpacked; expected less, or a file given by path")
        yield chunk


class Genome:
    """Random access to the contigs of a FASTA file, plain or bgzip; `lengths` has the bases of each by first word.

    An index that lies beside the file is used if it is newer and names no place behind the file's end, otherwise one
    is made and kept in `cache`.

    Raises:
        ValueError: one line: no such file, no FASTA, or one that cannot be read from the middle.
    """

    def __init__(self, path: Path, cache: Path) -> None:
        self.path = path
        self._faidx = _open(path, cache)
        self.lengths: dict[str, int] = {name: record.rlen for name, record in self._faidx.index.items()}
        self._block = lru_cache(BLOCKS)(self._read)

    def codes(self, contig: str, start: int, end: int) -> Codes:
        """The codes of a contig from start to end (0-based, end exclusive), which must lie inside it.

        Raises:
            ValueError: a letter that cannot be used, or a damaged file.
        """
        first, last = start // CACHE_BLOCK, max(start, end - 1) // CACHE_BLOCK
        blocks = [self._block(contig, number) for number in range(first, last + 1)]
        joined = np.concatenate(blocks) if len(blocks) > 1 else blocks[0]
        return joined[start - first * CACHE_BLOCK : end - first * CACHE_BLOCK]

    def _read(self, contig: str, number: int) -> Codes:
        start, end = number * CACHE_BLOCK, min((number + 1) * CACHE_BLOCK, self.lengths[contig])
        try:
            letters = str(self._faidx.fetch(contig, start + 1, end)).encode()
        except (*_DAMAGED, ValueError) as error:
            raise ValueError(f"{self.path}: damaged, or not completely copied: {error}") from None
        codes = read_codes(letters, contig, start, Counter(), repair=False)
        if len(codes) != end - start:
            where = f"{self.path}: {shorten(contig)}, positions {start + 1} to {end}"
            raise ValueError(f"{where}: {plural(len(codes), 'letter')}; expected lines of letters without blanks")
        return codes


def _open(path: Path, cache: Path) -> Faidx:
    if not path.exists():
        raise ValueError(f"{path}: no such file; expected a FASTA file")
    with require_regular_file(path).open("rb") as file:
        header = file.read(LONGEST_BGZIP_HEADER)
        file.seek(0)
        compressed = header.startswith(MAGIC)
        try:
            check_bgzip_end(file)
        except UNREADABLE as error:
            raise ValueError(f"{path}: damaged, or not completely copied: {error}") from None
    if compressed and (not is_bgzip(header) or path.suffix not in (".gz", ".bgz")):
        raise ValueError(
            f"{path}: gzip, which cannot be read from the middle; `gunzip -k {file_label(path)}` makes a FASTA file "
            "that can, `bgzip` a small one"
        )
    try:
        return _indexed(path, cache, compressed)
    except (FastaIndexingError, UnsupportedCompressionFormat, ValueError) as error:
        raise ValueError(f"{path}: not readable as FASTA: {' '.join(str(error).split())}") from None
    except _DAMAGED as error:
        raise ValueError(f"{path}: damaged, or not completely copied: {error}") from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise ValueError(f"{path}: damaged, or not completely copied: {error}") from None  # pyfaidx's own


def _indexed(path: Path, cache: Path, compressed: bool) -> Faidx:
    status = path.stat()
    if not compressed and (faidx := _open_existing_index(path, status.st_mtime_ns)):
        return faidx
    identity = f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"
    index = cache / f"{hashlib.sha256(os.fsencode(identity)).hexdigest()[:32]}.fai"
    if not index.exists():
        _check_lines(path)
        cache.mkdir(parents=True, exist_ok=True)
        remove_drafts(cache)
        draft = draft_of(index)
        try:
            Faidx(str(path), indexname=str(draft), gzi_indexname=str(draft.with_suffix(".gzi"))).close()
            if compressed:
                draft.with_suffix(".gzi").replace(index.with_suffix(".gzi"))
            draft.replace(index)
        except OSError as error:
            cause = error.__context__  # which pyfaidx does not tell
            if error.errno is None and isinstance(cause, OSError) and cause.errno is not None:
                raise OSError(cause.errno, os.strerror(cause.errno), str(index)) from None
            raise
        finally:
            draft.unlink(missing_ok=True)
            draft.with_suffix(".gzi").unlink(missing_ok=True)
    return Faidx(str(path), indexname=str(index), gzi_indexname=str(index.with_suffix(".gzi")))


def _check_lines(path: Path) -> None:
    """Refuse a line that is too long for memory."""
    with path.open("rb") as packed, decompress(packed) as file:
        length = 0
        while chunk := file.read(CHUNK):
            length = len(chunk) - 1 - chunk.rfind(b"\n") + (length if b"\n" not in chunk else 0)
            if length > LONGEST_LINE:
                raise ValueError(f"a line of over {LONGEST_LINE >> 20} MB")


def _open_existing_index(path: Path, changed: int) -> Faidx | None:
    """Open a genome by the .fai beside it; None if that is missing, older, damaged or of a larger file."""
    index = path.with_name(f"{path.name}.fai")
    if not index.is_file() or index.stat().st_size > MOST_BYTES or index.stat().st_mtime_ns < changed:
        return None
    try:
        faidx = Faidx(str(path), indexname=str(index))
    except (OverflowError, ValueError):  # no numbers, or none that a file could have
        return None
    last = path.stat().st_size + 2  # the last line may end without a line end
    if faidx.index and all(min(record) >= 0 and record.bend <= last for record in faidx.index.values()):
        return faidx
    faidx.close()
    return None
