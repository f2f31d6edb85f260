"""Variants as people write them."""

import pytest

from tfbind.dna.codes import decode, encode
from tfbind.dna.parser import Record
from tfbind.scoring.ism import apply_variant
from tfbind.variants.parse import parse_changes, read_with_variants


def record(name: str, letters: str) -> Record:
    return Record(name, encode(letters), [])


COURSE = record("chr22_100_109", "ACGTACGTAC")  # 0-based with an inclusive end: position 101 is its first A
SAMTOOLS = record("chr1:51-58", "TTGCATTG")
OLIGO = record("oligo", "GATTACA")
REVERSE = record("chr5:21-26(-)", "TACGTG")  # the forward strand has CACGTA at 21 to 26


@pytest.mark.parametrize(
    ("text", "name", "alternative"),
    [
        ("chr22:101 A>G", "chr22_100_109", "GCGTACGTAC"),
        ("22:101 A>G", "chr22_100_109", "GCGTACGTAC"),
        ("chr22 : 101 a > g", "chr22_100_109", "GCGTACGTAC"),
        ("chr22-104-T-C", "chr22_100_109", "ACGCACGTAC"),
        ("chr22\t104\trs1\tT\tC\t.\tPASS", "chr22_100_109", "ACGCACGTAC"),
        ("104 T>C", "chr22_100_109", "ACGCACGTAC"),
        ("10 C>A", "chr22_100_109", "ACGTACGTAA"),
        ("chr22_100_109:10 C>A", "chr22_100_109", "ACGTACGTAA"),
        ("chr1:51 T>A", "chr1:51-58", "ATGCATTG"),
        ("chr1:51-58:8 G>A", "chr1:51-58", "TTGCATTA"),
        ("chr5:21 C>T", "chr5:21-26(-)", "TACGTA"),
        ("chr5:25 TA>G", "chr5:21-26(-)", "CCGTG"),
        ("chr5:21-26(-):6 G>T", "chr5:21-26(-)", "TACGTT"),
        ("oligo:2 AT>A", "oligo", "GATACA"),
        ("oligo:7 A>ACC", "oligo", "GATTACACC"),
        ("G1C", "oligo", "CATTACA"),
        ("G1U", "oligo", "TATTACA"),
    ],
)
def test_a_change_finds_its_record_and_its_base(text, name, alternative):
    ((found, variant),) = parse_changes(text, [COURSE, SAMTOOLS, OLIGO, REVERSE])
    assert found.name == name
    assert decode(apply_variant(found.codes, variant)) == alternative


def test_grouped_digits_are_one_position():
    far = record("chr1:1000001-1000004", "ACGT")
    assert parse_changes("chr1:1,000,002 C>T", [far])[0][1].start == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("chr22:101 C>G", "chr22:101: chr22_100_109 has 'A' there, not 'C'"),
        (
            "oligo:7 AA>G",
            r"oligo:7: in no sequence here; expected a place in chr22_100_109 \(1 to 10, or chr22:101-110\)",
        ),
        ("chr9:101 A>G", "chr9:101: in no sequence here"),
        ("chr5:22 C>G", r"chr5:22: chr5:21-26\(-\) has 'A' there, not 'C'"),
        ("1 A>G", r"position 1: this may be base 1 of chr22_100_109, base 1 of again; expected the chromosome or"),
        ("0 A>G", "position 0: in no sequence here"),
        ("oligo:1 G>G", "both alleles are the same"),
        ("oligo:1 G>Q", "allele 'Q': letter 'Q' at position 1"),
        ("oligo:1 G>", "is no change of a base; expected chr22:10510600 A>G"),
        ("", "is no change of a base"),
        ("a\nb", "is no change of a base"),
        ("A" * 20_000, "a change of 20,000 characters"),
        (f"chr1:{'1' * 13} A>G", "position '1111111111111': no chromosome is that long; expected"),
        (f"{'1' * 5_000} A>G", r"position '1+...': no chromosome is that long; expected"),
        ("GAT[T/G]ACA", "'GAT\\[T/G\\]ACA' is a sequence with its change, for the page's box of DNA; expected"),
    ],
)
def test_a_change_that_fits_nowhere_is_refused_in_one_line(text, said):
    with pytest.raises(ValueError, match=said) as caught:
        parse_changes(text, [COURSE, OLIGO, record("again", "AAAA"), REVERSE])
    assert "\n" not in str(caught.value)


def alleles(text):
    """Name and letters of each record, and the letters with its variant, None where there is none."""
    return [
        (record.name, decode(record.codes), record.variant and decode(apply_variant(record.codes, record.variant)))
        for record in read_with_variants(text, 10, 1_000)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ACGT[A/G]TTT", [("sequence_1", "ACGTATTT", "ACGTGTTT")]),
        ("acgt[ac/]ttt", [("sequence_1", "ACGTACTTT", "ACGTTTT")]),
        ("ACGT[-/GGG]TTT", [("sequence_1", "ACGTTTT", "ACGTGGGTTT")]),
        ("[A / U]", [("sequence_1", "A", "T")]),
        (">a\nAC GT\n[A/G] TTT", [("a", "ACGTATTT", "ACGTGTTT")]),
        (
            ">rs1\nGTT[T/C]ACTT\n>rs2 [A/G]\nACGT\n>rs3\nA[G/C]A",
            [("rs1", "GTTTACTT", "GTTCACTT"), ("rs2", "ACGT", None), ("rs3", "AGA", "ACA")],
        ),
        ("AC[A/G]T\nGG[C/T]", [("sequence_1", "ACAT", "ACGT"), ("sequence_2", "GGC", "GGT")]),
        ("name,sequence\na,AC[A/G]T", [("a", "ACAT", "ACGT")]),
        ("A[C/G]T[A/C]", [("sequence_1", "ACTA", "AGTC")]),
        (f"{'A' * 60}\n{'C' * 59}[C/G]\nT", [("sequence_1", "A" * 60 + "C" * 60 + "T", "A" * 60 + "C" * 59 + "GT")]),
        ("ACGT", [("sequence_1", "ACGT", None)]),
    ],
)
def test_each_record_may_have_a_variant_in_brackets(text, expected):
    assert alleles(text) == expected


def test_brackets_are_said_to_be_read_as_a_variant():
    one, other = read_with_variants(">a\nA[C/G]T\n>b\nACGT", 10, 1_000)
    assert (one.notes, other.notes) == (["in brackets: first the original, then what it is changed to"], [])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A[C>G]T", r"letter '\[' at position 2"),
        ("A[C/G/T]T", r"letter '\[' at position 2"),
        ("A[C/c]T", r"^'\[C/c\]': both alleles are the same$"),
        ("A[C/C\n]T", r"^'\[C/C\\n\]': both alleles are the same$"),
        (f"{'A' * 60}\n{'C' * 59}[C/]\nT", "brackets in lines without names; expected a line >name above"),
    ],
)
def test_brackets_that_hold_no_variant_are_refused(text, said):
    for repair in (False, True):
        with pytest.raises(ValueError, match=said):
            read_with_variants(text, 10, 1_000, repair)


def test_an_allele_that_cannot_be_read_is_refused_and_its_repair_said():
    with pytest.raises(ValueError, match="letter 'Q' at position 2"):
        read_with_variants("A[C/Q]T", 10, 1_000)
    (record,) = read_with_variants("A[C/Q]T", 10, 1_000, repair=True)
    assert record.repairs == ["Q at 2 read as N"]
