"""Build data sets from a genome: with a motif, whose hits are painted, or with a measured signal around regions.

With a motif, windows lie on a grid and hits are painted as the course's scores are; see `RULE`. With a signal,
windows lie around regions and hold a bigWig's value per base; see `SIGNAL_RULE`.
"""

import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from tfbind.data.dataset import Windows, check_free, save_dataset, sha256
from tfbind.data.pairs import Pair
from tfbind.dna import (
    UNKNOWN,
    Codes,
    Progress,
    Region,
    bigwig,
    contigs,
    cut_windows,
    genome_chunks,
    match_chromosomes,
    random_windows,
    read_regions,
    windows_around,
)
from tfbind.motifs import CROWDED, FileMotif, Motif, Scores, paint, threshold_of
from tfbind.store import annotate_oserror, file_label, plural, require_regular_file, scratch

WINDOW_LENGTH = 300
LENGTHS = range(10, 100_001)
P_VALUE = 1e-4  # as FIMO
P_VALUES = (P_VALUE, *(10.0**-power for power in range(5, 13)), 1e-3, 1e-2, 1e-1)  # in the order they are tried

RULE = (
    "A score is the sum of natural-log odds against 0.25 per base over the motif; both strands are scanned; an N "
    "adds 0. A hit scores at least the threshold. On each strand, of two hits whose starts are fewer than 5 bases "
    "apart the lower is dropped, of two equal ones the earlier; every pair is judged, also with a hit that another "
    "pair drops. That is judged along the whole chromosome. A hit gives its score to the bases that it covers in the "
    "window in which its leftmost base lies; what hangs over into the next window is lost, as in the course's data. "
    "Where hits of one strand overlap, the one further along that strand counts; of the two strands, the higher. "
    "Windows lie on a grid of their length that begins at base 0. Left out are the incomplete window at the end of a "
    "chromosome, windows with an N and, unless all are wanted, windows without a score. Names are "
    "CHROMOSOME_START_END, 0-based, END inclusive."
)
SIGNAL_RULE = (
    "A window lies around the middle of its region, or around the summit of a narrowPeak; one that reaches over the "
    "end of its chromosome or holds an N is left out, as are repeats of the same window. Windows of neighbouring "
    "regions may overlap. Random windows overlap no region, no window and not each other. Windows carry the genome's "
    "chromosome names."
)
Transform = Literal["raw", "log1p"]
Missing = Literal["zero", "refuse"]
Starts = dict[str, list[int]]  # of windows, by chromosome
SEED = 0


@dataclass(frozen=True)
class ScanRule:
    """The settings of a scan: threshold of a hit, windows to keep. At most one of `threshold` and `p_value` is set.

    With neither the motif file's own threshold is taken, or else `default_p_value`. `chromosomes` is empty for all.
    """

    threshold: float | None = None
    p_value: float | None = None
    length: int = WINDOW_LENGTH
    chromosomes: tuple[str, ...] = ()
    every_window: bool = False


def build_scan(
    home: Path, name: str, genome: Path, file_motif: FileMotif, rule: ScanRule, progress: Progress = lambda _: None
) -> Windows:
    """Scan a genome with a motif and store the windows with a hit as a data set.

    Args:
        home: the project's home folder.
        name: of the data set.
        genome: FASTA, plain or gzip, read once from end to end.
        file_motif: the motif, with its file's threshold.
        rule: the settings of the scan.
        progress: called with the share of the genome that is read.

    Returns:
        The data set.

    Raises:
        ValueError: one line that says what cannot be used, and where.
        OSError: the genome cannot be read, or the disk is full.
    """
    check_free(home, name)
    threshold, p_value = chosen_threshold(file_motif, rule)
    home.mkdir(parents=True, exist_ok=True)
    with WindowSpool(home, rule.length) as spool:
        scanned, skipped = _scan(genome, file_motif.motif, threshold, rule, spool, progress)
        if not spool.names:
            where = plural(len(scanned), "chromosome")
            raise ValueError(f"{file_label(genome)}: no window with a hit of {threshold:g} or more on {where}")
        origin = {
            "kind": "motif",
            "genome": {"file": genome.name, "sha256": sha256(genome)},
            "chromosomes": scanned,
            "motif": file_motif.motif.name,
            "matrix_id": file_motif.motif.matrix_id,
            "matrix": file_motif.motif.probabilities.tolist(),
            "threshold": threshold,
            "p_value": p_value,
            "every_window": rule.every_window,
            "left_out": dict(skipped),
            "chosen": [*file_motif.notes, *(_p_value_remarks(p_value) if rule.p_value is None else [])],
        }
        return save_dataset(home, name, spool.pair(), origin)


