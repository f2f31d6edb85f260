"""What the Predict page makes of what is pasted, and of files: repairs, variants in brackets, cautions."""

import gzip
from pathlib import Path

import pytest
from driven import button, checked, labels, words
from streamlit.testing.v1 import AppTest
from test_predict_page import SITE, drawn, predict, read

from tfbind.dna.parser import read_records
from ui.predict.input import example

pytestmark = pytest.mark.usefixtures("home")

GENBANK = f"        1 {SITE[:60].lower()}\n       61 {SITE[60:].lower()}\n//\n"
BRACKETS = "in brackets: first the original, then what it is changed to; "
VARIANT = f"{SITE[:40]}[T/C]{SITE[41:]}"


def repairs(page: AppTest) -> list[str]:
    return [label for label in labels(page) if label.startswith("Go on with")]


def as_read(text: str) -> str:
    """A text without the signs that keep Markdown out."""
    return text.replace("\\", "").replace("\u2060", "")


def notes(page: AppTest) -> list[str]:
    """What is said of the records."""
    said = [as_read(caption.value) for caption in page.caption]
    return [caption.removeprefix(":material/info: ") for caption in said if caption.startswith(":material/info: ")]


def test_a_numbered_block_of_genbank_with_its_end_is_one_record() -> None:
    page = predict(GENBANK)
    assert not page.error
    assert notes(page) == ["sequence_1: 82 lower-case letters read as upper case; numbers and spaces removed"]
    assert "1 site" in words(page)


@pytest.mark.parametrize(
    ("text", "label", "said"),
    [
        ("ACGTJACGT", "Go on with J at 5 read as N", ["sequence_1: J at 5 read as N"]),
        ("ACGT--ACGT..ACGT", "Go on with 4 gaps removed", ["sequence_1: 4 gaps removed"]),
        (
            ">a\nACGTJ\n>b\nAC\n>c\nA-CG*E",
            "Go on with J at 5 read as N and so on",
            ["a: J at 5 read as N", "c: E at 6 read as N; 1 gap removed; * at 5 removed"],
        ),
        (
            ">a\nAC[A/G]TJ",
            "Go on with J at 5 read as N",
            [f"a: {BRACKETS}J at 5 read as N"],
        ),
    ],
)
def test_a_repair_says_what_it_will_do_and_has_done_and_a_refresh_keeps_it(
    text: str, label: str, said: list[str]
) -> None:
    page = predict(text)
    (offered,) = repairs(page)
    assert as_read(offered) == label
    assert notes(page) == [line.replace(BRACKETS, "") for line in said]
    checked(button(page, offered).click().run())
    assert not page.error
    assert notes(page) == said
    assert page.text_area[0].value == text
    again = AppTest.from_file(str(Path(__file__).parents[2] / "app.py"), default_timeout=60)
    for parameter in ("q", "m"):
        again.query_params[parameter] = page.query_params[parameter]
    checked(again.run())
    checked(again.switch_page("pages/predict.py").run())
    assert notes(again) == said


@pytest.mark.parametrize(
    "text", ["GTT[T/C/G]ACTT", ">p\nMKVLAETRRPFQQWLMKVLSEFIPQ", "my gene\nACGT\nGG", "J", "3'-ACGT-5'"]
)
def test_what_would_not_be_the_same_dna_is_not_repaired(text: str) -> None:
    page = predict(text)
    assert len(page.error) == 1
    assert repairs(page) == []


def test_what_was_changed_alike_in_many_records_is_one_line() -> None:
    page = predict("".join(f">r{number} of my genes\n{SITE}\n" for number in range(20)) + f">odd\n{SITE}u\n")
    assert notes(page) == [
        "r0, r1, r2 and 17 more records: named by the first word in its header",
        "odd: 1 lower-case letter read as upper case; 1 U read as T",
    ]


