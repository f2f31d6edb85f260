"""Discover the motif that explains the scores of a data set: exactly where hits were painted, else by enrichment.

Labels painted by a motif scan are sums of one number per column and base: with the strand of each hit known, these
numbers solve linear equations. The strands are found by turns with the numbers. In which unit the sums are, natural
logarithms or others, follows from the columns' probabilities, each of which adds up to one. Labels that only mark the
hits leave the words of the hits to be counted.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tfbind.dna import UNKNOWN, Codes, reverse_complement, word_numbers
from tfbind.metrics import pearson
from tfbind.motifs.pwm import BACKGROUND, Motif, Scores, from_counts, paint, scan, trimmed

FEWEST_WINDOWS = 100
PEAK_WINDOWS = 2_000
AROUND_PEAK = 40
WORD = 7
FLANK = 4
ENRICHED_TURNS = 20
FEWEST_HITS = 100
PAINTED = 0.7  # of all stretches of one score, the share that has the commonest length, when a motif painted them
WIDTHS = range(4, 41)
TURNS = 20
HALVINGS = 50
STARTS = 10
SAMPLE = 2_000
RAREST = 0.001  # the probability of a base that no hit has in a column
EQUAL = 0.01  # published matrices have three digits, which adds up to some thousandths of a nat
ROUNDING = 1e-3  # what the recovered numbers may be off by
UNITS = (1.0, np.log(2), np.log(10))  # nats in one: of logarithms to the base e, 2 and 10
NOISE = 1.03  # what few words make of a unit
UNSEEN = 1.2  # bases that no hit has make a unit seem so many times as large at most
TRUSTED = 0.5  # the share of the scores' variance that a motif has to explain to be called read off
SHUFFLES = 19  # a motif of true scores beats all of them by chance in one case of twenty
LEFT_OUT = (0.0, 0.02, 0.05, 0.1, 0.2)  # shares of the marked words that a threshold may miss

Places = NDArray[np.intp]


def enriched_motif(codes: Codes, scores: Scores) -> tuple[Motif, int] | None:
    """Find the motif enriched around the highest scores.

    Args:
        codes, scores: (N, L).

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
    motif = _seed_motif(_most_enriched(near, codes[low]))
    for _ in range(ENRICHED_TURNS):
        before = motif.consensus
        motif = _refine(motif, near)
        if motif.consensus == before:
            break
    return trimmed(motif), len(near)


def _summits(scores: Scores) -> NDArray[np.intp]:
    """The middle (N,) of the first stretch that has the highest score of its window (N, L)."""
    highest = scores == scores.max(axis=1, keepdims=True)
    first = highest.argmax(axis=1)
    behind = ~highest & (np.arange(scores.shape[1]) > first[:, None])
    end = np.where(behind.any(axis=1), behind.argmax(axis=1), scores.shape[1])
    return (first + end - 1) // 2


def _most_enriched(near: Codes, far: Codes) -> Codes:
    """The k-mer, on either strand, most enriched in windows `near` over windows `far`: share times log ratio."""
    shares = []
    for codes in (near, far):
        # Of windows read backwards, so that the first base of a word counts least in its number.
        reverse = codes[:, ::-1]
        numbers = np.minimum(word_numbers(reverse, WORD), word_numbers(reverse_complement(reverse), WORD)[:, ::-1])
        numbers = numbers[numbers >= 0]
        shares.append((np.bincount(numbers, minlength=4**WORD) + 1) / (len(numbers) + 4**WORD))
    surplus = shares[0] * np.log(shares[0] / shares[1])
    best: Codes = (int(surplus.argmax()) // 4 ** np.arange(WORD) % 4).astype(np.uint8)
    return best


def _seed_motif(word: Codes) -> Motif:
    counts = np.ones((4, WORD + 2 * FLANK))
    counts[word, FLANK + np.arange(WORD)] += 8
    return from_counts("enriched", "", counts)


def _refine(motif: Motif, near: Codes) -> Motif:
    """The motif of each window's best match, of those that score above half of the median."""
    forward, reverse = scan(motif, near)
    is_reverse = reverse.max(axis=1) > forward.max(axis=1)
    better = np.where(is_reverse[:, None], reverse, forward)
    starts, best = better.argmax(axis=1), better.max(axis=1)
    words = near[np.arange(len(near))[:, None], starts[:, None] + np.arange(motif.width)]
    words = np.where(is_reverse[:, None], reverse_complement(words), words)[best > np.median(best) / 2]
    counts = np.stack([(words == code).sum(axis=0) for code in range(4)])
    return from_counts(motif.name, "", counts)


class Data(Protocol):
    """Codes (N, L) and scores (N, L)."""

    @property
    def codes(self) -> Codes: ...
    @property
    def scores(self) -> Scores: ...


@dataclass(frozen=True)
class MotifAgreement:
    """Agreement of scores with those that a motif paints.

    `r` is Pearson's over all bases. `exact` is the share of windows whose bases, all but the last W - 1, have the
    painted score to 0.01: a hit that hangs over the right edge starts at one of those.
    """

    r: float
    exact: float


@dataclass(frozen=True)
class DiscoveredMotif:
    """A motif that explains the scores of a data set.

    `how` is `painted` (solved from stretches of one score each: a score is `base` plus `scale` times nats), `marked`
    (the words of such stretches counted, where their scores give no matrix) or `enriched` (found where scores are
    high). `threshold` is the score of the lowest hit, in nats. `explained` is the squared Pearson correlation of the
    scores with those that the motif paints, or, if it is marked, with where it has hits; of an enriched one, that of
    each window's mean score with its best match.
    """

    motif: Motif
    how: Literal["painted", "marked", "enriched"]
    hits: int
    explained: float
    threshold: float | None = None
    agreement: MotifAgreement | None = None
    base: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True)
