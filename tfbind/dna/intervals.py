"""Genomic intervals: chromosome names, intervals in the names of windows and records, regions of BED files."""

import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfbind.dna.codes import shorten
from tfbind.store import file_label, plural, quote, read_whole_lines

_WINDOW = re.compile(rb"((?:(?!::).)+)_(\d{1,15})_(\d{1,15})")

_NUMBER = r"(\d{1,15}|\d{1,3}(?:,\d{3}){1,4})"  # with or without the commas of a genome browser
_STRANDED = re.compile(r"(\S+?)(?:\(([+.-]?)\)|(/rc)|:([+.*-]))", re.DOTALL)
_COURSE = re.compile(r"(\S+)_(\d{1,15})_(\d{1,15})")
_RANGE = re.compile(rf"(\S+):(c?){_NUMBER}(?:-|\.\.){_NUMBER}")
_SEQKIT = re.compile(r"(\S+)_(\d{1,15})-(\d{1,15})")
_ENSEMBL = re.compile(r"[^:\s]+:[^:\s]+:([^:\s]+):(\d{1,15}):(\d{1,15}):(-?1)")
MAX_LINES = 5_000_000
NARROWPEAK_COLUMNS = 10
SUMMIT = 9
MOST_DIGITS = 12


class CoordinateConvention(NamedTuple):
    """A coordinate convention: the number of the first base, and 1 if the end is inclusive, else 0."""

    first: int
    inclusive: int


FROM_ZERO, FROM_ONE, HALF_OPEN = CoordinateConvention(0, 1), CoordinateConvention(1, 1), CoordinateConvention(0, 0)


class NamedInterval(NamedTuple):
    """An interval as written in a name: chromosome, both numbers, strand, and the conventions they may follow."""

    chromosome: str
    first: int
    last: int
    reverse: bool
    conventions: tuple[CoordinateConvention, ...]


def parse_interval(name: str) -> NamedInterval | None:
    """Parse the interval in a name, None where there is none.

    Names are those of the course (`chr22_300_599`), samtools (`chr22:301-600`, `/rc` behind it), bedtools
    (`NAME::chr22:300-600(-)`), UCSC and genome browsers (`chr22:1,301-1,600`), NCBI (`NC_000022.11:c600-301`), seqkit
    (`chr22_301-600:-`) and Ensembl (`chromosome:GRCh38:22:301:600:-1`).
    """
    name = name.rpartition("::")[2]
    if match := _ENSEMBL.fullmatch(name):
        return NamedInterval(match[1], int(match[2]), int(match[3]), match[4] == "-1", (FROM_ONE,))
    stranded = _STRANDED.fullmatch(name)
    if stranded and stranded[4] and (match := _SEQKIT.fullmatch(stranded[1])):
        return NamedInterval(match[1], int(match[2]), int(match[3]), stranded[4] == "-", (FROM_ONE,))
    words, reverse = (stranded[1], "-" in stranded.groups("")[1:] or bool(stranded[3])) if stranded else (name, False)
    if match := _COURSE.fullmatch(words):
        return NamedInterval(match[1], int(match[2]), int(match[3]), reverse, (FROM_ZERO,))
    if match := _RANGE.fullmatch(words):
        first, last = (int(number.replace(",", "")) for number in match.group(3, 4))
        if match[2]:
            return NamedInterval(_accession(match[1]), last, first, not reverse, (FROM_ONE,))
        conventions = (FROM_ONE,) if stranded and stranded[3] else (FROM_ONE, HALF_OPEN)
        return NamedInterval(_accession(match[1]), first, last, reverse, conventions)
    return None


def _accession(name: str) -> str:
    """`NC_000022.11` of `gi|568815576|ref|NC_000022.11|`, any other name as it is."""
    return name.split("|")[-2] if name.endswith("|") and name.count("|") > 1 else name


def other_chromosome_name(name: str) -> str:
    """The name of a chromosome in the other convention, UCSC or Ensembl: chr22 and 22, chrM and MT."""
    if name in ("chrM", "MT"):
        return "MT" if name == "chrM" else "chrM"
    return name.removeprefix("chr") if name.startswith("chr") else f"chr{name}"


def match_chromosomes(names: Collection[str], known: Collection[str] | Mapping[str, int]) -> dict[str, str]:
    """Match chromosome names across the two conventions.

    Args:
        names: what to look for.
        known: the names to look among.

    Returns:
        The known name by name; names without one are left out.
    """
    pairs = ((name, name if name in known else other_chromosome_name(name)) for name in names)
    return {name: match for name, match in pairs if match in known}


def window_place(name: bytes, length: int) -> tuple[str, int] | None:
    """The coordinates in the name of a window.

    Names are `chr22_300_599`, which begins at 300, and whatever else `parse_interval` reads; the length tells
    `chr22:301-600` (1-based, end inclusive) and `chr22:300-600` (0-based, end exclusive) apart.

    Args:
        name: of the window.
        length: its bases.

    Returns:
        The chromosome and the 0-based start, None where the name has no coordinates.
    """
    if match := _WINDOW.fullmatch(name):
        return match[1].decode(errors="replace"), int(match[2])
    span = parse_interval(name.decode(errors="replace"))
    if span is None:
        return None
    inclusive = HALF_OPEN not in span.conventions or span.last - span.first == length - 1
    return span.chromosome, span.first - 1 if inclusive and FROM_ONE in span.conventions else span.first


