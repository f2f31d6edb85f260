"""What variants of a VCF file or a list do: each scored in its surroundings, and written as one row of a table.

The size of the genome does not matter. Positions of calls and effects count from 1; arrays stay 0-based.
"""

import itertools
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tfbind.dna import Codes, Genome, decode, encode, reverse_complement, shorten, take_slice
from tfbind.errors import TfbindError
from tfbind.scoring import About, Model, Scores, Variant, about_line, quoted, replaced, safe_cell, score_windows
from tfbind.store import ODD_BYTES, file_label, plural, quote, refuse_overwriting_input
from tfbind.variants import edits
from tfbind.variants.edits import EditedSequence, aligned_after, effects, map_origin, verdict
from tfbind.variants.parse import EXPECTED, BadLine, Call, read_calls, read_lines
from tfbind.variants.reference import FromGenome, Reference, ReferenceSequence

if TYPE_CHECKING:
    import pandas as pd

LONGEST_ALLELE = 10_000
SAID = 3  # places that a message lists
BATCH = 4_096  # calls that are scored together
MOST_UNUSED = 1_000_000  # lines that are kept until the table ends
SEPARATORS = {".tsv": "\t", ".csv": ","}
HEADER = (
    "chrom",
    "pos",
    "id",
    "ref",
    "alt",
    "effect",
    "effect_pos",
    "ref_score",
    "alt_score",
    "sites_lost",
    "sites_gained",
    "skipped",
)


class ReferenceMismatch(TfbindError):
    """A variant that its reference does not bear out, with its line and place."""


class AlleleEffect(NamedTuple):
    """What a call does, as `edits.effects` defines it: the largest change of a score, the position (from 1) where it
    acts, the highest scores that the bases within reach have with the reference and with the alternative,
    and how many called sites it takes away and makes."""

    change: float
    position: int
    reference: float
    alternative: float
    lost: int
    gained: int

    @property
    def words(self) -> str:
        """The direction, for a reader."""
        lost, gained = (["a site" if sites == 1 else f"{sites} sites"] * bool(sites) for sites in self[-2:])
        return verdict(self.change, lost, gained)


Scored = tuple[Call, AlleleEffect | None]


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
        """The changed sequence up to the last base that both have, and where its bases come from."""
        bases, bases_there = self.lengths()
        place = np.arange(bases)
        origin, paired = map_origin(place, self.variant), aligned_after(place, self.variant)
        return EditedSequence(self.alternative[:bases_there], origin, paired)

    def lengths(self) -> tuple[int, int]:
        """How many bases there are of each up to the last that both have behind the variant."""
        ends = [self.variant.start + len(allele) for allele in (self.variant.reference, self.variant.alternative)]
        after = min(len(self.reference) - ends[0], len(self.alternative) - ends[1])
        return ends[0] + after, ends[1] + after

    def position(self, place: int) -> int:
        """The position, from 1, of a place in the reference."""
        return (self.start - place if self.reverse else self.start + place) + 1

    def forward(self) -> "ScoringTask":
        """The same on the forward strand."""
        if not self.reverse:
            return self
        bases, bases_there = self.lengths()
        codes = (reverse_complement(self.reference[:bases]), reverse_complement(self.alternative[:bases_there]))
        return ScoringTask(self.start - bases + 1, *codes, _turned(self.variant, bases))


