"""The motif behind scores: planted ones come back, from painted labels exactly, from a signal by its letters."""

from pathlib import Path

import numpy as np
import pytest
from forkhead import FORKHEAD as COLUMNS
from toy import Toy

from tfbind.data.pairs import read_pair
from tfbind.dna.codes import Codes
from tfbind.motifs.discovery import agreement, discover_motif
from tfbind.motifs.pwm import Motif, information, jaspar_motif, paint, threshold_of

FORKHEAD = np.array(COLUMNS).T  # the published forkhead motif behind the course's labels


def random_codes(windows: int, length: int, seed: int) -> Codes:
    return np.random.default_rng(seed).integers(0, 4, (windows, length), dtype=np.uint8)


def same_letters(first: Motif, second: Motif, atol: float) -> bool:
    """Whether two motifs of one width agree, on either strand."""
    return any(
        np.allclose(first.probabilities, other.probabilities, atol=atol)
        for other in (second, second.reverse_complement())
    )


@pytest.mark.parametrize("matrix_id", ["MA0148.5", "MA0106.3"])
def test_a_planted_motif_is_read_off_painted_scores(matrix_id: str) -> None:
    motif = jaspar_motif(matrix_id)
    codes = random_codes(4000, 120, 5)
    scores = paint(motif, codes, threshold_of(motif, 1e-3))
    behind = discover_motif(Toy(codes, scores))
    assert behind is not None
    assert behind.how == "painted"
    assert behind.agreement is not None
    assert behind.agreement.r > 0.98
    assert behind.motif.consensus in (motif.consensus, motif.reverse_complement().consensus)
    assert behind.threshold == pytest.approx(scores[scores != 0].min())


def test_no_base_that_no_hit_has_makes_words_into_hits() -> None:
    """In a short motif such bases stand in every column of GATA1: what they get is not told by the hits alone."""
    motif = jaspar_motif("MA0035.5")
    codes = random_codes(4000, 300, 6)
    behind = discover_motif(Toy(codes, paint(motif, codes, threshold_of(motif, 1e-3))))
    assert behind is not None
    assert behind.agreement is not None
    assert behind.agreement.exact > 0.97


def test_the_published_motif_comes_back_to_the_third_digit() -> None:
    codes = random_codes(6_000, 300, 0)
    motif = Motif("FOXA1", "", FORKHEAD / FORKHEAD.sum(axis=0))
    behind = discover_motif(Toy(codes, paint(motif, codes, 6.3672)))
    assert behind is not None
    assert behind.agreement is not None
    assert behind.agreement.exact > 0.999
    assert same_letters(behind.motif, motif, atol=0.002)


def test_the_published_rule_rebuilds_the_courses_scores(real_pair: tuple[Path, Path]) -> None:
    data = read_pair(*real_pair)
    rebuilt = agreement(data, Motif("FOXA1", "", FORKHEAD / FORKHEAD.sum(axis=0)), 6.3662)
    assert rebuilt.r >= 0.985
    assert rebuilt.exact >= 0.975
    behind = discover_motif(data)
    assert behind is not None
    assert same_letters(behind.motif, Motif("", "", FORKHEAD / FORKHEAD.sum(axis=0)), atol=0.032)
    assert behind.agreement is not None
    assert behind.agreement.exact >= 0.975
    assert behind.threshold == pytest.approx(6.3672, abs=1e-3)


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_a_motif_is_found_under_the_peaks_of_a_signal(noise: float) -> None:
    rng = np.random.default_rng(1)
    codes = random_codes(4000, 200, 2)
    bound = rng.random(4000) < 0.5
    centres = rng.integers(60, 140, 4000)
    word = np.array([3, 2, 3, 3, 3, 0, 1], np.uint8)  # TGTTTAC
    for row in np.flatnonzero(bound):
        flipped = 3 - word[::-1] if row % 2 else word
        codes[row, centres[row] - 3 : centres[row] + 4] = flipped
    place = np.arange(200)
    signal = bound[:, None] * 20 * np.exp(-((place - centres[:, None]) ** 2) / (2 * 25**2))
    scores = (signal + noise * rng.random((4000, 200))).astype(np.float32)
    behind = discover_motif(Toy(codes, scores))
    assert behind is not None
    assert behind.how == "enriched"
    assert behind.motif.consensus in ("TGTTTAC", "GTAAACA")
    assert behind.explained > 0.5


UNITS = {
    "bits": lambda scores: scores / np.log(2),
    "normalised": lambda scores: scores / scores.max(),
    "ten times nats": lambda scores: scores * 10,
    "scaled and moved": lambda scores: scores / 10 - 0.1,
}


@pytest.mark.parametrize(
    ("matrix_id", "unit"), [*(("MA0148.5", unit) for unit in UNITS), ("MA0139.2", "scaled and moved")]
)
def test_the_matrix_comes_back_exactly_in_whatever_unit_the_scores_are(matrix_id: str, unit: str) -> None:
    motif, codes = jaspar_motif(matrix_id), random_codes(4000, 200, 5)
    scores = paint(motif, codes, threshold_of(motif, 1e-3))
    behind = discover_motif(Toy(codes, UNITS[unit](scores).astype(np.float32)))
    assert behind is not None
    assert behind.how == "painted"
    assert same_letters(behind.motif, motif, atol=1e-3)
    assert behind.threshold == pytest.approx(scores[scores != 0].min(), rel=1e-3)
    assert behind.explained > 0.99
    np.testing.assert_allclose(
        behind.base + behind.scale * scores, UNITS[unit](scores), atol=1e-3 * behind.scale * 10
    )


