"""The Train page and the side bar as Streamlit runs them: empty home, filled home, Start, bad input, hostile text."""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from driven import app, button, checked, click, labels, words
from stand_in import CONFIG, crash, make_pair, make_run, report_progress, write_validation
from streamlit.testing.v1 import AppTest

from tfbind.config import PRESETS, TrainConfig
from tfbind.data.dataset import import_pair, open_dataset
from tfbind.nn.weight_files import pack
from tfbind.runs import Run, folder, log
from tfbind.scoring.model import BUILTIN_FOLDER
from tfbind.store import GRACE_SECONDS
from tfbind.store.schema import read_json, write_json
from ui.widgets.cache import choices
from ui.widgets.session import plain

pytestmark = pytest.mark.usefixtures("home")

HOSTILE = "**B** <img src=x> ![i](http://evil) :material/home: $x$"


@pytest.fixture
def small(home: Path, tmp_path: Path) -> str:
    """A data set of 40 windows of 30 bases in the home."""
    return import_pair(home, *make_pair(tmp_path), "small").name


@pytest.fixture(autouse=True)
def ended(home: Path) -> Iterator[None]:
    """Ends the workers that a test started."""
    yield
    for run in folder.list_runs(home):
        status = run.status()
        if status.active and status.pid != os.getpid():
            with contextlib.suppress(ValueError):  # it has just ended
                run.stop(grace=5)


