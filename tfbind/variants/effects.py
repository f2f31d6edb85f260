"""Effects of the variants of a VCF file or a list: each scored in its surroundings, written as a row of a table.

Of a genome only the surroundings are read. Positions of calls and effects count from 1; arrays stay 0-based.
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

from tfbind.dna import Codes, Genome, decode, encode, shorten, take_slice
from tfbind.errors import TfbindError
from tfbind.scoring import About, Model, Scores, Variant, about_line, quoted, replaced, safe_cell, score_windows
from tfbind.store import ODD_BYTES, file_label, plural, quote, refuse_overwriting_input
from tfbind.variants import edits
from tfbind.variants.edits import EditedSequence, effects, verdict
from tfbind.variants.parse import EXPECTED, Call, read_lines
from tfbind.variants.reference import (
    FromGenome,
    Reference,
    ReferenceSequence,
    ScoringTask,
    reverse_complement_variant,
    task_around,
    task_in_window,
)

if TYPE_CHECKING:
    import pandas as pd

LONGEST_ALLELE = 10_000
SAID = 3  # places that a message lists
BATCH = 4_096  # calls that are scored together
MISFITS = 10  # calls that do not fit a genome before it is doubted
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
    """A variant that does not fit its reference, with its line and position."""


class AlleleEffect(NamedTuple):
    """The effect of a call, as `edits.effects` defines it.

    The largest change of a score and its position (from 1), the highest scores within reach with the `reference` and
    with the `alternative`, and the numbers of called sites `lost` and `gained`.
    """

    change: float
    position: int
    reference: float
    alternative: float
    lost: int
    gained: int

    @property
    def words(self) -> str:
        """The effect in a few words."""
        lost, gained = (_count_sites(sites) for sites in (self.lost, self.gained))
        return verdict(self.change, lost, gained)


def _count_sites(sites: int) -> list[str]:
    if not sites:
        return []
    return ["a site" if sites == 1 else f"{sites} sites"]


Scored = tuple[Call, AlleleEffect | None]


class Scorer:
    """Scores calls in batches, and counts them by the reason for which they were skipped, "" for none, in `reasons`.

    Lines without a place are counted in `unused`, calls that do not fit the reference in `misfits` by the first.

    Args:
        model: the model.
        reference: of the calls.
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
        self.unused = self.misfits = 0
        self._first_misfit = ""
        self._assumed: Counter[str] = Counter()
        self._known: dict[str, list[ReferenceSequence]] = {}

    def effects(self, calls: Iterable[Call]) -> Iterator[Scored]:
        """Score calls: each with its effect; a call without one has the reason in `skipped`."""
        remaining = iter(calls)
        while batch := list(itertools.islice(remaining, BATCH)):
            prepared = [self._prepare(call) for call in batch]
            tasks = [task for task in prepared if isinstance(task, ScoringTask)]
            results = iter(_score(self.model, tasks, self.threshold, self.both))
            for call, task in zip(batch, prepared, strict=True):
                reason = task if isinstance(task, str) else ""
                if call.position is None:
                    self.unused += 1
                else:
                    self.reasons[reason] += 1
                    self._assumed[call.assumed] += 1
                yield call._replace(skipped=reason), None if reason else next(results)

    def surroundings(self, call: Call, bases: int) -> ScoringTask:
        """The sequences to score for a call: so many bases on either side, or the window of a model of fixed length.

        Raises:
            ValueError: it has no score.
        """
        task = self._task(call, bases)
        if isinstance(task, str):
            raise ValueError(task)
        return task

    def _prepare(self, call: Call) -> ScoringTask | str:
        """The sequences to score for a call, or the reason why it is skipped."""
        try:
            return self._task(call, max(2 * self.model.reach, 1))
        except ReferenceMismatch as error:
            self.misfits += 1
            self._first_misfit = self._first_misfit or str(error)
            return error.detail

    def _task(self, call: Call, bases: int) -> ScoringTask | str:
        if call.position is None:
            return call.skipped
        stretches = self._stretches(call.chromosome)
        if call.skipped or not stretches:
            return call.skipped or self.reference.missing
        reference, alternative = encode(call.reference.strip("-")), encode(call.alternative.strip("-"))
        stretch = self._stretch(call, call.position - 1, stretches, reference)
        if isinstance(stretch, str):
            return stretch
        if max(len(reference), len(alternative)) > LONGEST_ALLELE:
            return f"allele of over {LONGEST_ALLELE:,} bases"
        variant = Variant(call.position - 1 - stretch.first, reference, alternative)
        if stretch.reverse:
            stretch, variant = stretch.reverse_complemented(), reverse_complement_variant(variant, stretch.length)
        try:
            variant = variant.widened(stretch.read, stretch.length, LONGEST_ALLELE)
        except ValueError as error:
            return str(error)
        if self.model.length is None:
            return task_around(stretch, variant, bases)
        return task_in_window(stretch, variant, self.model.length)

    def _stretches(self, name: str) -> list[ReferenceSequence]:
        if name not in self._known:
            self._known[name] = self.reference.on(name)
        return self._known[name]

    def _stretch(
        self, call: Call, start: int, stretches: Sequence[ReferenceSequence], reference: Codes
    ) -> ReferenceSequence | str:
        """The first stretch that has the reference of a call at its place, or the reason why it is in none.

        Raises:
            ReferenceMismatch: it does not fit the reference.
        """
        end = start + len(reference)
        inside = [stretch for stretch in stretches if stretch.holds(start, end)]
        source = self.reference.source
        if not inside:
            extents = [f"{stretch.first + 1:,} to {stretch.first + stretch.length:,}" for stretch in stretches[:SAID]]
            more = ", ..." if len(stretches) > SAID else ""
            outside = f"outside {self.reference.called(stretches[0])}, which has the positions"
            outside = f"{outside} {', '.join(extents)}{more}"
            if not self.reference.whole:
                return outside
            raise ReferenceMismatch(outside, place=_where(call))
        bases = [stretch.read(start - stretch.first, end - stretch.first) for stretch in inside]
        for stretch, codes in zip(inside, bases, strict=True):
            if np.array_equal(codes, reference):
                return stretch
        reference_bases, call_bases = (quote(decode(codes)) for codes in (bases[0], reference))
        there_is = f"REF is {call_bases}; {source} has {reference_bases} there; expected the same assembly in both"
        raise ReferenceMismatch(there_is, place=_where(call))

    def check_contigs(self) -> None:
        """Check that the reference has any of the contigs of the calls.

        Raises:
            ReferenceMismatch: it has none.
        """
        if self._known and not any(self._known.values()):
            theirs, ours = (
                ", ".join(map(shorten, itertools.islice(names, SAID)))
                for names in (self._known, self.reference.names())
            )
            raise ReferenceMismatch(f"no contig of {self.reference.source}: found {theirs}; expected such as {ours}")

    @property
    def doubt(self) -> str:
        """What to think of calls most of which do not fit the reference, "" where they do."""
        compared = self.misfits + self.reasons[""]
        if self.misfits < MISFITS or 2 * self.misfits <= compared:
            return ""
        words = f"{self.misfits:,} of {plural(compared, 'variant')} do not fit {self.reference.source}"
        return f"{words}: another assembly? The first: {self._first_misfit}"

    def check_assembly(self) -> None:
        """Check that most calls fit the reference.

        Raises:
            ReferenceMismatch: they do not.
        """
        if self.doubt:
            raise ReferenceMismatch(self.doubt)

    def notes(self) -> list[str]:
        """Notes on contigs that the reference has under another name, and on how lines were read."""
        renamed = [(name, known[0].name) for name, known in self._known.items() if known and known[0].name != name]
        notes = [f"{plural(times, 'variant')} read {assumed}" for assumed, times in self._assumed.items() if assumed]
        if not renamed or not self.reference.whole:
            return notes
        name, contig = renamed[0]
        contigs = plural(len(renamed), "contig")
        example = f"{shorten(contig)} for {shorten(name)}"
        return [f"{contigs} called otherwise in {self.reference.source}, such as {example}", *notes]


