"""What the filters of the first layer look for, as motifs: the words that excite each of them, aligned and counted.

A word counts where a filter's sum over it is more than half of the highest (as Alipanahi et al., Nature Biotechnology
33, 831, 2015), and among the thousand highest: a filter that many words excite a little is told by the few it is for.
Columns at the ends that say next to nothing are cut off.
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
from tfbind.store import DAMAGED, DamagedFile, KeptFile, kept_file

FIRST_LAYER = "initial_conv.weight"
EXCITED = 0.5
FEWEST_WORDS, MOST_WORDS = 10, 1_000
MOST_WINDOWS = 2_000
TELLING = 4.0  # bits in all; a filter with less looks for no word
RESEMBLES = 0.05  # the highest E-value of a match


@dataclass(frozen=True)
class Filter:
    """A filter: the motif (4, W) of the `words` that excite it, in `windows` of those looked at, and its matches.

    `motif` is None for a filter that nothing excites, or nothing in particular. `behind` is the chance that it would
    resemble the motif behind the labels so by chance (p-value), None where that is not known.
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
    """The filters of a run, how many windows they were shown, and the consensus of the motif behind the labels."""

    filters: list[Filter]
    windows: int
    behind: str | None

    @property
    def for_the_labels(self) -> list[Filter]:
        """The filters that look for the motif behind the labels; with a chance of 5 % one of them only seems to."""
        return [one for one in self.filters if one.behind is not None and one.behind * len(self.filters) <= RESEMBLES]


def describe_filters(run: Run, data: Windows) -> FilterReport:
    """Show the run's held-out windows to its filters, and compare what excites them with known motifs.

    They are compared with the motif behind the labels, too, where the data tell it. What is found is kept in the
    run's folder.

    Raises:
        ValueError: the run has no weights yet.
    """
    weights = run.folder / runs.BEST
    if not weights.exists():
        raise ValueError(f"run {run.id}: no weights yet; expected a run with a finished epoch")
    held = read_validation(run.folder / runs.VALIDATION, len(data), data.length)
    shown = np.sort(held.windows)[:MOST_WINDOWS]
    codes = np.asarray(data.codes[shown])
    behind = discover_motif(data)
    own = behind.motif if behind and behind.how != "enriched" else None
    found = [_filter(number, weight, codes) for number, weight in enumerate(read_tensors(weights)[FIRST_LAYER], 1)]
    motifs = [one.motif for one in found if one.motif]
    matches = iter(nearest_motifs(motifs))
    chances = iter(resemblance(motifs, own) if own else [None] * len(motifs))
    filters = [replace(one, matches=next(matches), behind=next(chances)) if one.motif else one for one in found]
    result = FilterReport(filters, len(codes), own.consensus if own else None)
    kept = _Kept([_packed(one) for one in result.filters], result.windows, result.behind)
    path = run.folder / runs.FILTERS
    KEPT_FILE.write(path, kept)
    written = max(path.stat().st_mtime, weights.stat().st_mtime)  # the clock may have been set back in between
    os.utime(path, (written, written))
    return result


def read_filters(run: Run) -> FilterReport | None:
    """What `learnt` found last; None if it was never asked, or the weights have changed since."""
    path, weights = run.folder / runs.FILTERS, run.folder / runs.BEST
    if not path.exists() or path.stat().st_mtime < weights.stat().st_mtime:
        return None
    kept = KEPT_FILE.read(path)
    try:
        return FilterReport([_unpacked(one) for one in kept.filters], kept.windows, kept.behind)
    except ValueError as error:
        raise DamagedFile(path, f"{error}; {DAMAGED}") from None


def _filter(number: int, weight: NDArray[np.float32], codes: Codes) -> Filter:
    """The words that excite one filter (4, W), in windows (n, L)."""
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
class _KeptFilter:
    """A `Filter`, its motif as rows of A, C, G and T."""

    number: int
    words: int
    windows: int
    motif: list[list[float]] | None
    matches: list[MotifMatch]
    behind: float | None


@dataclass(frozen=True)
class _Kept:
    filters: list[_KeptFilter]
    windows: int
    behind: str | None


KEPT_FILE: KeptFile[_Kept] = kept_file(runs.FILTERS, _Kept)


def _packed(one: Filter) -> _KeptFilter:
    matrix = one.motif.probabilities.round(6).tolist() if one.motif else None
    return _KeptFilter(one.number, one.words, one.windows, matrix, one.matches, one.behind)


def _unpacked(kept: _KeptFilter) -> Filter:
    motif = None
    if kept.motif is not None:
        if not kept.matches:
            raise ValueError(f"filter {kept.number}: a motif without its nearest ones")
        probabilities = np.maximum(np.array(kept.motif, dtype=np.float64), 1e-6)
        motif = Motif(f"filter {kept.number}", "", probabilities / probabilities.sum(axis=0))
    return Filter(kept.number, kept.words, kept.windows, motif, kept.matches, kept.behind)
