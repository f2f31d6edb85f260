"""What the variants of a VCF file do: each scored in its surroundings, whatever the size of the file and the genome.

Positions in the file and in the table that is written count from 1; inside, places count from 0.
"""

import itertools
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfbind.export import About, about_line, drafted, quoted, safe_cell
from tfbind.genome import Genome
from tfbind.interpret import Variant, largest_change
from tfbind.letters import short
from tfbind.scoring import Model, Scores, score_windows
from tfbind.sequences import Codes, decode, encode
from tfbind.tables import counted, label, shown
from tfbind.variants import bare
from tfbind.vcf import Call, read_calls

LONGEST_ALLELE = 10_000
BATCH = 4_096  # calls that are scored together
HEADER = ("chrom", "pos", "id", "ref", "alt", "effect", "effect_pos", "ref_score", "alt_score", "skipped")


class Effect(NamedTuple):
    """What a call does: the largest change of a score, the position (from 1) where it acts, and the highest scores
    that the bases within reach have with the reference and with the alternative."""

    change: float
    position: int
    reference: float
    alternative: float


@dataclass(frozen=True)
class Outcome:
    """What became of a VCF: `skipped` counts the calls without a score by reason, `notes` says what was assumed."""

    variants: int
    scored: int
    skipped: dict[str, int]
    notes: list[str]
    seconds: float
    out: Path


class _Task(NamedTuple):
    """A call in its surroundings: both sequences begin at `start` on the contig, the variant counts from there."""

    start: int
    reference: Codes
    alternative: Codes
    variant: Variant


def score_vcf(model: Model, vcf: Path, fasta: Path, out: Path, cache: Path) -> Outcome:
    """Score every call of a VCF against a genome; write a table, .tsv or .csv, with a row for each in its order.

    Args:
        cache: a folder for the index of the genome.

    Raises:
        ValueError: one line: a file that cannot be read, a reference that the genome does not have, a position past
            the end of its contig, or no contig in common.
        OSError: a file cannot be read or written.
    """
    begun = time.monotonic()
    separator = {".tsv": "\t", ".csv": ","}.get(out.suffix.lower())
    if separator is None or not out.parent.is_dir() or out.is_dir():
        raise ValueError(f"{out}: expected the name of a .tsv or .csv file in a folder that exists")
    if not vcf.is_file():
        raise ValueError(f"{vcf}: no such file; expected a VCF file")
    scorer = _Scorer(model, Genome(fasta, cache), vcf)
    with drafted(out) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"# {line}\n" for line in _preamble(model, vcf, fasta))
        file.write(separator.join(HEADER) + "\n")
        for call, effect in scorer.effects(read_calls(vcf)):
            file.write(_row(call, effect, separator))
        scorer.check_contigs()
    counts = scorer.reasons
    variants, scored = counts.total(), counts.pop("", 0)
    return Outcome(variants, scored, dict(counts.most_common()), scorer.notes(), time.monotonic() - begun, out)


def _preamble(model: Model, vcf: Path, fasta: Path) -> list[str]:
    around = 2 * model.reach
    rule = (
        f"scored with {around} bases on either side"
        if model.length is None
        else (f"scored in windows of {model.length} bases with the variant in the middle")
    )
    return [
        about_line(About(f"{model.name} {model.hash}", rule)),
        f"variants of {label(vcf)} in {label(fasta)}; positions count from 1",
        "effect: the largest change of a score, alternative minus reference, at effect_pos; ref_score, alt_score: "
        f"the highest within {model.reach} bases",
    ]


def _row(call: Call, effect: Effect | None, separator: str) -> str:
    scores = ["", "", "", ""]
    if effect:
        change, position, reference, alternative = effect
        scores = [f"{change:.6g}", str(position), f"{reference:.6g}", f"{alternative:.6g}"]
    alleles = call.reference, safe_cell(call.alternative)
    cells = [safe_cell(call.chromosome), str(call.position), safe_cell(call.id), *alleles, *scores, call.skipped]
    return separator.join(map(quoted, cells) if separator == "," else cells) + "\n"


