"""Data sets built from a genome and a motif, held against the rule spelled out base by base."""

import gzip
import re
from dataclasses import replace
from math import log
from pathlib import Path

import numpy as np
import pytest
from forkhead import HOMER
from hypothesis import given, settings, strategies as st

from tfbind.data.build import ScanRule, build_scan
from tfbind.data.dataset import Windows, import_pair, list_datasets
from tfbind.data.manage import compare
from tfbind.dna.codes import UNKNOWN, decode
from tfbind.dna.fasta import contigs, cut_windows, genome_chunks
from tfbind.motifs.formats import FileMotif, get_motif
from tfbind.motifs.pwm import Motif

# Columns of T, G, T/a, T: short enough that hits are common, not palindromic.
COLUMNS = np.array([[0.1, 0.1, 0.3, 0.1], [0.1, 0.1, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1], [0.7, 0.1, 0.5, 0.7]])
MOTIF = Motif("TGTT", "M1", COLUMNS)
CROSSING = 2.0


def fasta(contigs: dict[str, str], width: int = 60) -> str:
    lines = (
        f">{name} of a test\n" + "\n".join(letters[at : at + width] for at in range(0, len(letters), width))
        for name, letters in contigs.items()
    )
    return "\n".join(lines) + "\n"


def letters(count: int, seed: int = 0, alphabet: str = "ACGT") -> str:
    return "".join(np.random.default_rng(seed).choice(list(alphabet), count))