def _where(call: Call) -> str:
    return f"line {call.line}: {shorten(call.chromosome)}:{call.position}"


def _score(model: Model, tasks: Sequence[ScoringTask], threshold: float, both: bool) -> list[AlleleEffect]:
    """The effects of tasks; sequences of one length are scored together, variants of one shape compared together."""
    scores_pair = _score_all(model, [codes for task in tasks for codes in task[1:3]], both)
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, task in enumerate(tasks):
        groups[_shape(task)].append(number)
    results: dict[int, AlleleEffect] = {}
    for numbers in groups.values():
        reference, alternative = (np.stack([scores[number] for number in numbers]) for scores in scores_pair)
        highest = _highest(reference, alternative, tasks[numbers[0]].variant, model.reach)
        comparisons = _compare(reference, alternative, tasks[numbers[0]], threshold)
        for number, effect, before, after in zip(numbers, comparisons, *highest, strict=True):
            position = tasks[number].position(effect.place)
            sites = len(effect.lost), len(effect.gained)
            results[number] = AlleleEffect(effect.change, position, before, after, *sites)
    return [results[number] for number in range(len(tasks))]


def _score_all(model: Model, sequences: Sequence[Codes], both: bool) -> tuple[list[Scores], list[Scores]]:
    """The scores of sequences of any lengths: those at even indices, and those at odd ones."""
    by_length: dict[int, list[int]] = defaultdict(list)
    for number, codes in enumerate(sequences):
        by_length[len(codes)].append(number)
    scores: dict[int, Scores] = {}
    for numbers in by_length.values():
        batch = score_windows(model, np.stack([sequences[number] for number in numbers]), both)
        scores.update(zip(numbers, batch, strict=True))
    ordered = [scores[number] for number in range(len(sequences))]
    return ordered[::2], ordered[1::2]


