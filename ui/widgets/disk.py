"""What the home takes on the disk, its budget, and making room."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from tfbind.runs import disk, free_disk
from ui.widgets.session import attempt, home, plain

DISK = "disk"
EMPTYING = "What was thrown away, and what killed processes left half written, is deleted for good."
COUNTED_SECONDS = 60
WORDS = {
    "runs": "runs",
    "data": "data sets",
    "trash": "trash",
    "jobs": "files scored in the background",
    "wandb": "pulled from W&B",
    "baselines": "baselines",
    "models": "imported models",
    "sweeps": "sweeps",
    "queries": "pasted sequences and small files",
    "cache": "indexes and copies that are made anew when needed",
    disk.DRAFTS: "half-written files",
    disk.FILES: "files directly in the home",
}


@st.cache_data(ttl=COUNTED_SECONDS, show_spinner="Adding up the files")
def _total(home: Path) -> int:
    return disk.usage(home).total


def budget_warning(planned: int = 0) -> None:
    """Say in one line when the home is over its budget, or `planned` bytes more would not fit it or the disk.

    Where a budget is set, files are added up once a minute.
    """
    said = disk.warning(home(), lambda: _total(home()), planned)
    free = free_disk(home())
    if not said and planned > free:
        said = f"What is planned takes about {disk.size(planned)}; {disk.size(free)} are free on the disk."
    if said:
        st.warning(plain(said))


def storage() -> None:
    """Draw what takes the room, the budget, and the two ways to make some. Nothing is counted while it is folded."""
    folded = st.expander("Disk", icon=":material/hard_drive:", key=DISK, on_change="rerun")
    if not folded.open:
        return
    with folded:
        with st.spinner("Adding up the files"):
            used = disk.usage(home())
        st.markdown(f"**{disk.size(used.total)}** in {plain(str(home()))}, {disk.size(free_disk(home()))} free.")
        largest = sorted(used.kinds.items(), key=lambda item: -item[1])
        st.caption(" · ".join(f"{plain(WORDS.get(kind, kind))} {disk.size(size)}" for kind, size in largest if size))
        with st.container(horizontal=True):
            trash = used.kinds.get("trash", 0) + used.kinds.get(disk.DRAFTS, 0)
            _offer("Empty the trash", EMPTYING, trash, disk.empty_trash)
            _offer("Drop checkpoints", disk.DROPPING, used.checkpoints, disk.drop_checkpoints)
            _budget()


def _offer(label: str, about: str, size: int, free: Callable[[Path], int]) -> None:
    with st.popover(f"{label} ({disk.size(size)})", disabled=not size):
        st.caption(about)
        if st.button("Do it", key=f"free-{label.split()[-1]}"):
            attempt(lambda: free(home()), _total.clear)


def _budget() -> None:
    try:
        limit = disk.budget_of(home())
    except ValueError:  # the page says so above
        limit = None
    now = disk.size(limit) if limit else disk.NONE
    with st.popover(f"Budget ({now})"), st.form("budget", border=False):
        st.caption("When the home takes more, pages and commands warn; nothing is deleted, no run is refused.")
        text = st.text_input("At most", now, max_chars=20, help="Such as 20GB, 500 MB or 1.5 TB; none: no warning")
        if st.form_submit_button("Save", key="save-budget"):
            attempt(lambda: disk.set_budget(home(), disk.parse(text)), _total.clear)
