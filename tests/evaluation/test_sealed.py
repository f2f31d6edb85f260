"""The sealed test: never trained on, opened once, its figures those of the best weights."""

import json
import shlex
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from pair_files import score_table, sequence_table, write_pair
from toy import toy_config, toy_data, toy_home

from tfbind import runs
from tfbind.__main__ import main
from tfbind.compare.significance import read_window_sums
from tfbind.data.dataset import import_pair
from tfbind.data.manage import delete, rename
from tfbind.data.splits import split
from tfbind.dna.codes import decode
from tfbind.evaluation import test_set
from tfbind.metrics import pearson
from tfbind.runs import launch, log, record
from tfbind.runs.worker import Worker
from tfbind.scoring.model import load_model, score_windows


@pytest.fixture
def home(tmp_path, monkeypatch):
    home = toy_home(tmp_path)
    monkeypatch.setenv("TFBIND_HOME", str(home))
    return home


def trained(home, **settings):
    run = launch.prepare(home, toy_config(**settings), launch.RunRequest(id="one")).create()
    assert Worker(run).work() == "finished"
    return run


def test_it_is_opened_once_and_gives_the_figures_of_the_best_weights(home, capsys) -> None:
    run = trained(home, test_split=0.3)
    assert test_set.read_test_result(run) is None
    with np.load(run.folder / runs.VALIDATION) as saved:
        validation = set(saved["windows"])
    parts = split(toy_data(), toy_config(test_split=0.3))
    assert validation == set(parts.validation)
    assert not validation & set(parts.test)
    assert main(["test", "one", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    data = toy_data()
    predicted = score_windows(load_model(home, "one"), data.codes[parts.test])
    assert first["test_pearsonr"] == pytest.approx(pearson(predicted, data.scores[parts.test]))
    assert first["windows"] == 15
    assert log.tail(run).count("test opened") == 1
    mean, *others = first["baselines"]
    expected = ((data.scores[parts.test] - data.scores[parts.train].mean()) ** 2).mean()
    assert (mean["name"], mean["test_loss"]) == ("mean", pytest.approx(expected, rel=1e-5))
    assert [one["key"] for one in others] == ["words", "pwm", "jaspar"]
    assert {"test_precision", "test_recall", "test_auprc"} < set(first) & set(mean)
    (run.folder / runs.BEST).unlink()
    assert main(["test", "one"]) == 0
    said = capsys.readouterr().out
    assert f"opened before, on {first['opened']}" in said
    assert [line.split("  ")[0] for line in said.splitlines()[1:3]] == ["this run", "mean"]


def test_a_test_that_an_older_version_opened_is_still_read(home) -> None:
    run = trained(home, test_split=0.3)
    kept = asdict(test_set.open_test(run))
    for newer in ("baselines", "test_precision", "test_recall", "test_auprc"):
        del kept[newer]
    (run.folder / runs.TEST).write_text(json.dumps(kept))
    assert test_set.open_test(run) == test_set.TestResult(**kept)


def test_the_printed_command_repeats_a_run_by_blocks_with_its_split_and_its_test(tmp_path, monkeypatch, capsys):
    home = tmp_path / "home"
    monkeypatch.setenv("TFBIND_HOME", str(home))
    import_pair(home, *far_apart(tmp_path), "far")
    run = trained(home, dataset="far", split_by="blocks", test_split=0.2, seed=3, num_epochs=2)
    assert main(["runs", "one", "--command"]) == 0
    words = shlex.split(capsys.readouterr().out)
    assert main([*words[3:], "--id", "two"]) == 0
    again = runs.find(home, "two")
    first, second = (runs.read_record(one) for one in (run, again))
    assert (first["split_hash"], first["split_windows"]) == (second["split_hash"], second["split_windows"])
    assert first["split_windows"]["test"] > 0
    figures = ("epoch", "train_loss", "val_loss", "val_pearsonr", "val_pearsonr_window")
    rows = [[tuple(row[key] for key in figures) for row in runs.read_rows(one)] for one in (run, again)]
    assert rows[0] == rows[1]
    opened = [replace(test_set.open_test(one), opened="") for one in (run, again)]
    assert opened[0] == opened[1]


def test_the_printed_command_finds_its_data_by_their_content(tmp_path, monkeypatch, capsys):
    """Renamed, with other data under the old name; then gone."""
    home = toy_home(tmp_path)
    monkeypatch.setenv("TFBIND_HOME", str(home))
    launch.prepare(home, toy_config(), launch.RunRequest(id="one")).create()
    runs.find(home, "one").set_state("finished")
    import_pair(home, *far_apart(tmp_path), "far")
    rename(home, "toy", "mine", runs.active_on)
    rename(home, "far", "toy", runs.active_on)
    assert main(["runs", "one", "--command"]) == 0
    said = capsys.readouterr()
    assert "--dataset mine " in said.out
    assert said.err == ""
    delete(home, "mine", runs.active_on)
    assert main(["runs", "one", "--command"]) == 0
    said = capsys.readouterr()
    assert "--dataset toy " in said.out
    assert said.err == (
        "tfbind: run one cannot be repeated: the data that the run learnt from are not here: the data set toy has "
        f"changed since ({home / 'data' / 'toy' / 'meta.json'} has another hash)\n"
    )


def test_a_run_finds_its_data_by_their_content_and_takes_no_others(home, tmp_path) -> None:
    """Renamed, with other data under the old name, before it trains and before its test is opened; then gone."""
    runs_of_toy = [
        launch.prepare(home, toy_config(test_split=0.3), launch.RunRequest(id=id)).create() for id in ("one", "two")
    ]
    import_pair(home, *far_apart(tmp_path), "far")
    with pytest.raises(ValueError, match="data set 'toy': in use by run one"):
        rename(home, "toy", "mine", runs.active_on)
    for run in runs_of_toy:
        run.set_state("killed")
    rename(home, "toy", "mine", runs.active_on)
    rename(home, "far", "toy", runs.active_on)
    one, two = runs_of_toy
    assert Worker(one).work() == "finished"
    held, data = read_window_sums(record.read_run_record(one)), toy_data()
    assert set(held.windows) == set(split(data, toy_config(test_split=0.3)).validation)
    assert held.loss.mean() == pytest.approx(runs.best_row(runs.read_rows(one))["val_loss"], rel=1e-3)
    assert test_set.open_test(one).windows == 15
    assert main(["filters", "one"]) == 0
    assert main(["train", "--from", "one", "--num-epochs", "1", "--id", "more"]) == 0
    assert runs.read_record(runs.find(home, "more"))["dataset"] == "mine"
    delete(home, "mine", runs.active_on)
    gone = "the data that the run learnt from are not here: the data set toy has changed since"
    assert Worker(two).work() == "failed"
    assert gone in two.status().error
    with pytest.raises(ValueError, match=f"run one: {gone}"):
        read_window_sums(record.read_run_record(one))
    assert main(["train", "--from", "one", "--id", "none"]) == 2
    assert main(["train", "--from", "one", "--dataset", "toy", "--num-epochs", "1", "--id", "other"]) == 0


def far_apart(folder: Path) -> tuple[Path, Path]:
    """A pair of files whose 50 windows lie 10 kb from each other."""
    data = toy_data()
    names = [f"chr1_{place * 10_000}_{place * 10_000 + 19}" for place in range(len(data.codes))]
    return write_pair(
        folder, sequence_table(names, [decode(codes) for codes in data.codes]), score_table(names, data.scores)
    )


@pytest.mark.parametrize(
    ("settings", "state", "said"),
    [
        ({}, "finished", "run one has no test part; one is sealed by `train --test-split 0.1`"),
        ({"test_split": 0.2}, "killed", "run one is killed; the test of a run is opened when it has finished"),
    ],
)
def test_what_cannot_be_opened_says_why(home, capsys, settings, state, said) -> None:
    run = launch.prepare(home, toy_config(**settings), launch.RunRequest(id="one")).create()
    run.set_state(state)
    assert main(["test", "one"]) == 2
    assert capsys.readouterr().err == f"tfbind: {said}\n"


def test_other_data_under_the_same_name_are_not_the_test(home) -> None:
    run = trained(home, test_split=0.3)
    meta = home / "data" / "toy" / "meta.json"
    meta.write_text(json.dumps({**json.loads(meta.read_text()), "hash": "other"}))
    with pytest.raises(ValueError, match="has changed since"):
        test_set.open_test(run)
