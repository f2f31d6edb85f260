"""What chromosomes are called, and which places the names of windows give."""

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_WINDOW = re.compile(rb"((?:(?!::).)+)_(\d{1,15})_(\d{1,15})")

_NUMBER = r"(\d{1,15}|\d{1,3}(?:,\d{3}){1,4})"  # with or without the commas of a genome browser
_STRANDED = re.compile(r"(\S+?)(?:\(([+.-]?)\)|(/rc)|:([+.*-]))", re.DOTALL)
_COURSE = re.compile(r"(\S+)_(\d{1,15})_(\d{1,15})")
_RANGE = re.compile(rf"(\S+):(c?){_NUMBER}(?:-|\.\.){_NUMBER}")
_SEQKIT = re.compile(r"(\S+)_(\d{1,15})-(\d{1,15})")
_ENSEMBL = re.compile(r"[^:\s]+:[^:\s]+:([^:\s]+):(\d{1,15}):(\d{1,15}):(-?1)")


class Count(NamedTuple):
    """A way of counting bases: the number of the first base, and 1 if the end is the last base, 0 if it is behind."""

    first: int
    inclusive: int


FROM_ZERO, FROM_ONE, HALF_OPEN = Count(0, 1), Count(1, 1), Count(0, 0)


class Span(NamedTuple):
    """A place as a name gives it: both numbers as they stand there, the strand, and how they may be meant."""

    chromosome: str
    first: int
    last: int
    reverse: bool
    counts: tuple[Count, ...]


def read_span(name: str) -> Span | None:
    """The place that a name gives, None where it gives none.

    Names are those of the course (`chr22_300_599`), samtools (`chr22:301-600`, `/rc` behind it), bedtools
    (`NAME::chr22:300-600(-)`), UCSC and genome browsers (`chr22:1,301-1,600`), NCBI (`NC_000022.11:c600-301`), seqkit
    (`chr22_301-600:-`) and Ensembl (`chromosome:GRCh38:22:301:600:-1`).
    """
    name = name.rpartition("::")[2]
    if match := _ENSEMBL.fullmatch(name):
        return Span(match[1], int(match[2]), int(match[3]), match[4] == "-1", (FROM_ONE,))
    stranded = _STRANDED.fullmatch(name)
    if stranded and stranded[4] and (match := _SEQKIT.fullmatch(stranded[1])):
        return Span(match[1], int(match[2]), int(match[3]), stranded[4] == "-", (FROM_ONE,))
    words, reverse = (stranded[1], "-" in stranded.groups("")[1:] or bool(stranded[3])) if stranded else (name, False)
    if match := _COURSE.fullmatch(words):
        return Span(match[1], int(match[2]), int(match[3]), reverse, (FROM_ZERO,))
    if match := _RANGE.fullmatch(words):
        first, last = (int(number.replace(",", "")) for number in match.group(3, 4))
        if match[2]:
            return Span(_accession(match[1]), last, first, not reverse, (FROM_ONE,))
        only_one = stranded and stranded[3]
        return Span(_accession(match[1]), first, last, reverse, (FROM_ONE,) if only_one else (FROM_ONE, HALF_OPEN))
    return None


def _accession(name: str) -> str:
    """`NC_000022.11` of `gi|568815576|ref|NC_000022.11|`, any other name as it is."""
    return name.split("|")[-2] if name.endswith("|") and name.count("|") > 1 else name


def other_name(name: str) -> str:
    """The same chromosome as the other convention calls it: chr22 and 22, chrM and MT."""
    if name in ("chrM", "MT"):
        return "MT" if name == "chrM" else "chrM"
    return name.removeprefix("chr") if name.startswith("chr") else f"chr{name}"


def renamed(wanted: Collection[str], there: Collection[str] | Mapping[str, int]) -> dict[str, str]:
    """What each of the names `wanted` is called in `there`; names that are in neither convention are left out."""
    pairs = ((name, name if name in there else other_name(name)) for name in wanted)
    return {name: called for name, called in pairs if called in there}


def place(name: bytes, length: int) -> tuple[str, int] | None:
    """The chromosome and the 0-based start of a window of `length` bases, None where its name tells none.

    Names are `chr22_300_599`, which begins at 300, and whatever else `read_span` reads; the length tells
    `chr22:301-600` (from the base of that number, end inclusive) and `chr22:300-600` (0-based, end exclusive) apart.
    """
    if match := _WINDOW.fullmatch(name):
        return match[1].decode(errors="replace"), int(match[2])
    span = read_span(name.decode(errors="replace"))
    if span is None:
        return None
    from_one = HALF_OPEN not in span.counts or span.last - span.first == length - 1
    return span.chromosome, span.first - (from_one and FROM_ONE in span.counts)


def places(names: NDArray[np.bytes_], length: int) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """The number of the chromosome (N,), in order of name, and the start (N,) of windows; -1 and 0 where names (N,)
    tell none. Names of both conventions, such as chr22 and 22, have one number."""
    found = [place(name, length) for name in names.tolist()]
    numbers: dict[str, int] = {}
    for chromosome in sorted({there[0] for there in found if there}):
        numbers[chromosome] = numbers.get(other_name(chromosome), len(numbers))
    chromosomes = [numbers[there[0]] if there else -1 for there in found]
    starts = [there[1] if there else 0 for there in found]
    return np.array(chromosomes, dtype=np.intp), np.array(starts, dtype=np.int64)
