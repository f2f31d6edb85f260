"""Runs pulled in the browser from a server that fails half way, narrowed by the filter, and cleared."""

from collections.abc import Callable

import pytest
from driving import Server
from playwright.sync_api import Page, expect
from wandb_server import ENTITY, KEY, Fault, StoredRun, WandbServer

RUNS = 20


@pytest.mark.slow
def test_a_pull_that_fails_half_way_goes_on_and_hidden_runs_can_be_cleared(
    server: Server, open_page: Callable[..., Page]
) -> None:
    with WandbServer() as remote:
        for number in range(RUNS):
            config = {"learning_rate": {"value": 0.1 if number % 2 else 0.01}, "seed": {"value": number}}
            run = StoredRun(ENTITY, "big", f"run{number}", f"run {number}", config, state="finished")
            run.history = [{"_step": e, "epoch": e, "val_loss": 1 / e, "val_pearsonr": 1 - 1 / e} for e in (1, 2, 3)]
            run.summary = run.history[-1]
            remote.add(run)
        page = open_page(f"{server.url}/compare")
        page.get_by_text("Runs from Weights & Biases", exact=True).click()
        page.get_by_role("textbox", name="Server").fill(remote.url)
        page.get_by_role("textbox", name="Key").fill(KEY)
        ask(page, "lab/none")
        expect(page.get_by_text("has no lab/none (404)")).to_be_visible()
        ask(page, "lab/big/sweeps/nope")
        expect(page.get_by_text("has no run of a sweep 'nope' in lab/big")).to_be_visible()
        ask(page, "lab/big")
        expect(page.get_by_text(f"{RUNS} runs of lab/big, just now.")).to_be_visible()
        remote.fault = Fault("401", "RunFullHistory", after=12)
        page.get_by_role("button", name="Get their curves").click()
        expect(page.get_by_text("refuses the key (401)")).to_be_visible(timeout=15_000)
        expect(page.get_by_text(f"of {RUNS} curves came before that and are kept")).to_be_visible()
        remote.fault = None
        page.get_by_role("button", name="Get their curves").click()
        expect(page.get_by_role("button", name="Get their curves")).to_be_hidden()
        expect(page.locator(".st-key-curves .main-svg").first).to_be_visible()
        page.get_by_label("Filter", exact=True).fill("learning_rate 0.01")
        page.get_by_label("Filter", exact=True).press("Enter")
        expect(page.get_by_text("10 selected runs are hidden by the filter")).to_be_visible()
        page.get_by_role("button", name="Clear them").click()
        expect(page.get_by_text("One setting only")).to_be_visible()
        expect(page.get_by_text("hidden by the filter")).to_be_hidden()


def ask(page: Page, path: str) -> None:
    page.get_by_label("Project or sweep").fill(path)
    page.get_by_role("button", name="Pull", exact=True).click()
