"""Files of predictions: what stands in them worked by hand, coordinates above all, and what other libraries read."""

import csv
import io
import subprocess
import sys

import numpy as np
import pandas as pd
import pybigtools
import pytest
from hypothesis import given, settings, strategies as st

from tfbind.dna.codes import encode
from tfbind.dna.intervals import Position, place_records
from tfbind.dna.parser import read_records
from tfbind.motifs.pwm import from_counts
from tfbind.motifs.scan_models import Scan
from tfbind.scoring import formats
from tfbind.scoring.formats import About, Track, as_bytes, facts, track, write
from tfbind.scoring.sites import Matches, find_sites
from tfbind.scoring.target import SHIPPED

ABOUT = About("builtin 0a1b", "scored in one pass", threshold=2, target=SHIPPED)
HEADER = "# tfbind; model builtin 0a1b; FOXA1, score in nats above background, not occupancy; scored in one pass; "
SCORES = np.array([0.1, 2.5, 3, 0.25, 2, -1], dtype=np.float32)


def made(name: str, letters: str = "ACGTNA", scores: np.ndarray = SCORES) -> Track:
    return track(name, encode(letters), np.asarray(scores, dtype=np.float32))


def text(suffix: str, *tracks: Track, about: About = ABOUT) -> str:
    return as_bytes(suffix, tracks, about).decode()


def values(path, chromosome: str, start: int, end: int) -> list[float]:
    return np.asarray(pybigtools.open(str(path)).values(chromosome, start, end, fillna=None)).tolist()


def test_csv_has_a_row_for_each_record_and_a_column_for_each_base():
    assert text(".csv", made("w2", "ACG", [0.5, 1, -2]), made("w1", "AAA", [0, 0.125, 11.4297])) == (
        "window_name,0,1,2\nw2,0.5,1,-2\nw1,0,0.125,11.4296999\n"
    )


def test_tsv_has_a_row_for_each_base():
    assert text(".tsv", made("a", "AC", [0.5, 1]), made("b", "N", [-2])) == (
        f"{HEADER}position is 0-based within the record\n"
        "name\tposition\tbase\tscore\n"
        "a\t0\tA\t0.5\na\t1\tC\t1\nb\t0\tN\t-2\n"
    )


def test_a_tsv_has_the_change_between_tiles_where_there_are_tiles():
    tiled = track("long", encode("ACG"), np.array([1, 2, 3], np.float32), np.array([np.nan, 0.5, 0.25], np.float32))
    header, *lines = text(".tsv", tiled, made("short", "A", [4])).splitlines()
    assert header.endswith("; change: by how much the score differs between the two tiles that a base lies in")
    assert [line.split("\t")[3:] for line in lines] == [
        ["score", "change"],
        ["1", ""],
        ["2", "0.5"],
        ["3", "0.25"],
        ["4", ""],
    ]
    assert facts(".tsv", [tiled, made("short")], ABOUT)["largest_change_between_tiles"] == 0.5
    assert facts(".tsv", [made("short")], ABOUT)["largest_change_between_tiles"] is None


def test_what_is_said_beside_a_file_has_the_rule_and_how_it_counts_bases():
    assert facts(".csv", [made("a")], ABOUT) == {
        "factor": "FOXA1",
        "score_in": "nats above background",
        "rule": "scored in one pass",
        "coordinates": "one column for each base of a record, the first is 0",
        "threshold": 2,
        "largest_change_between_tiles": None,
    }
    assert facts(".bw", [made("chr1:101-106")], ABOUT)["coordinates"] == (
        "0-based half-open; chromosome and start from names such as chr1:101-200 (1-based, end inclusive)"
    )


def test_a_changed_record_is_named_in_the_header():
    changed = About("m", "scored in one pass", changed="x 41 T>C")
    assert text(".tsv", made("x 41 T>C"), about=changed).startswith(
        "# tfbind; model m; score in the unit of the data it was trained on; scored in one pass; "
        "changed: x 41 T>C; position"
    )
    assert facts(".tsv", [made("x 41 T>C")], changed)["changed"] == "x 41 T>C"


def test_bed_has_sites_and_bedgraph_all_bases_0_based_half_open():
    assert text(".bed", made("a")).splitlines()[2:] == [
        "a\t1\t3\ta\t300\t.\t3.0000",
        "a\t4\t5\ta\t200\t.\t2.0000",
    ]
    assert text(".bedgraph", made("a")).splitlines()[1:3] == ["a\t0\t1\t0.100000001", "a\t1\t2\t2.5"]
    for suffix in (".bed", ".bedgraph"):
        assert text(suffix, made("a")).startswith(
            f"{HEADER}0-based half-open; each record is its own chromosome and starts at 0\n"
        )