def _shape(task: ScoringTask) -> tuple[int, ...]:
    """What is equal for variants that are compared together: lengths, and the bases that the two sequences share."""
    variant = task.variant
    alleles = len(variant.reference), len(variant.alternative)
    return len(task.reference), len(task.alternative), variant.start, *alleles


def _compare(
    reference: Scores, alternative: Scores, task: ScoringTask, threshold: float
) -> list[edits.VariantEffect]:
    """The effects of variants of one shape, for each row of the scores (N, L) and (N, L')."""
    bases, alternative_bases = task.lengths()
    return effects(reference[:, :bases], alternative[:, :alternative_bases], task.edited().paired, threshold)


def _highest(reference: Scores, alternative: Scores, variant: Variant, reach: int) -> list[list[float]]:
    """The highest scores (N,) within reach of each allele; of an empty one at least those of its neighbours."""
    alleles = variant.reference, variant.alternative
    around = reach if all(map(len, alleles)) else max(reach, 1)
    first = max(0, variant.start - around)
    ends = [variant.start + len(allele) + around for allele in alleles]
    pairs = zip((reference, alternative), ends, strict=True)
    return [scores[:, first:end].max(axis=1).tolist() for scores, end in pairs]


def effect_in_window(
    model: Model, codes: Codes, changed: EditedSequence, threshold: float, both: bool
) -> edits.VariantEffect | None:
    """Score the edits of a sequence in one window of a model of fixed length, as a call of a list is scored.

    Args:
        model: the model.
        codes: (L,) the sequence.
        changed: the sequence after the edits.
        threshold: the least score of a called site.
        both: average with the scores of the reverse complement.

    Returns:
        The effect; None if no window holds the edits, or the model has no fixed length.
    """
    stretch = ReferenceSequence("", 0, len(codes), partial(take_slice, codes))
    task = task_in_window(stretch, changed.net(codes), model.length) if model.length else ""
    if isinstance(task, str):
        return None
    before, after = _score_all(model, [task.reference, task.alternative], both)
    bases, alternative_bases = task.lengths()
    paired = changed.paired[task.start : task.start + alternative_bases]
    paired = np.where(paired == edits.ADDED, paired, paired - task.start)
    (effect,) = effects(before[0][None, :bases], after[0][None, :alternative_bases], paired, threshold)
    return effect.shifted(task.start)


