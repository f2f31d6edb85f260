"""The Predict page: from an empty box to sites, an edit and its undo; and what it says of input it cannot use."""

import base64
import json
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driven import checked, click, labels, opened, read
from driving import wait_until
from streamlit.testing.v1 import AppTest

from tfbind.data.dataset import make_builtin
from tfbind.dna.codes import decode
from tfbind.scoring import jobs
from tfbind.scoring.jobs import JobStatus
from tfbind.scoring.model import load_model, score
from tfbind.scoring.plots import AROUND_FOCUS
from ui.predict import input, view
from ui.predict.jobs import _progress_words
from ui.widgets import cache, url_state

pytestmark = pytest.mark.usefixtures("home")

SITE = "GCATCCGTAGCGCTCAGCTCGGATCCGATTGCACGG" + "TGTTTACTTAGG" + "ATCTCAGGCTATCGCAGGCTCCATGCGCTACCGG"
KILLED = f"{SITE[:40]}[T/C]{SITE[41:]}"  # with a variant in brackets that destroys the site


def predict(text: str = "") -> AppTest:
    page = opened("predict")
    return typed(page, text) if text else page


def typed(page: AppTest, text: str) -> AppTest:
    return checked(page.text_area(key="dna").set_value(text).run())


def vary(page: AppTest, variant: str) -> AppTest:
    return checked(page.text_input(key="variant").set_value(variant).run())


def open_file(page: AppTest, content: str | bytes, name: str = "genes.fa") -> AppTest:
    page.file_uploader(key="file").upload(name, content if isinstance(content, bytes) else content.encode())
    return checked(page.run())


def choose(page: AppTest, record: int) -> AppTest:
    page.session_state["records"] = {"selection": {"rows": [record], "columns": [], "cells": []}}
    return checked(page.run())


def use(page: AppTest, model: str) -> AppTest:
    return checked(page.selectbox(key="model").set_value(model).run())


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


def test_an_empty_page_says_what_to_do_and_the_example_has_a_record_with_a_site_and_one_without() -> None:
    page = predict()
    assert "Nothing to score yet: paste a sequence, or try the example." in read(page)
    assert "Shown here: up to 10,000 sequences, 2 million bases and 20 MB in all" in read(page)
    assert "Score" in labels(page)
    table = click(page, "Try an example").dataframe[0].value
    assert list(table["Record"]) == ["strong_site", "no_site"]
    assert table["Highest score"][0] > 7 > 1 > table["Highest score"][1]
    assert "1 site" in read(page)


def test_a_planted_site_is_found_a_change_of_its_base_destroys_it_and_undo_brings_it_back() -> None:
    page = predict(SITE)
    site = sites(page).iloc[0]
    # GTAAACA, the core of the motif, stands on the other strand at bases 37 to 43.
    assert site["start"] <= 37 < 43 <= site["end"]
    assert site["strand"] == "-"
    assert site["sequence"] == SITE[site["start"] - 1 : site["end"]]
    checked(page.number_input(key="edit-position").set_value(41).run())
    click(page, "C")
    assert "Changed: 41 T>C." in read(page)
    assert "Destroys the site at" in read(page)
    assert "No site" in read(page)
    assert sites(click(page, "Undo"))["score"].max() == site["score"]


@pytest.mark.parametrize(
    ("text", "variant"),
    [
        (SITE, "41 T>C"),
        (f">chr22_1000_{1000 + len(SITE) - 1}\n{SITE}", "chr22:1041 T>C"),
        (f">other\nACGT\n>named\n{SITE}", "named:41 T>C"),
        (f">mine\n{KILLED}", ""),
    ],
)
def test_a_variant_is_taken_wherever_it_may_stand(text: str, variant: str) -> None:
    page = predict(text)
    if variant:
        assert vary(page, variant).text_input(key="variant").value == ""
    assert "Changed: 41 T>C." in read(page)
    assert "Destroys the site at" in read(page)
    assert {"original", "changed"} <= drawn(page)
    assert "1 site" in read(click(page, "Back to the original"))


def test_several_typed_changes_are_made_and_numbered_along_the_original() -> None:
    page = vary(vary(predict(SITE), "5_6insACG"), f"41 T>C, 42 {SITE[41]}>G")
    assert f"Changed: 6 inserts ACG, 41 T>C, 42 {SITE[41]}>G." in read(page)
    page = vary(page, "10del")
    assert ["does not name the bases; expected them, as in 25delA" in read(page) for _ in page.error] == [True]
    assert "41 T>C" in read(page)


