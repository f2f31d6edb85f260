"""A sweep from the example to its winner, as a user drives it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from driving import CHART, Server, pick, wait_until
from playwright.sync_api import Page, expect

from tfbind.sweeps import sweep_folder


@pytest.mark.slow
def test_from_the_example_to_the_winner(server: Server, home: Path, toy: str, open_page: Callable[..., Page]) -> None:
    page = open_page(f"{server.url}/sweep")
    page.get_by_role("button", name="Use the example").click()
    expect(page.get_by_role("textbox", name="Sweep file")).to_have_value(sweep_folder.EXAMPLE.read_text())
    pick(page, "Data set", toy)
    expect(page.get_by_test_id("stCode").first).to_contain_text(f"--dataset {toy}")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_text("runs ended").first).to_be_visible()
    expect(page.locator(CHART).first).to_be_visible()
    expect(page.get_by_text("3 finished")).to_be_visible(timeout=90_000)
    expect(page.get_by_text("best so far")).to_be_visible()
    (sweep,) = sweep_folder.list_sweeps(home)
    wait_until(lambda: sweep.state == "finished", 30)
    expect(page).to_have_url(re.compile(f"sweep={sweep.id}"))
    names = "document.querySelector('.live-chart').data.map(trace => [trace.name, trace.x.length])"
    drawn = [[f"learning rate {rate}", 5] for rate in (0.01, 0.001, 0.0001)]
    wait_until(lambda: page.evaluate(names) == drawn, 30, lambda: page.evaluate(names))
    page.reload()
    expect(page.get_by_text("3 finished")).to_be_visible()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("learning_rate 0.01 has the best figure").first).to_be_visible()
