"""Formats of DNA other than FASTA, parsed into records of a header and a body, both as written."""

import io
import re
from collections.abc import Iterable, Iterator

import numpy as np

from tfbind.dna.codes import BLANK, Changes, is_dna, mostly_other, strip_numbers
from tfbind.store import plural, quote

WRAP_WIDTHS = range(50, 121)
NAME_COLUMNS = (b"window_name", b"name")
EXPECTED = "expected DNA letters, FASTA, GenBank text, or a table with the columns sequence and window_name"

_SOME_DNA = re.compile(rb"[ACGTUN]{6}|(?:[ACGTUN][^A-Z]*){7}", re.IGNORECASE)  # more than in CACNA1A
_IN_NAMES = re.compile(rb"[A-Z]\d|\d[A-Z]|_", re.IGNORECASE)
_GENBANK = re.compile(rb"^(?:LOCUS|ORIGIN|ID  +|DEFINITION)\b", re.MULTILINE)
_GENBANK_BODY = re.compile(rb"^(?:ORIGIN|SQ  )[^\n]*\n(.*?)(?:^//|\Z)", re.MULTILINE | re.DOTALL)
_GENBANK_NAME = re.compile(rb"^(?:LOCUS|ID) +([^\s;]+)", re.MULTILINE)
_PLACES = re.compile(
    rb"(?:(?:browser|track|#)[^\n]*\n)*+"
    rb"(?:(?:[\w.]+\t\d+\t\d+|chr\w+[: ][\d,]+[- ][\d,]+)(?:[ \t](?![^\n]*[ACGTUN]{6})[^\n]*)?(?:\n|\Z))++",
    re.IGNORECASE,
)
_FOREIGN = (
    (b"PK\x03\x04", "a Word, Excel or zip file"),
    (b"\xd0\xcf\x11\xe0", "a Word or Excel file"),
    (b"{\\rtf", "a rich text (RTF) file"),
    (b"%PDF", "a PDF file"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"BAM\x01", "a BAM file"),
    (b"<", "a web page (HTML or XML)"),
    (b"##fileformat=VCF", "a VCF file, which lists variants"),
    (b"#CHROM", "a VCF file, which lists variants"),
)


def plain_text(data: bytes, expected: str = EXPECTED) -> bytes:
    """Decode a text to UTF-8 with newlines, without a byte order mark and surrounding blanks.

    Args:
        data: UTF-8 or UTF-16.
        expected: what would be right, for messages.

    Returns:
        The text in UTF-8.

    Raises:
        ValueError: this is no text, but a Word file or the like.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        data = data.decode("utf-16", errors="replace").encode(errors="replace")
    data = data.removeprefix(b"\xef\xbb\xbf")
    for start, kind in _FOREIGN:
        if data.lstrip(BLANK).startswith(start):
            raise ValueError(f"this is {kind}; {expected}")
    if b"\0" in data:
        raise ValueError(f"this is not text (it holds zero bytes); {expected}")
    data = with_newlines(data)
    bare = data.lstrip(BLANK)
    if not bare:
        raise ValueError(f"nothing to read; {expected}")
    return bare.rstrip(BLANK) if bare.startswith(b">") else data.strip(b" \n\v\f")  # a tab at an end: an empty cell


def with_newlines(text: bytes) -> bytes:
    """A text with line ends as on Linux."""
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in text else text


def bodies(text: bytes) -> tuple[Iterable[tuple[bytes, bytes]], Changes]:
    """Split a plain text that is not FASTA into records: header and body of each, and the changes of all.

    Raises:
        ValueError: one line: what this is instead.
    """
    if _GENBANK.match(text):
        return _genbank(text), Changes()
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
        if len(cells) == 2 and is_dna(cells[1]) and _is_name(cells[0], spaced=sign is None):
            return cells
    return []


def _is_name(cell: bytes, spaced: bool) -> bool:
    """Whether what stands before letters is no DNA itself; blocks of a spaced sequence may hold IUPAC letters."""
    return bool(cell.translate(None, b"ACGTUNacgtun")) and not cell.isdigit() and not (spaced and is_dna(cell))


def _genbank(text: bytes) -> list[tuple[bytes, bytes]]:
    bodies = _GENBANK_BODY.findall(text)
    if not bodies:
        raise ValueError("a GenBank record without its sequence; expected the part from ORIGIN to // as well")
    names = _GENBANK_NAME.findall(text)
    return list(zip(names if len(names) == len(bodies) else [b""] * len(bodies), bodies, strict=True))


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
