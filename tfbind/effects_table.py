"""A file of variants in, a table of what each does out: for the command, the background and the page's downloads.

Positions in both count from 1.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tfbind.export import About, about_line, quoted, replaced, safe_cell
from tfbind.files import ODD_BYTES, check_not_read
from tfbind.genome import Genome
from tfbind.reference import FromGenome
from tfbind.scoring import Model
from tfbind.tables import label
from tfbind.variant_list import EXPECTED, BadLine, read_lines
from tfbind.vcf import Call, read_calls
from tfbind.vcf_effects import Effect, Scored, Scorer, Unfit

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


@dataclass(frozen=True)
class Outcome:
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
) -> Outcome:
    """Score every call of a VCF against a genome; write a table, .tsv or .csv, with a row for each in its order.

    Args:
        cache: a folder for the index of the genome.
        threshold: the least score of a called site; None for the model's own.
        keep_going: take a list of any form, give variants that the genome does not bear out a row with the reason,
            and name lines that hold no variant below the table, instead of refusing the file for one of them.

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
    check_not_read(out, variants, fasta)
    threshold = model.meaning.threshold if threshold is None else threshold
    scorer = Scorer(model, FromGenome(Genome(fasta, cache)), threshold)
    names = (label(variants), label(fasta))
    bad: list[BadLine] = []
    calls = _calls(read_lines(variants), bad) if keep_going else read_calls(variants)
    with replaced(out) as draft, draft.open("w", encoding="utf-8", errors=ODD_BYTES, newline="\n") as file:
        try:
            scored = scorer.effects(calls, strict=not keep_going)
            file.writelines(table_lines(model, scored, names, threshold, out.suffix))
            scorer.check_contigs()
        except Unfit as error:
            raise ValueError(f"{label(variants)}: {error}") from None
        if keep_going and not scorer.reasons:
            raise ValueError(f"{label(variants)}: no variant in it; {EXPECTED}")
        file.writelines(unused_lines(bad))
    counts = scorer.reasons
    total, scored_calls = counts.total(), counts.pop("", 0)
    seconds = time.monotonic() - begun
    return Outcome(total, scored_calls, dict(counts.most_common()), len(bad), scorer.notes(), seconds, out)


def _calls(entries: Iterable[Call | BadLine], bad: list[BadLine]) -> Iterator[Call]:
    """The calls; the lines that hold none go to `bad`.

    Raises:
        Unfit: these are too many.
    """
    for entry in entries:
        if isinstance(entry, BadLine):
            if len(bad) == MOST_UNUSED:
                raise Unfit(f"over {MOST_UNUSED:,} lines without a variant; {EXPECTED}")
            bad.append(entry)
        else:
            yield entry


def unused_lines(bad: Iterable[BadLine]) -> Iterator[str]:
    """What stands below a table of the lines that hold no variant."""
    return (f"# not used, line {line.line}: {line.why}\n" for line in bad)


def table_lines(
    model: Model, scored: Iterable[Scored], names: tuple[str, str], threshold: float, suffix: str
) -> Iterator[str]:
    """The lines of a table of effects.

    Args:
        names: what the variants and the reference are called.
        suffix: `.tsv` or `.csv`.
    """
    separator = SEPARATORS[suffix.lower()]
    yield from (f"# {line}\n" for line in _preamble(model, names, threshold))
    yield separator.join(HEADER) + "\n"
    for call, effect in scored:
        yield _row(call, effect, separator)


def _preamble(model: Model, names: tuple[str, str], threshold: float) -> list[str]:
    around = 2 * model.reach
    rule = (
        f"scored with {around} bases on either side"
        if model.length is None
        else f"scored in windows of {model.length} bases with the variant in the middle"
    )
    return [
        about_line(About(f"{model.name} {model.hash}", rule, meaning=model.meaning)),
        f"variants of {names[0]} in {names[1]}; positions count from 1",
        "effect: the largest change of a score, alternative minus reference, at effect_pos; ref_score, alt_score: "
        f"the highest within {model.reach} bases; sites score {threshold:g} or more",
    ]


def _row(call: Call, effect: Effect | None, separator: str) -> str:
    scores = [""] * len(Effect._fields)
    if effect:
        change, position, reference, alternative, *sites = effect
        scores = [f"{change:.6g}", str(position), f"{reference:.6g}", f"{alternative:.6g}", *map(str, sites)]
    alleles = call.reference, safe_cell(call.alternative)
    cells = [safe_cell(call.chromosome), str(call.position), safe_cell(call.id), *alleles, *scores, call.skipped]
    return separator.join(map(quoted, cells) if separator == "," else cells) + "\n"