@dataclass(frozen=True)
class VariantReport:
    """A scored file: `skipped` counts the calls without a score by reason, `unused` the lines without a variant;
    `notes` are on contigs found under another name, how lines were read, and variants that do not fit."""

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
    """Score every call of a VCF or a list against a genome, and write a table with a row for each in its order.

    Args:
        model: the model.
        variants: the file, a VCF or a list of any form.
        fasta: the genome.
        out: the table, .tsv or .csv.
        cache: a folder for the index of the genome.
        threshold: the least score of a called site; None for the model's own.
        keep_going: take a file, too, most of whose variants do not fit the genome.
        both: average with the scores of the reverse complement.

    Returns:
        A report on the file.

    Raises:
        ValueError: one line: a file that cannot be read or holds no variant, no contig in common, or most variants
            do not fit the genome.
        OSError: a file cannot be read or written.
    """
    started = time.monotonic()
    if not out.parent.is_dir() or out.is_dir() or out.suffix.lower() not in SEPARATORS:
        raise ValueError(f"{out}: expected the name of a .tsv or .csv file in a folder that exists")
    if not variants.exists():
        raise ValueError(f"{variants}: no such file; expected a VCF file")
    refuse_overwriting_input(out, variants, fasta)
    threshold = model.target.threshold if threshold is None else threshold
    scorer = Scorer(model, FromGenome(Genome(fasta, cache)), threshold, both)
    names = (file_label(variants), file_label(fasta))
    with replaced(out) as draft, draft.open("w", encoding="utf-8", errors=ODD_BYTES, newline="\n") as file:
        try:
            scored = scorer.effects(read_lines(variants))
            file.writelines(table_lines(model, scored, names, threshold, out.suffix, both))
            _check(scorer, keep_going)
        except ReferenceMismatch as error:
            raise TfbindError(str(error), place=file_label(variants)) from None
    counts, notes = scorer.reasons, [*scorer.notes(), *filter(None, [scorer.doubt])]
    total, scored_calls = counts.total(), counts.pop("", 0)
    seconds = time.monotonic() - started
    return VariantReport(total, scored_calls, dict(counts.most_common()), scorer.unused, notes, seconds, out)


def _check(scorer: Scorer, keep_going: bool) -> None:
    """Check that the calls of a file were those of variants of the genome.

    Raises:
        ReferenceMismatch: they were not.
    """
    scorer.check_contigs()
    if scorer.unused and not scorer.reasons:
        raise ReferenceMismatch(f"no variant in it; {EXPECTED}")
    if not keep_going:
        scorer.check_assembly()


def effects_frame(scorer: Scorer, variants: Path, strict: bool) -> "pd.DataFrame":
    """Score the calls of a VCF file, in its order.

    Args:
        scorer: of the model and the reference.
        variants: the VCF file.
        strict: refuse a file most of whose variants do not fit the reference.

    Returns:
        A row for each call, with the columns of `HEADER`.

    Raises:
        ValueError: as for `score_variants`.
    """
    import pandas as pd

    try:
        scored = list(scorer.effects(read_lines(variants)))
        _check(scorer, not strict)
    except ReferenceMismatch as error:
        raise TfbindError(str(error), place=file_label(variants)) from None
    rows = [[*call[1:6], *(effect or [None] * len(AlleleEffect._fields)), call.skipped] for call, effect in scored]
    return pd.DataFrame(rows, columns=list(HEADER))


def table_lines(
    model: Model,
    scored: Iterable[Scored],
    names: tuple[str, str],
    threshold: float,
    suffix: str,
    both: bool,
) -> Iterator[str]:
    """Format a table of effects, line by line.

    Args:
        model: the model.
        scored: the calls with their effects.
        names: of the variants and of the reference.
        threshold: the least score of a called site.
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
    if both:
        rule += ", both strands averaged"
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
        change, place, reference, alternative, *sites = effect
        scores = [f"{change:.6g}", str(place), f"{reference:.6g}", f"{alternative:.6g}", *map(str, sites)]
    position = "" if call.position is None else str(call.position)
    alleles = [allele if allele == "-" else safe_cell(allele) for allele in (call.reference, call.alternative)]
    cells = [safe_cell(call.chromosome), position, safe_cell(call.id), *alleles, *scores, call.skipped]
    return separator.join(map(quoted, cells) if separator == "," else cells) + "\n"
