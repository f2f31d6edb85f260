"""Parse variants: single changes, lists of changes, VCF files plain or gzip.

Positions in text and in VCF count from 1; those of a `Variant` from 0. A line that holds no variant is a
call that says why. Of VCF only the first five columns are read.
"""

import io
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfbind.dna import (
    Codes,
    Position,
    Record,
    bare,
    decode,
    decompressed,
    encode,
    plain_text,
    position_of,
    read_records,
    reverse_complement,
    shorten,
)
from tfbind.scoring import Variant
from tfbind.store import quote, read_whole_lines
from tfbind.variants.shapes import FORMS, MOST_DIGITS, Header, Written, by_shape, read_header

_BRACKETS = re.compile(r"^>.*|\[\s*+([A-Za-z]*+|-)\s*+/\s*+([A-Za-z]*+|-)\s*+\]", re.MULTILINE)
VCF = Header({"chromosome": 0, "position": 1, "id": 2, "reference": 3, "alternative": 4}, "\t")
MOST_ALLELES = 100_000  # of one line
MOST_REPEATED = 10_000_000  # bases of its REF, which is looked up and written again for each of them
_RNA = str.maketrans("Uu", "Tt")
_ALLELE = re.compile("[ACGTN]+", re.IGNORECASE)
_BREAKEND = re.compile(r"[ACGTN]*([\[\]])[^\[\]]+\1[ACGTN]*|\.[ACGTN]+|[ACGTN]+\.", re.IGNORECASE)
MAX_CALLS = 20_000
MAX_BYTES = 256 << 20  # of text
EXPECTED = "expected a VCF, or one change on each line, such as chr22:10510600 A>G"
MOST_UNPLACED = 10_000  # lines in which there has to be a variant


class Change(NamedTuple):
    """A change as typed; `position` counts from 1 on `chromosome`, or where that is None on any record it fits."""

    chromosome: str | None
    position: int
    reference: Codes
    alternative: Codes

    @property
    def where(self) -> str:
        """The position for a message."""
        return f"{shorten(self.chromosome)}:{self.position}" if self.chromosome else f"position {self.position}"


@dataclass(frozen=True, eq=False)
class Pasted(Record):
    """A record of a pasted text, with the variant that stands in brackets in it: `ACGT[A/G]TTT`."""

    variant: Variant | None = None


def read_with_variants(text: str, max_records: int, max_bases: int, repair: bool = False) -> list[Pasted]:
    """Read the records of a pasted text, which may have a variant in brackets: `ACGT[A/G]TTT`.

    The letters before the stroke are those of the record; either side may be empty or `-`.

    Args:
        text: FASTA, a table or bare letters, as for `read_records`.
        max_records: more are refused.
        max_bases: more are refused.
        repair: as for `read_records`.

    Returns:
        The records, each with its variant.

    Raises:
        ValueError: as `read_records`, or both alleles are the same.
    """
    records = read_records(_with_alleles(text, 1), max_records, max_bases, repair)
    if not any(match[0][0] == "[" for match in _BRACKETS.finditer(text)):
        return [Pasted(**vars(record)) for record in records]
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
        raise ValueError(f"{quote(match[0])}: both alleles are the same")
    return match[side].strip("-")


def _with_variant(record: Record, other: Record) -> Pasted:
    if np.array_equal(record.codes, other.codes):
        return Pasted(**vars(record))
    note = "in brackets: first the original, then what it is changed to"
    repairs = list(dict.fromkeys(record.repairs + other.repairs))
    variant = Variant(0, record.codes, other.codes).trimmed()
    return Pasted(record.name, record.codes, [*record.notes, note], repairs, variant)


def parse_changes(text: str, records: Sequence[Record]) -> list[tuple[Record, Variant]]:
    """Parse changes of some records.

    Args:
        text: `chr22:10510600 A>G`, `10510600 A>G`, `12 A>G`, `A12G`, the first columns of a VCF line, several such as
            `26 T>A, 27 T>G`, or another form of a line of a list. Positions count from 1: along the genome where the
            name of a record gives its place there, or from the start of the record.
        records: that the changes may be of.

    Returns:
        For each change its record, and the variant of that.

    Raises:
        ValueError: one line: no such form, no record with this position, another base there, or several that fit.
    """
    return [_record_of(_change(written, text), records) for written in by_shape(text)]


