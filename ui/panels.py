"""Parts of a page that fail alone: the rest of the page stands."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st
from streamlit.logger import get_logger

from tfbind.files import words
from tfbind.visible import visible
from ui.session import plain

FAILED = "This panel could not be drawn"
LONGEST = 300

_LOG = get_logger(__name__)


@contextmanager
def panel(name: str) -> Iterator[None]:
    """A part of a page that no other part needs; of what goes wrong in it the page says one line, and the server's
    log everything.

    What Streamlit ends or repeats a page with is no `Exception` and passes through.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever it is, the other parts can be drawn
        _LOG.error("%s: %s", name, visible(traceback.format_exc()))  # else raw, to a terminal
        kind = "" if isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: "
        st.error(plain(f"{FAILED}: {kind}{words(error):.{LONGEST}}; the log has the details"))
