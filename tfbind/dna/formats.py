"""Formats of DNA other than FASTA, parsed into records of a header and a body, both as written."""

import io
import re
from collections.abc import Iterable, Iterator

import numpy as np

from tfbind.dna.codes import BLANK, Changes, is_dna, mostly_other, shorten, strip_numbers
from tfbind.store import plural, quote

HEAD_BYTES = 64 << 10  # by which a format is told
WRAP_WIDTHS = range(50, 121)
NAME_COLUMNS = (b"window_name", b"name")
EXPECTED = "expected DNA letters, FASTA, GenBank text, or a table with the columns sequence and window_name"

Body = tuple[bytes, bytes, Changes]  # header and body of a record, as written, and what was changed so far

_SOME_DNA = re.compile(rb"[ACGTUN]{6}|(?:[ACGTUN][^A-Z]*){7}", re.IGNORECASE)  # more than in CACNA1A
_IN_NAMES = re.compile(rb"[A-Z]\d|\d[A-Z]|_", re.IGNORECASE)
_GENBANK = re.compile(rb"^(?:LOCUS|ORIGIN|ID  +|DEFINITION)\b", re.MULTILINE)
_GENBANK_BELOW = re.compile(rb"(?<=\n)(?:LOCUS +\S.* bp\b|ID  +\S+;.* BP\.)")  # of text, or of a release's head
_GENBANK_BODY = re.compile(rb"^(?:ORIGIN|SQ  )[^\n]*\n(.*)", re.MULTILINE | re.DOTALL)
_GENBANK_NAME = re.compile(rb"^(?:LOCUS|ID) +([^\s;]+)(.*)", re.MULTILINE)
_GENBANK_FEATURES = re.compile(rb"^(?:FEATURES|FT ) ", re.MULTILINE)
_PLACES = re.compile(
    rb"(?:(?:browser|track|#|chrom\w*\t)[^\n]*\n)*+"
    rb"(?:(?:[\w.]+\t\d+\t\d+|chr\w+[: ][\d,]+[- ][\d,]+)(?:[ \t](?![^\n]*[ACGTUN]{6})[^\n]*)?(?:\n|\Z))++",
    re.IGNORECASE,
)
_ALIGNMENT = "its sequences as FASTA, without gaps"
_FOREIGN = tuple(
    (re.compile(pattern, re.IGNORECASE), kind, expected)
    for pattern, kind, expected in (
        (rb"##fileformat=VCF|#CHROM\tPOS", "a VCF file, which lists variants", ""),
        (rb"(?:CLUSTAL|MUSCLE|PROBCONS|T-COFFEE|MSAPROBS|KALIGN)\b.*\n", "a Clustal alignment", _ALIGNMENT),
        (rb"# STOCKHOLM\b", "a Stockholm alignment", _ALIGNMENT),
        (rb"#NEXUS\b", "a Nexus file", _ALIGNMENT),
        (rb"#MEGA\b", "a MEGA alignment", _ALIGNMENT),
        (rb"\d+[ \t]+\d+[ \t]*[IS]?\n[ \t]*\S+[ \t]+[A-Z?. \t-]+(?:\n|\Z)", "a Phylip alignment", _ALIGNMENT),
        (rb"!!NA_|PileUp\b|.*\bMSF: +\d", "a GCG file", _ALIGNMENT),
        (rb"##maf\b", "a multiple alignment (MAF)", _ALIGNMENT),
        (rb">(?:P1|F1|D[LC]|R[LC]|N[13]|XX);.*\n", "a PIR file", "its sequences as FASTA"),
        (rb"T?BLAST[NPX]\b|Query[:= ]", "a report of BLAST", "its sequences as FASTA"),
        (
            rb"@(?:HD|SQ|RG|PG|CO)\t|(?:[^\t\n]+\t){2}[^\t\n]+\t\d+\t\d+\t(?:\*|[\dMIDNSHP=X]+)\t",
            "a SAM file",
            "its sequences as FASTA, as samtools fasta writes them",
        ),
        (
            rb"##gff-version|(?:#.*\n)*+(?:[^\t\n]+\t){3}\d+\t\d+\t[^\t\n]+\t[+.?-]\t[012.]\t",
            "a GFF or GTF file, which lists features",
            "their DNA as FASTA, as bedtools getfasta writes it",
        ),
        (rb"(?:[^\t\n]++\t\d++(?:\n|\Z))++\Z", "a list of chromosome sizes", "the DNA of the chromosomes as FASTA"),
        (rb"(?:[^\t\n]++(?:\t\d++){4}(?:\n|\Z))++\Z", "an index of a FASTA file", "the FASTA file"),
        (rb"(?:track type=|fixedStep |variableStep )", "a wiggle track of values", ""),
        (rb"chain \d+ ", "a chain file", ""),
        (rb"psLayout ", "a file of alignments (PSL)", _ALIGNMENT),
        (rb"AS \d+ \d+\n|BEGIN_SEQUENCE ", "an assembly or a trace (ACE, PHD)", "its sequences as FASTA"),
        (rb"MEME version |>.*\n(?:A\s*\[|[\d.]+[ \t]+[\d.]+[ \t])", "a file of motifs", ""),
        (rb"\{\s*\"", "a JSON file", ""),
    )
)


