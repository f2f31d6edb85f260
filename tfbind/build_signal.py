"""Data sets from a genome and a measured signal: windows around the regions of a BED file, a bigWig's value per base.

A window lies around the middle of its region, or around the summit of a narrowPeak; one that reaches over the end of
its chromosome or holds an N is left out, as are repeats of the same window. Windows of neighbouring regions may
overlap. Random windows overlap no region, no window and not each other. Windows carry the genome's chromosome names.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tfbind import bigwig
from tfbind.build import LENGTH, LENGTHS, Spool, window_names
from tfbind.chromosomes import renamed
from tfbind.datasets import Windows, check_free, keep, sha256
from tfbind.fasta_stream import Progress, contigs, cut
from tfbind.files import regular, scratch
from tfbind.regions import Region, around, elsewhere, read_regions
from tfbind.sequences import UNKNOWN, Codes
from tfbind.tables import counted, label

Transform = Literal["raw", "log1p"]
Missing = Literal["zero", "refuse"]
SEED = 0


@dataclass(frozen=True)
class Sources:
    """The three files: a genome (FASTA), a signal (bigWig), regions (BED or narrowPeak)."""

    genome: Path
    signal: Path
    regions: Path


@dataclass(frozen=True)
class Rule:
    """Which windows, and what becomes of the signal.

    A base of which the bigWig says nothing counts 0, unless that is to be refused. `random` windows are drawn from
    the chromosomes of the genome that have regions; those without a free place are counted as left out.
    """

    length: int = LENGTH
    random: int = 0
    transform: Transform = "raw"
    missing: Missing = "zero"
    seed: int = SEED


def build_signal(home: Path, name: str, sources: Sources, rule: Rule, progress: Progress = lambda _: None) -> Windows:
    """Cut windows around regions, with the signal of every base, and store them as a data set.

    Raises:
        ValueError: one line that says what cannot be used, and where in the genome.
        OSError: a file cannot be read, or the disk is full.
    """
    check_free(home, name)
    if rule.length not in LENGTHS:
        raise ValueError(f"windows of {rule.length} bases; expected {LENGTHS[0]} to {LENGTHS[-1]:,}")
    if rule.random < 0:
        raise ValueError(f"{rule.random} random windows; expected 0 or more")
    sizes = bigwig.chromosomes(regular(sources.signal))
    found = read_regions(sources.regions)
    passes = 2 if rule.random else 1
    starts, notes, skipped = _starts(sources, found, sizes, rule, lambda share: progress(share / passes))
    home.mkdir(parents=True, exist_ok=True)
    with Spool(home, rule.length) as spool, scratch(home, "build") as folder:
        for contig, pieces in contigs(sources.genome, lambda share: progress((passes - 1 + share) / passes)):
            named = renamed([contig], starts).get(contig)
            if named is not None:
                notes += _said(named, contig, sources.signal, sources.genome)
                kept, codes = _cut(_Counted(pieces, contig, sizes[named], sources), starts.pop(named), rule, skipped)
                windows = [(named, start) for start in kept]
                if windows:
                    measured = bigwig.values(sources.signal, windows, rule.length, folder / "signal")
                    scores = _transformed(measured, windows, rule, sources.signal, skipped)
                    spool.add(window_names(contig, kept, rule.length), codes, scores)
        if starts:
            skipped[f"on chromosomes that {label(sources.genome)} lacks"] += sum(map(len, starts.values()))
        if not spool.names:
            raise ValueError(
                f"{label(sources.regions)}: no window without an N lies in {label(sources.genome)}; "
                f"left out: {', '.join(f'{count} {why}' for why, count in skipped.items() if count)}"
            )
        files = {
            role: {"file": path.name, "sha256": sha256(path)}
            for role, path in zip(("genome", "signal", "regions"), vars(sources).values(), strict=True)
        }
        return keep(
            home,
            name,
            spool.pair(),
            {"kind": "signal", **files, **asdict(rule), "left_out": dict(skipped), "renamed": notes},
        )


def _starts(
    sources: Sources, found: list[Region], sizes: dict[str, int], rule: Rule, progress: Progress
) -> tuple[dict[str, list[int]], list[str], Counter[str]]:
    """The starts of all windows by the bigWig's chromosomes, which names had to be matched, and what was left out."""
    names = {region.contig for region in found}
    called = renamed(sorted(names), sizes)
    if not called:
        raise ValueError(
            f"{label(sources.regions)} and {label(sources.signal)} have no chromosome in common: "
            f"{', '.join(sorted(names)[:3])} against {', '.join(sorted(sizes)[:3]) or 'none'}"
        )
    notes = [note for name, there in called.items() for note in _said(name, there, sources.regions, sources.signal)]
    starts = around(found, sizes, called, rule.length, sources.regions)
    skipped: Counter[str] = Counter()
    skipped["on chromosomes without signal"] = sum(region.contig not in called for region in found)
    skipped["over an end, or the same window again"] = (
        len(found) - skipped["on chromosomes without signal"] - sum(map(len, starts.values()))
    )
    if rule.random:
        # A window on a chromosome that the genome lacks would be lost, so its names are read first.
        bases = {name: sum(map(len, pieces)) for name, pieces in contigs(sources.genome, progress)}
        there = renamed(bases, called.values())
        for name, contig in there.items():
            _check_length(name, bases[name], sizes[contig], sources)
        drawn = _drawn(found, called, starts, {contig: sizes[contig] for contig in there.values()}, rule)
        skipped["random windows without a free place"] = rule.random - sum(map(len, drawn.values()))
        starts |= {contig: sorted({*starts.get(contig, []), *places}) for contig, places in drawn.items()}
    return starts, notes, skipped