def window_places(names: NDArray[np.bytes_], length: int) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """The coordinates in the names of windows.

    Args:
        names: (N,) of the windows.
        length: the bases of each.

    Returns:
        The number of the chromosome (N,), in order of name, and the 0-based start (N,); -1 and 0 where a name has no
        coordinates. Names of both conventions, such as chr22 and 22, have one number.
    """
    places = [window_place(name, length) for name in names.tolist()]
    numbers: dict[str, int] = {}
    for chromosome in sorted({place[0] for place in places if place}):
        numbers[chromosome] = numbers.get(other_chromosome_name(chromosome), len(numbers))
    chromosomes = [numbers[place[0]] if place else -1 for place in places]
    starts = [place[1] if place else 0 for place in places]
    return np.array(chromosomes, dtype=np.intp), np.array(starts, dtype=np.int64)


_RULES = (
    (FROM_ZERO, "chromosome and start from names such as chr22_10510500_10510799 (0-based, end inclusive)"),
    (FROM_ONE, "chromosome and start from names such as chr1:101-200 (1-based, end inclusive)"),
    (HALF_OPEN, "chromosome and start from names such as chr1:100-200 (0-based, half-open)"),
)
OWN = "each record is its own chromosome and starts at 0"


class Position(NamedTuple):
    """The chromosome of a record and its lowest coordinate there, that of base 0, or, if `reverse`, of its last."""

    chromosome: str
    start: int
    reverse: bool = False

    def lowest(self, start: int, end: int, length: int) -> int:
        """The lowest coordinate of the bases start to end (exclusive) of a record of `length` bases."""
        return self.start + (length - end if self.reverse else start)


class Placements(NamedTuple):
    """The position of each record, the rule in words, and a note on records without coordinates, "" if there are
    none."""

    places: list[Position]
    rule: str
    note: str


def place_records(records: Sequence[tuple[str, int]]) -> Placements:
    """The positions of records, given as name and length, by the coordinates in their names.

    A rule has to fit the name and the length of a record: 0-based, end inclusive, as in the course's data
    (`chr22_10510500_10510799`), 1-based inclusive, as samtools and most others write (`chr1:101-200`), or 0-based
    half-open, as bedtools writes (`chr1:100-200`); the length of the sequence tells the last two apart. See
    `parse_interval` for the forms. On the reverse strand base i lies i bases before the end. A record whose name does
    not fit is its own chromosome; all are where names follow different rules, which cannot all be meant.
    """
    spans = [(_span(name), length) for name, length in records]
    candidates = [([_fit(*span, convention) for span in spans], words) for convention, words in _RULES]
    fitting = [(positions, words) for positions, words in candidates if any(positions)]
    own = [Position(name, 0) for name in _chromosomes(records)]
    if len(fitting) > 1:
        note = "their names give places in a genome by more than one rule, so that none is used"
        return Placements(own, OWN, note)
    positions, words = fitting[0] if fitting else ([None] * len(own), OWN)
    if any(position and position.reverse for position in positions):
        words += "; records marked (-) run backwards along their place"
    fits = zip(records, spans, positions, strict=True)
    unplaced = [(name, span) for (name, _), (span, _), position in fits if position is None]
    note = _note([name for name, span in unplaced if span is None]) if fitting else ""
    notes = note, _note_of_misfits([name for name, span in unplaced if span])
    placed = [position or default for position, default in zip(positions, own, strict=True)]
    return Placements(placed, words, "; ".join(filter(None, notes)))


def check_apart(records: Sequence[tuple[str, int]], placements: Placements) -> None:
    """Refuse records that overlap: a track holds one score per base.

    Args:
        records: name and length of each.
        placements: of `place_records`.

    Raises:
        ValueError: two of them cover the same base.
    """
    spans = sorted((at.chromosome, at.start, *record) for at, record in zip(placements.places, records, strict=True))
    for (chromosome, start, left, bases), (other, next_start, right, _) in itertools.pairwise(spans):
        if chromosome == other and next_start < start + bases:
            raise ValueError(
                f"records {shorten(left)} and {shorten(right)} overlap on {chromosome}; a track has one score per "
                "base, a .tsv holds both"
            )


def _note(names: Sequence[str]) -> str:
    return f"without a place in its name, its own chromosome from 0: {_first_of(names)}" if names else ""


def _note_of_misfits(names: Sequence[str]) -> str:
    why = "the numbers in its name are no place of its length, its own chromosome from 0"
    return f"{why}: {_first_of(names)}" if names else ""


def _first_of(names: Sequence[str]) -> str:
    return shorten(names[0]) + (f" and {len(names) - 1:,} more" if len(names) > 1 else "")


