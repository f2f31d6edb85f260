"""The charts of sweeps of any size, and what a browser still does beside them."""

import re
from collections.abc import Callable
from dataclasses import asdict
from itertools import count
from pathlib import Path

import pytest
from driving import CHART, Server, at_rest, wait_until
from playwright.sync_api import Page, expect
from raced import make_race
from stand_in import make_run

from tfbind import runs
from tfbind.data.leaks import Leaks
from tfbind.evaluation import baselines
from tfbind.evaluation.baselines import Baseline, SplitBaselines
from tfbind.store.schema import write_json

MOST_MS = 200  # between two calls of a timer of 50 ms
LOOK_MS = 2_000
NARROW = 390
LONG = "fitted to all of the training windows " * 4

# The longest time for which the page did nothing else, over a while that begins now.
WATCH = f"""(number) => {{
    window.gaps ??= {{}}
    let last = performance.now(), longest = 0
    const timer = setInterval(() => {{
        longest = Math.max(longest, performance.now() - last)
        last = performance.now()
    }}, 50)
    setTimeout(() => {{ clearInterval(timer); window.gaps[number] = longest }}, {LOOK_MS})
}}"""

MEASURES = """() => [...document.querySelectorAll('.live-chart')].map(node => ({
    width: node.clientWidth, plot: node._fullLayout._size.w, height: node._fullLayout._size.h,
    range: node._fullLayout.yaxis.range, names: node.data.map(trace => trace.name)}))"""

# Where a value of a trace is on the screen, and its whole name.
POINT = """([chart, trace, place]) => {
    const node = document.querySelectorAll('.live-chart')[chart], {xaxis, yaxis} = node._fullLayout
    const box = node.getBoundingClientRect(), data = node.data[trace]
    return {x: box.x + xaxis._offset + xaxis.d2p(data.x[place]), y: box.y + yaxis._offset + yaxis.d2p(data.y[place])}
}"""


pytestmark = pytest.mark.usefixtures("toy")


def await_calm(page: Page) -> None:
    """Wait until timers are called in time; in a tab that is frozen they never are."""
    numbers = count()

    def calm() -> bool:
        number = next(numbers)
        page.wait_for_function(f"number => {{ ({WATCH})(number); return true }}", arg=number, timeout=20_000)
        found = page.wait_for_function("number => window.gaps[number]", arg=number, timeout=20_000)
        return bool(found.evaluate("gap => gap") < MOST_MS)

    wait_until(calm, 60)


def open_race(server: Server, open_page: Callable[..., Page], count: int, width: int = 1280, **made: int) -> Page:
    sweep = make_race(server.home, count, **made)
    page = open_page(f"{server.url}/sweep?sweep={sweep.id}", width=width)
    expect(page.locator(CHART)).not_to_have_count(0)
    await_calm(page)
    at_rest(page)
    return page


@pytest.mark.parametrize(("runs_of_it", "width"), [(8, 1280), (50, 1280), (50, 390)])
def test_a_sweep_of_any_size_is_drawn_and_leaves_the_tab_alive(
    server: Server, open_page: Callable[..., Page], runs_of_it: int, width: int
) -> None:
    page = open_race(server, open_page, runs_of_it, width, diverged=1)
    expect(page.get_by_text(f"{runs_of_it} finished")).to_be_visible()
    loss, pearson = page.evaluate(MEASURES)
    for chart in (loss, pearson):
        assert chart["plot"] > 0.6 * chart["width"]
        assert chart["height"] > 180
    assert loss["range"][0] >= 0, "a loss is never below zero"
    assert 0.8 < loss["range"][1] < 3, "the run that diverged flattens all others"
    assert -0.7 < pearson["range"][0] < pearson["range"][1] < 1.2
    charts = page.locator(".live-chart")
    expect(charts.first.locator(".annotation")).to_have_text(["1 run beyond"])
    expect(charts.nth(1).locator(".annotation")).to_have_count(0)
    names = page.locator(".live-chart").first.locator(".legendtext")
    rest = [f"{runs_of_it - 3} other runs"] if runs_of_it > 8 else []
    texts = names.all_text_contents()
    assert texts[: len(rest)] == rest
    assert len(texts) == (4 if rest else 8)
    assert len(set(texts)) == len(texts), "two runs have the same name in the legend"
    for box in [name.bounding_box() for name in names.all()]:
        assert box
        assert box["width"] <= loss["width"] / 3
        assert box["x"] + box["width"] <= width


