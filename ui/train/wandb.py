"""Logging to W&B on the page: whether and where, and afterwards what became of it.

The key stays in this session. It goes to a worker by its environment, never into a command, a file or an address.
"""

import os

import streamlit as st

from tfbind.runs import Run
from tfbind.tracking import BASE_URL, KEY, URL, WandbError, base_url, find_key, logger
from ui.widgets.panels import poll
from ui.widgets.session import plain, run_action

KEPT = "wandb-kept"  # the session forgets what a widget that is not drawn holds
PROJECT = "WANDB_PROJECT"
MODES = {"off": "Off", "offline": "Offline", "online": "Online"}
HELP = (
    "Online sends each epoch to a server. Offline keeps a folder that can be sent later. Training waits for neither."
)


def wandb_mode() -> str:
    """Draw the choice off, offline or online, and where to when online; return it."""
    settings = _settings()
    mode = st.segmented_control(
        "Log to Weights & Biases",
        list(MODES),
        format_func=MODES.__getitem__,
        default=settings.get("mode", "off"),
        required=True,
        key="wandb-mode",
        help=HELP,
    )
    settings["mode"] = mode or "off"
    if settings["mode"] == "online":
        _server(settings)
    return settings["mode"]


def _settings() -> dict[str, str]:
    settings: dict[str, str] = st.session_state.setdefault(KEPT, {})
    return settings


def _server(settings: dict[str, str]) -> None:
    default = os.environ.get(URL) or BASE_URL
    left, right = st.columns(2)
    settings[URL] = left.text_input(
        "Server", settings.get(URL, default), key="wandb-url", help="The address of its API."
    )
    project = os.environ.get(PROJECT) or logger.DEFAULT_PROJECT
    settings[PROJECT] = right.text_input("Project", settings.get(PROJECT, project), key="wandb-project")
    settings[KEY] = st.text_input(
        "Key",
        settings.get(KEY, ""),
        type="password",
        autocomplete="off",
        key="wandb-key",
        placeholder="WANDB_API_KEY or netrc",
        help="Kept in this browser session only. It is written nowhere.",
    )
    try:
        find_key(base_url(settings[URL]), settings[KEY])
    except (ValueError, WandbError) as error:
        st.warning(plain(f"{error}. The run would be logged offline."))
    else:
        st.caption("The key goes to the run by its environment; the command below does not hold it.")


def secrets() -> dict[str, str]:
    """What a worker finds in its environment.

    Raises:
        ValueError: the server has no usable address.
    """
    variables = {
        name: value.strip() for name, value in _settings().items() if name in (KEY, URL, PROJECT) and value.strip()
    }
    if URL in variables:
        variables[URL] = base_url(variables[URL])
    return variables


def wandb_note(run: Run) -> None:
    """Say how logging a run goes, while it goes on too, and offer to send what is missing."""
    logged = logger.read_logged(run)
    if not logger.describe_status(run):
        return
    working = logged is None or logged.state in logger.WORKING
    poll(lambda: _note(run, working), working)


def _note(run: Run, was_working: bool) -> None:
    if not run.folder.exists():
        return
    try:
        logged = logger.read_logged(run)
        description = logger.describe_status(run)
    except ValueError as error:
        st.error(plain(str(error)))
        return
    working = logged is None or logged.state in logger.WORKING
    if was_working and not working:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", key="wandb-note"):
        st.caption(plain(description))
        if logged and logged.mode == "online" and logged.url.startswith(("http://", "https://")):
            st.link_button("Open on W&B", logged.url, icon=":material/open_in_new:")
        if logged and not working and (logged.mode, logged.state) != ("online", "finished"):
            _send(run)


def _send(run: Run) -> None:
    if st.button("Send to W&B", icon=":material/upload:", help="Sends every epoch that the server lacks."):
        run_action(lambda: logger.start_sending(run, secrets()))
