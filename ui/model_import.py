"""Weights from elsewhere, uploaded and kept as a model to score with."""

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from tfbind import imported
from tfbind.jobs import MAX_MB
from ui.session import attempt, home
from ui.uploads import upload_folder, write_upload


def model_import(choice: str) -> None:
    """Draw the form; the new model becomes the value of the control with the key `choice`, which is drawn later."""
    with st.popover("Import a model", icon=":material/upload_file:"):
        st.caption(
            "Weights that were trained elsewhere, of a network built like those here: safetensors, or what PyTorch "
            "writes by torch.save(model.state_dict(), FILE). Files that could run a program are refused."
        )
        file = st.file_uploader("File of weights", max_upload_size=MAX_MB, key="weights-file")
        name = st.text_input("Name of the model", placeholder="that of the file", key="weights-name").strip()
        if st.button("Import", disabled=file is None, icon=":material/upload:") and file:
            attempt(lambda: _import(file, name or None, choice))


def _import(file: UploadedFile, name: str | None, choice: str) -> None:
    """Keep an upload as a model, and choose it.

    Raises:
        ValueError: one line: it is no model, or the name cannot be used.
        OSError: it cannot be read or kept.
    """
    with st.spinner("Reading the weights"), upload_folder() as folder:
        path = write_upload(file, folder.resolve() / "weights")
        try:
            st.session_state[choice] = imported.import_model(home(), path, name).name
        except ValueError as error:
            raise ValueError(str(error).replace(str(path), file.name)) from None
