"""The section of a run's page that says what its figures are worth."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from driven import app, button, checked, click, labels, words
from pair_files import score_table, sequence_table, write_pair
from toy import Toy, toy_config, toy_data, toy_home

from tfbind import runs
from tfbind.data import manage
from tfbind.data.dataset import import_pair, make_builtin, open_dataset
from tfbind.data.splits import split
from tfbind.dna.codes import decode, reverse_complement
from tfbind.evaluation import baselines, test_set
from tfbind.runs import launch
from tfbind.runs.worker import Worker
from ui.widgets.session import plain


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the data set `toy` and the run `one` on it."""
    home = toy_home(tmp_path_factory.mktemp("made"))
    trained(home)
    return home


@pytest.fixture
def home(home: Path, made: Path) -> Path:
    return shutil.copytree(made, home)


@pytest.fixture
def run(home: Path) -> runs.Run:
    return runs.find(home, "one")


def trained(home: Path, id: str = "one", **settings: object) -> runs.Run:
    run = launch.prepare(home, toy_config(**settings), launch.RunRequest(id=id)).create()
    assert Worker(run).work() == "finished"
    return run


def appraise(home: Path, run: runs.Run) -> baselines.SplitBaselines:
    data = open_dataset(home, runs.read_config(run).dataset)
    return baselines.ensure_baselines(home, data, split(data, runs.read_config(run)))


def test_simpler_models_stand_beside_the_run_and_what_is_as_good_is_said(home: Path, run: runs.Run) -> None:
    known = appraise(home, run)
    page = app(run.id)
    said = words(page)
    table = next(element.value for element in page.dataframe if "Model" in element.value)
    assert list(table["Model"]) == ["this run", *(base.name for base in known.baselines)]
    scored = table.set_index("Model")
    assert scored.loc["mean", "Loss"] == pytest.approx(known.baselines[0].val_loss)
    assert "AUPRC" not in table  # where a signal has no sites, there is no column for them
    assert plain(known.leaks.words) in said
    assert "Open it now" not in labels(page)  # there is no test set
    assert "95 % bootstrap interval" in said
    assert ("Grey lines" in said) == any(base.val_pearsonr is not None for base in known.baselines)
    best = runs.best_row(runs.read_rows(run))["val_pearsonr"]
    better = [base for base in known.baselines[:4] if (base.val_pearsonr or 0) >= best - baselines.ALIKE]
    assert ("A simpler model does" in said) == bool(better)


def test_while_nothing_is_known_of_the_split_the_rest_is_shown_and_it_can_be_asked_for(
    run: runs.Run,
) -> None:
    page = app(run.id)
    assert "95 % bootstrap interval" in words(page)
    assert not page.warning
    click(page, "Measure simpler models")
    assert "Measure simpler models" not in labels(page)
    assert any("Model" in element.value for element in page.dataframe)


def test_a_damaged_appraisal_is_one_line(home: Path, run: runs.Run) -> None:
    appraise(home, run)
    (kept,) = (home / baselines.FOLDER).glob("*.json")
    kept.write_text("{")
    assert "the file was damaged" in app(run.id).warning[0].value


@pytest.mark.parametrize(
    ("chromosomes", "said"),
    [
        (2, "All held-out windows are from one chromosome: what it would be with another cannot be told."),
        (25, "Only 5 chromosomes were held out: with so few, the interval is rough."),
        (50, "if other chromosomes had been held out"),
    ],
)
def test_whole_chromosomes_are_drawn_where_they_are_what_was_held_out(
    home: Path, tmp_path: Path, chromosomes: int, said: str
) -> None:
    data = toy_data()
    names = [f"chr{place % chromosomes}_{place * 20}_{place * 20 + 19}" for place in range(len(data.codes))]
    letters = [decode(codes) for codes in data.codes]
    import_pair(home, *write_pair(tmp_path, sequence_table(names, letters), score_table(names, data.scores)), "far")
    run = trained(home, "far", dataset="far", split_by="chromosomes", num_epochs=1)
    assert plain(said) in plain(words(app(run.id)))