def test_records_of_several_lengths_have_a_table_to_take_away_from_the_start() -> None:
    page = predict(f">a\n{SITE}\n>b\n{SITE}A\n")
    format = next(box for box in page.selectbox if box.label == "Format")
    assert format.value == ".tsv"
    assert "Table with one row a record (CSV)" not in format.options
    assert "Not as .csv: record b:" in as_read(words(page))
    assert next(entry.label for entry in page.get("download_button")) == "Download .tsv"


def test_what_cannot_be_written_is_not_offered() -> None:
    overlapping = predict(f">chr1:1-{len(SITE)}\n{SITE}\n>chr1:9-{len(SITE) + 8}\n{SITE}\n")
    format = next(box for box in overlapping.selectbox if box.label == "Format")
    assert not [option for option in format.options if option.startswith("Track")]
    assert "Not as .bedgraph, .bw: records chr1:1-" in as_read(words(overlapping))
    long = predict("ACGT" * 250_001)
    assert "Not as .csv: record sequence_1: 1,000,004 bases" in as_read(words(long))


def test_a_name_above_bare_letters_is_said_to_be_one() -> None:
    page = predict(f"GATA1 promoter\n{SITE}")
    assert page.subheader[0].value == "GATA1"
    (said,) = notes(page)
    assert said.startswith(
        "GATA1: named by the first word in its header; the first line is no DNA and read as its name"
    )
    assert "1 site" in words(page)


def test_each_record_is_a_variant_of_its_own() -> None:
    page = predict(f">one\n{VARIANT}\n>two\n{SITE[:40]}[T/A]{SITE[41:]}\n>three\nACGT")
    assert not page.error
    assert "Changed: 41 T>C." in read(page)
    page.session_state["records"] = {"selection": {"rows": [1], "columns": [], "cells": []}}
    checked(page.run())
    assert "Changed: 41 T>A." in read(page)
    assert {"original", "changed"} <= drawn(page)


def test_a_sequence_in_the_variant_field_is_refused_with_advice_and_nothing_is_lost() -> None:
    page = predict(f">mine\n{SITE}")
    checked(page.text_input(key="variant").set_value(VARIANT).run())
    assert "for the page's box of DNA" in as_read(page.error[0].value)
    assert page.text_input(key="variant").value == VARIANT
    assert page.text_area[0].value == f">mine\n{SITE}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("N" * 200, "200 of 200 bases are N"),
        ("MKVTHASDMKVTHASDMKVTHASDMKVTHASD", "24 of 32 bases are N"),
        ("A", "The model looks at 31 bases for each score and has 1 here"),
    ],
)
def test_a_score_that_means_little_is_said_to(text: str, said: str) -> None:
    page = predict(text)
    (warning,) = page.warning
    assert said in warning.value
    assert "mean little" in warning.value
    assert not predict(SITE).warning


def test_one_base_is_one_base() -> None:
    assert "1 base ·" in words(predict("A"))


def test_limits_are_on_the_page_before_they_are_hit() -> None:
    assert "Up to 10,000 sequences with 2 million bases in all. Files up to 20 MB" in words(predict())


@pytest.mark.parametrize(
    ("content", "offered"),
    [
        (f">a\n{SITE}".encode(), True),
        (b">a\n" + b"ACGT" * 600_000, True),
        (b"PK\x03\x04 Word", False),
        (gzip.compress(b">a\n" + SITE.encode(), mtime=0)[:40], False),
        (b">a\nACGTJ", False),
        (b"", False),
    ],
)
def test_only_a_file_of_dna_is_offered_to_be_scored_in_the_background(content: bytes, offered: bool) -> None:
    page = predict()
    page.file_uploader(key="file").upload("some.fa", content)
    checked(page.run())
    assert any(block.label == "Score the whole file in the background" for block in page.expander) == offered


def test_the_records_of_the_example_can_be_taken_away_as_one_table() -> None:
    assert {len(record.codes) for record in read_records(example())} == {300}
