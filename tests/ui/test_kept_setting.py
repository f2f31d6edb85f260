"""What a refresh brings back on the Predict page beside the text: settings, the record, a file, changes."""

import os
import re
import shutil
from pathlib import Path

import pytest
from driven import address, as_read, checked, click, opened, read
from driving import wait_until
from streamlit.testing.v1 import AppTest
from test_model_choice import fixed_length, models
from test_predict_page import KILLED, SITE, choose, drawn, open_file, predict, typed, use, vary

from tfbind.dna.codes import encode
from tfbind.runs import disk
from tfbind.scoring import jobs
from tfbind.scoring.target import UNKNOWN
from tfbind.variants.edits import substitution
from ui.predict.changes import UNREADABLE
from ui.predict.model import _read_threshold
from ui.widgets import url_state
from ui.widgets.url_state import KEPT_MB

pytestmark = pytest.mark.usefixtures("home")

RECORDS = f">first\n{SITE}\n>second\n{SITE[::-1]}\n>third\nACGTACGT\n"


def again(page: AppTest) -> AppTest:
    """The page after a refresh."""
    return opened("predict", **address(page))


def warnings(page: AppTest) -> list[str]:
    return [as_read(warning.value) for warning in page.warning]


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
    parameters = address(page)
    settings = {"model": one, "with": two, "strand": "both", "from": "2.25", "reverse": "1", "record": "2"}
    assert parameters == {"q": parameters["q"], **settings}
    assert re.fullmatch("[0-9a-f]{16}", parameters["q"])
    refreshed = opened("predict", **parameters)
    checked(page.switch_page("pages/data.py").run())
    for back in (
        refreshed,
        checked(page.switch_page("pages/predict.py").run()),
    ):  # after a visit to another page, too
        assert back.text_area[0].value == RECORDS
        assert [back.selectbox(key=key).value for key in ("model", "compare-with", "strand")] == [one, two, "both"]
        assert back.number_input(key="threshold").value == 2.25
        assert back.checkbox(key="show-reverse").value
        assert back.subheader[0].value == "second"
        assert {"other strand", "two (Pearson 0.832)"} <= drawn(back)
        assert warnings(back) == []
    assert address(refreshed) == parameters


def defaults(page: AppTest) -> list[object]:
    """What a browser shows of a control that it draws anew: one whose first run was interrupted by a press."""
    boxes = [page.selectbox(key=key) for key in ("model", "compare-with", "strand")]
    others = [page.number_input(key="threshold"), page.checkbox(key="show-reverse")]
    return [*(box.options[box.proto.default] for box in boxes), *(control.proto.default for control in others)]


def test_whatever_run_draws_a_control_first_it_shows_the_value_that_counts(home: Path) -> None:
    one, two = models(home, "one", "two")
    page = predict()
    for _ in range(2):
        assert defaults(page) == ["Built-in model: FOXA1", "nothing", "forward", 2.183, False]
        checked(page.run())
    page = opened("predict", **{"model": one, "with": two, "strand": "both", "from": "2.5", "reverse": "1"})
    for _ in range(2):
        assert defaults(page) == ["one (Pearson 0.832)", "two (Pearson 0.832)", "both", 2.5, True]
        checked(page.run())


def test_an_average_and_the_filling_up_with_n_come_back(home: Path) -> None:
    one, two, fixed = *models(home, "one", "two"), fixed_length(home, "fixed")
    page = use(predict(SITE), "average")
    checked(page.multiselect(key="average").set_value([one, two]).run())
    page = again(page)
    assert page.multiselect(key="average").value == [one, two]
    assert "± 1 sd" in drawn(page)
    assert set(address(use(page, fixed))) == {"q", "model"}
    checked(page.checkbox(key="pad").set_value(True).run())
    assert not again(page).error


def test_models_that_are_gone_are_named_in_a_line_each_and_the_usual_ones_are_taken(home: Path) -> None:
    one, two = models(home, "one", "two")
    page = predict(SITE)
    page.selectbox(key="model").set_value(one)
    page = checked(page.selectbox(key="compare-with").set_value(two).run())
    parameters = address(page)
    for run in (one, two):
        shutil.rmtree(home / "runs" / run)
    for shown in (opened("predict", **parameters), checked(page.run())):  # by an address, and under an open page
        assert warnings(shown) == [
            f"The model {one} is not here any more: Built-in model: FOXA1 is chosen.",
            f"{two} is not drawn over it: it is the model itself, or not here any more.",
        ]
        assert shown.selectbox(key="model").value == "builtin"
        assert shown.selectbox(key="compare-with").value == "nothing"
        assert set(address(shown)) == {"q"}
        assert warnings(checked(shown.run())) == []


