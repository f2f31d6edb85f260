"""Regions of BED and narrowPeak files, windows around them, and windows elsewhere."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np

from tfbind.store import file_label, plural, quote, read_whole_lines

MAX_LINES = 5_000_000
MOST_DIGITS = 12
MOST = 0.9  # the share of lines that must be sound, of regions that must lie on their chromosome
NARROWPEAK_COLUMNS = 10
BED = "BED: chromosome, start and end, separated by tabs, such as chr22 100 400"

_NARROWPEAK = re.compile(r"\.narrowpeak(\.b?gz)?$|^track\b.*\btype=[\"']?narrowPeak", re.IGNORECASE)
_PASSED_OVER = re.compile(r"#|(?:track|browser)\b")
_WHOLE = re.compile(r"(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.0*)?|\d(?:\.\d+)?e\+?\d{1,2}", re.IGNORECASE)  # 1e+05 is R's
_NUMBER = re.compile(r"-?\d+(?:\.\d*)?(?:e[+-]?\d+)?|-?inf|nan|NA", re.IGNORECASE)
_FOREIGN = (
    (r"##gff-version|(?:[^\t]+\t){3}\d+\t\d+\t[^\t]+\t[+.?-]\t[012.](?:\t|$)", "GFF or GTF, which counts from 1"),
    (r"##fileformat=VCF|#CHROM\tPOS", "a VCF file"),
    (r">", "FASTA"),
    (r"@(?:HD|SQ)\t", "an interval list of Picard or SAM, which counts from 1"),
    (r"\S+:[\d,]+-[\d,]+\s*$", "a list of places as genome browsers write them, which count from 1"),
    (r"#?(?:PeakID|GeneID)\b", "a file of peaks by HOMER or of features by Subread, which counts from 1"),
    (r"\S+\t\d+$", "a list of chromosome sizes"),
)


@dataclass(frozen=True)
class Region:
    """A region of a BED file, 0-based and half-open: its middle (the summit where the file gives one), its line."""

    contig: str
    start: int
    end: int
    middle: int
    line: int


class BedFile(NamedTuple):
    """The regions of a file, and notes on how it was read and on lines that were passed over."""

    regions: list[Region]
    notes: list[str]


def read_regions(path: Path) -> BedFile:
    """Read the regions of a BED file of three columns or more, a narrowPeak, or MACS's `_peaks.xls`.

    A file is a narrowPeak by its suffix or its track line, or if its ten columns hold what those of one do. Blank
    lines, comments, headers, `track` and `browser` lines are passed over; so are a few lines that hold no region.

    Raises:
        ValueError: one line: the file, the line, what is there and what was expected.
    """
    reader = _BedReader(path)
    number = 0
    for lines in read_whole_lines(path, f"expected {BED}"):
        for raw in lines.split(b"\n")[:-1]:
            number += 1
            if number > MAX_LINES:
                raise ValueError(f"{file_label(path)}: over {MAX_LINES:,} lines; expected fewer regions")
            text = raw.decode("ascii", "backslashreplace").strip(" ")
            if text:
                reader.read(number, text)
    return reader.result()


class _BedReader:
    """Collects the regions of a file line by line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.regions: list[Region] = []
        self.tenth: dict[int, str] = {}  # by the region's number, where the line has ten columns
        self.like_peaks = self.like_genes = 0  # lines whose columns 5 to 9 hold what those of narrowPeak, of BED do
        self.narrow_peak = bool(_NARROWPEAK.search(path.name))
        self.macs = self.begun = False
        self.problems: list[str] = []

    def read(self, number: int, text: str) -> None:
        """Read a line that is not blank."""
        if not self.begun:
            for pattern, kind in _FOREIGN:
                if re.match(pattern, text, re.IGNORECASE):
                    self._refuse(f"line {number}: this is {kind}; expected {BED}")
        if _PASSED_OVER.match(text):
            self.narrow_peak |= bool(_NARROWPEAK.search(text))
            return
        cells = text.split("\t") if "\t" in text else text.split("," if text.count(",") > 1 else None)
        cells = [cell.strip(' "') for cell in cells]
        begun, self.begun = self.begun, True
        if not begun and len(cells) > 2 and all(cell.isprintable() and cell[:1].isalpha() for cell in cells[:3]):
            self.macs = cells[1:5] == ["start", "end", "length", "abs_summit"]
            return
        try:
            self._add(number, cells, text)
        except ValueError as error:
            self.problems.append(f"line {number}: {error}")

    def _add(self, number: int, cells: list[str], text: str) -> None:
        if len(cells) < 3 or not cells[0] or not cells[0].isprintable():
            raise ValueError(f"{quote(text)}; expected {BED}")
        start, end = _coordinate(cells[1], "start") - self.macs, _coordinate(cells[2], "end")
        if end <= start:
            why = "is empty" if end == start else "ends before it starts"
            raise ValueError(f"{cells[0]}:{start}-{end} {why}; expected start < end")
        middle = _coordinate(cells[4], "summit") - 1 if self.macs else (start + end) // 2
        if not start <= middle < end:
            raise ValueError(f"{cells[0]}:{start}-{end} with its summit at {middle}; expected one within")
        self.regions.append(Region(cells[0], start, end, middle, number))
        if len(cells) == NARROWPEAK_COLUMNS:
            self.tenth[len(self.regions) - 1] = cells[NARROWPEAK_COLUMNS - 1]
            numbers = [cells[4], *cells[6:9]]
            self.like_peaks += cells[5] in ("+", "-", ".") and all(map(_NUMBER.fullmatch, numbers))
            self.like_genes += all(cell.isdecimal() and start <= int(cell) <= end for cell in cells[6:8])

    def result(self) -> BedFile:
        """The regions, with the summits of a narrowPeak as middles."""
        lines, notes = len(self.regions) + len(self.problems), []
        if self.macs:
            notes = ["read as MACS's _peaks.xls, which counts from 1: windows lie around its summits"]
        elif self.tenth:
            notes = [self._take_summits()]
        if not _are_few(len(self.problems), lines):
            count = f" ({len(self.problems):,} of {lines:,} lines cannot be used)" if lines > 1 else ""
            self._refuse(f"{self.problems[0]}{count}")
        if not self.regions:
            self._refuse(f"no region; expected {BED}")
        if self.problems:
            notes.append(f"{plural(len(self.problems), 'line')} passed over, the first: {self.problems[0]}")
        return BedFile(self.regions, [f"{file_label(self.path)}: {note}" for note in notes])

    def _take_summits(self) -> str:
        """Move the middles to the summits if this is a narrowPeak; how the file is read."""
        summits = {
            place: int(cell)
            for place, cell in self.tenth.items()
            if re.fullmatch(r"-1|[0-9]{1,12}", cell) and int(cell) < self._length(place)
        }
        most = MOST * len(self.regions)
        told_by_columns = min(self.like_peaks, len(summits)) >= most and self.like_genes < len(self.tenth)
        if not (self.narrow_peak or told_by_columns):
            return "ten columns that are not those of narrowPeak: windows lie around the middles of regions"
        for place in sorted(self.tenth.keys() - summits.keys()):
            problem = f"a summit {quote(self.tenth[place])} bases from the start; expected less than"
            self.problems.append(f"line {self.regions[place].line}: {problem} {self._length(place)}")
        self.regions = [
            replace(region, middle=region.start + summits[place]) if summits.get(place, -1) >= 0 else region
            for place, region in enumerate(self.regions)
            if place in summits or place not in self.tenth
        ]
        return "read as narrowPeak: windows lie around its summits"

    def _length(self, place: int) -> int:
        return self.regions[place].end - self.regions[place].start

    def _refuse(self, problem: str) -> NoReturn:
        raise ValueError(f"{file_label(self.path)}: {problem}")


