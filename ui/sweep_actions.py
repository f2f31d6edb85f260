"""What can be done with a sweep: stop, resume, retry, extend, add a run; and with one of its runs."""

import streamlit as st

from tfbind import launch, runs, sweep_control, sweep_folder
from tfbind.history import Past
from tfbind.runs import ACTIVE, Status
from tfbind.sweep_control import RETRIED
from tfbind.sweep_folder import Sweep
from tfbind.sweep_spec import MAX_TEXT
from tfbind.visible import visible
from ui.compare_runs import show_comparison
from ui.config_form import label, parse_form
from ui.session import TRAIN_PAGE, attempt, home
from ui.wandb_settings import secrets


def actions(sweep: Sweep, status: Status, past: list[Past]) -> None:
    """Draw the buttons that the state of the sweep allows."""
    with st.container(horizontal=True, key="actions"):
        if status.active or any(run.state in ACTIVE for run in past):
            _stop(sweep, status)
        elif status.state != "finished" and st.button("Resume", type="primary", icon=":material/resume:"):
            attempt(lambda: sweep_control.resume(sweep, secrets()))
        if any(run.state in RETRIED for run in past):
            _retry(sweep, sum(run.state in RETRIED for run in past))
        _extend(sweep)
        _add(sweep)
        if past and st.button("Compare", icon=":material/compare_arrows:"):
            show_comparison(sweep.id)


def _stop(sweep: Sweep, status: Status) -> None:
    asked = runs.stop_requested(sweep)
    if st.button("Stop all", icon=":material/stop_circle:", disabled=asked, key="stop-all"):
        attempt(lambda: sweep_control.cancel(sweep))
    if status.active and st.button(
        "Start no more", disabled=asked, key="stop-new", help="The runs that are under way go on to their end."
    ):
        attempt(lambda: sweep_control.cancel(sweep, leave_runs=True))


def _retry(sweep: Sweep, count: int) -> None:
    if st.button(f"Retry {count} failed", icon=":material/replay:", help="Each goes on after its last good epoch."):
        attempt(lambda: sweep_control.retry(sweep, secrets()))


def _extend(sweep: Sweep) -> None:
    with st.popover("Extend", icon=":material/edit_note:"):
        st.caption("Change the sweep file. What has run stays; what is new in it will run.")
        text = st.text_area(
            "Sweep file", sweep_folder.read_text(sweep), height=320, max_chars=MAX_TEXT, key=f"extend-{sweep.id}"
        )
        if st.button("Save and run", type="primary", key="extend"):
            attempt(lambda: _extended(sweep, text))


def _extended(sweep: Sweep, text: str) -> None:
    sweep_folder.extend(sweep, text)
    if not runs.read_status(sweep).active:
        sweep_control.resume(sweep, secrets())


def _add(sweep: Sweep) -> None:
    with st.popover("Add a run", icon=":material/add_circle:"):
        spec = sweep_folder.read_spec(sweep)
        st.caption("A run of your own choice beside those that the sweep makes.")
        values = {
            field: st.text_input(label(field), str(getattr(spec.base, field)), key=f"add-{field}")
            for field in spec.varied or ["learning_rate"]
        }
        if st.button("Start", type="primary", key="add"):
            attempt(lambda: sweep_control.add_run(sweep, parse_form(values, spec.base), secrets()))


def run_actions(past: list[Past]) -> None:
    """Choose one run and open or stop it."""
    active = {run.id: run for run in past if run.state in ACTIVE}
    if not active:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        id = st.selectbox(
            "One of its runs", list(active), format_func=lambda id: visible(active[id].name), key="one-run"
        )
        st.page_link(TRAIN_PAGE, label="Open", icon=":material/open_in_new:", query_params={"run": id})
        if st.button("Stop this run", key="stop-one"):
            attempt(lambda: launch.cancel(runs.find(home(), id)))
