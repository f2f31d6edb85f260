"""The lesson's sweeps are what its text says, and its page can be entered at any step."""

from pathlib import Path

import pytest
from driven import APP, button, checked, words
from streamlit.testing.v1 import AppTest

from tfbind import lesson
from tfbind.datasets import make_builtin
from tfbind.motifs import jaspar
from tfbind.sweep_spec import parse_spec


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TFBIND_HOME", str(tmp_path / "home"))
    make_builtin(tmp_path / "home", windows=60)
    return tmp_path / "home"


def page(step: str, **query: str) -> AppTest:
    test = AppTest.from_file(str(Path(APP).with_name("pages") / "lesson.py"), default_timeout=60)
    test.query_params["step"] = step
    for key, value in query.items():
        test.query_params[key] = value
    return checked(test.run())


def test_the_sweeps_are_nine_runs_and_three() -> None:
    assert parse_spec(lesson.rates_sweep(), lesson.BASE).size() == 9
    assert parse_spec(lesson.kernels_sweep(), lesson.BASE).size() == 3


def test_the_widest_first_kernel_sees_all_that_a_score_depends_on_and_the_narrowest_does_not() -> None:
    needed = lesson.needed(jaspar().width)
    assert lesson.reach(max(lesson.FIRST_KERNELS)) >= needed
    assert lesson.reach(min(lesson.FIRST_KERNELS)) < needed


def test_the_strongest_windows_come_first() -> None:
    scores = page("1").dataframe[0].value["Score"]
    assert scores[0] == max(scores)


def test_a_guess_stays_in_the_address_and_opens_the_next_step() -> None:
    first = page("2")
    assert button(first, "Next: Run three learning rates").disabled
    first.radio("lesson-guess").set_value("0.002").run()
    assert not button(first, "Next: Run three learning rates").disabled
    assert page("2", guess="0.002").radio("lesson-guess").value == "0.002"


@pytest.mark.parametrize("step", ["4", "6", "7"])
def test_a_step_without_runs_says_to_run_them_first(step: str) -> None:
    assert "First run" in words(page(step))


@pytest.mark.parametrize(("asked", "shown"), [("0", "1."), ("99", "7."), ("x", "1."), ("²", "1."), ("9" * 99, "1.")])
def test_an_address_out_of_range_shows_a_step_all_the_same(asked: str, shown: str) -> None:
    assert page(asked).header[0].value.startswith(shown)
