"""Page config and navigation. Start it with `streamlit run app.py`."""

import gc
from pathlib import Path

import streamlit as st

from tfbind.store import keep_private
from ui.widgets.chart import install_plotly
from ui.widgets.panels import panel
from ui.widgets.session import login
from ui.widgets.sidebar import jobs

keep_private()
st.set_page_config(page_title="tfbind", page_icon="🧬", layout="wide", initial_sidebar_state=230)


@st.cache_resource(show_spinner=False)
def install() -> Path:
    """Once per server: the file that the live charts load."""
    return install_plotly(Path(__file__).parent / "static")


@st.cache_resource(show_spinner=False)
def freeze() -> None:
    """Once per server, after the imports: Streamlit collects garbage after every update, and what was imported is
    none. Setting it aside takes an update from 99 to 16 ms."""
    gc.collect()
    gc.freeze()


inside = login()
install()
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
    with panel("jobs"):
        jobs()
    page.run()
freeze()
