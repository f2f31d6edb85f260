"""What the DNA box says is what the Predict page shows: after changes of the text, on the page, and beside a file."""

from pathlib import Path

import pytest
from driven import button, checked
from streamlit.testing.v1 import AppTest
from test_data_page import data_page
from test_kept_setting import address, choose, opened, warnings
from test_predict_page import SITE, predict, read
from test_variants_page import FAR, HEADER, KILLS, PLACED, effects, with_variants

from ui.predict.changes import DROPPED
from ui.predict.variants import FILE, GENOME, GENOME_PATH, VARIANTS
from ui.widgets import url_state

pytestmark = pytest.mark.usefixtures("home")

UNREADABLE = "The changes that were made to the DNA before the refresh cannot be read."


def bracketed(change: str) -> str:
    return f"{SITE[:40]}[{change}]{SITE[41:]}"


def typed(page: AppTest, text: str) -> AppTest:
    return checked(page.text_area[0].set_value(text).run())


def changed(page: AppTest) -> str:
    """The changes that the page says it shows, "" for none."""
    said = [caption.value.replace("\\", "") for caption in page.caption if caption.value.startswith("Changed: ")]
    return said[0].removeprefix("Changed: ").removesuffix(". The grey line is the original.") if said else ""


def in_the_file(page: AppTest) -> str:
    """The changed records that a download holds, "" for none."""
    start = "The file holds the changed sequence, not the original, of: "
    said = [line for line in read(page).splitlines() if line.startswith(start)]
    return said[0].removeprefix(start) if said else ""


def shows(page: AppTest, change: str, record: str = "sequence_1") -> bool:
    return changed(page) == change and in_the_file(page) == (f"{record} {change}." if change else "")


def click(page: AppTest, label: str) -> AppTest:
    return checked(button(page, label).click().run())


def open_file(page: AppTest, text: str, name: str = "genes.fa") -> AppTest:
    page.file_uploader(key="file").upload(name, text.encode())
    return checked(page.run())


TEXTS = {
    SITE: "",
    bracketed("T/C"): "41 T>C",
    bracketed("T/A"): "41 T>A",
    bracketed("T/-"): "41 deletes T",
    bracketed("T/TG"): "42 inserts G",
    f"{SITE[:40]}[T/C]{SITE[41:43]}[T/G]{SITE[44:]}": "41 TACT>CACG",
}


def test_texts_of_this_file_are_what_they_are_said_to_be() -> None:
    """Each of them in a session of its own."""
    assert {text: changed(predict(text)) for text in TEXTS} == TEXTS


@pytest.mark.parametrize("way", ["untouched", "undone", "changed on the page"])
def test_whatever_was_shown_before_the_text_is_shown_as_it_stands(way: str) -> None:
    page = predict(SITE)
    for text in [*TEXTS, *list(TEXTS)[-2::-1]]:
        typed(page, text)
        assert shows(page, TEXTS[text]), text
        if way == "undone" and TEXTS[text]:
            assert shows(click(page, "Undo"), "")
        if way == "changed on the page":
            checked(page.text_input(key="variant").set_value("1 G>T").run())
            assert changed(page).endswith("1 G>T")


def test_a_bracket_is_changed_in_one_of_several_records_and_the_record_stays_open() -> None:
    records = ">one\n{}\n>two\n{}\n"
    page = choose(predict(records.format(bracketed("T/C"), bracketed("T/A"))), 1)
    assert shows_two(page, "one 41 T>C, two 41 T>A", "41 T>A")
    typed(page, records.format(bracketed("T/C"), bracketed("T/G")))
    assert shows_two(page, "one 41 T>C, two 41 T>G", "41 T>G")
    typed(page, records.format(bracketed("T/C"), SITE))
    assert shows_two(page, "one 41 T>C", "")
    typed(page, records.format(SITE, SITE))
    assert shows_two(page, "", "")


def shows_two(page: AppTest, names: str, change: str) -> bool:
    return (
        page.subheader[0].value == "two" and changed(page) == change and in_the_file(page) == (names and f"{names}.")
    )


def test_a_change_made_on_the_page_stays_as_long_as_the_text_and_no_longer() -> None:
    page = predict(SITE)
    checked(page.text_input(key="variant").set_value("41 T>C").run())
    assert shows(typed(page, SITE), "41 T>C")
    checked(page.selectbox(key="strand").set_value("both").run())
    assert shows(open_file(page, SITE), "")  # the same DNA, but the file has no change
    assert shows(click(page, "Take the file out"), "41 T>C")
    assert shows(opened(**address(page)), "41 T>C")
    assert not page.toast
    assert shows(typed(page, SITE[:-1]), "")
    assert [toast.value for toast in page.toast] == [DROPPED]
    assert shows(typed(page, SITE), "")


