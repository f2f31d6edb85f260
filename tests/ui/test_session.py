"""Text that a user wrote, as a label shows it."""

import pytest
from hypothesis import given, strategies as st

from ui.widgets.session import plain


@pytest.mark.parametrize("text", ["lr 0.01", "plain words", "ÄÖ 基因"])
def test_plain_words_stay_readable(text: str) -> None:
    assert plain(text).replace("\\", "") == text


def test_every_mark_is_escaped() -> None:
    assert plain("a*b") == "a\\*b"
    assert plain("[x](y)") == "\\[x\\]\\(y\\)"
    assert plain("two\nlines") == "two lines"


@pytest.mark.parametrize("text", [":material/home:", ":smile:", "http://evil", "www.evil.com", "a@evil.com"])
def test_what_is_found_in_finished_text_is_taken_apart(text: str) -> None:
    shown = plain(text).replace("\\", "")
    assert text not in shown
    assert shown.replace("\u2060", "") == text


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40))
def test_no_mark_is_left_bare_and_no_letter_is_lost(text: str) -> None:
    shown = plain(text)
    bare = shown.replace("\\\\", "")
    assert all(bare[place - 1] == "\\" for place, mark in enumerate(bare) if mark in "*_`<>[]()!$:#~|{}&")
    letters = [letter for letter in text if letter.isalnum()]
    assert [letter for letter in shown if letter.isalnum()] == letters
