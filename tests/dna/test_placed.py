"""Records that other tools have cut out: predictions by command, in every format, read back with other programs."""

import numpy as np
import pandas as pd
import pytest

from tfbind.__main__ import main
from tfbind.dna.codes import decode, encode, reverse_complement
from tfbind.dna.intervals import Position, bare, match_chromosomes, position_of, window_place
from tfbind.dna.parser import read_records
from tfbind.scoring.formats import unplaced

SITE = "GGATGTTTACATCCGATTGCCAGTAACG"  # a FOXA1 site in 28 bases, which lie at 1000 of chr1, counted from 0
TURNED = decode(reverse_complement(encode(SITE)))

FORWARD = [
    "site1::chr1:1000-1028(+)",
    "my site::chr1:1000-1028(+)",
    "a::b::chr1:1000-1028",
    "chr1:1000-1028(+)",
    "chr1:1000-1028(.)",
    "chr1:1001-1028",
    "chr1:1,001-1,028",
    "chr1:1001..1028",
    "chr1:1001-1028(+)",
    "chr1:1001-1028:+",
    "chr1_1001-1028:+ site1",
    "chr1_1000_1027",
    "hg38_dna range=chr1:1001-1028 5'pad=0 3'pad=0 strand=+ repeatMasking=none",
    "peak dna:chromosome chromosome:GRCh38:chr1:1001:1028:1 REF",
    "chromosome:GRCh38:chr1:1001:1028:1",
]
REVERSE = [
    "site1::chr1:1000-1028(-)",
    "chr1:1000-1028(-)",
    "chr1:1001-1028/rc",
    "chr1:1001-1028(-)",
    "chr1_1001-1028:-",
    "chr1_1000_1027(-)",
    "chromosome:GRCh38:chr1:1001:1028:-1",
    "hg38_dna range=chr1:1001-1028 5'pad=0 3'pad=0 strand=- repeatMasking=none",
    "chr1:c1028-1001",
]


PREDICTED = [FORWARD[0], FORWARD[5], FORWARD[11], *REVERSE[::4]]  # bedtools, samtools, the course; two ways back


