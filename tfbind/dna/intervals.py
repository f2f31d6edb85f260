"""Genomic intervals: chromosome names, intervals in the names of windows and records."""

import itertools
import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfbind.dna.codes import shorten

_WINDOW = re.compile(rb"((?:(?!::).)+)_(\d{1,15})_(\d{1,15})")

_NUMBER = r"(\d{1,15}|\d{1,3}(?:,\d{3}){1,4})"  # with or without the commas of a genome browser
_STRANDED = re.compile(r"(\S+?)(?:\(([+.-]?)\)|(/rc)|:([+.*-]))", re.DOTALL)
_COURSE = re.compile(r"(\S+)_(\d{1,15})_(\d{1,15})")
_RANGE = re.compile(rf"(\S+):(c?){_NUMBER}(?:-|\.\.){_NUMBER}")
_SEQKIT = re.compile(r"(\S+)_(\d{1,15})-(\d{1,15})")
_HUMAN = re.compile(
    r"NC_0{4,5}([1-9]|1\d|2[0-4])\.\d+|CM000(66[3-9]|67\d|68[0-6])\.\d+"
)  # RefSeq, GenBank; X and Y last
_ENSEMBL = re.compile(r"[^:\s]+:[^:\s]+:([^:\s]+):(\d{1,15}):(\d{1,15}):(-?1)")


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


def bare(chromosome: str) -> str:
    """The name of a chromosome in the form `1` for `chr1`, `Chr1`, `1` and the human `NC_000001.11` and `CM000663.2`.

    chrM, MT and the human NC_012920.1 are `M`.
    """
    if match := _HUMAN.fullmatch(chromosome):
        number = int(match[1]) if match[1] else int(match[2]) - 662
        return {23: "X", 24: "Y"}.get(number, str(number))
    name = re.sub("^chr", "", chromosome, flags=re.IGNORECASE)
    return "M" if name in ("MT", "NC_012920.1") else name


def match_chromosomes(names: Collection[str], known: Collection[str]) -> dict[str, str]:
    """Match chromosome names across conventions, by `bare`.

    Args:
        names: what to look for.
        known: the names to look among.

    Returns:
        The known name by name; names without one are left out.
    """
    by_bare = {bare(name): name for name in reversed([*known])}
    pairs = ((name, name if name in known else by_bare.get(bare(name))) for name in names)
    return {name: match for name, match in pairs if match is not None}


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
        coordinates. Names of one chromosome in several conventions have one number.
    """
    places = [window_place(name, length) for name in names.tolist()]
    numbers: dict[str, int] = {}
    bare_numbers: dict[str, int] = {}
    for chromosome in sorted({place[0] for place in places if place}):
        numbers[chromosome] = bare_numbers.setdefault(bare(chromosome), len(bare_numbers))
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
