"""Data whose scores are all the same: said where they come in, and refused where they would be trained on."""

import json
from pathlib import Path

import pytest
from driven import button, checked, click, opened
from pair_files import score_table, sequence_table, write_pair
from test_data_page import data_page, upload

from tfbind import runs
from tfbind.__main__ import main
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


def test_commands_say_it_at_import_and_refuse_to_train(
    pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    def tfbind(code: int, *words: object) -> tuple[str, str]:
        assert main([*map(str, words)]) == code
        printed = capsys.readouterr()
        return printed.out, printed.err

    files = ["--sequences", pair[0], "--scores", pair[1]]
    assert FLAT in tfbind(0, "data", "check", *files)[0].splitlines()
    output, complaint = tfbind(0, "data", "import", *files, "--name", "flat")
    assert (complaint, FLAT in output.splitlines()) == ("", True)
    assert FLAT in json.loads(tfbind(0, "data", "import", *files, "--name", "other", "--json")[0])["notes"]
    refused = f"tfbind: data set 'flat': 16 windows to train on; {FLAT}\n"
    assert tfbind(2, "train", "--dataset", "flat") == ("", refused)


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
    assert plain(FLAT) in click(page, "Train on it").error[0].value
    assert button(page, "Start").disabled


def test_a_data_set_kept_before_it_was_noted_is_told_too(home: Path, pair: tuple[Path, Path]) -> None:
    data = import_pair(home, *pair, "flat")
    meta = data.path / "meta.json"
    meta.write_text(json.dumps({**data.meta, "notes": []}))
    assert plain(FLAT) in opened("data", data="flat").warning[0].value
    page = opened()
    page.selectbox("config-dataset").set_value("flat").run()
    assert plain(FLAT) in checked(page).error[0].value
