"""The Predict page: from an empty box to sites, an edit and its undo; and what it says of input it cannot use."""

import base64
import json
import shlex
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driven import app, button, checked, labels, words
from streamlit.testing.v1 import AppTest

from tfbind.data.dataset import make_builtin
from tfbind.dna.codes import decode
from tfbind.scoring import jobs
from tfbind.scoring.jobs import Status
from tfbind.scoring.model import load_model, score
from tfbind.scoring.plots import AROUND_FOCUS
from ui.predict import input, view
from ui.predict.jobs import _how_far
from ui.widgets import cache, url_state

pytestmark = pytest.mark.usefixtures("home")

SITE = "GCATCCGTAGCGCTCAGCTCGGATCCGATTGCACGG" + "TGTTTACTTAGG" + "ATCTCAGGCTATCGCAGGCTCCATGCGCTACCGG"


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def predict(text: str = "") -> AppTest:
    page = checked(app().switch_page("pages/predict.py").run())
    return checked(page.text_area[0].set_value(text).run()) if text else page


def read(page: AppTest) -> str:
    """What the page says as its reader sees it, without the signs that keep Markdown out."""
    return words(page).replace("\\", "").replace("\u2060", "")


def drawn(page: AppTest) -> set[str]:
    """The names of all lines on the page."""
    figures = [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]
    return {trace.get("name") for figure in figures for trace in figure["data"]}


def figure(page: AppTest, place: int = 0) -> dict[str, Any]:
    return json.loads(page.get("plotly_chart")[place].proto.spec)


def line(page: AppTest, name: str) -> "np.ndarray[Any, Any]":
    """The values of a line on the page, by the first words of its name."""
    figures = [figure(page, place) for place in range(len(page.get("plotly_chart")))]
    traces = [trace for one in figures for trace in one["data"] if (trace.get("name") or "").startswith(name)]
    (values,) = [trace["y"] for trace in traces]
    if isinstance(values, dict):
        return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])
    return np.array(values)


def sites(page: AppTest):
    return page.dataframe[-1].value


def test_an_empty_page_says_what_to_do() -> None:
    page = predict()
    assert "Nothing to score yet: paste a sequence, or try the example." in words(page)
    assert {"Score", "Try an example"} <= set(labels(page))


def test_the_example_has_a_record_with_a_site_and_one_without() -> None:
    page = checked(button(predict(), "Try an example").click().run())
    table = page.dataframe[0].value
    assert list(table["Record"]) == ["strong_site", "no_site"]
    assert table["Highest score"][0] > 7 > 1 > table["Highest score"][1]
    assert "1 site" in words(page)


def test_a_planted_site_is_found_where_it_is() -> None:
    page = predict(SITE)
    found = sites(page).iloc[0]
    # GTAAACA, the core of the motif, stands on the other strand at bases 37 to 43.
    assert found["start"] <= 37
    assert found["end"] >= 43
    assert found["strand"] == "-"
    assert found["sequence"] == SITE[found["start"] - 1 : found["end"]]


def test_changing_a_base_of_the_site_destroys_it_and_undo_brings_it_back() -> None:
    page = predict(SITE)
    before = sites(page)["score"].max()
    checked(page.number_input(key="edit-position").set_value(41).run())
    checked(button(page, "C").click().run())
    assert "Changed: 41 T>C." in read(page)
    assert "Destroys the site at" in read(page)
    assert "No site" in words(page)
    checked(button(page, "Undo").click().run())
    assert sites(page)["score"].max() == before


@pytest.mark.parametrize(
    ("text", "typed", "said"),
    [
        (SITE, "41 T>C", "Destroys the site at"),
        (SITE, "T41C", "Changed: 41 T>C."),
        (f">chr22_1000_{1000 + len(SITE) - 1}\n{SITE}", "chr22:1041 T>C", "Changed: 41 T>C."),
        (f">other\nACGT\n>named\n{SITE}", "named:41 T>C", "Destroys the site at"),
        (f"{SITE[:40]}[T/C]{SITE[41:]}", "", "Destroys the site at"),
        (f">mine\n{SITE[:40]}[T/C]{SITE[41:]}", "", "Destroys the site at"),
    ],
)
def test_a_variant_is_taken_in_every_form_that_is_offered(text: str, typed: str, said: str) -> None:
    page = predict(text)
    if typed:
        checked(page.text_input(key="variant").set_value(typed).run())
        assert page.text_input(key="variant").value == ""
    assert said in read(page)
    assert {"original", "changed"} <= drawn(page)
    checked(button(page, "Back to the original").click().run())
    assert "1 site" in words(page)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("41 G>C", "sequence_1 has 'T' there, not 'G'"),
        ("900 A>G", "in no sequence here"),
        ("41 A>A", "both alleles are the same"),
        ("nonsense", "is no change of a base"),
    ],
)
def test_a_variant_that_cannot_be_is_one_line_and_stays_in_its_box(typed: str, said: str) -> None:
    page = predict(SITE)
    checked(page.text_input(key="variant").set_value(typed).run())
    assert [said in error.value.replace("\\", "") for error in page.error] == [True]
    assert page.text_input(key="variant").value == typed
    assert "1 site" in words(page)


