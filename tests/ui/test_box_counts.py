"""What the DNA box says is what the Predict page shows: after changes of the text, on the page, and beside a file."""

import pytest
from driven import address, checked, click, read
from streamlit.testing.v1 import AppTest
from test_data_page import data_page
from test_kept_setting import again, warnings
from test_predict_page import KILLED, SITE, choose, open_file, predict, typed, vary
from test_variants_page import FAR, HEADER, KILLS, PLACED, effects, open_vcf, with_variants

from ui.predict.changes import DROPPED
from ui.predict.variants import GENOME, GENOME_PATH, VARIANTS

pytestmark = pytest.mark.usefixtures("home")


def bracketed(change: str) -> str:
    return f"{SITE[:40]}[{change}]{SITE[41:]}"


def changed(page: AppTest) -> str:
    """The changes that the page says it shows, "" for none."""
    captions = [caption.value.replace("\\", "") for caption in page.caption if caption.value.startswith("Changed: ")]
    return captions[0].removeprefix("Changed: ").removesuffix(". The grey line is the original.") if captions else ""


def in_the_file(page: AppTest) -> str:
    """The changed records that a download holds, "" for none."""
    start = "The file holds the changed sequence, not the original, of: "
    lines = [line for line in read(page).splitlines() if line.startswith(start)]
    return lines[0].removeprefix(start) if lines else ""


def shows(page: AppTest, change: str) -> bool:
    return changed(page) == change and in_the_file(page) == (f"sequence_1 {change}." if change else "")


TEXTS = {
    SITE: "",
    KILLED: "41 T>C",
    bracketed("T/-"): "41 deletes T",
    bracketed("T/TG"): "42 inserts G",
    f"{SITE[:40]}[T/C]{SITE[41:43]}[T/G]{SITE[44:]}": "41 TACT>CACG",
}


@pytest.mark.parametrize("way", ["untouched", "undone", "changed on the page"])
def test_whatever_was_shown_before_the_text_is_shown_as_it_stands(way: str) -> None:
    page = predict(SITE)
    for text in [*TEXTS, *list(TEXTS)[-2::-1]]:
        typed(page, text)
        assert shows(page, TEXTS[text]), text
        if way == "undone" and TEXTS[text]:
            assert shows(click(page, "Undo"), "")
        if way == "changed on the page":
            assert changed(vary(page, "1 G>T")).endswith("1 G>T")


def test_a_bracket_is_changed_in_one_of_several_records_and_the_record_stays_open() -> None:
    records = ">one\n{}\n>two\n{}\n"
    page = choose(predict(records.format(KILLED, bracketed("T/A"))), 1)
    for one, two, in_file, change in (
        (KILLED, bracketed("T/A"), "one 41 T>C, two 41 T>A.", "41 T>A"),
        (KILLED, bracketed("T/G"), "one 41 T>C, two 41 T>G.", "41 T>G"),
        (KILLED, SITE, "one 41 T>C.", ""),
        (SITE, SITE, "", ""),
    ):
        typed(page, records.format(one, two))
        assert (page.subheader[0].value, in_the_file(page), changed(page)) == ("two", in_file, change)


def test_a_change_made_on_the_page_stays_as_long_as_the_text_and_no_longer() -> None:
    page = vary(predict(SITE), "41 T>C")
    assert shows(typed(page, SITE), "41 T>C")
    checked(page.selectbox(key="strand").set_value("both").run())
    assert shows(open_file(page, SITE), "")  # the same DNA, but the file has no change
    assert shows(click(page, "Take the file out"), "41 T>C")
    assert shows(again(page), "41 T>C")
    assert not page.toast
    assert shows(typed(page, SITE[:-1]), "")
    assert [toast.value for toast in page.toast] == [DROPPED]
    assert shows(typed(page, SITE), "")


def test_what_a_refresh_brings_back_is_what_the_box_says() -> None:
    page = again(typed(click(predict(KILLED), "Undo"), bracketed("T/A")))
    assert shows(page, "41 T>A")
    assert shows(typed(page, KILLED), "41 T>C")
    assert shows(again(checked(page.run())), "41 T>C")


