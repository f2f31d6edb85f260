"""Uploaders that a button can empty; uploaded files on the disk, as long as something that reads paths needs them."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from tfbind.files import naming, scratch
from ui.session import home, plain


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


@dataclass(frozen=True)
class NewText:
    """The box with this key, which stands beside a file: what is written into it while the file is open counts.

    The file is then closed, which is said until another is opened or the text is another again.
    """

    box: str

    def settle(self, file: str, close: Callable[[], None]) -> bool:
        """Close the file if the text is another than when it was opened; whether it did.

        To be called in every run, before the two are drawn: another press may interrupt a callback of the box.

        Args:
            file: the name of the file that is open, "" where none is.
        """
        text = st.session_state.get(self.box, "")
        if not file:
            st.session_state.pop(self._before, None)
            closed = st.session_state.get(self._closed)
            if closed and closed[1] != text:
                st.session_state[self._closed] = None
            return False
        new = st.session_state.get(self._before, text) != text and bool(text.strip())
        st.session_state.update({self._before: text, self._closed: (file, text) if new else None})
        if new:
            close()
        return new

    def tell(self) -> None:
        """Say which file was closed."""
        if closed := st.session_state.get(self._closed):
            st.info(plain(f"The file {closed[0]} was closed: the text in the box is what counts now."))

    @property
    def _before(self) -> str:
        return f"{self.box}-before"

    @property
    def _closed(self) -> str:
        return f"{self.box}-closed-file"


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
