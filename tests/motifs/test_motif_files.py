"""Motif files in each format: against Biopython, by hand, and hundreds of damaged ones."""

import gzip
import io
import random
from pathlib import Path

import numpy as np
import pytest
from Bio import motifs as biopython
from forkhead import FORKHEAD, HOMER
from hypothesis import HealthCheck, given, settings, strategies as st

from tfbind.motifs.formats import get_motif, read_motifs
from tfbind.motifs.jaspar import find_motif, vertebrates
from tfbind.motifs.pwm import jaspar_motif

JASPAR = """>MA9999.1\tToy
A  [    10      0      4 ]
C  [     0      0      3 ]
G  [     0      0      3 ]
T  [     0     10      0 ]
"""
PFM = ">MA9999.1 Toy\n10 0 4\n0 0 3\n0 0 3\n0 10 0\n"
MEME = """MEME version 4

ALPHABET= ACGT

strands: + -

Background letter frequencies
A 0.25 C 0.25 G 0.25 T 0.25

MOTIF MA9999.1 Toy
letter-probability matrix: alength= 4 w= 3 nsites= 10 E= 0
1.0 0.0 0.0 0.0
0.0 0.0 0.0 1.0
0.4 0.3 0.3 0.0
URL http://example.org

MOTIF Second
letter-probability matrix: alength= 4 w= 1 nsites= 10 E= 0
0.1 0.2 0.3 0.4
"""
FORMATS = {"homer": HOMER, "jaspar": JASPAR, "pfm": PFM, "meme": MEME}


def written(folder: Path, text: str | bytes, name: str = "toy.motif") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_homer_probabilities_are_taken_as_written_with_their_threshold(tmp_path: Path) -> None:
    found = get_motif(str(written(tmp_path, HOMER)))
    assert found.motif.name == "FOXA1(Forkhead)"
    assert found.threshold == 6.367201
    assert found.motif.probabilities.T.tolist() == [list(row) for row in FORKHEAD]


@pytest.mark.parametrize("text", [JASPAR, PFM, MEME.split("MOTIF Second")[0]])
def test_the_same_counts_in_three_formats_are_one_motif(tmp_path: Path, text: str) -> None:
    motif = get_motif(str(written(tmp_path, text))).motif
    assert (motif.name, motif.matrix_id) == ("Toy", "MA9999.1")
    # 10 sites and one pseudocount, a quarter for each base
    assert motif.probabilities[:, 0] == pytest.approx([10.25 / 11, 0.25 / 11, 0.25 / 11, 0.25 / 11])
    assert motif.probabilities[:, 2] == pytest.approx([4.25 / 11, 3.25 / 11, 3.25 / 11, 0.25 / 11])


@pytest.mark.parametrize(("text", "format"), [(JASPAR, "jaspar"), (MEME, "minimal")])
def test_files_are_read_as_biopython_reads_them(tmp_path: Path, text: str, format: str) -> None:
    ours = read_motifs(written(tmp_path, text))
    theirs = list(biopython.parse(io.StringIO(text), format))
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        total = np.array([other.counts[base] for base in "ACGT"])
        expected = (total + 0.25) / (total + 0.25).sum(axis=0)
        if (total > 0).all():
            expected = total / total.sum(axis=0)
        assert one.motif.probabilities == pytest.approx(expected, abs=1e-6)


def test_what_biopython_writes_of_a_jaspar_motif_reads_back(tmp_path: Path) -> None:
    expected = jaspar_motif("MA0139.2")
    from pyjaspar import jaspardb

    motif = jaspardb(release="JASPAR2026").fetch_motif_by_id("MA0139.2")
    path = written(tmp_path, gzip.compress(motif.format("jaspar").encode()), "ctcf.jaspar.gz")
    assert get_motif(str(path)).motif.probabilities == pytest.approx(expected.probabilities)


