"""A home that is moved under the running app: every page says so, and none makes a new one in its place."""

from pathlib import Path

import pytest
from driven import APP, checked, labels
from streamlit.testing.v1 import AppTest
from toy import toy_home

from ui.widgets.session import plain


@pytest.mark.parametrize("page", ["train", "sweep", "compare", "predict", "data", "lesson"])
def test_a_page_says_that_the_home_is_gone_and_shows_it_when_it_is_back(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = toy_home(tmp_path)
    monkeypatch.setenv("TFBIND_HOME", str(home))
    app = checked(AppTest.from_file(APP, default_timeout=60).run())
    moved = home.rename(tmp_path / "elsewhere")
    checked(app.switch_page(f"pages/{page}.py").run())
    assert [error.value.split(" Put it back")[0] for error in app.error] == [
        plain(f"{home}: moved or deleted while this app runs.")
    ]
    assert (labels(app), home.exists()) == ([], False)
    moved.rename(home)
    again = checked(AppTest.from_file(APP, default_timeout=60).switch_page(f"pages/{page}.py").run())
    assert [error.value for error in again.error] == []
    assert labels(again)


def test_an_app_that_begins_without_a_home_is_no_complaint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFBIND_HOME", str(tmp_path / "new"))
    assert not checked(AppTest.from_file(APP, default_timeout=60).run()).error
