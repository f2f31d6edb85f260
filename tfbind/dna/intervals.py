"""Places in a genome: names of chromosomes, where windows and records lie by their names, regions of BED files."""

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
MOST = 5_000_000
NARROWPEAK_COLUMNS = 10
SUMMIT = 9
MOST_DIGITS = 12


class CoordinateConvention(NamedTuple):
    """A way of counting bases: the number of the first base, and 1 if the end is the last base, 0 if it is behind."""

    first: int
    inclusive: int


FROM_ZERO, FROM_ONE, HALF_OPEN = CoordinateConvention(0, 1), CoordinateConvention(1, 1), CoordinateConvention(0, 0)


class NamedInterval(NamedTuple):
    """A place as a name gives it: both numbers as they stand there, the strand, and how they may be meant."""

    chromosome: str
    first: int
    last: int
    reverse: bool
    counts: tuple[CoordinateConvention, ...]


def parse_interval(name: str) -> NamedInterval | None:
    """The place that a name gives, None where it gives none.

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
        only_one = stranded and stranded[3]
        return NamedInterval(
            _accession(match[1]), first, last, reverse, (FROM_ONE,) if only_one else (FROM_ONE, HALF_OPEN)
        )
    return None


def _accession(name: str) -> str:
    """`NC_000022.11` of `gi|568815576|ref|NC_000022.11|`, any other name as it is."""
    return name.split("|")[-2] if name.endswith("|") and name.count("|") > 1 else name


def other_chromosome_name(name: str) -> str:
    """The same chromosome as the other convention calls it: chr22 and 22, chrM and MT."""
    if name in ("chrM", "MT"):
        return "MT" if name == "chrM" else "chrM"
    return name.removeprefix("chr") if name.startswith("chr") else f"chr{name}"


def match_chromosomes(wanted: Collection[str], there: Collection[str] | Mapping[str, int]) -> dict[str, str]:
    """What each of the names `wanted` is called in `there`; names that are in neither convention are left out."""
    pairs = ((name, name if name in there else other_chromosome_name(name)) for name in wanted)
    return {name: called for name, called in pairs if called in there}


def window_place(name: bytes, length: int) -> tuple[str, int] | None:
    """The chromosome and the 0-based start of a window of `length` bases, None where its name tells none.

    Names are `chr22_300_599`, which begins at 300, and whatever else `read_span` reads; the length tells
    `chr22:301-600` (from the base of that number, end inclusive) and `chr22:300-600` (0-based, end exclusive) apart.
    """
    if match := _WINDOW.fullmatch(name):
        return match[1].decode(errors="replace"), int(match[2])
    span = parse_interval(name.decode(errors="replace"))
    if span is None:
        return None
    from_one = HALF_OPEN not in span.counts or span.last - span.first == length - 1
    return span.chromosome, span.first - (from_one and FROM_ONE in span.counts)


def window_places(names: NDArray[np.bytes_], length: int) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """The number of the chromosome (N,), in order of name, and the start (N,) of windows; -1 and 0 where names (N,)
    tell none. Names of both conventions, such as chr22 and 22, have one number."""
    found = [window_place(name, length) for name in names.tolist()]
    numbers: dict[str, int] = {}
    for chromosome in sorted({there[0] for there in found if there}):
        numbers[chromosome] = numbers.get(other_chromosome_name(chromosome), len(numbers))
    chromosomes = [numbers[there[0]] if there else -1 for there in found]
    starts = [there[1] if there else 0 for there in found]
    return np.array(chromosomes, dtype=np.intp), np.array(starts, dtype=np.int64)


_RULES = (
    (FROM_ZERO, "chromosome and start from names such as chr22_10510500_10510799 (0-based, end inclusive)"),
    (FROM_ONE, "chromosome and start from names such as chr1:101-200 (1-based, end inclusive)"),
    (HALF_OPEN, "chromosome and start from names such as chr1:100-200 (0-based, half-open)"),
)
OWN = "each record is its own chromosome and starts at 0"


class Position(NamedTuple):
    """The chromosome of a record and its lowest place there, that of base 0, or of the last base in `reverse`."""

    chromosome: str
    start: int
    reverse: bool = False

    def lowest(self, start: int, end: int, length: int) -> int:
        """Where a stretch of a record of `length` bases, from start to end (exclusive), begins on the chromosome."""
        return self.start + (length - end if self.reverse else start)


class Placements(NamedTuple):
    """Where each record lies, the rule in words, and what is to be said of records without a place, "" if nothing."""

    places: list[Position]
    rule: str
    note: str


def place_records(records: Sequence[tuple[str, int]]) -> Placements:
    """Where records, given as name and length, lie.

    A rule has to fit the name and the length of a record: 0-based, end inclusive, as in the course's data
    (`chr22_10510500_10510799`), 1-based inclusive, as samtools and most others write (`chr1:101-200`), or 0-based
    half-open, as bedtools writes (`chr1:100-200`); the length of the sequence tells the last two apart. See
    `read_span` for the forms. Of the reverse strand base i lies i bases before the end. A record whose name does not
    fit is its own chromosome; all are where names follow different rules, which cannot all be meant.
    """
    spans = [(_span(name), length) for name, length in records]
    found = [([_fit(*span, count) for span in spans], words) for count, words in _RULES]
    fitting = [(sure, words) for sure, words in found if any(sure)]
    own = [Position(name, 0) for name in _chromosomes(records)]
    if len(fitting) > 1:
        note = "their names give places in a genome by more than one rule, so that none is used"
        return Placements(own, OWN, note)
    sure, words = fitting[0] if fitting else ([None] * len(own), OWN)
    if any(place and place.reverse for place in sure):
        words += "; records marked (-) run backwards along their place"
    lost = [(name, span) for (name, _), (span, _), place in zip(records, spans, sure, strict=True) if place is None]
    note = _note([name for name, span in lost if span is None]) if fitting else ""
    notes = note, _note_of_misfits([name for name, span in lost if span])
    return Placements(
        [place or alone for place, alone in zip(sure, own, strict=True)], words, "; ".join(filter(None, notes))
    )


def check_apart(records: Sequence[tuple[str, int]], where: Placements) -> None:
    """Whether a track can hold these records, given as name and length, which lie `where` `places` says.

    Raises:
        ValueError: two of them cover the same base.
    """
    spans = sorted((at.chromosome, at.start, *record) for at, record in zip(where.places, records, strict=True))
    for (chromosome, start, left, bases), (other, next_start, right, _) in itertools.pairwise(spans):
        if chromosome == other and next_start < start + bases:
            raise ValueError(
                f"records {shorten(left)} and {shorten(right)} overlap on {chromosome}; a track has one score per "
                "base, a .tsv holds both"
            )


def _note(lost: Sequence[str]) -> str:
    return f"without a place in its name, its own chromosome from 0: {_first_of(lost)}" if lost else ""


def _note_of_misfits(lost: Sequence[str]) -> str:
    why = "the numbers in its name are no place of its length, its own chromosome from 0"
    return f"{why}: {_first_of(lost)}" if lost else ""


def _first_of(names: Sequence[str]) -> str:
    return shorten(names[0]) + (f" and {len(names) - 1:,} more" if len(names) > 1 else "")


def position_of(name: str, length: int) -> Position | None:
    """Where a record of `length` bases lies by its name alone, by the same rules; None if the name says nothing."""
    found = (_fit(_span(name), length, count) for count, _ in _RULES)
    return next((place for place in found if place is not None), None)


def _span(name: str) -> NamedInterval | None:
    return parse_interval(name) or parse_interval(name.partition(" ")[0])


def _fit(span: NamedInterval | None, length: int, count: CoordinateConvention) -> Position | None:
    if span is None or count not in span.counts:
        return None
    fits = span.first >= count.first and span.last - span.first + count.inclusive == length
    return Position(bed_name(span.chromosome), span.first - count.first, span.reverse) if fits else None


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
    """Where a region lies, 0-based and half-open, its middle (the summit where the file gives one), its line."""

    contig: str
    start: int
    end: int
    middle: int
    line: int


def read_regions(path: Path) -> list[Region]:
    """The regions of a BED file of three columns or more; with ten it is narrowPeak, whose last one is the summit.

    Blank lines, comments, `track` and `browser` lines are passed over.

    Raises:
        ValueError: one line: the file, the line, what is there and what was expected.
    """
    found: list[Region] = []
    number = 0
    for lines in read_whole_lines(path):
        for raw in lines.split(b"\n")[:-1]:
            number += 1
            if number > MOST:
                raise ValueError(f"{file_label(path)}: over {MOST:,} lines; expected fewer regions")
            text = raw.decode("ascii", "backslashreplace")
            if text.strip() and not text.startswith(("#", "track", "browser")):
                found.append(_region(text.rstrip("\r"), f"{file_label(path)}: line {number}", number))
    if not found:
        raise ValueError(f"{file_label(path)}: no region; expected BED: chromosome, start and end, separated by tabs")
    return found


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


def _coordinate(cell: str, place: str, what: str) -> int:
    digits = cell.strip()
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"{place}: {what} {quote(cell)}; expected a whole number, 0 or above")
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"{place}: {what} {quote(cell)}; no chromosome is that long")
    return int(digits)


def windows_around(
    regions: list[Region], sizes: Mapping[str, int], called: Mapping[str, str], length: int, path: Path
) -> dict[str, list[int]]:
    """The starts of windows around the middles of regions, by contig, in order, each once.

    Of an even `length` the middle is the first base of the second half. Windows over an end are left out.

    Args:
        sizes: bases of each contig.
        called: what each contig of the regions is called in `sizes`; regions elsewhere are left out.

    Raises:
        ValueError: a region reaches past the end of its chromosome.
    """
    starts: dict[str, set[int]] = {}
    for region in regions:
        if region.contig not in called:
            continue
        contig = called[region.contig]
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
    """Random windows that overlap none of the stretches `taken` nor each other, on the chromosomes of `sizes`.

    Every place is as likely as any other. Fewer than `count` come back where there is no room for more.
    """
    rng = np.random.default_rng(seed)
    names = [name for name in sorted(sizes) if sizes[name] >= length]
    rooms = np.array([sizes[name] - length + 1 for name in names], dtype=float)
    blocks = {name: np.zeros(sizes[name] // length + 1, bool) for name in names}
    for name in names:
        for start, end in taken.get(name, ()):
            blocks[name][start // length : (end - 1) // length + 1] = True
    found: dict[str, list[int]] = {}
    for _ in range(20 * count if names else 0):
        name = names[int(rng.choice(len(names), p=rooms / rooms.sum()))]
        start = int(rng.integers(sizes[name] - length + 1))
        reached = blocks[name][start // length : (start + length - 1) // length + 1]
        if not reached.any():
            reached[:] = True
            found.setdefault(name, []).append(start)
            count -= 1
        if not count:
            break
    return {name: sorted(places) for name, places in found.items()}
