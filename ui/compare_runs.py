"""The runs that the Compare page knows, read again only when their files change, and which of them are selected."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st

from tfbind import history, runs
from tfbind.compare import named
from tfbind.history import Past, Stamp
from tfbind.runs import Run
from ui.session import COMPARE_PAGE

SELECTED, ANEW = "compare-selected", "compare-anew"
FEW = 6
LONGEST_ADDRESS = 40  # runs; an address with more names is of no use to anybody


@st.cache_resource(show_spinner=False)
def _read() -> dict[Path, tuple[Stamp, Past]]:
    return {}


def made_for(name: str, parts: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    """What `make` returned when it was last given these very parts, which are objects that do not change."""
    kept, value = st.session_state.get(f"made-for-{name}", (None, None))
    if kept is None or len(kept) != len(parts) or not all(map(_same, kept, parts)):
        value = make()
        st.session_state[f"made-for-{name}"] = (parts, value)
    return value


def _same(mine: Any, theirs: Any) -> bool:
    return mine is theirs or (not isinstance(mine, Past) and bool(mine == theirs))


def past_of(run: Run) -> Past:
    """A run of this home, read again only when one of its files has changed.

    Raises:
        ValueError: its folder is damaged.
    """
    known, stamp = _read(), history.stamp(run)
    kept = known.get(run.folder)
    if kept is None or kept[0] != stamp:
        known[run.folder] = kept = (stamp, history.local(run))
    past = kept[1]
    if past.state not in runs.ACTIVE:
        return past
    status = runs.read_status(run)  # it may have died without a word
    return replace(past, state=status.state, error=status.error)


def selected(pasts: list[Past]) -> list[Past]:
    """The selected runs: as ticked, else as the address names them, else the newest sweep or the newest few runs."""
    keys = {past.key for past in pasts}
    kept = st.session_state.get(SELECTED)
    if kept is None:
        kept = _from_address(pasts) or _newest(pasts)
        st.session_state[SELECTED] = kept
    chosen = set(kept) & keys
    return [past for past in pasts if past.key in chosen]


def select(keys: list[str], anew: bool = False) -> None:
    """Select runs, and put them into the address, so that a refresh or another tab shows them again.

    `anew`: not by ticks in the table, which has to forget its own.
    """
    st.session_state[SELECTED] = keys
    st.session_state[ANEW] = st.session_state.get(ANEW, 0) + anew
    st.query_params.pop("sweep", None)
    if 0 < len(keys) <= LONGEST_ADDRESS:
        st.query_params["runs"] = ",".join(keys)
    else:
        st.query_params.pop("runs", None)


def show_comparison(sweep: str) -> None:
    """Open the Compare page with the runs of a sweep, whatever was selected there before."""
    st.session_state.pop(SELECTED, None)
    st.session_state.pop("compare-metric", None)  # another sweep may have another
    st.session_state[ANEW] = st.session_state.get(ANEW, 0) + 1
    st.switch_page(COMPARE_PAGE, query_params={"sweep": sweep})


def _from_address(pasts: list[Past]) -> list[str]:
    sweep: Any = st.query_params.get("sweep")
    if sweep:
        return [past.key for past in pasts if past.group == sweep]
    names = (st.query_params.get("runs") or "").split(",")
    return [past.key for past in named(pasts, names)]


def _newest(pasts: list[Past]) -> list[str]:
    if not pasts:
        return []
    first = pasts[0]
    if first.group:
        return [past.key for past in pasts if (past.group, past.server) == (first.group, first.server)]
    data = first.config.get("dataset_hash")
    alike = [past.key for past in pasts if past.config.get("dataset_hash") == data and not past.group]
    return alike[:FEW]
