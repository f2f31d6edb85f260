"""Write a bigWig file from scores of every base, an array at a time, in constant memory.

The format is that of Kent et al. 2010 (doi 10.1093/bioinformatics/btq351), version 4, little-endian: a header, the
names of the chromosomes as a B+ tree, values in compressed sections, summaries of these at several zooms, and R trees
that say where each section lies. Coordinates are 0-based half-open.

Written here because the track of a genome would else take longer to write than to predict: pybigtools takes a Python
object for each value and tells of a full disk on stderr only; pyBigWig takes three times as long and has no wheels
for macOS. The tests read what is written with both.
"""

import shutil
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tfbind.store import cpu_cores

Values = NDArray[np.float32]
Piece = tuple[str, int, Values]
Entries = NDArray[np.void]

SECTION = 4_096  # values that are compressed together
ZOOMS = tuple(256 << 2 * step for step in range(7))  # bases that a summary stands for
SLOT = 512  # summaries that are compressed together
PENDING = 64 * SLOT  # summaries that are written together
BLOCK = 256  # children of a node
LAST_POSITION = 2**32 - 1
FIXED_STEP = 3
FASTEST = 1  # of zlib; scores hardly get smaller with more effort

_HEADER, _ZOOM, _TOTAL = struct.Struct("<I2H3Q2H2QIQ"), struct.Struct("<2I2Q"), struct.Struct("<Q4d")
_SECTION, _NODE = struct.Struct("<5I2BH"), struct.Struct("<2BH")
_NAMES, _INDEX = struct.Struct("<4I2Q"), struct.Struct("<2IQ4IQ2I")
_WHERE = [("chromosome", "<u4"), ("start", "<u4"), ("last", "<u4"), ("end", "<u4"), ("offset", "<u8")]
_LEAF, _BRANCH = np.dtype([*_WHERE, ("size", "<u8")]), np.dtype(_WHERE)
_SUMMARY = np.dtype(
    [(name, "<u4") for name in ("chromosome", "start", "end", "count")]
    + [(name, "<f4") for name in ("least", "most", "sum", "squares")]
)


def write(path: Path, sizes: dict[str, int], pieces: Iterable[Piece]) -> None:
    """Write a bigWig file.

    Args:
        path: the file.
        sizes: the bases of each chromosome.
        pieces: chromosome, 0-based start and values (L,) of consecutive bases: in the order of `chromosome_order`, by
            position, without overlaps.

    Raises:
        ValueError: a chromosome is longer than the format can say.
        OSError: the file cannot be written.
    """
    names = chromosome_order(sizes)
    longest = max(names, key=lambda name: sizes[name])
    if sizes[longest] > LAST_POSITION:
        raise ValueError(f"{longest[:60]} reaches position {sizes[longest]:,}; a bigWig ends at {LAST_POSITION:,}")
    ids = {name: id for id, name in enumerate(names)}
    with path.open("wb") as file, ExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(cpu_cores()))
        file.write(bytes(_HEADER.size + len(ZOOMS) * _ZOOM.size + _TOTAL.size))
        names_at = file.tell()
        _write_names(file, names, sizes)
        data_at = file.tell()
        file.write(bytes(8))
        data = _Sections(file, threads)
        zooms: list[_Zoom] = []
        for reduction in reversed(ZOOMS):
            sections = _Sections(stack.enter_context(tempfile.TemporaryFile(dir=path.parent)), threads)
            zooms.insert(0, _Zoom(reduction, sections, zooms[0] if zooms else None))
        total = _Total()
        for chromosome, start, values in pieces:
            data.add(*_sections(ids[chromosome], start, values))
            summaries = _summarise(ids[chromosome], start, values)
            total.add(summaries)
            zooms[0].add(summaries)
        zooms[0].finish()
        index_at = file.tell()
        _write_index(file, data.index(), SECTION)
        headers = [_append(file, zoom) for zoom in _useful(zooms)]
        file.seek(data_at)
        file.write(struct.pack("<Q", len(data.entries)))
        largest = max(_SECTION.size + 4 * SECTION, _SUMMARY.itemsize * SLOT)
        total_at = _HEADER.size + len(ZOOMS) * _ZOOM.size
        file.seek(0)
        file.write(
            _HEADER.pack(0x888FFC26, 4, len(headers), names_at, data_at, index_at, 0, 0, 0, total_at, largest, 0)
        )
        file.write(b"".join(headers))
        file.seek(total_at)
        file.write(_TOTAL.pack(*total.figures))


