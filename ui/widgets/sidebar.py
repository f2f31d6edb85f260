"""The side bar's list of sweeps, running and pending jobs, on every page."""

from pathlib import Path

import streamlit as st

from tfbind import runs
from tfbind.runs import Run, Status
from tfbind.store import mtime_ns
from tfbind.sweeps import active_sweeps, sweep_name
from ui.widgets.panels import poll
from ui.widgets.session import SWEEP_PAGE, TRAIN_PAGE, home, plain

POLL_SECONDS = 5.0


@st.cache_resource(show_spinner=False)
def _ended_stamps() -> dict[Path, int]:
    """State files of runs that were seen to have ended, by the time they were written: not read again."""
    return {}


def active_runs(home: Path) -> list[tuple[Run, Status]]:
    """The running and pending runs of a home, oldest first."""
    active = []
    for run in runs.list_runs(home):
        stamp = mtime_ns(run.folder / runs.STATE)
        if _ended_stamps().get(run.folder) == stamp:
            continue
        status = run.status()
        if status.active:
            active.append((run, status))
        else:
            _ended_stamps()[run.folder] = stamp
    return active


def jobs() -> None:
    """Draw the list, and again while something is active; else nothing, not even the line that parts it from the
    menu."""
    if _busy():
        with st.sidebar:
            poll(_jobs, busy=True, seconds=POLL_SECONDS)


def _jobs() -> None:
    active, sweeps = active_runs(home()), list(active_sweeps(home()))
    if not (active or sweeps):
        st.rerun()
    st.caption("Running and waiting")
    for sweep, _ in sweeps:
        name = plain(_short(sweep_name(sweep)))
        st.page_link(SWEEP_PAGE, label=name, icon=":material/stacked_line_chart:", query_params={"sweep": sweep.id})
    for run, status in active:
        st.page_link(
            TRAIN_PAGE,
            label=_label(run, status),
            icon=":material/play_circle:" if status.state == "running" else ":material/schedule:",
            query_params={"run": run.id},
        )


def _busy() -> bool:
    return bool(active_runs(home())) or any(active_sweeps(home()))


def _short(name: str) -> str:
    return name if len(name) <= 28 else f"{name[:27]}…"


def _label(run: Run, status: Status) -> str:
    """How far a run is comes first: the side bar cuts off the end of a long name."""
    try:
        name = runs.read_labels(run)["name"]
        return f"{_progress_text(run, status)} · {plain(_short(name))}"
    except ValueError:  # its own page says what is damaged; this list is on all pages
        return f"damaged · {plain(run.id)}"


def _progress_text(run: Run, status: Status) -> str:
    if status.state == "pending":
        return "waits"
    progress = runs.read_progress(run)
    return f"{progress['epoch']}/{progress['num_epochs']}" if progress else "starts"
