"""Called sites: strand, letters, chance; and what was pasted, kept and found again."""

import numpy as np
import pytest

from tfbind.data.simulate import simulate_chromosome
from tfbind.dna.codes import encode, reverse_complement
from tfbind.motifs.pwm import jaspar_motif, threshold_of
from tfbind.motifs.scan_models import Scan
from tfbind.scoring import sites
from tfbind.scoring.model import Site, load_model, score
from tfbind.scoring.sites import (
    Background,
    Hit,
    Strands,
    background,
    describe_sites,
    motif_hits,
    strand_of,
    with_chance,
)
from tfbind.scoring.target import BUILTIN, SHIPPED
from ui.widgets import url_state

FLANK = "GCATCCGTAGCGCTCAGCTCGGATCCGATTGC"


@pytest.fixture(scope="module")
def builtin(tmp_path_factory):
    return load_model(tmp_path_factory.mktemp("home"), BUILTIN)


def test_how_often_by_hand():
    chance = Background(np.array([1.0, 2.0, 2.0, 5.0]), 1000)
    assert chance.bases_per_site(2.0) == 1000 / 3
    assert chance.bases_per_site(5.0) == 1000
    assert chance.bases_per_site(5.1) == float("inf")
    assert (chance.percentile(2.0), chance.percentile(6.0)) == (25.0, 100.0)
    assert Background(np.array([]), 1000).percentile(1.0) == 0.0


def test_strand_is_that_of_the_best_match_that_overlaps():
    hits = [Hit(0, 8, "+", 5.0), Hit(6, 14, "-", 9.0), Hit(20, 28, "+", 7.0)]
    assert strand_of(Site(5, 7, 9.0, 5), hits) == "-"
    assert strand_of(Site(0, 5, 9.0, 0), hits) == "+"
    assert strand_of(Site(14, 20, 9.0, 14), hits) == "."


def test_strands_looked_up_a_stretch_at_a_time_are_those_of_the_whole_record():
    codes = simulate_chromosome(np.random.default_rng(4))[0, : 2 * sites.STRETCH + 1000]
    hits = motif_hits(SHIPPED.scan, codes)
    strands = Strands(lambda start, end: codes[start:end], len(codes), SHIPPED.scan)
    called = [Site(start, start + 10, 5.0, start) for start in range(0, len(codes) - 10, 977)]
    called += [Site(max(0, edge - 3), min(edge + 3, len(codes)), 5.0, edge) for edge in (sites.STRETCH, len(codes))]
    called.sort(key=lambda site: site.start)
    found = [strands.of(site) for site in called]
    assert found == [strand_of(site, hits) for site in called]
    assert set(found) == {"+", "-", "."}
    assert Strands(lambda start, end: codes[start:end], 3, SHIPPED.scan).of(Site(0, 3, 5.0, 1)) == "."
    without = Strands(lambda start, end: codes[start:end], len(codes), None)
    assert {without.of(site) for site in called} == {"."}


def test_strands_of_records_scanned_together_are_those_of_each_alone():
    codes = simulate_chromosome(np.random.default_rng(5))[0, :60_000].reshape(200, 300)
    reads = [lambda start, end, record=record: record[start:end] for record in codes]
    places = [Site(start, start + 8, 5.0, start) for start in range(0, 293, 4)]
    alone = [Strands(read, 300, SHIPPED.scan) for read in reads]
    for together, one in zip(Strands.of_several(reads, 300, SHIPPED.scan), alone, strict=True):
        assert [together.of(site) for site in places] == [one.of(site) for site in places]


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
    rows = with_chance(rows, background(builtin, 3.0, 30_000))
    assert len(rows) == 1
    assert rows[0]["strand"] == "-"
    assert rows[0]["start"] <= 34
    assert rows[0]["end"] >= 39
    assert "GTTTAC" in str(rows[0]["sequence"]) + FLANK
    assert 1000 < rows[0]["bases_per_site"] < 1e6


def test_the_background_is_the_same_each_time(builtin):
    first, second = background(builtin, 3.0, 20_000), background(builtin, 3.0, 20_000)
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
