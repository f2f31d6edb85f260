"""Parse variants: single changes, lists of changes, VCF files plain or gzip.

Positions in text and in VCF count from 1; those of a `Variant` from 0. Lines of a list that hold no variant are
returned with the reason. Of VCF only the first five columns are read.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

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
from tfbind.errors import TfbindError
from tfbind.scoring import Variant
from tfbind.store import file_label, quote, read_whole_lines

FORMS = "chr22:10510600 A>G, 12 A>G or A12G"
LONGEST_CHANGE = 10_000
MOST_DIGITS = 12  # of a position

_BRACKETS = re.compile(r"^>.*|\[\s*+([A-Za-z]*+|-)\s*+/\s*+([A-Za-z]*+|-)\s*+\]", re.MULTILINE)
_SPOKEN = re.compile(r"(?:(.+)[:\s-])?(\d[\d,]*)[\s:-]*([A-Za-z]+)(?:\s*+[>/:-]\s*+|\s++)([A-Za-z]+)")
_SHORT = re.compile(r"([A-Za-z]+)(\d+)([A-Za-z]+)")
_VCF_LINE = re.compile(r"(\S+)\s+(\d+)\s+\S+\s+([A-Za-z]+)\s+([A-Za-z]+)(?:\s.*)?")
COLUMNS = ("CHROM", "POS", "ID", "REF", "ALT")
MOST_ALLELES = 100_000  # of one line
MOST_REPEATED = 10_000_000  # bases of its REF, which is looked up and written again for each of them
_ALLELE = re.compile("[ACGTN]+", re.IGNORECASE)
_POSITION = re.compile("[0-9]{1,12}")
_BREAKEND = re.compile(r"[ACGTN]*([\[\]])[^\[\]]+\1[ACGTN]*|\.[ACGTN]+|[ACGTN]+\.", re.IGNORECASE)
MAX_CALLS = 20_000
MAX_BYTES = 256 << 20  # of text
EXPECTED = "expected a VCF, or one change on each line, such as chr22:10510600 A>G"
CAPTIONS = ({"pos", "ref"}, {"position", "ref"}, {"position", "reference"})  # words of a line that names columns

_LINE = re.compile(rb"^(?!#)[^\S\n]*\S.*", re.MULTILINE)  # one that may hold a variant
_RS_NUMBER = re.compile(rb"rs\d+", re.IGNORECASE)


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


def parse_change(text: str, records: Sequence[Record]) -> tuple[Record, Variant]:
    """Parse a change of one of some records.

    Args:
        text: `chr22:10510600 A>G`, `10510600 A>G`, `12 A>G`, `A12G` or the first columns of a VCF line, for one of
            the records. Positions count from 1: along the genome where the name of a record gives its place there,
            or from the start of the record.
        records: that the change may be of.

    Returns:
        The record, and its variant.

    Raises:
        ValueError: one line: no such form, no record with this position, another base there, or several that fit.
    """
    change = read_change(text)
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


def read_change(text: str) -> Change:
    """Parse a change in any of `FORMS`, or as the first columns of a VCF line.

    Raises:
        ValueError: one line: no such form, or an allele that is none.
    """
    words = text.strip().replace(":g.", ":")
    if "[" in words:
        raise ValueError(f"{quote(words)} is a sequence with its change, for the page's box of DNA; expected {FORMS}")
    if len(words) > LONGEST_CHANGE:
        raise ValueError(f"a change of {len(words):,} characters; expected at most {LONGEST_CHANGE:,}, as {FORMS}")
    if match := _VCF_LINE.fullmatch(words) or _SPOKEN.fullmatch(words):
        chromosome, position, reference, alternative = match.groups()
    elif match := _SHORT.fullmatch(words):
        chromosome, (reference, position, alternative) = None, match.groups()
    else:
        raise ValueError(f"{quote(words)} is no change of a base; expected {FORMS}")
    position = position.replace(",", "")
    if len(position) > MOST_DIGITS:
        raise ValueError(f"position {quote(position)}: no chromosome is that long; expected {FORMS}")
    before, after = (_allele(letters) for letters in (reference, alternative))
    if np.array_equal(before, after):
        raise ValueError(f"{quote(words)}: both alleles are the same")
    return Change(chromosome and chromosome.strip(" :-"), int(position), before, after)


def _allele(letters: str) -> Codes:
    try:
        return encode(letters.upper().replace("U", "T"))
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
    """One alternative allele of a line. `skipped` says why it cannot be scored, "" where it can."""

    line: int
    chromosome: str
    position: int
    id: str
    reference: str
    alternative: str
    skipped: str


def read_calls(path: Path) -> Iterator[Call]:
    """Read the calls of a VCF file, in its order.

    Raises:
        ValueError: one line with the line's number: no VCF, columns missing, a position or an allele that is none.
    """
    number, seen_header = 0, False
    for text in read_whole_lines(path):
        for line in text.splitlines():
            number += 1
            if line.startswith(b"#"):
                seen_header |= line.startswith((b"##fileformat=VCF", b"#CHROM"))
            elif not seen_header:
                _refuse(
                    path,
                    number,
                    f"{quote(line[:60])} above any header; expected a VCF, which starts ##fileformat=VCF",
                )
            elif line.strip():
                try:
                    yield from calls_of(number, line)
                except ValueError as error:
                    _refuse(path, number, str(error))
    if not seen_header:
        raise TfbindError(
            "no header of a VCF", place=file_label(path), expected="a file that starts ##fileformat=VCF"
        )


def calls_of(number: int, line: bytes) -> Iterator[Call]:
    """Parse the calls of line `number` of a VCF file.

    Raises:
        ValueError: columns are missing, a position or an allele is none.
    """
    cells = [cell.decode(errors="replace").strip() for cell in line.split(b"\t", len(COLUMNS))[: len(COLUMNS)]]
    if len(cells) < len(COLUMNS) or not all(cells):
        raise ValueError(f"expected the columns {' '.join(COLUMNS)}, separated by tabs")
    if not "".join(cells).isprintable():
        raise ValueError("a control character; expected printable text")
    chromosome, position, id, reference, alternatives = cells
    if not _POSITION.fullmatch(position):
        raise ValueError(f"POS is {quote(position)}; expected a whole number of at most 12 digits")
    if not _ALLELE.fullmatch(reference):
        raise ValueError(f"REF is {quote(reference)}; expected letters A C G T N")
    alleles = alternatives.count(",") + 1
    if alleles > MOST_ALLELES:
        raise ValueError(f"ALT lists over {MOST_ALLELES:,} alleles; expected fewer")
    if alleles > 1 and alleles * len(reference) > MOST_REPEATED:
        message = f"REF of {len(reference):,} bases for each of {alleles:,} alleles"
        raise ValueError(f"{message}; expected at most {MOST_REPEATED:,} bases in all")
    for alternative in alternatives.split(","):
        skipped = _why_skipped(reference, alternative)
        if not skipped and not _ALLELE.fullmatch(alternative):
            raise ValueError(f"ALT is {quote(alternatives)}; expected letters A C G T N, or <DEL> and the like")
        yield Call(number, chromosome, int(position), id, reference, alternative, skipped)


def _why_skipped(reference: str, alternative: str) -> str:
    if alternative == ".":
        return "no alternative allele"
    if alternative == "*":
        return "allele lost with another deletion"
    if alternative.startswith("<") and alternative.endswith(">"):
        return "symbolic allele"
    if _BREAKEND.fullmatch(alternative):
        return "breakend"
    same = len(alternative) == len(reference) and alternative.upper() == reference.upper()
    return "same as the reference" if same else ""


def _refuse(path: Path, number: int, problem: str) -> NoReturn:
    raise TfbindError(f"line {number}: {problem}", place=file_label(path))


class BadLine(NamedTuple):
    """A line without a variant, and why it has none; `line` counts from 1."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True)
