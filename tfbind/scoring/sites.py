"""Sites: where they are, strand, letters, how often such a score comes by chance; observed scores."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfbind.data import Shares, Windows, human_words, list_datasets, open_dataset, simulate_dna
from tfbind.dna import Codes, decode
from tfbind.motifs import CROWDED, Scan, find_hits, scan
from tfbind.scoring.model import Model, Scores, Site, find_peaks, score
from tfbind.scoring.target import measured
from tfbind.store import quote

BACKGROUND_BASES = 3_000_000
BACKGROUND_SEED = 11
PER_NAT = 20  # classes of scores in which sites of the shipped background are counted
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
    """The sites that a model finds in simulated DNA, those of at least `lowest`: sorted scores, and the bases scored.

    Percentiles are among those of at least `threshold`, that of the model.
    """

    scores: NDArray[np.float64]
    bases: int
    threshold: float = -np.inf
    lowest: float = -np.inf

    def seen(self, score: float) -> int:
        """The sites of at least this score."""
        return len(self.scores) - int(np.searchsorted(self.scores, score))

    def rate(self, score: float) -> str:
        """How often the background has a site of at least this score, in words: two figures and the count."""
        if score < self.lowest:
            return f"{self.rate(self.lowest)} of at least {self.lowest:.2f}"
        if not (seen := self.seen(score)):
            return f"none in {self.bases:,} bases"
        return f"about 1 in {float(f'{self.bases / seen:.2g}'):,.0f} bases; {seen:,} seen"

    def percentile(self, score: float) -> float:
        """The percentage of background sites that score lower."""
        first, sites = np.searchsorted(self.scores, self.threshold), self.seen(self.threshold)
        return 100 * max(float(np.searchsorted(self.scores, score) - first), 0.0) / max(sites, 1)


def background(
    model: Model, both: bool = False, shares: Shares | None = None, bases: int = BACKGROUND_BASES
) -> Background:
    """Find sites in simulated DNA, as a background for those of a sequence.

    Args:
        model: the model.
        both: average with the scores of the reverse complement.
        shares: of the words in the DNA, by `word_shares`; None for human DNA.
        bases: of simulated DNA.

    Returns:
        The sites, from half of the model's threshold on.
    """
    if model.hash == measured()["weights"] and shares is None and bases == BACKGROUND_BASES:
        return _shipped_background(model.target.threshold, both)
    rng = np.random.default_rng(BACKGROUND_SEED)
    codes = simulate_dna(rng, human_words() if shares is None else shares, bases)
    if model.length is not None:
        codes = codes[: len(codes) // model.length * model.length]
    threshold = model.target.threshold
    sites = find_sites(score(model, codes, both=both).scores, threshold / 2, motif_hits(model.target.scan, codes))
    return Background(np.sort([site.score for site in sites]), len(codes), threshold, threshold / 2)


def _shipped_background(threshold: float, both: bool) -> Background:
    """That of the model that ships: sites were counted by score, in twentieths."""
    lowest, counts = measured()["background"]["both" if both else "forward"]
    scores = np.repeat(lowest + np.arange(len(counts)) / PER_NAT, counts)
    return Background(scores, BACKGROUND_BASES, threshold, lowest)


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


def find_sites(scores: Scores, threshold: float, hits: Sequence[Hit]) -> list[Site]:
    """Find the sites of a sequence: the matches of a known motif, and peaks of the profile where there is none.

    A match scores as high as the highest of its bases that no stronger match covers; one that is covered throughout
    is no site. Where sites lie does not depend on the threshold.

    Args:
        scores: (L,).
        threshold: the least score of a site.
        hits: the motif matches, by position.

    Returns:
        The sites by position; those of matches may overlap.
    """
    owner = np.full(len(scores), -1)
    for number in sorted(range(len(hits)), key=lambda number: (hits[number].score, -number)):
        owner[hits[number].start : hits[number].end] = number
    sites = []
    for number, hit in enumerate(hits):
        own = np.flatnonzero(owner[hit.start : hit.end] == number) + hit.start
        if len(own) and scores[own].max() >= threshold:
            summit = int(own[scores[own].argmax()])
            sites.append(Site(hit.start, hit.end, float(scores[summit]), summit, hit.strand))
    for peak in find_peaks(scores, threshold):
        if owner[peak.summit] < 0 and 2 * np.count_nonzero(owner[peak.start : peak.end] >= 0) < peak.end - peak.start:
            sites.append(peak)
    return sorted(sites, key=lambda site: (site.start, site.end, site.strand))


class Matches:
    """The matches of the known motif in a record, looked for a stretch at a time.

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
    ) -> list["Matches"]:
        """The matches in records of one length, which are scanned together."""
        several = [cls(read, length, motif_scan) for read in reads]
        if motif_scan and len(several) > 1:
            hits = _hits_of_all(motif_scan, np.stack([read(0, length) for read in reads]))
            for matches, row_hits in zip(several, hits, strict=True):
                matches.start, matches.end, matches.hits = 0, length, row_hits
        return several

    def between(self, start: int, end: int) -> list[Hit]:
        """The matches that have a base from start to end (exclusive), by position."""
        if self.motif_scan is None:
            return []
        first = max(0, start - self.motif_scan.motif.width + 1)
        if first < self.start or end > self.end:
            self._look(self.motif_scan, first, max(end, min(self.length, first + STRETCH)))
        return self.hits[self._place(first) : self._place(end)]

    def _look(self, motif_scan: Scan, start: int, end: int) -> None:
        """Find the matches that begin from start to end (exclusive): those nearby tell which are crowded out."""
        first, last = max(0, start - CROWDED), min(self.length, end + CROWDED + motif_scan.motif.width)
        hits = motif_hits(motif_scan, self.read(first, last))
        placed = (Hit(hit.start + first, hit.end + first, hit.strand, hit.score) for hit in hits)
        self.hits = [hit for hit in placed if start <= hit.start < end]
        self.start, self.end = start, end

    def _place(self, start: int) -> int:
        return bisect_left(self.hits, start, key=lambda hit: hit.start)


def describe_sites(codes: Codes, scores: Scores, threshold: float, hits: list[Hit]) -> list[dict[str, Any]]:
    """Find the sites of a sequence, as rows of a table.

    Args:
        codes: (L,).
        scores: (L,).
        threshold: the least score of a site.
        hits: the motif matches.

    Returns:
        Rows with `start` and `end` (1-based, inclusive), `strand`, `score` and `sequence`.
    """
    return [
        {
            "start": site.start + 1,
            "end": site.end,
            "strand": site.strand,
            "score": round(site.score, 2),
            "sequence": decode(codes[site.start : site.end]),
        }
        for site in find_sites(scores, threshold, hits)
    ]


def with_chance(rows: list[dict[str, Any]], background: Background) -> list[dict[str, Any]]:
    """Add to rows of sites how their scores compare with a background.

    Args:
        rows: from `describe_sites`.
        background: of the same model.

    Returns:
        The rows with `percentile` and `by_chance`.
    """
    return [
        row
        | {
            "percentile": round(background.percentile(row["score"]), 1),
            "by_chance": background.rate(row["score"]),
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