class Scorer:
    """Scores calls in batches, and counts what became of them in `reasons`, "" for those with a score.

    Args:
        threshold: the least score of a called site; None for the model's own.
        both: average with the scores of the reverse complement. Otherwise each is scored on the strand that the
            reference is written in, as the sequence itself would be.
    """

    def __init__(
        self, model: Model, reference: Reference, threshold: float | None = None, both: bool = False
    ) -> None:
        self.model, self.reference, self.both = model, reference, both
        self.threshold = model.target.threshold if threshold is None else threshold
        self.reasons: Counter[str] = Counter()
        self._known: dict[str, list[ReferenceSequence]] = {}

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
            tasks = [task for task in prepared if isinstance(task, ScoringTask)]
            found = iter(_score(self.model, tasks, self.threshold, self.both))
            for call, task in zip(batch, prepared, strict=True):
                reason = task if isinstance(task, str) else ""
                self.reasons[reason] += 1
                yield call._replace(skipped=reason), None if reason else next(found)

    def surroundings(self, call: Call, bases: int) -> ScoringTask:
        """A call with so many bases on either side, or in the window of a model that has one length.

        Raises:
            ValueError: it has no score.
        """
        task = self._task(call, bases)
        if isinstance(task, str):
            raise ValueError(task)
        return task

    def _prepare(self, call: Call, strict: bool) -> ScoringTask | str:
        """What has to be scored for a call, or why it is skipped."""
        try:
            return self._task(call, max(2 * self.model.reach, 1))
        except ReferenceMismatch as error:
            if strict:
                raise
            return error.detail

    def _task(self, call: Call, bases: int) -> ScoringTask | str:
        stretches = self._stretches(call.chromosome)
        if call.skipped or not stretches:
            return call.skipped or self.reference.missing
        reference, alternative = encode(call.reference), encode(call.alternative)
        stretch = self._stretch(call, stretches, reference)
        if max(len(reference), len(alternative)) > LONGEST_ALLELE:
            return f"allele of over {LONGEST_ALLELE:,} bases"
        variant = Variant(call.position - 1 - stretch.first, reference, alternative)
        if stretch.reverse:
            stretch, variant = stretch.turned(), _turned(variant, stretch.length)
        try:
            variant = variant.widened(stretch.read, stretch.length, LONGEST_ALLELE)
        except ValueError as error:
            return str(error)
        if self.model.length is None:
            return _around(stretch, variant, bases)
        return _window(stretch, variant, self.model.length)

    def _stretches(self, name: str) -> list[ReferenceSequence]:
        if name not in self._known:
            self._known[name] = self.reference.on(name)
        return self._known[name]

    def _stretch(self, call: Call, stretches: Sequence[ReferenceSequence], reference: Codes) -> ReferenceSequence:
        """The first stretch that has the bases of a call, and has its reference there."""
        start, end = call.position - 1, call.position - 1 + len(reference)
        inside = [stretch for stretch in stretches if stretch.holds(start, end)]
        source = self.reference.source
        if not inside:
            extents = [f"{stretch.first + 1:,} to {stretch.first + stretch.length:,}" for stretch in stretches[:SAID]]
            more = ", ..." if len(stretches) > SAID else ""
            outside = f"outside {self.reference.called(stretches[0])}, which has the positions"
            raise ReferenceMismatch(f"{outside} {', '.join(extents)}{more}", place=_where(call))
        there = [stretch.read(start - stretch.first, end - stretch.first) for stretch in inside]
        for stretch, codes in zip(inside, there, strict=True):
            if np.array_equal(codes, reference):
                return stretch
        found, given = (quote(decode(codes)) for codes in (there[0], reference))
        there_is = f"REF is {given}; {source} has {found} there; expected the same assembly in both"
        raise ReferenceMismatch(there_is, place=_where(call))

    def check_contigs(self) -> None:
        """Refuse a reference that has none of the contigs of the calls.

        Raises:
            Unfit: it has none.
        """
        if self._known and not any(self._known.values()):
            theirs, ours = (
                ", ".join(map(shorten, itertools.islice(names, SAID)))
                for names in (self._known, self.reference.names())
            )
            raise ReferenceMismatch(f"no contig of {self.reference.source}: found {theirs}; expected such as {ours}")

    def notes(self) -> list[str]:
        """What was assumed: other names for the same contigs."""
        renamed = [(name, found[0].name) for name, found in self._known.items() if found and found[0].name != name]
        if not renamed:
            return []
        name, contig = renamed[0]
        known = plural(len(renamed), "contig")
        return [f"{known} called otherwise in {self.reference.source}, such as {shorten(contig)} for {shorten(name)}"]


def _where(call: Call) -> str:
    return f"line {call.line}: {shorten(call.chromosome)}:{call.position}"


def _turned(variant: Variant, length: int) -> Variant:
    """A variant of a sequence of so many bases, as one of its reverse complement."""
    start = length - variant.start - len(variant.reference)
    return Variant(start, *map(reverse_complement, (variant.reference, variant.alternative)))


def _around(stretch: ReferenceSequence, variant: Variant, bases: int) -> ScoringTask:
    """So many bases on either side: with twice the reach, what is left out cannot change what the variant can."""
    end = variant.start + len(variant.reference)
    start, stop = max(0, variant.start - bases), min(stretch.length, end + bases)
    return _task(stretch, start, variant, stretch.read(end, stop))


def _window(stretch: ReferenceSequence, variant: Variant, length: int) -> ScoringTask | str:
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
    here = Variant(len(before), variant.reference, variant.alternative)
    alleles = (variant.reference, variant.alternative)
    reference, alternative = (np.concatenate([before, allele, after])[:length] for allele in alleles)
    first = stretch.first + (stretch.length - 1 - start if stretch.reverse else start)
    return ScoringTask(first, reference, alternative, here, stretch.reverse)


