"""The section of a run's page that says what its figures are worth."""

from pathlib import Path

import pytest
from driven import app, button, checked, words
from toy import toy_config, toy_home

from tfbind import baselines, launch, runs, sealed
from tfbind.datasets import make_builtin, open_dataset
from tfbind.splits import split
from tfbind.worker import Worker
from ui.session import plain


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = toy_home(tmp_path)
    monkeypatch.setenv("TFBIND_HOME", str(home))
    return home


def trained(home: Path, **settings: object) -> runs.Run:
    run = launch.prepare(home, toy_config(**settings), launch.Order(id="one"))
    assert Worker(run).work() == "finished"
    return run


def appraise(home: Path, run: runs.Run) -> baselines.Appraisal:
    data = open_dataset(home, runs.read_config(run).dataset)
    return baselines.make(home, data, split(data, runs.read_config(run)))


def test_simpler_models_stand_beside_the_run_and_what_is_as_good_is_said(home: Path) -> None:
    run = trained(home)
    known = appraise(home, run)
    page = app(run.id)
    said = words(page)
    table = next(element.value for element in page.dataframe if "Model" in element.value)
    assert list(table["Model"]) == ["this run", *(base.name for base in known.baselines)]
    assert plain(known.leaks.words) in said
    assert "95 % bootstrap interval" in said
    assert ("Grey lines" in said) == any(base.val_pearsonr is not None for base in known.baselines)
    best = runs.best_row(runs.read_rows(run))["val_pearsonr"]
    better = [base for base in known.baselines if (base.val_pearsonr or 0) >= best]
    assert ("A simpler model does as well" in said) == bool(better)


def test_while_nothing_is_known_of_the_split_the_rest_is_shown_and_it_can_be_asked_for(home: Path) -> None:
    page = app(trained(home).id)
    assert "95 % bootstrap interval" in words(page)
    assert not page.warning
    checked(button(page, "Measure simpler models").click().run())
    assert "Measure simpler models" not in [found.label for found in page.button]
    assert any("Model" in element.value for element in page.dataframe)


def test_a_damaged_appraisal_is_one_line(home: Path) -> None:
    run = trained(home)
    appraise(home, run)
    (kept,) = (home / baselines.FOLDER).glob("*.json")
    kept.write_text("{")
    assert "the file was damaged" in app(run.id).warning[0].value


def test_the_test_is_opened_from_the_page_and_then_shown(home: Path) -> None:
    run = trained(home, test_split=0.3)
    page = app(run.id)
    assert sealed.opened(run) is None
    checked(page.button("open-test").click().run())
    result = sealed.opened(run)
    assert f"over {result.windows} windows" in words(page)
    assert "Open it now" not in [found.label for found in page.button]
    assert "over 15 windows" in words(app(run.id))


def test_a_run_without_a_test_offers_none(home: Path) -> None:
    assert all(found.label != "Open it now" for found in app(trained(home).id).button)


def test_a_worker_has_the_split_of_a_large_data_set_appraised(home: Path) -> None:
    make_builtin(home, windows=baselines.FEWEST_WINDOWS)
    run = trained(home, dataset="builtin", num_epochs=1)
    record = runs.read_record(run)
    known = appraise(home, run)  # waits for the process that the worker has started, if it is not done
    assert known == baselines.stored(home, record)
    assert known.leaks.held_out == 100
    assert button(app(run.id), "Clone")
