"""Motifs as position weight matrices: log-odds scans of both strands, and hits painted as per-base scores.

A matrix is (4, W), rows A C G T. Log-odds are natural logarithms against a background of 0.25 per base. A hit is
named by its leftmost base on the forward strand, whichever strand it is on.
"""

import warnings
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfbind.dna import LETTERS, UNKNOWN, Codes

if TYPE_CHECKING:
    import plotly.graph_objects as go

BACKGROUND = 0.25
CROWDED = 5
INFORMATIVE = 0.3  # bits; columns below it are trimmed at the ends
PSEUDOCOUNT = 1.0
RESOLUTION = 0.001
WORD = 5

Scores = NDArray[np.float32]


@dataclass(frozen=True)
class Motif:
    """A position weight matrix. `probabilities` is (4, W), every column sums to one and holds no zero."""

    name: str
    matrix_id: str
    probabilities: NDArray[np.float64]

    def __post_init__(self) -> None:
        matrix = self.probabilities
        if matrix.ndim != 2 or matrix.shape[0] != 4 or matrix.shape[1] == 0:
            raise ValueError(f"motif {self.name}: a matrix of shape {matrix.shape}; expected (4, W), rows A C G T")
        if not (matrix > 0).all() or not np.allclose(matrix.sum(axis=0), 1, atol=0.005):
            raise ValueError(f"motif {self.name}: every probability must be above 0 and every column sum to 1")

    @property
    def width(self) -> int:
        """The number of columns W, the bases that a hit covers."""
        return self.probabilities.shape[1]

    @property
    def log_odds(self) -> NDArray[np.float64]:
        """ln(probability / 0.25), (4, W)."""
        return np.log(self.probabilities / BACKGROUND)

    @property
    def highest(self) -> float:
        """The log-odds of the best possible match."""
        return float(self.log_odds.max(axis=0).sum())

    @property
    def consensus(self) -> str:
        """The likeliest base of each column."""
        return "".join(LETTERS[row] for row in self.probabilities.argmax(axis=0))

    def reverse_complement(self) -> "Motif":
        """The reverse complement: it scores the forward strand as this one scores the reverse strand."""
        return Motif(self.name, self.matrix_id, self.probabilities[::-1, ::-1])


def from_counts(name: str, matrix_id: str, counts: ArrayLike) -> Motif:
    """Make a motif from counts, with one pseudocount per column, shared by the four bases.

    Args:
        name: of the motif.
        matrix_id: its id in JASPAR, or "".
        counts: (4, W).

    Returns:
        The motif.
    """
    padded = np.asarray(counts, dtype=np.float64) + PSEUDOCOUNT * BACKGROUND
    return Motif(name, matrix_id, padded / padded.sum(axis=0))


def jaspar_motif(matrix_id: str = "MA0148.5") -> Motif:
    """Load a motif of JASPAR 2026 (CC BY 4.0) from the copy that pyjaspar installs; by default FOXA1.

    Raises:
        ValueError: no such matrix.
    """
    from pyjaspar import jaspardb  # with Biopython behind it: a page that scans nothing should not wait for them

    database = jaspardb(release="JASPAR2026")
    with closing(database.conn), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is no such matrix is said below
        record = database.fetch_motif_by_id(matrix_id)
    if record is None:
        raise ValueError(f"motif {matrix_id!r}: not in JASPAR 2026; expected an identifier such as MA0148.5")
    return from_counts(record.name, record.matrix_id, [record.counts[base] for base in "ACGT"])


def trimmed(motif: Motif) -> Motif:
    """Trim the uninformative columns at both ends; a motif without informative columns stays whole."""
    informative = np.flatnonzero(information(motif) >= INFORMATIVE)
    if not len(informative):
        return motif
    return Motif(motif.name, motif.matrix_id, motif.probabilities[:, informative[0] : informative[-1] + 1])


def information(motif: Motif) -> NDArray[np.float64]:
    """The information content (W,) of each column in bits: 2 minus its entropy, uncorrected for few sites.

    Schneider and Stephens, Nucleic Acids Research 18, 6097 (1990).
    """
    probabilities = motif.probabilities
    bits: NDArray[np.float64] = 2 + (probabilities * np.log2(probabilities)).sum(axis=0)
    return bits


def scan(motif: Motif, codes: Codes) -> tuple[Scores, Scores]:
    """Scan both strands: the log-odds of the motif at every start.

    Args:
        motif: of width W.
        codes: (N, L); an N adds 0, as a base of background frequency does.

    Returns:
        Two arrays (N, L - W + 1), without columns where the sequences are shorter than the motif.
    """
    fill = -motif.width % WORD
    words = _word_indices(np.pad(codes, ((0, 0), (0, fill)), constant_values=UNKNOWN))
    starts = max(codes.shape[1] - motif.width + 1, 0)
    strands = (motif, motif.reverse_complement())
    forward, reverse = (_sum_words(np.pad(strand.log_odds, ((0, 1), (0, fill))), words, starts) for strand in strands)
    return forward, reverse


