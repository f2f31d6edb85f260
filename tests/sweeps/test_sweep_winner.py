"""Sweep and Compare name one winner: Compare takes the sweep's metric and goal, and says where metrics disagree."""

import json
from pathlib import Path

import pytest
from driven import APP, button, checked, words
from golden.make import called
from stand_in import CONFIG, make_rows
from streamlit.testing.v1 import AppTest

from tfbind.data.dataset import make_builtin
from tfbind.runs import folder
from tfbind.sweeps import search, sweep_folder
from tfbind.sweeps.spec import parse_spec
from tfbind.sweeps.sweep_folder import Sweep
from ui.widgets.session import plain

GRID = "method: grid\nparameters: {learning_rate: {values: [0.01, 0.001]}}\n"
LOSS = GRID + "metric: {name: val_loss, goal: minimize}\n"
FIGURES = {0.01: (0.6, 0.90), 0.001: (0.5, 0.85)}  # val_loss and val_pearsonr: each rate wins by one of them
DISAGREE = "The metrics disagree: by Pearson r the best figure is that of learning_rate 0.01, 0.9 against 0.85."


@pytest.fixture(autouse=True)
def home(home: Path) -> Path:
    make_builtin(home, windows=60)
    return home


def finished(home: Path, text: str, id: str, figures: dict[float, tuple[float, float]] = FIGURES) -> Sweep:
    sweep = sweep_folder.create(home, parse_spec(text, CONFIG), id=id)
    for rate, (loss, pearson) in figures.items():
        config = CONFIG.model_copy(update={"learning_rate": rate})
        facts = {"sweep": sweep.id, "dataset_hash": "ab"}
        run = folder.create(home, config, id=f"{id}-{rate}".replace(".", "p"), name=f"rate {rate:g}", facts=facts)
        for row in make_rows(2):
            folder.append_row(run, row | {"val_loss": loss + 2 - row["epoch"], "val_pearsonr": pearson})
        run.set_state("finished", started=0.0, ended=1.0, device="cpu")
    sweep.set_state("finished", started=0.0, ended=1.0)
    return sweep


def page_of(path: str, **address: str) -> AppTest:
    page = AppTest.from_file(APP, default_timeout=60).run()
    for key, value in address.items():
        page.query_params[key] = value
    return checked(page.switch_page(path).run())


def command(home: Path, *words: str) -> str:
    code, out, error = called(home, *words)
    assert code == 0, error
    return out


@pytest.mark.parametrize("address", [{"sweep": "s-loss"}, {}])
def test_the_page_takes_the_metric_of_the_sweep_that_is_compared(home: Path, address: dict[str, str]) -> None:
    finished(home, LOSS, "s-loss")
    page = page_of("pages/compare.py", **address)
    assert (page.selectbox("compare-metric").value, page.segmented_control("compare-goal-val_loss").value) == (
        "val_loss",
        "min",
    )
    assert "learning_rate 0.001 has the best figure, 0.5000" in page.info[0].value.replace("\\", "")
    assert plain(DISAGREE) in words(page)
    checked(page.selectbox("compare-metric").set_value("val_pearsonr").run())
    assert "learning_rate 0.01 has the best figure, 0.9000" in page.info[0].value.replace("\\", "")
    assert checked(page.run()).selectbox("compare-metric").value == "val_pearsonr"


def test_the_page_takes_a_goal_against_the_name_and_runs_of_two_sweeps_none(home: Path) -> None:
    finished(home, GRID + "metric: {name: val_pearsonr, goal: minimize}\n", "s-least")
    other = finished(home, LOSS, "s-loss", {0.5: (0.9, 0.1)})
    page = page_of("pages/compare.py", sweep="s-least")
    assert page.segmented_control("compare-goal-val_pearsonr").value == "min"
    every = ",".join(run.id for run in (*sweep_folder.sweep_runs(other), *folder.list_runs(home)))
    assert page_of("pages/compare.py", runs=every).selectbox("compare-metric").value == "val_pearsonr"


def test_from_one_sweep_to_compare_and_from_the_next(home: Path) -> None:
    finished(home, LOSS, "s-loss")
    finished(home, GRID + "metric: {name: val_pearsonr, goal: maximize}\n", "s-r")
    for id, metric in (("s-loss", "val_loss"), ("s-r", "val_pearsonr")):
        page = page_of("pages/sweep.py", sweep=id)
        button(page, "Compare").click().run()
        assert page.query_params["sweep"] in (id, [id])
        assert checked(page).selectbox("compare-metric").value == metric


def test_a_damaged_sweep_is_said_and_its_runs_are_compared_all_the_same(home: Path) -> None:
    sweep = finished(home, LOSS, "s-loss")
    (sweep.folder / sweep_folder.SPEC).write_text("method: [")
    page = page_of("pages/compare.py", sweep="s-loss")
    assert "spec.yaml" in page.warning[0].value.replace("\\", "")
    assert page.selectbox("compare-metric").value == "val_pearsonr"


def test_the_command_takes_the_metric_of_the_sweep(home: Path, tmp_path: Path) -> None:
    finished(home, LOSS, "s-loss")
    report = tmp_path / "report.md"
    said = command(home, "compare", "--sweep", "s-loss", "--out", str(report))
    assert said.startswith("One run each: cannot be told. learning_rate 0.001 has the best figure, 0.5000.")
    assert "Judged by validation loss (lower is better)" in said
    assert said.count("The metrics disagree") == 1
    assert DISAGREE in said
    assert "The metrics disagree: by Pearson r" in report.read_text()
    assert "python -m tfbind compare --sweep s-loss --metric val_loss --at best --out" in report.read_text()
    asked = json.loads(command(home, "compare", "--sweep", "s-loss", "--metric", "val_pearsonr", "--json"))
    assert (asked["metric"], asked["goal"], asked["best"]) == ("val_pearsonr", "max", "learning_rate 0.01")


def test_the_sweep_says_where_the_metrics_disagree(home: Path) -> None:
    sweep = finished(home, LOSS, "s-loss")
    line = "The metrics disagree: by Pearson r the best run is rate 0.01."
    assert plain(line) in words(page_of("pages/sweep.py", sweep="s-loss"))
    listed = command(home, "sweep", "--list")
    assert "best run s-loss-0p001 by val_loss, but s-loss-0p01 by val_pearsonr" in listed
    spec, past = sweep_folder.read_spec(sweep), sweep_folder.run_records(sweep)
    assert search.disagreement(spec, past[1:]) is None
    agreed = finished(home, GRID + "metric: {name: val_pearsonr, goal: maximize}\n", "s-one", {0.5: (0.4, 0.95)})
    assert search.disagreement(sweep_folder.read_spec(agreed), sweep_folder.run_records(agreed)) is None
    assert "disagree" not in words(page_of("pages/sweep.py", sweep="s-one"))
