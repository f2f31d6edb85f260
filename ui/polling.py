"""Parts of a page that look again by themselves while something goes on."""

from collections.abc import Callable

import streamlit as st


def poll(draw: Callable[[], object], busy: bool, seconds: float = 1.0) -> None:
    """Draw a part of the page, and while it is busy again every `seconds`.

    What is not busy is only a container in the same place, no fragment. When the timer of a fragment starts a run
    just as a run of the page ends, Streamlit drops what the page had not sent yet; a timer that is late for a
    fragment that is gone it ignores.
    """
    if busy:
        st.fragment(draw, run_every=seconds)()
    else:
        with st.container():
            draw()
