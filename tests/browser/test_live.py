"""The live chart and the view of a run, fed by a stand-in worker."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from driving import CHART, Server, at_rest, wait_until
from playwright.sync_api import Page, expect
from stand_in import make_rows, make_run, report_progress
from visitor import Visitor, visiting

from tfbind import runs
from tfbind.data.leaks import Leaks
from tfbind.evaluation import baselines
from tfbind.evaluation.baselines import Baseline, SplitBaselines
from tfbind.runs.folder import Run
from tfbind.store.schema import write_json

WRITER = """
import sys, time
sys.path[:0] = [{project!r}, {tests!r}]
from pathlib import Path
from stand_in import make_rows, report_progress
from tfbind.runs import folder as runs
run = runs.Run(Path({folder!r}))
for row in make_rows(1000)[len(runs.read_rows(run)):]:
    runs.append_row(run, row)
    print(time.time(), flush=True)
    time.sleep({period})
"""

COUNT_MESSAGES = """() => {
    window.sent = 0
    const send = WebSocket.prototype.send
    WebSocket.prototype.send = function (data) { window.sent++; send.call(this, data) }
}"""


@contextmanager
def writer(run: Run, period: float) -> Iterator["subprocess.Popen[str]"]:
    """Another process that appends an epoch every `period` seconds and prints when."""
    tests = Path(__file__).parents[1]
    code = WRITER.format(project=str(tests.parent), tests=str(tests), folder=str(run.folder), period=period)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def run(home: Path) -> Run:
    run = make_run(home, "running", 20, name="my run")
    report_progress(run, 4, 37)
    return run


def drawn(page: Page, chart: int) -> list[dict[str, object]]:
    """The curves of a chart (0 loss, 1 Pearson) as Plotly holds them."""
    script = """([chart]) => [...document.querySelectorAll('.live-chart')[chart].data ?? []]
        .map(trace => ({name: trace.name, x: [...trace.x], y: [...trace.y], dash: trace.line.dash}))"""
    found: list[dict[str, object]] = page.evaluate(script, [chart])
    return found


def test_drawn_curves_equal_the_rows_and_the_server_has_not_loaded_torch(
    server: Server, run: Run, open_page: Callable[..., Page]
) -> None:
    page = open_page(f"{server.url}/?run={run.id}")
    expect(page.locator(".live-chart:has(.main-svg)")).to_have_count(2)
    rows = make_rows(20)
    for chart, fields in enumerate([("val_loss", "train_loss"), ("val_pearsonr", "val_pearsonr_window")]):
        for curve, field, dash in zip(drawn(page, chart), fields, ("solid", "dot"), strict=True):
            assert curve["x"] == [row["epoch"] for row in rows]
            assert curve["y"] == pytest.approx([row[field] for row in rows], rel=1e-4)
            assert curve["dash"] == dash
    expect(page.get_by_role("button", name="Download plot")).to_have_count(2)
    expect(page.get_by_role("button", name="Share chart")).to_have_count(0)  # it uploads to another machine
    if not Path("/proc").exists():
        pytest.skip("no /proc here to see what a process has loaded")
    loaded = Path(f"/proc/{server.pid}/maps").read_text()
    assert "numpy" in loaded, "this check sees nothing at all"
    assert "torch" not in loaded


def test_zoom_and_hidden_curves_survive_updates(server: Server, run: Run, open_page: Callable[..., Page]) -> None:
    page = open_page(f"{server.url}/?run={run.id}")
    expect(page.locator(CHART).first).to_be_visible()
    plot = page.locator(".live-chart .nsewdrag").first
    box = plot.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.4)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.45, steps=5)
    page.mouse.up()
    page.locator(".live-chart .legendtoggle").nth(1).click()
    page.wait_for_function("document.querySelector('.live-chart').data[1].visible === 'legendonly'")
    page.evaluate("window.marked = document.querySelector('.live-chart .main-svg')")
    zoomed = page.evaluate("document.querySelector('.live-chart').layout.xaxis.range")
    assert 4 < zoomed[0] < zoomed[1] < 14
    with writer(run, 0.3):
        page.wait_for_function("document.querySelector('.live-chart').data[0].x.length >= 30")
    after = page.evaluate("""() => {
        const chart = document.querySelector('.live-chart')
        return {range: chart.layout.xaxis.range, hidden: chart.data[1].visible,
                same: chart.querySelector('.main-svg') === window.marked}}""")
    assert after == {"range": zoomed, "hidden": "legendonly", "same": True}


def test_a_row_is_seen_soon_after_it_is_written(server: Server, run: Run, open_page: Callable[..., Page]) -> None:
    page = open_page(f"{server.url}/?run={run.id}")
    expect(page.locator(CHART).first).to_be_visible()
    waits = []
    with writer(run, 1.37) as process:
        assert process.stdout
        for _ in range(9):
            written = float(process.stdout.readline())
            epochs = len(runs.read_rows(run))
            page.wait_for_function(f"document.querySelector('.live-chart').data[0].x.length >= {epochs}", polling=20)
            waits.append(time.time() - written)
    assert statistics.median(waits) < 1.5, waits


def test_refresh_another_tab_and_the_side_bar_show_the_run_again(
    server: Server, run: Run, open_page: Callable[..., Page]
) -> None:
    page = open_page(f"{server.url}/?run={run.id}")
    for _ in range(2):
        expect(page.get_by_role("heading", name="my run")).to_be_visible()
        expect(page.get_by_text("Epoch 4 of 5")).to_be_visible()
        page.reload()
    other = open_page(f"{server.url}/data")
    other.get_by_role("link", name="my run").click()
    expect(other.get_by_role("heading", name="my run")).to_be_visible()
    expect(other).to_have_url(page.url)


def test_polling_ends_with_the_run(server: Server, home: Path, open_page: Callable[..., Page]) -> None:
    run = make_run(home, "running", 3)
    page = open_page(f"{server.url}/?run={run.id}")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.evaluate(COUNT_MESSAGES)
    page.wait_for_function("window.sent >= 2")
    run.set_state("finished", ended=time.time())
    expect(page.get_by_text("finished", exact=True).first).to_be_visible()
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)
    at_rest(page)
    sent = page.evaluate("window.sent")
    time.sleep(1.5)  # the server still collects garbage
    process = psutil.Process(server.pid)
    before = process.cpu_times()
    time.sleep(4)
    after = process.cpu_times()
    assert after.user - before.user < 0.2, "the server still works for a page on which nothing moves"
    assert page.evaluate("window.sent") == sent, "the page still asks"


def test_a_timer_that_is_late_does_not_start_a_run_of_its_own(server: Server, home: Path) -> None:
    run = make_run(home, "running", 3)
    visitor = Visitor(query=f"run={run.id}")
    with visiting(server, [visitor]):
        wait_until(lambda: visitor.offers("Stop") and visitor.updates > 2, 30, visitor.words)
        run.set_state("finished", ended=time.time())
        wait_until(lambda: "[finished]" in visitor.words(), 30, visitor.words)
        time.sleep(1)
        updates = visitor.updates
        assert visitor.look_late() >= 2, "the run and the side bar were to be looked at again and again"
        time.sleep(1)
        assert visitor.updates == updates
        assert visitor.complaints() == []


SIMPLER = {"table of 10-mers": 0.968, "fitted matrix": 0.9871, "JASPAR FOXC2": 0.9869, "motif scan": 0.993}


@pytest.fixture
def appraised(home: Path) -> Run:
    """A finished run of a data set of which simpler models were measured, nearly as good as each other."""
    run = make_run(home, "finished", 5, dataset_hash="a" * 64)
    write_json(run.folder / runs.CONFIG, runs.read_record(run) | {"split_hash": "b" * 64})
    simpler = [
        Baseline("ceiling" if name == "motif scan" else str(place), name, "", val_pearsonr=r)
        for place, (name, r) in enumerate(SIMPLER.items())
    ]
    kept = home / baselines.FOLDER / f"{'a' * 24}-{'b' * 24}-{baselines.FORMAT}.json"
    kept.parent.mkdir(exist_ok=True)
    write_json(kept, asdict(SplitBaselines(simpler, Leaks(0, 0, ()))))
    return run


@pytest.mark.parametrize("width", [1280, 390])
def test_level_lines_have_their_names_beside_them_one_below_the_other(
    server: Server, appraised: Run, open_page: Callable[..., Page], width: int
) -> None:
    page = open_page(f"{server.url}/?run={appraised.id}", width=width)
    names = page.locator(".live-chart .annotation")
    expect(names).to_have_text(["motif scan", "fitted matrix", "JASPAR FOXC2", "table of 10-mers"])
    page.wait_for_function("document.querySelectorAll('.live-chart')[1].layout.annotations[1].yshift < 0")
    at_rest(page)
    boxes = [name.bounding_box() for name in names.all()]
    places = [(box["y"], box["x"] + box["width"]) for box in boxes if box]
    assert all(lower - upper >= 12 for (upper, _), (lower, _) in pairwise(places))
    assert all(right <= width for _, right in places)
    assert [curve["dash"] for curve in drawn(page, 1)][:4] == ["dot", "dot", "dot", "dash"]
    page.evaluate("window.Plotly = null")  # Streamlit's own build, once it is loaded, takes that name
    zoom = "plotly.relayout(document.querySelectorAll('.live-chart')[1], {'yaxis.range': [0.98, 1]})"
    page.evaluate(f"window.tfbindPlotly.then((plotly) => {zoom})")
    expect(names).to_have_text(["motif scan", "fitted matrix", "JASPAR FOXC2"])  # the other line is out of sight
    page.wait_for_function("document.querySelectorAll('.live-chart')[1].layout.yaxis.range[0] === 0.98")


def test_charts_follow_the_theme(server: Server, home: Path, open_page: Callable[..., Page]) -> None:
    run = make_run(home, "finished", 5)
    page = open_page(f"{server.url}/?run={run.id}")
    expect(page.locator(CHART).first).to_be_visible()
    colour = "document.querySelector('.live-chart').layout.font.color"
    light = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"{colour} !== '{light}'")
    curve = page.evaluate("document.querySelector('.live-chart').data[0].line.color")
    assert curve == "#56b4e9"
    page.locator(".live-chart").first.hover()
    with page.expect_download() as picture:
        page.locator(".live-chart .modebar-btn").first.click()
    assert "fill: rgb(15, 20, 25); fill-opacity: 1" in picture.value.path().read_text()  # below its light letters