def test_what_a_refresh_brings_back_is_what_the_box_says() -> None:
    page = typed(click(predict(bracketed("T/C")), "Undo"), bracketed("T/A"))
    again = opened(**address(page))
    assert shows(again, "41 T>A")
    assert shows(typed(again, bracketed("T/C")), "41 T>C")
    assert shows(opened(**address(checked(again.run()))), "41 T>C")


def test_text_that_cannot_be_read_or_is_gone_takes_the_changes_with_it() -> None:
    page = click(predict(bracketed("T/C")), "Undo")
    for between in ("ACGTJ", ""):
        typed(page, between)
        assert shows(typed(page, bracketed("T/C")), "41 T>C")
        click(page, "Undo")
    assert shows(typed(click(page, "Clear"), bracketed("T/C")), "41 T>C")


def test_changes_kept_without_their_text_are_one_line_and_not_shown(home: Path) -> None:
    page = opened(q=url_state.save(home, SITE), e=url_state.save(home, f'{{"sequence_1 {"0" * 64}":[[40,"T","C"]]}}'))
    assert warnings(page) == [UNREADABLE]
    assert shows(page, "")


def test_bases_that_are_pressed_before_the_page_is_drawn_anew_are_all_taken() -> None:
    page = predict(SITE)
    checked(page.number_input(key="edit-position").set_value(41).run())
    button(page, "A").click()
    button(page, "C").click()
    button(page, "G").click()
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
    page = opened(**address(page)) if refreshed else page
    assert page.subheader[0].value == "filed"
    assert page.text_area[0].value == f">box\n{SITE}"
    typed(page, f">pasted\n{SITE}")
    assert page.subheader[0].value == "pasted"
    assert set(address(page)) == {"q"}
    assert closed("my genes.fa") in read(page)
    assert closed("my genes.fa") in read(click(page, "Score"))
    assert {uploader.value for uploader in page.file_uploader} == {None}
    open_file_again(page)
    assert page.subheader[0].value == "again"
    assert "was closed" not in read(page)
    assert "was closed" not in read(typed(click(page, "Take the file out"), SITE))


def open_file_again(page: AppTest) -> None:
    next(one for one in page.file_uploader if one.label.startswith("FASTA or text")).upload("b.fa", b">again\nACGT")
    checked(page.run())


def test_a_file_stays_open_beside_the_same_text_and_beside_none() -> None:
    page = open_file(predict(f">box\n{SITE}"), f">filed\n{SITE}")
    for text in (f">box\n{SITE}", ""):
        assert typed(page, text).subheader[0].value == "filed"
    assert typed(page, f">box\n{SITE}").subheader[0].value == "box"  # after it was emptied, it is new


def test_a_file_that_is_not_kept_is_closed_by_new_text() -> None:
    page = open_file(predict(f">box\n{SITE}"), f">filed\n{SITE}{chr(10) * (5 << 20)}")
    again = opened(**address(page))
    assert "was open here and is not kept" in warnings(again)[0]
    typed(again, f">pasted\n{SITE}")
    assert again.subheader[0].value == "pasted"
    assert warnings(again) == []


def test_new_variants_close_the_vcf() -> None:
    page = with_variants(predict(PLACED), "chr22:1003 A>G")
    page.file_uploader(key=FILE.name).upload("mine.vcf", (HEADER + KILLS).encode())
    checked(page.run())
    assert list(effects(page)["ID"]) == ["rs1"]
    with_variants(page, HEADER + FAR)
    assert list(effects(page)["ID"]) == ["quiet"]
    assert closed("mine.vcf") in read(page)
    assert all(one.value is None for one in page.file_uploader)


def test_variants_taken_from_the_dna_box_close_the_vcf() -> None:
    page = predict(PLACED)
    page.file_uploader(key=FILE.name).upload("mine.vcf", (HEADER + FAR).encode())
    click(typed(checked(page.run()), HEADER + KILLS), "Read it as variants")
    assert page.text_area(key=VARIANTS.box).value == HEADER + KILLS
    typed(page, PLACED)
    assert list(effects(page)["ID"]) == ["rs1"]


def test_no_genome_is_offered_to_be_uploaded_beside_a_path_that_counts() -> None:
    page = predict()
    assert GENOME in [one.key for one in page.file_uploader]
    checked(page.text_input(key=GENOME_PATH).set_value("/data/hg38.fa").run())
    assert GENOME not in [one.key for one in page.file_uploader]


def test_a_motif_typed_on_the_data_page_closes_the_motif_file() -> None:
    page = data_page()
    checked(page.text_input(key="motif-id").set_value("FOXA1").run())
    page.file_uploader(key="motif-file").upload("mine.meme", b"MEME version 4\n")
    checked(page.run())
    assert "From the file mine.meme, not FOXA1" in read(page)
    checked(page.text_input(key="motif-id").set_value("MA0148.5").run())
    assert closed("mine.meme") in read(page)
    assert all(one.value is None for one in page.file_uploader)