def test_one_of_several_motifs_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, MEME)
    assert get_motif(str(path), "Second").motif.width == 1
    with pytest.raises(ValueError, match=r"toy\.motif: 2 motifs; name one of: Toy, Second$"):
        get_motif(str(path))
    with pytest.raises(ValueError, match="0 motifs named 'x'"):
        get_motif(str(path), "x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no motif"),
        ("hello", "line 1: 'hello'; expected '>'"),
        (">only\n", "line 1: '>only' and no matrix"),
        (HOMER.replace("0.483", "0.583"), "line 2: probabilities that sum to 1.1"),
        (HOMER.replace("0.483\t", ""), "line 2: 3 numbers; expected 4"),
        (HOMER.replace("0.483", "O.483"), "line 2: 'O.483' is not a number"),
        (JASPAR.replace("G  [", "T  ["), "line 4: a row of 'T'; expected the row of G"),
        (JASPAR.replace("3 ]", "]", 1), "line 3: 2 counts; expected 3"),
        (JASPAR.replace("10      0", "0      0"), "line 2: column 1 holds no count"),
        (JASPAR.replace("10", "-10"), "line 2: a number below 0; expected counts or probabilities"),
        (JASPAR.replace("10", "nan"), "line 2: 'nan' is not a number"),
        (MEME.split("MOTIF Second")[0].replace("w= 3", "w= 4"), "line 11: 3 rows of numbers; expected 4"),
        (MEME.replace("ALPHABET= ACGT", "ALPHABET= ACDEFGHIKLMNPQRSTVWY"), "line 3: "),
        (MEME.split("MOTIF Second")[0].replace("MOTIF MA9999.1 Toy", "MOTIF"), "line 10: a motif without a name"),
        ("chr1\t1\t9\n", "line 1: 'chr1\\t1\\t9'; expected '>'"),
        (">a\n0.3\t-1.2\t0.5\t0.1\n-1\t0.3\t0.1\t1\n", "line 2: a number below 0; expected counts or probabilities"),
        ("Pos\tA\tC\tG\tT\n", "line 1: 'ACGT' and no matrix below it"),
        (">a\n>b\nA [1]\n", "line 1: '>a' and no matrix below it (none of 2 motifs can be used)"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"^toy\.motif: ") as caught:
        read_motifs(written(tmp_path, text))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [">a\tb\n" + "1 1e-300 1e-300 1e-300\n" * 60, "1000000000000 " * 60 + "\n" + ("0 " * 60 + "\n") * 3],
    ids=["probabilities", "counts"],
)
def test_the_scale_of_scores_stays_small_whatever_the_numbers(tmp_path: Path, text: str) -> None:
    (found,) = read_motifs(written(tmp_path, text))
    assert found.motif.log_odds.min() > -40  # a threshold is sought on steps of a thousandth


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(format=st.sampled_from(sorted(FORMATS)), seed=st.integers(0, 10**9))
def test_damaged_files_end_in_one_line_or_in_a_sound_motif(tmp_path: Path, format: str, seed: int) -> None:
    path = written(tmp_path, damaged(FORMATS[format].encode(), random.Random(seed)))
    found, said = [], ""
    try:
        found = read_motifs(path)
    except ValueError as error:
        said = str(error)
    assert found or (said.startswith("toy.motif: ") and said.isprintable())
    assert all(np.isfinite(one.motif.log_odds).all() for one in found)


def damaged(text: bytes, rng: random.Random) -> bytes:
    """A text with one to three places cut, repeated or overwritten."""
    for _ in range(rng.randint(1, 3)):
        start = rng.randrange(len(text) + 1)
        end = min(len(text), start + rng.choice([0, 1, 1, 2, 8, 40]))
        junk = [b"", b"\0", b"\xff", b"-1", b"nan", b"\n", b"\t", b">", b"1e999", b" ", text[start:end] * 2]
        text = text[:start] + rng.choice(junk) + text[end:]
    return text


