"""VCF files, plain or gzip, line by line: each alternative allele as a call, or the reason why it is none.

Only the first five columns are read. Positions count from 1, as the format has it.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

from tfbind.tables import label, shown, whole_lines

COLUMNS = ("CHROM", "POS", "ID", "REF", "ALT")
MOST_ALLELES = 100_000  # of one line
MOST_REPEATED = 10_000_000  # bases of its REF, which is looked up and written again for each of them
_ALLELE = re.compile("[ACGTN]+", re.IGNORECASE)
_POSITION = re.compile("[0-9]{1,12}")
_BREAKEND = re.compile(r"[ACGTN]*([\[\]])[^\[\]]+\1[ACGTN]*|\.[ACGTN]+|[ACGTN]+\.", re.IGNORECASE)


class Call(NamedTuple):
    """One alternative allele of one line. `skipped` says why it has no sequence of its own, "" where it has one."""

    line: int
    chromosome: str
    position: int
    id: str
    reference: str
    alternative: str
    skipped: str


def read_calls(path: Path) -> Iterator[Call]:
    """The calls of a VCF file, in its order.

    Raises:
        ValueError: one line with the line's number: no VCF, columns missing, a position or an allele that is none.
    """
    number, seen_header = 0, False
    for text in whole_lines(path):
        for line in text.splitlines():
            number += 1
            if line.startswith(b"#"):
                seen_header |= line.startswith((b"##fileformat=VCF", b"#CHROM"))
            elif not seen_header:
                _refuse(
                    path,
                    number,
                    f"{shown(line[:60])} above any header; expected a VCF, which starts ##fileformat=VCF",
                )
            elif line.strip():
                try:
                    yield from calls_of(number, line)
                except ValueError as error:
                    _refuse(path, number, str(error))
    if not seen_header:
        raise ValueError(f"{label(path)}: no header of a VCF; expected a file that starts ##fileformat=VCF")


def calls_of(number: int, line: bytes) -> Iterator[Call]:
    """The calls of one line, which has this number in its file.

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
        raise ValueError(f"POS is {shown(position)}; expected a whole number")
    if not _ALLELE.fullmatch(reference):
        raise ValueError(f"REF is {shown(reference)}; expected letters A C G T N")
    alleles = alternatives.count(",") + 1
    if alleles > MOST_ALLELES:
        raise ValueError(f"ALT lists over {MOST_ALLELES:,} alleles; expected fewer")
    if alleles > 1 and alleles * len(reference) > MOST_REPEATED:
        said = f"REF of {len(reference):,} bases for each of {alleles:,} alleles"
        raise ValueError(f"{said}; expected at most {MOST_REPEATED:,} bases in all")
    for alternative in alternatives.split(","):
        skipped = _why_skipped(reference, alternative)
        if not skipped and not _ALLELE.fullmatch(alternative):
            raise ValueError(f"ALT is {shown(alternatives)}; expected letters A C G T N, or <DEL> and the like")
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


def _refuse(path: Path, number: int, what: str) -> NoReturn:
    raise ValueError(f"{label(path)}: line {number}: {what}")
