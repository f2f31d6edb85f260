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


BED, FROM_1 = "with start and end as in BED, which counts from 0", "with start and end that count from 1"
INSERTED = "as inserted between two bases"


@pytest.mark.parametrize(
    ("text", "id", "assumed"),
    [
        ("chr22\t105\t.\tA\tG\t50\tPASS", ".", ""),
        ("chr22 105 . A G", ".", ""),
        ("chr22 105 123456789 A G", "123456789", ""),
        ("chr22:105 A>G", ".", ""),
        ("chr22 105 A G", ".", ""),
        ("chr22 105 A G 0.25 1e-8", ".", ""),
        ("chr22\t105\tA\tG", ".", ""),
        ("chr22 105 A/G", ".", ""),
        ("chr22,105,A,G", ".", ""),
        ('"chr22","105","A","G"', ".", ""),
        ("chr22; 105; A; G", ".", ""),
        ("chr22-105-A-G", ".", ""),
        ("chr22\u2013105\u2013A\u2013G", ".", ""),
        ("chr22_105_A_G_b38", ".", ""),
        ("chr22_105_A/G", ".", ""),
        ("chr22:105_A_G", ".", ""),
        ("chr22:105:A:G", ".", ""),
        ("chr22:g.105A>G", ".", ""),
        ("chr22:105 A->G", ".", ""),
        ("chr22:105 A\u2192G", ".", ""),
        ("chr22:105 A => G", ".", ""),
        ("chr22:105 A to G.", ".", ""),
        ("chr22:A105G", ".", ""),
        ("chr22\u00a0105\u00a0A\u00a0G", ".", ""),
        ("chr22:105 A>G;", ".", ""),
        ("rs7 chr22 105 A G", "rs7", ""),
        ("rs7 chr22:105 A>G", "rs7", ""),
        ("mine chr22 105 A G", "mine", ""),
        ("chr22 rs7 105 A G", "rs7", ""),
        ("chr22:105 A>G rs7", "rs7", ""),
        ("chr22:105:A:G:rs7", "rs7", ""),
        ("chr22:105 A>G (rs7)", "rs7", ""),
        ("chr22:105 A>G # of interest", ".", ""),
        ("- chr22:105 A>G", ".", ""),
        ("1. chr22: 105 A > G", ".", ""),
        ("hg38 chr22:105 A>G", ".", ""),
        ("GRCh38:chr22:105:A:G", ".", ""),
        ("chr22\t104\t105\trs7\tA\tG", "rs7", BED),
        ("chr22\t104\t105\trs7\t0\t+\tA\tG", "rs7", BED),
        ("rs7 chr22 104 105 A G", "rs7", BED),
        ("chr22 104 105 A G", ".", BED),
        ("chr22\t104\t105\tA\tG\t.\t+", ".", BED),
        ("chr22 104 105 A/G", ".", BED),
        ("chr22:104-105 A>G", ".", BED),
        ("chr22 105 105 A G", ".", FROM_1),
        ("chr22 105 105 A/G +", ".", FROM_1),
        ("chr22 105 105 T/C -", ".", FROM_1),
        ("chr22 105 105 T/C -1", ".", FROM_1),
        ("chrom start end ref alt\nchr22 104 105 A G", ".", BED),
        ("#chrom\tchromStart\tchromEnd\tname\tref\talt\nchr22\t104\t105\trs7\tA\tG", "rs7", BED),
        ("Chr\tStart\tEnd\tRef\tAlt\tGene\nchr22\t105\t105\tA\tG\tX", ".", FROM_1),
        ("rsid,chromosome,position_hg38,ref,alt\nrs7,chr22,105,A,G", "rs7", ""),
        ("pos\talt\tref\tchr\n105\tG\tA\tchr22", ".", ""),
        ("variant_id\tgene_id\tslope\nchr22_105_A_G_b38\tENSG1\t0.2", ".", ""),
        ("#Uploaded_variation\tLocation\tAllele\nchr22_105_A/G\tchr22:105\tG", ".", ""),
        ('"chr22:105 A>G"', ".", ""),
        ("CHR SNP BP REF ALT P\nchr22 rs7 105 A G 1e-9", "rs7", ""),
    ],
)
def test_a_change_is_read_in_every_common_form(text, id, assumed):
    (call,) = read_list(text).calls
    assert call[1:] == ("chr22", 105, id, "A", "G", "", assumed)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("22-10510600-A-G", ("22", 10510600, "A", "G")),
        ("chr22:10,510,600 A>G", ("chr22", 10510600, "A", "G")),
        ("chr22 10,510,600 A G", ("chr22", 10510600, "A", "G")),
        ("rs1 22 10510600 A G", ("22", 10510600, "A", "G")),
        ("snp_1 22 10510600 A G", ("22", 10510600, "A", "G")),
        ("NC_000022.11:g.10510600A>G", ("NC_000022.11", 10510600, "A", "G")),
        ("NC_000022.11:10510599:A:G", ("NC_000022.11", 10510600, "A", "G")),
        ("NC_000022.11:10510599:A:", ("NC_000022.11", 10510600, "A", "-")),
        ("NC_000022.11:g.105delA", ("NC_000022.11", 105, "A", "-")),
        ("NC_000022.11:g.105_106delACinsT", ("NC_000022.11", 105, "AC", "T")),
        ("NC_000022.11:g.105_106insTT", ("NC_000022.11", 106, "-", "TT")),
        ("NC_000022.11:g.105_106dupAC", ("NC_000022.11", 105, "AC", "ACAC")),
        ("chr22:105 A>-", ("chr22", 105, "A", "-")),
        ("chr22 105 106 AC -", ("chr22", 105, "AC", "-")),
        ("chr22 104 106 AC -", ("chr22", 105, "AC", "-")),
        ("22 106 105 -/C +", ("22", 106, "-", "C")),
        ("22 106 105 -/AC -", ("22", 106, "-", "GT")),
        ("22 105 105 - C", ("22", 106, "-", "C")),
        ("22 105 106 - C", ("22", 106, "-", "C")),
        ("chr1_KI270706v1_random_105_A_G_b38", ("chr1_KI270706v1_random", 105, "A", "G")),
        ("HLA-A*01:01:01:01:105 A>G", ("HLA-A*01:01:01:01", 105, "A", "G")),
    ],
)
def test_places_and_alleles_of_forms_with_their_own_way_of_counting(text, expected):
    (call,) = read_list(text).calls
    assert (call.chromosome, call.position, call.reference, call.alternative, call.skipped) == (*expected, "")


