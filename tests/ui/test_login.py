"""Where users are named, a page shows itself to nobody else, whatever the address asks for."""

from pathlib import Path

import pytest
from driven import APP, checked, labels, words
from streamlit.testing.v1 import AppTest

from ui.widgets.session import USERS

ALICE = {"is_logged_in": True, "email": "Alice@lab.example"}


@pytest.fixture(autouse=True)
def home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(USERS, "alice@lab.example, bob@lab.example")
    return home


def visit(user: dict[str, object], page: str = "") -> AppTest:
    app = AppTest.from_file(APP, default_timeout=60)
    app.user = user
    return checked((app.switch_page(f"pages/{page}.py") if page else app).run())


@pytest.mark.parametrize("page", ["", "predict"])
def test_a_stranger_sees_a_button_and_nothing_else(page: str) -> None:
    shown = visit({}, page)
    assert labels(shown) == ["Log in"]
    assert words(shown) == "tfbind"


def test_others_stay_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for user, way in (
        ({"is_logged_in": True, "email": "eve@lab.example"}, "Log out"),
        ({"is_logged_in": True}, "Log out"),
        ({"is_logged_in": False, "email": "alice@lab.example"}, "Log in"),
        ({**ALICE, "email_verified": False}, "Log out"),
    ):
        shown = visit(user)
        assert labels(shown) == [way]
        assert "Train a model" not in words(shown)
    monkeypatch.setenv(USERS, " , ")  # a list of nobody lets nobody in
    assert labels(visit({"is_logged_in": True, "email": ""})) == ["Log out"]


def test_those_who_are_named_come_in() -> None:
    shown = visit({**ALICE, "email_verified": True})
    assert "Train a model" in words(shown)
    assert [button.label for button in shown.sidebar.button] == ["Log out"]
    assert "Train a model" in words(visit(ALICE))


def test_a_login_that_is_not_set_up_says_so_in_one_line() -> None:
    shown = visit({})
    shown.button[0].click().run()
    assert len(checked(shown).error) == 1
    assert r"docs\/security\.md" in shown.error[0].value
    assert "Train a model" not in words(shown)