class VariantList:
    """The calls of a list in its order, and the lines without one. `more`: the list is longer than was read."""

    calls: list[Call]
    bad: list[BadLine]
    more: bool


def read_list(data: bytes | str, names: Sequence[str] = (), limit: int = MAX_CALLS) -> VariantList:
    """Read the calls of a pasted text or a file, gzip or not.

    Args:
        data: the text or the bytes.
        names: of the sequences at hand; where there is one alone, a change without a chromosome is meant for it.
        limit: of calls and bad lines together.

    Returns:
        The list.

    Raises:
        ValueError: one line: nothing to read, no text, or damaged gzip.
    """
    raw = decompressed(data, MAX_BYTES, EXPECTED)
    text = plain_text(raw[:MAX_BYTES], EXPECTED) if not _is_vcf(raw.lstrip()) else raw[:MAX_BYTES]
    default_chromosome = names[0] if len(names) == 1 else None
    entries = _entries(_numbered(text), default_chromosome)
    calls, bad = [], []
    for entry in itertools.islice(entries, limit):
        if isinstance(entry, BadLine):
            bad.append(entry)
        else:
            calls.append(entry)
    more = next(entries, None) is not None or len(raw) > MAX_BYTES
    if not calls and not bad:
        raise ValueError(f"no variant in it; {EXPECTED}")
    return VariantList(calls, bad, more)