def test_several_changes_and_alternatives_are_calls_of_their_own():
    expected = [("chr22", 105, "A", "G"), ("chr22", 106, "T", "C")]
    for text in (
        "chr22:105 A>G, chr22:106 T>C",
        "chr22:105 A>G; chr22:106 T>C",
        "chr22:105 A>G,chr22:106 T>C",
        "chr22-105-A-G;chr22-106-T-C",
    ):
        assert [(*call[1:3], *call[4:6]) for call in read_list(text).calls] == expected
    for text in ("chr22 105 A G,T", "chr22:105 A>G,T", "chr22 105 105 A/G/T +"):
        assert [call.alternative for call in read_list(text).calls] == ["G", "T"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (
            "chr22 100 105 A G",
            "this looks like start 100 and end 105, which REF, 'A', does not fill",
        ),
        ("chr22 105 - G", "REF is '-'; expected letters A C G T N, of an insertion the base before it"),
        ("25del", "'25del' does not name the bases; expected them, as in 25delA or 25_26delACinsT"),
        ("25_26del", "'25_26del' does not name the bases"),
        ("25_27dup", "'25_27dup' does not name the bases"),
        ("25_26invAC", "'25_26invAC' does not name the bases"),
        ("25_27delAC", "'25_27delAC' names 2 bases, not 3"),
        ("25insA", "'25insA': expected the bases and the two places that they lie between, as in 25_26insAC"),
        (
            "c.25G>A",
            "'c.25G>A': c. counts along a transcript or protein, which is not known here",
        ),
        ("NM_000059.3:c.25-1G>A", "'NM_000059.3:c.25-1G>A': c. counts along a transcript"),
        ("p.Arg25Gly", "'p.Arg25Gly': p. counts along a transcript or protein"),
        ("22 rs7 0 105 A G", "this looks like PLINK's .bim"),
        ("chr22:105_107AC>G", "'chr22:105_107AC>G' names 2 bases for other places"),
        ("chr22:1.05e7 A>G", "'chr22:1.05e7 A>G' is no change of a base"),
        (f"chr22:{2**63} A>G", "POS is '9223372036854775808': no chromosome is that long"),
        (f"chr22 {2**63} {2**63} A G", "position '9223372036854775808': no chromosome is that long"),
        ("rs7", "an rs number alone has no place and no bases"),
        ("rs7 A>G", "an rs number alone has no place and no bases"),
    ],
)
def test_what_says_too_little_is_passed_over_with_what_it_looks_like(line, why):
    odd, good = read_list(f"{line}\nchr22:105 A>G").calls
    assert odd.skipped.startswith(why)
    assert good == Call(2, "chr22", 105, ".", "A", "G", "")


def test_a_table_that_does_not_say_which_allele_the_genome_has_is_refused():
    with pytest.raises(ValueError, match="no columns ref and alt, and the genome may have either allele"):
        read_list("chromosome\tbase_pair_location\teffect_allele\tother_allele\n22\t105\tA\tG")


def test_good_lines_are_kept_and_bad_ones_named_with_their_reason():
    text = f"{VCF}chr22\t105\trs1\tA\tG,<DEL>,R\nchr22\tx\t.\tA\tG\nrs123\nchr22\t9\t.\tJ\tG\n"
    found = read_list(gzip.compress(text.encode()))
    assert [call[:7] for call in found.calls] == [
        (3, "chr22", 105, "rs1", "A", "G", ""),
        (3, "chr22", 105, "rs1", "A", "<DEL>", "symbolic allele"),
        (3, "chr22", 105, "rs1", "A", "R", "ALT is 'R'; expected letters A C G T N, or <DEL> and the like"),
        (4, "chr22", None, ".", "A", "G", "POS is 'x'; expected a whole number"),
        (5, "", None, "rs123", "", "", "1 column; expected at least 5, as in the header"),
        (6, "chr22", 9, ".", "J", "G", "REF is 'J'; expected letters A C G T N"),
    ]
    assert not found.more


def test_a_change_without_a_chromosome_is_meant_for_the_only_sequence():
    assert read_list("12 A>G", ["mine"]).calls[0].chromosome == "mine"
    (call,) = read_list("12 A>G", ["mine", "yours"]).calls
    assert call.skipped == "no chromosome; expected one before the position, such as chr22:10510600 A>G"


def test_a_title_above_a_list_is_a_line_without_a_variant():
    title, call = read_list("Variant list of the lab\nchr22:105 A>G\n").calls
    assert (title.position, call.position) == (None, 105)


def test_a_line_of_captions_is_no_call():
    found = read_list("chrom\tpos\tref\talt\n1\t5\tA\tG\n")
    assert [call.skipped for call in found.calls] == [""]


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


def test_a_line_keeps_its_number_behind_empty_ones():
    assert [call.line for call in read_list("\n\nchr22:105 A>G\n\nhello").calls] == [3, 5]
