"""Where records lie in a genome, by their names and lengths."""

import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

from tfbind.letters import short

_COURSE = re.compile(r"(.+)_(\d{1,15})_(\d{1,15})")
_STRANDED = re.compile(r"(.+)\(([+-])\)")  # as bedtools marks the strand
_RANGE = re.compile(r"(.+):(\d{1,15})-(\d{1,15})")
_PLACES = (  # the form of a name, the number of the first base, 1 if the end is inclusive, the rule in words
    (_COURSE, 0, 1, "chromosome and start from names such as chr22_10510500_10510799 (0-based, end inclusive)"),
    (_RANGE, 1, 1, "chromosome and start from names such as chr1:101-200 (1-based, end inclusive)"),
    (_RANGE, 0, 0, "chromosome and start from names such as chr1:100-200 (0-based, half-open)"),
)


class Place(NamedTuple):
    """The chromosome of a record and its lowest place there, that of base 0, or of the last base in `reverse`."""

    chromosome: str
    start: int
    reverse: bool = False

    def lowest(self, start: int, end: int, length: int) -> int:
        """Where a stretch of a record of `length` bases, from start to end (exclusive), begins on the chromosome."""
        return self.start + (length - end if self.reverse else start)


class Placing(NamedTuple):
    """Where each record lies, the rule in words, and what is to be said of records without a place, "" if nothing."""

    places: list[Place]
    rule: str
    note: str


def places(records: Sequence[tuple[str, int]]) -> Placing:
    """Where records, given as name and length, lie.

    A rule has to fit the name and the length of a record: `chr22_10510500_10510799` (0-based, end inclusive, as in
    the course's data), `chr1:101-200` (1-based inclusive, as samtools writes) or `chr1:100-200` (0-based half-open,
    as bedtools writes); the length of the sequence tells the last two apart. A `(-)` behind it says that the record
    is the reverse strand, whose base i lies i bases before the end. A record whose name does not fit is its
    own chromosome; all are where names follow different rules, which cannot all be meant.
    """
    stranded = [(*_without_strand(name), length) for name, length in records]
    found = [
        ([_place(*record, pattern, first, extra) for record in stranded], words)
        for pattern, first, extra, words in _PLACES
    ]
    fitting = [(sure, words) for sure, words in found if any(sure)]
    own = [Place(name, 0) for name in _chromosomes(records)]
    if len(fitting) == 1:
        ((sure, words),) = fitting
        lost = [name for (name, _), place in zip(records, sure, strict=True) if place is None]
        if any(place and place.reverse for place in sure):
            words += "; records marked (-) run backwards along their place"
        return Placing([place or alone for place, alone in zip(sure, own, strict=True)], words, _note(lost))
    note = "their names give places in a genome by more than one rule, so that none is used" if fitting else ""
    return Placing(own, "each record is its own chromosome and starts at 0", note)


def check_apart(records: Sequence[tuple[str, int]], where: Placing) -> None:
    """Whether a track can hold these records, given as name and length, which lie `where` `places` says.

    Raises:
        ValueError: two of them cover the same base.
    """
    spans = sorted((at.chromosome, at.start, *record) for at, record in zip(where.places, records, strict=True))
    for (chromosome, start, left, bases), (other, next_start, right, _) in itertools.pairwise(spans):
        if chromosome == other and next_start < start + bases:
            raise ValueError(
                f"records {short(left)} and {short(right)} overlap on {chromosome}; a track has one score per base, "
                "a .tsv holds both"
            )


def _note(lost: Sequence[str]) -> str:
    if not lost:
        return ""
    more = f" and {len(lost) - 1:,} more" if len(lost) > 1 else ""
    return f"without a place in its name, its own chromosome from 0: {short(lost[0])}{more}"


def place_of(name: str, length: int) -> Place | None:
    """Where a record of `length` bases lies by its name alone, by the same rules; None if the name says nothing."""
    record = *_without_strand(name), length
    found = (_place(*record, pattern, first, extra) for pattern, first, extra, _ in _PLACES)
    return next((place for place in found if place is not None), None)


def _without_strand(name: str) -> tuple[str, str]:
    """A name without its strand, and that."""
    match = _STRANDED.fullmatch(name)
    return (match[1], match[2]) if match else (name, "+")


def _place(name: str, strand: str, length: int, pattern: re.Pattern[str], first: int, extra: int) -> Place | None:
    match = pattern.fullmatch(name)
    if not match:
        return None
    start, end = int(match[2]), int(match[3])
    fits = start >= first and end - start + extra == length
    return Place(column(match[1]), start - first, strand == "-") if fits else None


def column(name: str) -> str:
    """A name as one column of a BED file that no reader takes for a comment or a track line."""
    word = re.sub(r"\s", "_", name)
    return f"_{word}" if word.startswith("#") or word in ("track", "browser") else word


def _chromosomes(records: Sequence[tuple[str, int]]) -> list[str]:
    names = [column(name) for name, _ in records]
    if len(set(names)) == len(names):
        return names
    return [f"{name}_{number}" for number, name in enumerate(names, 1)]
