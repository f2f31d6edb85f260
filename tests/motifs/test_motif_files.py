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
        (JASPAR.replace("10", "-10"), "line 2: no counts, or one below 0"),
        (JASPAR.replace("10", "nan"), "line 2: 'nan' is not a number"),
        (MEME.replace("w= 3", "w= 4"), "line 11: 3 rows of numbers; expected 4"),
        (MEME.replace("ALPHABET= ACGT", "ALPHABET= ACDEFGHIKLMNPQRSTVWY"), "line 3: "),
        (MEME.replace("MOTIF MA9999.1 Toy", "MOTIF"), "line 10: a motif without a name"),
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
