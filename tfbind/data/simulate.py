"""Simulate the built-in data set: random chromosomes of human composition, scanned with a motif of JASPAR."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfbind.dna import Codes, reverse_complement, word_numbers
from tfbind.motifs import Motif, Scores, jaspar_motif, paint, threshold_of

LENGTH = 300
WINDOWS = 12_000
P_VALUE = 1e-3
SEED = 0

CHAINS = 3_000
CHAIN_LENGTH = 1_000

# Share of each pair of neighbours in the human genome (hg19), first base down and second base across, A C G T:
# counted with RSAT's count-words, https://mikelove.wordpress.com/2011/12/02/2-mers/
DINUCLEOTIDES = np.array(
    [
        [0.09777, 0.05034, 0.06992, 0.07727],
        [0.07253, 0.05208, 0.00985, 0.06996],
        [0.05933, 0.04265, 0.05211, 0.05045],
        [0.06567, 0.05935, 0.07266, 0.09805],
    ]
)

HEXAMERS = Path(__file__).with_name("hexamers.txt")
WIDTHS = range(1, 7)
FEWEST_OF_A_WORD = 8  # times that a word occurs on average where DNA is long enough for words of its width

Shares = NDArray[np.float64]  # of the words of one width, by number


@dataclass(frozen=True)
class Simulation:
    """Simulated windows with hits, in genome order, names (N,), codes (N, L), scores (N, L), and their parameters."""

    names: list[str]
    codes: Codes
    scores: Scores
    motif: Motif
    threshold: float
    seed: int


def simulate_windows(windows: int = WINDOWS, seed: int = SEED, motif: Motif | None = None) -> Simulation:
    """Simulate chromosomes and scan them with a motif until there are enough windows with a hit.

    A hit scores at least what one random place in a thousand reaches: then 3.9 % of the positions are scored, as
    on the course's chromosome 22. A name is `sim1_0_299`: chromosome, 0-based start, inclusive end. Windows lie
    on a grid of their length; of a hit across an edge each window has the part inside.

    Args:
        windows: how many.
        seed: of the random numbers.
        motif: to scan with; None for FOXA1 of JASPAR.

    Returns:
        The windows and their parameters.
    """
    motif = motif or jaspar_motif()
    threshold = threshold_of(motif, P_VALUE)
    rng = np.random.default_rng(seed)
    names: list[str] = []
    parts: list[tuple[Codes, Scores]] = []
    while len(names) < windows:
        chromosome = simulate_chromosome(rng)
        codes = chromosome.reshape(-1, LENGTH)
        scores = paint(motif, chromosome, threshold).reshape(-1, LENGTH)
        rows = np.flatnonzero(scores.any(axis=1))[: windows - len(names)]
        parts.append((codes[rows], scores[rows]))
        names += [f"sim{len(parts)}_{start}_{start + LENGTH - 1}" for start in (rows * LENGTH).tolist()]
    all_codes, all_scores = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Simulation(names, all_codes, all_scores, motif, threshold, seed)


def simulate_chromosome(rng: np.random.Generator) -> Codes:
    """Simulate a chromosome (1, CHAINS * CHAIN_LENGTH) by a first-order Markov chain.

    It is made of many short chains that grow side by side; only at their joints are neighbours independent.
    """
    cumulative = (DINUCLEOTIDES / DINUCLEOTIDES.sum(axis=1, keepdims=True)).cumsum(axis=1)[:, :3]
    cumulative = cumulative.astype(np.float32)
    chains = np.empty((CHAIN_LENGTH, CHAINS), dtype=np.uint8)
    shares = DINUCLEOTIDES.sum(axis=1)
    chains[0] = rng.choice(4, size=CHAINS, p=shares / shares.sum())
    for position in range(1, CHAIN_LENGTH):
        draws = rng.random(CHAINS, dtype=np.float32)
        chains[position] = (draws[:, None] >= cumulative[chains[position - 1]]).sum(axis=1)
    return chains.T.reshape(1, -1)


def human_words() -> Shares:
    """The shares of words of 6 bases in human DNA.

    Counted on both strands in windows of chromosome 22 that were chosen for a hit of FOXA1's motif; words in a hit
    count as much less as hits are rarer without that choice.
    """
    counts = np.loadtxt(HEXAMERS).ravel()
    return counts / counts.sum()


def word_shares(sequences: Sequence[Codes]) -> Shares:
    """The shares of words in sequences (L,), on both strands: of as many bases, 6 at most, as there is DNA for."""
    bases = sum(map(len, sequences))
    width = max((width for width in WIDTHS if FEWEST_OF_A_WORD * 4**width <= bases), default=WIDTHS[0])
    counts = np.full(4**width, 0.01)  # no word is impossible
    for codes in sequences:
        for strand in (codes[None], reverse_complement(codes[None])):
            numbers = word_numbers(strand, width)
            counts += np.bincount(numbers[numbers >= 0], minlength=4**width)
    return counts / counts.sum()


def simulate_dna(rng: np.random.Generator, shares: Shares, bases: int) -> Codes:
    """Simulate DNA that has words as often as told: a Markov chain whose order is their width less one.

    Args:
        rng: the generator.
        shares: of the words.
        bases: how many.

    Returns:
        (bases,), made of chains of 1,000 bases that grow side by side.
    """
    by_context = shares.reshape(-1, 4)
    contexts, order = len(by_context), round(np.log(len(by_context)) / np.log(4))
    cumulative = (by_context / by_context.sum(axis=1, keepdims=True)).cumsum(axis=1)[:, :3].astype(np.float32)
    context = rng.choice(contexts, size=-(-bases // CHAIN_LENGTH), p=by_context.sum(axis=1) / shares.sum())
    chains = np.empty((CHAIN_LENGTH, len(context)), dtype=np.uint8)
    for position in range(order):
        chains[position] = context // 4 ** (order - 1 - position) % 4
    for position in range(order, CHAIN_LENGTH):
        draws = rng.random(len(context), dtype=np.float32)
        chains[position] = (draws[:, None] >= cumulative[context]).sum(axis=1)
        context = (context * 4 + chains[position]) % contexts
    return chains.T.ravel()[:bases]
