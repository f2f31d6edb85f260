"""A text box whose text a refresh brings back: it lies in the home, under an id that stands in the address."""

from dataclasses import dataclass

import streamlit as st

from tfbind.files import words
from ui import queries
from ui.session import home, plain


@dataclass(frozen=True)
class KeptText:
    """A text box by its key, the parameter of the address that names its text, and what a reader calls that."""

    box: str
    parameter: str
    what: str = "this text"

    @property
    def _id(self) -> str:
        return f"kept-{self.parameter}"

    @property
    def id(self) -> str | None:
        """The id under which the text lies in the home, None where it does not."""
        found: str | None = st.session_state[self._id]
        return found

    @property
    def _problem(self) -> str:
        return f"{self._id}-problem"

    @property
    def _text(self) -> str:
        return f"{self._id}-text"

    def restore(self) -> None:
        """Fill a new session's box from the address, then let the address name what the box holds.

        To be called in every run, before the box is drawn. The address is written here alone, and what the box holds
        is kept here when it has not been: another press may interrupt a callback, which is not called again.
        """
        named = st.query_params.get(self.parameter)
        kept = st.session_state.setdefault(self._id, named)
        if self.box not in st.session_state:
            st.session_state[self._text] = text = self._load(kept)
            st.session_state[self.box] = text
        if st.session_state[self.box] != st.session_state.get(self._text):
            self.keep()
            kept = self.id
        if problem := st.session_state.get(self._problem):
            st.warning(plain(f"A refresh will not bring {self.what} back: {problem}"))
        if kept and named != kept:
            st.query_params[self.parameter] = kept
        elif named and not kept:
            del st.query_params[self.parameter]

    def _load(self, id: str | None) -> str:
        try:
            return queries.load(home(), id) if id else ""
        except ValueError as error:
            st.warning(plain(str(error)))
            return ""

    def keep(self, file: bytes | None = None) -> None:
        """Keep what the box holds now, and the content of a file that it names; to be called when it has changed."""
        text, id, problem = st.session_state[self.box], None, ""
        try:
            id = queries.save(home(), text, file) if text else None
        except OSError as error:
            problem = words(error)
        st.session_state.update({self._id: id, self._problem: problem, self._text: text})

    def fill(self, text: str, file: bytes | None = None) -> None:
        """Put a text into the box, and keep it; to be called before the box is drawn."""
        st.session_state[self.box] = text
        self.keep(file)
