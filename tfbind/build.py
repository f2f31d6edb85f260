"""Data sets from a genome and a motif: windows on a grid, hits painted as the course's scores are. See `RULE`."""

import tempfile
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from tfbind.chromosomes import other_name
from tfbind.datasets import Windows, check_free, keep, sha256
from tfbind.fasta_stream import Progress, contigs, stretches
from tfbind.files import naming
from tfbind.motif_files import Found
from tfbind.motifs import CROWDED, Motif, Scores, paint, threshold_of
from tfbind.pairs import Pair
from tfbind.sequences import UNKNOWN, Codes
from tfbind.tables import counted, label

LENGTH = 300
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


@dataclass(frozen=True)
class Rule:
    """Which hits count, and which windows are kept. One of `threshold` and `p_value`, or neither.

    With neither the motif file's own threshold is taken, or else the p-value of `usual_p_value`. `chromosomes` is
    empty for all.
    """

    threshold: float | None = None
    p_value: float | None = None
    length: int = LENGTH
    chromosomes: tuple[str, ...] = ()
    every_window: bool = False


def build(
    home: Path, name: str, genome: Path, found: Found, rule: Rule, progress: Progress = lambda _: None
) -> Windows:
    """Scan a genome with a motif and store the windows that hold a hit as a data set.

    Args:
        genome: FASTA, plain or gzip, read once from end to end.
        progress: told the share of the file that is read.

    Raises:
        ValueError: one line that says what cannot be used, and where.
        OSError: the genome cannot be read, or the disk is full.
    """
    check_free(home, name)
    threshold, p_value = chosen_threshold(found, rule)
    home.mkdir(parents=True, exist_ok=True)
    with Spool(home, rule.length) as spool:
        scanned, skipped = _scan(genome, found.motif, threshold, rule, spool, progress)
        if not spool.names:
            where = counted(len(scanned), "chromosome")
            raise ValueError(f"{label(genome)}: no window with a hit of {threshold:g} or more on {where}")
        origin = {
            "kind": "motif",
            "genome": {"file": genome.name, "sha256": sha256(genome)},
            "chromosomes": scanned,
            "motif": found.motif.name,
            "matrix_id": found.motif.matrix_id,
            "matrix": found.motif.probabilities.tolist(),
            "threshold": threshold,
            "p_value": p_value,
            "every_window": rule.every_window,
            "left_out": dict(skipped),
            "chosen": _said_of_chance(p_value) if rule.p_value is None else [],
        }
        return keep(home, name, spool.pair(), origin)


def remarks(origin: Mapping[str, Any]) -> list[str]:
    """What was done with a genome that its user should know: windows left out, chromosomes under other names, another
    p-value than the usual one."""
    left_out = [f"left out: {count:,} {why}" for why, count in origin.get("left_out", {}).items() if count]
    return left_out + list(origin.get("renamed", [])) + list(origin.get("chosen", []))


def chosen_threshold(found: Found, rule: Rule) -> tuple[float, float | None]:
    """The lowest score of a hit, and the p-value that it is of, None where it was not chosen by one.

    Raises:
        ValueError: two thresholds, or one that no sequence or any sequence reaches; or an impossible length.
    """
    if rule.threshold is not None and rule.p_value is not None:
        raise ValueError("a threshold and a p-value; expected one of them")
    if rule.length not in LENGTHS or rule.length < found.motif.width:
        raise ValueError(
            f"windows of {rule.length} bases; expected {max(LENGTHS[0], found.motif.width)} to {LENGTHS[-1]:,}"
        )
    if rule.threshold is not None:
        return _checked(rule.threshold, found.motif, "--threshold"), None
    if rule.p_value is None and found.threshold is not None:
        return _checked(found.threshold, found.motif, "the motif file's threshold"), None
    p_value = (usual_p_value(found.motif) or P_VALUE) if rule.p_value is None else rule.p_value
    threshold = threshold_of(found.motif, p_value)
    return _checked(threshold, found.motif, f"--p-value {p_value:g} gives the threshold"), p_value