def _score(model: Model, tasks: Sequence[ScoringTask], threshold: float, both: bool) -> list[AlleleEffect]:
    """The effects of tasks; sequences of one length are scored, and variants of one shape compared, all at once."""
    pair = _score_all(model, [codes for task in tasks for codes in task[1:3]], both)
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, task in enumerate(tasks):
        groups[_shape(task)].append(number)
    found: dict[int, AlleleEffect] = {}
    for numbers in groups.values():
        reference, alternative = (np.stack([scores[number] for number in numbers]) for scores in pair)
        best = _highest(reference, alternative, tasks[numbers[0]].variant, model.reach)
        compared = _compare(reference, alternative, tasks[numbers[0]], threshold)
        for number, effect, before, after in zip(numbers, compared, *best, strict=True):
            position = tasks[number].position(effect.place)
            found[number] = AlleleEffect(effect.change, position, before, after, len(effect.lost), len(effect.made))
    return [found[number] for number in range(len(tasks))]


def _score_all(model: Model, sequences: Sequence[Codes], both: bool) -> tuple[list[Scores], list[Scores]]:
    """The scores of sequences of any lengths: the first, third and so on, and the others."""
    by_length: dict[int, list[int]] = defaultdict(list)
    for number, codes in enumerate(sequences):
        by_length[len(codes)].append(number)
    scores: dict[int, Scores] = {}
    for numbers in by_length.values():
        found = score_windows(model, np.stack([sequences[number] for number in numbers]), both)
        scores.update(zip(numbers, found, strict=True))
    ordered = [scores[number] for number in range(len(sequences))]
    return ordered[::2], ordered[1::2]


def _shape(task: ScoringTask) -> tuple[int, ...]:
    """What has to be equal for variants to be compared together: lengths, and which bases the two sequences share."""
    variant = task.variant
    alleles = len(variant.reference), len(variant.alternative)
    return len(task.reference), len(task.alternative), variant.start, *alleles


def _compare(
    reference: Scores, alternative: Scores, task: ScoringTask, threshold: float
) -> list[edits.VariantEffect]:
    """What variants of one shape do, for each row of the scores (N, L) and (N, L')."""
    bases, bases_there = task.lengths()
    return effects(reference[:, :bases], alternative[:, :bases_there], task.edited().paired, threshold)


def _highest(reference: Scores, alternative: Scores, variant: Variant, reach: int) -> list[list[float]]:
    """The highest scores (N,) within reach of the alleles; beside an empty one, of its neighbours at least."""
    alleles = variant.reference, variant.alternative
    around = reach if all(map(len, alleles)) else max(reach, 1)
    first = max(0, variant.start - around)
    ends = [variant.start + len(allele) + around for allele in alleles]
    both = zip((reference, alternative), ends, strict=True)
    return [scores[:, first:end].max(axis=1).tolist() for scores, end in both]


def effect_in_window(
    model: Model, codes: Codes, changed: EditedSequence, threshold: float, both: bool
) -> edits.VariantEffect | None:
    """What changes of a sequence do by a model of windows of one length, seen in one window as a call in a list is.

    Returns:
        None if no window holds them, or the model has no such length.
    """
    stretch = ReferenceSequence("", 0, len(codes), partial(take_slice, codes))
    task = _window(stretch, changed.net(codes), model.length) if model.length else ""
    if isinstance(task, str):
        return None
    before, after = _score_all(model, [task.reference, task.alternative], both)
    bases, bases_there = task.lengths()
    paired = changed.paired[task.start : task.start + bases_there]
    paired = np.where(paired == edits.ADDED, paired, paired - task.start)
    (found,) = effects(before[0][None, :bases], after[0][None, :bases_there], paired, threshold)
    return found.shifted(task.start)


@dataclass(frozen=True)
class VariantReport:
    """What became of a file: `skipped` counts the calls without a score by reason, `unused` the lines that hold no
    variant, `notes` says what was assumed."""

    variants: int
    scored: int
    skipped: dict[str, int]
    unused: int
    notes: list[str]
    seconds: float
    out: Path