class _ScaledData:
    """Codes (N, L) and scores (N, L) in nats."""

    codes: Codes
    scores: Scores


def discover_motif(data: Data) -> DiscoveredMotif | None:
    """Discover the motif that explains scores best; None where none is found."""
    base = _commonest_score(data.scores)
    rows, starts, lengths, values = _stretches(data.scores, base)
    width = int(np.bincount(lengths).argmax()) if len(lengths) else 0
    whole = lengths == width
    if width in WIDTHS and whole.sum() >= FEWEST_HITS and whole.mean() >= PAINTED:
        words = data.codes[rows[whole, None], starts[whole, None] + np.arange(width)]
        known = (words != UNKNOWN).all(axis=1)
        motif = _from_hits(data, words[known], values[whole][known] - base, base)
        if motif is not None:
            return motif
    return _enriched(data)


def _from_hits(data: Data, words: Codes, values: Scores, base: float) -> DiscoveredMotif | None:
    """The motif of words (n, W) and their scores above `base` (n,); None where none explains the data."""
    if len(words) < FEWEST_HITS:
        return None
    if np.ptp(values) > 0:
        painted = _painted(data, words, values, base)
        if painted.explained >= TRUSTED:
            return painted
    marked = _marked(data, words, base)
    return marked if marked.explained >= TRUSTED else None


def agreement(data: Data, motif: Motif, threshold: float) -> MotifAgreement:
    """Paint windows with a motif, each by itself, and compare the scores; `threshold` is in nats."""
    painted = paint(motif, data.codes, threshold)
    inside = slice(0, data.codes.shape[1] - motif.width + 1)
    exact = (np.abs(painted[:, inside] - data.scores[:, inside]) < EQUAL).all(axis=1)
    return MotifAgreement(pearson(painted, data.scores) or 0.0, float(exact.mean()))


