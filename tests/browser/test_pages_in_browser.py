"""What only a browser shows: the first screen, narrow windows, deep links, clicks, and nothing from elsewhere."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from driving import CHART, Server, at_rest, pick, serve
from playwright.sync_api import Page, expect
from stand_in import CONFIG, make_pair, make_run, report_progress, write_validation

from tfbind import runs
from tfbind.data.dataset import import_pair, make_builtin, open_dataset
from ui.widgets.session import USERS

HOSTILE = "**B** <img src=x> ![i](http://evil) :material/home: $x$ www.evil.com"


@pytest.fixture
def small(home: Path, tmp_path: Path) -> str:
    return import_pair(home, *make_pair(tmp_path), "small").name


def test_first_screen_shows_start_and_what_it_will_do(server: Server, open_page: Callable[..., Page]) -> None:
    page = open_page(server.url)
    expect(page.get_by_role("button", name="Start")).to_be_in_viewport(ratio=1)
    for text in (
        "a score for each base out",
        "Training windows",
        "Receptive field",
        "Parameters",
        "Takes about",
        "GB of disk free",
    ):
        expect(page.get_by_text(text).first).to_be_in_viewport(ratio=1)
    command = page.get_by_test_id("stCode")
    expect(command).to_be_in_viewport(ratio=1)
    expect(command).to_contain_text("-m tfbind train --dataset builtin")


def test_a_phone_shows_everything_without_sideways_scrolling(
    server: Server, home: Path, open_page: Callable[..., Page]
) -> None:
    run = make_run(home, "finished", 5, name="a long name " * 6)
    for address in ("", f"?run={run.id}", "data"):
        page = open_page(f"{server.url}/{address}", 390, 844)
        expect(page.get_by_role("heading").first).to_be_visible()
        at_rest(page)
        main = "document.querySelector('[data-testid=stMain]')"
        page.wait_for_function(f"{main}.scrollWidth <= {main}.clientWidth")
    ways = open_page(f"{server.url}/sweep", 390, 844).get_by_role("radio", name="Guided")
    ways.scroll_into_view_if_needed()
    expect(ways).to_be_in_viewport(ratio=1)
    scores = page.get_by_test_id("stFileUploader").filter(has=page.get_by_text("Scores", exact=True)).bounding_box()
    name = page.get_by_role("textbox", name="Name of the data set").bounding_box()
    assert scores
    assert name
    assert scores["y"] < name["y"]
    for address in ("sweep", ""):
        page.goto(f"{server.url}/{address}")
        expect(page.get_by_role("button", name="Start", exact=True)).to_be_in_viewport(ratio=1)
    expect(page.get_by_text("Takes about")).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("path", ["data", "train?run=mine"])
def test_a_new_server_asked_for_a_page_shows_the_whole_app(
    tmp_path: Path, open_page: Callable[..., Page], path: str
) -> None:
    report_progress(make_run(tmp_path, "running", 2, id="mine", name="side job"), 3, 10)
    with serve(tmp_path) as server:
        page = open_page(f"{server.url}/{path}")
        expect(page.get_by_role("link", name="3/5 · side job")).to_be_visible()
        expect(page.get_by_role("link", name="Train", exact=True)).to_be_visible()
        page.close()


def test_the_train_page_is_found_by_its_name_too(server: Server, home: Path, open_page: Callable[..., Page]) -> None:
    run = make_run(home, "finished", 5, name="bookmarked")
    running = make_run(home, "running", 5, name="in the side bar")
    page = open_page(f"{server.url}/data")
    expect(page.get_by_role("heading", name="Data", exact=True)).to_be_visible()
    page.goto(f"{server.url}/train?run={run.id}")
    expect(page.get_by_role("heading", name="bookmarked")).to_be_visible()
    page.get_by_role("button", name="New run").click()
    expect(page.get_by_role("button", name="Start")).to_be_visible()
    expect(page.get_by_text("Page not found")).to_have_count(0)
    expect(page.get_by_role("link", name="Train", exact=True)).to_have_count(1)
    page.get_by_role("link", name="in the side bar").click()
    expect(page.get_by_role("heading", name="in the side bar")).to_be_visible()
    expect(page).to_have_url(f"{server.url}/?run={running.id}")
    for earlier in ("Train a model", "bookmarked", "Data"):
        page.go_back()
        expect(page.get_by_role("heading", name=earlier, exact=True)).to_be_visible()


def test_a_click_on_an_earlier_run_opens_it(server: Server, home: Path, open_page: Callable[..., Page]) -> None:
    make_run(home, "finished", 5, name="the one to open")
    page = open_page(server.url)
    expect(page.get_by_text("Click a row to open that run.")).to_be_visible()
    at_rest(page)
    table = page.get_by_test_id("stDataFrame")
    table.scroll_into_view_if_needed()
    table.click(position={"x": 60, "y": 50})
    expect(page.get_by_role("heading", name="the one to open")).to_be_visible()
    page.get_by_role("button", name="New run").click()
    expect(page.get_by_role("button", name="Start")).to_be_visible()
    expect(page).to_have_url(f"{server.url}/")


def test_a_double_click_starts_one_run_with_the_text_of_the_field_that_it_left(
    server: Server, home: Path, small: str, open_page: Callable[..., Page]
) -> None:
    page = open_page(server.url)
    pick(page, "Data set", small)
    expect(page.get_by_text(f"--dataset {small}")).to_be_visible()
    page.get_by_role("textbox", name="Learning rate").fill("0.123")
    page.get_by_role("button", name="Start").dblclick()
    page.wait_for_url("**/?run=*")
    expect(page.get_by_role("button", name="New run")).to_be_visible()
    at_rest(page)
    (run,) = runs.list_runs(home)
    assert runs.read_config(run).learning_rate == 0.123


def test_hostile_names_are_text_everywhere(
    server: Server, home: Path, small: str, open_page: Callable[..., Page]
) -> None:
    config = CONFIG.model_copy(update={"dataset": small})
    done = make_run(home, "finished", 5, name=HOSTILE, config=config)
    write_validation(done, np.asarray(open_dataset(home, small).scores))
    for run in (make_run(home, "running", 5, name=HOSTILE), done):
        page = open_page(f"{server.url}/?run={run.id}")
        shown = page.get_by_role("heading", level=2).inner_text().replace("\u2060", "")
        assert shown == HOSTILE
        expect(page.locator(CHART).first).to_be_visible()
        assert page.locator("img[src='x'], img[src*=evil], a[href*=evil]").count() == 0
    figures = page.get_by_test_id("stPlotlyChart")  # what was predicted and observed
    expect(figures).to_have_count(2)
    expect(figures.first.get_by_text("worst: chr1_")).to_be_visible()
    expect(page.get_by_role("button", name="Share chart")).to_have_count(0)
    expect(open_page(server.url).get_by_test_id("stDataFrame")).to_be_visible()


def test_import_in_the_browser(server: Server, home: Path, tmp_path: Path, open_page: Callable[..., Page]) -> None:
    sequences, scores = make_pair(tmp_path, turned=True)
    page = open_page(f"{server.url}/data")
    for label, file in (("Sequences", sequences), ("Scores", scores)):
        field = page.get_by_test_id("stFileUploader").filter(has=page.get_by_text(label, exact=True))
        field.locator("input[type=file]").set_input_files(file)
        expect(page.get_by_role("button", name=f"Remove {file.name}")).to_be_visible()  # it is there, not on its way
    page.get_by_role("textbox", name="Name of the data set").fill("uploaded")
    page.get_by_role("textbox", name="Name of the data set").press("Enter")
    page.get_by_role("button", name="Import").click()
    page.get_by_role("button", name="Read the scores with one row per window").click()
    expect(page.get_by_text("40 windows of 30 bases are ready")).to_be_visible()
    page.get_by_role("button", name="Train on it").click()
    expect(page.get_by_text("--dataset uploaded")).to_be_visible()
    assert list(home.glob(".upload.*")) == []


def test_what_a_tab_or_fold_of_the_data_page_holds_comes_when_it_is_opened(
    server: Server, home: Path, open_page: Callable[..., Page]
) -> None:
    make_builtin(home, windows=800)
    page = open_page(f"{server.url}/data?data=builtin")
    expect(page.get_by_text("Scores other than 0.")).to_be_visible()
    page.get_by_role("tab", name="Motif behind the scores").click()
    expect(page.get_by_text("A motif scan made these scores.")).to_be_visible()
    page.get_by_role("tab", name="Report").click()
    expect(page.get_by_text("SHA-256 of names, codes and scores")).to_be_visible()
    page.get_by_text("Disk and trash", exact=True).click()
    expect(page.get_by_text("GB free.")).to_be_visible()
    expect(page.get_by_text("SHA-256 of names, codes and scores")).to_be_visible()


def test_a_stranger_is_shown_a_button_and_no_names_of_pages(
    open_page: Callable[..., Page], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(USERS, "alice@lab.example")
    with serve(tmp_path) as running:
        page = open_page(f"{running.url}/data")
        expect(page.get_by_role("button", name="Log in")).to_be_visible()
        expect(page.get_by_test_id("stSidebarNav")).to_have_count(0)
        page.close()
