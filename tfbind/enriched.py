"""The motif that is common where scores are high and rare where they are low, for scores that no scan has made."""

import numpy as np
from numpy.typing import NDArray

from tfbind.motifs import Motif, Scores, from_counts, scan, trimmed
from tfbind.sequences import UNKNOWN, Codes, reverse_complement

FEWEST_WINDOWS = 100
PEAK_WINDOWS = 2_000
AROUND_PEAK = 40
WORD = 7
FLANK = 4
TURNS = 20


def enriched_motif(codes: Codes, scores: Scores) -> tuple[Motif, int] | None:
    """Align the words that are commoner around the highest scores (N, L) than elsewhere in the windows (N, L).

    Returns:
        The motif, and in how many windows it was searched; None where there are too few, or all are alike.
    """
    means = scores.mean(axis=1)
    length = codes.shape[1]
    if len(means) < FEWEST_WINDOWS or length < WORD + 2 * FLANK or means.max() == means.min():
        return None
    order = np.argsort(means)
    high, low = order[-min(PEAK_WINDOWS, len(order) // 4) :], order[: len(order) // 2]
    peaks = _summits(scores[high]).clip(AROUND_PEAK, max(AROUND_PEAK, length - AROUND_PEAK - 1))
    span = np.arange(-AROUND_PEAK, AROUND_PEAK + 1)
    near = codes[high[:, None], (peaks[:, None] + span).clip(0, length - 1)]
    motif = _seeded(_commonest(near, codes[low]))
    for _ in range(TURNS):
        before = motif.consensus
        motif = _refined(motif, near)
        if motif.consensus == before:
            break
    return trimmed(motif), len(near)


def _summits(scores: Scores) -> NDArray[np.intp]:
    """The middle (N,) of the first stretch that has the highest score of its window."""
    highest = scores == scores.max(axis=1, keepdims=True)
    first = highest.argmax(axis=1)
    behind = ~highest & (np.arange(scores.shape[1]) > first[:, None])
    end = np.where(behind.any(axis=1), behind.argmax(axis=1), scores.shape[1])
    return (first + end - 1) // 2


def _commonest(near: Codes, far: Codes) -> Codes:
    """The word, either strand, in the most windows `near` beyond what its share of windows `far` explains."""
    shares = []
    for codes in (near, far):
        words = np.lib.stride_tricks.sliding_window_view(codes, WORD, axis=1).reshape(-1, WORD)
        words = words[(words != UNKNOWN).all(axis=1)].astype(np.int64)
        powers = 4 ** np.arange(WORD)
        numbers = np.minimum(words @ powers, (3 - words[:, ::-1]) @ powers)
        shares.append((np.bincount(numbers, minlength=4**WORD) + 1) / (len(numbers) + 4**WORD))
    surplus = shares[0] * np.log(shares[0] / shares[1])
    best: Codes = (int(surplus.argmax()) // 4 ** np.arange(WORD) % 4).astype(np.uint8)
    return best


def _seeded(word: Codes) -> Motif:
    counts = np.ones((4, WORD + 2 * FLANK))
    counts[word, FLANK + np.arange(WORD)] += 8
    return from_counts("enriched", "", counts)


def _refined(motif: Motif, near: Codes) -> Motif:
    """Count the bases of each window's best match, where it has one."""
    forward, reverse = scan(motif, near)
    turned = reverse.max(axis=1) > forward.max(axis=1)
    chosen = np.where(turned[:, None], reverse, forward)
    starts, best = chosen.argmax(axis=1), chosen.max(axis=1)
    words = near[np.arange(len(near))[:, None], starts[:, None] + np.arange(motif.width)]
    words = np.where(turned[:, None], reverse_complement(words), words)[best > np.median(best) / 2]
    counts = np.stack([(words == code).sum(axis=0) for code in range(4)])
    return from_counts(motif.name, "", counts)
