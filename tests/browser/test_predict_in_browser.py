"""The way of a biologist in a real browser: paste, read, change a base, take a file away."""

import json
import os
import re
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from driving import Server, at_rest, pick
from playwright.sync_api import Locator, Page, TimeoutError, expect
from test_model_choice import fixed_length, models
from test_predict_page import SITE

from tfbind.scoring import jobs
from tfbind.store.schema import read_json
from ui.predict.jobs import FORMATS

SECOND_ROW = {"x": 15, "y": 35 * 2 + 17}  # where the mark of the table's second row is
PROFILE = "document.querySelector(\"[class*='st-key-profile'] .js-plotly-plot\")"


def pasted(server: Server, open_page: Callable[..., Page], text: str) -> Page:
    page = open_page(f"{server.url}/predict")
    page.get_by_role("textbox", name="DNA sequence").fill(text)
    page.get_by_test_id("stBaseButton-primary").click()
    return page


def test_paste_read_edit_export_in_under_a_minute(server: Server, open_page: Callable[..., Page]) -> None:
    page = open_page(f"{server.url}/predict")
    expect(page.get_by_text("Nothing to score yet")).to_be_visible()
    started = time.monotonic()
    box = page.get_by_role("textbox", name="DNA sequence")
    box.fill(f">my enhancer\n{SITE}")
    page.get_by_test_id("stBaseButton-primary").click()
    expect(page.get_by_text("1 site of at least 2.183 nats")).to_be_visible()
    expect(page.locator("text.legendtext", has_text="known motif")).to_be_visible()
    page.get_by_role("spinbutton", name="Position").fill("41")
    page.get_by_role("spinbutton", name="Position").press("Enter")
    expect(page.get_by_text("now T")).to_be_visible()
    page.get_by_role("button", name="C", exact=True).click()
    expect(page.get_by_text("Changed: 41 T>C.")).to_be_visible()
    expect(page.get_by_text("scores 2.183 nats or more in this sequence")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("1 site of at least 2.183 nats")).to_be_visible()
    at_rest(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download .csv", exact=True).click()
    assert time.monotonic() - started < 60
    header, row = download.value.path().read_text().splitlines()
    assert header.split(",")[:3] == ["window_name", "0", "1"]
    cells = row.split(",")
    assert len(cells) == 1 + len(SITE)
    scores = [float(cell) for cell in cells[1:]]
    assert 36 <= scores.index(max(scores)) <= 43
    expect(page).to_have_url(re.compile("[?]q="))
    assert "ACGG" not in page.url
    page.reload()
    expect(page.get_by_text("1 site of at least 2.183 nats")).to_be_visible()
    expect(page.get_by_role("textbox", name="DNA sequence")).to_have_value(f">my enhancer\n{SITE}")
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    at_rest(page)
    before = page.url
    page.get_by_role("button", name="A", exact=True).click()
    expect(page.get_by_text("Changed: 1 G>A.")).to_be_visible()
    expect(page).not_to_have_url(before)
    page.reload()
    expect(page.get_by_text("Changed: 1 G>A.")).to_be_visible()


def test_a_letter_chooses_its_site_and_is_changed_by_mouse_and_keyboard(
    server: Server, open_page: Callable[..., Page]
) -> None:
    page = pasted(server, open_page, SITE)
    page.locator(".sequence-site").first.click()
    expect(page.get_by_role("button", name="Show all")).to_be_visible()
    at_rest(page)
    place = int(page.get_by_role("spinbutton", name="Position").input_value())
    page.get_by_role("button", name=f"change {SITE[place - 1]} at {place} to C").click()
    expect(page.get_by_text(f"Changed: {place} {SITE[place - 1]}>C.")).to_be_visible()
    letters = page.locator(".sequence")
    letters.focus()
    letters.press("Home")
    expect(page.locator(".sequence-spoken")).to_contain_text(" at ")
    letters.press("ArrowLeft")
    letters.press("T" if SITE[0] != "T" else "A")
    expect(page.get_by_text(re.compile(f", 1 {SITE[0]}>"))).to_be_visible()


def test_a_finished_run_scores_dna_at_a_press_and_the_figure_is_saved(
    server: Server, open_page: Callable[..., Page]
) -> None:
    models(server.home, "trained here")
    page = pasted(server, open_page, SITE)
    expect(page.get_by_text(re.compile("^Built-in model.* · 82 bases"))).to_be_visible()
    page.get_by_role("link", name="Train").click()
    expect(page.get_by_role("heading", name="Train a model")).to_be_visible()
    at_rest(page)
    table = page.get_by_test_id("stDataFrame")
    table.scroll_into_view_if_needed()
    table.click(position={"x": 60, "y": 50})
    expect(page.get_by_role("heading", name="trained here")).to_be_visible()
    page.get_by_role("button", name="Score DNA").click()
    expect(page.get_by_text(re.compile("^trained here .* · 82 bases"))).to_be_visible()
    expect(page.get_by_text("has a camera button")).to_be_visible()
    at_rest(page)
    page.locator("[class*='st-key-profile'] .js-plotly-plot").hover()
    with page.expect_download() as picture:
        page.locator("[class*='st-key-profile'] .modebar-btn").first.click()
    assert picture.value.suggested_filename == "profile.svg"
    assert "<svg" in picture.value.path().read_text()


def taken(page: Page, suffix: str, button: str = "") -> bytes:
    """What a press of a download button brings once the format with this suffix is chosen."""
    at_rest(page)
    wanted = page.get_by_role("button", name=f"Download {suffix}", exact=True)
    while not wanted.is_visible():
        page.get_by_role("combobox", name="Format").click()
        with suppress(TimeoutError):  # the list closes when the page is redrawn just then
            page.get_by_role("option", name=FORMATS[suffix], exact=True).click(timeout=2_000)
        at_rest(page)
    with page.expect_download() as download:
        page.get_by_role("button", name=button or f"Download {suffix}", exact=True).click()
    assert download.value.suggested_filename.startswith(f"predictions{suffix}")
    return download.value.path().read_bytes()


@pytest.mark.slow
def test_a_sequence_that_was_filled_up_is_taken_away_in_every_format(
    server: Server, open_page: Callable[..., Page]
) -> None:
    fixed_length(server.home, "fixed length")
    page = pasted(server, open_page, SITE)
    expect(page.get_by_text("1 site of at least 2.183 nats")).to_be_visible()
    pick(page, "Model", "fixed length")
    page.get_by_text("Fill up with N to the 100 bases").click()
    expect(page.get_by_text("filled up with N from 82 bases and scored as one window of 100")).to_be_visible()
    table = taken(page, ".tsv").decode()
    assert "filled up with N from 82 bases" in table.splitlines()[0]
    assert len(table.splitlines()) == 2 + len(SITE)
    assert len(taken(page, ".bedgraph").splitlines()) == 1 + len(SITE)
    assert taken(page, ".bw").startswith(b"\x26\xfc\x8f\x88")
    assert len(taken(page, ".csv").splitlines()) == 2
    about = json.loads(taken(page, ".bed", "Where it comes from"))
    assert about["pad"]
    assert about["rule"] == "filled up with N from 82 bases and scored as one window of 100"


def test_what_is_taken_away_after_a_change_is_the_changed_sequence(
    server: Server, open_page: Callable[..., Page]
) -> None:
    page = pasted(server, open_page, f">x\n{SITE}")
    page.get_by_role("textbox", name="Variant").fill("41 T>C")
    page.get_by_role("textbox", name="Variant").press("Enter")
    expect(page.get_by_text("The file holds the changed sequence, not the original")).to_be_visible()
    header, _, *rows = taken(page, ".tsv").decode().splitlines()
    assert "; changed: x 41 T>C; " in header
    cells = [row.split("\t") for row in rows]
    assert {name for name, *_ in cells} == {"x 41 T>C"}
    assert "".join(base for _, _, base, *_ in cells) == f"{SITE[:40]}C{SITE[41:]}"
    assert max(float(score) for *_, score in cells) < 3


@pytest.mark.slow
def test_a_refresh_brings_back_models_strand_threshold_and_the_record(
    server: Server, open_page: Callable[..., Page]
) -> None:
    models(server.home, "mine", "theirs")
    page = pasted(server, open_page, f">one\n{SITE}\n>two\nGC{SITE}\n>three\n{SITE[:20]}\n")
    expect(page.get_by_role("heading", name="one")).to_be_visible()
    legend = page.locator("text.legendtext")
    for control, option, shown in (
        ("Model", "mine (Pear", page.get_by_text(re.compile(r"^mine .* bases"))),
        ("Compare with", "theirs (Pear", legend.filter(has_text="theirs")),
        ("Strand", "both", page.get_by_text("both strands averaged")),
    ):
        pick(page, control, option)
        expect(shown).to_be_visible()  # else the next list may change its options below the pointer
    threshold = page.get_by_role("spinbutton", name="Call sites from")
    threshold.fill("2.25")
    threshold.press("Enter")
    expect(page.get_by_text("of at least 2.25")).to_be_visible()
    at_rest(page)
    table = page.get_by_test_id("stDataFrame").first
    table.click(position=SECOND_ROW)
    expect(page.get_by_role("heading", name="two")).to_be_visible()
    expect(page).to_have_url(re.compile("[?&]record=2"))
    assert SITE[:8] not in page.url
    page.reload()
    expect(page.get_by_role("heading", name="two")).to_be_visible()
    expect(page.get_by_text("of at least 2.25")).to_be_visible()
    expect(page.get_by_text("both strands averaged")).to_be_visible()
    expect(legend.filter(has_text="predicted: mine")).to_be_visible()
    expect(legend.filter(has_text="theirs")).to_be_visible()
    expect(page.get_by_role("combobox", name="Model")).to_have_value(re.compile("^mine"))


def test_a_refresh_brings_back_a_file_and_the_record_that_was_open_in_it(
    server: Server, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    file = tmp_path / "my genes.fa"
    file.write_text(f">one\n{SITE}\n>two\nGC{SITE}\n")
    page = open_page(f"{server.url}/predict")
    page.get_by_role("button", name="Open a file").click()
    page.locator("input[type=file]").set_input_files(file)
    expect(page.get_by_role("heading", name="one")).to_be_visible()
    page.keyboard.press("Escape")
    at_rest(page)
    page.get_by_test_id("stDataFrame").first.click(position=SECOND_ROW)
    expect(page.get_by_role("heading", name="two")).to_be_visible()
    expect(page).to_have_url(re.compile("[?&]record=2"))
    expect(page).to_have_url(re.compile("[?&]f="))
    page.reload()
    expect(page.get_by_role("heading", name="two")).to_be_visible()
    expect(page.get_by_text("From the file my genes.fa")).to_be_visible()
    page.get_by_role("button", name="Take the file out").click()
    expect(page.get_by_text("Nothing to score yet")).to_be_visible()
    expect(page).not_to_have_url(re.compile("[?&]f="))


def test_a_hostile_header_is_only_text_and_what_a_score_means_is_one_click_away(
    server: Server, open_page: Callable[..., Page]
) -> None:
    page = open_page(f"{server.url}/predict")
    name = "**B**<img/src=http://evil.example/x><script>alert(1)</script>![i](http://evil.example/i)"
    page.get_by_role("textbox", name="DNA sequence").fill(f">{name}\n{SITE}")
    page.get_by_test_id("stBaseButton-primary").click()
    expect(page.get_by_text("1 site of at least 2.183 nats")).to_be_visible()
    assert page.locator("img[src*='evil']").count() == 0
    expect(page.get_by_role("heading", name="**B**<img/src=http")).to_be_visible()
    page.get_by_role("button", name="What does a score mean?").click()
    expect(page.get_by_text("not occupancy in a cell")).to_be_visible()


def plot(page: Page, key: str) -> Locator:
    """Where the chart of this key can be clicked."""
    return page.locator(f"[class*='st-key-{key}'] .nsewdrag")


def axis(page: Page) -> list[float]:
    found: list[float] = page.evaluate(f"{PROFILE}.layout.xaxis.range")
    return found


def test_records_and_sites_open_by_a_click(server: Server, open_page: Callable[..., Page]) -> None:
    page = pasted(server, open_page, f">first\n{SITE[:36]}\n>second\n{SITE}\n>third\n{SITE[:36]}")
    expect(page.get_by_role("heading", name="first")).to_be_visible()
    expect(page.get_by_text("No site")).to_be_visible()
    at_rest(page)
    expect(plot(page, "stack")).to_have_count(3)
    plot(page, "stack").nth(1).click(position={"x": 20, "y": 25})
    expect(page.get_by_role("heading", name="second")).to_be_visible()
    expect(page.get_by_text("1 site of at least 2.183 nats")).to_be_visible()
    at_rest(page)
    page.wait_for_function(f"{PROFILE}?.layout?.xaxis.range[1] === {len(SITE) + 0.5}")
    assert axis(page) == [0.5, len(SITE) + 0.5]
    whole = plot(page, "profile").bounding_box()
    assert whole
    top_of_site = {"x": whole["width"] * 40 / len(SITE), "y": whole["height"] * 0.12}
    plot(page, "profile").click(position=top_of_site)
    expect(page.get_by_role("button", name="Show all")).to_be_visible()
    page.wait_for_function(f"{PROFILE}?.layout?.xaxis.range[0] > 10")
    assert 10 < axis(page)[0] < 37 < 43 < axis(page)[1] < 70
    expect(page.get_by_role("spinbutton", name="Position")).to_have_value(re.compile("^(3[6-9]|4[0-5])$"))
    page.get_by_role("button", name="Show all").click()
    page.wait_for_function(f"{PROFILE}?.layout?.xaxis.range[0] < 1")


@pytest.mark.slow
def test_a_killed_background_job_is_said_and_goes_on_to_a_file(
    server: Server, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    codes = np.random.default_rng(3).integers(0, 4, 8_000_000)
    genome = tmp_path / "my genome.fa"
    genome.write_bytes(b">chr9\n" + np.frombuffer(b"ACGT", np.uint8)[codes].tobytes() + b"\n")
    page = open_page(f"{server.url}/predict")
    page.get_by_role("button", name="Open a file").click()
    page.locator("input[type=file]").set_input_files(genome)
    expect(page.get_by_text("at most 10,000 records and 2,000,000 bases in all")).to_be_visible()
    page.keyboard.press("Escape")
    pick(page, "Format", "Called sites (BED)")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text("scoring:")).to_be_visible()
    (job,) = jobs.list_jobs(server.home)
    os.kill(read_json(job.folder / jobs.PROCESS)["owner"]["pid"], signal.SIGKILL)
    expect(page.get_by_text("the process ended without a word")).to_be_visible()
    page.reload()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Download (")).to_be_visible(timeout=90_000)
    at_rest(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download (").click()
    assert download.value.suggested_filename == "my_genome.bed"
    content = download.value.path().read_bytes()
    assert content == jobs.output(job, jobs.read_request(job)).read_bytes()
    assert content.count(b"\nchr9\t") > 1000
