"""A page of which one part cannot be drawn: that part says so, the log knows why, and everything else is there."""

from pathlib import Path
from typing import Any, NoReturn

import pytest
from driven import APP, checked, click, words
from stand_in import make_pair, make_run
from streamlit.runtime.scriptrunner import RerunData, RerunException, StopException
from streamlit.testing.v1 import AppTest

from tfbind.data import import_pair
from tfbind.tracking import cache
from tfbind.tracking.cache import new_project, open_project, save_names, save_project
from ui.compare import panels as compare_panels, pull, select
from ui.data import add as data_add, detail as data_detail
from ui.lesson import steps as lesson_steps
from ui.predict import input as predict_input, model as predict_model
from ui.sweep import form as sweep_form
from ui.train import new_run, run as run_page
from ui.widgets import panels
from ui.widgets.panels import FAILED, panel
from ui.widgets.session import plain

URL, PATH = "http://127.0.0.1:9", "lab/other"
ODD_NAMES = ("lr", "LR", "lr ", " lr", "l.r", "lr\u200b", "\x1b[31mlr", "\\x1b[31mlr", "l\ud800r", "", ".", "curve")


def facts(id: str, config: dict[str, Any], summary: dict[str, Any]) -> dict[str, Any]:
    texts = {"id": id, "name": id, "state": "finished", "created": "2026-05-01T10:00:00Z"}
    return {**texts, "config": config, "summary": summary, "tags": [], "sweep": None, "group": None, "note": None}


@pytest.fixture
def kept(home: Path) -> Path:
    """Two runs of this home, and two of W&B whose settings are logged with every row, too."""
    for seed in range(2):
        make_run(home, "finished", id=f"local-{seed}")
    others = {f"other-{name}": 0.5 for name in range(400)}
    odd = dict.fromkeys(ODD_NAMES, 0.1)
    runs = {
        id: facts(id, {**odd, "lr": rate, **others}, {"epoch": 3, "val_pearsonr": 0.5, **odd, "lr": rate})
        for id, rate in (("theirs-1", 0.1), ("theirs-2", 0.2))
    }
    project = new_project(home, URL, PATH)
    save_project(project.__class__(project.folder, PATH, URL, "wandb", {"": "2026-05-01"}, runs))
    return home


def compare() -> AppTest:
    page = AppTest.from_file(APP, default_timeout=60).switch_page("pages/compare.py").run()
    assert not page.exception, page.exception
    return page


def failures(page: AppTest) -> list[str]:
    return [error.value for error in page.error if FAILED in error.value]


@pytest.mark.usefixtures("kept")
def test_a_name_that_is_a_setting_and_a_metric_is_asked_for_once() -> None:
    page = checked(compare())
    assert len(page.dataframe[0].value) == 4
    assert {"theirs-1", "theirs-2"} < set(page.dataframe[0].value["name"])
    assert "Verdict" in words(page)
    asked = [box for box in page.selectbox if (box.key or "").startswith("name-")]
    labels = [box.label for box in asked]
    assert labels.count("lr") == 1
    assert len(set(labels)) == len(labels)
    assert asked[0].value == "learning_rate"  # what has a likely meaning comes first
    assert len(asked) == pull.MOST_NAMES
    assert "30 of 412 names" in words(page)


def test_names_that_the_form_does_not_ask_for_keep_their_meaning(kept: Path) -> None:
    project = open_project(kept, URL, PATH)
    assert project is not None
    many = {f"other-{number}": "" for number in range(400)} | {"lr": "learning_rate"}
    save_names(project, {**many, "other-399": "val_loss"})
    page = checked(compare())
    click(page, "Save names")
    assert project.names == {"lr": "learning_rate", "other-399": "val_loss"}


def test_a_setting_called_as_the_sparklines_are_has_a_column_of_its_own(kept: Path) -> None:
    project = open_project(kept, URL, PATH)
    assert project is not None
    for number, one in enumerate(project.runs.values()):
        one["config"]["curve"] = number
    save_project(project)
    shown = checked(compare()).dataframe[0].value
    assert sorted(shown["curve"].dropna()) == [0, 1]
    assert len(shown["curve "].iloc[-1]) in (0, 5)


def fail(*_: Any, **__: Any) -> NoReturn:
    raise KeyError("planted \x1b]52;c;aGk=\x07 \u202e")


