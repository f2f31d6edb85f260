"""Parsers of pasted, uploaded or stored DNA: FASTA, tables, GenBank text, bare letters.

A FASTA of any size is read in chunks; anything else as a whole. Names are data: nothing here opens or shows them.
"""

import io
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import BinaryIO

import numpy as np

from tfbind.dna.codes import BLANK, Changes, Codes, describe, describe_repairs, printable, read_codes, shorten
from tfbind.dna.formats import EXPECTED, Body, bodies, plain_text, refuse_foreign
from tfbind.dna.intervals import parse_interval
from tfbind.store import plural, read_text_chunks

MAX_RECORDS = 30_000
MAX_BASES = 10_000_000
MAX_TABLE_BYTES, MAX_TABLE_LINES = 1 << 30, 5_000_000  # of a file that is not FASTA
PIECE_BYTES = 4 << 20
LONGEST_NAME = 200
LONGEST_HEADER = 64 << 10

MOST_NAMED = 3  # of the records without letters
NO_CODES = np.empty(0, np.uint8)

_COMMENTS = re.compile(rb"\A(?:[ \t]*[#;].*\n+)+(?=>)")  # above the first header
_COMMENT = re.compile(rb"^;.*", re.MULTILINE)
_UCSC = re.compile(r" range=(\S+):(\d+)-(\d+)\b(?:.* strand=([+-]))?")
_ENSEMBL = re.compile(r" [^:\s]+:[^:\s]+ [^:\s]+:[^:\s]+:([^:\s]+):(\d+):(\d+):(-?1)\b")


@dataclass(frozen=True, eq=False)
class Record:
    """A named sequence: codes (L,) uint8, `notes` on what was changed in reading it, `repairs` of invalid signs."""

    name: str
    codes: Codes
    notes: list[str]
    repairs: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class SequenceChunk:
    """Consecutive bases of record `number` (from 1): the record's header, codes (L,), counts of changes."""

    number: int
    header: str
    codes: Codes
    changes: Changes


class TooLarge(ValueError):
    """More than can be read at once."""


def read_records(
    data: bytes | str, max_records: int = MAX_RECORDS, max_bases: int = MAX_BASES, repair: bool = False
) -> list[Record]:
    """Parse the records of a pasted text or an uploaded file, gzip or not.

    Args:
        data: FASTA; a table with the columns sequence and window_name; lines of a name and a sequence; GenBank or
            EMBL text; bare sequences, one a line, or one over several lines that are numbered or all but the last
            equally wide (50 to 120), its name on a line above it if that can be no DNA.
        max_records: more are refused.
        max_bases: more in all records together are refused.
        repair: read letters that cannot be used as N, and leave out signs, instead of refusing them; not where
            most letters are no DNA, nor where signs part alternatives, as in [A/G].

    Returns:
        The records in order, under unique names.

    Raises:
        InvalidLetter: one line with the record and the position.
        TooLarge: more than the limits.
        ValueError: one line that says what this is instead of DNA.
    """
    limit = 4 * max_bases + 1000 * max_records
    text = decompressed(data, limit)
    if len(text) > limit:
        raise TooLarge(f"more than {limit:,} characters; at most {_bounds(max_records, max_bases)}")
    return assemble_records(_chunks_of_text(text, repair), max_records, max_bases)


def decompressed(data: bytes | str, limit: int, expected: str = EXPECTED) -> bytes:
    """Read the beginning of a text or a file as `read_text_chunks` does.

    Args:
        data: the text or the file's content.
        limit: bytes; one more is returned where there are more.
        expected: what would be right, for messages.

    Returns:
        The text in UTF-8 with newlines.

    Raises:
        ValueError: damaged gzip.
    """
    raw = data.encode(errors="replace") if isinstance(data, str) else data
    text = io.BytesIO()
    for chunk in read_text_chunks(io.BytesIO(raw), PIECE_BYTES, expected):
        text.write(chunk)
        if text.tell() > limit:
            break
    return text.getvalue()[: limit + 1]


def _bounds(records: int, bases: int) -> str:
    return f"{plural(records, 'record')} and {plural(bases, 'base')} in all"