def test_what_an_address_cannot_mean_is_one_line_each_and_the_usual_is_taken(home: Path) -> None:
    models(home, "one")
    q = url_state.save(home, RECORDS)
    wrong = {"model": "**x**", "strand": "reverse", "from": "nan", "reverse": "yes", "record": "4"}
    page = opened("predict", q=q, **wrong)
    assert warnings(page) == [
        "The model **x** is not here any more: Built-in model: FOXA1 is chosen.",
        "reverse is no strand: forward is chosen.",
        "nan is no score of 0.1 or more: sites are called from 2.183.",
        "yes in the address is neither 1 nor nothing: nothing is taken.",
        "Record 4 is not among these 3: one that can be scored is opened.",
    ]
    assert set(address(page)) == {"q"}
    assert page.subheader[0].value == "first"
    page = opened("predict", q=q, model="average", average="gone,builtin")
    assert warnings(page) == ["The model gone is not here any more: choose anew."]
    page = opened("predict", q=q, record="0000000002")
    assert warnings(page) == ["Record 0000000002 is not among these 3: one that can be scored is opened."]


@pytest.mark.parametrize("text", ["abc", "-1", "inf"])
def test_a_threshold_of_the_address_is_a_score(text: str) -> None:
    with pytest.raises(ValueError, match=f"{text} is no score of 0.1 or more"):
        _read_threshold(text, UNKNOWN)


def test_the_usual_record_is_selected_follows_the_model_and_gives_way_to_a_chosen_one(home: Path) -> None:
    fixed = fixed_length(home, "fixed")
    page = predict(f">short\n{SITE}\n>long\n{SITE}{SITE}\n>longer\n{SITE}{SITE}A\n")
    assert page.session_state["records"]["selection"]["rows"] == [0]
    use(page, fixed)
    assert page.session_state["records"]["selection"]["rows"] == [1]
    assert page.subheader[0].value == "long"
    assert use(choose(page, 2), "builtin").subheader[0].value == "longer"


def test_a_chosen_record_is_forgotten_with_its_list() -> None:
    page = choose(predict(RECORDS), 1)
    assert "record" in address(page)
    assert typed(page, f">x\n{SITE}\n>y\n{SITE}\n").subheader[0].value == "x"
    assert "record" not in address(page)
    page = typed(click(choose(page, 1), "Clear"), SITE)
    assert "1 site" in read(page)
    assert "record" not in address(page)
    assert "sequence_1" in read(page)


def test_a_record_of_the_address_is_not_opened_in_another_list() -> None:
    page = opened("predict", q="0" * 16, record="2")
    assert warnings(page) == ["nothing is kept under '0000000000000000'; paste or change it again"]
    assert typed(page, RECORDS).subheader[0].value == "first"
    assert "record" not in address(page)


def test_changes_of_several_records_come_back_and_the_dna_is_not_in_the_address() -> None:
    page = vary(vary(predict(RECORDS), "41 T>C"), "2 CATC>C")
    page = vary(choose(page, 2), "third:3 G>GGTT")
    assert "Changed: 3 G>GGTT." in read(page)
    assert set(address(page)) == {"q", "e", "record"}
    assert re.fullmatch("[0-9a-f]{16}", address(page)["e"])
    page = again(page)
    assert "Changed: 3 G>GGTT." in read(page)
    assert "ACGGTTTACGT" in [block.value for block in page.code]
    page = choose(page, 0)
    assert "Changed: 41 T>C, " in read(page)
    page = choose(again(click(click(page, "Undo"), "Undo")), 0)
    assert "Changed:" not in read(page)
    assert "1 site" in read(page)


def test_a_variant_in_brackets_that_was_undone_stays_undone() -> None:
    page = predict(KILLED)
    assert "Changed: 41 T>C." in read(page)
    page = again(click(page, "Undo"))
    assert page.text_area[0].value == KILLED
    assert "Changed:" not in read(page)


def test_changes_that_cannot_be_read_are_one_line(home: Path) -> None:
    for kept in (SITE, f'{{"sequence_1 {"0" * 64}":[[40,"T","C"]]}}'):  # no changes; changes without their text
        page = opened("predict", q=url_state.save(home, SITE), e=url_state.save(home, kept))
        assert warnings(page) == [UNREADABLE]
        assert "1 site" in read(page)


def test_changes_that_do_not_fit_their_record_are_one_line(home: Path) -> None:
    page = vary(predict(SITE), "41 T>C")
    kept = home / "queries" / f"{address(page)['e']}.txt"
    kept.write_text(kept.read_text().replace("[40,", "[41,"))
    page = again(page)
    assert warnings(page) == [UNREADABLE]
    assert "Changed:" not in read(page)
    assert "Changed: 41 T>C." in read(vary(page, "41 T>C"))