def painted_by_hand(sequence: str, threshold: float) -> list[float]:
    """The documented rule, one base at a time."""
    width, odds = 4, {base: COLUMNS[row] / 0.25 for row, base in enumerate("ACGT")}
    best = [0.0] * len(sequence)
    for flip in (False, True):
        strand = sequence[::-1].translate(str.maketrans("ACGT", "TGCA")) if flip else sequence
        places = []
        for at in range(len(strand) - width + 1):
            word = strand[at : at + width]
            value = sum(log(odds[base][column]) for column, base in enumerate(word) if base != "N")
            if value >= threshold:
                places.append((len(strand) - width - at if flip else at, value))
        places.sort()
        kept = []
        for at, value in places:
            rivals = [(other, theirs) for other, theirs in places if 0 < abs(other - at) < 5]
            if all(value > theirs + 1e-9 or (value > theirs - 1e-9 and other < at) for other, theirs in rivals):
                kept.append((at, value))
        profile = [0.0] * len(sequence)
        for at, value in reversed(kept) if flip else kept:
            end = min(at + width, (at // 10 + 1) * 10)  # its own window of 10 bases, and no further
            profile[at:end] = [value] * (end - at)
        best = [max(pair) for pair in zip(best, profile, strict=True)]
    return best


def built(folder: Path, text: str, **rule: object) -> Windows:
    genome = folder / "genome.fa"
    genome.write_text(text)
    return build_scan(
        folder / "home", "own", genome, FileMotif(MOTIF), ScanRule(**{"threshold": CROSSING, "length": 10, **rule})
    )


@settings(max_examples=25)
@given(sequence=st.text("ACGTT", min_size=30, max_size=90), gap=st.integers(0, 25))
def test_every_base_has_the_score_of_the_documented_rule(
    tmp_path_factory: pytest.TempPathFactory, sequence: str, gap: int
) -> None:
    sequence = "TGTT" + sequence[:gap] + "N" + sequence[gap:]
    data = built(tmp_path_factory.mktemp("build"), fasta({"chr1": sequence}), every_window=True)
    expected = painted_by_hand(sequence, CROSSING)
    wanted = [at for at in range(0, len(sequence) - 9, 10) if "N" not in sequence[at : at + 10]]
    assert data.names.tolist() == [f"chr1_{at}_{at + 9}".encode() for at in wanted]
    assert ["".join("ACGT"[code] for code in row) for row in data.codes] == [sequence[at : at + 10] for at in wanted]
    np.testing.assert_allclose(data.scores, [expected[at : at + 10] for at in wanted], atol=1e-5)


def test_windows_without_a_hit_are_left_out_and_counted(tmp_path: Path) -> None:
    data = built(tmp_path, fasta({"chr1": "C" * 10 + "CCTGTTCCCC" + "CCCNCTGTTC" + "CCC"}))
    assert data.names.tolist() == [b"chr1_10_19"]
    assert data.meta["origin"]["left_out"] == {"with an N": 1, "without a hit": 1}


def test_a_gzip_genome_in_lower_case_gives_the_same_data(tmp_path: Path) -> None:
    text = fasta({"chr1": letters(4000), "chr2": letters(3000, 1)})
    plain = built(tmp_path, text)
    packed = tmp_path / "genome.fa.gz"
    packed.write_bytes(gzip.compress(text.lower().replace(">chr", ">CHR").replace("CHR", "chr").encode()))
    again = build_scan(tmp_path / "home", "packed", packed, FileMotif(MOTIF), ScanRule(threshold=CROSSING, length=10))
    assert again.hash == plain.hash
    assert again.meta["origin"]["genome"]["file"] == "genome.fa.gz"


def test_chromosomes_are_chosen_by_either_convention(tmp_path: Path) -> None:
    text = fasta({"chr1": letters(500), "chr2": letters(500, 1), "MT": letters(500, 2)})
    data = built(tmp_path, text, chromosomes=("2", "chrM"))
    assert {name.split(b"_")[0] for name in data.names.tolist()} == {b"chr2", b"MT"}
    assert data.meta["origin"]["chromosomes"] == ["chr2", "MT"]


def test_the_stretches_of_a_long_contig_hold_every_window_once_with_its_surroundings() -> None:
    codes = np.random.default_rng(0).integers(0, 4, 3_300_000, dtype=np.uint8)
    pieces = iter(np.array_split(codes, 41))
    found = list(genome_chunks("chr1", pieces, 300, 33))
    assert [part.first for part in found] + [found[-1].last] == [0, *(part.last for part in found)]
    assert found[-1].last == len(codes) // 300 * 300
    for part in found:
        end = min(part.last + 33, len(codes)) if part is not found[-1] else len(codes)
        assert part.start == max(0, part.first - 33)
        np.testing.assert_array_equal(part.codes, codes[part.start : end])


@given(st.lists(st.integers(0, 60)), st.lists(st.integers(0, 120), max_size=8), st.integers(1, 20))
def test_windows_are_cut_wherever_pieces_end(sizes: list[int], starts: list[int], length: int) -> None:
    codes = np.arange(sum(sizes)).astype(np.uint8)
    wanted = [start for start in sorted(starts) if start + length <= len(codes)]
    found = list(cut_windows(np.split(codes, np.cumsum(sizes)[:-1]), sorted(starts), length))
    assert [start for start, _ in found] == wanted
    for start, window in found:
        assert window.tolist() == codes[start : start + length].tolist()


def test_a_motif_files_threshold_counts_unless_another_is_given(tmp_path: Path) -> None:
    genome, motif = tmp_path / "g.fa", tmp_path / "tgtt.motif"
    genome.write_text(fasta({"chr1": letters(2000)}))
    rows = "\n".join("\t".join(f"{value:.3f}" for value in column) for column in COLUMNS.T)
    motif.write_text(f">TGTTA\tTGTT/test\t3.0\n{rows}\n")
    homer = get_motif(str(motif))
    assert build_scan(tmp_path, "a", genome, homer, ScanRule(length=10)).meta["origin"]["threshold"] == 3.0
    assert (
        build_scan(tmp_path, "b", genome, homer, ScanRule(CROSSING, length=10)).meta["origin"]["threshold"]
        == CROSSING
    )
    by_chance = build_scan(tmp_path, "c", genome, homer, ScanRule(p_value=0.05, length=10)).meta["origin"][
        "threshold"
    ]
    words = np.stack(np.meshgrid(*[range(4)] * 4), -1).reshape(-1, 4)
    scores = MOTIF.log_odds[words, range(4)].sum(axis=1)
    assert (scores >= by_chance).mean() <= 0.05 < (scores >= by_chance - 0.3).mean()


@pytest.mark.parametrize(
    ("text", "rule", "said"),
    [
        (fasta({"chr1": "C" * 100}), {}, "genome.fa: no window with a hit of 2 or more on 1 chromosome"),
        (fasta({"chr1": letters(99)}), {"chromosomes": ("chr9",)}, "no chromosome chr9; there are: chr1"),
        (
            fasta({"chr1": letters(99)}),
            {"threshold": 9.0},
            "no hit of TGTT could be told from none; expected a score",
        ),
        (fasta({"chr1": letters(99)}), {"threshold": 0.0}, "threshold, 0: no hit"),
        (fasta({"chr1": letters(99)}), {"p_value": 0.1}, "a threshold and a p-value; expected one of them"),
        (fasta({"chr1": letters(99)}), {"threshold": None, "p_value": 1.5}, "p-value 1.5: must lie between 0 and 1"),
        (fasta({"chr1": letters(99)}), {"length": 3}, "windows of 3 bases; expected 10 to 100,000"),
        (fasta({"chr1": "ACGT"}) * 2, {}, "sequence 2, 'chr1': there twice"),
        (fasta({"chr1": "ACGT!"}), {}, "'!'"),
        ("ACGTACGTACGT", {}, "genome.fa: sequence 1, '': a name of 0 characters; expected FASTA with headers"),
        ("<html>", {}, "genome.fa: this is a web page"),
        ("", {}, "genome.fa: nothing to read"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_line(
    tmp_path: Path, text: str, rule: dict[str, object], said: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        built(tmp_path, text, **rule)
    assert str(caught.value).isprintable()
    assert list_datasets(tmp_path / "home") == []
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name not in ("genome.fa", ".lock")]


def test_a_name_that_is_taken_is_refused_before_the_genome_is_read(tmp_path: Path) -> None:
    built(tmp_path, fasta({"chr1": letters(500)}))
    with pytest.raises(ValueError, match="'own': exists already and is not overwritten"):
        build_scan(tmp_path / "home", "own", tmp_path / "no such genome", FileMotif(MOTIF), ScanRule())


def test_contigs_are_told_by_the_first_word(tmp_path: Path) -> None:
    path = tmp_path / "g.fa"
    path.write_text(">chr1 one two\nACGTN\nAC\n\n>chr3\nT\n")
    shares: list[float] = []
    found = {name: np.concatenate(list(pieces)).tolist() for name, pieces in contigs(path, shares.append)}
    assert found == {"chr1": [0, 1, 2, 3, UNKNOWN, 0, 1], "chr3": [3]}
    assert shares[-1] == 1


def test_the_courses_scores_come_back_from_a_genome_and_its_motif(
    tmp_path: Path, real_pair: tuple[Path, Path]
) -> None:
    """The genome is the first 4,000 windows of the course in their places, N between them."""
    real = import_pair(tmp_path, *real_pair, "chr22")
    names, kept = [name.decode().split("_") for name in real.names[:4000].tolist()], np.asarray(real.codes[:4000])
    first = int(names[0][1])
    genome = np.full(int(names[-1][2]) + 1 - first, UNKNOWN, np.uint8)
    for (_, start, end), codes in zip(names, kept, strict=True):
        genome[int(start) - first : int(end) + 1 - first] = codes
    (tmp_path / "chr22.fa").write_text(fasta({"chr22": decode(genome)}))
    (tmp_path / "foxa1.motif").write_text(HOMER)
    data = build_scan(tmp_path, "again", tmp_path / "chr22.fa", get_motif(str(tmp_path / "foxa1.motif")), ScanRule())
    shifted = [f"chr22_{int(start) - first}_{int(end) - first}".encode() for _, start, end in names]
    course = replace(real, names=np.array(shifted), codes=kept, scores=real.scores[:4000])
    found = compare(data, course, 291)
    assert found.shared > 3900
    assert found.r > 0.985
    assert found.exact >= 0.975