def _commonest_score(scores: Scores) -> float:
    """The commonest score, that of bases without a hit."""
    values, counts = np.unique(scores[:: max(1, len(scores) // SAMPLE)], return_counts=True)
    return float(values[counts.argmax()])


def _stretches(scores: Scores, base: float) -> tuple[Places, Places, Places, Scores]:
    """Rows, starts, lengths and values of the stretches of one score that is not `base`, in order."""
    edges = np.ones((len(scores), scores.shape[1] + 1), dtype=bool)
    edges[:, 1:-1] = scores[:, 1:] != scores[:, :-1]
    rows, bounds = np.nonzero(edges)
    same = rows[1:] == rows[:-1]
    rows, starts, ends = rows[:-1][same], bounds[:-1][same], bounds[1:][same]
    values = scores[rows, starts]
    scored = values != base
    return rows[scored], starts[scored], (ends - starts)[scored], values[scored]


# Painted scores


def _painted(data: Data, words: Codes, values: Scores, base: float) -> DiscoveredMotif:
    """Solve for the log-odds from words (n, W) and their scores (n,), and for the strand of each by turns."""
    both = np.stack([words, reverse_complement(words)])
    order = np.argsort(-values, kind="stable")
    # The strongest first: the fewer words a start has to agree with, the surer it is of their strands.
    strongest = order[: max(FEWEST_HITS // 2, len(order) // 20)]
    sample = order[:: max(1, len(order) // SAMPLE)]
    starts = [
        _solve(both[:, strongest], values[strongest], _word_odds(words[row]))
        for row in strongest[:: len(strongest) // STARTS]
    ]
    solutions = [_solve(both[:, sample], values[sample], odds) for odds in starts]
    best = min(solutions, key=lambda odds: _misfit(odds, both[:, sample], values[sample]))
    odds = _solve(both, values, best)
    scale = 1 / _nats(odds)
    threshold = float(values.min()) / scale
    motif = Motif("recovered", "", _normalised(odds / scale, threshold))
    in_nats = _ScaledData(data.codes, ((data.scores - np.float32(base)) / np.float32(scale)).astype(np.float32))
    # Words and their sums are the same on both strands, but where hits overlap, the strand says which covers which.
    strands = [
        (agreement(in_nats, strand, threshold - ROUNDING), strand) for strand in (motif, motif.reverse_complement())
    ]
    agrees, motif = max(strands, key=lambda strand: (strand[0].exact, strand[0].r))
    return DiscoveredMotif(motif, "painted", len(words), agrees.r**2, threshold, agrees, base, scale)


def _word_odds(word: Codes) -> NDArray[np.float64]:
    """The log-odds (4, W) of a motif with a single site, the word (W,)."""
    return from_counts("", "", _indicator(word[None]).reshape(-1, 4).T).log_odds


def _solve(both: Codes, values: Scores, odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit log-odds to the scores of words: least squares and the choice of strands by turns, until none changes.

    Args:
        both: words on the forward and on the reverse strand, (2, n, W).
        values: the scores (n,).
        odds: (4, W) to begin with.

    Returns:
        (4, W), NaN where no word has the base.
    """
    before = None
    for _ in range(TURNS):
        is_reverse = _sums(odds, both[1]) > _sums(odds, both[0])
        if before is not None and (is_reverse == before).all():
            break
        before = is_reverse
        indicator = _indicator(np.where(is_reverse[:, None], both[1], both[0]))
        seen = indicator.T @ indicator
        solution = np.linalg.lstsq(seen, indicator.T @ values.astype(np.float64), rcond=1e-10)[0]
        odds = np.where(seen.diagonal() == 0, np.nan, solution).astype(np.float64).reshape(-1, 4).T
    return odds


def _misfit(odds: NDArray[np.float64], both: Codes, values: Scores) -> float:
    """Mean squared error, each word on the strand that fits better."""
    predicted = np.maximum(_sums(odds, both[0]), _sums(odds, both[1]))
    return float(((predicted - values) ** 2).mean())


def _indicator(words: Codes) -> NDArray[np.float64]:
    """One row a word (n, 4 W): 1 at each column's base."""
    indicator = np.zeros((len(words), words.shape[1] * 4))
    indicator[np.arange(len(words))[:, None], np.arange(words.shape[1]) * 4 + words] = 1
    return indicator


def _sums(odds: NDArray[np.float64], words: Codes) -> NDArray[np.float64]:
    filled = np.where(np.isnan(odds), np.log(RAREST / BACKGROUND), odds)
    sums: NDArray[np.float64] = filled[words, np.arange(words.shape[1])].sum(axis=1)
    return sums


def _nats(odds: NDArray[np.float64]) -> float:
    """The nats in one unit of log-odds (4, W) that are known up to a constant for each column, which cancel.

    Multiplied by that, each column's probabilities add up to one, and so do the logarithms of their sums to zero. Of
    all numbers above 0 only one does that. Bases that were never seen make it seem larger: of units that are in use
    the nearest below is then taken.
    """
    unseen = np.isnan(odds)
    known = np.where(unseen, -np.inf, odds)
    whole = np.log(1 - RAREST * unseen.sum(axis=0))

    def excess(nats: float) -> float:
        return float((np.logaddexp.reduce(known * nats, axis=0) + np.log(BACKGROUND) - whole).sum())

    low = high = 1 / max(float(np.nanmax(np.abs(odds))), 1e-30)
    while excess(high) <= 0 and high < low * 1e6:
        high *= 2
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if excess(middle) > 0 else (middle, high)
    return next((unit for unit in UNITS if unit / NOISE <= high <= unit * UNSEEN), high)


def _normalised(odds: NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
    """Probabilities (4, W) whose log-odds add up as `odds` do.

    The sums leave one constant for each column open. It follows from a column's sum of one; where bases were never
    seen, what they have of that one is what the constants, which must cancel, leave to them. They share it equally,
    but none has so much that the best word with it would reach `threshold`: then it would have been seen.
    """
    unseen = np.isnan(odds)
    weights = np.where(unseen, 0.0, np.exp(np.where(unseen, 0.0, odds)) * BACKGROUND)
    seen = weights.sum(axis=0)
    left = float(np.exp(np.log(seen).sum()))  # the product of what the seen bases have of each column
    best = np.nanmax(odds, axis=0)
    limits = BACKGROUND * np.exp(threshold - (best.sum() - best)) / seen * min(left, 1.0)
    rare = _unseen_probabilities(unseen, np.where(unseen, np.minimum(limits, 1.0), 0.0), left)
    columns = np.where(unseen, rare, np.maximum(weights / seen * (1 - rare.sum(axis=0)), 1e-6))
    return columns / columns.sum(axis=0)


def _unseen_probabilities(unseen: NDArray[np.bool_], limits: NDArray[np.float64], left: float) -> NDArray[np.float64]:
    """The probabilities (4, W) of bases that were never seen, 0 at the others: the same for all, up to `limits`, such
    that the product of what they leave of the columns is `left`; without regard to `limits` where that cannot be."""

    def share(probability: float, limit: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(unseen, np.clip(probability, RAREST, np.maximum(limit, RAREST)), 0.0)

    def product(probability: float, limit: NDArray[np.float64]) -> float:
        return float(np.prod(np.maximum(1 - share(probability, limit).sum(axis=0), 0.0)))

    limit = limits if product(1.0, limits) <= left else np.ones_like(limits)
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if product(middle, limit) <= left else (middle, high)
    return share(low, limit)


# Marked hits


def _marked(data: Data, words: Codes, base: float) -> DiscoveredMotif:
    """The motif of the words (n, W) of marked hits, counted on the strand that fits better, by turns."""
    both = np.stack([words, reverse_complement(words)])
    motifs = [_count_motif(both, word) for word in words[:: max(1, len(words) // STARTS)]]
    fits = [_best_of_both(motif, both).mean() for motif in motifs]
    motif = motifs[int(np.argmax(fits))]
    some = slice(None, None, max(1, len(data.codes) // SAMPLE))
    codes, scores = data.codes[some], data.scores[some]
    thresholds = np.quantile(_best_of_both(motif, both), LEFT_OUT) - ROUNDING
    r = [pearson((paint(motif, codes, threshold) != 0).astype(np.float32), scores) or 0.0 for threshold in thresholds]
    best = int(np.argmax(r))
    return DiscoveredMotif(motif, "marked", len(words), r[best] ** 2, float(thresholds[best]), base=base)


def _count_motif(both: Codes, word: Codes) -> Motif:
    """The motif of words on both strands, (2, n, W), counted by turns with their strands, beginning with `word`."""
    odds, before = _word_odds(word), None
    for _ in range(TURNS):
        is_reverse = _sums(odds, both[1]) > _sums(odds, both[0])
        if before is not None and (is_reverse == before).all():
            break
        before = is_reverse
        motif = from_counts(
            "recovered", "", _indicator(np.where(is_reverse[:, None], both[1], both[0])).sum(axis=0).reshape(-1, 4).T
        )
        odds = motif.log_odds
    return motif


def _best_of_both(motif: Motif, both: Codes) -> NDArray[np.float64]:
    """The score (n,) of each word on the strand that fits better."""
    return np.maximum(_sums(motif.log_odds, both[0]), _sums(motif.log_odds, both[1]))


# Measured scores


def _enriched(data: Data) -> DiscoveredMotif | None:
    """The motif enriched around high scores; None where shuffled scores explain as much by one of their own."""
    some = slice(None, None, max(1, len(data.codes) // SAMPLE))
    codes, scores = np.asarray(data.codes[some]), np.asarray(data.scores[some])
    measured, rng = _explained_by_enrichment(codes, scores), np.random.default_rng(0)
    if measured is None:
        return None
    for _ in range(SHUFFLES):
        shuffled = _explained_by_enrichment(codes, scores[rng.permutation(len(scores))])
        if shuffled and shuffled.explained >= measured.explained:
            return None
    return _explained_by_enrichment(data.codes, data.scores)


def _explained_by_enrichment(codes: Codes, scores: Scores) -> DiscoveredMotif | None:
    """The motif enriched around high scores, its best matches correlated with the means of all windows."""
    enriched = enriched_motif(codes, scores)
    if enriched is None:
        return None
    motif, windows = enriched
    best = np.maximum(*(strand.max(axis=1) for strand in scan(motif, codes)))
    r = pearson(best, scores.mean(axis=1)) or 0.0
    return DiscoveredMotif(motif, "enriched", windows, max(r, 0.0) ** 2)