@pytest.fixture
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A press of Start makes a run, and no process begins to work on it."""
    monkeypatch.setattr(Run, "spawn", lambda *_: None)


def progress(page: AppTest) -> str:
    return str(page.get("progress")[0].proto.text)


# Train, before a run


def test_empty_home_says_what_start_does() -> None:
    page = app()
    shown = {metric.label: metric.value for metric in page.metric}
    assert shown["Training windows"] == "9,600"
    assert shown["Receptive field"] == "31 bases"
    assert shown["Parameters"] == "22,753"
    assert shown["Takes about"].endswith(" s")
    assert "rough" in words(page)
    assert "GB of disk free" in words(page)
    assert "train --dataset builtin" in page.code[0].value
    assert "None yet" in words(page)
    assert not button(page, "Start").disabled


def test_every_field_has_a_widget_with_its_help() -> None:
    page = app()
    helps = [w.help for kind in (page.selectbox, page.number_input, page.text_input) for w in kind if w.help]
    assert len(helps) == len(TrainConfig.model_fields)
    for field, info in TrainConfig.model_fields.items():
        assert any(info.description in help for help in helps), field


def chosen_preset(page: AppTest) -> list[str]:
    return [name for name in PRESETS if page.button(key=f"preset-{name}").proto.icon]


def test_presets_fill_the_form_and_a_changed_field_belongs_to_none() -> None:
    page = app()
    for name in ("seed", "quick", "recommended"):
        page.button(key=f"preset-{name}").click().run()
        assert page.text_input("config-learning_rate").value == f"{PRESETS[name].learning_rate:g}"
        assert page.number_input("config-num_epochs").value == PRESETS[name].num_epochs
        assert chosen_preset(page) == [name]
    page.number_input("config-num_epochs").set_value(7).run()
    assert chosen_preset(page) == []
    assert "--num-epochs 7" in page.code[0].value


def test_a_bad_field_is_one_clear_line_and_no_start() -> None:
    for kind, field, value, message in (
        ("text_input", "learning_rate", "fast", "Learning rate: 'fast'"),
        ("text_input", "dropout_rate", "2", "Dropout rate: '2'"),
        ("number_input", "kernel_size", 4, "odd"),
    ):
        page = app()
        checked(getattr(page, kind)(f"config-{field}").set_value(value).run())
        (error,) = page.error
        assert plain(message) in error.value
        assert "\n" not in error.value
        assert button(page, "Start").disabled


def test_start_executes_the_command_that_was_shown(small: str, home: Path) -> None:
    page = app()
    page.selectbox("config-dataset").select(small).run()
    page.number_input("config-num_epochs").set_value(1).run()
    shown = page.code[0].value
    click(page, "Start")
    (run,) = folder.list_runs(home)
    assert page.query_params["run"] == run.id
    assert f"--id {run.id}" in shown
    assert f"--dataset {small}" in shown
    assert folder.read_config(run).num_epochs == 1
    assert run.wait_for_end(240)
    assert run.state == "finished"


@pytest.mark.usefixtures("no_worker")
def test_a_second_click_on_start_opens_the_same_run_and_another_tab_makes_another(small: str, home: Path) -> None:
    """Both clicks of a double click carry the id that was drawn with the button."""
    first, second, other = app(), app(), app()
    id = second.session_state["next_run_id"]
    first.session_state["next_run_id"] = id
    for page in (first, second, other):
        checked(page.selectbox("config-dataset").select(small).run())
        button(page, "Start").click()
    for page, count in ((first, 1), (second, 1), (other, 2)):
        checked(page.run())
        assert len(folder.list_runs(home)) == count
    assert second.query_params["run"] == id


def test_a_data_set_that_cannot_be_split_is_one_line(small: str, home: Path) -> None:
    page = app()
    page.selectbox("config-dataset").select(small).run()
    page.text_input("config-validation_split").set_value("0.01").run()
    checked(page)
    assert button(page, "Start").disabled
    assert [plain("Validation split 0.01 of 40 windows") in error.value for error in page.error] == [True]
    page.text_input("config-test_split").set_value("0.01").run()
    assert plain("Validation split 0.01, Test split 0.01 of 40 windows") in page.error[0].value
    assert folder.list_runs(home) == []


def test_earlier_runs_are_listed_newest_first_and_all_when_asked_for(home: Path) -> None:
    for number in range(20):
        make_run(home, "finished", 3, id=f"old{number:02}", name="older")
    make_run(home, "finished", 4, id="young", name="newer")
    page = app()
    assert list(page.dataframe[0].value["Name"]) == ["newer", *["older"] * 19]
    assert list(page.dataframe[0].value["Epochs"])[:2] == ["4 of 5", "3 of 5"]
    page.toggle("all-runs").set_value(True).run()
    assert len(page.dataframe[0].value) == 21


# Train, a run


@pytest.mark.parametrize("id", ["gone", "../../etc", "x" * 500, "<img src=x>"])
def test_unknown_run_is_one_line_and_the_form(id: str) -> None:
    page = app(id)
    assert len(page.error) == 1
    assert plain(id[:20]) in page.error[0].value
    assert button(page, "Start")


def test_running(home: Path) -> None:
    run = make_run(home, "running", 2, name="mine")
    report_progress(run, 3, 37)
    page = app(run.id)
    assert page.header[0].value == "mine"
    assert progress(page) == "Epoch 3 of 5 · batch 37 of 150 · 1,210 windows a second · 41 s left"
    assert "CPU, 2 threads" in words(page)
    assert {"Stop", "Clone"} <= set(labels(page))
    assert not {"Resume", "Move to trash"} & set(labels(page))
    click(page, "Stop")
    assert run.stop_requested()
    assert button(page, "Stop").disabled
    assert "Force stop" not in labels(page)
    past = time.time() - GRACE_SECONDS - 1
    os.utime(run.stop_file, (past, past))
    assert "Force stop" in labels(app(run.id))


def test_running_before_the_first_batch(home: Path) -> None:
    run = make_run(home, "running", 0)
    assert progress(app(run.id)) == "Starting: loading the data set"
    report_progress(run, 1, 0, speed=None)
    assert progress(app(run.id)).startswith("Starting: the first batch")


def test_pending_says_how_many_are_before_it(home: Path) -> None:
    make_run(home, "running", 1, id="a")
    waiting = make_run(home, "pending", 0, id="b")
    page = app(waiting.id)
    assert "1 before you" in words(page)
    click(page, "Cancel")
    assert waiting.stop_requested()


def test_failed_shows_why_and_the_log(home: Path) -> None:
    run = make_run(home, "failed", 2, error="train_loss became nan in epoch 3", reason="diverged")
    (run.folder / folder.LOG).write_text("first\nlast line\n")
    log.note(run, "failed: train_loss became nan", state="failed")
    page = app(run.id)
    assert plain("train_loss became nan") in page.error[0].value
    assert "Resume would only repeat it" in page.error[0].value
    assert not page.info
    assert re.fullmatch(r"first\nlast line\n[-\d]+ [:\d]+ INFO failed: train_loss became nan", page.code[0].value)
    assert "Resume" in labels(page)


def test_crashed_shows_the_log_blames_no_setting_and_says_where_resume_goes_on(home: Path) -> None:
    run = make_run(home, "running", 2)
    (run.folder / folder.LOG).write_text("Killed\n")
    crash(run)
    page = app(run.id)
    assert "crashed" in words(page)
    assert "Killed" in page.code[0].value
    assert not page.info
    (error,) = page.error
    assert "killed from outside" in error.value
    assert error.value.endswith(plain("Resume goes on after epoch 2."))


def test_finished_shows_windows_and_a_hint(small: str, home: Path) -> None:
    run = make_run(home, "finished", 5, config=CONFIG.model_copy(update={"dataset": small}))
    write_validation(run, np.asarray(open_dataset(home, small).scores))
    page = app(run.id)
    assert len(page.get("plotly_chart")) == 2
    assert "1 it is undefined" in words(page)
    assert "still falling" in page.info[0].value
    assert "Resume" not in labels(page)


def test_finished_without_its_data_says_so(home: Path) -> None:
    run = make_run(home, "finished", 5, config=CONFIG.model_copy(update={"dataset": "gone"}))
    write_validation(run, np.zeros((10, 30)))
    assert plain("data set 'gone': not found") in app(run.id).warning[0].value


def test_finished_with_other_data_under_the_same_name_says_so(small: str, home: Path) -> None:
    config = CONFIG.model_copy(update={"dataset": small})
    run = make_run(home, "finished", 5, config=config, dataset_hash="other")
    write_validation(run, np.zeros((10, 30)))
    assert "has changed" in app(run.id).warning[0].value


def test_clone_fills_the_form_and_says_that_the_data_are_missing(home: Path) -> None:
    changes = {"num_epochs": 9, "optimizer_type": "SGD", "learning_rate": 0.3, "dataset": "gone"}
    page = click(app(make_run(home, "finished", 5, config=CONFIG.model_copy(update=changes)).id), "Clone")
    assert page.number_input("config-num_epochs").value == 9
    assert page.selectbox("config-optimizer_type").value == "SGD"
    assert page.text_input("config-learning_rate").value == "0.3"
    assert "not on this disk" in page.warning[0].value


@pytest.mark.usefixtures("no_worker")
def test_more_epochs_start_from_the_best_weights_and_are_logged_as_the_run_was(small: str, home: Path) -> None:
    run = make_run(home, "finished", 5, config=CONFIG.model_copy(update={"dataset": small}), name="mother")
    (run.folder / folder.BEST).write_bytes(pack({"first": np.ones(4, np.float32)}, {}))
    page = app(run.id)
    assert "--wandb" not in words(page)
    page.number_input("more-epochs").set_value(2).run()
    click(page, "Start")
    (child,) = [other for other in folder.list_runs(home) if other != run]
    assert folder.read_record(child)["from"] == run.id
    assert folder.read_config(child).num_epochs == 2
    assert folder.read_labels(child)["name"] == "mother + 2 epochs"
    assert page.query_params["run"] == child.id
    write_json(run.folder / folder.CONFIG, read_json(run.folder / folder.CONFIG) | {"wandb": "offline"})
    (command,) = [code.value for code in app(run.id).code if f"--from {run.id}" in code.value]
    assert "--wandb offline" in command


def test_a_damaged_run_that_is_active_leaves_every_page_usable(home: Path) -> None:
    run = folder.create(home, CONFIG, id="active")
    (run.folder / folder.LABELS).write_text("{")
    page = app()
    assert "Train a model" in words(page)
    assert "active" in page.sidebar.get("page_link")[0].proto.label


@pytest.mark.parametrize("file", [folder.CONFIG, folder.LABELS, folder.METRICS])
def test_a_damaged_run_is_one_line_and_hides_no_other(home: Path, file: str) -> None:
    good, bad = make_run(home, "finished", 5, name="good"), make_run(home, "finished", 5, name="bad")
    (bad.folder / file).write_text("{\n")
    table = app().dataframe[0].value
    assert sorted(name.split(":")[0] for name in table["Name"]) == ["damaged", "good"]
    assert "damaged" in app(bad.id).error[0].value
    assert not app(good.id).error


def test_rename_and_delete_which_moves_to_the_trash(home: Path) -> None:
    run = make_run(home, "finished", 5)
    page = app(run.id)
    page.text_input(f"name-{run.id}").set_value("better")
    assert click(page, "Save").header[0].value == "better"
    page.text_input(f"name-{run.id}").set_value("  ")
    assert len(click(page, "Save").error) == 1
    assert folder.read_labels(run)["name"] == "better"
    click(page, "Move to trash")
    assert folder.list_runs(home) == []
    assert (home / "trash" / run.id).is_dir()
    assert button(page, "Start")


# Every page


def test_side_bar_lists_active_runs(home: Path) -> None:
    report_progress(make_run(home, "running", 2, name="job one"), 3, 10)
    make_run(home, "pending", 0, name="job two")
    make_run(home, "finished", 5, name="job three")
    shown = [link.proto.label for link in app().sidebar.get("page_link")]
    assert shown == ["3/5 · job one", "waits · job two"]


def test_names_are_shown_as_they_were_written(home: Path) -> None:
    page = app(make_run(home, "running", 2, name=HOSTILE).id)
    assert page.header[0].value == plain(HOSTILE)
    assert plain("**B** <img src=x>") in page.sidebar.get("page_link")[0].proto.label  # where it is cut off


def test_the_plan_counts_the_windows_of_each_part_and_finds_leaks(small: str) -> None:
    page = app()
    page.selectbox("config-dataset").set_value(small)
    page.text_input("config-test_split").set_value("0.25").run()
    assert {metric.label: metric.value for metric in page.metric}["Training windows"] == "22"
    assert "judged on 8 other windows of 30 bases · 10 stay sealed for a test" in words(page)
    assert "Leaks: " in words(click(page, "Check for leaks"))
    page.number_input("config-seed").set_value(3).run()
    assert "Leaks: " not in words(page)


def test_a_run_that_stopped_early_says_why_it_has_fewer_epochs(home: Path) -> None:
    run = make_run(home, "finished", 4)
    assert "stopped early, after 10 without a lower validation loss" in words(app(run.id))
    whole = make_run(home, "finished", 5)
    assert "stopped early" not in words(app(whole.id))


@pytest.mark.parametrize(("epochs", "kept"), [(0, False), (2, True)])
def test_a_stopped_run_is_called_so_and_scores_dna_where_an_epoch_was_finished(
    home: Path, epochs: int, kept: bool
) -> None:
    run = make_run(home, "killed", epochs)
    if kept:
        shutil.copy(BUILTIN_FOLDER / "seed0.safetensors", run.folder / "best.safetensors")
    page = app(run.id)
    badge = next(text for text in page.markdown if "badge" in text.value)
    assert "[stopped]" in badge.value
    assert ("The weights of its best epoch are kept." in badge.proto.help) == kept
    assert ("Score DNA" in labels(page)) == kept
    assert (run.id in choices(home)) == kept
    assert app().dataframe[0].value["State"].tolist() == ["stopped"]