def plain_text(data: bytes, expected: str = EXPECTED) -> bytes:
    """A text without surrounding blanks.

    Args:
        data: of `decompressed`.
        expected: what would be right, for messages.

    Returns:
        The text.

    Raises:
        ValueError: this is no text, but a Word file or the like.
    """
    if b"\0" in data:
        raise ValueError(f"this is not text (it holds zero bytes); {expected}")
    bare = data.lstrip(BLANK)
    if not bare:
        raise ValueError(f"nothing to read; {expected}")
    return bare.rstrip(BLANK) if bare.startswith(b">") else data.strip(b" \n\v\f")  # a tab at an end: an empty cell


def refuse_foreign(text: bytes) -> None:
    """Refuse the formats of text that are none of DNA.

    Raises:
        ValueError: one line: what this is, and what to save instead.
    """
    head = text[: text.rfind(b"\n", 0, HEAD_BYTES) + 1] or text[:HEAD_BYTES]
    for pattern, kind, expected in _FOREIGN:
        if pattern.match(head if len(text) > HEAD_BYTES else text):
            raise ValueError(f"this is {kind}; {f'expected {expected}' if expected else EXPECTED}")


def bodies(text: bytes) -> Iterator[Body]:
    """Split a plain text that is not FASTA into records.

    Raises:
        ValueError: one line: what this is instead.
    """
    if start := _GENBANK.match(text) or _GENBANK_BELOW.search(text):
        return _genbank(text[start.start() :] if start.start() else text)
    records, changes = _other_bodies(text)
    return ((header, body, changes) for header, body in records)


def _other_bodies(text: bytes) -> tuple[Iterable[tuple[bytes, bytes]], Changes]:
    """Header and body of each record, and the changes that were made to all."""
    if _PLACES.fullmatch(text):
        raise ValueError(
            "these are places in a genome without their letters; expected the DNA there, such as UCSC's Get DNA or "
            "bedtools getfasta write it"
        )
    tabbed = _with_tabs(text)
    changes = Changes({("table", "", 0): 1} if tabbed is not text else {})
    first = tabbed.partition(b"\n")[0]
    cells = first.lower().split(b"\t")
    if b"sequence" in cells or len(cells) > 2:
        return _table(tabbed), changes
    if b"\n>" in text:
        raise ValueError("letters above the first line that starts with '>'; expected a name for them as well")
    if first.startswith(b"@") and b"\n+" in text:
        raise ValueError(f"this looks like FASTQ; {EXPECTED}")
    if len(cells) == 2 and not cells[0].strip().isdigit():
        return _rows(io.BytesIO(tabbed), len(cells), 1, 0, 1), changes
    return _bare(text)


def _bare(text: bytes) -> tuple[list[tuple[bytes, bytes]], Changes]:
    """Letters without a name: one sequence, or one a line."""
    letters, _, end = text.rpartition(b"\n//")
    text = letters if letters and not end.strip(BLANK) else text  # the end of a GenBank record
    lines = [line.strip(BLANK) for line in text.split(b"\n") if line.strip(BLANK)]
    if len(lines) == 1 or _counts_bases(lines):
        return [(b"", text)], Changes()
    if _is_title(lines[0]):
        below = text[text.index(lines[0]) + len(lines[0]) :]
        if _is_readable(below) and not mostly_other(below.upper()):
            records, changes = _bare(below)
            if len(records) == 1:
                return [(lines[0], below)], changes + Changes({("named", "", 0): 1})
    if b"\n\n" not in text.strip(BLANK) and _is_wrapped(lines):
        return [(b"", text)], Changes({("joined", "", 0): len(lines)})
    return [(b"", line) for line in lines], Changes({("split", "", 0): 1})


def _is_title(line: bytes) -> bool:
    """Whether a line can be nothing but the name of what follows; in doubt it is DNA with a wrong letter."""
    wordy = mostly_other(line.upper()) or bool(_IN_NAMES.search(line))
    return wordy and not _is_readable(line) and not _SOME_DNA.search(line)


def _is_readable(body: bytes) -> bool:
    return is_dna(body) or is_dna(strip_numbers(body, Changes()))


