"""An uploaded file that a refresh brings back: a copy lies in the home, under an id that stands in the address."""

import io
from dataclasses import dataclass

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from ui import queries
from ui.kept_text import KeptText
from ui.session import home
from ui.uploads import Uploader

KEPT_MB = 4  # room for all that the page shows


class Copy(io.BytesIO):
    """A file as it was uploaded before the refresh."""

    def __init__(self, name: str, content: bytes) -> None:
        super().__init__(content)
        self.name = name
        self.size = len(content)


@dataclass(frozen=True)
class KeptFile:
    """An uploader, and the parameter of the address that names its file."""

    uploader: Uploader
    parameter: str

    @property
    def _kept(self) -> KeptText:
        return KeptText(f"{self.uploader.name}-name", self.parameter, "this file")

    def restore(self) -> None:
        """To be called in every run, before anything is asked of it."""
        self._kept.restore()

    def keep(self) -> None:
        """Keep the file that is open now, a large one by its name only; to be called when it has changed."""
        file = self.uploader.file
        content = file.getvalue() if file and file.size <= KEPT_MB << 20 else None
        self._kept.fill(file.name if file else "", content)

    def close(self) -> None:
        """Take the file out; to be called before the uploader is drawn."""
        self.uploader.empty()
        self._kept.fill("")

    @property
    def name(self) -> str:
        """What the file is called that is open, or was before the refresh; "" where there is none."""
        name: str = st.session_state[self._kept.box]
        return name

    def file(self) -> UploadedFile | Copy | None:
        """The file that is open; None where there is none, or it was not kept and has to be uploaded again."""
        id = self._kept.id
        if self.uploader.file or not id:
            return self.uploader.file
        content = queries.load_file(home(), id)
        return None if content is None else Copy(self.name, content)
