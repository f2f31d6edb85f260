"""What a refresh brings back on the Predict page beside the text: models, strand, threshold, record."""

import re
import shutil
from pathlib import Path

import pytest
from driven import APP, button, checked, words
from streamlit.testing.v1 import AppTest
from test_model_choice import fixed_length, models
from test_predict_page import SITE, drawn, predict, read, wait_for

from tfbind.dna.codes import encode
from tfbind.scoring import jobs
from tfbind.variants.edits import substitution
from ui.widgets import url_state
from ui.widgets.url_state import KEPT_MB

pytestmark = pytest.mark.usefixtures("home")

RECORDS = f">first\n{SITE}\n>second\n{SITE[::-1]}\n>third\nACGTACGT\n"


def opened(**parameters: str) -> AppTest:
    """The page as a browser opens it by an address."""
    page = AppTest.from_file(APP, default_timeout=60)
    for name, value in parameters.items():
        page.query_params[name] = value
    return checked(checked(page.run()).switch_page("pages/predict.py").run())


def address(page: AppTest) -> dict[str, str]:
    return {name: value[0] if isinstance(value, list) else value for name, value in page.query_params.items()}


def warnings(page: AppTest) -> list[str]:
    return [warning.value.replace("\\", "").replace("\u2060", "") for warning in page.warning]


def choose(page: AppTest, record: int) -> AppTest:
    page.session_state["records"] = {"selection": {"rows": [record], "columns": [], "cells": []}}
    return checked(page.run())


def test_every_setting_comes_back_by_the_address_and_the_dna_is_not_in_it(home: Path) -> None:
    one, two = models(home, "one", "two")
    page = predict(RECORDS)
    assert set(address(page)) == {"q"}
    page.selectbox(key="model").set_value(one)
    page.selectbox(key="compare-with").set_value(two)
    page.selectbox(key="strand").set_value("both")
    page.number_input(key="threshold").set_value(2.25)
    page.checkbox(key="show-reverse").set_value(True)
    page = choose(checked(page.run()), 1)
    told = address(page)
    assert told | {"q": ""} == {
        "q": "",
        "model": one,
        "with": two,
        "strand": "both",
        "from": "2.25",
        "reverse": "1",
        "record": "2",
    }
    again = opened(**told)
    assert again.text_area[0].value == RECORDS
    assert [again.selectbox(key=key).value for key in ("model", "compare-with", "strand")] == [one, two, "both"]
    assert again.number_input(key="threshold").value == 2.25
    assert again.checkbox(key="show-reverse").value
    assert again.subheader[0].value == "second"
    assert {"other strand", "two (Pearson 0.832)"} <= drawn(again)
    assert address(again) == told
    assert warnings(again) == []


def defaults(page: AppTest) -> list[object]:
    """What a browser shows of a control that it draws anew: one whose first run was interrupted by a press."""
    keys = [("model", page.selectbox), ("compare-with", page.selectbox), ("strand", page.selectbox)]
    chosen = [controls(key=key).options[controls(key=key).proto.default] for key, controls in keys]
    return [
        *chosen,
        page.number_input(key="threshold").proto.default,
        page.checkbox(key="show-reverse").proto.default,
    ]


def test_whatever_run_draws_a_control_first_it_shows_the_value_that_counts(home: Path) -> None:
    one, two = models(home, "one", "two")
    usual = ["Built-in model: FOXA1", "nothing", "forward", 2.183, False]
    page = predict()
    assert defaults(page) == usual
    assert defaults(checked(page.run())) == usual
    page = opened(**{"model": one, "with": two, "strand": "both", "from": "2.5", "reverse": "1"})
    kept = ["one (Pearson 0.832)", "two (Pearson 0.832)", "both", 2.5, True]
    assert defaults(page) == kept
    assert defaults(checked(page.run())) == kept


def test_an_average_and_the_filling_up_with_n_come_back(home: Path) -> None:
    one, two, fixed = *models(home, "one", "two"), fixed_length(home, "fixed")
    page = predict(SITE)
    checked(page.selectbox(key="model").set_value("average").run())
    checked(page.multiselect(key="average").set_value([one, two]).run())
    again = opened(**address(page))
    assert again.multiselect(key="average").value == [one, two]
    assert "± 1 sd" in drawn(again)
    checked(again.selectbox(key="model").set_value(fixed).run())
    assert set(address(again)) == {"q", "model"}
    checked(again.checkbox(key="pad").set_value(True).run())
    assert not opened(**address(again)).error


def test_settings_are_there_after_a_visit_to_another_page(home: Path) -> None:
    (one,) = models(home, "one")
    page = choose(predict(RECORDS), 1)
    page.selectbox(key="model").set_value(one)
    checked(page.number_input(key="threshold").set_value(2.5).run())
    checked(page.switch_page("pages/data.py").run())
    checked(page.switch_page("pages/predict.py").run())
    assert (page.selectbox(key="model").value, page.number_input(key="threshold").value) == (one, 2.5)
    assert page.subheader[0].value == "second"