def score_variants(
    model: Model,
    variants: Path,
    fasta: Path,
    out: Path,
    cache: Path,
    threshold: float | None = None,
    keep_going: bool = False,
    both: bool = False,
) -> VariantReport:
    """Score every call of a VCF against a genome; write a table, .tsv or .csv, with a row for each in its order.

    Args:
        cache: a folder for the index of the genome.
        threshold: the least score of a called site; None for the model's own.
        keep_going: take a list of any form, give variants that the genome does not bear out a row with the reason,
            and name lines that hold no variant below the table, instead of refusing the file for one of them.
        both: average with the scores of the reverse complement.

    Raises:
        ValueError: one line: a file that cannot be read or holds no variant, a reference that the genome does not
            have, a position past the end of its contig, or no contig in common.
        OSError: a file cannot be read or written.
    """
    begun = time.monotonic()
    if not out.parent.is_dir() or out.is_dir() or out.suffix.lower() not in SEPARATORS:
        raise ValueError(f"{out}: expected the name of a .tsv or .csv file in a folder that exists")
    if not variants.exists():
        raise ValueError(f"{variants}: no such file; expected a VCF file")
    refuse_overwriting_input(out, variants, fasta)
    threshold = model.target.threshold if threshold is None else threshold
    scorer = Scorer(model, FromGenome(Genome(fasta, cache)), threshold, both)
    names = (file_label(variants), file_label(fasta))
    bad: list[BadLine] = []
    calls = _calls(read_lines(variants), bad) if keep_going else read_calls(variants)
    with replaced(out) as draft, draft.open("w", encoding="utf-8", errors=ODD_BYTES, newline="\n") as file:
        try:
            scored = scorer.effects(calls, strict=not keep_going)
            file.writelines(table_lines(model, scored, names, threshold, out.suffix, both))
            scorer.check_contigs()
        except ReferenceMismatch as error:
            raise TfbindError(str(error), place=file_label(variants)) from None
        if keep_going and not scorer.reasons:
            raise TfbindError(f"no variant in it; {EXPECTED}", place=file_label(variants))
        file.writelines(unused_lines(bad))
    counts = scorer.reasons
    total, scored_calls = counts.total(), counts.pop("", 0)
    seconds = time.monotonic() - begun
    return VariantReport(total, scored_calls, dict(counts.most_common()), len(bad), scorer.notes(), seconds, out)


def effects_frame(scorer: Scorer, variants: Path, strict: bool) -> "pd.DataFrame":
    """The effects of the calls of a VCF file, in its order, as a table with the columns of `HEADER`.

    Args:
        strict: refuse a file with a variant that the reference does not bear out.

    Raises:
        ValueError: as for `score_variants`.
    """
    import pandas as pd

    try:
        scored = list(scorer.effects(read_calls(variants), strict))
        scorer.check_contigs()
    except ReferenceMismatch as error:
        raise TfbindError(str(error), place=file_label(variants)) from None
    rows = [[*call[1:6], *(effect or [None] * len(AlleleEffect._fields)), call.skipped] for call, effect in scored]
    return pd.DataFrame(rows, columns=list(HEADER))


def _calls(entries: Iterable[Call | BadLine], bad: list[BadLine]) -> Iterator[Call]:
    """The calls; the lines that hold none go to `bad`.

    Raises:
        Unfit: these are too many.
    """
    for entry in entries:
        if isinstance(entry, BadLine):
            if len(bad) == MOST_UNUSED:
                raise ReferenceMismatch(f"over {MOST_UNUSED:,} lines without a variant; {EXPECTED}")
            bad.append(entry)
        else:
            yield entry


def unused_lines(bad: Iterable[BadLine]) -> Iterator[str]:
    """What stands below a table of the lines that hold no variant."""
    return (f"# not used, line {line.line}: {line.why}\n" for line in bad)


def table_lines(
    model: Model,
    scored: Iterable[Scored],
    names: tuple[str, str],
    threshold: float,
    suffix: str,
    both: bool,
) -> Iterator[str]:
    """The lines of a table of effects.

    Args:
        names: what the variants and the reference are called.
        suffix: `.tsv` or `.csv`.
        both: scores are averaged with those of the reverse complement.
    """
    separator = SEPARATORS[suffix.lower()]
    yield from (f"# {line}\n" for line in _preamble(model, names, threshold, both))
    yield separator.join(HEADER) + "\n"
    for call, effect in scored:
        yield _row(call, effect, separator)


def _preamble(model: Model, names: tuple[str, str], threshold: float, both: bool) -> list[str]:
    around = 2 * model.reach
    rule = (
        f"scored with {around} bases on either side"
        if model.length is None
        else f"scored in windows of {model.length} bases with the variant in the middle"
    )
    rule += ", both strands averaged" * both
    return [
        about_line(About(f"{model.name} {model.hash}", rule, target=model.target)),
        f"variants of {names[0]} in {names[1]}; positions count from 1",
        "effect: the largest change of a score, alternative minus reference, at effect_pos; ref_score, alt_score: "
        f"the highest within {model.reach} bases; sites score {threshold:g} or more",
        "of an insertion or deletion, the bases on either side are compared one to one, the repeat that it lies in "
        "by its highest score: equal for every spelling of a variant",
    ]


def _row(call: Call, effect: AlleleEffect | None, separator: str) -> str:
    scores = [""] * len(AlleleEffect._fields)
    if effect:
        change, position, reference, alternative, *sites = effect
        scores = [f"{change:.6g}", str(position), f"{reference:.6g}", f"{alternative:.6g}", *map(str, sites)]
    alleles = call.reference, safe_cell(call.alternative)
    cells = [safe_cell(call.chromosome), str(call.position), safe_cell(call.id), *alleles, *scores, call.skipped]
    return separator.join(map(quoted, cells) if separator == "," else cells) + "\n"
