"""Where the bases around a variant come from: a genome, or sequences whose names say where in one they lie.

Places count from 0 along a chromosome.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from tfbind.dna import Codes, Genome, Position, Record, position_of, reverse_complement, shorten, take_slice
from tfbind.variants.parse import bare

SAID = 3  # names or stretches that a message lists


@dataclass(frozen=True, eq=False)
class ReferenceSequence:
    """Consecutive bases of a chromosome, the first of them at the place `first`.

    `read(start, end)` gives codes of the forward strand, places counted within the stretch; `reverse`: as it was
    written, it is the other strand.
    """

    name: str
    first: int
    length: int
    read: Callable[[int, int], Codes]
    reverse: bool = False

    def turned(self) -> "ReferenceSequence":
        """The same with `read` along the other strand, places counted from its own first base."""

        def read(start: int, end: int) -> Codes:
            return reverse_complement(self.read(self.length - end, self.length - start))

        return replace(self, read=read)

    def holds(self, start: int, end: int) -> bool:
        """Whether places of the chromosome from start to end (exclusive) lie inside."""
        return self.first <= start and end <= self.first + self.length


class Reference(Protocol):
    """What knows stretches of chromosomes. `source` is what a message calls it, `missing` says that it lacks one."""

    source: str
    missing: str

    def on(self, chromosome: str) -> list[ReferenceSequence]:
        """The stretches of a chromosome, [] where there is none."""

    def called(self, stretch: ReferenceSequence) -> str:
        """One of its stretches, for a message."""

    def names(self) -> list[str]:
        """What it has, for a message."""


class FromGenome:
    """The contigs of a FASTA file, named with or without `chr`."""

    source = "the FASTA"
    missing = "contig not in the FASTA"

    def __init__(self, genome: Genome) -> None:
        self.genome = genome
        self._bare = {bare(name): name for name in genome.lengths}

    def on(self, chromosome: str) -> list[ReferenceSequence]:
        """The whole contig."""
        contig = chromosome if chromosome in self.genome.lengths else self._bare.get(bare(chromosome))
        if contig is None:
            return []
        return [ReferenceSequence(contig, 0, self.genome.lengths[contig], partial(self.genome.codes, contig))]

    def called(self, stretch: ReferenceSequence) -> str:
        """A contig by its name."""
        return f"{shorten(stretch.name)} of the FASTA"

    def names(self) -> list[str]:
        """Its contigs."""
        return list(self._bare.values())


class FromRecords:
    """Records with names such as `chr22:101-400` or `chr22_100_399(-)`; others are chromosomes of their own."""

    source = "the sequence"
    missing = "no sequence of this chromosome here"

    def __init__(self, records: Sequence[Record]) -> None:
        self._stretches: dict[str, list[ReferenceSequence]] = {}
        for record in records:
            place, codes = _placed(record)
            there = ReferenceSequence(record.name, place.start, len(codes), partial(take_slice, codes), place.reverse)
            self._stretches.setdefault(bare(place.chromosome), []).append(there)
        for record in records:
            alone = ReferenceSequence(record.name, 0, len(record.codes), partial(take_slice, record.codes))
            self._stretches.setdefault(record.name, [alone])
        self._names = [_extent(record) for record in records]

    def on(self, chromosome: str) -> list[ReferenceSequence]:
        """The records of a chromosome, or the one of that name, which then counts from its own first base."""
        return self._stretches.get(bare(chromosome)) or self._stretches.get(chromosome, [])

    def called(self, stretch: ReferenceSequence) -> str:  # noqa: ARG002
        """A record, which has no name that a reader would miss."""
        return "the sequence"

    def names(self) -> list[str]:
        """Where its records lie."""
        return self._names


def _placed(record: Record) -> tuple[Position, Codes]:
    """Where a record lies, and its codes on the forward strand."""
    place = position_of(record.name, len(record.codes))
    if place is None:
        return Position(record.name, 0), record.codes
    return place, reverse_complement(record.codes) if place.reverse else record.codes


def _extent(record: Record) -> str:
    """The positions of a record, counted from 1, in words."""
    place, _ = _placed(record)
    return f"{shorten(place.chromosome)}:{place.start + 1}-{place.start + len(record.codes)}"
