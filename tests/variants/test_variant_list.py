"""Lists of variants in every form that people paste, and where the bases around them come from."""

import gzip

import numpy as np
import pytest
from scorers import LOCAL, keep

from tfbind.dna.codes import encode, reverse_complement
from tfbind.dna.parser import Record
from tfbind.scoring.model import load_model
from tfbind.variants.effects import Scorer
from tfbind.variants.parse import EXPECTED, Call, read_list
from tfbind.variants.reference import FromRecords

VCF = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\n"


@pytest.mark.parametrize(
    "line",
    [
        "chr22\t105\t.\tA\tG\t50\tPASS",
        "chr22 105 . A G",
        "chr22:105 A>G",
        "chr22 105 A G",
        "chr22\t105\tA\tG",
        "chr22-105-A-G",
        "chr22:g.105A>G",
    ],
)
def test_a_change_is_read_in_every_common_form(line):
    assert read_list(line).calls == [Call(1, "chr22", 105, ".", "A", "G", "")]


def test_good_lines_are_kept_and_bad_ones_named_with_their_reason():
    text = f"{VCF}chr22\t105\trs1\tA\tG,<DEL>\nchr22\tx\t.\tA\tG\nrs123\nchr22\t9\t.\tJ\tG\n\n12 A>G\n"
    found = read_list(gzip.compress(text.encode()))
    assert found.calls == [
        Call(3, "chr22", 105, "rs1", "A", "G", ""),
        Call(3, "chr22", 105, "rs1", "A", "<DEL>", "symbolic allele"),
    ]
    assert [(bad.line, bad.reason) for bad in found.bad] == [
        (4, "POS is 'x'; expected a whole number"),
        (5, "an rs number alone has no place and no bases; expected those, as chr22:10510600 A>G"),
        (6, "REF is 'J'; expected letters A C G T N"),
        (8, "no chromosome; expected one before the position, such as chr22:10510600 A>G"),
    ]
    assert not found.more


def test_a_change_without_a_chromosome_is_meant_for_the_only_sequence():
    assert read_list("12 A>G", ["mine"]).calls[0].chromosome == "mine"
    assert read_list("12 A>G", ["mine", "yours"]).calls == []


def test_a_line_of_captions_is_no_bad_line():
    found = read_list("chrom\tpos\tref\talt\n1\t5\tA\tG\n")
    assert (len(found.calls), found.bad) == (1, [])


def test_a_list_that_is_too_long_is_read_up_to_its_limit():
    found = read_list("chr1:5 A>G\n" * 11, limit=10)
    assert (len(found.calls), found.more) == (10, True)
    assert not read_list("chr1:5 A>G\n" * 10, limit=10).more


@pytest.mark.parametrize(
    ("data", "said"),
    [("", "nothing to read"), (VCF, "no variant in it"), (b"PK\x03\x04", "this is a Word, Excel or zip file")],
)
def test_what_is_no_list_is_said_in_one_line(data, said):
    with pytest.raises(ValueError, match=said) as error:
        read_list(data)
    assert EXPECTED in str(error.value)


BASES = encode("TTGACCATGTTTACTTAGCA")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    run = keep(tmp_path_factory.mktemp("home"), "local", LOCAL)
    return load_model(run.home, run.id)


def reasons(model, records, lines):
    scored = Scorer(model, FromRecords(records)).effects(read_list(lines).calls)
    return [call.skipped for call, _ in scored]


@pytest.mark.parametrize(
    ("name", "codes", "position"),
    [
        ("chr22:101-120", BASES, 104),  # T T G A: the fourth base
        ("chr22:100-120", BASES, 104),
        ("chr22:100-120(+)", BASES, 104),
        ("chr22_100_119", BASES, 104),
        ("NC_000022.11:101-120", BASES, 104),
        ("chr22:101-120(-)", reverse_complement(BASES), 104),
        ("chr22", BASES, 4),
    ],
)
def test_a_name_says_where_the_bases_of_a_record_lie(model, name, codes, position):
    records = [Record("chr22:9000-9003", encode("ACGT"), []), Record(name, codes, [])]
    for chromosome in ("chr22", "22"):
        lines = f"{chromosome}:{position} A>C"
        ((call, effect),) = Scorer(model, FromRecords(records)).effects(read_list(lines).calls)
        assert (call.skipped, effect is None) == ("", False)
        assert abs(effect.position - position) <= model.reach


def test_what_a_record_does_not_bear_out_is_said_and_the_rest_is_scored(model):
    records = [Record("chr22:101-120", BASES, [])]
    lines = "chr22:104 G>C\nchr22:104 A>C\nchr22:121 A>C\nchr22:119 CAT>C\nchr9:104 A>C\n"
    assert reasons(model, records, lines) == [
        "REF is 'G'; the sequence has 'A' there; expected the same assembly in both",
        "",
        "outside the sequence, which has the positions 101 to 120",
        "outside the sequence, which has the positions 101 to 120",
        "no sequence of this chromosome here",
    ]


def test_of_two_records_that_hold_a_place_the_one_with_its_reference_is_taken(model):
    other = BASES.copy()
    other[3] = 2
    records = [Record("chr22:101-120", other, []), Record("chr22:91-120", np.append(encode("A" * 10), BASES), [])]
    assert reasons(model, records, "chr22:104 A>C") == [""]


def test_the_surroundings_of_a_variant_hold_both_alleles(model):
    scorer = Scorer(model, FromRecords([Record("chr22:101-120", BASES, [])]))
    (call,) = read_list("chr22:104 AC>A").calls
    task = scorer.surroundings(call, 2)
    assert (task.start, task.reference.tolist()) == (102, encode("GACCAT").tolist())  # around CC: either C may go
    assert task.edited().codes.tolist() == encode("GACAT").tolist()
    assert task.edited().origin.tolist() == [0, 1, 2, 4, 5]
