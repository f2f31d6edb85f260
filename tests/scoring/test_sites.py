"""Called sites: strand, letters, chance; and what was pasted, kept and found again."""

import numpy as np
import pytest

from tfbind.data.simulate import human_words, simulate_chromosome, simulate_dna, word_shares
from tfbind.dna.codes import encode, reverse_complement, word_numbers
from tfbind.motifs.pwm import jaspar_motif, threshold_of
from tfbind.motifs.scan_models import Scan
from tfbind.scoring import sites
from tfbind.scoring.model import Site, find_peaks, load_model, score
from tfbind.scoring.sites import (
    Background,
    Hit,
    Matches,
    background,
    describe_sites,
    find_sites,
    motif_hits,
    with_chance,
)
from tfbind.scoring.target import BUILTIN, SHIPPED
from ui.widgets import url_state

FLANK = "GCATCCGTAGCGCTCAGCTCGGATCCGATTGC"


@pytest.fixture(scope="module")
def builtin(tmp_path_factory):
    return load_model(tmp_path_factory.mktemp("home"), BUILTIN)


def test_how_often_by_hand():
    chance = Background(np.array([1.0, 2.0, 2.0, 5.0]), 1000, threshold=2.0, lowest=1.0)
    assert chance.rate(2.0) == "about 1 in 330 bases; 3 seen"
    assert chance.rate(5.1) == "none in 1,000 bases"
    assert chance.rate(0.5) == "about 1 in 250 bases; 4 seen of at least 1.00"
    assert [round(chance.percentile(score)) for score in (1.0, 2.0, 5.0, 6.0)] == [0, 0, 67, 100]
    assert Background(np.array([]), 1000).percentile(1.0) == 0.0


def test_a_site_is_the_same_at_every_threshold():
    codes = simulate_chromosome(np.random.default_rng(6))[0, :50_000]
    hits = motif_hits(SHIPPED.scan, codes)
    scores = np.random.default_rng(0).gamma(0.3, 2.0, len(codes)).astype(np.float32)
    for hit in hits:
        scores[hit.start : hit.end] += hit.score
    for found in (lambda threshold: find_sites(scores, threshold, hits), lambda low: find_peaks(scores, low)):
        everything = found(1.0)
        assert everything
        for threshold in (2.2, 3.0, 6.0, 8.0):
            assert found(threshold) == [site for site in everything if site.score >= threshold]


def test_overlapping_matches_are_sites_of_their_own_and_hidden_ones_are_none():
    scores = np.array([0, 6, 6, 6, 6, 9, 9, 9, 9, 9, 9, 0, 0, 4, 4, 1], np.float32)
    hits = [Hit(1, 8, "+", 6.0), Hit(5, 11, "-", 9.0), Hit(6, 10, "+", 5.0)]
    called = find_sites(scores, 3.0, hits)
    assert called == [Site(1, 8, 6.0, 1, "+"), Site(5, 11, 9.0, 5, "-"), Site(13, 15, 4.0, 13)]
    rows = describe_sites(np.zeros(16, np.uint8), scores, 7.0, hits)
    assert [(row["start"], row["end"], row["strand"], row["score"]) for row in rows] == [(6, 11, "-", 9.0)]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0, 4, 9, 5, 4, 0], [(2, 4)]),
        ([0, 8, 1, 6, 0], [(1, 2), (3, 4)]),
        ([0, 8, 4, 6, 0], [(1, 4)]),
        ([0, 8, 3.5, 4, 0], [(1, 2)]),  # never below half of the lower one
        ([-1, 5], [(1, 2)]),
    ],
)
def test_peaks_by_hand(scores, expected):
    assert [(site.start, site.end) for site in find_peaks(np.array(scores, np.float32), 3.0)] == expected


