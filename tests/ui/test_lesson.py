"""The lesson's sweeps are what its text says, and its page can be entered at any step."""

from pathlib import Path

import pytest
from driven import app, button, checked, words
from stand_in import make_rows
from streamlit.testing.v1 import AppTest

from tfbind.data.dataset import make_builtin
from tfbind.motifs.pwm import jaspar_motif
from tfbind.runs import folder, launch
from tfbind.runs.worker import Worker
from tfbind.sweeps import sweep_folder
from tfbind.sweeps.spec import parse_spec
from ui import lesson
from ui.widgets.session import plain


@pytest.fixture(autouse=True)
def home(home: Path) -> Path:
    make_builtin(home, windows=60)
    return home


def page(step: str, **query: str) -> AppTest:
    test = app()
    test.query_params["step"] = step
    for key, value in query.items():
        test.query_params[key] = value
    return checked(test.switch_page("pages/lesson.py").run())


def test_the_sweeps_are_nine_runs_and_three() -> None:
    assert parse_spec(lesson.rates_sweep(), lesson.BASE).size() == 9
    assert parse_spec(lesson.kernels_sweep(), lesson.BASE).size() == 3


def test_the_widest_first_kernel_sees_all_that_a_score_depends_on_and_the_narrowest_does_not() -> None:
    needed = lesson.needed(jaspar_motif().width)
    assert lesson.reach(max(lesson.FIRST_KERNELS)) >= needed
    assert lesson.reach(min(lesson.FIRST_KERNELS)) < needed


def test_the_strongest_windows_come_first() -> None:
    first = page("1")
    table = first.dataframe[0].value
    assert table["Score"][0] == max(table["Score"])
    assert f"the closer to {table['Letters'][0]}, the higher" in words(first)


def test_a_guess_stays_in_the_address_and_opens_the_next_step() -> None:
    first = page("2")
    assert button(first, "Next: Run three learning rates").disabled
    first.radio("lesson-guess").set_value("0.002").run()
    assert not button(first, "Next: Run three learning rates").disabled
    assert page("2", guess="0.002").radio("lesson-guess").value == "0.002"


@pytest.mark.parametrize("step", ["4", "7"])
def test_a_step_without_runs_says_to_run_them_first(step: str) -> None:
    assert "First run" in words(page(step))


def make_rates_sweep(home: Path, killed: tuple[float, int] | None = None) -> None:
    """The first sweep of the lesson, run: the higher the rate, the better; that of one rate and seed was killed."""
    sweep = sweep_folder.create(home, parse_spec(lesson.rates_sweep(), lesson.BASE))
    for config in parse_spec(lesson.rates_sweep(), lesson.BASE).grid():
        run = folder.create(home, config, facts={"sweep": sweep.id})
        reached = {"val_pearsonr": 0.9 - lesson.RATES.index(config.learning_rate) / 5 + config.seed / 1000}
        folder.append_row(run, make_rows(1)[0] | reached)
        run.set_state("killed" if (config.learning_rate, config.seed) == killed else "finished")


def test_the_verdict_is_in_the_words_of_the_lesson(home: Path) -> None:
    make_rates_sweep(home)
    said = words(page("4"))
    assert plain("Learning rate 0.02 wins: Pearson r 0.9010") in said
    assert plain(". Learning rate 0.0002 is worse, p") in said
    assert "val_" not in said.replace("\\", "")


def test_a_run_that_was_stopped_leaves_its_rate_without_a_call(home: Path) -> None:
    make_rates_sweep(home, killed=(lesson.RATES[1], 0))
    said = words(page("4"))
    assert plain("learning rate 0.002 (1 of 3 runs ended early)") in said
    assert plain("Learning rate 0.002 is worse") not in said
    assert plain("Learning rate 0.0002 is worse") in said


def test_pasted_dna_is_read_as_on_the_predict_page(home: Path) -> None:
    sweep = sweep_folder.create(home, parse_spec(lesson.kernels_sweep(), lesson.BASE))
    config = next(iter(parse_spec(lesson.kernels_sweep(), lesson.BASE).grid()))
    run = launch.prepare(
        home, config.model_copy(update={"num_epochs": 1}), launch.RunRequest(sweep=sweep.id)
    ).create()
    assert Worker(run).work() == "finished"
    step = page("7")
    assert "with a first kernel of 3 bases" in words(step)
    step.text_input("lesson-dna").set_value("ACGURACGTACGT").run()
    said = words(checked(step))
    assert plain("1 U read as T; 1 letter (R) read as N") in said
    assert "nats above background" in said
    step.text_input("lesson-dna").set_value("A" * 2001).run()
    assert plain("at most 1 record and 2,000 bases in all") in words(checked(step))
    step.text_input("lesson-dna").set_value("ACGTX").run()
    assert plain("letter 'X' at position 5") in words(checked(step))


@pytest.mark.parametrize(("asked", "shown"), [("99", "7."), ("²", "1.")])
def test_an_address_out_of_range_shows_a_step_all_the_same(asked: str, shown: str) -> None:
    assert page(asked).header[0].value.startswith(shown)
