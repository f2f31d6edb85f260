"""The Sweep page as Streamlit runs it: the form, a file, the plan, Start, the race, bad input, hostile text."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from driven import app, button, checked, click, labels, opened, words
from driving import wait_until
from stand_in import make_rows
from streamlit.testing.v1 import AppTest
from toy import toy_config, toy_home

from tfbind.__main__ import main
from tfbind.config import TrainConfig
from tfbind.runs import ACTIVE, StopReason, StopRequest, folder, launch, log
from tfbind.runs.launch import RunRequest
from tfbind.sweeps import controller, sweep_folder
from tfbind.sweeps.spec import parse_spec
from tfbind.sweeps.sweep_folder import Sweep
from ui.widgets.session import plain

HOSTILE = "**B** <img src=x> ![i](http://evil) :material/home: $x$"
TEXT = "method: grid\nparameters: {learning_rate: {values: [0.1, 0.01]}, num_epochs: {value: 5}}\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    home = toy_home(tmp_path)
    monkeypatch.setenv("TFBIND_HOME", str(home))
    yield home
    for sweep in sweep_folder.list_sweeps(home):
        status = sweep.status()
        if status.active and status.pid != os.getpid():
            with suppress(ValueError):  # it has just ended
                controller.stop(sweep)


def page_of(sweep: Sweep | str | None = None) -> AppTest:
    if sweep is None:
        return opened("sweep")
    return opened("sweep", sweep=sweep if isinstance(sweep, str) else sweep.id)


def with_file(page: AppTest, text: str) -> AppTest:
    page.segmented_control("sweep-way").set_value("Sweep file").run()
    return checked(page.text_area("sweep-text").set_value(text).run())


def make_sweep(home: Path, states: list[str], text: str = TEXT, name: str = "mine") -> Sweep:
    """A sweep of this process with runs in these states; one that is not finished has two epochs."""
    sweep = sweep_folder.create(home, parse_spec(text, TrainConfig(dataset="toy", device="cpu")), name=name)
    spec = sweep_folder.read_spec(sweep)
    for place, (state, config) in enumerate(zip(states, spec.grid(), strict=False)):
        settled = config.model_copy(update={"threads": 1})
        facts = {"sweep": sweep.id, "wandb": "off", "windows": 50, "length": 20}
        run = folder.create(home, settled, name=controller.run_name(spec, config), facts=facts)
        for row in make_rows(5 if state == "finished" else 2):
            folder.append_row(run, row | {"val_loss": row["val_loss"] + place})
        ended = None if state in ACTIVE else time.time()
        error = "the steps were too large" if state == "failed" else None
        run.set_state(state, started=time.time() - 60, ended=ended, device="cpu", error=error)
    active = any(state in ACTIVE for state in states)
    sweep.set_state("running" if active else "finished", started=time.time() - 60)
    return sweep


def metrics(page: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in page.metric}


def test_the_form_stands_on_a_sweep_that_works() -> None:
    page = page_of()
    assert metrics(page)["Runs"] == "3"
    assert list(page.dataframe[0].value["Learning rate"]) == [0.01, 0.001, 0.0001]
    assert not button(page, "Start").disabled
    assert "None yet" in words(page)
    assert "tfbind sweep" in page.code[0].value


def test_the_form_writes_what_is_chosen_in_it() -> None:
    page = page_of()
    page.multiselect("sweep-fields").set_value(["learning_rate", "norm", "num_epochs"]).run()
    page.text_input("sweep-of-num_epochs").set_value("2").run()
    page.number_input("sweep-replicates").set_value(2).run()
    assert metrics(checked(page))["Runs"] == "12"
    assert list(page.dataframe[0].value.columns) == ["Learning rate", "Normalisation", "Random seed"]
    page.segmented_control("sweep-method").set_value("bayes").run()
    page.toggle("sweep-range-learning_rate").set_value(True).run()
    page.number_input("sweep-cap").set_value(8).run()
    assert metrics(checked(page))["Runs"] == "8"
    assert "draws the configurations as it goes" in words(page)
    assert "distribution: log_uniform_values" in words(page)
    page.toggle("sweep-early").set_value(True).run()
    assert "type: hyperband" in words(checked(page))
    assert plain("Learning rate: 0.0001 to 0.1, drawn evenly on a log scale.") in words(page)
    assert plain("Hyperband ends no run: its first milestone, epoch 3, is not before the last one, 2.") in words(page)


def test_what_the_form_cannot_mean_is_one_clear_line_by_label_and_no_start() -> None:
    page = page_of()
    for value, message in (
        ("fast, 1", "Learning rate: 'fast'"),
        ("", "Learning rate: []; expected a list"),
    ):
        checked(page.text_input("sweep-of-learning_rate").set_value(value).run())
        assert plain(message) in page.error[0].value
        assert button(page, "Start").disabled
    page.segmented_control("sweep-method").set_value("random").run()
    page.toggle("sweep-range-learning_rate").set_value(True).run()
    page.text_input("sweep-min-learning_rate").set_value("0").run()
    assert plain("Learning rate from: 0; a range on a log scale") in checked(page).error[0].value
    page.multiselect("sweep-fields").set_value([]).run()
    assert page.info[0].value == plain("Choose at least one hyperparameter.")
    assert button(page, "Start").disabled


def test_a_pasted_file_is_planned_and_a_bad_one_refused() -> None:
    page = with_file(page_of(), TEXT + "replicates: 3\nproject: mine\n")
    assert metrics(page)["Runs"] == "6"
    assert "project is for W" in words(page)
    with_file(page, TEXT.replace("learning_rate", f"'{HOSTILE}'"))
    assert "no such hyperparameter" in page.error[0].value
    assert plain(HOSTILE) in page.error[0].value
    assert button(page, "Start").disabled
    assert "There is no sweep file yet" in words(with_file(page, " "))


def test_the_example_is_one_click_and_start_runs_it(home: Path) -> None:
    page = page_of()
    click(page, "Use the example").selectbox("sweep-dataset").select("toy").run()
    assert metrics(checked(page))["Runs"] == "3"
    shown = page.code[0].value
    click(page, "Start")
    (sweep,) = sweep_folder.list_sweeps(home)
    assert page.query_params["sweep"] == sweep.id
    assert f"--id {sweep.id}" in shown
    assert sweep_folder.read_text(sweep) == sweep_folder.EXAMPLE.read_text()
    wait_until(lambda: sweep_folder.sweep_runs(sweep), 60, lambda: log.tail(sweep))
    controller.stop(sweep)
    assert sweep.state == "killed"
    assert "Resume" in labels(checked(page.run()))


def test_the_race_of_a_running_sweep(home: Path) -> None:
    page = page_of(make_sweep(home, ["finished", "running"]))
    assert page.header[0].value == "mine"
    assert "mine" in [link.proto.label for link in page.sidebar.get("page_link")]
    said = words(page)
    assert "1 finished · 1 running" in said
    assert "best so far" in said
    assert plain("learning rate 0.1") in said
    assert "with validation loss 0" in said
    assert str(page.get("progress")[0].proto.text) == "1 of 2 runs ended · about 5 s left"
    assert {"Stop all", "Start no more", "Stop this run"} <= set(labels(page))
    assert "Resume" not in labels(page)
    table = page.dataframe[0].value
    assert list(table["State"]) == ["finished", "running"]
    assert list(table["Epochs"]) == ["5 of 5", "2 of 5"]


def test_stop_asks_the_sweep_and_its_runs(home: Path) -> None:
    sweep = make_sweep(home, ["running", "running"])
    page = page_of(sweep)
    button(page, "Stop this run").click().run()
    first, second = sweep_folder.sweep_runs(sweep)
    assert (first.stop_requested(), second.stop_requested()) == (True, False)
    button(checked(page), "Stop all").click().run()
    checked(page)
    assert second.stop_requested()
    assert second.read_stop() == StopRequest(StopReason.WITH_SWEEP)
    assert button(page, "Stop all").disabled


def test_a_finished_sweep_says_what_failed_and_can_retry(home: Path) -> None:
    page = page_of(make_sweep(home, ["finished", "failed"]))
    assert "Retry 1 failed" in labels(page)
    assert list(page.dataframe[0].value["Why"])[1] == "the steps were too large"
    assert not {"Stop all", "Resume"} & set(labels(page))


def test_a_run_that_is_renamed_after_its_end_has_its_new_name_in_the_race(home: Path) -> None:
    sweep = make_sweep(home, ["finished"], name=HOSTILE)
    page = page_of(sweep)
    assert page.header[0].value == plain(HOSTILE)
    (run,) = sweep_folder.sweep_runs(sweep)
    folder.rename(run, "the one to keep")
    assert "best so far: **the one to keep**" in words(checked(page.run()))


@pytest.mark.parametrize("id", ["gone", "<img src=x>"])
def test_an_unknown_sweep_is_one_line_and_the_form(id: str) -> None:
    page = page_of(id)
    assert plain(id) in page.error[0].value
    assert button(page, "Start")


def test_a_damaged_sweep_is_one_line_and_no_form_of_a_new_one_as_with_a_run(home: Path) -> None:
    sweep = make_sweep(home, ["finished"])
    (sweep.folder / sweep_folder.SETTINGS).write_text("{")
    page = page_of(sweep)
    (said,) = [error.value for error in page.error]
    assert plain(str(sweep.folder / sweep_folder.SETTINGS)) in said
    assert labels(page) == []
    lost = page_of("lost")
    assert (len(lost.error), [each.label for each in lost.segmented_control][:1]) == (1, ["Way in"])


def test_a_ray_cluster_is_part_of_the_command_and_of_the_race_and_promises_no_time(home: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed; pip install -r requirements-ray.txt")
    page = checked(page_of().text_input("sweep-ray").set_value("10.0.0.1:6379").run())
    assert "--ray 10.0.0.1:6379" in page.get("code")[0].value
    assert list(metrics(page)) == ["Runs"]
    assert "As many at once as the cluster has room for" in words(page)
    page = checked(page.text_input("sweep-ray").set_value("http://10.0.0.1").run())
    assert plain("expected auto or HOST:PORT") in words(page)
    assert button(page, "Start").disabled
    config = TrainConfig(dataset="toy", device="cuda")
    sweep = sweep_folder.create(home, parse_spec(TEXT, config), ray="10.0.0.1:6379")
    assert f"on the Ray cluster at {plain('10.0.0.1:6379')}" in words(page_of(sweep))


def test_a_run_that_waits_on_a_cluster_is_told_no_place_in_the_line_here(home: Path) -> None:
    launch.prepare(home, toy_config(), RunRequest(id="a")).create()
    waiting = launch.prepare(home, toy_config(), RunRequest(id="b", ray="auto")).create()
    assert "waits for its turn" in words(app(waiting.id))
    waiting.set_state("pending", waits="waits for 1 free CPU of the Ray cluster at auto; goes on by itself")
    assert "waits for 1 free CPU of the Ray cluster at auto" in words(app(waiting.id))
    waiting.set_state("pending")
    assert "waits for its turn" in words(app(waiting.id))


def test_earlier_sweeps_are_listed_newest_first_and_all_when_asked_for(home: Path) -> None:
    for number in range(21):
        sweep_folder.create(
            home, parse_spec(TEXT, TrainConfig(dataset="toy")), name=f"sweep {number}", id=f"20260101-{number:06}-0"
        )
    for _ in range(2):
        folder.create(home, toy_config(), facts={"sweep": "20260101-000020-0"})
    page = page_of()
    assert list(page.dataframe[-1].value["Name"]) == [f"sweep {number}" for number in range(20, 0, -1)]
    assert list(page.dataframe[-1].value["Runs"]) == [2, *[0] * 19]
    page.toggle("all-sweeps").set_value(True).run()
    assert list(page.dataframe[-1].value["Name"])[-1] == "sweep 0"


def columns_of(table: Any) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(table.proto.columns)
    return found


def test_a_best_run_that_was_pruned_is_called_so_and_no_number_fills_the_page(home: Path) -> None:
    sweep = make_sweep(home, ["killed", "finished"], TEXT.replace("0.1, 0.01", "0.00025, 0.01"))
    first, second = sweep_folder.sweep_runs(sweep)
    first.request_stop(StopRequest(StopReason.PRUNED, "val_loss is not among the best"))
    for run, loss in ((first, 0.0000123), (second, 2.8e65)):
        folder.complete_rows(run, [row | {"val_loss": loss} for row in folder.read_rows(run)])
    page = page_of(sweep)
    assert f"best so far: **{plain('learning rate 0.00025')}** (pruned) with validation loss 1.23e-5" in words(page)
    table = page.dataframe[0]
    assert list(table.value["State"]) == ["pruned", "finished"]
    columns = columns_of(table)
    assert columns["val_loss"]["type_config"]["format"] == "%.4g"
    assert columns["val_pearsonr"]["type_config"]["format"] == "%.4f"
    assert columns["Learning rate"]["type_config"]["format"] == "%g"
    assert columns_of(page_of().dataframe[0])["Learning rate"]["type_config"]["format"] == "%g"


def test_the_best_run_of_a_listed_sweep_is_called_pruned(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = make_sweep(home, ["killed", "finished"])
    first, second = sweep_folder.sweep_runs(sweep)
    first.request_stop(StopRequest(StopReason.PRUNED, "val_loss is not among the best"))
    folder.complete_rows(second, [row | {"val_loss": 2.8e65} for row in folder.read_rows(second)])
    assert main(["sweep", "--list"]) == 0
    assert f"best run {first.id} (pruned)" in capsys.readouterr().out
    assert main(["runs", second.id]) == 0
    assert "val_loss 2.8e65  " in capsys.readouterr().out


def test_a_run_that_explodes_is_told_so_while_it_trains(home: Path) -> None:
    sweep = make_sweep(home, ["running"])
    (run,) = sweep_folder.sweep_runs(sweep)
    assert not app(run.id).warning
    folder.append_row(run, make_rows(3)[2] | {"val_loss": 2.8e65})
    page = app(run.id)
    assert "The validation loss rose to 2.8e65 in epoch 3" in page.warning[0].value
