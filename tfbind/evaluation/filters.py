"""The filters of the first layer as motifs: the words that excite each of them, aligned and counted.

A word counts where a filter's sum over it is more than half of the highest (as Alipanahi et al., Nature Biotechnology
33, 831, 2015), and among the thousand highest: of a filter that many words excite a little, the strongest count.
Columns at the ends with next to no information are cut off.
"""

import os
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tfbind import runs
from tfbind.data import Windows
from tfbind.dna import LETTERS, Codes
from tfbind.motifs import (
    Motif,
    MotifMatch,
    discover_motif,
    from_counts,
    information,
    nearest_motifs,
    resemblance,
    trimmed,
)
from tfbind.nn import read_tensors
from tfbind.runs import Run, read_validation
from tfbind.store import DAMAGED, DamagedFile, KeptFile, format_error, kept_file

FIRST_LAYER = "initial_conv.weight"
EXCITED = 0.5
FEWEST_WORDS, MOST_WORDS = 10, 1_000
MOST_WINDOWS = 2_000
TELLING = 4.0  # bits in all; a filter with less looks for no word
RESEMBLES = 0.05  # the highest E-value of a match


@dataclass(frozen=True)
class Filter:
    """A filter: the motif (4, W) of the `words` that excite it, in `windows` of those looked at, and its matches.

    `motif` is None where too few words excite the filter, or too different ones. `behind` is the p-value of its
    resemblance to the motif behind the labels, None where that motif is not known.
    """

    number: int
    words: int
    windows: int
    motif: Motif | None
    matches: list[MotifMatch]
    behind: float | None = None

    @property
    def match(self) -> MotifMatch | None:
        """The nearest known motif, if it is near."""
        return self.matches[0] if self.matches and self.matches[0].e_value <= RESEMBLES else None


@dataclass(frozen=True)
class FilterReport:
    """The filters of a run, the number of windows scanned, and the consensus of the motif behind the labels.

    `unkept` says why the report could not be written to the run's folder, "" where it was.
    """

    filters: list[Filter]
    windows: int
    behind: str | None
    unkept: str = ""

    @property
    def for_the_labels(self) -> list[Filter]:
        """The filters that resemble the motif behind the labels, at a family-wise error rate of 5 % (Bonferroni)."""
        count = len(self.filters)
        return [entry for entry in self.filters if entry.behind is not None and entry.behind * count <= RESEMBLES]


def describe_filters(run: Run, data: Windows) -> FilterReport:
    """Describe the filters of a run as motifs, and compare them with known ones.

    They are compared with the motif behind the labels, too, where the data tell it. The report is kept in the run's
    folder; where that cannot be written, its `unkept` says why.

    Args:
        run: the run.
        data: its data set, of whose validation windows at most 2,000 are scanned.

    Returns:
        The report.

    Raises:
        ValueError: the run has no weights yet.
    """
    weights = run.folder / runs.BEST
    if not weights.exists():
        raise ValueError(f"run {run.id}: no weights yet; expected a run with a finished epoch")
    held = read_validation(run.folder / runs.VALIDATION, len(data), data.length)
    windows = np.sort(held.windows)[:MOST_WINDOWS]
    codes = np.asarray(data.codes[windows])
    discovered = discover_motif(data)
    label_motif = discovered.motif if discovered and discovered.how != "enriched" else None
    measured = [_filter(number, weight, codes) for number, weight in enumerate(read_tensors(weights)[FIRST_LAYER], 1)]
    motifs = [entry.motif for entry in measured if entry.motif]
    matches = iter(nearest_motifs(motifs))
    chances = iter(resemblance(motifs, label_motif) if label_motif else [None] * len(motifs))
    filters = [
        replace(entry, matches=next(matches), behind=next(chances)) if entry.motif else entry for entry in measured
    ]
    result = FilterReport(filters, len(codes), label_motif.consensus if label_motif else None)
    stored = _StoredReport([_packed(entry) for entry in result.filters], result.windows, result.behind)
    path = run.folder / runs.FILTERS
    try:
        REPORT_FILE.write(path, stored)
        modified = max(path.stat().st_mtime, weights.stat().st_mtime)  # the clock may have been set back in between
        os.utime(path, (modified, modified))
    except OSError as error:  # on a read-only home or a full disk the report is worth as much
        return replace(result, unkept=format_error(error))
    return result


def read_filters(run: Run) -> FilterReport | None:
    """Read the last report of `describe_filters`; None if there is none, or the weights have changed since."""
    path, weights = run.folder / runs.FILTERS, run.folder / runs.BEST
    if not path.exists() or path.stat().st_mtime < weights.stat().st_mtime:
        return None
    stored = REPORT_FILE.read(path)
    try:
        return FilterReport([_unpacked(entry) for entry in stored.filters], stored.windows, stored.behind)
    except ValueError as error:
        raise DamagedFile(path, f"{error}; {DAMAGED}") from None


def _filter(number: int, weight: NDArray[np.float32], codes: Codes) -> Filter:
    """Find the words that excite a filter (4, W) in windows (N, L)."""
    width = weight.shape[1]
    sums = np.zeros((len(codes), codes.shape[1] - width + 1), dtype=np.float32)
    by_code = np.vstack([weight, np.full((len(LETTERS) - 4, width), -np.inf, np.float32)])  # words with an N are out
    for column in range(width):
        sums += by_code[codes[:, column : column + sums.shape[1]], column]
    highest = float(sums.max())
    rows, starts = np.nonzero(sums > EXCITED * highest) if highest > 0 else (np.array([], np.intp),) * 2
    if len(rows) < FEWEST_WORDS:
        return Filter(number, len(rows), len(np.unique(rows)), None, [])
    if len(rows) > MOST_WORDS:
        strongest = np.argpartition(-sums[rows, starts], MOST_WORDS)[:MOST_WORDS]
        rows, starts = rows[strongest], starts[strongest]
    words = codes[rows[:, None], starts[:, None] + np.arange(width)]
    motif = from_counts(f"filter {number}", "", np.stack([(words == code).sum(axis=0) for code in range(4)]))
    motif = trimmed(motif)
    telling = information(motif).sum() >= TELLING
    return Filter(number, len(rows), len(np.unique(rows)), motif if telling else None, [])


@dataclass(frozen=True)
class _StoredFilter:
    """A `Filter`, its motif as rows of A, C, G and T."""

    number: int
    words: int
    windows: int
    motif: list[list[float]] | None
    matches: list[MotifMatch]
    behind: float | None


@dataclass(frozen=True)
class _StoredReport:
    filters: list[_StoredFilter]
    windows: int
    behind: str | None


REPORT_FILE: KeptFile[_StoredReport] = kept_file(runs.FILTERS, _StoredReport)


def _packed(entry: Filter) -> _StoredFilter:
    matrix = entry.motif.probabilities.round(6).tolist() if entry.motif else None
    return _StoredFilter(entry.number, entry.words, entry.windows, matrix, entry.matches, entry.behind)


def _unpacked(stored: _StoredFilter) -> Filter:
    motif = None
    if stored.motif is not None:
        if not stored.matches:
            raise ValueError(f"filter {stored.number}: a motif without its nearest ones")
        probabilities = np.maximum(np.array(stored.motif, dtype=np.float64), 1e-6)
        motif = Motif(f"filter {stored.number}", "", probabilities / probabilities.sum(axis=0))
    return Filter(stored.number, stored.words, stored.windows, motif, stored.matches, stored.behind)