def read_lines(path: Path) -> Iterator[Call | BadLine]:
    """Read the calls of a file of any size, and its lines without one, in their order.

    Raises:
        ValueError: one line: damaged gzip, or a line that is too long.
    """
    return _entries(enumerate((line for piece in read_whole_lines(path) for line in piece.splitlines()), 1), None)


def looks_like_vcf(text: str) -> bool:
    """Whether a text begins as a VCF does."""
    return _is_vcf(text.lstrip()[:100].encode())


def _is_vcf(text: bytes) -> bool:
    return text.removeprefix(b"\xef\xbb\xbf").startswith((b"##fileformat=VCF", b"#CHROM"))


def _numbered(text: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that may hold a variant, numbered; a list would be many times as large as the text."""
    number, previous = 1, 0
    for match in _LINE.finditer(text):
        number += text.count(b"\n", previous, match.start())
        previous = match.start()
        yield number, match[0]


def _entries(lines: Iterable[tuple[int, bytes]], default_chromosome: str | None) -> Iterator[Call | BadLine]:
    first = True
    for number, line in lines:
        words = line.split()
        if not words or line.startswith(b"#"):
            continue
        if first and any(
            caption <= {word.lower().decode(errors="replace") for word in words} for caption in CAPTIONS
        ):
            continue
        first = False
        try:
            yield from _calls_of_entry(number, line, words, default_chromosome)
        except ValueError as error:
            yield BadLine(number, quote(line[:60]), str(error))


def _calls_of_entry(number: int, line: bytes, words: list[bytes], default_chromosome: str | None) -> Iterator[Call]:
    if line.count(b"\t") >= len(COLUMNS) - 1 or (len(words) >= len(COLUMNS) and words[1].isdigit()):
        yield from list(calls_of(number, line if b"\t" in line else b"\t".join(words)))
        return
    if _RS_NUMBER.fullmatch(line.strip()):
        raise ValueError("an rs number alone has no place and no bases; expected those, as chr22:10510600 A>G")
    change = read_change(line.decode(errors="replace"))
    chromosome = change.chromosome or default_chromosome
    if chromosome is None:
        raise ValueError("no chromosome; expected one before the position, such as chr22:10510600 A>G")
    alleles = decode(change.reference), decode(change.alternative)
    yield Call(number, chromosome, change.position, ".", *alleles, "")
