"""Pieces of a file: changes between tiles beside the scores, and what a file says of how it was scored."""

import numpy as np
import pandas as pd
import pybigtools
import pytest
from scorers import LENGTH, fasta, home_of_both, sequence

from tfbind.__main__ import main
from tfbind.scoring import predict
from tfbind.scoring.model import load_model, score
from tfbind.store.schema import read_json


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return home_of_both(tmp_path_factory.mktemp("home"))


@pytest.fixture
def cli(home, tmp_path, monkeypatch, capsys):
    """Runs `predict` in this process; gives exit code and standard error."""
    monkeypatch.setenv("TFBIND_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    return lambda *words: (main(["predict", *words]), capsys.readouterr().err)


@pytest.mark.parametrize("both", [False, True])
def test_the_change_between_tiles_is_a_column_and_the_largest_is_said_beside_every_file(cli, home, tmp_path, both):
    records = {"short": sequence(11), "one": sequence(LENGTH), "tiles": sequence(90)}
    (tmp_path / "in.fa").write_text(fasta(records))
    strand = "both" if both else "forward"
    words = ("--model", "fixed", "--data", "in.fa", "--pad", "--strand", strand)
    for suffix in (".tsv", ".bw"):
        assert cli(*words, "--out", f"p{suffix}")[0] == 0
    table = pd.read_csv("p.tsv", sep="\t", comment="#")
    assert table.columns.tolist() == ["name", "position", "base", "score", "change"]
    expected = score(load_model(home, "fixed"), records["tiles"], both=both).change
    found = table.query("name == 'tiles'").change.to_numpy()
    assert found == pytest.approx(expected, abs=1e-5, nan_ok=True)
    assert table.query("name != 'tiles'").change.isna().all()
    about = read_json(tmp_path / "p.bw.about.json")
    assert about["largest_change_between_tiles"] == pytest.approx(np.nanmax(expected), abs=1e-5)
    assert about["coordinates"].startswith("0-based half-open; each record is its own chromosome")
    assert about["rule"].startswith("up to 40 bases: filled up with N from 11 bases and scored as one window of 40, ")


def test_the_change_between_tiles_of_a_long_record_does_not_depend_on_its_regions(cli, home, tmp_path):
    codes = sequence(predict.GROUP + 1000)
    (tmp_path / "in.fa").write_text(fasta({"long": codes}))
    assert cli("--model", "fixed", "--data", "in.fa", "--out", "p.bw")[0] == 0
    expected = float(np.nanmax(score(load_model(home, "fixed"), codes).change))
    assert read_json(tmp_path / "p.bw.about.json")["largest_change_between_tiles"] == pytest.approx(
        expected, abs=1e-5
    )


def test_a_record_that_cannot_be_placed_beside_the_others_is_said(cli, tmp_path):
    (tmp_path / "in.fa").write_text(fasta({"chr22:101-140": sequence(LENGTH), "my_oligo": sequence(LENGTH)}))
    words = ("--model", "local", "--data", "in.fa", "--out")
    code, err = cli(*words, "p.bw")
    assert (code, err) == (0, "without a place in its name, its own chromosome from 0: my_oligo\n")
    assert pybigtools.open("p.bw").chroms() == {"chr22": 140, "my_oligo": LENGTH}
    assert cli(*words, "p.tsv") == (0, "")
