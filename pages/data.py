"""Data: the data sets on disk, and the import of the course's pair of files."""

import re
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from tfbind.datasets import Windows, import_pair, list_datasets, open_dataset
from ui.config_form import choose_dataset
from ui.session import TRAIN_PAGE, home, inside_app, plain

ORIGINS = {"simulation": "simulated, with a real motif", "pair": "imported from two files"}
SUFFIXES = ["txt", "tsv", "gz"]
TURN = "use --transpose"  # what the reader says of a scores file that lies on its other side


def table_row(name: str) -> dict[str, Any]:
    """What the table says of a data set; one that cannot be opened says why."""
    try:
        data = open_dataset(home(), name)
    except (ValueError, OSError) as error:
        return {"Name": name, "Origin": f"cannot be read: {error}"}
    return {
        "Name": name,
        "Origin": ORIGINS.get(data.meta["origin"]["kind"], data.meta["origin"]["kind"]),
        "Windows": len(data),
        "Bases per window": data.length,
        "Scored bases": data.meta["scored"],
        "Made": data.meta["created"][:10],
    }


def import_uploads(sequences: UploadedFile, scores: UploadedFile, name: str, transpose: bool) -> Windows:
    """Check and store a pair of uploaded files, which are on disk only while that lasts."""
    home().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="upload-", dir=home()) as folder, st.spinner("Checking every window"):
        paths = [write_upload(file, Path(folder, role)) for role, file in (("a", sequences), ("b", scores))]
        bar = st.progress(0.0)

        def tell(share: float) -> None:
            bar.progress(share)

        return import_pair(home(), paths[0], paths[1], name, transpose, tell)


def write_upload(file: UploadedFile, folder: Path) -> Path:
    """Write an upload under a name that is safe and still tells the user which file is meant."""
    folder.mkdir()
    path = folder / re.sub(r"[^A-Za-z0-9._-]|^\.+", "_", file.name)[-80:]
    path.write_bytes(file.getbuffer())
    return path


inside_app()
st.title("Data", anchor=False)
table = st.container()

st.subheader("Import a pair of files", anchor=False)
st.caption(
    "One file has a sequence per window (columns `sequence` and `window_name`), the other a score for every base of "
    "every window (a column per window). Text with tabs, also packed with gzip. All is checked before it is kept."
)
left, right = st.columns(2)
sequences = left.file_uploader("Sequences", SUFFIXES, help="Such as `chr22_sequences.txt.gz`")
scores = right.file_uploader("Scores", SUFFIXES, help="Such as `chr22_scores.txt.gz`")
name = left.text_input("Name of the data set", placeholder="chr22", max_chars=80, key="import-name").strip()
missing = [what for what, given in (("sequences", sequences), ("scores", scores), ("name", name)) if not given]

pressed = st.button("Import", type="primary", icon=":material/upload:")
problem_line = st.container()
turned = bool(st.session_state.get("turn")) and st.button("Read the scores with one row per window", key="turned")
if pressed and missing:
    problem_line.error(f"Still to be given: {', '.join(missing)}.")
elif (pressed or turned) and sequences and scores:
    try:
        data = import_uploads(sequences, scores, name, transpose=turned)
        st.session_state.update(turn=False, import_problem=None, imported=data.name)
    except (ValueError, OSError) as error:
        st.session_state.update(turn=TURN in str(error), import_problem=str(error), imported=None)
    st.rerun()
elif problem := st.session_state.get("import_problem"):
    problem_line.error(plain(problem))
if imported := st.session_state.get("imported"):
    data = open_dataset(home(), imported)
    notes = "; ".join(data.meta["notes"])
    st.success(plain(f"{imported}: {len(data):,} windows of {data.length} bases are ready. {notes}"))
    if st.button("Train on it", icon=":material/model_training:"):
        choose_dataset(imported)
        st.switch_page(TRAIN_PAGE)

with table:
    rows = [table_row(data["name"]) for data in list_datasets(home())]
    if rows:
        st.dataframe(
            pd.DataFrame(rows),
            hide_index=True,
            alt="Data sets on this disk",
            column_config={
                "Windows": st.column_config.NumberColumn(format="localized"),
                "Scored bases": st.column_config.NumberColumn(format="percent"),
            },
        )
    else:
        st.caption("No data set is on the disk yet. The built-in one is made when the first training starts.")
