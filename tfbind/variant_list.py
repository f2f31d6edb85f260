"""Lists of variants as people paste or upload them: a VCF, or some lines of one, or one change on each line.

What can be used is kept, and every line that cannot is named with its reason.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tfbind.forms import plain_text, with_newlines
from tfbind.records import unpacked
from tfbind.sequences import decode
from tfbind.tables import shown, whole_lines
from tfbind.variants import read_change
from tfbind.vcf import COLUMNS, Call, calls_of

MAX_CALLS = 20_000
MAX_BYTES = 256 << 20  # of text
EXPECTED = "expected a VCF, or one change on each line, such as chr22:10510600 A>G"
CAPTIONS = ({"pos", "ref"}, {"position", "ref"}, {"position", "reference"})  # words of a line that names columns

_LINE = re.compile(rb"^(?!#)[^\S\n]*\S.*", re.MULTILINE)  # one that may hold a variant
_RS_NUMBER = re.compile(rb"rs\d+", re.IGNORECASE)


class BadLine(NamedTuple):
    """A line that holds no variant, and why; `line` counts from 1."""

    line: int
    text: str
    why: str


@dataclass(frozen=True)
class VariantList:
    """The calls of a list in its order, and the lines that are none. `more`: it goes on after these."""

    calls: list[Call]
    bad: list[BadLine]
    more: bool


def read_list(data: bytes | str, names: Sequence[str] = (), limit: int = MAX_CALLS) -> VariantList:
    """The calls of a pasted text or a file, gzip or not.

    Args:
        names: of the sequences at hand; where there is one alone, a change without a chromosome is meant for it.
        limit: lines are read until so many of them are variants or bad.

    Raises:
        ValueError: one line: nothing to read, no text, or damaged gzip.
    """
    raw = unpacked(data, MAX_BYTES)
    text = plain_text(raw[:MAX_BYTES], EXPECTED) if not _is_vcf(raw) else with_newlines(raw[:MAX_BYTES])
    alone = names[0] if len(names) == 1 else None
    found = _entries(_numbered(text), alone)
    calls, bad = [], []
    for entry in itertools.islice(found, limit):
        if isinstance(entry, BadLine):
            bad.append(entry)
        else:
            calls.append(entry)
    more = next(found, None) is not None or len(raw) > MAX_BYTES
    if not calls and not bad:
        raise ValueError(f"no variant in it; {EXPECTED}")
    return VariantList(calls, bad, more)


def read_lines(path: Path) -> Iterator[Call | BadLine]:
    """The calls of a file of any size, and its lines that hold none, in their order.

    Raises:
        ValueError: one line: damaged gzip, or a line that is too long.
    """
    return _entries(enumerate((line for piece in whole_lines(path) for line in piece.splitlines()), 1), None)


def looks_like_vcf(text: str) -> bool:
    """Whether a text begins as a VCF does."""
    return _is_vcf(text.lstrip()[:100].encode())


def _is_vcf(text: bytes) -> bool:
    return text.removeprefix(b"\xef\xbb\xbf").startswith((b"##fileformat=VCF", b"#CHROM"))


def _numbered(text: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines that may hold a variant, each with its number, one after the other: a list of all would be many times
    as large as the text."""
    number, before = 1, 0
    for match in _LINE.finditer(text):
        number += text.count(b"\n", before, match.start())
        before = match.start()
        yield number, match[0]


def _entries(lines: Iterable[tuple[int, bytes]], alone: str | None) -> Iterator[Call | BadLine]:
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
            yield from _calls(number, line, words, alone)
        except ValueError as error:
            yield BadLine(number, shown(line[:60]), str(error))


def _calls(number: int, line: bytes, words: list[bytes], alone: str | None) -> Iterator[Call]:
    if line.count(b"\t") >= len(COLUMNS) - 1 or (len(words) >= len(COLUMNS) and words[1].isdigit()):
        yield from list(calls_of(number, line if b"\t" in line else b"\t".join(words)))
        return
    if _RS_NUMBER.fullmatch(line.strip()):
        raise ValueError("an rs number alone has no place and no bases; expected those, as chr22:10510600 A>G")
    change = read_change(line.decode(errors="replace"))
    chromosome = change.chromosome or alone
    if chromosome is None:
        raise ValueError("no chromosome; expected one before the position, such as chr22:10510600 A>G")
    alleles = decode(change.reference), decode(change.alternative)
    yield Call(number, chromosome, change.position, ".", *alleles, "")
