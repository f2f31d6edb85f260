"""A genome of any size from its FASTA file, plain or gzip, once from end to end: stretches, and windows cut out.

No index is made: one pass over a genome takes less time than indexing it, and works within a gzip file too.
Places are 0-based, ends exclusive.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfbind.files import regular
from tfbind.records import Piece, first_word, read_pieces
from tfbind.sequences import Codes
from tfbind.tables import label, shown

BLOCK = 1 << 20
LONGEST_NAME = 150  # leaves room for a window's places

Progress = Callable[[float], None]
Pieces = Iterator[Codes]


@dataclass(frozen=True, eq=False)
class Stretch:
    """Whole windows `first` to `last` of a contig, within `codes` (L,), which begin at `start` and reach around."""

    contig: str
    start: int
    first: int
    last: int
    codes: Codes


def contigs(path: Path, progress: Progress = lambda _: None) -> Iterator[tuple[str, Pieces]]:
    """Every contig in order of the file, by the first word of its header, with its codes in pieces.

    Raises:
        ValueError: one line: no FASTA, a name that is empty, overlong or there twice, a letter that is none.
        OSError: the file cannot be read.
    """
    seen: set[str] = set()
    size = max(regular(path).stat().st_size, 1)
    with path.open("rb") as stream:
        told = _told(read_pieces(stream), lambda: progress(1.0 if stream.closed else stream.tell() / size), path)
        for number, group in itertools.groupby(told, key=lambda piece: piece.number):
            first = next(group)
            name = first_word(first.header)
            if not 0 < len(name) <= LONGEST_NAME or name in seen:
                why = "there twice" if name in seen else f"a name of {len(name)} characters"
                raise ValueError(
                    f"{label(path)}: sequence {number}, {shown(name)}: {why}; expected FASTA with headers such as "
                    f">chr22, each once, of at most {LONGEST_NAME} characters"
                )
            seen.add(name)
            yield name, (piece.codes for piece in itertools.chain([first], group))


def _told(pieces: Iterator[Piece], tell: Callable[[], None], path: Path) -> Iterator[Piece]:
    try:
        for piece in pieces:
            tell()
            yield piece
    except ValueError as error:
        raise ValueError(f"{label(path)}: {error}") from None


def stretches(contig: str, pieces: Pieces, length: int, margin: int) -> Iterator[Stretch]:
    """A contig's windows on a grid of their length, about a million bases at a time, `margin` bases on each side.

    Bases after the last whole window are in no window, but in the margin.
    """
    step = length * max(1, BLOCK // length)
    held, start, done = np.empty(0, np.uint8), 0, 0
    for codes in pieces:
        held = np.concatenate([held, codes])
        while start + len(held) - done >= step + margin:
            yield Stretch(contig, start, done, done + step, held[: done + step + margin - start])
            done += step
            held, start = held[max(0, done - margin) - start :], max(0, done - margin)
    last = done + (start + len(held) - done) // length * length
    if last > done:
        yield Stretch(contig, start, done, last, held)


def cut(pieces: Iterable[Codes], starts: list[int], length: int) -> Iterator[tuple[int, Codes]]:
    """The windows (length,) that begin at `starts`, which rise; those that reach past the end are not among them."""
    held, start, place = np.empty(0, np.uint8), 0, 0
    for codes in pieces:
        needed = starts[place] if place < len(starts) else start + len(held)
        dropped = min(needed - start, len(held))
        held, start = np.concatenate([held[dropped:], codes]), start + dropped
        while place < len(starts) and starts[place] + length <= start + len(held):
            yield starts[place], held[starts[place] - start :][:length]
            place += 1
