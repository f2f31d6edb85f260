"""Parts of a page: panels that fail alone, columns of numbers, parts that look again while something goes on."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.logger import get_logger

from tfbind.errors import TfbindError
from tfbind.store import format_error
from tfbind.text import LARGE, visible
from ui.widgets.session import plain

FAILED = "This panel could not be drawn"
LONGEST = 300

_LOG = get_logger(__name__)


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


def number_column(values: Any, label: str | None = None, decimals: int = 4, **options: Any) -> Any:
    """A column of metrics with equal decimals or, where one is far too large for them, with four digits each.

    Args:
        values: those of the column, None where there is none.
        options: further ones of `st.column_config.NumberColumn`.
    """
    largest = pd.to_numeric(pd.Series(list(values)), errors="coerce").abs().max()
    number = "%.4g" if largest >= LARGE else f"%.{decimals}f"
    return st.column_config.NumberColumn(label, format=number, **options)


def number_columns(table: pd.DataFrame) -> dict[str, Any]:
    """A column for each that has fractions, such as learning rates: all digits, not the first four decimals."""
    fractions = [name for name in table if table[name].dtype.kind == "f" and (table[name].dropna() % 1).any()]
    return {name: st.column_config.NumberColumn(format="%g") for name in fractions}


@contextmanager
def panel(name: str) -> Iterator[None]:
    """A part of a page that no other part needs; of what goes wrong in it the page says one line, and the server's
    log everything. A damaged file and the like say by themselves what is wrong.

    What Streamlit ends or repeats a page with is no `Exception` and passes through.
    """
    try:
        yield
    except TfbindError as error:
        st.error(plain(format_error(error)))
    except Exception as error:  # noqa: BLE001 - whatever it is, the other parts can be drawn
        _LOG.error("%s: %s", name, visible(traceback.format_exc()))  # else raw, to a terminal
        kind = "" if isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: "
        st.error(plain(f"{FAILED}: {kind}{format_error(error):.{LONGEST}}; the log has the details"))
