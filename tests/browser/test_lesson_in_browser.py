"""The lesson as a student walks through it, with real runs on a small copy of the built-in data."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from driving import serve, stop_workers
from playwright.sync_api import Page, expect

from tfbind import runs
from tfbind.data.dataset import make_builtin
from tfbind.sweeps import sweep_folder
from ui import lesson

RUNS_MS = 240_000


@pytest.fixture(autouse=True)
def no_worker_left(tmp_path: Path) -> Iterator[None]:
    yield
    stop_workers(tmp_path)


def go_on(page: Page, title: str, wait_ms: int = 30_000) -> None:
    button = page.get_by_role("button", name=f"Next: {title}")
    expect(button).to_be_enabled(timeout=wait_ms)
    button.click()
    expect(page.get_by_role("heading", name=title)).to_be_visible()


@pytest.mark.slow
def test_from_the_data_to_a_model_of_ones_own(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    make_builtin(tmp_path, windows=1_000)
    with serve(tmp_path) as server:
        page = open_page(f"{server.url}/lesson")
        expect(page.get_by_test_id("stPlotlyChart")).to_be_visible()
        go_on(page, "Guess")
        expect(page.get_by_role("button", name="Next: Run three")).to_be_disabled()
        page.get_by_text("0.002", exact=True).click()
        go_on(page, "Run three learning rates")
        page.reload()
        page.get_by_role("button", name="Start the runs").click()
        expect(page.get_by_text("of 9 runs ended")).to_be_visible()
        go_on(page, "Read the verdict", RUNS_MS)
        expect(page.get_by_text("Your guess was 0")).to_be_visible()
        expect(page.get_by_text("95 % interval").first).to_be_visible()
        go_on(page, "Widen the first kernel")
        page.get_by_role("button", name="Start the runs").click()
        go_on(page, "See the ceiling move", RUNS_MS)
        expect(page.get_by_text("Look for the ceiling before you tune")).to_be_visible()
        go_on(page, "Score a sequence")
        expect(page.get_by_text("nats above background.")).to_be_visible()
        page.get_by_label("DNA").fill("ACGTXACGT")
        page.keyboard.press("Enter")
        expect(page.get_by_text("'X'")).to_be_visible()
        page.close()
    sweeps = {sweep_folder.sweep_name(sweep): sweep for sweep in sweep_folder.list_sweeps(tmp_path)}
    counts = {name: len(sweep_folder.sweep_runs(sweep)) for name, sweep in sweeps.items()}
    assert counts == {lesson.RATES_NAME: 9, lesson.KERNELS_NAME: 3}
    assert {run.state for run in runs.list_runs(tmp_path)} == {"finished"}