class _Scorer:
    """Scores calls in batches, and counts what became of them in `reasons`, "" for those with a score."""

    def __init__(self, model: Model, genome: Genome, vcf: Path) -> None:
        self.model, self.genome, self.vcf = model, genome, vcf
        self.reasons: Counter[str] = Counter()
        self.contigs: dict[str, str | None] = {}
        self._bare = {bare(name): name for name in genome.lengths}

    def effects(self, calls: Iterable[Call]) -> Iterator[tuple[Call, Effect | None]]:
        """Each call with its effect; a call without one says why in `skipped`."""
        rest = iter(calls)
        while batch := list(itertools.islice(rest, BATCH)):
            prepared = [self._prepare(call) for call in batch]
            tasks = [task for task in prepared if isinstance(task, _Task)]
            found = iter(_score(self.model, tasks))
            for call, task in zip(batch, prepared, strict=True):
                reason = task if isinstance(task, str) else ""
                self.reasons[reason] += 1
                yield call._replace(skipped=reason), None if reason else next(found)

    def _prepare(self, call: Call) -> "_Task | str":
        """What has to be scored for a call, or why it is skipped."""
        contig = self._contig(call.chromosome)
        if call.skipped or contig is None:
            return call.skipped or "contig not in the FASTA"
        reference, alternative = encode(call.reference), encode(call.alternative)
        variant = Variant(call.position - 1, reference, alternative)
        self._check(call, contig, variant)
        if max(len(reference), len(alternative)) > LONGEST_ALLELE:
            return f"allele of over {LONGEST_ALLELE:,} bases"
        if self.model.length is None:
            return self._around(contig, variant)
        return self._window(contig, variant, self.model.length)

    def _contig(self, name: str) -> str | None:
        if name not in self.contigs:
            exact = name if name in self.genome.lengths else None
            self.contigs[name] = exact or self._bare.get(bare(name))
        return self.contigs[name]

    def _check(self, call: Call, contig: str, variant: Variant) -> None:
        place, end = variant.start, variant.start + len(variant.reference)
        where = f"{label(self.vcf)}: line {call.line}: {short(call.chromosome)}:{call.position}"
        length = self.genome.lengths[contig]
        if place < 0 or end > length:
            raise ValueError(
                f"{where}: outside {short(contig)} of the FASTA, which has the positions 1 to {length:,}"
            )
        there = self.genome.codes(contig, place, end)
        if not np.array_equal(there, variant.reference):
            found, given = (shown(decode(codes)) for codes in (there, variant.reference))
            raise ValueError(
                f"{where}: REF is {given}; the FASTA has {found} there; expected the same assembly in both"
            )

    def _around(self, contig: str, variant: Variant) -> _Task:
        """Twice the reach on either side: then what is left out cannot change what the variant can."""
        end = variant.start + len(variant.reference)
        start = max(0, variant.start - 2 * self.model.reach)
        stop = min(self.genome.lengths[contig], end + 2 * self.model.reach)
        before, after = self.genome.codes(contig, start, variant.start), self.genome.codes(contig, end, stop)
        return _task(start, before, variant, after)

    def _window(self, contig: str, variant: Variant, length: int) -> "_Task | str":
        """Windows of one length with the variant in the middle, or as near to it as the contig allows."""
        sizes = len(variant.reference), len(variant.alternative)
        end = variant.start + sizes[0]
        longest, most_around = max(sizes), length - min(sizes)
        fewest = max(0, end + most_around - self.genome.lengths[contig])
        if fewest > min(variant.start, length - longest):
            return f"no window of {length} bases around it"
        before = min(max((length - longest) // 2, fewest), variant.start)
        start = variant.start - before
        after = self.genome.codes(contig, end, end + most_around - before)
        return _task(start, self.genome.codes(contig, start, variant.start), variant, after, length)

    def check_contigs(self) -> None:
        """Refuse a genome that has none of the contigs of the VCF."""
        if self.contigs and not any(self.contigs.values()):
            theirs, ours = (
                ", ".join(map(short, itertools.islice(names, 3))) for names in (self.contigs, self._bare.values())
            )
            raise ValueError(f"{label(self.vcf)}: no contig of the FASTA: found {theirs}; expected such as {ours}")

    def notes(self) -> list[str]:
        """What was assumed: other names for the same contigs."""
        renamed = [(name, contig) for name, contig in self.contigs.items() if contig and contig != name]
        if not renamed:
            return []
        name, contig = renamed[0]
        known = counted(len(renamed), "contig")
        return [f"{known} called otherwise in the FASTA, such as {short(contig)} for {short(name)}"]


def _task(start: int, before: Codes, variant: Variant, after: Codes, length: int | None = None) -> _Task:
    here = Variant(len(before), variant.reference, variant.alternative)
    alleles = (variant.reference, variant.alternative)
    reference, alternative = (np.concatenate([before, allele, after])[:length] for allele in alleles)
    return _Task(start, reference, alternative, here)


def _score(model: Model, tasks: Sequence[_Task]) -> list[Effect]:
    """The effects of tasks; sequences of one length are scored, and variants of one shape compared, all at once."""
    pair = _score_all(model, [codes for task in tasks for codes in task[1:3]])
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, task in enumerate(tasks):
        groups[_shape(task)].append(number)
    effects: dict[int, Effect] = {}
    for numbers in groups.values():
        variant = tasks[numbers[0]].variant
        reference, alternative = (np.stack([scores[number] for number in numbers]) for scores in pair)
        for number, (change, place, *best) in zip(
            numbers, _compare(reference, alternative, variant, model.reach), strict=True
        ):
            effects[number] = Effect(change, tasks[number].start + int(place) + 1, *best)
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


def _shape(task: _Task) -> tuple[int, ...]:
    """What has to be equal for variants to be compared together: lengths, and which bases the two sequences share."""
    variant = task.variant
    sizes = len(task.reference), len(task.alternative), variant.start, len(variant.reference)
    if len(variant.reference) == len(variant.alternative):
        return sizes
    least = variant.trimmed()
    return (*sizes, least.start, len(least.reference), len(least.alternative))


def _compare(reference: Scores, alternative: Scores, variant: Variant, reach: int) -> Iterator[tuple[float, ...]]:
    """Change, its place and the highest scores within reach, for each row of the scores (N, L) and (N, L')."""
    ends = [variant.start + len(allele) for allele in (variant.reference, variant.alternative)]
    after = min(reference.shape[1] - ends[0], alternative.shape[1] - ends[1])
    first = max(0, variant.start - reach)
    best = [
        scores[:, first : end + reach].max(axis=1) for scores, end in zip((reference, alternative), ends, strict=True)
    ]
    changes, places = largest_change(reference[:, : ends[0] + after], alternative[:, : ends[1] + after], variant)
    return zip(*(values.tolist() for values in (changes, places, *best)), strict=True)