def test_text_that_cannot_be_read_or_is_gone_takes_the_changes_with_it() -> None:
    page = click(predict(KILLED), "Undo")
    for between in ("ACGTJ", ""):
        assert shows(typed(typed(page, between), KILLED), "41 T>C")
        click(page, "Undo")
    assert shows(typed(click(page, "Clear"), KILLED), "41 T>C")


def test_bases_that_are_pressed_before_the_page_is_drawn_anew_are_all_taken() -> None:
    page = predict(SITE)
    checked(page.number_input(key="edit-position").set_value(41).run())
    for base in "ACG":
        page.button(f"base-{base}").click()
    checked(page.run())
    assert warnings(page) == []
    assert changed(page) == "41 T>A, 41 A>C, 41 C>G"
    assert shows(click(page, "Undo"), "41 T>A, 41 A>C")


# Beside a file


def closed(name: str) -> str:
    return f"The file {name} was closed: the text in the box is what counts now."


@pytest.mark.parametrize("refreshed", [False, True])
def test_new_text_closes_the_file_and_the_page_says_so_until_there_is_another(refreshed: bool) -> None:
    page = open_file(predict(f">box\n{SITE}"), f">filed\n{SITE}", "my genes.fa")
    page = again(page) if refreshed else page
    assert page.subheader[0].value == "filed"
    assert page.text_area[0].value == f">box\n{SITE}"
    typed(page, f">pasted\n{SITE}")
    assert page.subheader[0].value == "pasted"
    assert set(address(page)) == {"q"}
    assert closed("my genes.fa") in read(page)
    assert closed("my genes.fa") in read(click(page, "Score"))
    assert {uploader.value for uploader in page.file_uploader} == {None}
    uploader = next(uploader for uploader in page.file_uploader if uploader.label.startswith("FASTA or text"))
    uploader.upload("b.fa", b">again\nACGT")
    assert checked(page.run()).subheader[0].value == "again"
    assert "was closed" not in read(page)
    assert "was closed" not in read(typed(click(page, "Take the file out"), SITE))


def test_a_file_stays_open_beside_the_same_text_and_beside_none() -> None:
    page = open_file(predict(f">box\n{SITE}"), f">filed\n{SITE}")
    for text in (f">box\n{SITE}", ""):
        assert typed(page, text).subheader[0].value == "filed"
    assert typed(page, f">box\n{SITE}").subheader[0].value == "box"  # after it was emptied, it is new


def test_new_variants_close_the_vcf() -> None:
    page = open_vcf(with_variants(predict(PLACED), "chr22:1003 A>G"), HEADER + KILLS)
    assert list(effects(page)["ID"]) == ["rs1"]
    with_variants(page, HEADER + FAR)
    assert list(effects(page)["ID"]) == ["quiet"]
    assert closed("mine.vcf") in read(page)
    assert all(uploader.value is None for uploader in page.file_uploader)


def test_variants_taken_from_the_dna_box_close_the_vcf() -> None:
    page = click(typed(open_vcf(predict(PLACED), HEADER + FAR), HEADER + KILLS), "Read it as variants")
    assert page.text_area(key=VARIANTS.box).value == HEADER + KILLS
    assert not page.text_area[0].value
    assert list(effects(typed(page, PLACED))["ID"]) == ["rs1"]


def test_no_genome_is_offered_to_be_uploaded_beside_a_path_that_counts() -> None:
    page = predict()
    assert GENOME in [uploader.key for uploader in page.file_uploader]
    checked(page.text_input(key=GENOME_PATH).set_value("/data/hg38.fa").run())
    assert GENOME not in [uploader.key for uploader in page.file_uploader]


def test_a_motif_typed_on_the_data_page_closes_the_motif_file() -> None:
    page = data_page()
    checked(page.text_input(key="motif-id").set_value("FOXA1").run())
    page.file_uploader(key="motif-file").upload("mine.meme", b"MEME version 4\n")
    assert "From the file mine.meme, not FOXA1" in read(checked(page.run()))
    checked(page.text_input(key="motif-id").set_value("MA0148.5").run())
    assert closed("mine.meme") in read(page)
    assert all(uploader.value is None for uploader in page.file_uploader)