@pytest.mark.parametrize("unit", ["normalised", "scaled and moved"])
def test_bases_that_no_hit_has_leave_the_unit_uncertain_by_a_few_percent(unit: str) -> None:
    motif, codes = jaspar_motif("MA0148.5"), random_codes(9000, 200, 5)
    scores = paint(motif, codes, threshold_of(motif, 1e-4))
    behind = discover_motif(Toy(codes, UNITS[unit](scores).astype(np.float32)))
    assert behind is not None
    assert behind.how == "painted"
    assert same_letters(behind.motif, motif, atol=0.1)
    assert behind.explained > 0.99
    assert behind.agreement is not None
    assert behind.agreement.exact > 0.99


@pytest.mark.parametrize("matrix_id", ["MA0148.5", "MA0035.5"])
def test_of_labels_that_mark_the_hits_the_letters_are_counted(matrix_id: str) -> None:
    motif, codes = jaspar_motif(matrix_id), random_codes(4000, 200, 5)
    marks = (paint(motif, codes, threshold_of(motif, 1e-3)) != 0).astype(np.float32)
    behind = discover_motif(Toy(codes, marks))
    assert behind is not None
    assert behind.how == "marked"
    assert behind.agreement is None
    assert behind.explained > 0.8
    r = [
        np.corrcoef(behind.motif.probabilities.ravel(), other.probabilities.ravel())[0, 1]
        for other in (motif, motif.reverse_complement())
    ]
    assert max(r) > 0.97


def test_a_planted_word_is_read_off_marks_and_found_in_the_middle_of_wide_peaks() -> None:
    rng = np.random.default_rng(3)
    codes, narrow, wide = random_codes(2000, 300, 4), np.zeros((2000, 300)), np.zeros((2000, 300))
    word = np.array([2, 0, 3, 3, 0, 1, 1, 0], np.uint8)  # GATTACCA
    for row in range(0, 2000, 2):
        at, reach = rng.integers(100, 190), rng.integers(40, 90)
        codes[row, at : at + 8] = word if row % 4 else 3 - word[::-1]
        narrow[row, at : at + 8], wide[row, at - reach : at + reach] = 1, 1
    for scores, how in ((narrow, "marked"), (wide, "enriched")):
        behind = discover_motif(Toy(codes, scores.astype(np.float32)))
        assert behind is not None
        assert behind.how == how
        assert behind.motif.consensus in ("GATTACCA", "TGGTAATC")
        assert behind.explained > 0.7


@pytest.mark.slow
def test_too_few_hits_for_a_matrix_are_counted_and_not_called_painted() -> None:
    """A matrix of 31 columns has more unknown numbers than some hundred hits tell."""
    motif, codes = jaspar_motif("MA1929.2"), random_codes(2200, 300, 5)
    behind = discover_motif(Toy(codes, paint(motif, codes, threshold_of(motif, 1e-4))))
    assert behind is not None
    assert behind.how == "marked"
    assert behind.explained > 0.6


def test_stretches_of_one_width_on_random_letters_have_no_motif_read_off() -> None:
    rng, codes, scores = np.random.default_rng(0), random_codes(1000, 100, 6), np.zeros((1000, 100), np.float32)
    scores[np.arange(1000)[:, None], rng.integers(0, 90, 1000)[:, None] + np.arange(9)] = rng.random((1000, 1)) + 1
    behind = discover_motif(Toy(codes, scores))
    assert behind is None or behind.how == "enriched"


def test_noise_has_a_motif_in_one_case_of_twenty() -> None:
    named = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        scores = rng.gamma(0.5, 1.0, (300, 100)) + rng.gamma(1.0, 1.0, (300, 1))
        named += discover_motif(Toy(random_codes(300, 100, seed), scores.astype(np.float32))) is not None
    assert named <= 4


def test_where_nothing_varies_there_is_no_motif() -> None:
    codes = random_codes(500, 50, 0)
    assert discover_motif(Toy(codes, np.zeros((500, 50), np.float32))) is None
    assert discover_motif(Toy(codes[:20], paint(jaspar_motif(), codes[:20], 4.0))) is None


def test_agreement_counts_windows_up_to_where_hits_hang_over_the_edge() -> None:
    motif = jaspar_motif()
    codes = random_codes(400, 60, 3)
    scores = paint(motif, codes, 4.0)
    assert agreement(Toy(codes, scores), motif, 4.0).exact == 1
    scores[:100, -(motif.width - 1) :] = 9
    assert agreement(Toy(codes, scores), motif, 4.0).exact == 1
    scores[:100, 0] += 1
    found = agreement(Toy(codes, scores), motif, 4.0)
    assert found.exact == 0.75
    assert found.r == pytest.approx(np.corrcoef(paint(motif, codes, 4.0).ravel(), scores.ravel())[0, 1], abs=1e-6)


def test_information_of_a_column_is_two_bits_at_most() -> None:
    even, sure = [0.25] * 4, [1 - 3e-9, 1e-9, 1e-9, 1e-9]
    half = [0.5, 0.5 - 2e-9, 1e-9, 1e-9]
    motif = Motif("", "", np.array([even, sure, half]).T)
    np.testing.assert_allclose(information(motif), [0, 2, 1], atol=1e-5)