def test_bed_scores_are_whole_numbers_from_0_to_1000_and_the_score_itself_stands_last():
    scores = [-3, 0.004, 0.006, 9.996, 250]
    one_site_each = [made(f"s{number}", "A", [score]) for number, score in enumerate(scores)]
    rows = [
        line.split("\t") for line in text(".bed", *one_site_each, about=About("m", threshold=-5)).splitlines()[2:]
    ]
    assert [(row[4], row[6]) for row in rows] == [
        ("0", "-3.0000"),
        ("0", "0.0040"),
        ("1", "0.0060"),
        ("1000", "9.9960"),
        ("1000", "250.0000"),
    ]


def test_bed_has_the_strand_of_the_motif_and_another_library_finds_its_letters_there(tmp_path):
    """FOXA1's word is GTAAACA, and TGTTTAC on the other strand; pyfaidx reads both back from the genome."""
    flank = "GCATCCGTAGCGCTCAGCTCGGATCCGATTGC"
    letters = flank + "TGTAAACA" + flank + "TGTTTACA" + flank
    scores = np.zeros(len(letters))
    scores[32:40], scores[72:80], scores[100:103] = 7, 8, 3
    write(tmp_path / "sites.bed", [made("chr7", letters, scores)], ABOUT)
    (tmp_path / "genome.fa").write_text(f">chr7\n{letters}\n")
    rows = [line.split("\t") for line in (tmp_path / "sites.bed").read_text().splitlines()[2:]]
    assert [(int(row[1]), int(row[2]), row[5]) for row in rows] == [(33, 41, "+"), (71, 79, "-"), (100, 103, ".")]
    command = [sys.executable, "-c", "from pyfaidx.cli import main; main()", "--bed", "sites.bed", "genome.fa"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout.split() == [
        ">chr7:34-41",
        "GTAAACAG",
        ">chr7:72-79",
        "CTGTTTAC",
        ">chr7:101-103",
        letters[100:103],
    ]


def test_bed_has_no_strand_where_the_motif_is_not_known():
    header, columns, row = text(".bed", made("chr7", "TGTAAACA", [7] * 8), about=About("m")).splitlines()
    assert "score in the unit of the data it was trained on" in header
    assert "no strand (.)" in columns
    assert row.split("\t")[5] == "."


def test_fasta_has_the_letters_of_the_sites():
    lines = text(".fa", made("chr1:101-106")).splitlines()
    assert [line.split(" ")[0] for line in lines] == [">chr1:101-103", "CG", ">chr1:104-105", "N"]
    assert "score=3.0000 model=builtin 0a1b coordinates=0-based half-open" in lines[0]


# Base 0 of a sequence of 6 bases under each way of writing its place; the last column says where that is.
@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("chr22_10510500_10510505", Position("chr22", 10510500)),  # the course: 0-based, end inclusive
        ("chrUn_KI270302v1_0_5", Position("chrUn_KI270302v1", 0)),
        ("chr1:101-106", Position("chr1", 100)),  # samtools: bases 101 to 106, counted from 1
        ("chr1:100-106", Position("chr1", 100)),  # bedtools: 6 bases, so the end is exclusive
        ("HLA-A*01:01:1-6", Position("HLA-A*01:01", 0)),
        ("chr1:0-6", Position("chr1", 0)),
        ("chr1:101-106(+)", Position("chr1", 100)),
        ("chr1:101-106(-)", Position("chr1", 100, reverse=True)),
        ("chr22_100_105(-)", Position("chr22", 100, reverse=True)),
        ("chr1:0-5", None),  # there is no base 0 when counting from 1, and 5 bases are not 6
        ("chr1:101-107", Position("chr1", 101)),
        ("chr1:101-110", None),
        ("chr22_10510500_10510506", None),
        ("chr22_10510505_10510500", None),
        ("seq_1_2", None),
        ("chr1:-5-1", None),
        ("promoter", None),
    ],
)
def test_places_in_a_genome_by_name_and_length(name, place):
    found = place_records([(name, 6)])
    assert found.places == [place or Position(name, 0)]
    misfit = not place and name not in ("chr1:-5-1", "promoter")
    said = f"the numbers in its name are no place of its length, its own chromosome from 0: {name}"
    assert found.note == (said if misfit else "")