def test_models_that_are_gone_are_named_in_a_line_each_and_the_usual_ones_are_taken(home: Path) -> None:
    one, two = models(home, "one", "two")
    page = predict(SITE)
    page.selectbox(key="model").set_value(one)
    page = checked(page.selectbox(key="compare-with").set_value(two).run())
    told = address(page)
    for run in (one, two):
        shutil.rmtree(home / "runs" / run)
    said = [
        f"The model {one} is not here any more: Built-in model: FOXA1 is chosen.",
        f"{two} is not drawn over it: it is the model itself, or not here any more.",
    ]
    for shown in (opened(**told), checked(page.run())):  # by an address, and under a page that is open
        assert warnings(shown) == said
        assert shown.selectbox(key="model").value == "builtin"
        assert shown.selectbox(key="compare-with").value == "nothing"
        assert set(address(shown)) == {"q"}
        assert warnings(checked(shown.run())) == []


@pytest.mark.parametrize(
    ("parameter", "value", "said"),
    [
        ("strand", "reverse", "reverse is no strand: forward is chosen."),
        ("from", "abc", "abc is no score of 0.1 or more: sites are called from 2.183."),
        ("from", "nan", "nan is no score of 0.1 or more: sites are called from 2.183."),
        ("from", "-1", "-1 is no score of 0.1 or more: sites are called from 2.183."),
        ("record", "4", "Record 4 is not among these 3: one that can be scored is opened."),
        ("record", "0000000002", "Record 0000000002 is not among these 3: one that can be scored is opened."),
        ("average", "gone,builtin", "The model gone is not here any more: choose anew."),
        ("model", "**x**", "The model **x** is not here any more: Built-in model: FOXA1 is chosen."),
        ("reverse", "yes", "yes in the address is neither 1 nor nothing: nothing is taken."),
    ],
)
def test_what_an_address_cannot_mean_is_one_line_and_the_usual_is_taken(
    home: Path, parameter: str, value: str, said: str
) -> None:
    models(home, "one")
    settings = {parameter: value} | ({"model": "average"} if parameter == "average" else {})
    page = opened(q=url_state.save(home, RECORDS), **settings)
    assert warnings(page) == [said]
    assert parameter not in address(page)
    assert parameter == "average" or page.subheader[0].value == "first"


def test_the_usual_record_is_selected_follows_the_model_and_gives_way_to_a_chosen_one(home: Path) -> None:
    fixed = fixed_length(home, "fixed")
    page = predict(f">short\n{SITE}\n>long\n{SITE}{SITE}\n>longer\n{SITE}{SITE}A\n")
    assert page.session_state["records"]["selection"]["rows"] == [0]
    checked(page.selectbox(key="model").set_value(fixed).run())
    assert page.session_state["records"]["selection"]["rows"] == [1]
    assert page.subheader[0].value == "long"
    page = choose(page, 2)
    checked(page.selectbox(key="model").set_value("builtin").run())
    assert page.subheader[0].value == "longer"


def test_a_chosen_record_is_forgotten_with_its_list() -> None:
    page = choose(predict(RECORDS), 1)
    assert "record" in address(page)
    checked(page.text_area[0].set_value(f">x\n{SITE}\n>y\n{SITE}\n").run())
    assert page.subheader[0].value == "x"
    assert "record" not in address(page)
    page = choose(page, 1)
    checked(button(page, "Clear").click().run())
    checked(page.text_area[0].set_value(SITE).run())
    assert "1 site" in words(page)
    assert "record" not in address(page)
    assert "sequence_1" in read(page)


def test_changes_of_several_records_come_back_and_the_dna_is_not_in_the_address() -> None:
    page = predict(RECORDS)
    checked(page.text_input(key="variant").set_value("41 T>C").run())
    checked(page.text_input(key="variant").set_value("2 CATC>C").run())
    page = choose(page, 2)
    checked(page.text_input(key="variant").set_value("third:3 G>GGTT").run())
    said = "Changed: 3 G>GGTT."
    assert said in read(page)
    told = address(page)
    assert set(told) == {"q", "e", "record"}
    assert re.fullmatch("[0-9a-f]{16}", told["e"])
    again = opened(**told)
    assert said in read(again)
    assert "ACGGTTTACGT" in [block.value for block in again.code]
    again = choose(again, 0)
    first = read(again)
    assert "Changed: 41 T>C, " in first
    checked(button(again, "Undo").click().run())
    checked(button(again, "Undo").click().run())
    once_more = choose(opened(**address(again)), 0)
    assert "Changed:" not in read(once_more)
    assert "1 site" in words(once_more)


def test_a_variant_in_brackets_that_was_undone_stays_undone() -> None:
    page = predict(f"{SITE[:40]}[T/C]{SITE[41:]}")
    assert "Changed: 41 T>C." in read(page)
    checked(button(page, "Undo").click().run())
    again = opened(**address(page))
    assert again.text_area[0].value == f"{SITE[:40]}[T/C]{SITE[41:]}"
    assert "Changed:" not in read(again)


