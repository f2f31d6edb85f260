"""From two ticked runs to a verdict that is read and a report that opens without a network."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from driving import Server, at_rest, wait_until
from playwright.sync_api import BrowserContext, Page, expect
from stand_in import CONFIG, make_rows

from tfbind.runs import folder
from tfbind.sweeps import sweep_folder
from tfbind.sweeps.spec import parse_spec

ROW, HEADER, TICK = 35, 35, 18  # pixels of the table, which is one picture


def finished(home: Path, id: str, rate: float, sweep: str | None = None) -> None:
    config = CONFIG.model_copy(update={"learning_rate": rate})
    facts = {"dataset_hash": "ab" * 32, "split_hash": "cd" * 32, "windows": 9, "length": 30, "sweep": sweep}
    run = folder.create(home, config, id=id, name=f"run {id}", facts=facts)
    for row in make_rows(5):
        folder.append_row(run, row | {"val_pearsonr": row["val_pearsonr"] - rate})
    run.set_state("finished", started=1.0, ended=2.0, device="cpu")


def test_tick_two_runs_read_the_verdict_take_the_report(
    server: Server, home: Path, open_page: Callable[..., Page], chromium: BrowserContext, tmp_path: Path
) -> None:
    finished(home, "a", 0.01)
    finished(home, "b", 0.001)
    page = open_page(f"{server.url}/compare?runs=a")
    expect(page.get_by_text("One setting only")).to_be_visible()
    at_rest(page)
    table = page.get_by_test_id("stDataFrame").first.bounding_box()
    assert table is not None
    page.mouse.click(table["x"] + TICK, table["y"] + HEADER + ROW / 2)  # b, the newest, is the first row
    expect(page.get_by_text("cannot be told. learning_rate 0.001 has the best figure").first).to_be_visible()
    expect(page).to_have_url(re.compile("runs=(a(,|%2C)b|b(,|%2C)a)$"))
    expect(page.locator(".st-key-curves .main-svg").first).to_be_visible()
    at_rest(page)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Report (HTML)").click()
    report = tmp_path / "report.html"
    waiting.value.save_as(report)
    page.reload()
    expect(page.get_by_text("cannot be told. learning_rate 0.001 has the best figure").first).to_be_visible()
    read_without_network(chromium, report)


@pytest.mark.slow
def test_a_sweep_is_compared_whatever_was_compared_before(
    server: Server, home: Path, open_page: Callable[..., Page]
) -> None:
    text = "method: grid\nparameters: {learning_rate: {values: [0.02, 0.002]}}\n"
    sweep = sweep_folder.create(home, parse_spec(text, CONFIG), name="two rates")
    finished(home, "c", 0.02, sweep.id)
    finished(home, "d", 0.002, sweep.id)
    finished(home, "e", 0.5)
    sweep.set_state("finished", started=1.0, ended=2.0)
    page = open_page(f"{server.url}/compare?runs=e", scheme="dark")
    expect(page.get_by_text("One setting only")).to_be_visible()
    page.get_by_role("link", name="Sweep").click()
    expect(page.get_by_role("heading", name="Sweeps so far")).to_be_visible()
    at_rest(page)
    page.get_by_test_id("stDataFrame").last.click(position={"x": 60, "y": HEADER + ROW / 2})
    expect(page.get_by_role("heading", name="two rates")).to_be_visible()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("cannot be told. learning_rate 0.002 has the best figure").first).to_be_visible()
    expect(page).to_have_url(re.compile(f"sweep={sweep.id}"))
    light = "rgb(232, 237, 242)"  # that of the letters
    expect(page.locator(".st-key-parallel .axis .domain").first).to_have_css("stroke", light)


def read_without_network(chromium: BrowserContext, report: Path) -> None:
    """Open a file as its reader does, and fail if it asks for anything else or logs an error."""
    page = chromium.new_page()
    complaints: list[str] = []
    page.on("request", lambda request: request.url.startswith(("file:", "data:")) or complaints.append(request.url))
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(report.as_uri())
    expect(page.get_by_text("One run each: cannot be told.").first).to_be_visible()
    expect(page.locator("#figure-curves-val-pearsonr .main-svg").first).to_be_visible()
    expect(page.get_by_text("python -m tfbind train --dataset builtin --learning-rate 0.001").first).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 800})
    wait_until(lambda: page.evaluate("document.documentElement.scrollWidth") <= 390, 20)
    page.close()
    assert complaints == []
