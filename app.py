"""The server, and what it runs for each session: page config and navigation. Start it with `streamlit run app.py`."""

import gc
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from tfbind.store import format_error as said_of, set_private_umask
from ui.widgets.chart import install_plotly
from ui.widgets.panels import panel
from ui.widgets.session import Guard, login, plain
from ui.widgets.sidebar import jobs

set_private_umask()


@st.cache_resource(show_spinner=False)
def install() -> str:
    """Once per server: the file that the live charts load. What keeps it from being there, in one line, or ""."""
    try:
        install_plotly(Path(__file__).parent / "static")
    except OSError as error:
        return f"Live charts stay empty. {said_of(error)}; whoever installed tfbind has to start the app once."
    return ""


@st.cache_resource(show_spinner=False)
def freeze() -> None:
    """Once per server, after the imports: Streamlit collects garbage after every update, and what was imported is
    none. Setting it aside takes an update from 99 to 16 ms."""
    gc.collect()
    gc.freeze()


def show() -> None:
    """Draw the app for a session."""
    st.set_page_config(page_title="tfbind", page_icon="🧬", layout="wide", initial_sidebar_state=230)
    inside = login()
    trouble = install()
    page = st.navigation(
        [
            st.Page("pages/train.py", title="Train", icon=":material/model_training:", default=True, url_path=""),
            st.Page("pages/sweep.py", title="Sweep", icon=":material/stacked_line_chart:"),
            st.Page("pages/compare.py", title="Compare", icon=":material/compare_arrows:"),
            st.Page("pages/predict.py", title="Predict", icon=":material/genetics:"),
            st.Page("pages/data.py", title="Data", icon=":material/database:"),
            st.Page("pages/lesson.py", title="Lesson", icon=":material/school:"),
            # The first page is at `/` alone, but people type the name that the menu shows.
            st.Page("pages/train.py", title="Train", url_path="train", visibility="hidden"),
        ],
        # Without a call of its own Streamlit would list the files of pages/ to strangers.
        position="sidebar" if inside else "hidden",
    )
    if inside:
        if trouble:
            st.error(plain(trouble))
        with panel("jobs"):
            jobs()
        page.run()
    freeze()


if st.runtime.exists():
    show()
else:  # Streamlit looks for the server in this file before it runs it for anybody
    app = st.App("app.py", middleware=[Middleware(Guard)])
