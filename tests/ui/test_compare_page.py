"""The Compare page as Streamlit runs it: empty, full, narrowed, hostile, and its selection in the address."""

from dataclasses import replace
from pathlib import Path

import pytest
from driven import checked, click, opened, read, words
from stand_in import CONFIG, crash, make_rows, make_run
from streamlit.testing.v1 import AppTest

from tfbind.config import TrainConfig
from tfbind.data.dataset import make_builtin
from tfbind.data.splits import split
from tfbind.evaluation import baselines
from tfbind.runs import folder, record
from tfbind.runs.folder import Run
from tfbind.store.schema import write_json
from ui.compare.select import table_key
from ui.widgets.session import plain

pytestmark = pytest.mark.usefixtures("home")

HOSTILE = "**B** <img src=x> ![i](http://evil) :material/home: $x$"


def compare(**address: str) -> AppTest:
    return opened("compare", **address)


def finished(
    home: Path, rate: float, seed: int, final: float, *, sweep: str | None = None, name: str = "", facts=None
) -> Run:
    """A finished run of 3 epochs whose val_pearsonr ends at `final`."""
    config = CONFIG.model_copy(update={"learning_rate": rate, "seed": seed})
    facts = {"sweep": sweep, "dataset_hash": "ab", "windows": 100, "length": 30} | (facts or {})
    run = folder.create(home, config, name=name or f"lr {rate:g} seed {seed}", facts=facts)
    for row in make_rows(3):
        epoch = row["epoch"]
        loss = {"train_loss": 1 / epoch, "val_loss": 1 / epoch}
        folder.append_row(run, row | loss | {"val_pearsonr": final - (3 - epoch) / 50})
    run.set_state("finished", started=1.0, ended=2.0, device="cpu")
    return run


@pytest.fixture
def sweep(home: Path) -> list[Run]:
    """Two rates with three seeds each; 0.01 wins."""
    return [
        finished(home, rate, seed, top + 0.001 * seed, sweep="rates")
        for rate, top in ((0.01, 0.9), (0.0001, 0.7))
        for seed in range(3)
    ]


def test_baselines_of_the_same_split_are_rows_beside_the_settings(home: Path) -> None:
    data = make_builtin(home, windows=300)
    parts = split(data, TrainConfig())
    for rate, reached in ((0.01, 0.98), (0.001, 0.7)):
        finished(home, rate, 0, reached, facts={"dataset_hash": data.hash, "split_hash": parts.hash})
    known = baselines.ensure_baselines(home, data, parts).baselines
    names = [one.name for one in known if one.val_pearsonr is not None]
    expected = [f"baseline: {name}" for name in names]
    page = compare()
    table = next(element.value for element in page.dataframe if "setting" in element.value)
    assert len(expected) == 4
    assert expected[-1] == "baseline: motif scan"
    assert list(table["setting"])[2:] == expected
    assert plain("on the same held-out windows") in words(page)
    assert "A simpler model does" in words(page)
    finished(home, 0.1, 0, 0.985, facts={"dataset_hash": data.hash, "split_hash": "other windows"})
    page = compare()
    assert "A simpler model does" not in words(page)


def charts(page: AppTest) -> int:
    return len(page.get("plotly_chart"))


def test_an_empty_home_says_what_to_do() -> None:
    page = compare()
    assert "No runs yet" in words(page)
    assert charts(page) == 0


@pytest.mark.usefixtures("sweep")
def test_the_newest_sweep_is_compared_at_once() -> None:
    page = compare()
    assert "learning_rate 0.01 wins" in read(page)
    assert charts(page) == 4
    assert "None" not in page.success[0].value


def test_without_a_sweep_the_newest_few_on_the_same_data_are_compared(home: Path) -> None:
    for seed in range(8):
        finished(home, 0.01, seed, 0.9)
    page = compare()
    assert len(page.session_state["compare-selected"]) == 6


def test_the_address_names_runs_or_a_sweep(sweep: list[Run], home: Path) -> None:
    finished(home, 0.5, 0, 0.2)
    assert len(compare(sweep="rates").session_state["compare-selected"]) == 6
    page = compare(runs=f"{sweep[0].id},{sweep[3].id},gone")
    assert set(page.session_state["compare-selected"]) == {sweep[0].id, sweep[3].id}
    assert not page.success
    assert plain("One run each: cannot be told.") in page.info[0].value
    help = "the standard deviation over seeds (of 6 runs of 2 settings, not selected, on the same data and split)"
    assert plain(help) in words(page)


@pytest.mark.usefixtures("sweep")
def test_the_filter_narrows_the_table_and_not_the_selection() -> None:
    page = compare()
    page.text_input("compare-filter").set_value("0.0001 seed").run()
    checked(page)
    assert len(page.dataframe[0].value) == 3
    assert len(page.session_state["compare-selected"]) == 6
    assert "3 selected runs are hidden by the filter and counted below all the same." in words(page)
    click(page, "Clear them")
    assert len(page.session_state["compare-selected"]) == 3
    assert "hidden by the filter" not in words(page)
    assert "One setting only" in words(page)
    page.text_input("compare-filter").set_value("").run()
    assert len(page.session_state["compare-selected"]) == 3


