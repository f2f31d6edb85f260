"""Take a comparison away: the report, the table, the format of pictures; tags and notes on the way."""

import shlex

import streamlit as st

from tfbind import history, runs
from tfbind.baselines import Beside
from tfbind.history import Past
from tfbind.report import Report, csv_table, html_report, markdown_report, now
from tfbind.verdict import Verdict
from tfbind.visible import visible
from ui.results import chart_buttons
from ui.session import attempt, home

TABLE = "runs.csv"
MOST_NAMED = 20  # a command with more names is read by nobody
PICTURES = {"svg": "SVG", "png": "PNG"}


def chart_config(name: str) -> dict[str, object]:
    """The buttons of a chart; the camera saves it in the format that is chosen further down."""
    return chart_buttons(name, st.session_state.get("picture-format") or "svg")


def take_away(chosen: list[Past], verdict: Verdict, found: list[Beside]) -> None:
    """Draw the downloads."""
    st.subheader("Take it away", anchor=False)
    command = _command(chosen, verdict)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.download_button(
            "Report (HTML)",
            data=lambda: html_report(Report(chosen, verdict, command, now(), found)).encode(),
            file_name="comparison.html",
            mime="text/html",
            icon=":material/download:",
            type="primary",
            on_click="ignore",
            help="One file with tables, curves and verdict; needs no network.",
        )
        st.download_button(
            "Report (Markdown)",
            data=lambda: markdown_report(Report(chosen, verdict, command, now(), found)).encode(),
            file_name="comparison.md",
            mime="text/markdown",
            icon=":material/download:",
            on_click="ignore",
        )
        st.download_button(
            "Table (CSV)",
            data=lambda: csv_table(chosen, verdict.choice).encode(),
            file_name=TABLE,
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
        )
        st.segmented_control(
            "Pictures by the camera button",
            list(PICTURES),
            format_func=PICTURES.__getitem__,
            default="svg",
            key="picture-format",
        )
    st.caption("The same by command" + (f"; {TABLE} is the table above" if len(chosen) > MOST_NAMED else ""))
    st.code(visible(command), language="bash", wrap_lines=True)


def _command(chosen: list[Past], verdict: Verdict) -> str:
    choice = verdict.choice
    runs = ["--table", TABLE] if len(chosen) > MOST_NAMED else [past.key for past in reversed(chosen)]
    words = ["python", "-m", "tfbind", "compare", *runs]
    words += ["--metric", choice.metric, "--at", str(choice.epoch or choice.when), "--goal", choice.goal]
    return shlex.join([*words, "--out", "comparison.html"])


def labels_editor(chosen: list[Past]) -> None:
    """Draw the tags and the note of one of the selected runs of this home, to be changed."""
    mine = {past.key: past for past in chosen if past.source == "local"}
    if not mine:
        return
    with st.popover("Tags and note", icon=":material/sell:"):
        key = st.selectbox(
            "Run", list(mine), format_func=lambda key: visible(f"{mine[key].name} · {key}"), key="label-run"
        )
        past = mine[key]
        tags = st.text_input("Tags, with commas between them", ", ".join(past.tags), key=f"tags-{key}")
        note = st.text_area("Note", past.note, max_chars=history.NOTE_LENGTH, key=f"note-{key}")
        if st.button("Save", key="save-labels"):
            attempt(lambda: history.annotate(runs.find(home(), key), tags, note))
