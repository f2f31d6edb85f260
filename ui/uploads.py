"""Uploaded files on the disk, as long as something that reads paths needs them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamlit.runtime.uploaded_file_manager import UploadedFile

from tfbind.files import naming, scratch
from ui.session import home


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