def test_a_record_without_a_place_is_its_own_chromosome_and_is_named_while_the_others_keep_theirs():
    found = place_records([("chr1:101-106", 6), ("my oligo", 6), ("x", 6)])
    assert found.places == [Position("chr1", 100), Position("my_oligo", 0), Position("x", 0)]
    assert found.note == "without a place in its name, its own chromosome from 0: my oligo and 1 more"
    lines = text(".bedgraph", made("chr1:101-106"), made("my oligo")).splitlines()
    assert [line.split("\t")[:2] for line in lines[1::6]] == [["chr1", "100"], ["my_oligo", "0"]]
    assert lines[0].endswith("; without a place in its name, its own chromosome from 0: my oligo")


def test_a_reverse_strand_from_ucsc_lies_where_it_does_on_the_forward_one(tmp_path):
    """Base i of the other strand of chr22:101-116 lies at 115 - i, counted from 0; TGTAAACA is TGTTTACA there."""
    header = "hg38_dna range=chr22:101-116 5'pad=0 3'pad=0 strand=- repeatMasking=none"
    (record,) = read_records(f">{header}\nGCTGTAAACAGCATCC\n")
    scores = np.zeros(16, dtype=np.float32)
    scores[2:10] = [3, 4, 5, 6, 7, 8, 9, 9.5]
    turned = track(record.name, record.codes, scores)
    comment, _, row = text(".bed", turned).splitlines()
    assert comment.endswith("(1-based, end inclusive); records marked (-) run backwards along their place")
    assert row == "chr22\t105\t113\tchr22:101-116(-)\t950\t-\t9.5000"
    lines = [line.split("\t") for line in text(".bedgraph", turned).splitlines()[1:]]
    assert [(chromosome, int(start)) for chromosome, start, *_ in lines] == [("chr22", at) for at in range(100, 116)]
    assert [float(line[3]) for line in lines] == scores[::-1].tolist()
    write(tmp_path / "out.bw", [turned], ABOUT)
    assert values(tmp_path / "out.bw", "chr22", 100, 116) == scores[::-1].tolist()
    # In the name of a sequence the strand stands as bedtools writes it, and its letters are those of that strand.
    name, letters = text(".fa", turned).splitlines()
    assert (name.split(" ")[0], letters) == (">chr22:105-113(-)", "GTAAACAG")
    assert text(".tsv", turned).splitlines()[2].startswith("chr22:101-116(-)\t0\tG\t0")


def test_a_long_reverse_strand_is_written_in_pieces_as_at_once(monkeypatch, tmp_path):
    scores = np.random.default_rng(3).normal(2, 2, 1_000).astype(np.float32)
    turned = track("chr1:1-1000(-)", np.zeros(1_000, np.uint8), scores)
    at_once = [text(suffix, turned) for suffix in (".bed", ".bedgraph")]
    monkeypatch.setattr(formats, "CHUNK_BASES", 7)
    assert [text(suffix, turned) for suffix in (".bed", ".bedgraph")] == at_once
    write(tmp_path / "out.bw", [turned], ABOUT)
    assert values(tmp_path / "out.bw", "chr1", 0, 1_000) == scores[::-1].tolist()


def test_names_that_follow_two_rules_place_nothing_and_that_is_said():
    # samtools' and bedtools' ways in one file cannot both be meant
    found = place_records([("chr1:101-106", 6), ("chr1:200-206", 6)])
    assert found.places == [Position("chr1:101-106", 0), Position("chr1:200-206", 0)]
    assert "by more than one rule" in found.note


def test_touching_records_are_one_track_and_overlapping_ones_none(tmp_path):
    left, right, over = made("chr1_6_11"), made("chr1_0_5"), made("chr1_11_16")
    assert [line.split("\t")[1] for line in text(".bedgraph", left, right).splitlines()[1:]] == list(
        map(str, range(12))
    )
    for suffix in (".bedgraph", ".bw"):
        with pytest.raises(ValueError, match="records chr1_6_11 and chr1_11_16 overlap on chr1; a track has one"):
            write(tmp_path / f"x{suffix}", [left, over], ABOUT)
    assert list(tmp_path.iterdir()) == []
    assert len(text(".bed", left, over).splitlines()) == 2 + 4