def test_ticks_drive_every_panel_and_the_address(sweep: list[Run]) -> None:
    page = compare()
    newest_first = [run.id for run in reversed(sweep)]
    ticked = {"selection": {"rows": [0, 1, 2], "columns": [], "cells": []}}
    page.session_state[table_key(newest_first)] = ticked
    checked(page.run())
    assert page.query_params["runs"] in (",".join(newest_first[:3]), [",".join(newest_first[:3])])
    assert "One setting only" in words(page)
    assert "They differ in the seed at most" in words(page)


def test_a_command_for_many_runs_names_their_table(home: Path) -> None:
    for seed in range(21):
        finished(home, 0.01, seed, 0.9, sweep="many")
    options = "--metric val_pearsonr --at best --goal max --out comparison.html"
    assert compare(sweep="many").code[-1].value == f"python -m tfbind compare --table runs.csv {options}"
    few = compare(runs=",".join(run.id for run in folder.list_runs(home)[:20]))
    assert all(run.id in few.code[-1].value for run in folder.list_runs(home)[:20])


@pytest.mark.usefixtures("sweep")
def test_metric_place_and_direction_can_be_chosen() -> None:
    page = compare()
    page.selectbox("compare-metric").set_value("val_loss").run()
    assert "validation loss (lower is better) at the epoch with the lowest validation loss" in read(page)
    page.segmented_control("compare-when").set_value("epoch").run()
    assert "at epoch 3" in words(checked(page))


def test_other_data_are_refused_in_words_and_have_baselines_of_their_own(home: Path) -> None:
    data = make_builtin(home, windows=300)
    parts = split(data, TrainConfig())
    chosen = []
    for name, windows in (("first", data), ("second", replace(data, meta={**data.meta, "hash": "cd" * 32}))):
        config, facts = CONFIG.model_copy(update={"dataset": name}), {"split_hash": parts.hash}
        chosen.append(make_run(home, "finished", 1, config=config, dataset_hash=windows.hash))
        write_json(chosen[-1].folder / folder.CONFIG, folder.read_record(chosen[-1]) | facts)
    page = compare(runs=",".join(run.id for run in chosen))
    assert "2 different data sets" in page.warning[0].value
    assert "No baselines of these data sets have been computed" in words(page)
    for windows in (data, replace(data, meta={**data.meta, "hash": "cd" * 32})):
        made = baselines.ensure_baselines(home, windows, parts).baselines
    page = compare(runs=",".join(run.id for run in chosen))
    table = next(element.value for element in page.dataframe if "baseline" in element.value)
    names = [baseline.name for baseline in made if baseline.val_pearsonr is not None]
    assert list(zip(table["data set"], table["baseline"], strict=True)) == [
        (data_set, name) for data_set in ("second", "first") for name in names
    ]
    assert "Choose runs of one data set" in words(page)


@pytest.mark.usefixtures("sweep")
def test_hostile_names_are_shown_as_written(home: Path) -> None:
    run = finished(home, 0.3, 0, 0.1, sweep="rates", name=HOSTILE)
    run.set_state("failed", error=HOSTILE)
    page = compare()
    said = words(page)
    assert plain(HOSTILE) in said
    assert HOSTILE not in said
    assert HOSTILE in page.dataframe[0].value["name"].tolist()


def test_active_crashed_and_damaged_runs_do_not_hide_the_others(sweep: list[Run], home: Path) -> None:
    make_run(home, "running", epochs=2)
    crash(make_run(home, "running", epochs=2))
    (sweep[0].folder / folder.METRICS).write_text("{broken\n")
    page = compare()
    assert sweep[0].id in page.warning[0].value.replace("\\", "").replace("\u2060", "")
    states = page.dataframe[0].value["state"].tolist()
    assert states.count("finished") == 5
    assert {"running", "crashed"} <= set(states)


def test_a_changed_run_is_read_again_and_tags_and_note_are_saved_and_shown(sweep: list[Run]) -> None:
    page = compare(runs=sweep[0].id)
    folder.rename(sweep[0], "renamed")
    assert "renamed" in checked(page.run()).dataframe[0].value["name"].tolist()
    page.text_input(f"tags-{sweep[0].id}").set_value("keep, paper").run()
    page.text_area(f"note-{sweep[0].id}").set_value("the one").run()
    click(page, "Save")
    saved = record.read_run_record(sweep[0])
    assert (saved.tags, saved.note) == (["keep", "paper"], "the one")
    assert "keep, paper" in page.dataframe[0].value["tags"].tolist()
    page.text_input(f"tags-{sweep[0].id}").set_value("x" * 50).run()
    assert "at most 40" in click(page, "Save").error[0].value
