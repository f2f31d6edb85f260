"""From which score on a place is a hit, where nobody says: a p-value with which every motif of JASPAR can be used."""

import json
from pathlib import Path

import numpy as np
import pytest

from tfbind.__main__ import main
from tfbind.data.build import P_VALUE, ScanRule, chosen_threshold
from tfbind.data.dataset import open_dataset
from tfbind.dna.codes import decode
from tfbind.motifs.formats import FileMotif
from tfbind.motifs.jaspar import find_motif, vertebrates
from tfbind.motifs.pwm import Motif, threshold_of

# At 1e-3 the first six have a threshold below 0; at 1e-4 the next two still have, and the last two no hit at all.
USUAL = {
    "MA0105.4": 1e-4,  # NFKB1
    "MA0112.4": 1e-4,  # ESR1
    "MA0106.3": 1e-4,  # TP53
    "MA0138.3": 1e-4,  # REST
    "MA0488.2": 1e-4,  # JUN
    "MA0476.2": 1e-4,  # FOS
    "MA0149.1": 1e-5,  # EWSR1-FLI1
    "MA2100.1": 1e-6,  # ZSCAN16
    "MA0058.4": 1e-3,  # MAX, of 6 bases: a single word in 4,096
    "MA2557.1": 1e-2,  # ZGLP1, of 4
}


@pytest.mark.parametrize("motif", USUAL)
def test_the_usual_p_value_is_the_one_nearest_to_that_of_fimo_with_which_hits_can_be_told(motif: str) -> None:
    found = find_motif(motif)
    threshold, p_value = chosen_threshold(FileMotif(found), ScanRule())
    assert p_value == pytest.approx(USUAL[motif])
    assert threshold == threshold_of(found, p_value) > 0
    between = [p_value * 10] if p_value < P_VALUE else [p_value / 10] if p_value > P_VALUE else []
    for nearer in between:
        with pytest.raises(ValueError, match=f"--p-value {nearer:g} gives the threshold, .*--p-value {p_value:g} "):
            chosen_threshold(FileMotif(found), ScanRule(p_value=nearer))


def test_every_vertebrate_motif_of_a_sample_can_be_used_as_usual() -> None:
    for motif in vertebrates()[::17]:
        threshold, _ = chosen_threshold(FileMotif(motif), ScanRule())
        assert 0 < threshold <= motif.highest


@pytest.mark.parametrize(
    ("motif", "said"),
    [
        ("MA0105.4", []),
        ("MA0149.1", ["p-value of a hit: 1e-05, since with 0.0001 a score of 0 or less would be a hit (--p-value "]),
        ("MA0058.4", ["p-value of a hit: 0.001, since with 0.0001 no sequence would be a hit (--p-value "]),
    ],
)
def test_another_p_value_than_the_usual_one_is_said_and_kept(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], motif: str, said: list[str]
) -> None:
    random = np.random.default_rng(0).integers(0, 4, 400, dtype=np.uint8)
    hit = find_motif(motif).probabilities.argmax(axis=0).astype(np.uint8)
    (tmp_path / "g.fa").write_text(f">chr1\n{decode(np.concatenate([random[:150], hit, random[150:]]))}\n")
    command = f"data build own --genome {tmp_path}/g.fa --motif {motif} --length 50"
    assert main([*command.split(), "--json"]) == 0
    notes = json.loads(capsys.readouterr().out.splitlines()[-1])["notes"]
    chosen = [note for note in notes if "p-value" in note]
    assert [note.startswith(words) for note, words in zip(chosen, said, strict=True)] == [True] * len(said)
    assert open_dataset(home, "own").meta["origin"]["p_value"] == pytest.approx(USUAL[motif])


def test_a_p_value_that_was_asked_for_is_taken_as_it_is_or_refused_with_one_that_works(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "g.fa").write_text(f">chr1\n{'ACGT' * 100}\n")
    command = f"data build own --genome {tmp_path}/g.fa --motif NFKB1 --p-value".split()
    assert main([*command, "0.001"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("tfbind: --p-value 0.001 gives the threshold, -5.714: no hit of NFKB1 could be told")
    assert said.endswith("its best, such as --p-value 0.0001 gives\n")
    assert chosen_threshold(FileMotif(find_motif("NFKB1")), ScanRule(p_value=3e-5))[1] == 3e-5
    assert list((home / "data").glob("*")) == []


def test_a_motif_that_says_nothing_has_no_p_value() -> None:
    flat = Motif("flat", "", np.full((4, 8), 0.25))
    with pytest.raises(ValueError, match=r"at most 0\.0000, its best; no --p-value gives one"):
        chosen_threshold(FileMotif(flat), ScanRule())
