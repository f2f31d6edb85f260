"""What a refresh brings back: settings in the address; texts, files and pasted DNA in the home, under ids in it.

No address and no log holds the DNA: it is kept under a random id.
"""

import io
import re
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import streamlit as st
from streamlit.typing import UploadedFile

from tfbind.runs import disk
from tfbind.store import annotate_oserror, format_error, read_text, scratch, write_bytes
from ui.widgets.session import home, plain

ID = re.compile(r"[0-9a-f]{16}")
T = TypeVar("T")
KEPT_MB = 4  # room for all that the page shows
MOST_FILES, DAYS = 200, 30.0  # of what is kept


def save(home: Path, text: str, file: bytes | None = None) -> str:
    """Keep `text`, and the content of a file that it names, and return the id that brings them back.

    What has been kept for long is deleted.
    """
    folder = home / disk.PASTED
    folder.mkdir(parents=True, exist_ok=True)
    disk.drop_pasted(home, MOST_FILES - 2, DAYS)
    id = secrets.token_hex(8)
    write_bytes(folder / f"{id}.txt", text.encode())
    if file is not None:  # second: where there is no room for it, no more than its name is left over
        write_bytes(folder / f"{id}.bin", file)
    return id


def drop(home: Path, ids: Iterable[str]) -> None:
    """Delete what is kept under these ids; those of an address may be no ids."""
    for id in filter(ID.fullmatch, ids):
        for suffix in ("txt", "bin"):
            (home / disk.PASTED / f"{id}.{suffix}").unlink(missing_ok=True)


def load(home: Path, id: str) -> str:
    """The text kept under `id`.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    path = home / disk.PASTED / f"{id}.txt"
    if not ID.fullmatch(id) or not path.exists():
        raise ValueError(f"nothing is kept under {id[:20]!r}; paste or change it again")
    return read_text(path)


def load_file(home: Path, id: str) -> bytes | None:
    """The content of the file kept under `id`, None where only its name is."""
    path = home / disk.PASTED / f"{id}.bin"
    return path.read_bytes() if ID.fullmatch(id) and path.is_file() else None


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
    with annotate_oserror(path):
        path.write_bytes(file.getbuffer())
    return path


@dataclass(frozen=True)
class KeptSetting(Generic[T]):
    """The value of the control with this key, and the parameter of the address that holds it as text."""

    key: str
    parameter: str
    usual: T
    write: Callable[[T], str] = str

    @property
    def _kept(self) -> str:
        return f"kept-{self.parameter}"

    def restore(self, read: Callable[[str], T]) -> T:
        """The value to draw the control with. It goes back to what it was in a new session, and after a visit to
        another page.

        To be called in every run. The control takes it as its default, not from the session's state: that reaches
        the browser once, and is lost with a run that a press interrupts.

        Args:
            read: a value from its text; where that cannot be, it raises ValueError with the words for it, which are
                shown, and the usual value is taken.
        """
        text = self.text()
        try:
            return self.usual if text is None else read(text)
        except ValueError as error:
            st.warning(plain(str(error)))
        if self.key in st.session_state:
            st.session_state[self.key] = self.usual
        return self.usual

    def text(self) -> str | None:
        """The value as text, None where it is the usual one."""
        if self.key not in st.session_state:
            return st.session_state.setdefault(self._kept, st.query_params.get(self.parameter))
        value = st.session_state[self.key]
        return None if value == self.usual else self.write(value)

    def keep(self) -> None:
        """Keep the value for the next session; to be called in every run, once the control is drawn."""
        self.remember(self.text())

    def remember(self, text: str | None) -> None:
        """Let this session and the address hold this text, None where the value is the usual one."""
        st.session_state[self._kept] = text
        if text is None:
            st.query_params.pop(self.parameter, None)
        elif st.query_params.get(self.parameter) != text:
            st.query_params[self.parameter] = text


def one_of(options: Collection[str], otherwise: str) -> Callable[[str], str]:
    """Reads one of the options; `otherwise` says, with the text in place of {}, that it is none."""

    def read(text: str) -> str:
        if text not in options:
            raise ValueError(otherwise.format(text))
        return text

    return read


@dataclass(frozen=True)
class KeptText:
    """A text box by its key, the parameter of the address that names its text, and what a reader calls that."""

    box: str
    parameter: str
    noun: str = "this text"

    @property
    def _id(self) -> str:
        return f"kept-{self.parameter}"

    @property
    def id(self) -> str | None:
        """The id under which the text lies in the home, None where it does not."""
        id: str | None = st.session_state[self._id]
        return id

    @property
    def _problem(self) -> str:
        return f"{self._id}-problem"

    @property
    def _written(self) -> str:
        """The ids under which this session has found or kept texts."""
        return f"{self._id}-ids"

    @property
    def _text(self) -> str:
        return f"{self._id}-text"

    def restore(self) -> None:
        """Fill a new session's box from the address, then let the address name what the box holds.

        To be called in every run, before the box is drawn. The address is written here alone, and what the box holds
        is kept here when it has not been: another press may interrupt a callback, which is not called again.
        """
        address_id = st.query_params.get(self.parameter)
        id = st.session_state.setdefault(self._id, address_id)
        st.session_state.setdefault(self._written, [address_id] if address_id else [])
        if self.box not in st.session_state:
            st.session_state[self._text] = text = self._load(id)
            st.session_state[self.box] = text
        if st.session_state[self.box] != st.session_state.get(self._text):
            self.keep()
            id = self.id
        if problem := st.session_state.get(self._problem):
            st.warning(plain(problem))
        if id and address_id != id:
            st.query_params[self.parameter] = id
        elif address_id and not id:
            del st.query_params[self.parameter]

    def _load(self, id: str | None) -> str:
        try:
            return load(home(), id) if id else ""
        except ValueError as error:
            st.warning(plain(str(error)))
            return ""

    def keep(self, file: bytes | None = None) -> None:
        """Keep what the box holds now, and the content of a file that it names; to be called when it has changed.

        Of a box that is empty again nothing stays that this session has found or kept.
        """
        text, id, problem = st.session_state[self.box], None, ""
        written: list[str] = st.session_state.setdefault(self._written, [])
        try:
            if text:
                id = save(home(), text, file)
                written.append(id)
            else:
                drop(home(), written)
                written.clear()
        except OSError as error:
            consequence = f"A refresh will not bring {self.noun} back" if text else "What was pasted is still kept"
            problem = f"{consequence}: {format_error(error)}"
        st.session_state.update({self._id: id, self._problem: problem, self._text: text})

    def fill(self, text: str, file: bytes | None = None) -> None:
        """Put a text into the box, and keep it; to be called before the box is drawn."""
        st.session_state[self.box] = text
        self.keep(file)


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
        content = load_file(home(), id)
        return None if content is None else Copy(self.name, content)
