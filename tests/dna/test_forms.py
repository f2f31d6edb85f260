"""Every form in which DNA is pasted, but for FASTA's own details."""

import gzip
import io

import pytest
from test_records import TABLE, named

from tfbind.dna.parser import assemble_records, read_chunks, read_records

GENBANK = """LOCUS       SCU49845     24 bp    DNA
DEFINITION  a gene.
ORIGIN
        1 gatcctccat atacaacggt
       21 acgt
//
LOCUS       SECOND     4 bp    DNA
ORIGIN
        1 ttaa
//
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ACGTN", [("sequence_1", "ACGTN")]),
        ("A", [("sequence_1", "A")]),
        ("ACGT\n\nGG\n", [("sequence_1", "ACGT"), ("sequence_2", "GG")]),
        (">a first\nAC\nGT\n>b\nT", [("a", "ACGT"), ("b", "T")]),
        ("\n >a\nAC", [("a", "AC")]),
        (">a\r\nAC\r\nGT\r\n", [("a", "ACGT")]),
        (">a\rAC\rGT", [("a", "ACGT")]),
        ("\ufeff>a\nACGT", [("a", "ACGT")]),
        ("acgu", [("sequence_1", "ACGT")]),
        ("ACRYKN", [("sequence_1", "ACNNNN")]),
        (TABLE, [("w1", "ACGT"), ("w2", "ACGA")]),
        ("window_name\tgc\tsequence\r\nw1\t0.5\tACGT\r\n", [("w1", "ACGT")]),
        ("Name\tSequence\nmy oligo\tACGT\nmy other\tAA", [("my oligo", "ACGT"), ("my other", "AA")]),
        ("oligo1\tACGT\noligo2\tAA\n", [("oligo1", "ACGT"), ("oligo2", "AA")]),
        ("1\tACGT\n2\tAA\n", [("sequence_1", "ACGT"), ("sequence_2", "AA")]),
        (GENBANK, [("SCU49845", "GATCCTCCATATACAACGGTACGT"), ("SECOND", "TTAA")]),
        ("1 gatcctccat atacaacggt\n21 acgt\n", [("sequence_1", "GATCCTCCATATACAACGGTACGT")]),
        ("61 gatcctccat\n71 acgt\n", [("sequence_1", "GATCCTCCATACGT")]),
        ("gatcctccat 10\nacgt 14\n", [("sequence_1", "GATCCTCCATACGT")]),
        ("1 ACGT\n2 GGTT\n", [("sequence_1", "ACGT"), ("sequence_2", "GGTT")]),
        (">\nAC\n> \nGT", [("sequence_1", "AC"), ("sequence_2", "GT")]),
        (">a\n1 acgt 5\n", [("a", "ACGT")]),
        ("        1 gatcctccat atacaacggt\n       21 acgt\n//\n", [("sequence_1", "GATCCTCCATATACAACGGTACGT")]),
        ("AC\n//\n", [("sequence_1", "AC")]),
        ("name,sequence\nmy oligo,ACGT\nmy other,AA", [("my oligo", "ACGT"), ("my other", "AA")]),
        ("sequence;gc;name\nACGT;0.5;a", [("a", "ACGT")]),
        ('"x1","ACGT"\n"x2","GG"\n', [("x1", "ACGT"), ("x2", "GG")]),
        ("oligo1 ACGT\noligo2 AA", [("oligo1", "ACGT"), ("oligo2", "AA")]),
        ("WT: ACGT\n\nMut: ACTT\n", [("WT", "ACGT"), ("Mut", "ACTT")]),
        ("5'-ACGT-3'", [("sequence_1", "ACGT")]),
        ("5\u2019 ACG TTT 3\u2019\n5\u2032\u2013GG\u20133\u2032", [("sequence_1", "ACGTTT"), ("sequence_2", "GG")]),
        ("Fwd: 5'-ACGT-3'\nRev: 5'-GG-3'", [("Fwd", "ACGT"), ("Rev", "GG")]),
        (">a\n5'-AC\nGT-3'", [("a", "ACGT")]),
        ("ACGR YACGT", [("sequence_1", "ACGNNACGT")]),
    ],
)
def test_every_form_is_read(text, expected):
    assert named(read_records(text)) == expected
    assert named(read_records(text.encode())) == expected
    assert named(read_records(gzip.compress(text.encode()))) == expected
    assert named(assemble_records(read_chunks(io.BytesIO(text.encode())))) == expected


def test_lines_of_names_and_letters_are_said_to_be_read_as_a_table():
    for text in ("name,sequence\na,ACGT", "x,ACGT", "x: ACGT"):
        assert read_records(text)[0].notes == ["read as a table of names and sequences"]


def test_a_sequence_wrapped_at_the_width_of_a_page_is_one_and_said_to_be():
    letters = "ACGTACGGTC" * 13
    wrapped = "\n".join(letters[start : start + 60] for start in range(0, len(letters), 60))
    (record,) = read_records(wrapped)
    assert named([record]) == [("sequence_1", letters)]
    assert record.notes == ["3 lines read as one sequence; a line >name above each keeps them apart"]


@pytest.mark.parametrize(
    "lines",
    [
        ["A" * 60, "C" * 61],
        ["A" * 49, "C" * 49],
        ["A" * 121, "C"],
        ["A" * 60, "", "C" * 60],
        ["A" * 60, "C", "G" * 60],
    ],
)
def test_lines_that_no_page_would_wrap_so_stay_apart(lines):
    assert [len(record.codes) for record in read_records("\n".join(lines))] == [len(line) for line in lines if line]