def assemble_records(
    chunks: Iterable[SequenceChunk], max_records: int = MAX_RECORDS, max_bases: int = MAX_BASES
) -> list[Record]:
    """Join the chunks of each record; more records or bases than allowed are `TooLarge`."""
    headers, codes, changes, bases = [], [], [], 0
    for number, group in itertools.groupby(chunks, key=lambda chunk: chunk.number):
        parts = list(group)
        bases += sum(len(part.codes) for part in parts)
        if number > max_records or bases > max_bases:
            raise TooLarge(f"too much to read at once: at most {_bounds(max_records, max_bases)}")
        headers.append(parts[0].header)
        codes.append(np.concatenate([part.codes for part in parts]) if len(parts) > 1 else parts[0].codes)
        changes.append(sum((part.changes for part in parts), Changes()))
    named = zip(unique_names(headers), codes, changes, strict=True)
    return [
        Record(name, code, notes + describe(change), describe_repairs(change))
        for (name, notes), code, change in named
    ]


def read_chunks(stream: BinaryIO) -> Iterator[SequenceChunk]:
    """Parse records from a stream of any length: FASTA in chunks of bounded size, other formats as a whole.

    Raises:
        ValueError: as `read_records`.
    """
    chunks = read_text_chunks(stream, PIECE_BYTES, EXPECTED)
    first = next(chunks).lstrip(BLANK)
    first = first if first.startswith(b">") else _COMMENTS.sub(b"", first)
    if first.startswith(b">"):
        refuse_foreign(first)
        yield from read_fasta_chunks(itertools.chain([first], chunks))
        return
    plain_text(first)  # what is no text is refused before the rest is read
    yield from _chunks_of_text(_join(itertools.chain([first], chunks)), False)


def _join(chunks: Iterable[bytes]) -> bytes:
    """The whole of a text that is not FASTA."""
    buffer = io.BytesIO()
    for chunk in chunks:
        buffer.write(chunk)
        if buffer.tell() > MAX_TABLE_BYTES:
            raise ValueError(f"over {MAX_TABLE_BYTES >> 20} MB and not FASTA; expected FASTA for so much")
    return buffer.getvalue()


def _chunks_of_text(text: bytes, repair: bool) -> Iterator[SequenceChunk]:
    text = plain_text(text)
    refuse_foreign(text)
    text = _COMMENTS.sub(b"", text)
    if text.startswith(b">"):
        return read_fasta_chunks([text + b"\n"], repair)
    if text.count(b"\n") > MAX_TABLE_LINES:
        raise ValueError(f"over {MAX_TABLE_LINES:,} lines and not FASTA; expected FASTA for so many")
    return _without_empty(_record_chunks(bodies(text), repair))


def _record_chunks(records: Iterable[Body], repair: bool) -> Iterator[SequenceChunk]:
    """A chunk for each record."""
    for number, (header, body, common) in enumerate(records, 1):
        name, changes = _header(header), Changes(common)
        codes = read_codes(body, name or f"sequence_{number}", 0, changes, repair)
        yield SequenceChunk(number, name, codes, changes)


def _without_empty(chunks: Iterable[SequenceChunk]) -> Iterator[SequenceChunk]:
    """The same chunks without the records that have no letters, which are named in the changes of one beside them.

    Raises:
        ValueError: no record has letters.
    """
    number, last, passed_over = 0, None, Changes()
    for _, group in itertools.groupby(chunks, key=lambda chunk: chunk.number):
        chunk = next(group)
        if not len(chunk.codes):
            name = first_word(chunk.header) or f"record {chunk.number}"
            passed_over["passed over", name if len(passed_over) < MOST_NAMED else "", 0] += 1
            continue
        number += 1
        for last in itertools.chain([chunk], group):
            yield replace(last, number=number, changes=last.changes + passed_over)
            passed_over = Changes()
    if last is None:
        name = shorten(next(iter(passed_over), ("", "", 0))[1]).removeprefix("record ")
        raise ValueError(f"record {name}: no letters; expected at least one base")
    if passed_over:
        yield replace(last, number=number, codes=last.codes[:0], changes=passed_over)


def read_fasta_chunks(chunks: Iterable[bytes], repair: bool = False) -> Iterator[SequenceChunk]:
    """Parse a FASTA text that starts with `>` and comes in chunks of bytes."""
    return _without_empty(_fasta_chunks(chunks, repair))