def remarks(origin: Mapping[str, Any]) -> list[str]:
    """Remarks on how a data set was built: windows left out, renamed chromosomes, an unusual p-value."""
    left_out = [f"left out: {count:,} {why}" for why, count in origin.get("left_out", {}).items() if count]
    return left_out + list(origin.get("renamed", [])) + list(origin.get("chosen", []))


def chosen_threshold(file_motif: FileMotif, rule: ScanRule) -> tuple[float, float | None]:
    """The threshold of a hit, and its p-value, None where it was not chosen by one.

    Args:
        file_motif: the motif, with its file's threshold.
        rule: the settings of the scan.

    Raises:
        ValueError: two thresholds, or one that no sequence or any sequence reaches; or an impossible length.
    """
    if rule.threshold is not None and rule.p_value is not None:
        raise ValueError("a threshold and a p-value; expected one of them")
    motif = file_motif.motif
    if rule.length not in LENGTHS or rule.length < motif.width:
        raise ValueError(
            f"windows of {rule.length} bases; expected {max(LENGTHS[0], motif.width)} to {LENGTHS[-1]:,}"
        )
    if rule.threshold is not None:
        return _check_threshold(rule.threshold, motif, "--threshold"), None
    if rule.p_value is None and file_motif.threshold is not None:
        return _check_threshold(file_motif.threshold, motif, "the motif file's threshold"), None
    p_value = (default_p_value(motif) or P_VALUE) if rule.p_value is None else rule.p_value
    threshold = threshold_of(motif, p_value)
    return _check_threshold(threshold, motif, f"--p-value {p_value:g} gives the threshold"), p_value


def default_p_value(motif: Motif) -> float | None:
    """The default p-value of a hit: 1e-4, lower powers of ten where its threshold is not above 0, higher ones where
    no sequence reaches it; None for a motif without a usable p-value."""
    return next((p_value for p_value in P_VALUES if 0 < threshold_of(motif, p_value) <= motif.highest), None)


def _p_value_remarks(p_value: float | None) -> list[str]:
    """Remarks on a default p-value other than 1e-4."""
    if p_value in (None, P_VALUE):
        return []
    why = "a score of 0 or less would be a hit" if p_value < P_VALUE else "no sequence would be a hit"
    return [f"p-value of a hit: {p_value:g}, since with {P_VALUE:g} {why} (--p-value chooses another)"]


def _check_threshold(threshold: float, motif: Motif, source: str) -> float:
    """The threshold, refused unless it is above 0 and within reach; `source` begins the message."""
    if 0 < threshold <= motif.highest:
        return threshold
    p_value = default_p_value(motif)
    advice = f", such as --p-value {p_value:g} gives" if p_value else "; no --p-value gives one"
    raise ValueError(
        f"{source}, {threshold:g}: no hit of {motif.name or 'the motif'} could be told from none; expected a score "
        f"above 0 and at most {motif.highest:.4f}, its best{advice}"
    )


def _scan(
    genome: Path, motif: Motif, threshold: float, rule: ScanRule, spool: "WindowSpool", progress: Progress
) -> tuple[list[str], Counter[str]]:
    """Fill the spool; the chromosomes that were scanned, and counts of windows left out by reason."""
    missing = set(rule.chromosomes)
    names: list[str] = []
    scanned: list[str] = []
    skipped: Counter[str] = Counter()
    for contig, pieces in contigs(genome, progress):
        names.append(contig)
        matches = match_chromosomes(missing, [contig]).keys()
        if rule.chromosomes and not matches:
            continue
        missing -= matches
        scanned.append(contig)
        for chunk in genome_chunks(contig, pieces, rule.length, 2 * motif.width + CROWDED):
            inside = slice(chunk.first - chunk.start, chunk.last - chunk.start)
            window = (np.arange(len(chunk.codes)) + chunk.start) // rule.length
            painted = paint(motif, chunk.codes[None], threshold, window)[0, inside].reshape(-1, rule.length)
            codes = chunk.codes[inside].reshape(-1, rule.length)
            unknown, empty = (codes == UNKNOWN).any(axis=1), ~painted.any(axis=1) & (not rule.every_window)
            skipped["with an N"] += int(unknown.sum())
            skipped["without a hit"] += int((empty & ~unknown).sum())
            rows = np.flatnonzero(~unknown & ~empty)
            starts = (chunk.first + rows * rule.length).tolist()
            spool.add(window_names(contig, starts, rule.length), codes[rows], painted[rows])
    if missing:
        listed = f"{', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
        raise ValueError(f"{file_label(genome)}: no chromosome {', '.join(sorted(missing))}; there are: {listed}")
    return scanned, skipped


