"""Every form in which DNA is pasted, but for FASTA's own details."""

import gzip
import io

import pytest
from test_records import TABLE, named

from tfbind.dna.codes import InvalidLetter
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


@pytest.mark.parametrize(
    ("text", "letters", "named_once"),
    [
        ("/5Phos/ACGTACGT/3BioTEG/", "ACGTACGT", "/3BioTEG/, /5Phos/"),  # IDT
        ("5'-/56-FAM/ACGTACGT/3BHQ_1/-3'", "ACGTACGT", "/3BHQ_1/, /56-FAM/"),
        (
            "AC/iMe-dC/GT/ideoxyU/A/iSp18//iSp18/C/ideoxyI/G",
            "ACCGTTACNG",
            "/iMe-dC/, 2 /iSp18/, /ideoxyI/, /ideoxyU/",
        ),
        ("A*C*G*T", "ACGT", "3 *"),
        ("+A+CGT", "ACGT", "2 +"),
        ("mA*mCrGdT", "ACGT", "*, d, 2 m, r"),
        ("AmCG[5mC]T(MeC)", "ACGCTC", "(MeC), [5mC], m"),
        ("[BtnTg]ACGT[TAM]", "ACGT", "[BtnTg], [TAM]"),  # Sigma
        ("(BHQ1)ACGT(Phos)", "ACGT", "(BHQ1), (Phos)"),
        ("5'-6-FAM-ACGT-BHQ-1-3'", "ACGT", "6-FAM, BHQ-1"),
        ("5'Biotin-ACGT-3'-Cy5", "ACGT", "3'-Cy5, Biotin"),
        ("5'-pACGT-3'", "ACGT", "p"),
        ("AsCsGT", "ACGT", "2 s"),
    ],
)
def test_modifications_of_an_oligo_are_left_out_and_named(text, letters, named_once):
    for written in (text, f">a\n{text}\n", f"oligo1,{text}\noligo2,ACGT", f"name\tsequence\na\t{text}"):
        record = read_records(written)[0]
        assert named([record])[0][1] == letters
        assert f"modifications left out: {named_once}" in record.notes


@pytest.mark.parametrize("text", ["acgtmACGT", "ACGTRACGT", "acgtrAC", "ACGMCG"])
def test_iupac_letters_are_no_modifications(text):
    (record,) = read_records(text)
    assert len(record.codes) == len(text)
    assert (record.codes == 4).sum() == 1


@pytest.mark.parametrize(
    "text", ["AC[gap]GT", "AC(20)GT", "A(ACGT)A", "(N)6ACG", "AC/GT", "ACGT-ACGT", "MKVLP*", "GTT(T|C)AC", "A{C}G"]
)
def test_what_is_no_known_modification_is_not_left_out(text):
    with pytest.raises(InvalidLetter):
        read_records(text)


@pytest.mark.parametrize(
    ("text", "expected", "note"),
    [
        (">a\nACGT\n>b\n>c\nGG\n>\n", [("a", "ACGT"), ("c", "GG")], "passed over beside it, without letters: b"),
        (">a\nACGT\n>", [("a", "ACGT")], "passed over beside it, without letters: record 2"),
        (">\n" * 9 + ">a\nAC", [("a", "AC")], "record 1, record 2, record 3 and 6 more"),
        ("x\tACGT\ny\t\n", [("x", "ACGT")], "passed over beside it, without letters: y"),
        (
            GENBANK.replace("ORIGIN\n        1 ttaa", "CONTIG join(X:1..4)"),
            [("SCU49845", "GATCCTCCATATACAACGGTACGT")],
            "SECOND",
        ),
        (f"Dear all,\n\n{GENBANK}", [("SCU49845", "GATCCTCCATATACAACGGTACGT"), ("SECOND", "TTAA")], ""),
        (GENBANK.replace("DNA", "DNA circular", 1), named(read_records(GENBANK)), "circular: a site across its ends"),
        (
            "ID   X5; SV 1; circular; DNA; 4 BP.\nFT   gene 1..4\nSQ   4 BP;\n     acgt   4\n//",
            [("X5", "ACGT")],
            "features",
        ),
        (";by hand\n>a\n;half\nAC\nGT", [("a", "ACGT")], "1 comment line left out"),
        ("# by hand\n>a\nAC", [("a", "AC")], ""),
        ("wt GCATGC", [("wt", "GCATGC")], "read as a table of names and sequences"),
    ],
)  # as in Biopython's tests of GenBank, EMBL and Fasta, and htslib's of faidx: odd records beside sound ones
def test_what_cannot_be_used_is_passed_over_and_named(text, expected, note):
    records = read_records(text)
    assert named(records) == expected
    assert note in "; ".join(note for record in records for note in record.notes)
    assert named(assemble_records(read_chunks(io.BytesIO(text.encode())))) == expected


@pytest.mark.parametrize("text", ["wt,GCATGCATX", "wt;GCATGC\nmut;GCATGCXT", "wt GCATGCXGG", "wt: GCATGCAT-GG"])
def test_a_repair_joins_no_name_to_its_letters(text):
    assert [record.name for record in read_records(text, repair=True)] in (["wt"], ["wt", "mut"])
    with pytest.raises(InvalidLetter, match=r"record (wt|mut): "):
        read_records(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("CLUSTAL W (1.83)\n\na   ACGT\nb   AC-T\n", "a Clustal alignment"),
        ("# STOCKHOLM 1.0\na ACGT\n//\n", "a Stockholm alignment"),
        (" 2 10\nseq1      ACGTACGTAC\nseq2      ACGTACGTAC\n", "a Phylip alignment"),
        ("#NEXUS\nBEGIN DATA;\n", "a Nexus file"),
        ("@HD\tVN:1.6\n@SQ\tSN:chr1\tLN:9\n", "a SAM file; expected its sequences as FASTA"),
        ("r1\t0\tchr1\t1\t60\t4M\t*\t0\t0\tACGT\tIIII\n", "a SAM file"),
        ("##gff-version 3\nchr1\t.\tgene\t1\t4\t.\t+\t.\tID=g\n##FASTA\n>chr1\nACGT\n", "a GFF or GTF file"),
        ("chr1\tHAVANA\tgene\t1\t4\t.\t+\t.\tgene_id\n", "a GFF or GTF file"),
        ("chr1\t248956422\nchr2\t242193529\n", "a list of chromosome sizes"),
        ("chr1\t9\t6\t60\t61\n", "an index of a FASTA file; expected the FASTA file"),
        ("chrom\tstart\tend\nchr1\t1\t9\n", "these are places in a genome"),
        (">P1;CRAB\nalpha\nACGT*\n", "a PIR file"),
        (">MA1\tX\nA [1 2]\nC [1 2]\nG [1 2]\nT [1 2]\n", "a file of motifs"),
        ("fixedStep chrom=chr1 start=1\n0.1\n", "a wiggle track"),
        (b"\t\0\0\0\x0eSnapGene\0", "a SnapGene file; expected DNA letters"),
        (b"\x26\xfc\x8f\x88\4", "a bigWig file"),
        ("LOCUS  X 8 aa\nORIGIN\n 1 mkvl\n//\n", "record X: a protein"),
    ],
)
def test_a_format_that_is_none_of_dna_is_named(text, said):
    for data in (text, gzip.compress(text if isinstance(text, bytes) else text.encode())):
        with pytest.raises(ValueError, match=said):
            read_records(data)
        if isinstance(data, bytes):
            with pytest.raises(ValueError, match=said):
                list(read_chunks(io.BytesIO(data)))
