"""The command line as it was: help, refusals, shapes of answers, names of files; and a home that 0.1 has left.

`python tests/golden/make.py` renews what is kept, after a change that was meant.
"""

import json
from pathlib import Path

import pytest
from golden import make

from tfbind import runs

TOLERANCE = 1e-3  # of figures, between processors
FIGURES = ("train_loss", "val_loss", "val_pearsonr", "val_pearsonr_window", "learning_rate")

by_python = pytest.mark.skipif(
    make.read("python") != make.PYTHON, reason=f"kept words are those of Python {make.read('python')}"
)


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory):
    """Shapes of answers and names of files."""
    patch = pytest.MonkeyPatch()
    patch.setenv("TFBIND_HOME", "")
    yield make.answers(tmp_path_factory.mktemp("answered"))
    patch.undo()


@by_python
def test_the_help_of_every_command_is_as_it_was() -> None:
    kept, now = make.read("help"), make.helps()
    assert list(now) == list(kept)
    for command, text in kept.items():
        assert now[command] == text, command


@by_python
def test_what_is_wrong_is_refused_as_it_was(tmp_path: Path) -> None:
    kept, now = make.read("refusals"), make.refusals(tmp_path)
    assert list(now) == list(kept)
    assert {words: said for words, said in now.items() if said != kept[words]} == {}
    assert all(code in (1, 2) and line.count("\n") == 0 and line for code, line in kept.values())


def test_answers_have_the_names_and_kinds_they_had(answered) -> None:
    kept, (now, _) = make.read("answers"), answered
    assert list(now) == list(kept)
    for words, answer in kept.items():
        assert now[words] == answer, words


def test_commands_leave_the_files_they_left(answered) -> None:
    assert answered[1] == make.read("files")


def test_the_runs_of_a_home_of_version_0_1_are_listed_and_compared(tmp_path: Path) -> None:
    home = make.kept_home(tmp_path)
    code, out, error = make.called(home, "runs", "--json")
    assert (code, error) == (0, "")
    states = {run["id"]: run["state"] for run in json.loads(out)["runs"]}
    assert (states["whole"], states["half"], len(states)) == ("finished", "killed", 4)
    code, out, error = make.called(home, "sweep", "--list", "--json")
    assert (code, error) == (0, "")
    assert [(sweep["id"], sweep["state"]) for sweep in json.loads(out)["sweeps"]] == [("rates", "finished")]
    assert make.called(home, "compare", "--sweep", "rates", "--json")[0] == 0
    listed = json.loads(make.called(home, "data", "list", "--json")[1])["datasets"]
    assert [(data["name"], data["windows"]) for data in listed] == [("toy", 50)]


def test_a_run_that_version_0_1_left_half_done_ends_like_the_one_it_left_whole(tmp_path: Path) -> None:
    home = make.kept_home(tmp_path)
    code, out, error = make.called(home, "resume", "half", "--json")
    assert (code, error) == (0, "")
    rows = json.loads(out.splitlines()[-1])["rows"]
    expected = runs.read_rows(runs.find(home, "whole"))
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    for row, whole in zip(rows, expected, strict=True):
        assert [row[name] for name in FIGURES] == pytest.approx([whole[name] for name in FIGURES], abs=TOLERANCE)
    code, out, error = make.called(home, "compare", "half", "whole", "--json")
    assert (code, error) == (0, "")


def test_the_weights_of_a_run_of_version_0_1_score_as_they_did(tmp_path: Path) -> None:
    assert make.scored(tmp_path) == pytest.approx(make.read("scores"), abs=TOLERANCE)


def test_the_kept_home_is_small_and_names_no_machine() -> None:
    files = [path for path in make.KEPT_HOME.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 300_000
    named = [path for path in files if path.name == runs.STATE and '"host": "elsewhere"' not in path.read_text()]
    assert not named