def window_names(contig: str, starts: Collection[int], length: int) -> list[str]:
    """Window names in the course's form: 0-based start, inclusive end."""
    return [f"{contig}_{start}_{start + length - 1}" for start in starts]


@dataclass
class WindowSpool:
    """Windows of a data set that is being built, in temporary files that end with the process."""

    folder: Path
    length: int
    names: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._open = ExitStack()
        self._open.enter_context(annotate_oserror(self.folder))
        self._files: list[IO[bytes]] = [
            self._open.enter_context(tempfile.TemporaryFile(dir=self.folder))  # noqa: SIM115
            for _ in range(2)
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def add(self, names: list[str], codes: Codes, scores: Scores) -> None:
        """Append windows: codes and scores (n, L)."""
        self.names += names
        for file, array in zip(self._files, (codes, scores.astype(np.float32, copy=False)), strict=True):
            file.write(np.ascontiguousarray(array).data)

    def pair(self) -> Pair:
        """All windows added, memory-mapped."""
        shape = (len(self.names), self.length)
        mapped: list[Any] = []
        for file, dtype in zip(self._files, (np.uint8, np.float32), strict=True):
            file.flush()
            mapped.append(np.memmap(file, dtype=dtype, mode="r", shape=shape))
        return Pair(np.array(self.names, dtype=np.bytes_), *mapped)


@dataclass(frozen=True)
class SignalSources:
    """The files of `build_signal`: a genome (FASTA), a signal (bigWig), regions (BED or narrowPeak)."""

    genome: Path
    signal: Path
    regions: Path


@dataclass(frozen=True)
class SignalRule:
    """The settings of `build_signal`: windows, and how the signal becomes scores.

    A base without a value in the bigWig counts 0, unless `missing` is "refuse". `random` windows are drawn from the
    chromosomes of the genome that have regions; those without a free place are counted as left out.
    """

    length: int = WINDOW_LENGTH
    random: int = 0
    transform: Transform = "raw"
    missing: Missing = "zero"
    seed: int = SEED


def build_signal(
    home: Path, name: str, sources: SignalSources, rule: SignalRule, progress: Progress = lambda _: None
) -> Windows:
    """Cut windows around regions, with the signal of every base, and store them as a data set.

    Args:
        home: the project's home folder.
        name: of the data set.
        sources: the files.
        rule: the settings.
        progress: called with the share of the genome that is read.

    Returns:
        The data set.

    Raises:
        ValueError: one line that says what cannot be used, and where in the genome.
        OSError: a file cannot be read, or the disk is full.
    """
    check_free(home, name)
    if rule.length not in LENGTHS:
        raise ValueError(f"windows of {rule.length} bases; expected {LENGTHS[0]} to {LENGTHS[-1]:,}")
    if rule.random < 0:
        raise ValueError(f"{rule.random} random windows; expected 0 or more")
    sizes = bigwig.chromosomes(require_regular_file(sources.signal))
    regions, reading_notes = read_regions(sources.regions)
    passes = 2 if rule.random else 1
    starts, notes, skipped = _starts(sources, regions, sizes, rule, lambda share: progress(share / passes))
    notes[:0] = reading_notes
    home.mkdir(parents=True, exist_ok=True)
    with WindowSpool(home, rule.length) as spool, scratch(home, "build") as folder:
        for contig, pieces in contigs(sources.genome, lambda share: progress((passes - 1 + share) / passes)):
            name_in_signal = match_chromosomes([contig], starts).get(contig)
            if name_in_signal is not None:
                notes += _renamed(name_in_signal, contig, sources.signal, sources.genome)
                checked = _check_contig(pieces, contig, sizes[name_in_signal], sources)
                complete, codes = _cut(checked, starts.pop(name_in_signal), rule, skipped)
                windows = [(name_in_signal, start) for start in complete]
                if windows:
                    measured = bigwig.values(sources.signal, windows, rule.length, folder / "signal")
                    scores = _to_scores(measured, windows, rule, sources.signal, skipped)
                    spool.add(window_names(contig, complete, rule.length), codes, scores)
        if starts:
            skipped[f"on chromosomes that {file_label(sources.genome)} lacks"] += sum(map(len, starts.values()))
        if not spool.names:
            raise ValueError(
                f"{file_label(sources.regions)}: no window without an N lies in {file_label(sources.genome)}; "
                f"left out: {', '.join(f'{count} {why}' for why, count in skipped.items() if count)}"
            )
        files = {
            role: {"file": path.name, "sha256": sha256(path)}
            for role, path in zip(("genome", "signal", "regions"), vars(sources).values(), strict=True)
        }
        return save_dataset(
            home,
            name,
            spool.pair(),
            {"kind": "signal", **files, **asdict(rule), "left_out": dict(skipped), "renamed": notes},
        )


def _starts(
    sources: SignalSources, regions: list[Region], sizes: dict[str, int], rule: SignalRule, progress: Progress
) -> tuple[Starts, list[str], Counter[str]]:
    """The starts of all windows by the bigWig's chromosomes, notes on matched names, counts of what was left out."""
    names = {region.contig for region in regions}
    contig_names = match_chromosomes(sorted(names), sizes)
    if not contig_names:
        raise ValueError(
            f"{file_label(sources.regions)} and {file_label(sources.signal)} have no chromosome in common: "
            f"{', '.join(sorted(names)[:3])} against {', '.join(sorted(sizes)[:3]) or 'none'}"
        )
    notes = [note for pair in contig_names.items() for note in _renamed(*pair, sources.regions, sources.signal)]
    starts, past_end = windows_around(regions, sizes, contig_names, rule.length, sources.regions)
    skipped: Counter[str] = Counter()
    skipped["of regions that reach past the end of their chromosome"] = past_end
    skipped["on chromosomes without signal"] = sum(region.contig not in contig_names for region in regions)
    skipped["over an end, or the same window again"] = (
        len(regions) - past_end - skipped["on chromosomes without signal"] - sum(map(len, starts.values()))
    )
    if rule.random:
        # A window on a chromosome that the genome lacks would be lost, so its names are read first.
        bases = {name: sum(map(len, pieces)) for name, pieces in contigs(sources.genome, progress)}
        in_genome = match_chromosomes(bases, contig_names.values())
        for name, contig in in_genome.items():
            _check_length(name, bases[name], sizes[contig], sources)
        free = {contig: sizes[contig] for contig in in_genome.values()}
        random_starts = _random_starts(regions, contig_names, starts, free, rule)
        skipped["random windows without a free place"] = rule.random - sum(map(len, random_starts.values()))
        starts |= {contig: sorted({*starts.get(contig, []), *places}) for contig, places in random_starts.items()}
    return starts, notes, skipped


def _random_starts(
    regions: list[Region], contig_names: dict[str, str], starts: Starts, sizes: dict[str, int], rule: SignalRule
) -> Starts:
    """The starts of random windows on the chromosomes of `sizes`, away from regions and from windows at `starts`."""
    taken = {contig: [(start, start + rule.length) for start in places] for contig, places in starts.items()}
    for region in regions:
        if region.contig in contig_names:
            taken.setdefault(contig_names[region.contig], []).append((region.start, region.end))
    return random_windows(taken, sizes, rule.random, rule.length, rule.seed)


def _renamed(name: str, other_name: str, path: Path, other: Path) -> list[str]:
    return [f"{name} of {file_label(path)} is {other_name} of {file_label(other)}"] if name != other_name else []


def _check_contig(pieces: Iterable[Codes], contig: str, expected: int, sources: SignalSources) -> Iterator[Codes]:
    """The same pieces of a contig; at their end, its length must be that in the bigWig."""
    bases = 0
    for codes in pieces:
        bases += len(codes)
        yield codes
    _check_length(contig, bases, expected, sources)


def _check_length(contig: str, bases: int, expected: int, sources: SignalSources) -> None:
    if bases != expected:
        raise ValueError(
            f"{contig} has {plural(bases, 'base')} in {file_label(sources.genome)} and {expected:,} in "
            f"{file_label(sources.signal)}; expected one assembly"
        )


def _cut(
    pieces: Iterable[Codes], starts: list[int], rule: SignalRule, skipped: Counter[str]
) -> tuple[list[int], NDArray[np.uint8]]:
    """The windows without an N: their starts, and their codes (n, L)."""
    complete, parts = [], []
    for start, codes in cut_windows(pieces, starts, rule.length):
        if (codes == UNKNOWN).any():
            skipped["with an N"] += 1
        else:
            complete.append(start)
            parts.append(codes)
    return complete, np.array(parts, dtype=np.uint8).reshape(-1, rule.length)


def _to_scores(
    measured: NDArray[np.float32], windows: list[tuple[str, int]], rule: SignalRule, path: Path, skipped: Counter[str]
) -> NDArray[np.float32]:
    """The signal as scores (n, L)."""

    def refuse(bad: NDArray[np.bool_], problem: str) -> None:
        if bad.any():
            row, base = np.argwhere(bad)[0].tolist()
            chromosome, start = windows[row]
            raise ValueError(f"{file_label(path)}: {chromosome}:{start + base} (0-based) {problem}")

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