def test_matches_found_a_stretch_at_a_time_or_together_are_those_of_the_whole_record():
    codes = simulate_chromosome(np.random.default_rng(4))[0, : 2 * sites.STRETCH + 1000]
    hits = motif_hits(SHIPPED.scan, codes)
    matches = Matches(lambda start, end: codes[start:end], len(codes), SHIPPED.scan)
    for start in range(0, len(codes), 9_973):
        end = min(start + 9_973, len(codes))
        assert matches.between(start, end) == [hit for hit in hits if hit.start < end and hit.end > start]
    assert Matches(lambda start, end: codes[start:end], len(codes), None).between(0, 100) == []
    records = codes[:60_000].reshape(200, 300)
    reads = [lambda start, end, record=record: record[start:end] for record in records]
    for record, together in zip(records, Matches.of_several(reads, 300, SHIPPED.scan), strict=True):
        assert together.between(0, 300) == motif_hits(SHIPPED.scan, record)


@pytest.mark.parametrize(("bases", "width"), [(20, 1), (600, 3), (40_000, 6)])
def test_simulated_dna_has_its_words_as_often_as_told(bases, width):
    shares = word_shares([simulate_chromosome(np.random.default_rng(1))[0, :bases]])
    assert len(shares) == 4**width
    again = simulate_dna(np.random.default_rng(2), shares, 1_000_000)
    counts = np.bincount(word_numbers(again[None], width)[0], minlength=4**width)
    assert len(again) == 1_000_000
    assert np.abs(counts - 1e6 * shares).max() < 8 * np.sqrt(1e6 * shares.max())


def test_human_words_are_the_same_on_both_strands_and_short_of_cpg():
    shares = human_words().reshape([4] * 6)
    assert shares == pytest.approx(shares[::-1, ::-1, ::-1, ::-1, ::-1, ::-1].transpose(5, 4, 3, 2, 1, 0), rel=1e-9)
    pairs = shares.sum(axis=(2, 3, 4, 5))
    assert pairs[1, 2] < 0.35 * pairs[1].sum() * pairs[:, 2].sum()


def test_the_consensus_is_found_on_the_strand_it_was_planted_on():
    motif = jaspar_motif()
    planted = encode(FLANK + motif.consensus + FLANK)
    known = Scan(motif, threshold_of(motif, 1e-4))
    forward = motif_hits(known, planted)
    assert [(hit.start, hit.end, hit.strand) for hit in forward] == [(32, 40, "+")]
    backward = motif_hits(known, reverse_complement(planted))
    assert [(hit.start, hit.end, hit.strand) for hit in backward] == [(32, 40, "-")]


def test_the_built_in_model_calls_a_planted_site_and_its_letters(builtin):
    motif = jaspar_motif()
    codes = encode(FLANK + "TGTTTAC" + FLANK)
    hits = motif_hits(Scan(motif, 4.0), codes)
    rows = describe_sites(codes, score(builtin, codes).scores, 3.0, hits)
    rows = with_chance(rows, background(builtin, bases=30_000))
    assert len(rows) == 1
    assert rows[0]["strand"] == "-"
    assert rows[0]["start"] <= 34
    assert rows[0]["end"] >= 39
    assert "GTTTAC" in str(rows[0]["sequence"]) + FLANK
    assert rows[0]["by_chance"].startswith("about 1 in ")


def test_the_background_is_the_same_each_time(builtin):
    first, second = background(builtin, bases=20_000), background(builtin, bases=20_000)
    assert first.bases == 20_000
    assert len(first.scores) > 10
    assert np.array_equal(first.scores, second.scores)
    assert (np.diff(first.scores) >= 0).all()


def test_what_was_pasted_is_found_by_its_id_alone(tmp_path):
    id = url_state.save(tmp_path, ">secret\nACGT")
    assert url_state.load(tmp_path, id) == ">secret\nACGT"
    assert "ACGT" not in id
    for wrong in ("", "../" + id, id[:-1] + "g", "0" * 16):
        with pytest.raises(ValueError, match="nothing is kept under"):
            url_state.load(tmp_path, wrong)