@pytest.mark.parametrize("header", [*FORWARD, *REVERSE])
def test_a_place_is_read_whatever_tool_wrote_it(header):
    (record,) = read_records(f">{header}\n{SITE}\n")
    assert position_of(record.name, 28) == Position("chr1", 1000, reverse=header in REVERSE)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What `predict` writes of all these, a file each, by header and suffix."""
    pyBigWig = pytest.importorskip("pyBigWig", reason="pyBigWig has no wheel for this system")
    folder = tmp_path_factory.mktemp("placed")
    found = {}
    for number, header in enumerate(["plain", *PREDICTED]):
        data = folder / f"{number}.fa"
        data.write_text(f">{header}\n{TURNED if header in REVERSE else SITE}\n")
        for suffix in (".bed", ".bedgraph", ".bw", ".tsv"):
            out = folder / f"{number}{suffix}"
            assert main(["predict", "--model", "builtin", "--data", str(data), "--out", str(out)]) == 0
            if suffix == ".bw":
                opened = pyBigWig.open(str(out))
                found[header, suffix] = {name: opened.intervals(name) for name in opened.chroms()}
            else:
                columns = None if suffix != ".tsv" else 0
                found[header, suffix] = pd.read_csv(out, sep="\t", comment="#", header=columns).values.tolist()
    return found


@pytest.mark.parametrize("header", PREDICTED)
def test_a_record_lies_where_its_name_says_whatever_tool_wrote_it(outcomes, header):
    own = np.array([row[3] for row in outcomes["plain", ".tsv"]])  # of the forward strand, base for base
    alone = np.array([row[3] for row in outcomes[header, ".tsv"]])
    scores = alone[::-1] if header in REVERSE else own
    tracks = outcomes[header, ".bw"]
    assert list(tracks) == ["chr1"]
    assert [start for start, _, _ in tracks["chr1"]] == list(range(1000, 1028))
    np.testing.assert_allclose([score for _, _, score in tracks["chr1"]], scores, rtol=1e-6)
    rows = outcomes[header, ".bedgraph"]
    assert [row[:3] for row in rows] == [["chr1", at, at + 1] for at in range(1000, 1028)]
    np.testing.assert_allclose([row[3] for row in rows], scores, rtol=1e-6)
    ((chromosome, start, end, *_),) = outcomes[header, ".bed"]
    ((_, first, last, *_),) = outcomes["plain", ".bed"]
    assert chromosome == "chr1"
    assert abs(start - 1000 - first) <= 2  # the other strand is scored as another sequence
    assert abs(end - 1000 - last) <= 2
    assert [row[1] for row in outcomes[header, ".tsv"]] == list(range(28))  # within the record


@pytest.mark.parametrize(
    ("name", "length", "expected"),
    [
        ("NC_000001.11:101-128", 28, Position("NC_000001.11", 100)),
        ("NC_000001.11:c128-101", 28, Position("NC_000001.11", 100, reverse=True)),
        ("gi|568815597|ref|NC_000001.11|:101-128", 28, Position("NC_000001.11", 100)),
        ("x::chr22_10510500_10510799", 300, Position("chr22", 10510500)),
        ("chr1:1,000,001-1,000,028", 28, Position("chr1", 1_000_000)),
        ("chr1:1,00-1,28", 28, None),  # no thousands
        ("site1::chr1:100-128(+)", 29, Position("chr1", 99)),  # 29 bases: both ends are meant
        ("site1::chr1:100-128(+)", 30, None),
        ("chr1:101-128/rc", 27, None),  # samtools counts from 1
        ("chr1:c101-128", 28, None),
        ("site1::", 28, None),
        ("::", 28, None),
    ],
)
def test_the_length_decides_how_a_place_is_counted_or_that_there_is_none(name, length, expected):
    assert position_of(name, length) == expected
    if expected:
        assert window_place(name.encode(), length) == (expected.chromosome, expected.start)


def test_numbers_that_are_no_place_of_the_length_are_said_in_the_file_and_beside_it(tmp_path, capsys):
    (tmp_path / "x.fa").write_text(f">site1::chr1:100-129(+)\n{SITE}\n")
    assert main(f"predict --model builtin --data {tmp_path}/x.fa --out {tmp_path}/x.bedgraph".split()) == 0
    said = "the numbers in its name are no place of its length, its own chromosome from 0: site1::chr1:100-129(+)"
    assert capsys.readouterr().err.splitlines()[-1] == said
    header, first, *_ = (tmp_path / "x.bedgraph").read_text().splitlines()
    assert header.endswith(said)
    assert first.split("\t")[:3] == ["site1::chr1:100-129(+)", "0", "1"]
    assert unplaced(".bw", [("chr1:101-128", 28), ("chr1:201-230", 28), ("oligo", 28)]) == (
        "without a place in its name, its own chromosome from 0: oligo; "
        "the numbers in its name are no place of its length, its own chromosome from 0: chr1:201-230"
    )


def test_a_whole_chromosome_of_ensembl_keeps_its_name_and_a_piece_from_its_start_has_its_place(tmp_path):
    (tmp_path / "x.fa").write_text(
        f">1 dna:chromosome chromosome:GRCh38:1:1:28:1 REF\n{SITE}\n>a range=chr2:1-28 strand=+\n{SITE}\n"
    )
    assert main(f"predict --model builtin --data {tmp_path}/x.fa --out {tmp_path}/x.bedgraph".split()) == 0
    rows = pd.read_csv(tmp_path / "x.bedgraph", sep="\t", comment="#", header=None, dtype={0: str})
    assert rows[0].value_counts().to_dict() == {"1": 28, "chr2": 28}
    assert rows[1].max() == 27


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["chr1", "Chr1", "CHR1", "1", "NC_000001.11", "CM000663.2"], "1"),
        (["chrX", "X", "NC_000023.11", "CM000685.2"], "X"),
        (["chrM", "MT", "M", "chrMT", "NC_012920.1"], "M"),
        (["chrUn_KI270302v1", "Un_KI270302v1"], "Un_KI270302v1"),
        (["NC_000067.7"], "NC_000067.7"),  # of the mouse
    ],
)
def test_a_chromosome_is_one_by_all_its_names(names, expected):
    assert {bare(name) for name in names} == {expected}
    assert match_chromosomes(names, [names[0]]) == dict.fromkeys(names, names[0])
    assert match_chromosomes(["1"], ["chr1", "1"]) == {"1": "1"}