def _are_few(count: int, total: int) -> bool:
    """Whether so many of all may be left out, for which they are told."""
    return count <= max(3, (1 - MOST) * total) and 2 * count <= total


def _coordinate(cell: str, column: str) -> int:
    if not _WHOLE.fullmatch(cell):
        raise ValueError(f"{column} {quote(cell)}; expected a whole number, 0 or above")
    number = (
        int(float(cell)) if "e" in cell.lower() else int(cell.partition(".")[0].replace(",", "")[: MOST_DIGITS + 1])
    )
    if number >= 10**MOST_DIGITS:
        raise ValueError(f"{column} {quote(cell)}; no chromosome is that long")
    return number


def windows_around(
    regions: list[Region], sizes: Mapping[str, int], contig_names: Mapping[str, str], length: int, path: Path
) -> tuple[dict[str, list[int]], int]:
    """Windows around the middles of regions.

    Of an even `length` the middle is the first base of the second half. Windows over an end are left out.

    Args:
        regions: of `read_regions`.
        sizes: bases of each contig.
        contig_names: the name in `sizes` of each contig of the regions; regions elsewhere are left out.
        length: bases of a window.
        path: the file of the regions, for messages.

    Returns:
        The starts by contig, in order, each once; and how many regions reach past the end of their contig, which are
        left out.

    Raises:
        ValueError: more than a few regions reach past the end.
    """
    starts: dict[str, set[int]] = {}
    known = [region for region in regions if region.contig in contig_names]
    past = [region for region in known if region.end > sizes[contig_names[region.contig]]]
    if not _are_few(len(past), len(known)):
        first, contig = past[0], contig_names[past[0].contig]
        raise ValueError(
            f"{file_label(path)}: line {first.line}: {first.contig}:{first.start}-{first.end} reaches past the end "
            f"of {contig}, which has {plural(sizes[contig], 'base')}, as {len(past):,} of {len(known):,} regions "
            "do: made for another assembly?"
        )
    for region in known:
        contig, start = contig_names[region.contig], region.middle - length // 2
        if start >= 0 and start + length <= sizes[contig] >= region.end:
            starts.setdefault(contig, set()).add(start)
    return {contig: sorted(places) for contig, places in starts.items()}, len(past)


def random_windows(
    taken: Mapping[str, list[tuple[int, int]]], sizes: Mapping[str, int], count: int, length: int, seed: int
) -> dict[str, list[int]]:
    """Draw random windows that overlap neither the intervals `taken` nor each other.

    Args:
        taken: start and end (exclusive) of intervals, by chromosome.
        sizes: bases of each chromosome to draw from; every start is as likely as any other.
        count: how many; fewer are drawn where there is no room.
        length: bases of a window.
        seed: of the random numbers.

    Returns:
        The starts by chromosome, in order.
    """
    rng = np.random.default_rng(seed)
    names = [name for name in sorted(sizes) if sizes[name] >= length]
    rooms = np.array([sizes[name] - length + 1 for name in names], dtype=float)
    blocks = {name: np.zeros(sizes[name] // length + 1, bool) for name in names}
    for name in names:
        for start, end in taken.get(name, ()):
            blocks[name][start // length : (end - 1) // length + 1] = True
    starts: dict[str, list[int]] = {}
    for _ in range(20 * count if names else 0):
        name = names[int(rng.choice(len(names), p=rooms / rooms.sum()))]
        start = int(rng.integers(sizes[name] - length + 1))
        covered = blocks[name][start // length : (start + length - 1) // length + 1]
        if not covered.any():
            covered[:] = True
            starts.setdefault(name, []).append(start)
            count -= 1
        if not count:
            break
    return {name: sorted(places) for name, places in starts.items()}