def test_changes_that_cannot_be_read_are_one_line(home: Path) -> None:
    page = opened(q=url_state.save(home, SITE), e=url_state.save(home, SITE))
    assert warnings(page) == ["The changes that were made to the DNA before the refresh cannot be read."]
    assert "1 site" in words(page)


def test_changes_that_do_not_fit_their_record_are_one_line(home: Path) -> None:
    page = predict(SITE)
    checked(page.text_input(key="variant").set_value("41 T>C").run())
    kept = home / "queries" / f"{address(page)['e']}.txt"
    kept.write_text(kept.read_text().replace("[40,", "[41,"))
    again = opened(**address(page))
    assert warnings(again) == ["The changes that were made to the DNA before the refresh cannot be read."]
    assert "Changed:" not in read(again)
    checked(again.text_input(key="variant").set_value("41 T>C").run())
    assert "Changed: 41 T>C." in read(again)


def test_text_and_changes_are_kept_by_the_next_run_where_another_press_cut_off_the_one_that_kept_them() -> None:
    page = opened()
    page.session_state["dna"] = f">a\n{SITE}\n"  # as a callback leaves it that was interrupted
    page = checked(page.run())
    assert read(opened(q=address(page)["q"])).count("1 site") == read(page).count("1 site") == 1
    page.session_state["changes"] = {
        record: [substitution(encode(SITE), 40, 1)] for record in page.session_state["changes"]
    }
    page = checked(page.run())
    assert "Changed: 41 T>C." in read(page)
    assert "Changed: 41 T>C." in read(opened(**address(page)))


def test_a_file_comes_back_with_the_record_that_was_open_in_it(home: Path) -> None:
    page = predict(f">box\n{SITE}\n>other box\n{SITE}\n")
    page.file_uploader(key="file").upload("my <b>genes</b>.fa", RECORDS.encode())
    page = choose(checked(page.run()), 1)
    assert page.subheader[0].value == "second"
    told = address(page)
    assert set(told) == {"q", "f", "record"}
    again = opened(**told)
    assert "From the file my <b>genes</b>.fa" in read(again)
    assert again.subheader[0].value == "second"
    checked(button(again, "Start").click().run())
    (job,) = jobs.list_jobs(home)
    wait_for(lambda: jobs.read_status(job).state == "finished", 60)
    assert jobs.read_status(job).said.startswith("3 records, 172 bases")
    checked(button(again, "Take the file out").click().run())
    assert again.subheader[0].value == "box"
    assert set(address(again)) == {"q"}


@pytest.mark.parametrize(("press", "shown"), [("Take the file out", "box"), ("Try an example", "strong_site")])
def test_a_file_that_was_just_opened_goes_by_a_button(press: str, shown: str) -> None:
    page = predict(f">box\n{SITE}\n>other box\n{SITE}\n")
    page.file_uploader(key="file").upload("genes.fa", RECORDS.encode())
    assert checked(page.run()).subheader[0].value == "first"
    checked(button(page, press).click().run())
    assert page.subheader[0].value.replace("\\", "") == shown
    assert {uploader.value for uploader in page.file_uploader} == {None}
    assert set(address(page)) == {"q"}


def test_a_file_that_is_too_large_to_be_kept_is_named_after_a_refresh() -> None:
    page = predict(RECORDS)
    page.file_uploader(key="file").upload("large.fa", b">a\n" + b"ACGT" * 10 + b"\n" * (KEPT_MB << 20))
    checked(page.run())
    assert page.subheader[0].value == "a"
    again = opened(**address(page))
    said = f"large.fa was open here and is not kept: it has more than {KEPT_MB} MB, or its copy was removed. "
    assert warnings(again) == [f"The file {said}Choose it again, or take it out."]
    assert not again.subheader
    again.file_uploader(key="file").upload("large.fa", f">b\n{SITE}".encode())
    assert checked(again.run()).subheader[0].value == "b"
    assert warnings(again) == []


def test_a_record_of_the_address_is_not_opened_in_another_list() -> None:
    page = opened(q="0" * 16, record="2")
    assert warnings(page) == ["nothing is kept under '0000000000000000'; paste or change it again"]
    checked(page.text_area[0].set_value(RECORDS).run())
    assert page.subheader[0].value == "first"
    assert "record" not in address(page)


def test_a_home_that_takes_nothing_shows_the_file_and_its_changes_all_the_same(home: Path) -> None:
    home.mkdir()
    (home / "queries").write_text("no folder")
    page = predict()
    page.file_uploader(key="file").upload("genes.fa", RECORDS.encode())
    checked(page.run())
    checked(page.text_input(key="variant").set_value("41 T>C").run())
    assert "Changed: 41 T>C." in read(page)
    unkept = [
        f"A refresh will not bring {what} back: {home / 'queries'}: file exists"
        for what in ("this file", "these changes")
    ]
    assert warnings(page) == unkept
    assert address(page) == {}