def chromosome_order(names: Iterable[str]) -> list[str]:
    """Chromosome names in the order of the file."""
    return sorted(names, key=str.encode)


class _Sections:
    """Compressed sections in a file, one after the other, and the offset of each."""

    def __init__(self, file: IO[bytes], threads: Executor) -> None:
        self.file, self.threads = file, threads
        self.entries: list[tuple[int, ...]] = []

    def add(self, places: Sequence[tuple[int, int, int, int]], contents: Sequence[bytes]) -> None:
        """Append sections; a place is chromosome and start, last chromosome and end."""
        packed = self.threads.map(_pack, contents) if len(contents) > 1 else map(_pack, contents)
        for place, section in zip(places, packed, strict=True):
            self.entries.append((*place, self.file.tell(), len(section)))
            self.file.write(section)

    def index(self, shift: int = 0) -> Entries:
        """The index entries of the sections, for a copy of the file at offset `shift`."""
        entries = np.array(self.entries, _LEAF)
        entries["offset"] += shift
        return entries


def _pack(content: bytes) -> bytes:
    return zlib.compress(content, FASTEST)


def _sections(id: int, start: int, values: Values) -> tuple[list[tuple[int, int, int, int]], list[bytes]]:
    places, contents = [], []
    for first in range(0, len(values), SECTION):
        part = values[first : first + SECTION]
        begin, end = start + first, start + first + len(part)
        places.append((id, begin, id, end))
        contents.append(_SECTION.pack(id, begin, end, 1, 1, FIXED_STEP, 0, len(part)) + part.astype("<f4").tobytes())
    return places, contents


# Summaries


class _Total:
    """The summary of the whole file: bases, least, most, sum and sum of squares."""

    def __init__(self) -> None:
        self.figures = (0, np.inf, -np.inf, 0.0, 0.0)

    def add(self, summaries: Entries) -> None:
        count, least, most, whole, squares = self.figures
        self.figures = (
            count + int(summaries["count"].sum()),
            min(least, float(summaries["least"].min())),
            max(most, float(summaries["most"].max())),
            whole + float(summaries["sum"].sum(dtype=np.float64)),
            squares + float(summaries["squares"].sum(dtype=np.float64)),
        )


class _Zoom:
    """The summaries of one zoom, written when enough are pending, and merged for the next zoom."""

    def __init__(self, reduction: int, sections: _Sections, coarser: "_Zoom | None") -> None:
        self.reduction, self.sections, self.coarser = reduction, sections, coarser
        self.count, self.pending_count = 0, 0
        self.pending: list[Entries] = []

    def add(self, summaries: Entries) -> None:
        self.pending.append(summaries)
        self.count += len(summaries)
        self.pending_count += len(summaries)
        if self.pending_count >= PENDING:
            self._flush()

    def finish(self) -> None:
        """Write the pending summaries of this zoom and of the coarser ones."""
        self._flush()
        if self.coarser:
            self.coarser.finish()

    def _flush(self) -> None:
        if not self.pending:
            return
        whole = np.concatenate(self.pending)
        self.pending, self.pending_count = [], 0
        slots = [whole[first : first + SLOT] for first in range(0, len(whole), SLOT)]
        places = [
            (slot["chromosome"][0], slot["start"][0], slot["chromosome"][-1], slot["end"][-1]) for slot in slots
        ]
        self.sections.add(places, [slot.tobytes() for slot in slots])
        if self.coarser:
            self.coarser.add(_merge(whole, self.coarser.reduction))


def _summarise(id: int, start: int, values: Values) -> Entries:
    """Summaries of the first zoom."""
    edges = np.arange(0, len(values), ZOOMS[0])
    summaries = np.empty(len(edges), _SUMMARY)
    summaries["chromosome"], summaries["start"] = id, start + edges
    summaries["end"] = np.append(start + edges[1:], start + len(values))
    summaries["count"] = summaries["end"] - summaries["start"]
    exact = values.astype(np.float64)
    summaries["least"], summaries["most"] = np.minimum.reduceat(values, edges), np.maximum.reduceat(values, edges)
    summaries["sum"], summaries["squares"] = np.add.reduceat(exact, edges), np.add.reduceat(exact * exact, edges)
    return summaries


