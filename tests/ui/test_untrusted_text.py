"""Text that anybody may have written, generated from what hurts: shown as it is, executed nowhere, a path nowhere."""

import csv
import io
import math
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings, strategies as st
from markdown_it import MarkdownIt
from past_runs import past, replicates
from stand_in import make_run
from toy import toy_home

from tfbind import runs
from tfbind.compare.report import Report, csv_table, html_report, markdown_report
from tfbind.compare.runs import choose
from tfbind.compare.verdict import judge
from tfbind.data import manage
from tfbind.data.dataset import check_free
from tfbind.figures import plain as plain_in_figure
from tfbind.nn import weight_files
from tfbind.runs.record import RunRecord
from tfbind.scoring.formats import TEXT_FORMATS, About, track
from tfbind.sweeps import sweep_folder
from tfbind.text import visible
from ui.widgets.session import plain

PIECES = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "</td></table><b>",
    '" onmouseover="alert(1)',
    "<a href='javascript:alert(1)'>here</a>",
    "![picture](http://evil.example/p.png)",
    "[link](javascript:alert(1))",
    "<http://evil.example>",
    "http://evil.example",
    "www.evil.example",
    "me@evil.example",
    "[1]: http://evil.example",
    "$x^2$",
    "$$",
    ":material/home:",
    ":smile:",
    ":red[red]",
    ":blue-badge[x]",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2",
    "@SUM(A1)",
    "../",
    "..\\",
    "/etc/passwd",
    "~root",
    "$(id)",
    "`id`",
    "; rm -rf . &",
    "|",
    "# ",
    "- ",
    "1. ",
    "> ",
    "---",
    "```",
    "**b**",
    "_i_",
    "~~s~~",
    "\\",
    "&lt;b&gt;",
    "&#x3c;b&#62;",
    "%2e%2e%2f",
    "\n",
    "\t",
    "\r",
    "\x00",
    "\x1b[31m",
    "\u202e",
    "\u2066",
    "\u200b",
    "\ufeff",
    "word",
    " ",
)
HOSTILE = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), min_size=1, max_size=5).map("".join)
JOINER = "\u2060"
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
METRIC = choose("val_pearsonr")

tried = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
tried_less = settings(tried, max_examples=10)


class Page(HTMLParser):
    """What a reader of HTML finds: tags with their attributes, and text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.tags.append((f"/{tag}", ()))

    def handle_data(self, data: str) -> None:
        self.text += data


# On a page


@tried
@given(HOSTILE)
@example("".join(PIECES))
def test_a_label_is_one_paragraph_of_the_same_text(text: str) -> None:
    page = Page(MARKDOWN.render(plain(text)))
    words = visible(" ".join(text.split()))
    assert [tag for tag, _ in page.tags] == (["p", "/p"] if words else [])
    assert page.text.replace(JOINER, "").strip("\n") == words.replace(JOINER, "")
    # Streamlit looks for these in the finished text, whatever was escaped,
    assert not re.search(rf"[:@](?!{JOINER})|www(?!{JOINER})", page.text)
    # and reads marks that this reader of Markdown does not know.
    bare = plain(text).replace("\\\\", "")
    assert all(bare[place - 1] == "\\" for place, mark in enumerate(bare) if mark in "*_`<>[]()!$:#~|{}&")


@tried
@given(HOSTILE)
def test_words_in_a_figure_are_no_markup(text: str) -> None:
    page = Page(plain_in_figure(text))
    assert page.tags == []
    assert page.text == visible(text)


# In files to take away


def hostile_past(text: str) -> RunRecord:
    """A run as W&B could give it: all that somebody else has written is `text`."""
    made = past("odd", 0.4, state="failed", name=text, learning_rate=0.5, seed=0, added=text, source="wandb")
    return replace(made, note=text, tags=[text], group=text, error=text)


def runs_with(text: str) -> list[RunRecord]:
    return [*replicates(0.01, [0.88, 0.87]), hostile_past(text)]


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def formulas(text: str, delimiter: str = ",") -> list[str]:
    """The cells that a spreadsheet would execute, or that could make it do so."""
    cells = [cell for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) for cell in row]
    assert cells
    return [cell for cell in cells if cell.startswith(FORMULA) and not is_number(cell)]


@tried
@given(HOSTILE)
@example("\r\t")
def test_no_cell_of_a_comparison_is_a_formula(text: str) -> None:
    assert formulas(csv_table(runs_with(text), METRIC)) == []


@tried
@given(HOSTILE, HOSTILE)
@example("\n=1", "model")
def test_no_cell_of_predictions_is_a_formula(name: str, model: str) -> None:
    tracks = [track(name, np.zeros(3, np.uint8), np.float32([-1, 0, 1]))]
    lines = "".join(TEXT_FORMATS[".csv"](tracks, About(model)))
    assert formulas(lines) == []
    lines = "".join(TEXT_FORMATS[".tsv"](tracks, About(model)))
    assert formulas(lines, "\t") == []


@tried
@given(HOSTILE, HOSTILE)
def test_each_line_of_a_track_has_its_columns_whatever_the_record_is_called(name: str, model: str) -> None:
    tracks = [track(name, np.zeros(3, np.uint8), np.float32([9, 9, 9]))]
    for suffix, columns in ((".bed", 7), (".bedgraph", 4)):
        lines = "".join(TEXT_FORMATS[suffix](tracks, About(model))).split("\n")[:-1]
        table = [line for line in lines if not line.startswith("#")]
        assert table
        assert {len(re.split(r"\s", line)) for line in table} == {columns}
        assert not any(line.startswith(("track", "browser")) for line in table)


@cache
def harmless(words: str) -> Page:
    return body(words)


def body(text: str) -> Page:
    pasts = runs_with(text)
    report = html_report(Report(pasts, judge(pasts, METRIC), "python -m tfbind compare x", "now"))
    return Page(report[report.index("<body>") :])


@tried_less
@given(HOSTILE)
@example('</script><img src=x onerror="alert(1)">')
@example("-2")
def test_a_report_has_the_elements_of_one_with_harmless_words(text: str) -> None:
    found = body(text)
    like = (
        "7" if is_number(text) and math.isfinite(float(text)) else "harmless"
    )  # cells of numbers are set to the right
    assert found.tags == harmless(like if text.strip() else text).tags
    shown = re.sub(r"\s+", " ", found.text)
    assert re.sub(r"\s+", " ", visible(text)) in shown


@tried_less
@given(HOSTILE)
def test_a_markdown_report_shows_words_as_words(text: str) -> None:
    def tags(text: str) -> list[str]:
        pasts = runs_with(text)
        report = markdown_report(Report(pasts, judge(pasts, METRIC), "python -m tfbind compare x", "now"))
        return [tag for tag, _ in Page(MARKDOWN.render(report)).tags]

    assert tags(text) == tags("harmless" if text.strip() else text)


# As a name


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a home in it, and beside the home what nobody may touch."""
    folder = tmp_path_factory.mktemp("sandbox")
    home = toy_home(folder)
    make_run(home, "finished", 1, id="a-run")
    (folder / "passwd").write_text("secret")
    return folder