def test_jaspar_by_id_and_name() -> None:
    assert find_motif("foxa1").matrix_id == find_motif("MA0148").matrix_id == "MA0148.5"
    assert find_motif("MA0148.3").matrix_id == "MA0148.3"
    with pytest.raises(ValueError, match=r"name one: MA0139\.2 \(vertebrates, 15 bases\); MA0531"):
        find_motif("CTCF")
    with pytest.raises(ValueError, match="not in JASPAR 2026; expected an id such as"):
        find_motif("nothing' OR 1=1")


def test_the_vertebrate_motifs_in_bulk_are_pyjaspars() -> None:
    found = {motif.matrix_id: motif for motif in vertebrates()}
    assert 900 < len(found) < 1200
    for matrix_id in ("MA0148.5", "MA0139.2"):
        assert found[matrix_id].probabilities == pytest.approx(jaspar_motif(matrix_id).probabilities)


ROWS = ["0.7 0.1 0.1 0.1", "0.1 0.7 0.1 0.1", "0.1 0.1 0.7 0.1", "0.1 0.1 0.1 0.7", "0.7 0.1 0.1 0.1"]  # ACGTA
COUNTS = [row.replace("0.", "") for row in ROWS]
HEAD = "letter-probability matrix: alength= 4 w= 5 nsites= 20 E= inf\n"
REPORT = f"""****************
MEME - Motif discovery tool
****************
MEME version 5.5.0 (Release date: x)

ALPHABET= ACGT

MOTIF ACGTA MEME-1\twidth =   5  sites =  20  llr = 233  E-value = 1.1e-020
Simplified        A  7:::7
log-odds matrix: alength= 4 w= 5 n= 1234 bayes= 8 E= 1.1e-020
   100   -50   -50  -50
\tMotif ACGTA MEME-1 position-specific probability matrix
----------------
{HEAD}"""
DREME = """# DREME 5.0.5
MEME version 5.0.5

ALPHABET "DNA" DNA-LIKE
A "Adenine" CC0000 ~ T "Thymine" 0000CC
END ALPHABET

MOTIF ACGTA DREME-1
"""


def numbered(rows: list[str], consensus: str = "     ") -> str:
    return "".join(
        f"{at:02d}\t{row} {letter}\n" for at, (row, letter) in enumerate(zip(rows, consensus, strict=True), 1)
    )


