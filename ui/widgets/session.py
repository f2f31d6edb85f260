"""What every page needs: who may come in, the home folder, which run is open, plain text, buttons that may fail."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import streamlit as st
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.errors import StreamlitAuthError
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner import get_script_run_ctx

from tfbind.config import home_folder
from tfbind.runs import Run, find, new_id
from tfbind.store import ODD_BYTES, format_error, why_unwritable
from tfbind.sweeps import Sweep, find as find_sweep
from tfbind.text import visible

USERS = "TFBIND_USERS"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
INSIDE_APP = "inside_app"
NEWEST = 20
NEXT_RUN = "next_run_id"
NEXT_SWEEP = "next_sweep_id"
TRAIN_PAGE = "pages/train.py"
SWEEP_PAGE = "pages/sweep.py"
COMPARE_PAGE = "pages/compare.py"
PREDICT_PAGE = "pages/predict.py"

T = TypeVar("T")

_UPLOAD = re.compile(r"/_stcore/upload_file/([^/]+)/")
_HEADERS = ((b"x-frame-options", b"DENY"), (b"content-security-policy", b"frame-ancestors 'none'"))
_admitted: set[str] = set()  # ids of the sessions of those who are logged in
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


def login() -> bool:
    """Whether the app may be shown: to those whose e-mail addresses stand in `TFBIND_USERS`, separated by commas.

    Where that is not set, nobody has to log in. Whoever may not come in is shown how to log in, or out.
    """
    users = os.environ.get(USERS)
    if users is None:
        return True
    allowed = {user.strip().lower() for user in users.split(",")} - {""}
    email = str(st.user.get("email") or "").lower()
    if st.user.get("is_logged_in") and st.user.get("email_verified", True) and email in allowed:
        if context := get_script_run_ctx():
            _admitted.add(context.session_id)
        st.sidebar.button("Log out", icon=":material/logout:", help=plain(email), on_click=st.logout)
        return True
    st.title("tfbind", anchor=False)
    if st.user.get("is_logged_in"):
        st.error(
            plain(f"{email or 'An account without an e-mail address'} may not use this app: {USERS} says who may.")
        )
        st.button("Log out", on_click=st.logout)
    elif st.button("Log in", type="primary", icon=":material/login:"):
        try:
            st.login()
        except StreamlitAuthError as error:
            st.error(plain(f"{error} docs/security.md says how a login is set up."))
    return False


class Guard:
    """Middleware: no page of another site shows the app in a frame, where its clicks would be the user's; under
    `TFBIND_USERS` no session that is not logged in fills the memory with uploads."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        app = PlainTextResponse("Log in first.", 403) if is_refused(scope) else self.app
        await app(scope, receive, send_with_headers)


def is_refused(scope: Scope) -> bool:
    """Whether a request uploads a file to a session in which nobody is logged in who may be."""
    if scope["type"] != "http" or os.environ.get(USERS) is None:
        return False
    upload = _UPLOAD.search(scope["path"])
    return upload is not None and upload[1] not in _admitted


def inside_app() -> None:
    """Have app.py run around the page that calls this first, and say at its top when the home cannot be
    written, or instead of it that the home is gone: a new one in its place would hide that the old one lies
    elsewhere.

    Streamlit 1.67 takes a folder named `pages` for an app without navigation of its own: asked for a page before
    anything else, a new server would run the page's file alone, and go on like that until app.py has run once.
    """
    alone = PagesManager.uses_pages_directory and INSIDE_APP not in st.session_state
    st.session_state[INSIDE_APP] = True
    if alone:
        PagesManager.uses_pages_directory = False
        st.rerun()
    path = os.fsencode(home()).decode(errors=ODD_BYTES)
    if path != str(home()):
        st.error(plain(f"{path}: the path of the home is no UTF-8, which pages need; set TFBIND_HOME to another"))
        st.stop()
    if home().exists():
        _homes_seen().add(home())
    elif home() in _homes_seen():
        advice = "Put it back and reload the page, or start the app anew with TFBIND_HOME naming where it is now"
        st.error(plain(f"{home()}: moved or deleted while this app runs. {advice}, or a new one."))
        st.stop()
    reason = why_unwritable(home())
    if reason:
        text = "What it holds can be looked at, compared and scored with; nothing can be started, added or changed."
        st.warning(plain(f"{reason}. {text}"), icon=":material/lock:")