def beside(folder: Path) -> dict[Path, bytes]:
    """Everything in the sandbox that is not in the home."""
    home = folder / "home"
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and home not in path.parents}


PLACES: dict[str, Callable[[Path, str], Path]] = {
    "a run": lambda home, name: runs.find(home, name).folder,
    "a new run": lambda home, name: home / "runs" / runs.checked_id(name),
    "a sweep": lambda home, name: sweep_folder.find(home, name).folder,
    "a new data set": lambda home, name: free_place(home, name),
    "a data set renamed": lambda home, name: manage.rename(home, "toy", name, runs.active_on).path,
    "a data set deleted": lambda home, name: manage.delete(home, name, runs.active_on),
    "a model": lambda home, name: weight_files.weights_of(home, name) or home,
    "a model deleted": weight_files.delete_model,
}


def free_place(home: Path, name: str) -> Path:
    check_free(home, name)
    return home / "data" / name


@pytest.mark.parametrize("what", PLACES)
@tried
@given(name=st.one_of(HOSTILE, st.sampled_from(["..", "../..", "../../passwd", "a/../../..", "toy/../../../passwd"])))
def test_no_name_leads_out_of_the_home(sandbox: Path, what: str, name: str) -> None:
    home, before = sandbox / "home", beside(sandbox)
    assume(name != "toy")
    try:
        place = PLACES[what](home, name)
    except ValueError:
        pass  # refused, which is as good
    else:
        assert place.resolve().is_relative_to(home.resolve())
        if what == "a data set renamed":
            manage.rename(home, name, "toy", runs.active_on)
    assert beside(sandbox) == before
    assert (home / "data" / "toy").is_dir()


@tried
@given(HOSTILE)
def test_a_run_is_called_what_its_owner_says_and_lies_where_it_lay(sandbox: Path, name: str) -> None:
    run = runs.find(sandbox / "home", "a-run")
    try:
        runs.rename(run, name)
    except ValueError:
        assert not (1 <= len(name.strip()) <= runs.NAME_LENGTH and name.strip().isprintable())
    else:
        assert runs.read_labels(run)["name"] == name.strip()
        assert runs.read_labels(run)["name"].isprintable()
    assert [path.name for path in (sandbox / "home" / "runs").iterdir()] == ["a-run"]