def _drawn(
    found: list[Region], called: dict[str, str], starts: dict[str, list[int]], sizes: dict[str, int], rule: Rule
) -> dict[str, list[int]]:
    """The starts of random windows on the chromosomes of `sizes`, away from regions and from windows at `starts`."""
    taken = {contig: [(start, start + rule.length) for start in places] for contig, places in starts.items()}
    for region in found:
        if region.contig in called:
            taken.setdefault(called[region.contig], []).append((region.start, region.end))
    return elsewhere(taken, sizes, rule.random, rule.length, rule.seed)


def _said(name: str, there: str, path: Path, other: Path) -> list[str]:
    return [f"{name} of {label(path)} is {there} of {label(other)}"] if name != there else []


class _Counted:
    """The pieces of a contig; when they end, its bases must be as many as the bigWig says."""

    def __init__(self, pieces: Iterator[Codes], contig: str, expected: int, sources: Sources) -> None:
        self._pieces, self._contig, self._expected, self._sources = pieces, contig, expected, sources

    def __iter__(self) -> Iterator[Codes]:
        bases = 0
        for codes in self._pieces:
            bases += len(codes)
            yield codes
        _check_length(self._contig, bases, self._expected, self._sources)


def _check_length(contig: str, bases: int, expected: int, sources: Sources) -> None:
    if bases != expected:
        raise ValueError(
            f"{contig} has {counted(bases, 'base')} in {label(sources.genome)} and {expected:,} in "
            f"{label(sources.signal)}; expected one assembly"
        )


def _cut(
    pieces: Iterable[Codes], starts: list[int], rule: Rule, skipped: Counter[str]
) -> tuple[list[int], NDArray[np.uint8]]:
    """The windows without an N: their starts, and their codes (n, L)."""
    kept, parts = [], []
    for start, codes in cut(pieces, starts, rule.length):
        if (codes == UNKNOWN).any():
            skipped["with an N"] += 1
        else:
            kept.append(start)
            parts.append(codes)
    return kept, np.array(parts, dtype=np.uint8).reshape(-1, rule.length)


def _transformed(
    measured: NDArray[np.float32], windows: list[tuple[str, int]], rule: Rule, path: Path, skipped: Counter[str]
) -> NDArray[np.float32]:
    """The signal as scores (n, L)."""

    def refuse(bad: NDArray[np.bool_], what: str) -> None:
        if bad.any():
            row, base = np.argwhere(bad)[0].tolist()
            chromosome, start = windows[row]
            raise ValueError(f"{label(path)}: {chromosome}:{start + base} (0-based) {what}")

    missing = np.isnan(measured)
    if rule.missing == "refuse":
        refuse(missing, "has no value; choose that missing values count 0, or other regions")
    skipped["bases without a value, counted 0"] += int(missing.sum())
    known = np.where(missing, np.float32(0), measured)
    refuse(~np.isfinite(known), "is not finite; expected a number")
    if rule.transform == "raw":
        return known
    refuse(known <= -1, "is -1 or below, which has no log1p; take the raw signal")
    return np.log1p(known)
