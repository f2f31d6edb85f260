"""What the home takes on the disk, and making room."""

import streamlit as st

from tfbind import housekeeping
from tfbind.launch import free_disk
from ui.session import home, plain

DISK = "disk"
WORDS = {
    "runs": "runs",
    "data": "data sets",
    "trash": "trash",
    "jobs": "files scored in the background",
    "wandb": "pulled from W&B",
    "baselines": "baselines",
    "models": "imported models",
    "sweeps": "sweeps",
}


def storage() -> None:
    """Draw what takes the room, and the two ways to make some. Nothing is counted while it is folded."""
    folded = st.expander("Disk", icon=":material/hard_drive:", key=DISK, on_change="rerun")
    if not folded.open:
        return
    with folded:
        with st.spinner("Adding up the files"):
            used = housekeeping.usage(home())
        st.markdown(f"**{_mb(used.total)}** in {plain(str(home()))}, {free_disk(home()) / 1e9:,.1f} GB free.")
        largest = sorted(used.folders.items(), key=lambda item: -item[1])
        st.caption(" · ".join(f"{WORDS.get(name, name)} {_mb(size)}" for name, size in largest if size))
        with st.container(horizontal=True):
            _offer(
                "Empty the trash", "What was thrown away is deleted for good", used.folders.get("trash", 0), "trash"
            )
            _offer("Drop checkpoints", "Of finished runs, which nothing needs", used.checkpoints, "checkpoints")


def _offer(label: str, about: str, size: int, key: str) -> None:
    with st.popover(f"{label} ({_mb(size)})", disabled=not size):
        st.caption(f"{about}: {_mb(size)}.")
        if st.button("Do it", key=f"free-{key}"):
            try:
                housekeeping.empty_trash(home()) if key == "trash" else housekeeping.drop_checkpoints(home())
            except OSError as error:
                st.error(plain(str(error)))
            else:
                st.rerun()


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