def _record_of(change: Change, records: Sequence[Record]) -> tuple[Record, Variant]:
    inside = [
        (record, variant)
        for record in records
        for variant in _candidates(change, record)
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


def _change(written: Written, text: str) -> Change:
    """A change as typed.

    Raises:
        ValueError: one line: several alternatives, an allele or a position that is none, or no change.
    """
    if "," in written.alternatives:
        raise ValueError(f"{quote(text.strip())} has several alternatives; expected one, as {FORMS}")
    if written.reference == "-":
        raise ValueError(f"{quote(text.strip())} names no base there; expected the base before the insertion as well")
    position = written.position.replace(",", "")
    if len(position) > MOST_DIGITS:
        raise ValueError(f"position {quote(position)}: no chromosome is that long; expected {FORMS}")
    before, after = (_allele(letters) for letters in (written.reference, written.alternatives))
    if np.array_equal(before, after):
        raise ValueError(f"{quote(text.strip())}: both alleles are the same")
    return Change(written.chromosome or None, int(position), before, after)


def _allele(letters: str) -> Codes:
    try:
        return encode(letters.upper().replace("U", "T").strip("-"))
    except ValueError as error:
        raise ValueError(f"allele {quote(letters)}: {error}") from None


def _candidates(change: Change, record: Record) -> list[Variant]:
    """The variants of a record that a change may be: counted along the genome, and from the start of the record."""
    bases = len(record.codes)
    variants = {}
    for place in (position_of(record.name, bases), Position(record.name, 0)):
        if place and (change.chromosome is None or bare(change.chromosome) == bare(place.chromosome)):
            variants[place.start, place.reverse] = _along(change, place, bases)
    return list(variants.values())


def _along(change: Change, place: Position, bases: int) -> Variant:
    """The variant of a record of so many bases that lies at this place of its chromosome."""
    end = change.position - 1 + len(change.reference)
    if not place.reverse:
        return Variant(change.position - 1 - place.start, change.reference, change.alternative)
    alleles = reverse_complement(change.reference), reverse_complement(change.alternative)
    return Variant(place.start + bases - end, *alleles)


def _ambiguous(change: Change, fitting: list[tuple[Record, Variant]]) -> str:
    meant = ", ".join(f"base {variant.start + 1} of {shorten(record.name)}" for record, variant in fitting[:3])
    return f"{change.where}: this may be {meant}; expected the chromosome or the record before it, as in NAME:12 A>G"


def _unfitting(change: Change, inside: list[tuple[Record, Variant]], records: Sequence[Record]) -> str:
    letters = decode(change.reference)
    if inside:
        record, variant = inside[0]
        bases = record.codes[variant.start : variant.start + len(letters)]
        bases = bases if np.array_equal(variant.reference, change.reference) else reverse_complement(bases)
        return f"{change.where}: {shorten(record.name)} has {quote(decode(bases))} there, not {quote(letters)}"
    extents = "; ".join(_extent(record) for record in records[:3]) + ("; ..." if len(records) > 3 else "")
    return f"{change.where}: in no sequence here; expected a place in {extents or 'a sequence'}"


def _extent(record: Record) -> str:
    """The positions of a record, in words."""
    place, length = position_of(record.name, len(record.codes)), len(record.codes)
    genome = f", or {place.chromosome}:{place.start + 1}-{place.start + length}" if place else ""
    return f"{shorten(record.name)} (1 to {length}{genome})"


class Call(NamedTuple):
    """One alternative allele of a line. `skipped` says why it cannot be scored, "" where it can.

    `position` is None where the line has none, `id` its text where that is no variant; `-` is no base. `assumed` says
    how the place was read.
    """

    line: int
    chromosome: str
    position: int | None
    id: str
    reference: str
    alternative: str
    skipped: str
    assumed: str = ""


def _calls_of(number: int, written: Written, default_chromosome: str) -> Iterator[Call]:
    """The calls of a variant on line `number`; what is wrong with it is their `skipped`."""
    chromosome = written.chromosome or default_chromosome
    digits, reference = written.position.replace(",", ""), written.reference.translate(_RNA)
    position = int(digits) if re.fullmatch("[0-9]{1,12}", digits) else None
    alternatives = written.alternatives.split(",", MOST_ALLELES)
    wrong = _why_unusable(chromosome, digits, reference, alternatives, written.id)
    if wrong:
        cells = (shorten(cell) for cell in (chromosome, written.id, reference, written.alternatives))
        chromosome, id, reference, alternative = cells
        yield Call(number, chromosome, position, id, reference, alternative, wrong)
        return
    for alternative in alternatives:
        bases = alternative if "<" in alternative else alternative.translate(_RNA).strip("-")
        skipped = _why_skipped(reference, bases)
        alleles = reference or "-", bases or "-"
        yield Call(number, chromosome, position, written.id, *alleles, skipped, written.assumed)


def _why_unusable(chromosome: str, position: str, reference: str, alternatives: list[str], id: str) -> str:
    """What is wrong with a line as a whole, "" if nothing is."""
    if not "".join([chromosome, position, reference, id, *alternatives]).isprintable():
        return "a control character; expected printable text"
    if not chromosome:
        return "no chromosome; expected one before the position, such as chr22:10510600 A>G"
    if not position.isdecimal() or not position.isascii():
        return f"POS is {quote(position)}; expected a whole number"
    if len(position) > MOST_DIGITS:
        return f"POS is {quote(position)}: no chromosome is that long"
    if reference in ("-", "."):
        return f"REF is '{reference}'; expected letters A C G T N, of an insertion the base before it"
    if reference and not _ALLELE.fullmatch(reference):
        return f"REF is {quote(reference)}; expected letters A C G T N"
    if len(alternatives) > MOST_ALLELES:
        return f"ALT lists over {MOST_ALLELES:,} alleles; expected fewer"
    if len(alternatives) > 1 and len(alternatives) * len(reference) > MOST_REPEATED:
        message = f"REF of {len(reference):,} bases for each of {len(alternatives):,} alleles"
        return f"{message}; expected at most {MOST_REPEATED:,} bases in all"
    return ""


def _why_skipped(reference: str, alternative: str) -> str:
    if alternative == ".":
        return "no alternative allele"
    if alternative == "*":
        return "allele lost with another deletion"
    if alternative.startswith("<") and alternative.endswith(">"):
        return "symbolic allele"
    if _BREAKEND.fullmatch(alternative):
        return "breakend"
    if alternative and not _ALLELE.fullmatch(alternative):
        return f"ALT is {quote(alternative)}; expected letters A C G T N, or <DEL> and the like"
    same = len(alternative) == len(reference) and alternative.upper() == reference.upper()
    return "same as the reference" if same else ""


@dataclass(frozen=True)
class VariantList:
    """The calls of a list in its order. `more`: the list is longer than was read."""

    calls: list[Call]
    more: bool


def read_list(data: bytes | str, names: Sequence[str] = (), limit: int = MAX_CALLS) -> VariantList:
    """Read the calls of a pasted text or a file, gzip or not.

    Args:
        data: the text or the bytes.
        names: of the sequences at hand; where there is one alone, a change without a chromosome is meant for it.
        limit: of calls.

    Returns:
        The list; a line without a variant is a call that says why.

    Raises:
        ValueError: one line: nothing to read, no text, damaged gzip, or a table that names no REF and ALT.
    """
    raw = decompressed(data, MAX_BYTES, EXPECTED)
    text = raw[:MAX_BYTES]
    if not looks_like_vcf(text[:1_000].decode(errors="replace")):
        plain_text(text, EXPECTED)
    lines = io.BytesIO(text)
    entries = _entries(enumerate(lines, 1), names[0] if len(names) == 1 else "")
    calls = list(itertools.islice(entries, limit))
    if not calls:
        raise ValueError(f"no variant in it; {EXPECTED}")
    return VariantList(calls, next(entries, None) is not None or len(raw) > MAX_BYTES)


def read_lines(path: Path) -> Iterator[Call]:
    """Read the calls of a VCF or a list of any size, in its order.

    Raises:
        ValueError: one line: damaged gzip, a line that is too long, no variant among many lines, or a table that
            names no REF and ALT.
    """
    lines = (line for piece in read_whole_lines(path) for line in piece.splitlines())
    return _entries(enumerate(lines, 1), "")


def looks_like_vcf(text: str) -> bool:
    """Whether a text begins as a VCF does."""
    return text.lstrip("\ufeff \t\r\n").startswith(("##fileformat=VCF", "#CHROM"))


def _entries(lines: Iterable[tuple[int, bytes]], default_chromosome: str) -> Iterator[Call]:
    header, first, placed = None, True, False
    for number, line in lines:
        text = line.decode(errors="replace").removeprefix("\ufeff").rstrip("\r\n")
        if not text.strip():
            continue
        if text.startswith("##"):
            header = VCF if text.startswith("##fileformat=VCF") else header
        elif (first or text.startswith("#")) and (named := read_header(text)):
            header, first = named, False
        elif not text.startswith("#"):
            first = False
            for call in _calls_of_line(number, text, header, default_chromosome):
                placed |= call.position is not None
                yield call
            if not placed and number > MOST_UNPLACED:
                raise ValueError(f"no variant in the first {MOST_UNPLACED:,} lines; {EXPECTED}")


def _calls_of_line(number: int, text: str, header: Header | None, default_chromosome: str) -> Iterator[Call]:
    try:
        rows = header.read(text) if header else by_shape(text)
    except ValueError as error:
        yield Call(number, "", None, shorten(text), "", "", str(error))
        return
    for written in rows:
        yield from _calls_of(number, written, default_chromosome)
