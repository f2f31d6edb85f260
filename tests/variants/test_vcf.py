"""VCF files line by line: what each allele of them says, and what is wrong with a file that is none."""

import gzip

import pytest

from tfbind.variants.parse import Call, read_calls

HEADER = "##fileformat=VCFv4.3\n##source=test\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def calls(folder, text: str | bytes, name: str = "v.vcf") -> list[Call]:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read_calls(folder / name))


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


LINE = "1\t5\t.\tA\tC\n"
REFUSED = {
    "nothing": ("", "no header of a VCF; expected a file that starts ##fileformat=VCF"),
    "comments only": ("# of mine\n", "no header of a VCF"),
    "a line above the header": (LINE + HEADER, "line 1: '1\\t5\\t.\\tA\\tC' above any header; expected a VCF"),
    "FASTA": (">a\nACGT\n", "line 1: '>a' above any header"),
    "BCF": (gzip.compress(b"BCF\2\2\0\0"), "this is a BCF file; expected text"),
    "binary": (bytes(range(256)), "line 1: "),
    "half a gzip file": (gzip.compress((HEADER + LINE * 9).encode())[:40], "the gzip data stop before their end"),
    "blanks for tabs": (
        HEADER + "1 5 . A C\n",
        "line 4: expected the columns CHROM POS ID REF ALT, separated by tabs",
    ),
    "a torn line": (HEADER + LINE + "1\t5\t.\tA", "line 5: expected the columns"),
    "an empty column": (HEADER + "1\t5\t\tA\tC\n", "line 4: expected the columns"),
    "no position": (HEADER + "1\tx\t.\tA\tC\n", "line 4: POS is 'x'; expected a whole number"),
    "a negative position": (HEADER + "1\t-5\t.\tA\tC\n", "line 4: POS is '-5'"),
    "a fraction": (HEADER + "1\t5.0\t.\tA\tC\n", "line 4: POS is '5.0'"),
    "an absurd position": (HEADER + f"1\t{9**99}\t.\tA\tC\n", "line 4: POS is '2951266"),
    "an endless position": (HEADER + f"1\t{'9' * 9999}\t.\tA\tC\n", "line 4: POS is '999999"),
    "a symbolic reference": (HEADER + "1\t5\t.\t<DEL>\tC\n", "line 4: REF is '<DEL>'; expected letters A C G T N"),
    "IUPAC": (HEADER + "1\t5\t.\tA\tR\n", "line 4: ALT is 'R'; expected letters A C G T N, or <DEL> and the like"),
    "very many": (HEADER + "1\t5\t.\tA\t" + "C," * 100_000 + "C\n", "line 4: ALT lists over 100,000 alleles"),
    "a long reference for many": (
        HEADER + "1\t5\t.\t" + "A" * 10**6 + "\t" + "C," * 10 + "C\n",
        "line 4: REF of 1,000,000 bases for each of 11 alleles; expected at most 10,000,000 bases in all",
    ),
    "two commas": (HEADER + "1\t5\t.\tA\tC,,G\n", "line 4: ALT is 'C,,G'"),
    "a control character": (
        HEADER + "1\t5\t.\tA\tC\x1b[31m\n",
        "line 4: a control character; expected printable text",
    ),
    "half a breakend": (HEADER + "1\t5\t.\tA\tG]17:1\n", "line 4: ALT is 'G]17:1'"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_vcf_is_refused_in_one_line_with_its_place(tmp_path, what):
    text, said = REFUSED[what]
    with pytest.raises(ValueError, match=r".") as caught:
        calls(tmp_path, text)
    assert str(caught.value).startswith("v.vcf: ")
    assert said in str(caught.value)
    assert str(caught.value).isprintable()