def _word_indices(codes: Codes) -> NDArray[np.intp]:
    """The number, base 5 with N, of the word of `WORD` letters at every start: one look-up scores `WORD` columns."""
    starts = max(codes.shape[1] - WORD + 1, 0)
    words = np.zeros((len(codes), starts), dtype=np.intp)
    for offset in range(WORD):
        words *= len(LETTERS)
        words += codes[:, offset : offset + starts]
    return words


def _sum_words(by_code: NDArray[np.float64], words: NDArray[np.intp], starts: int) -> Scores:
    scores = np.zeros((len(words), starts), dtype=np.float32)
    for first in range(0, by_code.shape[1], WORD):
        by_word = np.zeros(1)
        for column in by_code[:, first : first + WORD].T:
            by_word = np.add.outer(by_word, column).ravel()
        scores += by_word.astype(np.float32)[words[:, first : first + starts]]
    return scores


def threshold_of(motif: Motif, p_value: float) -> float:
    """The lowest threshold whose p-value, on one strand at one start, is at most `p_value`.

    The background is 0.25 per base. Exact but for the rounding of each matrix entry to `RESOLUTION`.

    Args:
        motif: to scan with.
        p_value: between 0 and 1.

    Returns:
        The threshold in nats.

    Raises:
        ValueError: the p-value is out of range.
    """
    if not 0 < p_value < 1:
        raise ValueError(f"p-value {p_value}: must lie between 0 and 1")
    steps = np.round(motif.log_odds / RESOLUTION).astype(int)
    distribution = np.ones(1)
    for column in steps.T:
        longer = np.zeros(len(distribution) + np.ptp(column))
        for step in column - column.min():
            longer[step : step + len(distribution)] += BACKGROUND * distribution
        distribution = longer
    p_values = distribution[::-1].cumsum()[::-1]
    lowest = int(np.searchsorted(-p_values, -p_value))
    return (int(steps.min(axis=0).sum()) + lowest) * RESOLUTION


def find_hits(scores: Scores, threshold: float, crowded: int = CROWDED) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find the hits of one strand: scores of at least `threshold`, thinned where they are crowded.

    Of two hits whose starts are fewer than `crowded` bases apart the lower is dropped, of two equal ones the
    earlier. Every pair is judged, also with a hit that another pair drops.

    Args:
        scores: (N, L - W + 1) of one strand, by `scan`.
        threshold: in nats.
        crowded: in bases.

    Returns:
        Rows and starts of the hits, in order.
    """
    rows, starts = np.nonzero(scores >= threshold)
    values = scores[rows, starts]
    keep = np.ones(len(rows), dtype=bool)
    for step in range(1, crowded):
        near = (rows[step:] == rows[:-step]) & (starts[step:] - starts[:-step] < crowded)
        later_wins = values[step:] >= values[:-step]
        keep[:-step] &= ~(near & later_wins)
        keep[step:] &= ~(near & ~later_wins)
    return rows[keep], starts[keep]


def paint(motif: Motif, codes: Codes, threshold: float, window: NDArray[np.intp] | None = None) -> Scores:
    """Paint hits as per-base scores: each hit's score over the bases it covers, 0 elsewhere.

    Where hits of one strand overlap, the one further along that strand covers the other; of the strands the higher
    score counts. This is the rule behind the labels of the course's chromosome 22, as far as windows alone can tell.

    Args:
        motif: to scan with.
        codes: (N, L).
        threshold: the lowest score of a hit, in nats.
        window: the number of each base's window (L,), rising; a hit is painted only in the one in which it starts.

    Returns:
        Scores (N, L).
    """
    forward, reverse = scan(motif, codes)
    window = np.zeros(codes.shape[1], dtype=np.intp) if window is None else window
    return np.maximum(
        _paint_strand(forward, threshold, motif.width, window, order=1),
        _paint_strand(reverse, threshold, motif.width, window, order=-1),
    )


def _paint_strand(scores: Scores, threshold: float, width: int, window: NDArray[np.intp], order: int) -> Scores:
    rows, starts = (indices[::order] for indices in find_hits(scores, threshold))
    painted = np.zeros((len(scores), len(window)), dtype=np.float32)
    bases = starts[:, None] + np.arange(width)
    hit, column = np.nonzero(window[bases] == window[starts][:, None])
    painted[rows[hit], bases[hit, column]] = scores[rows, starts][hit]  # of repeated bases the last is kept
    return painted


def motif_logo(motif: Motif, height: int = 170) -> "go.Figure":
    """Plot the sequence logo of a motif: each column as high as its information, its bases by probability.

    Args:
        motif: the motif.
        height: of the figure, in pixels.

    Returns:
        A Plotly figure.
    """
    from tfbind.figures import logo_figure  # plotly, which nothing else here needs

    return logo_figure(motif.probabilities * information(motif), height)
