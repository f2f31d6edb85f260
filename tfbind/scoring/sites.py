"""Called sites for a reader: strand, letters, how often such a score comes by chance; observed scores."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfbind.data import Windows, list_datasets, open_dataset, simulate_chromosome
from tfbind.dna import Codes, decode
from tfbind.motifs import Scan, find_hits, scan
from tfbind.scoring.model import Model, Scores, Site, call_sites, score
from tfbind.store import quote

BACKGROUND_BASES = 300_000
BACKGROUND_SEED = 11
STRETCH = 1 << 18  # bases that are scanned at a time
TRIES = 500


@dataclass(frozen=True)
class Hit:
    """A match of a known motif: 0-based half-open, on the strand `+` or `-`, with its log-odds score in nats."""

    start: int
    end: int
    strand: str
    score: float


@dataclass(frozen=True)
class Background:
    """The sites that a model calls in simulated DNA of human composition: sorted scores, and the bases scored."""

    scores: NDArray[np.float64]
    bases: int

    def bases_per_site(self, score: float) -> float:
        """Bases of background per site of at least this score; infinite where there is no such site."""
        sites = len(self.scores) - int(np.searchsorted(self.scores, score))
        return self.bases / sites if sites else float("inf")

    def percentile(self, score: float) -> float:
        """The percentage of background sites that score lower."""
        return 100 * float(np.searchsorted(self.scores, score)) / max(len(self.scores), 1)


def background(model: Model, threshold: float, bases: int = BACKGROUND_BASES, both: bool = False) -> Background:
    """Call sites in simulated DNA, as a background for those of a sequence.

    Args:
        model: the model.
        threshold: the least score of a called site.
        bases: of simulated DNA.
        both: average with the scores of the reverse complement.

    Returns:
        The scores of the sites.
    """
    codes = simulate_chromosome(np.random.default_rng(BACKGROUND_SEED))[0, :bases]
    if model.length is not None:
        codes = codes[: len(codes) // model.length * model.length]
    sites = call_sites(score(model, codes, both=both).scores, threshold)
    return Background(np.sort([site.score for site in sites]), len(codes))


def motif_hits(motif_scan: Scan | None, codes: Codes) -> list[Hit]:
    """Find the matches of a known motif on both strands of a sequence.

    Args:
        motif_scan: the motif and its threshold; None where no motif is known.
        codes: (L,).

    Returns:
        The matches by position; none where no motif is known.
    """
    return _hits_of_all(motif_scan, codes[None])[0] if motif_scan else []


def _hits_of_all(motif_scan: Scan, codes: Codes) -> list[list[Hit]]:
    """The matches in each of several sequences (N, L)."""
    motif = motif_scan.motif
    hits: list[list[Hit]] = [[] for _ in codes]
    for strand, scores in zip("+-", scan(motif, codes), strict=True):
        rows, starts = find_hits(scores, motif_scan.threshold)
        for row, start, height in zip(rows.tolist(), starts.tolist(), scores[rows, starts].tolist(), strict=True):
            hits[row].append(Hit(start, start + motif.width, strand, height))
    return [sorted(row_hits, key=lambda hit: (hit.start, hit.strand)) for row_hits in hits]


def strand_of(site: Site, hits: list[Hit]) -> str:
    """The strand of the best motif match that overlaps a site, `.` if none does."""
    overlapping = [hit for hit in hits if hit.start < site.end and hit.end > site.start]
    return max(overlapping, key=lambda hit: hit.score).strand if overlapping else "."


class Strands:
    """The strand of each called site of a record, in its order, by the known motif; `.` where that has no match.

    Args:
        read: the codes of the record from start to end (exclusive).
        length: bases of the record.
        motif_scan: the motif and its threshold; None where no motif is known.
    """

    def __init__(self, read: Callable[[int, int], Codes], length: int, motif_scan: Scan | None) -> None:
        self.read, self.length, self.motif_scan = read, length, motif_scan
        self.start, self.end, self.hits = 0, 0, list[Hit]()

    @classmethod
    def of_several(
        cls, reads: Sequence[Callable[[int, int], Codes]], length: int, motif_scan: Scan | None
    ) -> list["Strands"]:
        """The strands in records of one length, which are scanned together."""
        several = [cls(read, length, motif_scan) for read in reads]
        if motif_scan and len(several) > 1:
            hits = _hits_of_all(motif_scan, np.stack([read(0, length) for read in reads]))
            for strands, row_hits in zip(several, hits, strict=True):
                strands.start, strands.end, strands.hits = 0, length, row_hits
        return several

    def of(self, site: Site) -> str:
        """The strand of a site: `+`, `-` or `.`."""
        width = self.motif_scan.motif.width if self.motif_scan else 0
        first, last = max(0, site.start - width), min(self.length, site.end + width)
        if first < self.start or last > self.end:
            self._look(first, max(last, min(self.length, first + STRETCH)))
        return strand_of(site, self.hits[self._place(first) : self._place(last)])

    def _look(self, start: int, end: int) -> None:
        hits = motif_hits(self.motif_scan, self.read(start, end))
        self.hits = [Hit(hit.start + start, hit.end + start, hit.strand, hit.score) for hit in hits]
        self.start, self.end = start, end

    def _place(self, start: int) -> int:
        return bisect_left(self.hits, start, key=lambda hit: hit.start)


def describe_sites(codes: Codes, scores: Scores, threshold: float, hits: list[Hit]) -> list[dict[str, Any]]:
    """Call the sites of a sequence, as rows of a table.

    Args:
        codes: (L,).
        scores: (L,).
        threshold: the least score of a called site.
        hits: the motif matches, which give the strands.

    Returns:
        Rows with `start` and `end` (1-based, inclusive), `strand`, `score` and `sequence`.
    """
    return [
        {
            "start": site.start + 1,
            "end": site.end,
            "strand": strand_of(site, hits),
            "score": round(site.score, 2),
            "sequence": decode(codes[site.start : site.end]),
        }
        for site in call_sites(scores, threshold)
    ]


def with_chance(rows: list[dict[str, Any]], background: Background) -> list[dict[str, Any]]:
    """Add to rows of sites how their scores compare with a background.

    Args:
        rows: from `describe_sites`.
        background: of the same model and threshold.

    Returns:
        The rows with `percentile` and `bases_per_site`.
    """
    return [
        row
        | {
            "percentile": round(background.percentile(row["score"]), 1),
            "bases_per_site": background.bases_per_site(row["score"]),
        }
        for row in rows
    ]


@dataclass(frozen=True, eq=False)
class Observed:
    """The observed scores (L,) of window `index` of a data set; `same`: it has the letters that were looked for."""

    dataset: str
    index: int
    scores: Scores
    same: bool


def find_window(home: Path, name: str, codes: Codes) -> Observed | None:
    """Find a window by its name in all data sets.

    Args:
        home: the home of the data sets.
        name: the name of the window.
        codes: (L,) its letters; a window that has them goes before others of the name.

    Returns:
        The window; None where no data set has one of the name.

    Raises:
        ValueError: a data set is damaged.
    """
    observed = None
    for entry in list_datasets(home):
        data = open_dataset(home, entry["name"])
        for index in np.flatnonzero(data.names == name.encode())[:1].tolist():
            same = np.array_equal(data.codes[index], codes)
            observed = Observed(data.name, index, np.array(data.scores[index]), same)
            if same:
                return observed
    return observed


def index_of(data: Windows, name: str) -> int:
    """Find a window of a data set by its name.

    Args:
        data: the data set.
        name: the name of the window.

    Returns:
        Its index.

    Raises:
        ValueError: there is none.
    """
    indices = np.flatnonzero(data.names == name.strip().encode())
    if not len(indices):
        example = data.names[0].decode(errors="replace")
        raise ValueError(
            f"data set {data.name!r} has no window {quote(name.strip())}; expected a name like {example}"
        )
    return int(indices[0])


def draw_window(data: Windows, rng: np.random.Generator) -> int:
    """Draw a window at random, preferably one with a score above zero in its middle half.

    Args:
        data: the data set.
        rng: the generator.

    Returns:
        Its index: the first such window of 500 drawn, or the first of all.
    """
    indices = rng.integers(len(data), size=TRIES).tolist()
    middle = slice(data.length // 4, -(-3 * data.length // 4))
    return next((index for index in indices if data.scores[index, middle].max() > 0), indices[0])
