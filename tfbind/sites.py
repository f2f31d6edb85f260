"""Called sites in a reader's terms: which strand, which letters, and how often such a score comes by chance."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfbind.motifs import Motif, hits, scan
from tfbind.scoring import Model, Scores, Site, call_sites, score
from tfbind.sequences import Codes, decode
from tfbind.simulate import simulate_chromosome

BACKGROUND_BASES = 300_000
BACKGROUND_SEED = 11


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


def background(model: Model, threshold: float, bases: int = BACKGROUND_BASES) -> Background:
    """What `model` calls by chance at `threshold`: the background that sites are held against."""
    codes = simulate_chromosome(np.random.default_rng(BACKGROUND_SEED))[0, :bases]
    if model.length is not None:
        codes = codes[: len(codes) // model.length * model.length]
    found = call_sites(score(model, codes).scores, threshold)
    return Background(np.sort([site.score for site in found]), len(codes))


def motif_hits(motif: Motif, codes: Codes, threshold: float) -> list[Hit]:
    """The matches of a motif in one sequence (L,), both strands, by position."""
    found = []
    for strand, scores in zip("+-", scan(motif, codes[None]), strict=True):
        _, starts = hits(scores, threshold)
        found += [Hit(int(at), int(at) + motif.width, strand, float(scores[0, at])) for at in starts]
    return sorted(found, key=lambda hit: (hit.start, hit.strand))


def strand_of(site: Site, found: list[Hit]) -> str:
    """The strand of the best motif match that overlaps a site, `.` if none does."""
    inside = [hit for hit in found if hit.start < site.end and hit.end > site.start]
    return max(inside, key=lambda hit: hit.score).strand if inside else "."


def describe_sites(
    codes: Codes, scores: Scores, threshold: float, found: list[Hit], chance: Background
) -> list[dict[str, object]]:
    """The called sites of one sequence as rows: `start` and `end` are 1-based and inclusive, as people count."""
    return [
        {
            "start": site.start + 1,
            "end": site.end,
            "strand": strand_of(site, found),
            "score": round(site.score, 2),
            "sequence": decode(codes[site.start : site.end]),
            "percentile": round(chance.percentile(site.score), 1),
            "bases_per_site": chance.bases_per_site(site.score),
        }
        for site in call_sites(scores, threshold)
    ]