@pytest.mark.parametrize(
    ("variant", "message"), [("41 G>C", "sequence_1 has 'T' there, not 'G'"), (KILLED, "for the page's box of DNA")]
)
def test_a_variant_that_cannot_be_is_one_line_and_stays_in_its_box(variant: str, message: str) -> None:
    page = vary(predict(SITE), variant)
    assert [message in read(page) for _ in page.error] == [True]
    assert (page.text_input(key="variant").value, page.text_area[0].value) == (variant, SITE)
    assert "1 site" in read(page)


def test_what_was_pasted_comes_back_by_its_id_and_is_not_in_the_address(home: Path) -> None:
    page = predict(SITE)
    id = page.query_params["q"]
    assert url_state.load(home, id) == SITE
    assert SITE not in str(dict(page.query_params))
    assert opened("predict", q=id).text_area[0].value == SITE


def test_an_unknown_id_is_one_line_and_an_empty_box() -> None:
    page = opened("predict", q="0" * 16)
    assert "nothing is kept under" in page.warning[0].value.replace("\\", "")
    assert page.text_area[0].value == ""


def test_markdown_in_a_header_is_shown_as_written_and_brackets_in_it_are_no_variant() -> None:
    page = predict(f">**B**<img/src=x> FOXA1 [Homo sapiens]\n{SITE}")
    assert "\\*\\*B\\*\\*" in page.subheader[0].value
    assert "\\<img" in page.subheader[0].value
    assert not page.error
    assert "1 site" in read(page)


def test_bases_are_said_to_be_shaded_where_some_are() -> None:
    for bases, shaded in ((30, False), (31, True)):
        page = predict(SITE[:bases])
        assert ("shaded: the 15 bases at each end" in read(page)) == shaded
        shapes = figure(page)["layout"].get("shapes", [])
        assert len([shape for shape in shapes if shape["fillcolor"].startswith("rgba(128")]) == 2 * shaded


def test_a_window_of_a_data_set_is_drawn_with_its_observed_scores(home: Path) -> None:
    data = make_builtin(home, windows=300)
    page = predict()
    checked(page.text_input(key="window-name").set_value("nowhere").run())
    assert "has no window 'nowhere'" in read(click(page, "Take this window"))
    name = data.names[7].decode()
    checked(page.text_input(key="window-name").set_value(name).run())
    click(page, "Take this window")
    assert page.text_area[0].value == f">{name}\n{decode(data.codes[7])}\n"
    assert line(page, "observed") == pytest.approx(data.scores[7], abs=1e-3)
    r = np.corrcoef(data.scores[7], score(load_model(home, "builtin"), data.codes[7]).scores)[0, 1]
    assert f"observed: data set builtin, Pearson {r:.3f}" in read(page)
    assert "but with other letters" in read(typed(page, f">{name}\nACGT"))
    assert "observed" not in drawn(page)


def test_a_chosen_site_is_shown_close_and_all_again() -> None:
    page = predict(SITE)
    start, end = (int(sites(page).iloc[0][column]) for column in ("start", "end"))
    key = page.dataframe[-1].proto.id.rpartition("-sites-")[2]
    page.session_state[f"sites-{key}"] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    checked(page.run())
    assert figure(page)["layout"]["xaxis"]["range"] == [start - 0.5 - AROUND_FOCUS, end + 0.5 + AROUND_FOCUS]
    assert figure(click(page, "Show all"))["layout"]["xaxis"]["range"] == [0.5, len(SITE) + 0.5]


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
    click(page, "C")
    assert (done["profile_figure"], done["mutagenesis_figure"], done["stacked_figure"]) == (3, 2, 1)
    assert {"original", "changed"} <= drawn(page)
    click(page, "Undo")
    assert (done["profile_figure"], done["mutagenesis_figure"], done["stacked_figure"]) == (3, 2, 1)
    assert "original" not in drawn(page)


def test_a_file_is_scored_in_the_background_and_can_be_taken_away(home: Path) -> None:
    page = open_file(predict(), f">a\n{SITE}\n", "my genes.fa")
    shown = next(block.value for block in page.code if "tfbind predict" in block.value)
    click(page, "Start")
    (job,) = jobs.list_jobs(home)
    assert shlex.split(shown) == jobs.command(job, jobs.read_request(job))
    wait_until(lambda: jobs.read_status(job).state == "finished", 60)
    checked(page.run())
    assert "my genes.fa" in read(page)
    assert "1 record, 82 bases" in read(page)
    assert any(entry.label.startswith("Download (") for entry in page.get("download_button"))
    click(page, "Move to trash")
    assert jobs.list_jobs(home) == []


def test_the_hours_that_a_background_job_still_takes_are_said_as_hours() -> None:
    status = JobStatus("running", "scoring", 10, 100, 7384.0, "")
    assert _progress_words(status, "bases") == "scoring: 10 of 100 bases, about 2 h 3 min left"
