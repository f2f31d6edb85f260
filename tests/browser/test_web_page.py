"""A model as one web page, opened from the disk with the network off: it scores as the program does."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from driving import WAIT_MS
from playwright.sync_api import BrowserContext, Page, expect

from tfbind import scoring
from tfbind.config import TrainConfig, parse_config
from tfbind.dna import decode, encode

SITE = "GCTAGGTCACGATTCGGATCCATTGCAGGTGTAAACATTGCCGATCGTACCGTAGGCTAACGGTCATGCC"
LENGTHS = (1, 7, 100, 149, 300, 2_000, 20_000)
NETWORKS = {
    "layer": {"num_channels": 10, "num_res_blocks": 2, "norm": "layer"},
    "batch": {"num_channels": 20, "num_res_blocks": 1, "kernel_size": 5, "first_kernel_size": 9, "norm": "batch"},
    "plain": {"num_channels": 3, "num_res_blocks": 0, "norm": "batch"},
}


@pytest.fixture
def offline(chromium: BrowserContext) -> Iterator[BrowserContext]:
    assert chromium.browser is not None
    context = chromium.browser.new_context(offline=True)
    yield context
    context.close()


@pytest.fixture
def open_model(offline: BrowserContext, tmp_path: Path) -> Iterator[Callable[[str], Page]]:
    """Opens the page of a model; the test fails if it logs an error or asks for anything."""
    complaints: list[str] = []

    def open(name: str) -> Page:
        scoring.export_web_page(tmp_path, name, tmp_path / "model.html")
        page = offline.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        address = (tmp_path / "model.html").as_uri()
        page.on("request", lambda request: request.url == address or complaints.append(request.url))
        page.goto(address)
        expect(page.get_by_role("button", name="Score", exact=True)).to_be_enabled()
        return page

    yield open
    assert [text for text in complaints if not text.startswith("blob:null/")] == []


def network(name: str, folder: Path) -> str:
    """A file of weights as training could leave them."""
    import torch

    from tfbind.nn import pack_weights
    from tfbind.nn.model import build_model

    model = build_model(parse_config(NETWORKS[name], TrainConfig()), 100)
    generator = torch.Generator().manual_seed(1)
    for key, tensor in model.state_dict().items():
        if "norm" in key and tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    path = folder / f"{name}.safetensors"
    path.write_bytes(pack_weights(model, {}))
    return str(path)


def score(page: Page, text: str) -> None:
    page.get_by_role("textbox").fill(text)
    page.get_by_role("button", name="Score", exact=True).click()
    expect(page.get_by_text("scored in")).to_be_visible()


@pytest.mark.parametrize("name", ["builtin", "builtin,builtin", *NETWORKS])
def test_its_scores_are_those_of_the_program(name: str, open_model: Callable[[str], Page], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    records = [rng.choice(5, length, p=[0.24, 0.25, 0.25, 0.25, 0.01]).astype(np.uint8) for length in LENGTHS]
    source = network(name, tmp_path) if name in NETWORKS else name
    model = scoring.load_model(tmp_path, source)
    page = open_model(source)
    for both in (False, True):
        page.get_by_role("checkbox").set_checked(both)
        score(page, "".join(f">{len(codes)}\n{decode(codes)}\n" for codes in records))
        expect(page.get_by_text("scored in")).to_be_visible()
        scores = page.evaluate("state.records.map((record) => Array.from(record.scores))")
        for codes, row in zip(records, scores, strict=True):
            expected = scoring.score(model, codes, both=both, pad=True).scores
            np.testing.assert_allclose(row, expected, rtol=0, atol=1e-4)


def test_a_site_is_found_changed_taken_back_and_taken_away(open_model: Callable[[str], Page], tmp_path: Path) -> None:
    model = scoring.load_model(tmp_path, "builtin")
    page = open_model("builtin")
    score(page, f">my, enhancer\n{SITE}\n>other\n{SITE[::-1]}")
    expect(page.get_by_role("heading", level=2)).to_have_text("1 site of at least 2.183 nats")
    page.locator(".sequence-site").first.click()
    expect(page.get_by_role("row", selected=True)).to_have_count(1)
    place = page.evaluate("state.place")
    page.get_by_role("button", name=f"change {SITE[place]} at {place + 1} to C").click()
    expect(page.get_by_text("Largest change")).to_be_visible()
    changed = SITE[:place] + "C" + SITE[place + 1 :]
    expected = scoring.score(model, encode(changed)).scores
    np.testing.assert_allclose(page.evaluate("Array.from(state.record.scores)"), expected, rtol=0, atol=1e-4)
    with page.expect_download() as download:
        page.get_by_role("button", name="Scores (.csv)").click()
    rows = list(csv.DictReader(download.value.path().read_text().splitlines()))
    mine = [row for row in rows if row["name"] == f"my, enhancer {place + 1} {SITE[place]}>C"]
    assert "".join(row["base"] for row in mine) == changed
    np.testing.assert_allclose([float(row["score"]) for row in mine], expected, atol=1e-4)
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Largest change")).to_be_hidden()
    assert page.evaluate("decode(state.record.codes)") == SITE


def test_what_is_no_dna_is_named_and_markup_is_text(open_model: Callable[[str], Page]) -> None:
    page = open_model("builtin")
    page.get_by_role("textbox").fill(">a\nACGTJA")
    page.get_by_role("button", name="Score", exact=True).click()
    expect(page.get_by_role("status")).to_have_text(
        "a: letter 'J' at position 5; expected A C G T U N and IUPAC codes"
    )
    score(page, f"><img src=x onerror=alert(1)>\n{SITE}\n>b\n{SITE}")
    expect(page.get_by_role("combobox")).to_contain_text("<img src=x onerror=alert(1)>")


@pytest.mark.parametrize(
    ("name", "out", "message"),
    [
        ("builtin", "page.txt", "expected a file .html"),
        ("builtin", "here.html", "exists already"),
        ("no", "a.html", "no:"),
    ],
)
def test_a_page_is_a_new_file(name: str, out: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "here.html").write_text("mine")
    with pytest.raises(ValueError, match=message):
        scoring.export_web_page(tmp_path, name, tmp_path / out)
    assert (tmp_path / "here.html").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["here.html"]