def _merge(summaries: Entries, reduction: int) -> Entries:
    """Merge the summaries that begin in the same `reduction` bases of a chromosome."""
    bins, chromosomes = summaries["start"] // reduction, summaries["chromosome"]
    other = (bins[1:] != bins[:-1]) | (chromosomes[1:] != chromosomes[:-1])
    edges = np.append(0, np.flatnonzero(other) + 1)
    merged = summaries[edges]
    merged["end"] = summaries["end"][np.append(edges[1:], len(summaries)) - 1]
    for name in ("count", "sum", "squares"):
        merged[name] = np.add.reduceat(summaries[name], edges)
    merged["least"] = np.minimum.reduceat(summaries["least"], edges)
    merged["most"] = np.maximum.reduceat(summaries["most"], edges)
    return merged


def _useful(zooms: Sequence[_Zoom]) -> list[_Zoom]:
    """The zooms that have at most half as many summaries as the one before them."""
    useful = [zooms[0]]
    for zoom in zooms[1:]:
        if 2 * zoom.count <= useful[-1].count:
            useful.append(zoom)
    return useful


def _append(file: IO[bytes], zoom: _Zoom) -> bytes:
    """Copy a zoom and its index to the file; its entry in the header."""
    data_at = file.tell()
    file.write(struct.pack("<I", zoom.count))
    shift = file.tell()
    zoom.sections.file.seek(0)
    shutil.copyfileobj(zoom.sections.file, file)
    index_at = file.tell()
    _write_index(file, zoom.sections.index(shift), SLOT)
    return _ZOOM.pack(zoom.reduction, 0, data_at, index_at)


# Trees


def _write_names(file: IO[bytes], names: Sequence[str], sizes: dict[str, int]) -> None:
    width = max(len(name.encode()) for name in names)
    leaf = np.dtype([("key", f"S{width}"), ("id", "<u4"), ("size", "<u4")])
    branch = np.dtype([("key", f"S{width}"), ("offset", "<u8")])
    leaves = np.array([(name.encode(), id, sizes[name]) for id, name in enumerate(names)], leaf)
    file.write(_NAMES.pack(0x78CA8C91, BLOCK, width, 8, len(names), 0))

    def parents(first: Entries, _last: Entries) -> Entries:
        entries = np.zeros(len(first), branch)
        entries["key"] = first["key"]
        return entries

    _write_tree(file, leaves, parents)


def _write_index(file: IO[bytes], entries: Entries, slot: int) -> None:
    first, last = entries[0], entries[-1]
    extent = (int(first["chromosome"]), int(first["start"]), int(last["last"]), int(last["end"]))
    file.write(_INDEX.pack(0x2468ACE0, BLOCK, len(entries), *extent, file.tell(), slot, 0))

    def parents(first: Entries, last: Entries) -> Entries:
        nodes = np.zeros(len(first), _BRANCH)
        nodes["chromosome"], nodes["start"] = first["chromosome"], first["start"]
        nodes["last"], nodes["end"] = last["last"], last["end"]
        return nodes

    _write_tree(file, entries, parents)


def _write_tree(file: IO[bytes], leaves: Entries, parents: Callable[[Any, Any], Entries]) -> None:
    """Nodes of `BLOCK` entries, the root first; `parents` makes entries from the first and last ones below them."""
    levels = [leaves]
    while len(levels[-1]) > BLOCK:
        below = levels[-1]
        lasts = np.append(np.arange(BLOCK, len(below), BLOCK), len(below)) - 1
        levels.append(parents(below[::BLOCK], below[lasts]))
    place, starts = file.tell(), [0] * len(levels)
    for depth in reversed(range(len(levels))):
        starts[depth] = place
        place += levels[depth].nbytes + _NODE.size * -(-len(levels[depth]) // BLOCK)
    for depth in reversed(range(len(levels))):
        level = levels[depth]
        if depth:
            node_bytes = _NODE.size + BLOCK * levels[depth - 1].itemsize
            level["offset"] = starts[depth - 1] + np.arange(len(level)) * node_bytes
        for first in range(0, len(level), BLOCK):
            node = level[first : first + BLOCK]
            file.write(_NODE.pack(depth == 0, 0, len(node)) + node.tobytes())
