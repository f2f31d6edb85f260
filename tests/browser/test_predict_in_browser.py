"""The way of a biologist in a real browser: paste, read, change a base, take a file away."""

import time
from collections.abc import Callable

from driving import Server
from playwright.sync_api import Page, expect

SITE = "GCATCCGTAGCGCTCAGCTCGGATCCGATTGCACGG" + "TGTTTACTTAGG" + "ATCTCAGGCTATCGCAGGCTCCATGCGCTACCGG"


def test_paste_read_edit_export_in_under_a_minute(server: Server, open_page: Callable[..., Page]) -> None:
    page = open_page(f"{server.url}/predict")
    expect(page.get_by_text("Nothing to score yet")).to_be_visible()
    started = time.monotonic()
    box = page.get_by_role("textbox", name="DNA sequence")
    box.fill(f">my enhancer\n{SITE}")
    page.get_by_test_id("stBaseButton-primary").click()
    expect(page.get_by_text("1 site of at least 3 nats")).to_be_visible()
    expect(page.locator("text.legendtext", has_text="known motif")).to_be_visible()
    page.get_by_role("spinbutton", name="Position").fill("41")
    page.get_by_role("spinbutton", name="Position").press("Enter")
    expect(page.get_by_text("now T")).to_be_visible()
    page.get_by_role("radio", name="C", exact=True).click()
    expect(page.get_by_text("Changed: 41 T>C.")).to_be_visible()
    expect(page.get_by_text("scores 3 nats or more in this sequence")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("1 site of at least 3 nats")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_test_id("stDownloadButton").get_by_role("button").click()
    assert time.monotonic() - started < 60
    header, row = download.value.path().read_text().splitlines()
    assert header.split(",")[:3] == ["window_name", "0", "1"]
    cells = row.split(",")
    assert len(cells) == 1 + len(SITE)
    scores = [float(cell) for cell in cells[1:]]
    assert 36 <= scores.index(max(scores)) <= 43
    assert "ACGG" not in page.url
    page.wait_for_url("**/predict?q=*")
    page.reload()
    expect(page.get_by_text("1 site of at least 3 nats")).to_be_visible()
    expect(page.get_by_role("textbox", name="DNA sequence")).to_have_value(f">my enhancer\n{SITE}")


def test_what_a_score_means_is_one_click_away(server: Server, open_page: Callable[..., Page]) -> None:
    page = open_page(f"{server.url}/predict")
    page.get_by_role("button", name="What does a score mean?").click()
    expect(page.get_by_text("not occupancy in a cell")).to_be_visible()


def test_a_hostile_header_is_only_text(server: Server, open_page: Callable[..., Page]) -> None:
    page = open_page(f"{server.url}/predict")
    name = "**B**<img/src=http://evil.example/x><script>alert(1)</script>![i](http://evil.example/i)"
    page.get_by_role("textbox", name="DNA sequence").fill(f">{name}\n{SITE}")
    page.get_by_test_id("stBaseButton-primary").click()
    expect(page.get_by_text("1 site of at least 3 nats")).to_be_visible()
    assert page.locator("img[src*='evil']").count() == 0
    expect(page.get_by_role("heading", name="**B**<img/src=http")).to_be_visible()