def test_what_was_pasted_comes_back_by_its_id_and_is_not_in_the_address(home: Path) -> None:
    page = predict(SITE)
    id = page.query_params["q"]
    assert url_state.load(home, id) == SITE
    assert SITE not in str(dict(page.query_params))
    again = AppTest.from_file(str(Path(__file__).parents[2] / "app.py"), default_timeout=60)
    again.query_params["q"] = id
    checked(again.run())
    checked(again.switch_page("pages/predict.py").run())
    assert again.text_area[0].value == SITE


def test_an_unknown_id_is_one_line_and_an_empty_box() -> None:
    page = AppTest.from_file(str(Path(__file__).parents[2] / "app.py"), default_timeout=60)
    page.query_params["q"] = "0" * 16
    checked(page.run())
    checked(page.switch_page("pages/predict.py").run())
    assert "nothing is kept under" in page.warning[0].value.replace("\\", "")
    assert page.text_area[0].value == ""


def test_what_was_pasted_is_there_after_a_visit_to_another_page() -> None:
    page = predict(SITE)
    checked(page.switch_page("pages/data.py").run())
    checked(page.switch_page("pages/predict.py").run())
    assert page.text_area[0].value == SITE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ACGTJACGT", "letter 'J' at position 5"),
        (">p\nMKVLAETRRPFQQWLMKVLSEFIPQ", "looks like a protein"),
        ("<html><body>hello</body></html>", "a web page"),
        (">header", "record header: no letters"),
    ],
)
def test_what_cannot_be_read_is_one_line_and_the_text_stays(text: str, said: str) -> None:
    page = predict(text)
    assert len(page.error) == 1
    assert said in page.error[0].value.replace("\\", "").replace("\u2060", "")
    assert page.text_area[0].value == text


def test_a_bad_letter_is_shown_in_place_and_mended_by_one_click() -> None:
    page = predict("ACGTJACGT")
    assert page.code[0].value == "ACGT[J]ACGT"
    checked(button(page, "Go on with J at 5 read as N").click().run())
    assert not page.error
    assert page.text_area[0].value == "ACGTJACGT"


def test_markdown_in_a_header_is_shown_as_written() -> None:
    page = predict(f">**B**<img/src=x> x\n{SITE}")
    heading = page.subheader[0].value
    assert "\\*\\*B\\*\\*" in heading
    assert "\\<img" in heading


def test_brackets_in_a_header_are_no_variant() -> None:
    page = predict(f">NM_004496.5 FOXA1 [Homo sapiens]\n{SITE}")
    assert not page.error
    assert "1 site" in words(page)


def test_one_base_has_a_profile() -> None:
    page = predict("A")
    assert not page.error
    assert "No site" in words(page)


@pytest.mark.parametrize(("bases", "shaded"), [(30, False), (31, True)])
def test_bases_are_said_to_be_shaded_where_some_are(bases: int, shaded: bool) -> None:
    page = predict(SITE[:bases])
    assert ("shaded: the 15 bases at each end" in read(page)) == shaded
    grey = [shape for shape in figure(page)["layout"].get("shapes", []) if shape["fillcolor"].startswith("rgba(128")]
    assert len(grey) == 2 * shaded


def test_a_window_of_a_data_set_is_drawn_with_its_observed_scores(home: Path) -> None:
    data = make_builtin(home)
    page = predict()
    checked(page.text_input(key="window-name").set_value("nowhere").run())
    checked(button(page, "Take this window").click().run())
    assert "has no window 'nowhere'" in page.error[0].value.replace("\\", "")
    name = data.names[7].decode()
    checked(page.text_input(key="window-name").set_value(name).run())
    checked(button(page, "Take this window").click().run())
    assert page.text_area[0].value == f">{name}\n{decode(data.codes[7])}\n"
    assert line(page, "observed") == pytest.approx(data.scores[7], abs=1e-3)
    r = np.corrcoef(data.scores[7], score(load_model(home, "builtin"), data.codes[7]).scores)[0, 1]
    assert f"observed: data set builtin, Pearson {r:.3f}" in read(page)
    checked(page.text_area[0].set_value(f">{name}\nACGT").run())
    assert "but with other letters" in read(page)
    assert "observed" not in drawn(page)


