"""Called sites in a reader's terms: strand, letters, how often such a score comes by chance, observed scores."""

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
    """The sites that a model calls in simulated DNA of human composition: sorted scores, and the bases looked at."""

    scores: NDArray[np.float64]
    bases: int

    def bases_per_site(self, score: float) -> float:
        """In how many bases of background one site of at least this score is found; infinite if none was."""
        found = len(self.scores) - int(np.searchsorted(self.scores, score))
        return self.bases / found if found else float("inf")

    def percentile(self, score: float) -> float:
        """Which share of the background's sites score lower, in percent."""
        return 100 * float(np.searchsorted(self.scores, score)) / max(len(self.scores), 1)


def background(model: Model, threshold: float, bases: int = BACKGROUND_BASES, both: bool = False) -> Background:
    """What `model` calls by chance at `threshold`: the background that sites are held against."""
    codes = simulate_chromosome(np.random.default_rng(BACKGROUND_SEED))[0, :bases]
    if model.length is not None:
        codes = codes[: len(codes) // model.length * model.length]
    found = call_sites(score(model, codes, both=both).scores, threshold)
    return Background(np.sort([site.score for site in found]), len(codes))


def motif_hits(known: Scan | None, codes: Codes) -> list[Hit]:
    """The matches of a known motif in one sequence (L,), both strands, by position; none where no motif is known."""
    return _hits_of_all(known, codes[None])[0] if known else []


def _hits_of_all(known: Scan, codes: Codes) -> list[list[Hit]]:
    """The same for each of several sequences (N, L)."""
    motif = known.motif
    found: list[list[Hit]] = [[] for _ in codes]
    for strand, scores in zip("+-", scan(motif, codes), strict=True):
        rows, starts = find_hits(scores, known.threshold)
        for row, at, height in zip(rows.tolist(), starts.tolist(), scores[rows, starts].tolist(), strict=True):
            found[row].append(Hit(at, at + motif.width, strand, height))
    return [sorted(each, key=lambda hit: (hit.start, hit.strand)) for each in found]


def strand_of(site: Site, found: list[Hit]) -> str:
    """The strand of the best motif match that overlaps a site, `.` if none does."""
    inside = [hit for hit in found if hit.start < site.end and hit.end > site.start]
    return max(inside, key=lambda hit: hit.score).strand if inside else "."


class Strands:
    """The strand of each called site of a record, in its order, by the known motif; `.` where that has no match.

    Args:
        read: the codes of the record from start to end (exclusive).
        length: bases of the record.
        known: the motif; None where none is known.
    """

    def __init__(self, read: Callable[[int, int], Codes], length: int, known: Scan | None) -> None:
        self.read, self.length, self.known = read, length, known
        self.start, self.end, self.hits = 0, 0, list[Hit]()

    @classmethod
    def of_several(
        cls, reads: Sequence[Callable[[int, int], Codes]], length: int, known: Scan | None
    ) -> list["Strands"]:
        """Those of records of one length, which are scanned together."""
        made = [cls(read, length, known) for read in reads]
        if known and len(made) > 1:
            found = _hits_of_all(known, np.stack([read(0, length) for read in reads]))
            for strands, each in zip(made, found, strict=True):
                strands.start, strands.end, strands.hits = 0, length, each
        return made

    def of(self, site: Site) -> str:
        """`+`, `-` or `.`."""
        width = self.known.motif.width if self.known else 0
        first, last = max(0, site.start - width), min(self.length, site.end + width)
        if first < self.start or last > self.end:
            self._look(first, max(last, min(self.length, first + STRETCH)))
        return strand_of(site, self.hits[self._place(first) : self._place(last)])

    def _look(self, start: int, end: int) -> None:
        found = motif_hits(self.known, self.read(start, end))
        self.hits = [Hit(hit.start + start, hit.end + start, hit.strand, hit.score) for hit in found]
        self.start, self.end = start, end

    def _place(self, start: int) -> int:
        return bisect_left(self.hits, start, key=lambda hit: hit.start)


def describe_sites(codes: Codes, scores: Scores, threshold: float, found: list[Hit]) -> list[dict[str, Any]]:
    """The called sites of one sequence as rows: `start` and `end` are 1-based and inclusive, as people count."""
    return [
        {
            "start": site.start + 1,
            "end": site.end,
            "strand": strand_of(site, found),
            "score": round(site.score, 2),
            "sequence": decode(codes[site.start : site.end]),
        }
        for site in call_sites(scores, threshold)
    ]


def with_chance(rows: list[dict[str, Any]], chance: Background) -> list[dict[str, Any]]:
    """The same rows with how the score of each stands to those of a background."""
    return [
        row
        | {
            "percentile": round(chance.percentile(row["score"]), 1),
            "bases_per_site": chance.bases_per_site(row["score"]),
        }
        for row in rows
    ]


@dataclass(frozen=True, eq=False)
class Observed:
    """The scores (L,) of window `index` of a data set; `same` says whether it has the letters that were asked for."""

    dataset: str
    index: int
    scores: Scores
    same: bool


def find_window(home: Path, name: str, codes: Codes) -> Observed | None:
    """The window called `name`, that of a data set with these letters first; None if no data set has one.

    Raises:
        ValueError: a data set is damaged.
    """
    found = None
    for entry in list_datasets(home):
        data = open_dataset(home, entry["name"])
        for index in np.flatnonzero(data.names == name.encode())[:1].tolist():
            same = np.array_equal(data.codes[index], codes)
            found = Observed(data.name, index, np.array(data.scores[index]), same)
            if same:
                return found
    return found


def index_of(data: Windows, name: str) -> int:
    """The window of a data set that is called `name`.

    Raises:
        ValueError: there is none.
    """
    places = np.flatnonzero(data.names == name.strip().encode())
    if not len(places):
        example = data.names[0].decode(errors="replace")
        raise ValueError(
            f"data set {data.name!r} has no window {quote(name.strip())}; expected a name like {example}"
        )
    return int(places[0])


def draw_window(data: Windows, rng: np.random.Generator) -> int:
    """A window at random, one with a score above zero in its middle half if one is among the first `TRIES` drawn."""
    drawn = rng.integers(len(data), size=TRIES).tolist()
    middle = slice(data.length // 4, -(-3 * data.length // 4))
    return next((index for index in drawn if data.scores[index, middle].max() > 0), drawn[0])
