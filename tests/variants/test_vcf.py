"""VCF files line by line: what each allele of them says, and why a line has no variant."""

import gzip

import pytest

from tfbind.variants.parse import Call, read_lines, read_list

HEADER = "##fileformat=VCFv4.3\n##source=test\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def calls(folder, text: str | bytes, name: str = "v.vcf") -> list[Call]:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read_lines(folder / name))


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lambda text: text.replace(b"\n", b"\r\n")])
def test_each_alternative_of_a_line_is_a_call_of_its_own(tmp_path, pack):
    text = HEADER + "chr1\t7\trs1\tA\tG,TT\t50\tPASS\tDP=3\nchr2\t9\t.\tacn\tA\n"
    assert calls(tmp_path, pack(text.encode())) == [
        Call(4, "chr1", 7, "rs1", "A", "G", ""),
        Call(4, "chr1", 7, "rs1", "A", "TT", ""),
        Call(5, "chr2", 9, ".", "acn", "A", ""),
    ]


@pytest.mark.parametrize(
    ("alternative", "why"),
    [
        ("<DEL>", "symbolic allele"),
        ("<INS:ME:ALU>", "symbolic allele"),
        ("<NON_REF>", "symbolic allele"),
        ("<*>", "symbolic allele"),
        ("*", "allele lost with another deletion"),
        (".", "no alternative allele"),
        ("G]17:198982]", "breakend"),
        ("]13:123456]T", "breakend"),
        ("[chr2:5[C", "breakend"),
        ("A.", "breakend"),
        (".A", "breakend"),
        ("a", "same as the reference"),
    ],
)
def test_an_allele_without_a_sequence_of_its_own_says_why(tmp_path, alternative, why):
    assert [call.skipped for call in calls(tmp_path, f"{HEADER}1\t5\t.\tA\t{alternative},C\n")] == [why, ""]


@pytest.mark.parametrize("text", [HEADER, "##fileformat=VCFv4.2\n", HEADER + "\n \n"])
def test_a_vcf_without_variants_has_no_calls(tmp_path, text):
    assert calls(tmp_path, text) == []


SKIPPED = {
    "a torn line": ("1\t5\t.\tA", None, "4 columns; expected at least 5, as in the header"),
    "an empty column": ("1\t5\t.\t\tC", 5, "REF is '.'; expected letters A C G T N, of an insertion the base before"),
    "no chromosome": ("\t5\t.\tA\tC", 5, "no chromosome; expected one before the position"),
    "no position": ("1\tx\t.\tA\tC", None, "POS is 'x'; expected a whole number"),
    "a negative position": ("1\t-5\t.\tA\tC", None, "POS is '-5'; expected a whole number"),
    "a fraction": ("1\t5.0\t.\tA\tC", None, "POS is '5.0'; expected a whole number"),
    "2^63": (f"1\t{2**63}\t.\tA\tC", None, "POS is '9223372036854775808': no chromosome is that long"),
    "an endless position": (f"1\t{'9' * 9999}\t.\tA\tC", None, "POS is '999999"),
    "no reference": ("1\t5\t.\t.\tC", 5, "REF is '.'; expected letters A C G T N"),
    "a symbolic reference": ("1\t5\t.\t<DEL>\tC", 5, "REF is '<DEL>'; expected letters A C G T N"),
    "IUPAC": ("1\t5\t.\tA\tR", 5, "ALT is 'R'; expected letters A C G T N, or <DEL> and the like"),
    "very many": ("1\t5\t.\tA\t" + "C," * 100_000 + "C", 5, "ALT lists over 100,000 alleles"),
    "a long reference for many": (
        "1\t5\t.\t" + "A" * 10**6 + "\t" + "C," * 10 + "C",
        5,
        "REF of 1,000,000 bases for each of 11 alleles; expected at most 10,000,000 bases in all",
    ),
    "a control character": ("1\t5\t.\tA\tC\x1b[31m", 5, "a control character; expected printable text"),
    "half a breakend": ("1\t5\t.\tA\tG]17:1", 5, "ALT is 'G]17:1'"),
}


@pytest.mark.parametrize("what", SKIPPED)
def test_an_odd_line_is_a_call_that_says_why_it_has_no_score(tmp_path, what):
    line, position, why = SKIPPED[what]
    odd, good = calls(tmp_path, f"{HEADER}{line}\n1\t5\t.\tA\tC\n")
    assert (odd.line, odd.position, good) == (4, position, Call(5, "1", 5, ".", "A", "C", ""))
    assert odd.skipped.startswith(why)
    assert all(str(cell).isprintable() for cell in odd)


@pytest.mark.parametrize(
    "pack",
    [
        lambda text: f"\ufeff{text}".encode(),
        lambda text: f"\n \n{text}".encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: text.replace("\t", "    ").encode(),
        lambda text: text.removeprefix("##fileformat=VCFv4.3\n").encode(),
    ],
)
def test_a_vcf_is_read_however_it_came_here(pack):
    (call,) = read_list(pack(f"{HEADER}chr1\t7\t1234\tA\tG\t50\tPASS\tDP=3;AF=0.5\n")).calls
    assert call[1:7] == ("chr1", 7, "1234", "A", "G", "")


def test_a_damaged_file_is_refused_and_so_is_one_whose_first_lines_hold_no_variant(tmp_path):
    with pytest.raises(ValueError, match="the gzip data stop before their end"):
        calls(tmp_path, gzip.compress((HEADER + "1\t5\t.\tA\tC\n" * 9).encode())[:40])
    with pytest.raises(ValueError, match="no variant in the first 10,000 lines; expected a VCF"):
        calls(tmp_path, ">a\n" + "ACGT\n" * 10_001)
