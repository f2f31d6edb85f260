"""What the home takes on the disk, and making room."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from tfbind.runs import disk, free_disk
from tfbind.text import visible
from ui.widgets.session import home, plain, run_action

DISK = "disk"
IN_TRASH = "in-trash"
TO_TRASH = "It moves to the trash; the panel Disk and trash of the page Data brings it back."
EMPTYING = "What was thrown away, and what killed processes left half written, is deleted for good."
PASTED = "DNA that was pasted into pages or opened there is deleted for good: a refresh brings none of it back."
WORDS = {
    "runs": "runs",
    "data": "data sets",
    "trash": "trash",
    "jobs": "files scored in the background",
    "wandb": "pulled from W&B",
    "baselines": "baselines",
    "models": "imported models",
    "sweeps": "sweeps",
    disk.PASTED: "pasted sequences and small files",
    "cache": "indexes and copies that are made anew when needed",
    disk.DRAFTS: "half-written files",
    disk.FILES: "files directly in the home",
}


def room_warning(planned: int) -> None:
    """Say in one line when `planned` bytes more would not fit on the disk."""
    free = free_disk(home())
    if planned > free:
        st.warning(f"What is planned takes about {disk.size(planned)}; {disk.size(free)} are free on the disk.")


def storage() -> None:
    """Draw what takes the room, and the ways to make some. Nothing is counted while it is folded."""
    expander = st.expander("Disk and trash", icon=":material/hard_drive:", key=DISK, on_change="rerun")
    if not expander.open:
        return
    with expander:
        with st.spinner("Adding up the files"):
            usage = disk.usage(home())
        st.markdown(f"**{disk.size(usage.total)}** in {plain(str(home()))}, {disk.size(free_disk(home()))} free.")
        largest = sorted(usage.kinds.items(), key=lambda item: -item[1])
        st.caption(" · ".join(f"{plain(WORDS.get(kind, kind))} {disk.size(size)}" for kind, size in largest if size))
        with st.container(horizontal=True):
            trash = usage.kinds.get("trash", 0) + usage.kinds.get(disk.DRAFTS, 0)
            _offer("Empty the trash", EMPTYING, trash, disk.empty_trash)
            _offer("Drop checkpoints", disk.DROPPING, usage.checkpoints, disk.drop_checkpoints)
            _offer("Drop what was pasted", PASTED, usage.kinds.get(disk.PASTED, 0), disk.drop_pasted)
        _restore()


def _restore() -> None:
    """Draw the choice of something in the trash, and the button that brings it back."""
    items = {item.name: item.words for item in disk.list_trash(home())}
    if not items:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox("In the trash", list(items), format_func=lambda name: visible(items[name]), key=IN_TRASH)
        if st.button("Restore", icon=":material/restore_from_trash:", key="restore"):
            run_action(lambda: disk.restore(home(), name))


def _offer(label: str, explanation: str, size: int, free: Callable[[Path], int]) -> None:
    with st.popover(f"{label} ({disk.size(size)})", disabled=not size):
        st.caption(explanation)
        if st.button("Do it", key=f"free-{label.split()[-1]}"):
            run_action(lambda: free(home()))