def test_names_of_the_rest_are_under_the_pointer(server: Server, open_page: Callable[..., Page]) -> None:
    page = open_race(server, open_page, 50)
    page.locator(".live-chart").first.scroll_into_view_if_needed()
    last = page.evaluate("document.querySelector('.live-chart').data[0].x.length - 2")
    place = page.evaluate(POINT, [0, 0, last])
    page.mouse.move(place["x"], place["y"])
    shown = page.locator(".live-chart .hovertext").first
    whole = r"learning rate 0\.01, early stopping\s*patience 105, num channels 32: 1\.001"  # on two lines
    expect(shown).to_contain_text(re.compile(whole))
    zoom = "document.querySelector('.live-chart')"
    page.evaluate(f"window.tfbindPlotly.then(plotly => plotly.relayout({zoom}, {{'yaxis.range': [0, 0.2]}}))")
    await_calm(page)


def test_a_pruned_run_that_is_best_is_called_pruned(server: Server, open_page: Callable[..., Page]) -> None:
    page = open_race(server, open_page, 21, pruned=1)
    expect(page.get_by_text("1 pruned · 20 finished")).to_be_visible()
    best = page.get_by_text("best so far").first
    expect(best).to_contain_text("learning rate 0.0001, early stopping patience 101 (pruned) with validation loss")
    place = page.evaluate(POINT, [0, 1, 5])
    page.mouse.move(place["x"], place["y"])
    expect(page.locator(".live-chart .hovertext").first).to_contain_text("101 (pruned): 0.02")


def long_baselines(home: Path) -> runs.Run:
    """A finished run beside simpler models whose names are longer than its chart is wide."""
    run = make_run(home, "finished", 5, dataset_hash="c" * 64)
    write_json(run.folder / runs.CONFIG, runs.read_record(run) | {"split_hash": "d" * 64})
    simpler = [
        Baseline(str(number), f"a matrix of number {number}, {LONG}", "", val_pearsonr=r)
        for number, r in enumerate([0.7, 0.701, 0.9])
    ]
    kept = home / baselines.FOLDER / f"{'c' * 24}-{'d' * 24}-{baselines.FORMAT}.json"
    kept.parent.mkdir(exist_ok=True)
    write_json(kept, asdict(SplitBaselines(simpler, Leaks(0, 0, ()))))
    return run


def test_long_names_of_level_lines_leave_a_narrow_chart_its_room(
    server: Server, open_page: Callable[..., Page]
) -> None:
    run = long_baselines(server.home)
    page = open_page(f"{server.url}/?run={run.id}", width=NARROW)
    names = page.locator(".live-chart").nth(1).locator(".annotation")
    expect(names).to_have_count(3)
    await_calm(page)
    _, pearson = page.evaluate(MEASURES)
    assert pearson["plot"] > 0.5 * pearson["width"]
    assert 0.1 < pearson["range"][0] < pearson["range"][1] < 1.2, "the names widen the axis"
    assert all(text.startswith("a matrix of") and text.endswith("…") for text in names.all_text_contents())
    for box in [name.bounding_box() for name in names.all()]:
        assert box
        assert box["x"] + box["width"] <= NARROW
    names.nth(0).hover()
    expect(page.locator(".live-chart .hovertext").first).to_contain_text("training windows")
