"""Where users are named, a page shows itself to nobody else, whatever the address asks for."""

import asyncio
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest
from driven import APP, checked, labels, words
from streamlit.testing.v1 import AppTest

from ui.widgets import session as sessions
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


def upload_answer(session: str) -> tuple[int, dict[str, str]]:
    """The status and the headers with which the server answers an upload to a session."""
    sent: list[dict[str, Any]] = []

    async def takes(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "PUT", "path": f"/alice/_stcore/upload_file/{session}/1"}
    asyncio.run(sessions.Guard(takes)(scope, AsyncMock(), send))
    return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}


def test_only_who_came_in_uploads_and_no_answer_may_be_framed(monkeypatch: pytest.MonkeyPatch) -> None:
    ids: set[str] = set()
    monkeypatch.setattr(sessions, "_admitted", ids)
    visit({})
    assert ids == set()
    visit(ALICE)
    (session,) = ids
    assert [upload_answer(id)[0] for id in (session, "another")] == [204, 403]
    for id in (session, "another"):
        headers = upload_answer(id)[1]
        assert headers["x-frame-options"] == "DENY"
        assert headers["content-security-policy"] == "frame-ancestors 'none'"
    monkeypatch.delenv(USERS)
    assert upload_answer("another")[0] == 204