def test_a_bigwig_equals_the_csv_when_another_library_reads_it(tmp_path):
    pyBigWig = pytest.importorskip("pyBigWig", reason="pyBigWig has no wheel for this system")
    random = np.random.default_rng(0)
    names = ["chr10_300_599", "chr2_0_299", "chr10_600_899", "chr2_900_1199"]
    tracks = [
        track(name, random.integers(0, 5, 300, dtype=np.uint8), random.normal(0, 9, 300).astype(np.float32))
        for name in names
    ]
    for suffix in (".bw", ".csv"):
        write(tmp_path / f"out{suffix}", tracks, ABOUT)
    table = pd.read_csv(tmp_path / "out.csv", index_col="window_name").astype(np.float32)
    bigwig = pyBigWig.open(str(tmp_path / "out.bw"))
    assert bigwig.chroms() == {"chr10": 900, "chr2": 1200}
    for name in names:
        chromosome, start, end = name.split("_")
        found = np.array(bigwig.values(chromosome, int(start), int(end) + 1), dtype=np.float32)
        assert (found == table.loc[name].to_numpy()).all()
    assert np.isnan(bigwig.values("chr10", 0, 300)).all()
    assert bigwig.header()["nBasesCovered"] == 1200


def test_the_writers_own_library_reads_it_too(tmp_path):
    write(tmp_path / "out.bw", [made("b"), made("a")], ABOUT)
    assert values(tmp_path / "out.bw", "b", 0, 6) == SCORES.tolist()


def test_a_name_is_no_formula_and_no_column():
    names = ["=SUM(A1)", "+1", "-x", "@a", 'say "hi", you', "plain", "a=b"]
    rows = list(csv.reader(io.StringIO(text(".csv", *[made(name, "A", [1]) for name in names]))))
    assert [row[0] for row in rows[1:]] == ["'=SUM(A1)", "'+1", "'-x", "'@a", 'say "hi", you', "plain", "a=b"]
    assert {len(row) for row in rows} == {2}
    assert text(".tsv", made("=x", "A", [1])).splitlines()[-1] == "'=x\t0\tA\t1"


def test_chromosomes_are_one_word_and_differ():
    found = place_records([(name, 6) for name in ("my first", "my_first", "#x", "track")]).places
    assert [place.chromosome for place in found] == ["my_first_1", "my_first_2", "_#x_3", "_track_4"]


def test_csv_needs_one_length():
    with pytest.raises(ValueError, match=r"record b: 2 bases; a \.csv has .* expected 1, as in a, or a \.tsv file"):
        text(".csv", made("a", "A", [1]), made("b", "AC", [1, 2]))
    with pytest.raises(ValueError, match="at most 1,000,000"):
        formats.check_columns([("a", 1_000_001)])


@pytest.mark.parametrize("name", ["x.txt", "x", "x.csv.gz", "x.bigwig"])
def test_other_suffixes_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"expected one of \.csv, \.tsv, \.bed, \.bedgraph, \.fa, \.bw"):
        write(tmp_path / name, [made("a")], ABOUT)


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("mine")
    with pytest.raises(ValueError, match="one column for each position"):
        write(path, [made("a", "A", [1]), made("b")], ABOUT)
    assert path.read_text() == "mine"
    write(path, [made("a", "A", [1])], ABOUT)
    assert path.read_text() == "window_name,0\na,1\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.csv"]


def test_a_folder_that_cannot_be_written_is_an_error_of_the_system(tmp_path):
    for suffix in (".csv", ".bw"):
        with pytest.raises(OSError, match=r".") as caught:
            write(tmp_path / "none" / f"x{suffix}", [made("a")], ABOUT)
        assert str(caught.value).isprintable()


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0]), min_size=1, max_size=60), st.integers(1, 9))
def test_sites_do_not_depend_on_how_a_record_is_read(scores, step):
    whole = made("a", "ACGT" * 15, np.zeros(60))
    whole = track("a", whole.read(0, len(scores))[0], np.array(scores, dtype=np.float32))
    pieces = [(start, *whole.read(start, min(start + step, whole.length))) for start in range(0, whole.length, step)]
    matches = Matches(whole.codes, whole.length, Scan(from_counts("", "", np.eye(4)[:, [0, 1]] * 9), 1.0))
    hits = matches.between(0, whole.length)
    found = [(site, codes.tolist()) for site, codes in formats.sites_of(pieces, whole.length, 2, matches)]
    expected = find_sites(np.array(scores, np.float32), 2, hits)
    assert found == [(site, whole.codes(site.start, site.end).tolist()) for site in expected]


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
@settings(max_examples=50)
def test_scores_come_back_exactly_from_every_text(scores):
    one = made("a", "A" * len(scores), scores)
    expected = np.array(scores, dtype=np.float32)
    row = text(".csv", one).splitlines()[1].split(",")[1:]
    assert (np.array(row, dtype=np.float32) == expected).all()
    for suffix, skip in ((".tsv", 2), (".bedgraph", 1)):
        column = [line.split("\t")[3] for line in text(suffix, one).splitlines()[skip:]]
        assert (np.array(column, dtype=np.float32) == expected).all()
