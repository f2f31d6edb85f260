"""Scans with one motif as models of a data set's scores: fitted, taken from JASPAR, or the rule behind the labels.

Models are fitted on the examples given, so that held-out windows can be kept from them.
Codes are (N, L), scores (N, L), one per base.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfbind.dna import Codes
from tfbind.metrics import pearson
from tfbind.motifs.discovery import EQUAL, ROUNDING, DiscoveredMotif, discover_motif
from tfbind.motifs.jaspar import ID, vertebrates
from tfbind.motifs.pwm import Motif, Scores, jaspar_motif, paint, threshold_of

P_VALUES = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4)
USUAL_P_VALUE = 1e-3
MOST_WINDOWS = 20_000  # a matrix is read off no better from more
JUDGED = 1_000  # windows on which thresholds and the motifs that are left are told apart
FIRST_LOOK, LEFT = 100, 20  # windows that every motif of JASPAR scans, and how many motifs are then left
SURE = 0.9  # the share of windows that a rule has to paint exactly to be called the rule behind the labels


@dataclass(frozen=True)
class TrainingExamples:
    """Codes (N, L) and their scores (N, L)."""

    codes: Codes
    scores: Scores

    def some(self, count: int) -> "TrainingExamples":
        """A subset of at most `count`, evenly spaced."""
        rows = np.linspace(0, len(self.codes) - 1, min(count, len(self.codes))).astype(int)
        return TrainingExamples(self.codes[rows], self.scores[rows])


@dataclass(frozen=True)
class Scan:
    """A model that scans: a motif and the lowest score of a hit, in nats; predictions are `base` plus `scale` times
    the painted nats."""

    motif: Motif
    threshold: float
    base: float = 0.0
    scale: float = 1.0

    def __call__(self, codes: Codes) -> Scores:
        """Predict scores (N, L) of codes (N, L)."""
        return paint(self.motif, codes, self.threshold) * np.float32(self.scale) + np.float32(self.base)


def fit_scan(examples: TrainingExamples) -> tuple[Scan, DiscoveredMotif] | None:
    """Fit a scan to examples, and tell how; None where no motif explains their scores.

    Painted scores give matrix, threshold and unit exactly, marked hits a threshold too. Of other scores the motif is
    what is enriched where they are high, with the threshold that explains them best.
    """
    discovered = discover_motif(examples.some(MOST_WINDOWS))
    if discovered is None:
        return None
    if discovered.threshold is not None:
        scan = Scan(discovered.motif, discovered.threshold - ROUNDING, discovered.base, discovered.scale)
        return scan, discovered
    return _with_best_threshold(discovered.motif, examples.some(JUDGED)), discovered


def scan_of_origin(origin: Mapping[str, Any]) -> Scan | None:
    """The scan that made the labels by the data set's `origin`, None where no scan did."""
    if origin["kind"] == "simulation":
        return Scan(jaspar_motif(origin["matrix_id"]), float(origin["threshold"]))
    if origin["kind"] == "motif":
        return Scan(
            Motif(origin["motif"], origin["matrix_id"], np.array(origin["matrix"])), float(origin["threshold"])
        )
    return None


def label_scan(origin: Mapping[str, Any], fit: tuple[Scan, DiscoveredMotif] | None) -> Scan | None:
    """The scan that made the labels: by the origin of the data, or a fit that reproduces them.

    Args:
        origin: of the data set.
        fit: of `fit_scan`.

    Returns:
        None where neither is known.
    """
    scan = scan_of_origin(origin)
    if scan is None and fit is not None:
        fitted, discovered = fit
        scan = fitted if discovered.agreement and discovered.agreement.exact >= SURE else None
    return scan


def known_motif(origin: Mapping[str, Any], examples: TrainingExamples) -> tuple[Scan, bool]:
    """A scan with a motif of JASPAR for a data set: the one it was made with, else the vertebrate motif that explains
    the examples best.

    Args:
        origin: of the data set.
        examples: windows to choose by.

    Returns:
        The scan, and whether the data set was made with it.
    """
    rule = scan_of_origin(origin)
    if rule and ID.fullmatch(rule.motif.matrix_id):
        return rule, True
    few, more = examples.some(FIRST_LOOK), examples.some(JUDGED)
    scans = [Scan(motif, threshold_of(motif, USUAL_P_VALUE)) for motif in vertebrates()]
    scans = [scan for scan in scans if scan.motif.width <= few.codes.shape[1]]
    left = sorted(scans, key=lambda scan: -_explained(scan, few))[:LEFT]
    best = max(left, key=lambda scan: _explained(scan, more))
    return _with_best_threshold(best.motif, more), False


def _with_best_threshold(motif: Motif, examples: TrainingExamples) -> Scan:
    scans = [Scan(motif, threshold_of(motif, p_value)) for p_value in P_VALUES]
    return max(scans, key=lambda scan: _explained(scan, examples))


def _explained(scan: Scan, examples: TrainingExamples) -> float:
    return pearson(scan(examples.codes), examples.scores) or 0.0


def all_but_overhang(rule: Scan, codes: Codes, scores: Scores) -> Scores:
    """Replace scores of hits that hang over an edge of a window by those that the rule paints in the window.

    A stretch of one score at an edge that is shorter than the motif, and that the rule does not paint, comes from a
    hit of which the window shows only a part.

    Args:
        rule: the scan that made the labels.
        codes, scores: (N, L).

    Returns:
        Scores (N, L).
    """
    painted = rule(codes)
    end, start = _short_at_end(scores, rule), _short_at_end(scores[:, ::-1], rule)[:, ::-1]
    return np.where((start | end) & (np.abs(painted - scores) > EQUAL * rule.scale), painted, scores)


def _short_at_end(scores: Scores, rule: Scan) -> NDArray[np.bool_]:
    """The bases of a last stretch of one score that a hit has, if it is shorter than the motif."""
    last = scores[:, -1:]
    same = np.logical_and.accumulate((scores == last)[:, ::-1], axis=1)[:, ::-1]
    short: NDArray[np.bool_] = same & (last != np.float32(rule.base)) & (same.sum(axis=1) < rule.motif.width)[:, None]
    return short
