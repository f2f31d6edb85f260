"""Where records lie in a genome, by their names and lengths."""

import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

from tfbind.chromosomes import FROM_ONE, FROM_ZERO, HALF_OPEN, Count, Span, read_span
from tfbind.letters import short

_RULES = (
    (FROM_ZERO, "chromosome and start from names such as chr22_10510500_10510799 (0-based, end inclusive)"),
    (FROM_ONE, "chromosome and start from names such as chr1:101-200 (1-based, end inclusive)"),
    (HALF_OPEN, "chromosome and start from names such as chr1:100-200 (0-based, half-open)"),
)
OWN = "each record is its own chromosome and starts at 0"


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

    A rule has to fit the name and the length of a record: 0-based, end inclusive, as in the course's data
    (`chr22_10510500_10510799`), 1-based inclusive, as samtools and most others write (`chr1:101-200`), or 0-based
    half-open, as bedtools writes (`chr1:100-200`); the length of the sequence tells the last two apart. See
    `read_span` for the forms. Of the reverse strand base i lies i bases before the end. A record whose name does not
    fit is its own chromosome; all are where names follow different rules, which cannot all be meant.
    """
    spans = [(_span(name), length) for name, length in records]
    found = [([_place(*span, count) for span in spans], words) for count, words in _RULES]
    fitting = [(sure, words) for sure, words in found if any(sure)]
    own = [Place(name, 0) for name in _chromosomes(records)]
    if len(fitting) > 1:
        note = "their names give places in a genome by more than one rule, so that none is used"
        return Placing(own, OWN, note)
    sure, words = fitting[0] if fitting else ([None] * len(own), OWN)
    if any(place and place.reverse for place in sure):
        words += "; records marked (-) run backwards along their place"
    lost = [(name, span) for (name, _), (span, _), place in zip(records, spans, sure, strict=True) if place is None]
    note = _note([name for name, span in lost if span is None]) if fitting else ""
    notes = note, _note_of_misfits([name for name, span in lost if span])
    return Placing(
        [place or alone for place, alone in zip(sure, own, strict=True)], words, "; ".join(filter(None, notes))
    )


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
    return f"without a place in its name, its own chromosome from 0: {_first_of(lost)}" if lost else ""


def _note_of_misfits(lost: Sequence[str]) -> str:
    why = "the numbers in its name are no place of its length, its own chromosome from 0"
    return f"{why}: {_first_of(lost)}" if lost else ""


def _first_of(names: Sequence[str]) -> str:
    return short(names[0]) + (f" and {len(names) - 1:,} more" if len(names) > 1 else "")


def place_of(name: str, length: int) -> Place | None:
    """Where a record of `length` bases lies by its name alone, by the same rules; None if the name says nothing."""
    found = (_place(_span(name), length, count) for count, _ in _RULES)
    return next((place for place in found if place is not None), None)


def _span(name: str) -> Span | None:
    return read_span(name) or read_span(name.partition(" ")[0])


def _place(span: Span | None, length: int, count: Count) -> Place | None:
    if span is None or count not in span.counts:
        return None
    fits = span.first >= count.first and span.last - span.first + count.inclusive == length
    return Place(column(span.chromosome), span.first - count.first, span.reverse) if fits else None


def column(name: str) -> str:
    """A name as one column of a BED file that no reader takes for a comment or a track line."""
    word = re.sub(r"\s", "_", name)
    return f"_{word}" if word.startswith("#") or word in ("track", "browser") else word


def _chromosomes(records: Sequence[tuple[str, int]]) -> list[str]:
    names = [column(name) for name, _ in records]
    if len(set(names)) == len(names):
        return names
    return [f"{name}_{number}" for number, name in enumerate(names, 1)]
