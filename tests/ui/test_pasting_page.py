"""What the Predict page makes of what is pasted, and of files: repairs, variants in brackets, cautions."""

import gzip

import pytest
from driven import address, as_read, click, labels, opened, read
from streamlit.testing.v1 import AppTest
from test_predict_page import KILLED, SITE, choose, drawn, open_file, predict

from tfbind.dna.parser import read_records
from ui.predict.input import example

pytestmark = pytest.mark.usefixtures("home")

GENBANK = f"        1 {SITE[:60].lower()}\n       61 {SITE[60:].lower()}\n//\n"
BRACKETS = "in brackets: first the original, then what it is changed to; "


def repairs(page: AppTest) -> list[str]:
    return [label for label in labels(page) if label.startswith("Go on with")]


def notes(page: AppTest) -> list[str]:
    """What is said of the records."""
    captions = [as_read(caption.value) for caption in page.caption]
    mark = ":material/info: "
    return [caption.removeprefix(mark) for caption in captions if caption.startswith(mark)]


def test_a_numbered_block_of_genbank_with_its_end_is_one_record() -> None:
    page = predict(GENBANK)
    assert not page.error
    assert notes(page) == ["sequence_1: 82 lower-case letters read as upper case; numbers and spaces removed"]
    assert "1 site" in read(page)


@pytest.mark.parametrize(
    ("text", "letter", "label", "repaired"),
    [
        ("ACGTJACGT", "ACGT[J]ACGT", "Go on with J at 5 read as N", ["sequence_1: J at 5 read as N"]),
        (
            ">a\nAC[A/G]TJ\n>b\nAC\n>c\nA-CG*E",
            "[J]",
            "Go on with J at 5 read as N and so on",
            [f"a: {BRACKETS}J at 5 read as N", "c: E at 6 read as N; 1 gap removed; * at 5 removed"],
        ),
    ],
)
def test_a_repair_says_what_it_will_do_and_has_done_and_a_refresh_keeps_it(
    text: str, letter: str, label: str, repaired: list[str]
) -> None:
    page = predict(text)
    assert page.code[0].value.endswith(letter)
    (offered,) = repairs(page)
    assert as_read(offered) == label
    assert notes(page) == [note.replace(BRACKETS, "") for note in repaired]
    click(page, offered)
    assert not page.error
    assert notes(page) == repaired
    assert page.text_area[0].value == text
    assert notes(opened("predict", **address(page))) == repaired


@pytest.mark.parametrize("text", ["GTT[T/C/G]ACTT", "<html><body>hello</body></html>", "J"])
def test_what_would_not_be_the_same_dna_is_one_line_without_a_repair_and_the_text_stays(text: str) -> None:
    page = predict(text)
    (error,) = page.error
    assert "\n" not in error.value
    assert repairs(page) == []
    assert page.text_area[0].value == text


def test_what_was_changed_alike_in_many_records_is_one_line() -> None:
    page = predict("".join(f">r{number} of my genes\n{SITE}\n" for number in range(20)) + f">odd\n{SITE}u\n")
    assert notes(page) == [
        "r0, r1, r2 and 17 more records: named by the first word in its header",
        "odd: 1 lower-case letter read as upper case; 1 U read as T",
    ]


def test_what_cannot_be_written_is_not_offered() -> None:
    lengths = predict(f">a\n{SITE}\n>b\n{SITE}A\n")
    format = next(box for box in lengths.selectbox if box.label == "Format")
    assert format.value == ".tsv"
    assert "Table with one row a record (CSV)" not in format.options
    assert "Not as .csv: record b:" in read(lengths)
    assert next(entry.label for entry in lengths.get("download_button")) == "Download .tsv"
    overlapping = predict(f">chr1:1-{len(SITE)}\n{SITE}\n>chr1:9-{len(SITE) + 8}\n{SITE}\n")
    format = next(box for box in overlapping.selectbox if box.label == "Format")
    assert not [option for option in format.options if option.startswith("Track")]
    assert "Not as .bedgraph, .bw: records chr1:1-" in read(overlapping)
    assert "Not as .csv: record sequence_1: 1,000,004 bases" in read(predict("ACGT" * 250_001))


def test_each_record_is_a_variant_of_its_own() -> None:
    page = predict(f">one\n{KILLED}\n>two\n{SITE[:40]}[T/A]{SITE[41:]}\n>three\nACGT")
    assert not page.error
    assert "Changed: 41 T>C." in read(page)
    assert "Changed: 41 T>A." in read(choose(page, 1))
    assert {"original", "changed"} <= drawn(page)


def test_what_a_score_lacks_is_said() -> None:
    for text, message in (
        ("N" * 200, "200 of 200 bases are N, of which a model knows nothing, so the scores mean little."),
        ("A", "The model looks at 31 bases for each score and has 1 here: in longer DNA the scores"),
    ):
        page = predict(text)
        (warning,) = page.warning
        assert message in warning.value
    assert "1 base ·" in read(page)
    assert "No site" in read(page)
    assert not predict(SITE).warning


@pytest.mark.parametrize(
    ("content", "offered"),
    [
        (f">a\n{SITE}".encode(), True),
        (b">a\n" + b"ACGT" * 600_000, True),
        (gzip.compress(b">a\n" + SITE.encode(), mtime=0)[:40], False),
        (b"", False),
    ],
)
def test_only_a_file_of_dna_is_offered_to_be_scored_in_the_background(content: bytes, offered: bool) -> None:
    page = open_file(predict(), content, "some.fa")
    assert any(block.label == "Score the whole file in the background" for block in page.expander) == offered


def test_the_records_of_the_example_can_be_taken_away_as_one_table() -> None:
    assert {len(record.codes) for record in read_records(example())} == {300}
