"""Design on the Predict page: from a chosen site to changes that are made, and oligos."""

import pytest
from driven import as_read, click, read
from streamlit.testing.v1 import AppTest
from test_predict_page import SITE, predict

from ui.predict.design import protected_places

pytestmark = pytest.mark.usefixtures("home")


def with_site() -> AppTest:
    page = predict(SITE)
    (rows,) = [frame for frame in page.dataframe if "From" in str(frame.proto.columns) or "start" in frame.value]
    page.session_state[rows.key] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    return page.run()


def test_changes_are_found_made_and_ordered() -> None:
    page = with_site()
    assert "for the site at" in read(page)
    click(page, "Find changes")
    (designs,) = [frame.value for frame in page.dataframe if "Changes" in frame.value]
    (ordered,) = [frame.value for frame in page.dataframe if "Bases" in frame.value]
    assert len(ordered) == 4
    click(page, "Make these changes")
    assert f"Changed: {designs['Changes'].iloc[0]}." in read(page)
    assert "No site" in read(page)


def test_what_cannot_be_read_is_named() -> None:
    page = with_site()
    page.text_input(key="design-protected").set_value("31 to 33")
    click(page, "Find changes")
    assert [as_read(error.value) for error in page.error] == [
        "'31 to 33' under Leave as they are; expected bases such as 31-33, 40"
    ]


@pytest.mark.parametrize(("text", "places"), [("", set()), ("3", {2}), ("2-4, 9", {1, 2, 3, 8})])
def test_bases_to_leave_are_counted_from_one(text: str, places: set[int]) -> None:
    assert protected_places(text) == places
