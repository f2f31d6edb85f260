"""From Start to a finished run with the real worker, over a refresh and a restart of the server; Stop and Resume."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from driving import CHART, Server, free_port, serve, stop_workers, wait_until
from playwright.sync_api import Page, expect

from tfbind import runs
from tfbind.config import PRESETS, TrainConfig
from tfbind.runs import launch, log

SECONDS = 240
EPOCHS = 12  # the three of the preset may be over before the page is read


@pytest.fixture
def own_home(tmp_path: Path) -> Iterator[Path]:
    """A home of which no worker is left."""
    yield tmp_path
    stop_workers(tmp_path)


@pytest.mark.slow
def test_start_refresh_restart_finished(own_home: Path, open_page: Callable[..., Page]) -> None:
    port = free_port()
    with serve(own_home, port) as server:
        page = open_page(server.url)
        page.get_by_role("button", name="Quick look").click()
        # What is typed before the preset is there may be lost, or keep it from coming.
        expect(page.get_by_text(f"--num-epochs {PRESETS['quick'].num_epochs}")).to_be_visible()
        epochs = page.get_by_role("spinbutton", name="Epochs")
        epochs.fill(str(EPOCHS))
        epochs.press("Enter")
        expect(page.get_by_text(f"--num-epochs {EPOCHS}")).to_be_visible()
        page.get_by_role("button", name="Start").click()
        page.wait_for_url("**/?run=*", timeout=60_000)
        expect(page.get_by_text(f"of {EPOCHS} · batch")).to_be_visible(timeout=60_000)
        expect(page.get_by_text("This run takes now: CPU")).to_be_visible()
        (run,) = runs.list_runs(own_home)
        worker = psutil.Process(run.status().pid)
        worker.suspend()  # else a quick machine may be at the end before the server is
        page.reload()
        expect(page.get_by_text(f"of {EPOCHS} · batch")).to_be_visible(timeout=60_000)
        address = page.url
        page.close()
    assert run.status().active, "the run ended with the server"
    worker.resume()
    with serve(own_home, port):
        page = open_page(address)
        expect(page.get_by_text("How good it is on windows")).to_be_visible(timeout=SECONDS * 1000)
        expect(page.get_by_text("finished", exact=True).first).to_be_visible()
        expect(page.get_by_test_id("stPlotlyChart")).to_have_count(2)
        expect(page.locator(CHART)).not_to_have_count(0)
        page.close()
    rows = runs.read_rows(run)
    assert [row["epoch"] for row in rows] == list(range(1, EPOCHS + 1))
    assert rows[-1]["val_pearsonr"] > 0.9


@pytest.mark.slow
def test_stop_and_resume(server: Server, home: Path, open_page: Callable[..., Page]) -> None:
    config = TrainConfig(num_channels=4, num_res_blocks=0, num_epochs=10_000, early_stopping_patience=10_000)
    run = launch.submit(home, config)
    page = open_page(f"{server.url}/?run={run.id}")
    wait_until(lambda: len(runs.read_rows(run)) >= 1, SECONDS, lambda: log.tail(run))
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("stopped", exact=True).first).to_be_visible()
    kept = len(runs.read_rows(run))
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    wait_until(lambda: len(runs.read_rows(run)) > kept, SECONDS, lambda: log.tail(run))
    page.get_by_role("button", name="Stop").click()
    wait_until(lambda: not run.status().active, 30)
    epochs = [row["epoch"] for row in runs.read_rows(run)]
    assert epochs == list(range(1, len(epochs) + 1))