def test_a_chosen_site_is_shown_close_and_all_again() -> None:
    page = predict(SITE)
    start, end = (int(sites(page).iloc[0][column]) for column in ("start", "end"))
    key = page.dataframe[-1].proto.id.rpartition("-sites-")[2]
    page.session_state[f"sites-{key}"] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    checked(page.run())
    assert figure(page)["layout"]["xaxis"]["range"] == [start - 0.5 - AROUND_FOCUS, end + 0.5 + AROUND_FOCUS]
    checked(button(page, "Show all").click().run())
    assert figure(page)["layout"]["xaxis"]["range"] == [0.5, len(SITE) + 0.5]


def test_several_records_are_drawn_small_the_highest_twenty_at_most() -> None:
    page = predict("".join(f">r{number}\n{SITE if number % 2 else SITE[:36] * 2}\n" for number in range(25)))
    small = figure(page)
    assert len(small["data"]) == 20
    assert [note["text"] for note in small["layout"]["annotations"]][:3] == ["r0", "r1", "r2"]
    assert "The 20 highest on one scale" in read(page)
    assert len({str(small["layout"][axis]["range"]) for axis in small["layout"] if axis.startswith("yaxis")}) == 1


def test_what_has_not_changed_is_neither_drawn_nor_scored_again(monkeypatch: pytest.MonkeyPatch) -> None:
    done: Counter[str] = Counter()

    def counted(module: Any, name: str) -> None:
        function = getattr(module, name)

        def counts(*given: Any, **named: Any) -> Any:
            done[name] += 1
            return function(*given, **named)

        monkeypatch.setattr(module, name, counts)

    counted(view, "profile_figure")
    counted(view, "mutagenesis_figure")
    counted(input, "stacked_figure")
    counted(cache, "score")
    other = f"{SITE}GATTACAGGACC"  # of no other test, whose figures and scores are remembered
    page = predict(f">one\n{other}\n>two\n{other}A\n")
    first = dict(done)
    assert {first.pop(name) for name in ("profile_figure", "mutagenesis_figure", "stacked_figure")} == {1}
    checked(page.number_input(key="edit-position").set_value(41).run())
    checked(next(box for box in page.selectbox if box.label == "Format").set_value(".bed").run())
    checked(page.run())
    assert done == Counter(first, profile_figure=1, mutagenesis_figure=1, stacked_figure=1)
    checked(page.number_input(key="threshold").set_value(9.0).run())  # the site is gone
    assert done == Counter(first, profile_figure=2, mutagenesis_figure=1, stacked_figure=1)
    checked(button(page, "C").click().run())
    assert (done["profile_figure"], done["mutagenesis_figure"], done["stacked_figure"]) == (3, 2, 1)
    assert {"original", "changed"} <= drawn(page)
    checked(button(page, "Undo").click().run())
    assert (done["profile_figure"], done["mutagenesis_figure"], done["stacked_figure"]) == (3, 2, 1)
    assert "original" not in drawn(page)


def test_a_file_is_scored_in_the_background_and_can_be_taken_away(home: Path) -> None:
    page = predict()
    page.file_uploader[0].upload("my genes.fa", f">a\n{SITE}\n".encode())
    checked(page.run())
    shown = next(block.value for block in page.code if "tfbind predict" in block.value)
    checked(button(page, "Start").click().run())
    (job,) = jobs.list_jobs(home)
    assert shlex.split(shown) == jobs.command(job, jobs.read_order(job))
    wait_for(lambda: jobs.read_status(job).state == "finished", 60)
    checked(page.run())
    assert "my genes.fa" in read(page)
    assert "1 record, 82 bases" in read(page)
    assert any(label.startswith("Download (") for label in (entry.label for entry in page.get("download_button")))
    checked(button(page, "Move to trash").click().run())
    assert jobs.list_jobs(home) == []


def test_the_hours_that_a_background_job_still_takes_are_said_as_hours() -> None:
    status = Status("running", "scoring", 10, 100, 7384.0, "")
    assert _how_far(status, "bases") == "scoring: 10 of 100 bases, about 2 h 3 min left"