PANELS = (
    "ranking_figure",
    "compare_baselines_by_data",
    "learning_curves",
    "setting_columns",
    "differing",
    "export_comparison",
)


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(panels._LOG, "error", lambda form, *values: said.append(form % values))
    return said


@pytest.mark.usefixtures("kept")
def test_panels_that_fail_leave_table_and_verdict(monkeypatch: pytest.MonkeyPatch, logged: list[str]) -> None:
    for name in PANELS:
        monkeypatch.setattr(compare_panels, name, fail)
    page = compare()
    assert {"theirs-1", "theirs-2"} < set(page.dataframe[0].value["name"])
    assert len(page.dataframe[0].value) == 4
    assert "Verdict" in words(page)
    messages = failures(page)
    assert len(messages) == len(PANELS), messages  # one each
    for message in messages:
        assert len(message.splitlines()) == 1
        assert plain("KeyError: 'planted") in message
        assert "the log has the details" in message
    assert all("Traceback" in text and "planted" in text for text in logged)
    assert not any(sign in text for text in (*logged, *messages) for sign in "\x1b\x07\u202e")


@pytest.mark.usefixtures("kept")
def test_where_runs_from_elsewhere_cannot_be_read_those_of_this_home_are_judged(
    monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    monkeypatch.setattr(cache, "projects", fail)
    page = compare()
    assert set(page.dataframe[0].value["name"]).isdisjoint({"theirs-1", "theirs-2"})
    assert len(page.dataframe[0].value) == 2
    assert "Verdict" in words(page)
    assert failures(page)
    assert logged


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(("place", "name"), [(select, "table"), (compare_panels, "judge")])
def test_without_its_table_or_its_verdict_the_page_shows_the_rest(
    place: Any, name: str, monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    monkeypatch.setattr(place, name, fail)
    page = compare()
    shown = words(page)
    assert "Learning curves" in shown
    assert "Settings" in shown
    assert failures(page)
    assert logged


@pytest.mark.parametrize("leaving", [StopException(), RerunException(RerunData())])
def test_what_ends_or_repeats_a_page_passes_through(leaving: BaseException) -> None:
    with pytest.raises(type(leaving)), panel("any"):
        raise leaving


@pytest.mark.usefixtures("logged")
@pytest.mark.parametrize(
    ("page", "failing", "left"),
    [
        ("train", (new_run, ("estimate_run", "number_column")), "What Start executes"),
        ("data", (data_add, ("_pair",)), "A genome and a motif"),
        ("data", (data_detail, ("_figures", "_scores")), "Train on it"),
        ("predict", (predict_model, ("_choose_other",)), "Paste DNA here"),
        ("predict", (predict_input, ("_draw_windows",)), "Call sites from"),
        ("sweep", (sweep_form, ("_show_plan", "_list_sweeps")), "What Start executes"),
        ("lesson", (lesson_steps, ("make_builtin",)), "Next: Guess"),
    ],
)
def test_a_part_that_fails_leaves_the_rest_of_each_page(
    page: str,
    failing: tuple[Any, tuple[str, ...]],
    left: str,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_run(home, "finished")
    import_pair(home, *make_pair(tmp_path), "small")
    module, names = failing
    for name in names:
        monkeypatch.setattr(module, name, fail)
    test = AppTest.from_file(APP, default_timeout=60)
    if page == "data":
        test.query_params["data"] = "small"
    shown = test.switch_page(f"pages/{page}.py").run()
    assert not shown.exception, shown.exception
    assert len(failures(shown)) == len(names)
    texts = [words(shown), *(box.label for box in (*shown.button, *shown.number_input, *shown.tabs))]
    assert any(left in text for text in (*texts, *(box.placeholder for box in shown.text_area)))


@pytest.mark.usefixtures("logged")
def test_curves_and_buttons_that_fail_leave_the_rest_of_a_run(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(home, "finished")
    for name in ("_charts", "actions", "wandb_note"):
        monkeypatch.setattr(run_page, name, fail)
    test = AppTest.from_file(APP, default_timeout=60)
    test.query_params["run"] = run.id
    shown = test.run()
    assert len(failures(shown)) == 3
    assert "best epoch" in words(shown)
