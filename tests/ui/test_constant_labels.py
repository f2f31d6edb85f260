"""Data whose scores are all the same: said where they come in, and refused where they would be trained on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from driven import app, button, checked
from pair_files import score_table, sequence_table, write_pair
from test_data_page import data_page, upload

from tfbind import runs
from tfbind.config import TrainConfig
from tfbind.data.dataset import import_pair
from tfbind.runs import launch
from tfbind.sweeps import sweep_folder
from tfbind.sweeps.spec import parse_spec
from ui.widgets.session import plain

FLAT = "every score is 2.5: there is nothing to learn from them, and no correlation is defined"
SWEEP = "method: grid\nparameters: {learning_rate: {values: [0.1, 0.01]}}\n"

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Twenty windows of six bases, each with the score 2.5."""
    names = [f"chr1_{place * 6}_{place * 6 + 5}" for place in range(20)]
    tables = sequence_table(names, ["ACGTAC"] * 20), score_table(names, [[2.5] * 6] * 20)
    return write_pair(tmp_path / "files", *tables)


def tfbind(home: Path, *words: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TFBIND_HOME": str(home)}
    command = [sys.executable, "-m", "tfbind", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


def test_commands_say_it_at_import_and_refuse_to_train(home: Path, pair: tuple[Path, Path]) -> None:
    files = ["--sequences", pair[0], "--scores", pair[1]]
    assert FLAT in tfbind(home, "data", "check", *files).stdout.splitlines()
    imported = tfbind(home, "data", "import", *files, "--name", "flat")
    assert (imported.returncode, imported.stderr) == (0, "")
    assert FLAT in imported.stdout.splitlines()
    again = tfbind(home, "data", "import", *files, "--name", "other", "--json")
    assert FLAT in json.loads(again.stdout)["notes"]
    refused = tfbind(home, "train", "--dataset", "flat")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == f"tfbind: data set 'flat': 16 windows to train on; {FLAT}\n"


def test_no_run_and_no_sweep_is_made_of_them(home: Path, pair: tuple[Path, Path]) -> None:
    import_pair(home, *pair, "flat")
    config = TrainConfig(dataset="flat", device="cpu")
    with pytest.raises(ValueError, match="nothing to learn"):
        launch.submit(home, config)
    with pytest.raises(ValueError, match="nothing to learn"):
        sweep_folder.create(home, parse_spec(SWEEP, config))
    assert runs.list_runs(home) == sweep_folder.list_sweeps(home) == []


def test_the_pages_warn_at_import_and_let_nobody_start(pair: tuple[Path, Path]) -> None:
    page = upload(data_page(), *pair, "flat")
    assert not page.success
    assert all(plain(FLAT) in warning.value for warning in page.warning)
    assert len(page.warning) == 2  # once, and with the data set for as long as it is there
    button(page, "Train on it").click().run()
    assert plain(FLAT) in checked(page).error[0].value
    assert button(page, "Start").disabled


def test_a_data_set_kept_before_it_was_noted_is_told_too(home: Path, pair: tuple[Path, Path]) -> None:
    data = import_pair(home, *pair, "flat")
    meta = data.path / "meta.json"
    meta.write_text(json.dumps({**data.meta, "notes": []}))
    page = app().switch_page("pages/data.py")
    page.query_params["data"] = "flat"
    assert plain(FLAT) in checked(page.run()).warning[0].value
    page = app()
    page.selectbox("config-dataset").set_value("flat").run()
    assert plain(FLAT) in checked(page).error[0].value