def upright(rows: list[str], heads: str) -> str:
    columns = zip(*(row.split() for row in rows), strict=True)
    return "".join(f"{head}\t{' '.join(column)}\n" for head, column in zip(heads.split(), columns, strict=True))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (REPORT + "\n".join(ROWS) + "\n----\nSUMMARY OF MOTIFS\n", "MEME-1"),
        (DREME + HEAD + "\n".join(ROWS) + "\n\nTime 3\n", "DREME-1"),
        (f"MEME version 5\nMOTIF 1-ACGTA STREME-1\n{HEAD} " + "\n ".join(ROWS), "STREME-1"),
        (f"MOTIF x\n{HEAD}" + "\n".join(ROWS), "x"),  # without the version above it
        ("Pos\tA\tC\tG\tT\n" + numbered(ROWS), "toy"),  # CIS-BP
        ("TF\tT1\nTF Name\tFOXA1\nMotif\tM1_2.00\nFamily\tForkhead\nPos\tA\tC\tG\tT\n" + numbered(ROWS), "FOXA1"),
        (
            "VV  x\nXX\n//\nAC  M1\nXX\nID  V$X_01\nNA  X\nBF  T1\nP0  A  C  G  T\n"
            + numbered(COUNTS, "ACGTA")
            + "XX\n//\n",
            "X",
        ),
        (
            "AC MA4.1\nXX\nID Arnt\nXX\nDE MA4.1 Arnt ; JASPAR\nPO\tA\tC\tG\tT\n" + numbered(COUNTS) + "XX\n//\n",
            "Arnt",
        ),
        ("DE\tMA1\tfoo\n" + numbered(COUNTS, "ACGTA") + "XX\n", "foo"),  # STAMP
        (">X_HUMAN.H11MO.0.B\n" + "\n".join(COUNTS), "X_HUMAN.H11MO.0.B"),  # HOCOMOCO, Cluster-Buster
        ("Protein: Cbf1\tSeed k-mer: GTC\n\n" + upright(ROWS, "A: C: G: T:"), "Cbf1"),  # UniPROBE
        ("Gene:\tGsc\tMotif: TAA\n" + upright(ROWS, "A: C: G: T:"), "Gsc"),
        (
            ">AP1_disc1 AP-1_x\n" + "".join(f"{at} {row}\n" for at, row in zip("VCGTA", ROWS, strict=True)),
            "AP-1_x",
        ),  # ENCODE
        (",A,C,G,T\n" + "".join(f"{at},{row}\n".replace(" ", ",") for at, row in enumerate(COUNTS)), "toy"),
        ('"A" "C" "G" "T"\n' + "".join(f'"{at}" {row}\n' for at, row in enumerate(COUNTS)), "toy"),  # R
        (">a b\n" + upright([" ".join(row.split()[at] for at in (0, 3, 1, 2)) for row in COUNTS], "A U C G"), "b"),
        (">a b\n" + upright(COUNTS, "A[ C[ G[ T["), "b"),
    ],
)
def test_a_matrix_is_read_whoever_wrote_it(tmp_path: Path, text: str, name: str) -> None:
    for written_text in (text, text.replace("\n", "\r\n"), text.replace("\n", "\r")):
        (found,) = read_motifs(written(tmp_path, written_text))
        assert (found.motif.name, found.motif.consensus, found.notes) == (name, "ACGTA", ())


def test_motifs_that_cannot_be_used_are_passed_over_and_named(tmp_path: Path) -> None:
    text = MEME + "MOTIF Third\nMOTIF Fourth\n" + HEAD + "\n".join(["0.5 0.2 0.2 0.09"] * 5)
    found = read_motifs(written(tmp_path, text))
    assert [entry.motif.name for entry in found] == ["Toy", "Second", "Fourth"]
    remark = (
        "1 motif of toy.motif passed over: line 20: 0 matrices of 'Third'; expected one letter-probability matrix"
    )
    assert [entry.notes[-1] for entry in found] == [remark] * 3
    assert found[2].notes[0] == "probabilities that sum to 0.99 to 0.99 are scaled to 1"
    assert found[2].motif.probabilities.sum(axis=0) == pytest.approx(np.ones(5))
    text = f"{JASPAR}>MA2\tX\nA [1]\n>MA3\tY\n{JASPAR}".replace("0      4 ]", "x      4 ]", 1)
    (found,) = read_motifs(written(tmp_path, text))
    assert found.notes[0].startswith("3 motifs of toy.motif passed over: line 2: 'x' is not a number")


@pytest.mark.parametrize(
    ("rows", "consensus", "note"),
    [
        (["9 1 0 0", "0 8 1 1", "1 9 0 0", "7 3 0 0"], "ACCA", "its rows are positions, as their sums tell"),
        (["9 0 1 7", "1 8 9 3", "0 1 0 0", "0 1 0 0"], "ACCA", ""),
        (["7 1 1 1", "1 7 1 1", "1 1 7 1", "1 1 1 7"], "ACGT", "four rows of four numbers, read as A, C, G and T"),
    ],
)
def test_a_square_matrix_is_turned_by_its_sums_and_that_is_said(
    tmp_path: Path, rows: list[str], consensus: str, note: str
) -> None:
    for head in ("", ">a b\n"):
        (found,) = read_motifs(written(tmp_path, head + "\n".join(rows)))
        assert (found.motif.consensus, "".join(found.notes)) == (consensus, note)