def _fasta_chunks(chunks: Iterable[bytes], repair: bool) -> Iterator[SequenceChunk]:
    """One chunk of a record at least, without letters where it has none."""
    number, header, bases = 0, "", 0
    for text in _cut(chunks):
        continued, *records = text.split(b"\n>")
        for index, part in enumerate([continued, *records]):
            body = part
            if index:
                if number and not bases:
                    yield SequenceChunk(number, header, NO_CODES, Changes())
                first, _, body = part.partition(b"\n")
                number, header, bases = number + 1, _header(first), 0
            changes = Changes()
            if b";" in body:
                body, comments = _COMMENT.subn(b"", body)
                changes.update({("removed", "comments", 0): comments} if comments else {})
            codes = read_codes(body, first_word(header) or f"sequence_{number}", bases, changes, repair)
            bases += len(codes)
            if len(codes):
                yield SequenceChunk(number, header, codes, changes)
    if not bases:
        yield SequenceChunk(number, header, NO_CODES, Changes())


def _cut(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The text in parts that begin with a newline where a line begins, and never cut a header."""
    pending, line_end = b"", b"\n"
    for chunk in chunks:
        pending += chunk
        end = pending.rfind(b"\n") + 1
        if not end and line_end and pending.startswith(b">"):
            if len(pending) > LONGEST_HEADER:
                raise ValueError(f"a FASTA header of over {LONGEST_HEADER} bytes; expected a line end after the name")
            continue
        end = end or len(pending)
        yield line_end + pending[:end]
        line_end = b"\n" if pending[:end].endswith(b"\n") else b""
        pending = pending[end:]
    if pending:
        yield line_end + pending


# Names


def _header(raw: bytes) -> str:
    return printable(raw.decode(errors="replace"))


def first_word(header: str) -> str:
    """The first word of a FASTA header, which programs take for the name."""
    return header.partition(" ")[0]


def _region(header: str) -> str:
    """The interval in a header behind its first word: that of UCSC or Ensembl as `chr22:101-400` or, on the reverse
    strand, `chr22:101-400(-)`; all of bedtools' `my site::chr22:100-400`. "" where there is none, or where it is all
    of a chromosome that the first word names."""
    match = _UCSC.search(header) or _ENSEMBL.search(header)
    if not match:
        return header if "::" in header and " " in header and parse_interval(header) else ""
    chromosome, start, end, strand = match.groups()
    if start == "1" and chromosome == first_word(header):
        return ""
    region = f"{chromosome}:{start}-{end}"
    return f"{region}(-)" if strand and strand.startswith("-") else region


def unique_names(headers: list[str]) -> list[tuple[str, list[str]]]:
    """A unique name for each header, and notes on what had to be changed.

    A name is the genomic interval where UCSC or Ensembl have written one, else the first word, or the whole header
    where first words recur. None is empty or longer than `LONGEST_NAME`.
    """
    words = [_region(header) or first_word(header) for header in headers]
    whole = _repeats(words) and not _repeats(headers)
    preferred = [name[:LONGEST_NAME] for name in (headers if whole else words)]
    taken, reserved = set[str](), set(preferred)
    last: Counter[str] = Counter()
    named = []
    for number, (name, header) in enumerate(zip(preferred, headers, strict=True), 1):
        unique = name or f"sequence_{number}"
        while unique in taken or (unique != name and unique in reserved):
            last[name] += 1
            unique = f"{name or 'sequence'}_{last[name] + (1 if name else number)}"
        taken.add(unique)
        named.append((unique, _renamed(name, unique, header, whole)))
    return named


def _renamed(name: str, unique: str, header: str, whole: bool) -> list[str]:
    notes = []
    if len(header if whole else first_word(header)) > LONGEST_NAME:
        notes = [f"name cut to {LONGEST_NAME} characters"]
    elif name and name != header:
        notes = [f"named by the {'first word' if header.startswith(f'{name} ') else 'place'} in its header"]
    if name and unique != name:
        notes.append(f"the name {shorten(name)} is there twice; called {unique} here")
    return notes


def _repeats(names: list[str]) -> bool:
    named = [name for name in names if name]
    return len(set(named)) < len(named)