def test_text_and_changes_are_kept_by_the_next_run_where_another_press_cut_off_the_one_that_kept_them() -> None:
    page = opened("predict")
    page.session_state["dna"] = f">a\n{SITE}\n"  # as a callback leaves it that was interrupted
    page = checked(page.run())
    assert read(again(page)).count("1 site") == read(page).count("1 site") == 1
    page.session_state["changes"] = {
        record: [substitution(encode(SITE), 40, 1)] for record in page.session_state["changes"]
    }
    page = checked(page.run())
    assert "Changed: 41 T>C." in read(page)
    assert "Changed: 41 T>C." in read(again(page))


def test_a_file_comes_back_with_the_record_that_was_open_in_it(home: Path) -> None:
    page = choose(open_file(predict(f">box\n{SITE}\n>other box\n{SITE}\n"), RECORDS, "my <b>genes</b>.fa"), 1)
    assert page.subheader[0].value == "second"
    assert set(address(page)) == {"q", "f", "record"}
    page = again(page)
    assert "From the file my <b>genes</b>.fa" in read(page)
    assert page.subheader[0].value == "second"
    click(page, "Start")
    (job,) = jobs.list_jobs(home)
    wait_until(lambda: jobs.read_status(job).state == "finished", 60)
    assert jobs.read_status(job).message.startswith("3 records, 172 bases")
    assert click(page, "Take the file out").subheader[0].value == "box"
    assert set(address(page)) == {"q"}


@pytest.mark.parametrize(("press", "shown"), [("Take the file out", "box"), ("Try an example", "strong_site")])
def test_a_file_that_was_just_opened_goes_by_a_button(press: str, shown: str) -> None:
    page = open_file(predict(f">box\n{SITE}\n>other box\n{SITE}\n"), RECORDS)
    assert page.subheader[0].value == "first"
    assert as_read(click(page, press).subheader[0].value) == shown
    assert {uploader.value for uploader in page.file_uploader} == {None}
    assert set(address(page)) == {"q"}


def test_a_file_that_is_too_large_to_be_kept_is_named_after_a_refresh_and_closed_by_new_text() -> None:
    page = open_file(predict(RECORDS), b">a\n" + b"ACGT" * 10 + b"\n" * (KEPT_MB << 20), "large.fa")
    assert page.subheader[0].value == "a"
    page, other = again(page), again(page)
    said = f"large.fa was open here and is not kept: it has more than {KEPT_MB} MB, or its copy was removed. "
    assert warnings(page) == [f"The file {said}Choose it again, or take it out."]
    assert not page.subheader
    assert open_file(page, f">b\n{SITE}", "large.fa").subheader[0].value == "b"
    assert warnings(page) == []
    assert typed(other, f">pasted\n{SITE}").subheader[0].value == "pasted"
    assert warnings(other) == []


def test_a_home_that_takes_nothing_shows_the_file_and_its_changes_all_the_same(home: Path) -> None:
    home.mkdir()
    (home / "queries").write_text("no folder")
    page = vary(open_file(predict(), RECORDS), "41 T>C")
    assert "Changed: 41 T>C." in read(page)
    assert warnings(page) == [
        f"A refresh will not bring {what} back: {home / 'queries'}: file exists"
        for what in ("this file", "these changes")
    ]
    assert address(page) == {}


def test_clear_deletes_what_was_pasted_changed_and_opened(home: Path) -> None:
    folder = home / "queries"
    page = vary(predict(SITE), "41 T>C")
    page = again(checked(page.run()))
    assert len(list(folder.iterdir())) == 2  # the text and its change, found by the address
    click(page, "Clear")
    assert list(folder.iterdir()) == []
    assert address(page) == {}
    page = predict(f">first\n{SITE}")
    typed(page, f">second\n{SITE}")
    vary(page, "41 T>C").run()
    open_file(page, f">third\n{SITE}\n")
    assert len(list(folder.iterdir())) > 4
    click(page, "Clear")
    assert list(folder.iterdir()) == []


def test_what_was_pasted_long_ago_or_long_before_is_deleted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(url_state, "MOST_FILES", 4)
    ids = [url_state.save(home, f"text {number}") for number in range(6)]
    assert {path.stem for path in (home / "queries").iterdir()} == set(ids[-3:])
    os.utime(home / "queries" / f"{ids[-1]}.txt", (1e9, 1e9))
    last = url_state.save(home, "last")
    assert {path.stem for path in (home / "queries").iterdir()} == {*ids[-3:-1], last}
    assert disk.drop_pasted(home) == sum(len(text) for text in ("text 3", "text 4", "last"))
    assert list((home / "queries").iterdir()) == []
    assert disk.drop_pasted(home / "none") == 0
