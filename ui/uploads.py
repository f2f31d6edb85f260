"""Uploaders that a button can empty; uploaded files on the disk, as long as something that reads paths needs them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from tfbind.files import naming, scratch
from ui.session import home


@dataclass(frozen=True)
class Uploader:
    """An uploader by its name. Streamlit keeps its file as long as it is drawn with the same key."""

    name: str

    @property
    def key(self) -> str:
        """What to draw it with."""
        emptied = st.session_state.get(self._emptied, 0)
        return f"{self.name}-{emptied}" if emptied else self.name

    @property
    def file(self) -> UploadedFile | None:
        """The file that is in it."""
        file: UploadedFile | None = st.session_state.get(self.key)
        return file

    def empty(self) -> None:
        """Take its file out; to be called before it is drawn."""
        st.session_state[self._emptied] = st.session_state.get(self._emptied, 0) + 1

    @property
    def _emptied(self) -> str:
        return f"{self.name}-emptied"


@contextmanager
def upload_folder() -> Iterator[Path]:
    """A folder in the home that is gone at the end."""
    with scratch(home(), "upload") as folder:
        yield folder


def write_upload(file: UploadedFile, folder: Path) -> Path:
    """Write an upload to a new folder, under a name that is safe and still tells the user which file is meant."""
    folder.mkdir()
    path = folder / re.sub(r"[^A-Za-z0-9._-]|^\.+", "_", file.name)[-80:]
    with naming(path):
        path.write_bytes(file.getbuffer())
    return path
