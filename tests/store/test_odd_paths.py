"""Paths that no program takes for granted: bytes that are no UTF-8, blanks, line ends, quotes; and a NUL, typed.

A file or a home of such a name works as any other, and what cannot be said exactly is said nearly.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from driven import APP, checked
from streamlit.testing.v1 import AppTest
from toy import toy_config, toy_home

from tfbind.__main__ import main
from tfbind.config import PROJECT
from tfbind.runs import launch
from tfbind.runs.worker import Worker
from tfbind.scoring.model import BUILTIN_FOLDER

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="its file systems take names in UTF-8 only")

ODD = os.fsdecode(b'\xff it\'s "$x"\n')
WEIGHTS = BUILTIN_FOLDER / "seed0.safetensors"
GENOME = ">chr1\n" + "ACGTTGTTTACATTGCAGGA" * 50 + "\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of an odd name, with a finished run."""
    folder = tmp_path_factory.mktemp("plain") / ODD
    folder.mkdir()
    home = toy_home(folder)
    run = launch.prepare(home, toy_config(num_epochs=1), launch.RunRequest(id="done")).create()
    assert Worker(run).work() == "finished"
    return home


@pytest.fixture
def folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where files of odd names lie."""
    shutil.copy(WEIGHTS, tmp_path / f"{ODD}.safetensors")
    (tmp_path / f"{ODD}.fa").write_text(GENOME)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFBIND_HOME", str(home))
    return tmp_path


SCORE = ["predict", "--model", f"{ODD}.safetensors", "--data", f"{ODD}.fa", "--out"]


@pytest.mark.parametrize(
    ("command", "out"),
    [([*SCORE, f"{ODD}.bw"], f"{ODD}.bw"), (["compare", "done", "--out", f"{ODD}.html"], f"{ODD}.html")],
)
def test_files_of_odd_names_are_taken_and_written(command: list[str], out: str, folder: Path) -> None:
    assert main(command) == 0
    assert (folder / out).stat().st_size


def test_a_path_is_printed_as_the_bytes_that_it_is(folder: Path) -> None:
    command, said = ["data", "export", "toy", "--to", ODD], os.fsencode(ODD) + b"/toy_sequences.txt.gz\n"
    (folder / ODD).mkdir()
    strict = {**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONIOENCODING": "utf-8:strict"}  # as most locales have it
    done = subprocess.run([sys.executable, "-m", "tfbind", *command], env=strict, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(said)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("page", ["train", "data"])
def test_pages_take_a_home_of_an_odd_name_and_refuse_one_that_is_no_utf_8(
    page: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(PROJECT)

    def opened(home: Path) -> AppTest:
        monkeypatch.setenv("TFBIND_HOME", str(home))
        shown = AppTest.from_file(APP, default_timeout=60)
        shown.query_params["run"] = "done"
        return checked(shown.switch_page(f"pages/{page}.py").run())

    assert [error.value for error in opened(shutil.copytree(home, tmp_path / "it's a\n$home")).error] == []
    (refused,) = opened(home).error
    assert "no UTF\\-8" in refused.value


def test_a_nul_that_is_typed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFBIND_HOME", str(tmp_path))
    monkeypatch.chdir(PROJECT)  # whose configuration has the app listen on loopback, where paths can be typed
    page = AppTest.from_file(APP, default_timeout=60)
    page.switch_page("pages/data.py").run()
    for key, typed in (("motif-genome-path", "/data/a\0b.fa"), ("motif-id", "FOXA1"), ("motif-name", "mine")):
        page.text_input(key=key).set_value(typed)
    page.run()
    page.button(key="build-motif").click().run()
    assert "a NUL character in it" in "".join(error.value for error in page.error)
