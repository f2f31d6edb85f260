"""A setting that a refresh brings back: what is not as usual stands in the address."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Generic, TypeVar

import streamlit as st

from ui.session import plain

T = TypeVar("T")


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
