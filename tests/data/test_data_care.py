"""Data sets renamed, exported and thrown away, without losing any."""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, strategies as st
from stand_in import CONFIG
from toy import toy_home

from tfbind.__main__ import main
from tfbind.data import manage
from tfbind.data.dataset import import_pair, list_datasets, make_builtin, open_dataset
from tfbind.data.manage import DatasetAgreement
from tfbind.runs import folder as runs


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return toy_home(tmp_path)


def test_an_export_imported_again_is_the_same_data(home: Path, tmp_path: Path) -> None:
    data = open_dataset(home, "toy")
    sequences, scores = manage.export(data, tmp_path)
    assert import_pair(home, sequences, scores, "again").hash == data.hash
    with pytest.raises(ValueError, match=r"toy_sequences.txt.gz: exists already and is not overwritten"):
        manage.export(data, tmp_path)
    with pytest.raises(ValueError, match="expected a folder that exists"):
        manage.export(data, tmp_path / "none")


KILLED_BY_ITS_SECOND_FILE = """
import os, pathlib, signal, sys
from tfbind.data import manage as data_care; from tfbind.data import dataset as datasets
def score_lines(data): yield os.kill(os.getpid(), signal.SIGKILL)
data_care.score_lines = score_lines
data_care.export(datasets.open_dataset(pathlib.Path(sys.argv[1]), "toy"), pathlib.Path(sys.argv[2]))
"""


def test_a_killed_export_leaves_no_half_of_the_pair_in_the_way(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    killed = subprocess.run([sys.executable, "-c", KILLED_BY_ITS_SECOND_FILE, home, out])
    assert killed.returncode == -signal.SIGKILL
    assert list(out.glob("[!.]*")) == []
    sequences, scores = manage.export(open_dataset(home, "toy"), out)
    assert sorted(out.iterdir()) == sorted([sequences, scores])


@given(st.lists(st.floats(-1048576, 1048576, width=32, allow_subnormal=False), min_size=4, max_size=4))
@example([0.0, 9.15308695663898e-37, -1.17549435e-38, 3.4e38])
def test_every_number_survives_an_export(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    folder = tmp_path_factory.mktemp("export")
    (folder / "s.txt").write_text("sequence\twindow_name\nAC\tw0\nGT\tw1\n")
    (folder / "v.txt").write_text(f"w0\tw1\n{values[0]}\t{values[1]}\n{values[2]}\t{values[3]}\n")
    data = import_pair(folder, folder / "s.txt", folder / "v.txt", "own")
    again = import_pair(folder, *manage.export(data, folder), "again")
    np.testing.assert_array_equal(again.scores, data.scores)


def test_a_renamed_data_set_is_found_by_its_new_name_only(home: Path) -> None:
    before = open_dataset(home, "toy").hash
    assert manage.rename(home, "toy", "mine", runs.active_on).hash == before
    assert [data["name"] for data in list_datasets(home)] == ["mine"]
    with pytest.raises(ValueError, match="data set 'toy': not found; there are: builtin, mine"):
        manage.rename(home, "toy", "other", runs.active_on)


def test_the_name_of_the_built_in_data_can_be_given_back_to_them_alone(home: Path) -> None:
    made = make_builtin(home, 20)
    manage.rename(home, "builtin", "b2", runs.active_on)
    assert manage.rename(home, "b2", "builtin", runs.active_on).hash == made.hash
    manage.rename(home, "builtin", "b2", runs.active_on)
    make_builtin(home, 20)
    with pytest.raises(ValueError, match="data set 'builtin': exists already and is not overwritten"):
        manage.rename(home, "b2", "builtin", runs.active_on)


@pytest.mark.parametrize("name", ["", "builtin", "a/b", "../x", ".hidden"])
def test_a_name_that_cannot_be_used_is_refused_and_nothing_moves(home: Path, name: str) -> None:
    with pytest.raises(ValueError, match="data set name"):
        manage.rename(home, "toy", name, runs.active_on)
    assert len(open_dataset(home, "toy")) == 50


def test_two_data_sets_are_compared_by_the_names_of_their_windows(home: Path) -> None:
    data = open_dataset(home, "toy")
    scores, names = np.array(data.scores[10:]), np.array(data.names[10:])[::-1]
    scores[0, 19] += 1  # the last base of one window
    scores[1, 4] += 0.005  # less than what counts as another score
    other = replace(data, names=names, codes=data.codes[10:][::-1], scores=scores[::-1])
    assert manage.compare(data, other) == DatasetAgreement(40, 10, 0, pytest.approx(0.997, abs=0.003), 39 / 40)
    assert manage.compare(data, other, 19).exact == 1
    nothing = replace(other, names=np.array([b"x%d" % at for at in range(40)]))
    assert manage.compare(data, nothing) == DatasetAgreement(0, 50, 40, None, None)
    with pytest.raises(ValueError, match="the first 21 bases; expected 1 to 20"):
        manage.compare(data, other, 21)


@pytest.mark.parametrize("name", ["builtin", "pair"])
def test_what_would_first_have_to_be_made_or_imported_is_not_found(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "pair").mkdir()
    manage.export(open_dataset(home, "toy"), tmp_path / "pair")
    monkeypatch.chdir(tmp_path)
    for attempt in (
        lambda: manage.delete(home, name, runs.active_on),
        lambda: manage.rename(home, name, "mine", runs.active_on),
    ):
        with pytest.raises(ValueError, match=f"data set '{name}': not found; there are: .*toy"):
            attempt()
    assert [data["name"] for data in list_datasets(home)] == ["toy"]


def test_a_deleted_data_set_lies_in_the_trash(home: Path) -> None:
    names = open_dataset(home, "toy").names.tolist()
    trashed = manage.delete(home, "toy", runs.active_on)
    assert list_datasets(home) == []
    assert trashed.parent == home / "trash"
    assert open_dataset(home, str(trashed)).names.tolist() == names


def test_data_that_a_run_learns_from_stay(home: Path) -> None:
    run = runs.create(home, CONFIG.model_copy(update={"dataset": "toy"}))
    run.set_state("running", started=time.time(), pid=os.getpid(), host=socket.gethostname())
    for attempt in (
        lambda: manage.delete(home, "toy", runs.active_on),
        lambda: manage.rename(home, "toy", "mine", runs.active_on),
    ):
        with pytest.raises(ValueError, match=f"data set 'toy': in use by run {run.id}; stop it first"):
            attempt()
    run.set_state("finished", ended=time.time())
    manage.delete(home, "toy", runs.active_on)


def test_a_folder_outside_the_home_is_not_touched(home: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    open_dataset(home, "toy").path.rename(outside)
    with pytest.raises(ValueError, match="a folder outside this home"):
        manage.delete(home, str(outside), runs.active_on)
    assert outside.is_dir()


def test_the_folder_of_an_export_is_looked_at_before_data_are_made(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFBIND_HOME", str(home / "new"))
    assert main(["data", "export", "builtin", "--to", str(tmp_path / "none")]) == 2
    assert "expected a folder that exists" in capsys.readouterr().err
    assert not (home / "new").exists()
