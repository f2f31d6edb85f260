"""What variants of a VCF file or a list do: each scored in its surroundings, whatever the size of the genome.

Positions of calls and effects count from 1; inside, places count from 0.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tfbind.edits import SLIGHT, Edited, lost_and_made, moved
from tfbind.interpret import Variant, largest_change
from tfbind.letters import short
from tfbind.reference import Reference, Stretch
from tfbind.scoring import Model, Scores, score_windows
from tfbind.sequences import Codes, decode, encode
from tfbind.tables import counted, shown
from tfbind.vcf import Call

LONGEST_ALLELE = 10_000
SAID = 3  # places that a message lists
BATCH = 4_096  # calls that are scored together


class Unfit(ValueError):
    """A variant that its reference does not bear out, with its line and place."""


class Effect(NamedTuple):
    """What a call does: the largest change of a score, the position (from 1) where it acts, the highest scores that
    the bases within reach have with the reference and with the alternative, and how many called sites it takes away
    and makes."""

    change: float
    position: int
    reference: float
    alternative: float
    lost: int
    gained: int

    @property
    def words(self) -> str:
        """The direction, for a reader."""
        if self.lost or self.gained:
            done = ["destroys a site"] * bool(self.lost) + ["makes a site"] * bool(self.gained)
            return ", ".join(done)
        if abs(self.change) < SLIGHT:
            return "changes little"
        return "strengthens" if self.change > 0 else "weakens"


Scored = tuple[Call, Effect | None]


class Task(NamedTuple):
    """A call in its surroundings: both sequences begin at the place `start`, the variant counts from there."""

    start: int
    reference: Codes
    alternative: Codes
    variant: Variant

    def edited(self) -> Edited:
        """The changed sequence, and where its bases come from."""
        origin = moved(np.arange(len(self.reference)), self.variant)[: len(self.alternative)]
        return Edited(self.alternative[: len(origin)], origin)


class Scorer:
    """Scores calls in batches, and counts what became of them in `reasons`, "" for those with a score."""

    def __init__(self, model: Model, reference: Reference, threshold: float | None = None) -> None:
        self.model, self.reference = model, reference
        self.threshold = model.meaning.threshold if threshold is None else threshold
        self.reasons: Counter[str] = Counter()
        self._known: dict[str, list[Stretch]] = {}

    def effects(self, calls: Iterable[Call], strict: bool = False) -> Iterator[Scored]:
        """Each call with its effect; a call without one says why in `skipped`.

        Args:
            strict: refuse a variant that the reference does not bear out, instead of passing it over.

        Raises:
            Unfit: there is such a variant.
        """
        rest = iter(calls)
        while batch := list(itertools.islice(rest, BATCH)):
            prepared = [self._prepare(call, strict) for call in batch]
            tasks = [task for task in prepared if isinstance(task, Task)]
            found = iter(_score(self.model, tasks, self.threshold))
            for call, task in zip(batch, prepared, strict=True):
                reason = task if isinstance(task, str) else ""
                self.reasons[reason] += 1
                yield call._replace(skipped=reason), None if reason else next(found)

    def surroundings(self, call: Call, bases: int) -> Task:
        """A call with so many bases on either side, or in the window of a model that has one length.

        Raises:
            ValueError: it has no score.
        """
        task = self._task(call, bases)
        if isinstance(task, str):
            raise ValueError(task)
        return task

    def _prepare(self, call: Call, strict: bool) -> Task | str:
        """What has to be scored for a call, or why it is skipped."""
        try:
            return self._task(call, 2 * self.model.reach)
        except Unfit as error:
            if strict:
                raise
            return str(error).removeprefix(_where(call))

    def _task(self, call: Call, bases: int) -> Task | str:
        stretches = self._stretches(call.chromosome)
        if call.skipped or not stretches:
            return call.skipped or self.reference.missing
        reference, alternative = encode(call.reference), encode(call.alternative)
        stretch = self._stretch(call, stretches, reference)
        if max(len(reference), len(alternative)) > LONGEST_ALLELE:
            return f"allele of over {LONGEST_ALLELE:,} bases"
        variant = Variant(call.position - 1 - stretch.first, reference, alternative)
        if self.model.length is None:
            return _around(stretch, variant, bases)
        return _window(stretch, variant, self.model.length)

    def _stretches(self, name: str) -> list[Stretch]:
        if name not in self._known:
            self._known[name] = self.reference.on(name)
        return self._known[name]

    def _stretch(self, call: Call, stretches: Sequence[Stretch], reference: Codes) -> Stretch:
        """The first stretch that has the bases of a call, and has its reference there."""
        start, end = call.position - 1, call.position - 1 + len(reference)
        inside = [stretch for stretch in stretches if stretch.holds(start, end)]
        source = self.reference.source
        if not inside:
            extents = [f"{stretch.first + 1:,} to {stretch.first + stretch.length:,}" for stretch in stretches[:SAID]]
            more = ", ..." if len(stretches) > SAID else ""
            outside = f"outside {self.reference.called(stretches[0])}, which has the positions"
            raise Unfit(f"{_where(call)}{outside} {', '.join(extents)}{more}")
        there = [stretch.read(start - stretch.first, end - stretch.first) for stretch in inside]
        for stretch, codes in zip(inside, there, strict=True):
            if np.array_equal(codes, reference):
                return stretch
        found, given = (shown(decode(codes)) for codes in (there[0], reference))
        raise Unfit(f"{_where(call)}REF is {given}; {source} has {found} there; expected the same assembly in both")

    def check_contigs(self) -> None:
        """Refuse a reference that has none of the contigs of the calls.

        Raises:
            Unfit: it has none.
        """
        if self._known and not any(self._known.values()):
            theirs, ours = (
                ", ".join(map(short, itertools.islice(names, SAID)))
                for names in (self._known, self.reference.names())
            )
            raise Unfit(f"no contig of {self.reference.source}: found {theirs}; expected such as {ours}")

    def notes(self) -> list[str]:
        """What was assumed: other names for the same contigs."""
        renamed = [(name, found[0].name) for name, found in self._known.items() if found and found[0].name != name]
        if not renamed:
            return []
        name, contig = renamed[0]
        known = counted(len(renamed), "contig")
        return [f"{known} called otherwise in {self.reference.source}, such as {short(contig)} for {short(name)}"]


def _where(call: Call) -> str:
    return f"line {call.line}: {short(call.chromosome)}:{call.position}: "


def _around(stretch: Stretch, variant: Variant, bases: int) -> Task:
    """So many bases on either side: with twice the reach, what is left out cannot change what the variant can."""
    end = variant.start + len(variant.reference)
    start, stop = max(0, variant.start - bases), min(stretch.length, end + bases)
    return _task(stretch, start, variant, stretch.read(end, stop))


def _window(stretch: Stretch, variant: Variant, length: int) -> Task | str:
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


def _task(stretch: Stretch, start: int, variant: Variant, after: Codes, length: int | None = None) -> Task:
    before = stretch.read(start, variant.start)
    here = Variant(len(before), variant.reference, variant.alternative)
    alleles = (variant.reference, variant.alternative)
    reference, alternative = (np.concatenate([before, allele, after])[:length] for allele in alleles)
    return Task(stretch.first + start, reference, alternative, here)


def _score(model: Model, tasks: Sequence[Task], threshold: float) -> list[Effect]:
    """The effects of tasks; sequences of one length are scored, and variants of one shape compared, all at once."""
    pair = _score_all(model, [codes for task in tasks for codes in task[1:3]])
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, task in enumerate(tasks):
        groups[_shape(task)].append(number)
    effects: dict[int, Effect] = {}
    for numbers in groups.values():
        variant = tasks[numbers[0]].variant
        reference, alternative = (np.stack([scores[number] for number in numbers]) for scores in pair)
        sites = _sites(reference, alternative, variant, threshold)
        for number, (change, place, best, best_there), counts in zip(
            numbers, _compare(reference, alternative, variant, model.reach), sites, strict=True
        ):
            effects[number] = Effect(change, tasks[number].start + int(place) + 1, best, best_there, *counts)
    return [effects[number] for number in range(len(tasks))]


def _score_all(model: Model, sequences: Sequence[Codes]) -> tuple[list[Scores], list[Scores]]:
    """The scores of sequences of any lengths: the first, third and so on, and the others."""
    by_length: dict[int, list[int]] = defaultdict(list)
    for number, codes in enumerate(sequences):
        by_length[len(codes)].append(number)
    scores: dict[int, Scores] = {}
    for numbers in by_length.values():
        found = score_windows(model, np.stack([sequences[number] for number in numbers]))
        scores.update(zip(numbers, found, strict=True))
    ordered = [scores[number] for number in range(len(sequences))]
    return ordered[::2], ordered[1::2]


def _shape(task: Task) -> tuple[int, ...]:
    """What has to be equal for variants to be compared together: lengths, and which bases the two sequences share."""
    variant = task.variant
    sizes = len(task.reference), len(task.alternative), variant.start, len(variant.reference)
    if len(variant.reference) == len(variant.alternative):
        return sizes
    least = variant.trimmed()
    return (*sizes, least.start, len(least.reference), len(least.alternative))


def _sites(reference: Scores, alternative: Scores, variant: Variant, threshold: float) -> Iterator[tuple[int, int]]:
    """How many called sites are lost and gained in each row of the scores (N, L) and (N, L')."""
    reference, alternative = _cut(reference, alternative, variant)
    origin = moved(np.arange(reference.shape[1]), variant)
    called, called_there = reference >= threshold, alternative >= threshold
    some = np.array(called.any(axis=1) | called_there.any(axis=1))
    if called.shape == called_there.shape:
        some &= (called != called_there).any(axis=1)
    for row, changes in enumerate(some.tolist()):
        lost, gained = lost_and_made(reference[row], alternative[row], origin, threshold) if changes else ([], [])
        yield len(lost), len(gained)


def _cut(reference: Scores, alternative: Scores, variant: Variant) -> tuple[Scores, Scores]:
    """Scores (N, L) and (N, L') up to the last base that both have behind the variant."""
    ends = [variant.start + len(allele) for allele in (variant.reference, variant.alternative)]
    after = min(reference.shape[1] - ends[0], alternative.shape[1] - ends[1])
    return reference[:, : ends[0] + after], alternative[:, : ends[1] + after]


def _compare(reference: Scores, alternative: Scores, variant: Variant, reach: int) -> Iterator[tuple[float, ...]]:
    """Change, its place and the highest scores within reach, for each row of the scores (N, L) and (N, L')."""
    ends = [variant.start + len(allele) for allele in (variant.reference, variant.alternative)]
    first = max(0, variant.start - reach)
    best = [
        scores[:, first : end + reach].max(axis=1) for scores, end in zip((reference, alternative), ends, strict=True)
    ]
    changes, places = largest_change(*_cut(reference, alternative, variant), variant)
    return zip(*(values.tolist() for values in (changes, places, *best)), strict=True)