@st.cache_resource(show_spinner=False)
def _homes_seen() -> set[Path]:
    """The homes that were there, for as long as the server lives."""
    return set()


def home() -> Path:
    """Where this app keeps runs and data sets."""
    return home_folder()


def on_loopback() -> bool:
    """Whether this computer alone reaches the app, so that its user may name files on it by path."""
    return st.get_option("server.address") in LOOPBACK


def plain(text: str) -> str:
    """`text` for a label, heading or message, all of which Streamlit reads as Markdown: shown as it was written.

    Every mark is escaped. Emoji and icon names, links and addresses are looked for after that, in the finished text,
    so an invisible character (word joiner) takes them apart.
    """
    escaped = _PUNCTUATION.sub(r"\\\1", visible(" ".join(text.split())))
    return re.sub(r"([:@]|www)", "\\1\u2060", escaped)


def cells(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows for a table, which reads no Markdown, with what steers spelled out."""
    return [
        {visible(key): visible(value) if isinstance(value, str) else value for key, value in row.items()}
        for row in rows
    ]


def run_action(
    action: Callable[[], object],
    on_success: Callable[[], object] = lambda: None,
    is_done: Callable[[], bool] = lambda: False,
) -> None:
    """Do what a button asks for and draw the page anew, `on_success` done first; or say in one line why it cannot be.

    What cannot be since it is `is_done`, by the first click of a double click, is done.
    """
    try:
        action()
    except (ValueError, OSError) as error:
        if not is_done():
            st.error(plain(format_error(error)))
            return
    on_success()
    st.rerun()


def newest_first(items: list[T], key: str) -> list[T]:
    """The last `NEWEST` of a list, or all of it where the switch that is drawn for a longer one says so."""
    label = f"All {len(items):,}, not only the newest {NEWEST}"
    if len(items) > NEWEST and st.toggle(label, key=key, persist_state="session"):
        return items[::-1]
    return items[: -NEWEST - 1 : -1]


def open_run() -> Run | None:
    """The run that the address names, None if it names none.

    Raises:
        ValueError: there is no such run.
    """
    id = st.query_params.get("run")
    return None if id is None else find(home(), id)


def show_run(id: str) -> None:
    """Put a run into the address, so that a refresh or another tab shows it again."""
    st.query_params["run"] = id


def close_run() -> None:
    """Take the run out of the address: back to the form."""
    st.query_params.pop("run", None)


def open_sweep() -> Sweep | None:
    """The sweep that the address names, None if it names none.

    Raises:
        ValueError: there is no such sweep.
    """
    id = st.query_params.get("sweep")
    return None if id is None else find_sweep(home(), id)


def show_sweep(id: str) -> None:
    """Put a sweep into the address."""
    st.query_params["sweep"] = id


def close_sweep() -> None:
    """Take the sweep out of the address: back to the form."""
    st.query_params.pop("sweep", None)


def start_key(id: str) -> str:
    """The key of the Start button of the run that is to get this id."""
    return f"start-{id}"


def next_run_id() -> str:
    """The id that the next press of Start gives its run.

    It is drawn with the button and stays while that is being pressed, so that the second click of a double click
    names the run of the first.
    """
    return _next_id("runs", NEXT_RUN)


def next_sweep_id() -> str:
    """The id that the next press of Start gives its sweep, kept in the same way."""
    return _next_id("sweeps", NEXT_SWEEP)


def next_job_id(slot: str) -> str:
    """The id that the next press of Start gives its background job; `slot` is that of its offer."""
    return _next_id("jobs", slot)


def _next_id(folder: str, slot: str) -> str:
    id: str = st.session_state.setdefault(slot, new_id())
    if (home() / folder / id).exists() and not st.session_state.get(start_key(id)):
        id = st.session_state[slot] = new_id()
    return id
