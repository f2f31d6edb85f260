"""Simulate the built-in data set: random chromosomes of human composition, scanned with a motif of JASPAR."""

from dataclasses import dataclass

import numpy as np

from tfbind.dna import Codes
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