def _with_tabs(text: bytes) -> bytes:
    """A table with commas or semicolons, or lines of a name and its letters, with tabs; else the same text."""
    first = text.partition(b"\n")[0]
    for sign in (b",", b";"):
        if b"sequence" in _cells(first.lower(), sign):
            return b"\n".join(b"\t".join(_cells(line, sign)) for line in io.BytesIO(text))
    if b"\t" in first or not _name_and_letters(first):
        return text
    rows = [_name_and_letters(line) for line in text.split(b"\n") if line.strip(BLANK)]
    return b"\n".join(map(b"\t".join, rows)) if all(rows) else text


def _cells(line: bytes, sign: bytes | None) -> list[bytes]:
    return [cell.strip(BLANK + b'"') for cell in line.split(sign)]


def _name_and_letters(line: bytes) -> list[bytes]:
    """The two cells of a line such as `Fwd: 5'-ACGT-3'`, [] where it is no such line."""
    for sign in (b",", b";", b":", None):
        cells = _cells(line, sign)
        if len(cells) != 2 or not _is_name(cells[0], cells[1], spaced=sign is None):
            continue
        if is_dna(cells[1]) or (_SOME_DNA.search(cells[1]) and not mostly_other(cells[1].upper())):
            return cells
    return []


def _is_name(cell: bytes, letters: bytes, spaced: bool) -> bool:
    """Whether what stands before letters is no DNA itself; blocks of a spaced sequence may hold IUPAC letters, but
    are in one case."""
    is_block = spaced and is_dna(cell) and not (cell.islower() and letters.isupper())
    return bool(cell.translate(None, b"ACGTUNacgtun")) and not cell.isdigit() and not is_block


def _genbank(text: bytes) -> Iterator[Body]:
    """The entries of GenBank or EMBL; the body of one without its sequence is empty."""
    if not _GENBANK_BODY.search(text):
        raise ValueError("a GenBank record without its sequence; expected the part from ORIGIN to // as well")
    for entry in re.split(rb"^//.*\n?", text, flags=re.MULTILINE):
        body, title = _GENBANK_BODY.search(entry), _GENBANK_NAME.search(entry)
        if not body and not title:
            continue
        name, facts = title.groups() if title else (b"", b"")
        if re.search(rb"\d aa\b", facts):
            raise ValueError(f"record {shorten(name.decode(errors='replace'))}: a protein; expected DNA")
        changes = Changes({("circular", "", 0): int(b"circular" in facts)})
        changes["features", "", 0] += len(_GENBANK_FEATURES.findall(entry)) > 0
        yield name, body[1] if body else b"", +changes


def _table(text: bytes) -> Iterator[tuple[bytes, bytes]]:
    rows = io.BytesIO(text)  # reads lines of the text without a copy of it
    header = rows.readline().removesuffix(b"\n")
    columns = [cell.strip() for cell in header.lower().split(b"\t")]
    names = [place for place, column in enumerate(columns) if column in NAME_COLUMNS]
    if len(names) != 1 or columns.count(b"sequence") != 1:
        raise ValueError(
            f"a table whose first line is {quote(header)}; expected one column window_name, one sequence"
        )
    if rows.tell() == len(text):
        raise ValueError("a table without lines; expected one line for each sequence")
    return _rows(rows, len(columns), 2, names[0], columns.index(b"sequence"))


def _rows(
    lines: Iterable[bytes], columns: int, first: int, name: int, sequence: int
) -> Iterator[tuple[bytes, bytes]]:
    """Name and letters of each line of a table; lines are counted from `first`."""
    for number, line in enumerate(lines, first):
        cells = line.removesuffix(b"\n").split(b"\t")
        if len(cells) != columns:
            raise ValueError(f"line {number}: {plural(len(cells), 'column')}; expected {columns}, as in line 1")
        yield cells[name], cells[sequence]


def _is_wrapped(lines: list[bytes]) -> bool:
    """Whether the lines are one sequence that was broken at the width of a page: all but the last are full."""
    width = len(lines[0])
    full = all(len(line) == width for line in lines[:-1])
    return full and width in WRAP_WIDTHS and len(lines[-1]) <= width


def _counts_bases(lines: list[bytes]) -> bool:
    """Whether the lines are one sequence, numbered by its bases before each line (GenBank) or after it (EMBL)."""
    if not any(byte in text for text in lines[:1] for byte in b"0123456789"):
        return False
    cells = [line.split() for line in lines]
    bases = np.cumsum([0] + [sum(len(cell) for cell in row if not cell.isdigit()) for row in cells])
    for side, before in ((0, bases[:-1]), (-1, bases[1:])):
        if all(row[side].isdigit() and len(row[side]) < 19 for row in cells):
            numbers = np.array([int(row[side]) for row in cells])
            return bool((numbers - numbers[0] == before - before[0]).all())
    return False
