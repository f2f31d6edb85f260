"""Scans against Biopython, thresholds against full enumeration, painting by hand and against the real labels."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from Bio.motifs.matrix import PositionSpecificScoringMatrix
from forkhead import FORKHEAD
from hypothesis import given, strategies as st

from tfbind.data.pairs import read_pair
from tfbind.dna.codes import encode, reverse_complement
from tfbind.motifs.pwm import Motif, find_hits, from_counts, jaspar_motif, paint, scan, threshold_of

HALF = np.array([[0.5, 0.25], [0.25, 0.25], [0.125, 0.25], [0.125, 0.25]])


def random_motif(width: int, seed: int = 0) -> Motif:
    return Motif("random", "", np.random.default_rng(seed).dirichlet(np.ones(4) * 2, width).T)


def codes_of(*sequences: str) -> np.ndarray:
    return np.stack([encode(sequence) for sequence in sequences])


def test_log_odds_are_natural_logarithms_against_a_quarter() -> None:
    assert Motif("half", "", HALF).log_odds[:, 0] == pytest.approx([math.log(2), 0, -math.log(2), -math.log(2)])


def test_a_scan_worked_by_hand() -> None:
    motif = Motif("half", "", HALF)  # ln 2 for A, 0 for C, -ln 2 for G and T; the second column says nothing
    forward, reverse = scan(motif, codes_of("AGCN"))
    assert forward[0] == pytest.approx(np.log([2, 0.5, 1]))
    # The other strand reads N G C T: its hits begin at its 3rd, 2nd and 1st base, which lie at starts 0, 1 and 2.
    assert reverse[0] == pytest.approx(np.log([1, 0.5, 1]))


@pytest.mark.parametrize("width", [1, 4, 5, 6, 10, 23])
def test_a_scan_is_biopythons(width: int) -> None:
    motif = random_motif(width)
    sequence = "".join(np.random.default_rng(1).choice(list("ACGT"), 200))
    matrix = PositionSpecificScoringMatrix(
        "ACGT", dict(zip("ACGT", (motif.log_odds / math.log(2)).tolist(), strict=True))
    )
    forward, reverse = scan(motif, codes_of(sequence))
    assert forward[0] / math.log(2) == pytest.approx(np.atleast_1d(matrix.calculate(sequence)), abs=1e-4)
    other = np.atleast_1d(matrix.reverse_complement().calculate(sequence))
    assert reverse[0] / math.log(2) == pytest.approx(other, abs=1e-4)


@given(st.lists(st.integers(0, 4), min_size=0, max_size=40), st.integers(1, 12))
def test_scanning_the_other_strand_swaps_and_mirrors_the_scores(letters: list[int], width: int) -> None:
    motif, codes = random_motif(width), np.array([letters], dtype=np.uint8)
    forward, reverse = scan(motif, codes)
    other_forward, other_reverse = scan(motif, reverse_complement(codes))
    assert forward.shape == (1, max(len(letters) - width + 1, 0))
    assert np.allclose(other_forward[:, ::-1], reverse, atol=1e-4)
    assert np.allclose(other_reverse[:, ::-1], forward, atol=1e-4)


def test_a_pseudocount_is_shared_by_the_four_bases() -> None:
    motif = from_counts("m", "id", [[3], [0], [0], [0]])
    assert motif.probabilities[:, 0] == pytest.approx([3.25 / 4, 0.25 / 4, 0.25 / 4, 0.25 / 4])


@pytest.mark.parametrize(
    ("matrix", "says"),
    [
        (np.full((3, 5), 1 / 3), r"expected \(4, W\)"),
        (np.ones(4), r"expected \(4, W\)"),
        (np.empty((4, 0)), r"expected \(4, W\)"),
        (np.array([[1.0], [0.0], [0.0], [0.0]]), "above 0"),
        (np.full((4, 2), 0.3), "sum to 1"),
        (np.full((4, 2), np.nan), "above 0"),
    ],
)
def test_what_is_no_probability_matrix_is_refused(matrix: np.ndarray, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Motif("bad", "", matrix)


def test_jaspars_foxa1_has_the_forkhead_consensus() -> None:
    motif = jaspar_motif()
    assert (motif.name, motif.matrix_id, motif.consensus) == ("FOXA1", "MA0148.5", "GTAAACAT")
    assert motif.reverse_complement().consensus == "ATGTTTAC"


@pytest.mark.parametrize("matrix_id", ["MA9999.9", "MA0148.99", "FOXA1", ""])
def test_a_motif_that_jaspar_lacks_is_named(matrix_id: str) -> None:
    with pytest.raises(ValueError, match=f"'{matrix_id}': not in JASPAR 2026"):
        jaspar_motif(matrix_id)


def test_an_identifier_without_version_means_the_newest() -> None:
    assert jaspar_motif("MA0148").matrix_id == "MA0148.5"


@pytest.mark.parametrize("p_value", [1e-3, 0.01, 0.05, 0.3])
def test_a_threshold_is_reached_as_often_as_all_words_say(p_value: float) -> None:
    motif = random_motif(6)
    words = np.array(list(itertools.product(range(4), repeat=6)), dtype=np.uint8)
    scores = scan(motif, words)[0][:, 0]
    threshold = threshold_of(motif, p_value)
    rounding = 6 * 0.0005  # six entries, each off by half a step at most
    assert (scores >= threshold + rounding).mean() <= p_value
    assert (scores >= threshold - rounding - 0.001).mean() > p_value


@pytest.mark.parametrize("p_value", [0, 1, -0.1, math.nan])
def test_a_p_value_outside_its_range_is_refused(p_value: float) -> None:
    with pytest.raises(ValueError, match="p-value"):
        threshold_of(random_motif(3), p_value)


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ({10: 7}, [10]),
        ({10: 5.99}, []),
        ({10: 6}, [10]),
        ({10: 7, 15: 8}, [10, 15]),  # five apart: both stay
        ({10: 7, 14: 8}, [14]),  # four apart: the lower goes
        ({10: 8, 14: 7}, [10]),
        ({10: 7, 14: 7}, [14]),  # of equal ones the earlier goes
        ({10: 7, 14: 8, 18: 9}, [18]),  # 14 falls to 18, but 10 has fallen to 14 all the same
        ({10: 9, 14: 8, 18: 7}, [10]),
        ({10: 8, 12: 7, 14: 8}, [14]),
        ({10: 8, 14: 5}, [10]),  # what is below the threshold drops nothing
    ],
)
def test_crowded_hits_are_thinned(scores: dict[int, float], kept: list[int]) -> None:
    row = np.full((1, 40), -9, dtype=np.float32)
    row[0, list(scores)] = list(scores.values())
    rows, starts = find_hits(row, 6)
    assert (rows.tolist(), starts.tolist()) == ([0] * len(kept), kept)


def test_hits_of_different_sequences_do_not_crowd_each_other() -> None:
    scores = np.full((2, 10), -9, dtype=np.float32)
    scores[0, 9], scores[1, 0] = 7, 8
    rows, starts = find_hits(scores, 6)
    assert (rows.tolist(), starts.tolist()) == ([0, 1], [9, 0])


def test_painting_worked_by_hand() -> None:
    certain = Motif("GATA", "", np.full((4, 4), 0.01) + 0.96 * np.eye(4)[:, [2, 0, 3, 0]])
    best = 4 * math.log(0.97 / 0.25)
    painted = paint(certain, codes_of("CGATACCTATCC"), threshold=best - 0.01)
    assert painted[0] == pytest.approx([0, best, best, best, best, 0, 0, best, best, best, best, 0])  # TATC is GATA


def test_where_hits_overlap_the_higher_strand_wins() -> None:
    motif = random_motif(6, seed=3)
    codes = np.random.default_rng(4).integers(0, 4, (40, 60), dtype=np.uint8)
    both = paint(motif, codes, threshold=1.0)
    other = paint(motif, reverse_complement(codes), threshold=1.0)
    forward, reverse = scan(motif, codes)
    highest = np.zeros_like(both)
    for start in range(forward.shape[1]):
        score = np.maximum(forward[:, start], reverse[:, start])[:, None]
        highest[:, start : start + 6] = np.maximum(highest[:, start : start + 6], np.where(score >= 1, score, 0))
    assert (both <= highest).all()
    assert ((both > 0) == (other[:, ::-1] > 0)).mean() > 0.9  # only ties depend on the direction


def test_sequences_shorter_than_the_motif_are_not_scored() -> None:
    assert paint(random_motif(8), codes_of("ACGT"), threshold=0).tolist() == [[0, 0, 0, 0]]


def test_painting_gives_the_real_labels(real_pair: tuple[Path, Path]) -> None:
    """97.9 % of the windows exactly; the rest depend on bases that the windows do not show.

    Positions 0-290 are judged: hits that overhang the right edge cannot be seen from inside.
    """
    real = read_pair(*real_pair)
    painted = paint(Motif("forkhead", "", np.array(FORKHEAD).T), real.codes, threshold=6.367)
    assert np.corrcoef(painted.ravel(), real.scores.ravel())[0, 1] >= 0.987
    exact = (np.abs(painted - real.scores)[:, :291] < 5e-6).all(axis=1)
    assert exact.mean() >= 0.979
