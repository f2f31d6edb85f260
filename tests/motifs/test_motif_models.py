"""Scans as models: planted motifs come back from training scores, by their letters and by their name in JASPAR."""

import numpy as np
import pytest

from tfbind.dna.codes import Codes, encode
from tfbind.metrics import pearson
from tfbind.motifs.pwm import Motif, jaspar_motif, paint, threshold_of
from tfbind.motifs.scan_models import (
    Scan,
    TrainingExamples,
    all_but_overhang,
    fit_scan,
    known_motif,
    label_scan,
    scan_of_origin,
)

PAIR = {"kind": "pair"}
STRICT = np.array([[0.97, 0.01, 0.01, 0.01], [0.01, 0.97, 0.01, 0.01], [0.01, 0.01, 0.97, 0.01]]).T  # A C G


def random_codes(windows: int, length: int, seed: int) -> Codes:
    return np.random.default_rng(seed).integers(0, 4, (windows, length), dtype=np.uint8)


def painted(matrix_id: str, seed: int = 3, turned: bool = False) -> TrainingExamples:
    codes, motif = random_codes(2_000, 150, seed), jaspar_motif(matrix_id)
    motif = motif.reverse_complement() if turned else motif
    return TrainingExamples(codes, paint(motif, codes, threshold_of(motif, 1e-3)))


def test_a_matrix_fitted_to_painted_scores_predicts_windows_that_it_has_not_seen() -> None:
    fit = fit_scan(painted("MA0080.7"))
    assert fit is not None
    scan, behind = fit
    fresh = painted("MA0080.7", seed=4)
    assert behind.how == "painted"
    assert pearson(scan(fresh.codes), fresh.scores) > 0.99


@pytest.mark.parametrize("turned", [False, True])
def test_a_matrix_fitted_to_scores_in_another_unit_paints_them_and_is_their_rule(turned: bool) -> None:
    examples = painted("MA0080.7", turned=turned)
    moved = TrainingExamples(examples.codes, examples.scores / 10 - np.float32(0.1))
    fit = fit_scan(moved)
    assert fit is not None
    rule = label_scan(PAIR, fit)
    assert rule is not None
    np.testing.assert_allclose(rule(moved.codes), moved.scores, atol=1e-3)
    overhung = moved.scores.copy()
    overhung[:, :4] = 0.77  # what a hit across the edge left
    told = all_but_overhang(rule, moved.codes, overhung)
    np.testing.assert_allclose(told, moved.scores, atol=1e-3)


def test_marks_of_hits_are_predicted_by_the_motif_that_is_counted_from_them() -> None:
    examples = painted("MA0080.7")
    fit = fit_scan(TrainingExamples(examples.codes, (examples.scores != 0).astype(np.float32)))
    assert fit is not None
    fresh = painted("MA0080.7", seed=4)
    assert pearson(fit[0](fresh.codes), (fresh.scores != 0).astype(np.float32)) > 0.85
    assert label_scan(PAIR, fit) is None


def test_a_matrix_is_found_under_a_signal_that_no_scan_has_painted() -> None:
    motif, codes = jaspar_motif("MA0139.2"), random_codes(3_000, 200, 8)
    planted = np.random.default_rng(1).random(len(codes)) < 0.5
    codes[planted, 90 : 90 + motif.width] = motif.probabilities.argmax(axis=0)
    bell = 5 * np.exp(-(((np.arange(200) - 98) / 15.0) ** 2))
    noise = np.random.default_rng(2).normal(1, 0.2, codes.shape)
    signal = (planted[:, None] * bell + noise).astype(np.float32)
    fit = fit_scan(TrainingExamples(codes, signal))
    assert fit is not None
    assert fit[1].how == "enriched"
    assert pearson(fit[0](codes), signal) > 0.5
    assert label_scan(PAIR, fit) is None


def test_where_all_scores_are_the_same_there_is_no_matrix() -> None:
    codes = random_codes(300, 60, 0)
    assert fit_scan(TrainingExamples(codes, np.ones(codes.shape, np.float32))) is None


@pytest.mark.parametrize("matrix_id", ["MA0139.2", "MA0080.7"])
def test_the_motif_of_jaspar_that_painted_the_scores_is_found_by_its_scan(matrix_id: str) -> None:
    scan, its_own = known_motif(PAIR, painted(matrix_id))
    assert scan.motif.matrix_id == matrix_id
    assert not its_own


def test_data_made_here_know_their_motif_and_their_rule() -> None:
    motif = jaspar_motif("MA0080.7")
    origin = {
        "kind": "motif",
        "motif": motif.name,
        "matrix_id": motif.matrix_id,
        "matrix": motif.probabilities.tolist(),
        "threshold": 5.5,
    }
    codes = random_codes(50, 40, 0)
    scan, its_own = known_motif(origin, TrainingExamples(codes, np.zeros(codes.shape, np.float32)))
    assert its_own
    assert scan.threshold == 5.5
    assert np.array_equal(scan(codes), paint(motif, codes, 5.5))
    assert np.array_equal(scan_of_origin(origin)(codes), scan(codes))
    assert scan_of_origin({"kind": "signal"}) is None


def test_only_hits_across_an_edge_are_missing_from_what_a_window_shows() -> None:
    scan = Scan(Motif("acg", "", STRICT), 3.0)
    value = np.float32(3 * np.log(0.97 / 0.25))
    codes = np.stack([encode("TTACGATTTT"), encode("TTTTTTTTAC")])
    scores = scan(codes)
    assert scores[0].tolist() == [0, 0, value, value, value, 0, 0, 0, 0, 0]
    scores[1, 8:] = value  # the G lies beyond the edge
    scores[0, 0] = value  # and of this hit all but the last base lie before it
    scores[0, 6] = 1.5  # whatever made this, the rule did not, and no edge hides it
    seen = all_but_overhang(scan, codes, scores)
    assert seen[0].tolist() == [0, 0, value, value, value, 0, 1.5, 0, 0, 0]
    assert not seen[1].any()
