"""References of variants: a genome, or sequences whose names say where in one they lie; sequences around a variant.

Places count from 0 along a chromosome.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np

from tfbind.dna import Codes, Genome, Position, Record, bare, position_of, reverse_complement, shorten, take_slice
from tfbind.scoring import Variant
from tfbind.variants.edits import EditedSequence, aligned_after, map_origin


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

    def reverse_complemented(self) -> "ReferenceSequence":
        """The stretch with `read` along the other strand, places counted from its first base."""

        def read(start: int, end: int) -> Codes:
            return reverse_complement(self.read(self.length - end, self.length - start))

        return replace(self, read=read)

    def holds(self, start: int, end: int) -> bool:
        """Whether places of the chromosome from start to end (exclusive) lie inside."""
        return self.first <= start and end <= self.first + self.length


class Reference(Protocol):
    """Stretches of chromosomes. `source` is its name in messages, `missing` the message on a chromosome it lacks.

    `whole`: its stretches are whole chromosomes, so a place outside of them is none.
    """

    source: str
    missing: str
    whole: bool

    def on(self, chromosome: str) -> list[ReferenceSequence]:
        """The stretches of a chromosome, [] where there is none."""

    def called(self, stretch: ReferenceSequence) -> str:
        """The name of a stretch in messages."""

    def names(self) -> list[str]:
        """The names of its stretches in messages."""


class FromGenome:
    """The contigs of a FASTA file, named with or without `chr`."""

    source = "the FASTA"
    missing = "contig not in the FASTA"
    whole = True

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
        """The name of a contig in messages."""
        return f"{shorten(stretch.name)} of the FASTA"

    def names(self) -> list[str]:
        """The names of its contigs."""
        return list(self._bare.values())


class FromRecords:
    """Records with names such as `chr22:101-400` or `chr22_100_399(-)`; others are chromosomes of their own."""

    source = "the sequence"
    missing = "no sequence of this chromosome here"
    whole = False

    def __init__(self, records: Sequence[Record]) -> None:
        self._stretches: dict[str, list[ReferenceSequence]] = {}
        for record in records:
            place, codes = _on_forward_strand(record)
            read = partial(take_slice, codes)
            sequence = ReferenceSequence(record.name, place.start, len(codes), read, place.reverse)
            self._stretches.setdefault(bare(place.chromosome), []).append(sequence)
        for record in records:
            whole = ReferenceSequence(record.name, 0, len(record.codes), partial(take_slice, record.codes))
            self._stretches.setdefault(record.name, [whole])
        self._names = [_genome_extent(record) for record in records]

    def on(self, chromosome: str) -> list[ReferenceSequence]:
        """The records of a chromosome, or the one of that name, whose places count from its own first base."""
        return self._stretches.get(bare(chromosome)) or self._stretches.get(chromosome, [])

    def called(self, stretch: ReferenceSequence) -> str:  # noqa: ARG002
        """`the sequence`, whichever record it is."""
        return "the sequence"

    def names(self) -> list[str]:
        """The positions of its records in words."""
        return self._names


def _on_forward_strand(record: Record) -> tuple[Position, Codes]:
    """The position of a record, and its codes on the forward strand."""
    place = position_of(record.name, len(record.codes))
    if place is None:
        return Position(record.name, 0), record.codes
    return place, reverse_complement(record.codes) if place.reverse else record.codes


def _genome_extent(record: Record) -> str:
    """The positions of a record, counted from 1, in words."""
    place, _ = _on_forward_strand(record)
    return f"{shorten(place.chromosome)}:{place.start + 1}-{place.start + len(record.codes)}"


class ScoringTask(NamedTuple):
    """A call in its surroundings: both sequences begin at the place `start`, the variant counts from there, trimmed
    and as wide as any spelling of it may be.

    `reverse`: all of it is the other strand of a chromosome, whose places fall from `start` on.
    """

    start: int
    reference: Codes
    alternative: Codes
    variant: Variant
    reverse: bool = False

    def edited(self) -> EditedSequence:
        """The changed sequence up to the last base that both have, with the origin of its bases."""
        bases, alternative_bases = self.lengths()
        place = np.arange(bases)
        origin, paired = map_origin(place, self.variant), aligned_after(place, self.variant)
        return EditedSequence(self.alternative[:alternative_bases], origin, paired)

    def lengths(self) -> tuple[int, int]:
        """The bases of each sequence up to the last that both have behind the variant."""
        ends = [self.variant.start + len(allele) for allele in (self.variant.reference, self.variant.alternative)]
        after = min(len(self.reference) - ends[0], len(self.alternative) - ends[1])
        return ends[0] + after, ends[1] + after

    def position(self, place: int) -> int:
        """The position, from 1, of a place in the reference."""
        return (self.start - place if self.reverse else self.start + place) + 1

    def forward(self) -> "ScoringTask":
        """The task on the forward strand."""
        if not self.reverse:
            return self
        bases, alternative_bases = self.lengths()
        codes = (reverse_complement(self.reference[:bases]), reverse_complement(self.alternative[:alternative_bases]))
        return ScoringTask(self.start - bases + 1, *codes, reverse_complement_variant(self.variant, bases))


def reverse_complement_variant(variant: Variant, length: int) -> Variant:
    """A variant of a sequence of so many bases as one of its reverse complement."""
    start = length - variant.start - len(variant.reference)
    return Variant(start, *map(reverse_complement, (variant.reference, variant.alternative)))


def task_around(stretch: ReferenceSequence, variant: Variant, bases: int) -> ScoringTask:
    """So many bases on either side; beyond twice the reach no base matters to a score that the variant changes."""
    end = variant.start + len(variant.reference)
    start, stop = max(0, variant.start - bases), min(stretch.length, end + bases)
    return _task(stretch, start, variant, stretch.read(end, stop))


def task_in_window(stretch: ReferenceSequence, variant: Variant, length: int) -> ScoringTask | str:
    """Windows of one length with the variant in the middle, or as near to it as the stretch allows."""
    sizes = len(variant.reference), len(variant.alternative)
    end = variant.start + sizes[0]
    longest, most_around = max(sizes), length - min(sizes)
    fewest = max(0, end + most_around - stretch.length)
    if fewest > min(variant.start, length - longest):
        return f"no window of {length} bases around it"
    before = min(max((length - longest) // 2, fewest), variant.start)
    after = stretch.read(end, end + most_around - before)
    return _task(stretch, variant.start - before, variant, after, length)


def _task(
    stretch: ReferenceSequence, start: int, variant: Variant, after: Codes, length: int | None = None
) -> ScoringTask:
    before = stretch.read(start, variant.start)
    local = Variant(len(before), variant.reference, variant.alternative)
    alleles = (variant.reference, variant.alternative)
    reference, alternative = (np.concatenate([before, allele, after])[:length] for allele in alleles)
    first = stretch.first + (stretch.length - 1 - start if stretch.reverse else start)
    return ScoringTask(first, reference, alternative, local, stretch.reverse)
