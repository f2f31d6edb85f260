"""Variants as people write them: a change of a base or of a few, for one of the sequences at hand.

Positions that people type count from 1; inside, places count from 0.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from tfbind.interpret import Variant
from tfbind.letters import short
from tfbind.places import Place, place_of
from tfbind.records import Record, read_records
from tfbind.sequences import Codes, decode, encode, reverse_complement
from tfbind.tables import shown

FORMS = "chr22:10510600 A>G, 12 A>G or A12G"
LONGEST_CHANGE = 10_000
MOST_DIGITS = 12  # of a position

_BRACKETS = re.compile(r"^>.*|\[\s*+([A-Za-z]*+|-)\s*+/\s*+([A-Za-z]*+|-)\s*+\]", re.MULTILINE)
_SPOKEN = re.compile(r"(?:(.+)[:\s-])?(\d[\d,]*)[\s:-]*([A-Za-z]+)(?:\s*+[>/:-]\s*+|\s++)([A-Za-z]+)")
_SHORT = re.compile(r"([A-Za-z]+)(\d+)([A-Za-z]+)")
_REFSEQ = re.compile(r"NC_0{4,5}([1-9]|1\d|2[0-4])\.\d+")  # chromosomes 1 to 24 of man, 23 and 24 being X and Y
_VCF_LINE = re.compile(r"(\S+)\s+(\d+)\s+\S+\s+([A-Za-z]+)\s+([A-Za-z]+)(?:\s.*)?")


class Change(NamedTuple):
    """A change as it was typed; `position` counts from 1 on `chromosome`, or on whatever record it fits."""

    chromosome: str | None
    position: int
    reference: Codes
    alternative: Codes

    @property
    def where(self) -> str:
        return f"{short(self.chromosome)}:{self.position}" if self.chromosome else f"position {self.position}"


def read_with_variants(
    text: str, max_records: int, max_bases: int, repair: bool = False
) -> list[tuple[Record, Variant | None]]:
    """The records of a pasted text, each with the variant that stands in brackets in it: `ACGT[A/G]TTT`.

    The letters before the stroke are those of the record; either side may be empty or `-`.

    Raises:
        ValueError: as `read_records`, or both alleles are the same.
    """
    records = read_records(_with_alleles(text, 1), max_records, max_bases, repair)
    if not any(match[0][0] == "[" for match in _BRACKETS.finditer(text)):
        return [(record, None) for record in records]
    others = read_records(_with_alleles(text, 2), max_records, max_bases, repair)
    if len(others) != len(records):
        raise ValueError("brackets in lines without names; expected a line >name above each sequence")
    return [_with_variant(record, other) for record, other in zip(records, others, strict=True)]


def _with_alleles(text: str, side: int) -> str:
    """The text with one side of each pair of brackets in its place."""
    return _BRACKETS.sub(lambda match: _allele_of(match, side), text)


def _allele_of(match: re.Match[str], side: int) -> str:
    if match[0].startswith(">"):  # a header, whose brackets are part of the name
        return match[0]
    if match[1].upper() == match[2].upper():
        raise ValueError(f"{shown(match[0])}: both alleles are the same")
    return match[side].strip("-")


def _with_variant(record: Record, other: Record) -> tuple[Record, Variant | None]:
    if np.array_equal(record.codes, other.codes):
        return record, None
    said = "in brackets: first the original, then what it is changed to"
    repairs = list(dict.fromkeys(record.repairs + other.repairs))
    read = replace(record, notes=[*record.notes, said], repairs=repairs)
    return read, Variant(0, record.codes, other.codes).trimmed()


def parse_change(text: str, records: Sequence[Record]) -> tuple[Record, Variant]:
    """The record that a change is meant for, and the variant of it.

    Args:
        text: `chr22:10510600 A>G`, `10510600 A>G`, `12 A>G`, `A12G` or the first columns of a VCF line, for one of
            the records. Positions count from 1: along the genome where the name of a record gives its place there,
            or from the start of the record.
        records: what the change may be meant for.

    Raises:
        ValueError: one line: no such form, no record with this position, another base there, or several that fit.
    """
    change = read_change(text)
    inside = [
        (record, variant)
        for record in records
        for variant in _meanings(change, record)
        if 0 <= variant.start <= len(record.codes) - len(variant.reference)
    ]
    fitting = [
        (record, variant)
        for record, variant in inside
        if np.array_equal(record.codes[variant.start : variant.start + len(variant.reference)], variant.reference)
    ]
    if len(fitting) == 1:
        return fitting[0]
    raise ValueError(_ambiguous(change, fitting) if fitting else _unfitting(change, inside, records))


def read_change(text: str) -> Change:
    """A change in any of the forms of one that is meant for a sequence at hand.

    Raises:
        ValueError: one line: no such form, or an allele that is none.
    """
    words = text.strip().replace(":g.", ":")
    if "[" in words:
        raise ValueError(f"{shown(words)} is a sequence with its change, for the page's box of DNA; expected {FORMS}")
    if len(words) > LONGEST_CHANGE:
        raise ValueError(f"a change of {len(words):,} characters; expected at most {LONGEST_CHANGE:,}, as {FORMS}")
    if match := _VCF_LINE.fullmatch(words) or _SPOKEN.fullmatch(words):
        chromosome, position, reference, alternative = match.groups()
    elif match := _SHORT.fullmatch(words):
        chromosome, (reference, position, alternative) = None, match.groups()
    else:
        raise ValueError(f"{shown(words)} is no change of a base; expected {FORMS}")
    position = position.replace(",", "")
    if len(position) > MOST_DIGITS:
        raise ValueError(f"position {shown(position)}: no chromosome is that long; expected {FORMS}")
    before, after = (_allele(letters) for letters in (reference, alternative))
    if np.array_equal(before, after):
        raise ValueError(f"{shown(words)}: both alleles are the same")
    return Change(chromosome and chromosome.strip(" :-"), int(position), before, after)


def _allele(letters: str) -> Codes:
    try:
        return encode(letters.upper().replace("U", "T"))
    except ValueError as error:
        raise ValueError(f"allele {shown(letters)}: {error}") from None


def _meanings(change: Change, record: Record) -> list[Variant]:
    """What a change may be in a record: counted along the genome, and from the start of the record."""
    bases = len(record.codes)
    found = {}
    for place in (place_of(record.name, bases), Place(record.name, 0)):
        if place and (change.chromosome is None or bare(change.chromosome) == bare(place.chromosome)):
            found[place.start, place.reverse] = _along(change, place, bases)
    return list(found.values())


def _along(change: Change, place: Place, bases: int) -> Variant:
    """The variant of a record of so many bases at this place; on the reverse strand, in the letters of that."""
    end = change.position - 1 + len(change.reference)
    if not place.reverse:
        return Variant(change.position - 1 - place.start, change.reference, change.alternative)
    alleles = reverse_complement(change.reference), reverse_complement(change.alternative)
    return Variant(place.start + bases - end, *alleles)


def bare(chromosome: str) -> str:
    """The name of a chromosome without what varies between files: `chr1`, `1` and the human `NC_000001.11`."""
    if match := _REFSEQ.fullmatch(chromosome):
        return {"23": "X", "24": "Y"}.get(match[1], match[1])
    name = re.sub("^chr", "", chromosome, flags=re.IGNORECASE)
    return "M" if name in ("MT", "NC_012920.1") else name


def _ambiguous(change: Change, fitting: list[tuple[Record, Variant]]) -> str:
    meant = ", ".join(f"base {variant.start + 1} of {short(record.name)}" for record, variant in fitting[:3])
    return f"{change.where}: this may be {meant}; expected the chromosome or the record before it, as in NAME:12 A>G"


def _unfitting(change: Change, inside: list[tuple[Record, Variant]], records: Sequence[Record]) -> str:
    letters = decode(change.reference)
    if inside:
        record, variant = inside[0]
        there = record.codes[variant.start : variant.start + len(letters)]
        there = there if np.array_equal(variant.reference, change.reference) else reverse_complement(there)
        return f"{change.where}: {short(record.name)} has {shown(decode(there))} there, not {shown(letters)}"
    known = "; ".join(_extent(record) for record in records[:3]) + ("; ..." if len(records) > 3 else "")
    return f"{change.where}: in no sequence here; expected a place in {known or 'a sequence'}"


def _extent(record: Record) -> str:
    """Which positions a record has, in words."""
    place, length = place_of(record.name, len(record.codes)), len(record.codes)
    genome = f", or {place.chromosome}:{place.start + 1}-{place.start + length}" if place else ""
    return f"{short(record.name)} (1 to {length}{genome})"