def usual_p_value(motif: Motif) -> float | None:
    """The p-value of a hit unless another is given: 1e-4, less by powers of ten where the threshold of that is not
    above 0, more where no sequence reaches it; None for a motif with which no p-value tells hits."""
    return next((p_value for p_value in P_VALUES if 0 < threshold_of(motif, p_value) <= motif.highest), None)


def _said_of_chance(p_value: float | None) -> list[str]:
    """What is to be said of a p-value that nobody gave."""
    if p_value in (None, P_VALUE):
        return []
    why = "a score of 0 or less would be a hit" if p_value < P_VALUE else "no sequence would be a hit"
    return [f"p-value of a hit: {p_value:g}, since with {P_VALUE:g} {why} (--p-value chooses another)"]


def _checked(threshold: float, motif: Motif, what: str) -> float:
    if 0 < threshold <= motif.highest:
        return threshold
    usual = usual_p_value(motif)
    said = f", such as --p-value {usual:g} gives" if usual else "; no --p-value gives one"
    raise ValueError(
        f"{what}, {threshold:g}: no hit of {motif.name or 'the motif'} could be told from none; expected a score "
        f"above 0 and at most {motif.highest:.4f}, its best{said}"
    )


def _scan(
    genome: Path, motif: Motif, threshold: float, rule: Rule, spool: "Spool", progress: Progress
) -> tuple[list[str], Counter[str]]:
    """Fill the spool; the chromosomes that were scanned, and how many windows were left out why."""
    wanted = set(rule.chromosomes)
    met: list[str] = []
    scanned: list[str] = []
    skipped: Counter[str] = Counter()
    for contig, pieces in contigs(genome, progress):
        met.append(contig)
        asked = {contig, other_name(contig)} & wanted
        if rule.chromosomes and not asked:
            continue
        wanted -= asked
        scanned.append(contig)
        for stretch in stretches(contig, pieces, rule.length, 2 * motif.width + CROWDED):
            inside = slice(stretch.first - stretch.start, stretch.last - stretch.start)
            window = (np.arange(len(stretch.codes)) + stretch.start) // rule.length
            painted = paint(motif, stretch.codes[None], threshold, window)[0, inside].reshape(-1, rule.length)
            codes = stretch.codes[inside].reshape(-1, rule.length)
            unknown, empty = (codes == UNKNOWN).any(axis=1), ~painted.any(axis=1) & (not rule.every_window)
            skipped["with an N"] += int(unknown.sum())
            skipped["without a hit"] += int((empty & ~unknown).sum())
            kept = np.flatnonzero(~unknown & ~empty)
            starts = (stretch.first + kept * rule.length).tolist()
            spool.add(window_names(contig, starts, rule.length), codes[kept], painted[kept])
    if wanted:
        listed = f"{', '.join(met[:5])}{', ...' if len(met) > 5 else ''}"
        raise ValueError(f"{label(genome)}: no chromosome {', '.join(sorted(wanted))}; there are: {listed}")
    return scanned, skipped


def window_names(contig: str, starts: Collection[int], length: int) -> list[str]:
    """Names in the course's form: 0-based start, inclusive end."""
    return [f"{contig}_{start}_{start + length - 1}" for start in starts]


@dataclass
class Spool:
    """Windows on their way into a data set, on the disk, in files without a name: they are gone with the process."""

    folder: Path
    length: int
    names: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._open = ExitStack()
        self._open.enter_context(naming(self.folder))
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
        """Everything that was added, mapped from the disk."""
        shape = (len(self.names), self.length)
        mapped: list[Any] = []
        for file, kind in zip(self._files, (np.uint8, np.float32), strict=True):
            file.flush()
            mapped.append(np.memmap(file, dtype=kind, mode="r", shape=shape))
        return Pair(np.array(self.names, dtype=np.bytes_), *mapped)