def test_planted_leaks_are_found_before_training_and_said_on_the_run(home: Path, tmp_path: Path) -> None:
    import_pair(home, *with_leaks(tmp_path), "leaky")
    expected = plain("1 identical to, 1 the reverse complement of, 1 nearly the same as, 1 overlapping a window")
    page = app()
    page.selectbox("config-dataset").set_value("leaky").run()
    assert expected in words(click(page, "Check for leaks"))
    run = trained(home, "leaky", dataset="leaky", num_epochs=1)
    appraise(home, run)
    assert expected in words(app(run.id))


def with_leaks(folder: Path) -> tuple[Path, Path]:
    """200 windows of 300 bases, far apart: of four that train, held-out windows hold a copy, the mirror image, a copy
    with two changes, and a neighbour that begins in the middle."""
    codes = np.random.default_rng(0).integers(0, 4, (200, 300), dtype=np.uint8)
    starts = np.arange(200) * 1000
    parts = split(Toy(codes, codes.astype(np.float32)), toy_config())
    held, train = parts.validation, parts.train
    codes[held[0]], codes[held[1]], codes[held[2]] = (
        codes[train[0]],
        reverse_complement(codes[train[1]]),
        codes[train[2]],
    )
    codes[held[2], [100, 200]] = (codes[held[2], [100, 200]] + 1) % 4
    starts[held[3]] = starts[train[3]] + 150
    names = [f"chr1_{start}_{start + 299}" for start in starts]
    scores = np.array([0, 1, 4, 2], dtype=np.float32)[codes]
    return write_pair(folder, sequence_table(names, [decode(row) for row in codes]), score_table(names, scores))


def test_the_test_is_opened_from_the_page_and_then_shown(home: Path) -> None:
    run = trained(home, "sealed", test_split=0.3)
    page = app(run.id)
    assert test_set.read_test_result(run) is None
    checked(page.button("open-test").click().run())
    result = test_set.read_test_result(run)
    assert f"over {result.windows} windows" in words(page)
    (table,) = (element.value for element in page.dataframe if "Model" in element.value)
    assert list(table["Model"]) == ["this run", *(base.name for base in result.baselines)]
    assert "Open it now" not in labels(page)
    assert "over 15 windows" in words(app(run.id))


def test_sites_of_simpler_models_stand_beside_those_of_the_run(home: Path) -> None:
    make_builtin(home, windows=300)
    run = trained(home, "builtin", dataset="builtin", num_epochs=1)
    known = appraise(home, run)
    page = app(run.id)
    table = next(element.value for element in page.dataframe if "Model" in element.value).set_index("Model")
    for base in known.baselines:
        assert table.loc[base.name, "AUPRC"] == pytest.approx(base.val_auprc)
    shown = next(metric.value for metric in page.metric if metric.label == "AUPRC")
    assert f"{table.loc['this run', 'AUPRC']:.3f}" == shown


def test_a_renamed_data_set_is_still_that_of_its_run_and_another_of_its_name_is_not(
    home: Path, run: runs.Run, tmp_path: Path
) -> None:
    manage.rename(home, "toy", "mine", runs.active_on)
    import_pair(home, *with_leaks(tmp_path), "toy")
    page = app(run.id)
    assert "95 % bootstrap interval" in words(page)
    page = checked(page.button("baselines").click().run())
    assert any("Model" in element.value for element in page.dataframe)
    manage.delete(home, "mine", runs.active_on)
    page = app(run.id)
    (said,) = (warning.value for warning in page.warning)
    assert plain("are not here: the data set toy has changed since") in said
    assert "95 % bootstrap interval" not in words(page)
    assert click(page, "Clone").selectbox("config-dataset").value == "toy"


def test_a_worker_has_the_split_of_a_large_data_set_appraised(home: Path) -> None:
    make_builtin(home, windows=baselines.FEWEST_WINDOWS)
    run = trained(home, "builtin", dataset="builtin", num_epochs=1)
    record = runs.read_record(run)
    known = appraise(home, run)  # waits for the process that the worker has started, if it is not done
    assert known == baselines.read_baselines(home, record)
    assert known.leaks.held_out == 100
    assert button(app(run.id), "Clone")