def position_of(name: str, length: int) -> Position | None:
    """The position of a single record, by the rules of `place_records`.

    Args:
        name: of the record.
        length: its bases.

    Returns:
        None where the name has no coordinates of that length.
    """
    positions = (_fit(_span(name), length, convention) for convention, _ in _RULES)
    return next((position for position in positions if position is not None), None)


def _span(name: str) -> NamedInterval | None:
    return parse_interval(name) or parse_interval(name.partition(" ")[0])


def _fit(span: NamedInterval | None, length: int, convention: CoordinateConvention) -> Position | None:
    if span is None or convention not in span.conventions:
        return None
    fits = span.first >= convention.first and span.last - span.first + convention.inclusive == length
    return Position(bed_name(span.chromosome), span.first - convention.first, span.reverse) if fits else None


def bed_name(name: str) -> str:
    """A name as one column of a BED file that no reader takes for a comment or a track line."""
    word = re.sub(r"\s", "_", name)
    return f"_{word}" if word.startswith("#") or word in ("track", "browser") else word


def _chromosomes(records: Sequence[tuple[str, int]]) -> list[str]:
    names = [bed_name(name) for name, _ in records]
    if len(set(names)) == len(names):
        return names
    return [f"{name}_{number}" for number, name in enumerate(names, 1)]


@dataclass(frozen=True)
class Region:
    """A region of a BED file, 0-based and half-open: its middle (the summit where the file gives one), its line."""

    contig: str
    start: int
    end: int
    middle: int
    line: int


def read_regions(path: Path) -> list[Region]:
    """Read the regions of a BED file of three columns or more; with ten it is narrowPeak, with the summit last.

    Blank lines, comments, `track` and `browser` lines are passed over.

    Raises:
        ValueError: one line: the file, the line, what is there and what was expected.
    """
    regions: list[Region] = []
    number = 0
    for lines in read_whole_lines(path):
        for raw in lines.split(b"\n")[:-1]:
            number += 1
            if number > MAX_LINES:
                raise ValueError(f"{file_label(path)}: over {MAX_LINES:,} lines; expected fewer regions")
            text = raw.decode("ascii", "backslashreplace")
            if text.strip() and not text.startswith(("#", "track", "browser")):
                regions.append(_region(text.rstrip("\r"), f"{file_label(path)}: line {number}", number))
    if not regions:
        raise ValueError(f"{file_label(path)}: no region; expected BED: chromosome, start and end, separated by tabs")
    return regions


def _region(text: str, place: str, number: int) -> Region:
    cells = text.split("\t") if "\t" in text else text.split()
    if len(cells) < 3 or not cells[0].strip() or not cells[0].isprintable():
        raise ValueError(
            f"{place}: {quote(text)}; expected BED: chromosome, start and end, separated by tabs, such as "
            "chr22 100 400"
        )
    start, end = _coordinate(cells[1], place, "start"), _coordinate(cells[2], place, "end")
    if end <= start:
        why = "is empty" if end == start else "ends before it starts"
        raise ValueError(f"{place}: {cells[0]}:{start}-{end} {why}; expected start < end")
    middle = (start + end) // 2
    if len(cells) == NARROWPEAK_COLUMNS and cells[SUMMIT].strip() != "-1":
        summit = _coordinate(cells[SUMMIT], place, "summit")
        if summit >= end - start:
            raise ValueError(f"{place}: a summit {summit} bases from the start; expected less than {end - start}")
        middle = start + summit
    return Region(cells[0].strip(), start, end, middle, number)


def _coordinate(cell: str, place: str, column: str) -> int:
    digits = cell.strip()
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"{place}: {column} {quote(cell)}; expected a whole number, 0 or above")
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"{place}: {column} {quote(cell)}; no chromosome is that long")
    return int(digits)


def windows_around(
    regions: list[Region], sizes: Mapping[str, int], contig_names: Mapping[str, str], length: int, path: Path
) -> dict[str, list[int]]:
    """Windows around the middles of regions.

    Of an even `length` the middle is the first base of the second half. Windows over an end are left out.

    Args:
        regions: of `read_regions`.
        sizes: bases of each contig.
        contig_names: the name in `sizes` of each contig of the regions; regions elsewhere are left out.
        length: bases of a window.
        path: the file of the regions, for messages.

    Returns:
        The starts by contig, in order, each once.

    Raises:
        ValueError: a region reaches past the end of its chromosome.
    """
    starts: dict[str, set[int]] = {}
    for region in regions:
        if region.contig not in contig_names:
            continue
        contig = contig_names[region.contig]
        if region.end > sizes[contig]:
            raise ValueError(
                f"{file_label(path)}: line {region.line}: {region.contig}:{region.start}-{region.end} reaches past "
                f"the end of {contig}, which has {plural(sizes[contig], 'base')}: made for another assembly?"
            )
        start = region.middle - length // 2
        if start >= 0 and start + length <= sizes[contig]:
            starts.setdefault(contig, set()).add(start)
    return {contig: sorted(places) for contig, places in starts.items()}


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
